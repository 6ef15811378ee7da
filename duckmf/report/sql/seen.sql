-- What the users of the sample rated in training; no rows where the model does not keep it.
create temp table mf__report_seen as
select s.user_id, i.item_id, i.title, s.rating
from (
    select user_id, unnest(seen) as code, unnest(seen_ratings) as rating
    from mf__report_sample
    where kind = 'user'
) s
join mf__report_items i using (code);
