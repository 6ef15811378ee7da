-- mf_cross_validate(source, user_id, item_id, rating := NULL, ts := NULL, folds := 5, k := 10, ...)
--
-- How good a choice of options is: for each fold of mf_folds a model is trained on the other folds and
-- judged by this one. Needs a duckmf connection (Python).
--
--     FROM mf_cross_validate(ratings, user_id, movie_id, rating, n_factors := 64);
--     SELECT avg(rmse), stddev(rmse) FROM mf_cross_validate(ratings, user_id, movie_id, rating);
--
-- Returns a row for each fold, in order:
--   fold                 1 to folds; that of mf_folds with the same folds and seed
--   train, test          rows of the other folds, and of this one
--   rmse, mae            those of mf_evaluate; NULL without ratings, and for models that predict none
--   precision, recall, ndcg, map, mrr, hit_rate, auc
--                        those of mf_evaluate_ranking at k; NULL where k is, or no row of test is relevant
--   cold_users, cold_items, cold_pairs
--                        users, items and rows of test without training ratings
--   epochs, best_epoch   how long the training went on, and which epoch the model is from
--   seconds              of training and judging
--
-- source, user_id, item_id, rating, ts, strength and the options: as in mf_fit; validation and validation_fraction
-- hold rows of the other folds out
-- folds                    their number, 2 to 1000
-- k                        the length of a list, 1 to 100000; NULL leaves lists out, whose time grows with
--                          users times items
-- relevant                 boolean SQL expression: the rows of test that are relevant in lists, such as
--                          rating >= 4; all of them if left out
create or replace macro mf_cross_validate(
    source, user_id, item_id, rating := NULL, ts := NULL, folds := 5, k := 10, relevant := NULL,
    strength := NULL,
    algorithm := NULL, n_factors := NULL, epochs := NULL,
    regularization := NULL, user_regularization := NULL, item_regularization := NULL,
    bias_regularization := NULL, implicit_regularization := NULL, regularization_scaling := NULL,
    learning_rate := NULL, learning_rate_decay := NULL, nonnegative := NULL,
    alpha := NULL, unobserved_weight := NULL, solver := NULL,
    negative_sampling := NULL, popularity_exponent := NULL,
    temporal := NULL, time_bins := NULL, temporal_regularization := NULL, drift_exponent := NULL,
    validation := NULL, validation_fraction := NULL, patience := NULL, tolerance := NULL,
    relative_tolerance := NULL,
    duplicates := NULL, keep_seen := NULL, seed := NULL, threads := NULL, progress := NULL
) as table
select unnest(f.folds, max_depth := 2)
from (
    select
        from_json(
            l.info -> 'folds',
            '[{
                "fold": "INTEGER", "train": "BIGINT", "test": "BIGINT",
                "rmse": "DOUBLE", "mae": "DOUBLE",
                "precision": "DOUBLE", "recall": "DOUBLE", "ndcg": "DOUBLE", "map": "DOUBLE",
                "mrr": "DOUBLE", "hit_rate": "DOUBLE", "auc": "DOUBLE",
                "cold_users": "BIGINT", "cold_items": "BIGINT", "cold_pairs": "BIGINT",
                "epochs": "INTEGER", "best_epoch": "INTEGER", "seconds": "DOUBLE"
            }]'
        ) as folds
    from mf__learn(
        'mf_cross_validate', source, user_id, item_id, rating, ts, strength, validation, relevant,
        hash(hash(coalesce(seed, 42)::bigint, user_id, item_id))
            % greatest(folds, 1)::ubigint + 1,
        json_object(
            'folds', folds,
            'k', k,
            'algorithm', algorithm,
            'options', mf__options(
                n_factors, epochs, regularization, user_regularization, item_regularization,
                bias_regularization, implicit_regularization, regularization_scaling, learning_rate,
                learning_rate_decay, nonnegative, alpha, unobserved_weight, solver,
                negative_sampling, popularity_exponent, temporal, time_bins,
                temporal_regularization, drift_exponent, validation_fraction, patience, tolerance,
                relative_tolerance, duplicates, keep_seen, seed, threads
            ),
            'progress', progress
        ),
        false
    ) l
) f;

comment on macro table mf_cross_validate is
    'Train and judge a model for each fold of a source: a row of metrics for each (needs a duckmf connection)';
