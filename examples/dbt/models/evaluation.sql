select accuracy.rmse, accuracy.mae, accuracy.n, accuracy.cold_pairs, ranking.ndcg, ranking.coverage
from ({{ duckmf.evaluate(ref('trial'), ref('held_out'), 'user_id', 'item_id', 'rating') }}) as accuracy
cross join (
    {{ duckmf.evaluate_ranking(ref('trial'), ref('held_out'), 'user_id', 'item_id', k=10) }}
) as ranking
