-- The error by the activity of the user; users whom the model does not know have 0.
select
    e.part, coalesce(a.low, 0) as low, coalesce(a.label, '0') as activity,
    sqrt(avg((e.prediction - e.rating) ^ 2)) as rmse,
    count(*) as n, count(distinct e.user_id) as users
from mf__report_errors e left join mf__report_activity a using (user_id)
group by all
order by low, e.part;
