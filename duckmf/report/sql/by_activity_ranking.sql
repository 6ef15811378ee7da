-- The nDCG of the lists by the activity of the user; users whom the model does not know have 0.
select
    coalesce(a.low, 0) as low, coalesce(a.label, '0') as activity, avg(e.ndcg) as ndcg, count(*) as users
from mf_evaluate_ranking_per_user(mf__report_model, mf__report_test, user_id, item_id, k := 10) e
left join mf__report_activity a using (user_id)
group by all
order by low;
