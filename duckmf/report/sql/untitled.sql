-- The items that the titles do not have.
select count(*) as items from mf__report_items where untitled;
