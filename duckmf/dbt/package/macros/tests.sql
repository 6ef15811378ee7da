{#  Generic tests of a model relation: each returns the measure where it is not what it should be. #}

{%- test rmse_below(model, max, held_out, user_id, item_id, rating, ts=none) -%}
    select rmse
    from ({{ duckmf.evaluate(model, held_out, user_id, item_id, rating, ts) }})
    where coalesce(rmse >= {{ max }}, true)
{%- endtest -%}


{%- test ndcg_above(model, min, held_out, user_id, item_id, k=10) -%}
    select ndcg
    from ({{ duckmf.evaluate_ranking(model, held_out, user_id, item_id, k=k) }})
    where coalesce(ndcg <= {{ min }}, true)
{%- endtest -%}


{%- test model_is_fresh(model, max_age) -%}
    select trained_at
    from ({{ duckmf.info(model) }})
    where coalesce(trained_at < now() at time zone 'utc' - interval {{ duckmf.literal(max_age) }}, true)
{%- endtest -%}
