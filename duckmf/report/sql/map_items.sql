-- The most rated items that have factors.
select title, coalesce(color, '') as color, ratings, factors
from mf__report_items
where factors is not null and list_dot_product(factors, factors) > 0
order by place
limit $items;
