-- mf_tune and mf_fit_best: choose the options of mf_fit by trying them. Need a duckmf connection (Python).
--
--     FROM mf_tune(ratings, user_id, movie_id, rating, n_factors := [8, 16, 32], regularization := [0.5, 1, 2]);
--     CREATE TABLE films AS
--     FROM mf_fit_best(ratings, user_id, movie_id, rating, n_factors := [8, 16, 32], algorithm := ['als', 'svd']);
--
-- Every option of mf_fit may be a list of values to try, of 1,000 at most, or a number may be a range:
-- {'min': 0.1, 'max': 10}, or {'min': 0.1, 'max': 10, 'log': true} to draw its logarithm evenly. Those that say what the trials are
-- judged by and how they run have one value for all trials: seed, duplicates, validation, threads, keep_seen,
-- progress. `temporal`, itself a list, is searched as a list of lists. An option that only some of the
-- algorithms use is searched for those.
--
-- The source is read and encoded once. A trial is the training that mf_fit makes of its options with the same
-- rows held out: it stops early, and its best epoch counts. Of a grid, those trials come first whose values are
-- in the middle of their lists. With the same data and seed the trials are the same, in the same order, and so
-- are their numbers, whatever the order of the rows and the number of threads.
--
-- mf_tune returns a row for each trial, the best first:
--   rank                 1 is the best: complete trials come before pruned ones, those before failed ones
--   trial                the trials in the order in which they began
--   status               'complete'; 'pruned', if it was stopped as hopeless; 'failed', as the error says
--   objective, value     what was to be made best, and how good it is on the rows held out
--   algorithm, searched  the algorithm, and the options that were searched, as JSON
--   rmse, mae            those of mf_evaluate on the rows held out; NULL for models that predict no ratings
--   precision, recall, ndcg, map, mrr, hit_rate, auc
--                        those of mf_evaluate_ranking at k; NULL unless the objective is one of them, since
--                        their time grows with users times items; auc, the dearest, is NULL for pruned trials
--                        too, unless it is the objective
--   epochs, best_epoch   how long it trained, and which epoch was best
--   seconds              of training and judging
--   options              all options of the trial, as JSON
--   error                why it failed
--
-- mf_fit_best returns a model: that of mf_fit with the options of the best trial, trained on all rows, the ones
-- that were held out too, for as many epochs as that trial needed. Its info holds all trials under `tuning`.
--
-- source, user_id, item_id, rating, ts, strength: as in mf_fit
-- search                   'grid', all combinations of lists (default, where there are no ranges and trials is
--                          not given), 'random', some that are spread evenly over all (default otherwise),
--                          or 'tpe', which learns from the trials before and needs optuna:
--                          pip install 'duckmf[tune]'
-- trials                   how many to run (20), for 'random' and 'tpe'
-- objective                'rmse' (default for ratings), 'mae', 'precision', 'recall', 'ndcg' (default otherwise),
--                          'map', 'mrr', 'hit_rate' or 'auc'
-- k                        the length of a list, 1 to 100000
-- relevant                 boolean SQL expression: the held-out rows that are relevant in lists, such as
--                          rating >= 4; all of them if left out
-- validation               boolean SQL expression: the rows held out to judge by
-- validation_fraction      or a share of the rows (0.1)
-- validation_method        which share: 'random', by a hash of user, item and seed (default), or 'time', the
--                          latest rows by ts
-- prune                    stop hopeless trials (true). Four trials run side by side, each with its factors and
--                          those of its best epoch in memory, and are compared with those of the same algorithm
--                          and epochs at each tenth of them. From the second tenth on, a trial ends if at its pace
--                          of the last two tenths it would not come to where the best one is already. Once the
--                          objective of a trial has become worse on its way, as lists may, its pace tells nothing:
--                          then a tenth of the trials, the worst, ends at each further tenth. A winner that is
--                          last until the end can be lost, such as bpr with the longest steps; false runs all
--                          trials to their end, one after the other
-- The other options: as in mf_fit.
create or replace macro mf_tune(
    source, user_id, item_id, rating := NULL, ts := NULL, strength := NULL,
    search := NULL, trials := NULL, objective := NULL, k := 10, relevant := NULL,
    validation_method := NULL, prune := true,
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
select unnest(t.trials, max_depth := 2)
from (
    select
        from_json(
            l.info -> 'trials',
            '[{
                "rank": "INTEGER", "trial": "INTEGER", "status": "VARCHAR",
                "objective": "VARCHAR", "value": "DOUBLE",
                "algorithm": "VARCHAR", "searched": "JSON",
                "rmse": "DOUBLE", "mae": "DOUBLE",
                "precision": "DOUBLE", "recall": "DOUBLE", "ndcg": "DOUBLE", "map": "DOUBLE",
                "mrr": "DOUBLE", "hit_rate": "DOUBLE", "auc": "DOUBLE",
                "epochs": "INTEGER", "best_epoch": "INTEGER", "seconds": "DOUBLE",
                "options": "JSON", "error": "VARCHAR"
            }]'
        ) as trials
    from mf__learn(
        'mf_tune', source, user_id, item_id, rating, ts, strength, validation, relevant, null,
        json_object(
            'search', search,
            'trials', trials,
            'objective', objective,
            'k', k,
            'validation_method', validation_method,
            'prune', prune,
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
) t;

comment on macro table mf_tune is
    'Try options of mf_fit: a row for each trial, the best first (needs a duckmf connection)';

create or replace macro mf_fit_best(
    source, user_id, item_id, rating := NULL, ts := NULL, strength := NULL,
    search := NULL, trials := NULL, objective := NULL, k := 10, relevant := NULL,
    validation_method := NULL, prune := true,
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
from mf__learn(
    'mf_fit_best', source, user_id, item_id, rating, ts, strength, validation, relevant, null,
    json_object(
        'search', search,
        'trials', trials,
        'objective', objective,
        'k', k,
        'validation_method', validation_method,
        'prune', prune,
        'algorithm', algorithm,
        'options', mf__options(
            n_factors, epochs, regularization, user_regularization, item_regularization,
            bias_regularization, implicit_regularization, regularization_scaling, learning_rate,
            learning_rate_decay, nonnegative, alpha, unobserved_weight, solver, negative_sampling,
            popularity_exponent, temporal, time_bins, temporal_regularization, drift_exponent,
            validation_fraction, patience, tolerance, relative_tolerance, duplicates, keep_seen,
            seed, threads
        ),
        'progress', progress
    ),
    true
);

comment on macro table mf_fit_best is
    'Try options of mf_fit and train with the best: returns the model relation (needs a duckmf connection)';
