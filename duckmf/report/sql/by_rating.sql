-- The error by the rating: of each value, or of ten equal bins where there are more than twenty.
with spread as (
    select min(rating) as low, greatest(max(rating) - min(rating), 1e-9) / 10 as width,
        count(distinct rating) as n
    from mf__report_errors
),
binned as (
    select
        part, prediction - rating as error,
        case
            when n <= 20 then rating
            else low + (least(9, floor((rating - low) / width)) + 0.5) * width
        end as rating
    from mf__report_errors, spread
)
select part, rating, sqrt(avg(error ^ 2)) as rmse, avg(error) as mean_error, count(*) as n
from binned
group by part, rating
order by part, rating;
