-- The training ratings of the sample beside their predictions.
create temp table mf__report_errors as
select 'training' as part, user_id, rating::double as rating, prediction
from mf_predict(mf__report_sample, mf__report_seen, user_id, item_id);
