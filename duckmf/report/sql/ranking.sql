-- How well the lists of ten hold what was held out.
select users, precision, recall, ndcg, map, mrr, hit_rate, auc, coverage, novelty
from mf_evaluate_ranking(mf__report_model, mf__report_test, user_id, item_id, k := 10);
