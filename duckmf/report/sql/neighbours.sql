-- The items most like each of the most rated ones.
with popular as (
    from mf__report_items where place <= $items
)
select p.place, p.title, p.ratings, s.rank, i.title as neighbour, s.similarity
from mf_similar_items(mf__report_model, k := 5) s
join popular p on p.item_id = s.item_id
join mf__report_items i on i.item_id = s.similar_item_id
order by p.place, s.rank;
