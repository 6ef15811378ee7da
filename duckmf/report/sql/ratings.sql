-- The ratings and their predictions in bins: a bin for each value, or twenty where there are more.
with spread as (
    select min(rating) as low, max(rating) as high, count(distinct rating) as n
    from mf__report_errors
),
width as (
    select low, case when n between 2 and 20 then (high - low) / (n - 1) else greatest(high - low, 1e-9) / 20 end as width
    from spread
),
binned as (
    select part || ' ratings' as values_of, round((rating - low) / width) as bin from mf__report_errors, width
    union all
    select part || ' predictions', round((prediction - low) / width) from mf__report_errors, width
)
select values_of, low + bin * width as value, count(*) as n,
    count(*) / sum(count(*)) over (partition by values_of) as share
from binned, width
group by values_of, bin, low, width
order by values_of, bin;
