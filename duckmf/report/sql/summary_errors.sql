-- The errors in training and of what was held out.
select part, sqrt(avg((prediction - rating) ^ 2)) as rmse, avg(abs(prediction - rating)) as mae, count(*) as n
from mf__report_errors
group by part
order by part desc;
