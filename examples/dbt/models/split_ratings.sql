{{ duckmf.split(ref('stg_ratings'), 'user_id', 'item_id', fraction=0.2) }}
