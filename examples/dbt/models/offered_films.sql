{{ config(materialized='view') }}

-- a model with fewer items is a model too: only these are recommended
select *
from {{ ref('films') }}
where kind <> 'item' or item_id in (select movie_id from {{ ref('catalogue') }})
