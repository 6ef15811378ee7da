-- The items with their titles and colours; place 1 is the item with the most ratings.
create temp table mf__report_items as
select
    m.item_id, m.code, m.ratings, m.factors, t.color,
    coalesce(t.title, m.item_id::varchar) as title,
    t.title is null as untitled,
    row_number() over (order by m.ratings desc, m.item_id) as place
from mf__report_model m left join mf__report_titles t on t.item_id = m.item_id
where m.kind = 'item';
