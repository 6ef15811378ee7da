{#  One macro for each mf_ function that a dbt project is likely to need. Relations are refs or
    sources. Users, items, ratings and the like are SQL expressions, given as strings. All other
    arguments are options, given as values: n_factors=32, algorithm='svd'. #}

{%- macro fit(source, user_id, item_id, rating=none, ts=none, validation=none, warm_start=none, strength=none) -%}
    {{- duckmf.select('mf_fit', [source], {
        'user_id': user_id, 'item_id': item_id, 'rating': rating, 'ts': ts, 'strength': strength,
        'validation': validation
    }, kwargs, {} if warm_start is none else {'warm_start': warm_start}) -}}
{%- endmacro -%}


{%- macro split(source, user_id, item_id, ts=none) -%}
    {{- duckmf.select('mf_split', [source], {
        'user_id': user_id, 'item_id': item_id, 'ts': ts
    }, kwargs) -}}
{%- endmacro -%}


{%- macro recommend(model) -%}
    {{- duckmf.select('mf_recommend', [model], {}, kwargs) -}}
{%- endmacro -%}


{%- macro similar_items(model) -%}
    {{- duckmf.select('mf_similar_items', [model], {}, kwargs) -}}
{%- endmacro -%}


{%- macro predict(model, pairs, user_id, item_id, ts=none) -%}
    {{- duckmf.select('mf_predict', [model, pairs], {
        'user_id': user_id, 'item_id': item_id, 'ts': ts
    }, kwargs) -}}
{%- endmacro -%}


{%- macro evaluate(model, test, user_id, item_id, rating, ts=none) -%}
    {{- duckmf.select('mf_evaluate', [model, test], {
        'user_id': user_id, 'item_id': item_id, 'rating': rating, 'ts': ts
    }, kwargs) -}}
{%- endmacro -%}


{%- macro evaluate_ranking(model, test, user_id, item_id) -%}
    {{- duckmf.select('mf_evaluate_ranking', [model, test], {
        'user_id': user_id, 'item_id': item_id
    }, kwargs) -}}
{%- endmacro -%}


{%- macro info(model) -%}
    {{- duckmf.select('mf_info', [model]) -}}
{%- endmacro -%}


{%- macro fold_in(model, source, user_id, item_id, rating=none, ts=none, strength=none) -%}
    {{- duckmf.select('mf_fold_in', [model, source], {
        'user_id': user_id, 'item_id': item_id, 'rating': rating, 'ts': ts, 'strength': strength
    }, kwargs) -}}
{%- endmacro -%}


{%- macro update_model(model, source, user_id, item_id, rating=none, ts=none, strength=none) -%}
    {{- duckmf.select('mf_update', [model, source], {
        'user_id': user_id, 'item_id': item_id, 'rating': rating, 'ts': ts, 'strength': strength
    }, kwargs) -}}
{%- endmacro -%}
