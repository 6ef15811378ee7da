{{ config(materialized='view') }}

select * from {{ ref('split_ratings') }} where split = 'train'
