{{ duckmf.fit(ref('stg_ratings'), 'user_id', 'item_id', 'rating', n_factors=32) }}
