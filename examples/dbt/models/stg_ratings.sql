select user_id, movie_id as item_id, rating, rated_at
from {{ source('movielens', 'ratings') }}
