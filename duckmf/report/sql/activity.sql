-- How active each user is, in steps of 1, 2, 5, 10, ... training ratings.
create temp table mf__report_activity as
select
    user_id, low,
    case when low >= high then low::varchar else low || '–' || high end as label
from (
    select
        user_id,
        (unit * case when n >= 5 * unit then 5 when n >= 2 * unit then 2 else least(n, 1) end)::bigint as low,
        (unit * case when n >= 5 * unit then 10 when n >= 2 * unit then 5 else 2 end)::bigint - 1 as high
    from (
        select user_id, ratings as n, 10 ^ floor(log10(greatest(ratings, 1))) as unit
        from mf__report_model
        where kind = 'user'
    )
);
