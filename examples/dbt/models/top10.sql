select list.user_id, list.rank, list.item_id, films.title, list.score
from ({{ duckmf.recommend(ref('offered_films'), k=10) }}) as list
join {{ ref('catalogue') }} as films on films.movie_id = list.item_id
order by list.user_id, list.rank
