{{ duckmf.fit(ref('train'), 'user_id', 'item_id', 'rating', n_factors=32) }}
