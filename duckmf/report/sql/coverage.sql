-- How much of the catalogue is recommended, and how much of the lists the most rated hundredth has.
with listed as (
    select item_id, count(*) as lists from mf__report_lists group by item_id
)
select
    count(*) as items,
    count(l.item_id) as recommended,
    count(l.item_id) / count(*) as coverage,
    coalesce(sum(l.lists) filter (where i.place <= greatest(1, 0.01 * i.items)) / sum(l.lists), 0) as head_share,
    coalesce(sum(i.ratings) filter (where i.place <= greatest(1, 0.01 * i.items)) / sum(i.ratings), 0) as head_ratings,
    sum(l.lists * i.ratings) / sum(l.lists) as mean_ratings
from (select *, count(*) over () as items from mf__report_items) i left join listed l using (item_id);
