-- What a year adds to the bias of the users: a_u 365^beta, in forty bins.
with yearly as (
    select u.temporal.drift * 365 ^ m.temporal.beta as change
    from mf__report_model m, mf__report_model u
    where m.kind = 'model' and u.kind = 'user' and u.temporal.drift is not null
),
spread as (
    select greatest(max(abs(change)), 1e-9) / 20 as width from yearly
)
select (floor(change / width) + 0.5) * width as change, count(*) as users
from yearly, spread
group by floor(change / width), width
order by 1;
