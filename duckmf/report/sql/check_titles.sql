-- An item with several titles, if there is one, and the number of items with one.
select
    (
        select any_value(item_id) from (
            select item_id from mf__report_titles group by item_id having count(*) > 1
        )
    ) as repeated,
    (
        select count(*) from mf__report_model m join mf__report_titles t using (item_id)
        where m.kind = 'item'
    ) as matched;
