-- The held-out ratings beside the predictions for their times.
insert into mf__report_errors
select 'held out', user_id, rating, prediction
from mf_predict(mf__report_model, mf__report_test, user_id, item_id, ts := ts);
