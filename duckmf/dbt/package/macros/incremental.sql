{#  The body of a model that is kept up to date:

        config(materialized='incremental', incremental_strategy='delete+insert', unique_key='user_id')

    The first run, and any with --full-refresh, trains; the others fold in the users whose number of
    rated items is no longer that of the model, and leave the rest as it is. Items that are new since
    the training wait for the next one. #}
{%- macro incremental_fit(source, user_id, item_id, rating=none, ts=none, strength=none) -%}
    {%- if not is_incremental() -%}
        {{- duckmf.select('mf_fit', [source], {
            'user_id': user_id, 'item_id': item_id, 'rating': rating, 'ts': ts, 'strength': strength
        }, kwargs) -}}
    {%- else -%}
        {%- set changed = duckmf.changed_users(this, source, user_id, item_id) -%}
        {%- if execute and run_query('select count(*) from ' ~ changed).rows[0][0] > 0 -%}
            {{- duckmf.fold_in(
                this, changed, user_id, item_id, rating, ts, strength, unknown='ignore'
            ) -}}
        {%- else -%}
            select * from {{ this }} where false
        {%- endif -%}
    {%- endif -%}
{%- endmacro -%}


{#  The rows of source that belong to users who are new to a model, or rated more or fewer of its items. #}
{%- macro changed_users(model, source, user_id, item_id) -%}
    (
        select * from {{ source }}
        where {{ user_id }} in (
            select rated.u
            from (select {{ user_id }} as u, {{ item_id }} as i from {{ source }}) as rated
            left join {{ model }} as known on known.kind = 'user' and known.user_id = rated.u
            where rated.i in (select item_id from {{ model }} where kind = 'item')
            group by rated.u
            having count(distinct rated.i) <> coalesce(any_value(known.ratings), 0)
        )
    )
{%- endmacro -%}
