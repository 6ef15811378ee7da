-- What share of all ratings, and of all recommendations, the most rated share of the items has.
with listed as (
    select item_id, count(*) as lists from mf__report_lists group by item_id
),
running as (
    select
        i.place / count(*) over () as items,
        sum(i.ratings) over (order by i.place) / sum(i.ratings) over () as ratings,
        sum(coalesce(l.lists, 0)) over (order by i.place) / sum(l.lists) over () as recommendations,
        floor(100 * ln(i.place) / ln(count(*) over () + 1)) as step
    from mf__report_items i left join listed l using (item_id)
),
steps as (
    select max(items) as items, max(ratings) as ratings, max(recommendations) as recommendations
    from running
    group by step
)
select items, part, share
from (
    select items, 'ratings' as part, ratings as share from steps
    union all
    select items, 'recommendations', recommendations from steps
)
order by part, items;
