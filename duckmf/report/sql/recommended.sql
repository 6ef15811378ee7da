-- Items by their ratings and the lists they are in; items alike in both are one row, which names the
-- one with the most ratings.
with listed as (
    select item_id, count(*) as lists from mf__report_lists group by item_id
)
select
    i.ratings, coalesce(l.lists, 0) as lists, count(*) as items, min_by(i.title, i.place) as title
from mf__report_items i left join listed l using (item_id)
group by i.ratings, coalesce(l.lists, 0)
order by 1, 2;
