-- mf_fit: train a model with one statement. Needs a duckmf connection (Python); every function that reads
-- a model is plain SQL.
--
--     CREATE TABLE films AS FROM mf_fit(ratings, user_id, movie_id, rating, n_factors := 64);
--
-- Returns the model relation: one 'model' row, an 'epoch' row per pass, a 'user' row per user and an
-- 'item' row per item. Everything happens inside the statement and its transaction.
--
-- source                   table, view, CTE or temp table, as an identifier or a string
-- user_id, item_id         SQL expressions over the source's columns, of any type; they come back as they were
-- rating                   SQL expression, a number; for implicit_als and bpr the strength of a click, play or
--                          purchase, at least 0, and 1 if left out
-- ts                       SQL expression, the time of the rating; 'last' duplicates are chosen by it
--
-- Options. NULL, or leaving one out, is the default; - marks what an algorithm does not use, and refuses.
--
-- algorithm                als     svd     bias    popularity  implicit_als  bpr
-- n_factors                32      32      -       -           64            32
-- epochs                   15      20      10      -           15            100
-- regularization           1.0     1.0     5.0     5.0         0.5           0.02
-- regularization_scaling   0.5     0.5     -       -           0.5           -
-- learning_rate            -       0.15    -       -           -             0.1
-- learning_rate_decay      -       1.0     -       -           -             1.0
-- nonnegative              false   -       -       -           -             -
-- alpha                    -       -       -       -           1.0           -
-- unobserved_weight        -       -       -       -           0.4           -
-- negative_sampling        -       -       -       -           -             uniform
-- popularity_exponent      -       -       -       -           -             0.0
-- duplicates               mean    mean    mean    mean        sum           sum
-- tolerance                0.0001  0.0001  0.0001  0.0001      0.0001        0.0001
-- keep_seen                true    true    true    true        true          true
-- seed                     42      42      42      42          42            42
--
-- algorithm                'als' (default with a rating): r = mu + b_u + b_i + <p_u, q_i>, alternating exact least squares
--                          'svd': the same model by stochastic gradient descent
--                          'bias': mu + b_u + b_i
--                          'popularity': items by their number of ratings, the same list for everybody
--                          'implicit_als' (default without): items ranked by <p_u, q_i>, learnt from strengths
--                          as confidences over all pairs (Hu, Koren and Volinsky 2008)
--                          'bpr': items ranked by b_i + <p_u, q_i>, learnt from triples of a user, a pair of
--                          strength above 0, no matter how strong, and another item (Rendle et al. 2009)
-- n_factors                length of p_u and q_i, 1 to 1024
-- epochs                   passes over the ratings
-- regularization           lambda of the L2 penalty; user_regularization, item_regularization and
--                          bias_regularization default to it
-- regularization_scaling   nu in the penalty lambda * n^nu of a row with n ratings; implicit_als: in
--                          lambda * (n + unobserved_weight * all)^nu, all being the number of items or users
-- learning_rate            step size, for ratings of standard deviation 1; bpr: of a triple, which also pays lambda
-- learning_rate_decay      the share of it that is gone by the last epoch
-- nonnegative              factors >= 0
-- alpha                    a pair of strength r > 0 has preference 1 with confidence 1 + alpha * r
-- unobserved_weight        the confidence of preference 0 in all other pairs, 0 to 1; a strength of 0 is one of
--                          them, and marks the item as seen
-- solver                   how a row is solved: 'cg', three steps of conjugate gradients an epoch, or 'cholesky',
--                          exactly; the faster one for n_factors if left out
-- negative_sampling        the other item of a triple: 'uniform', any item, or 'popularity', in proportion to its
--                          users; a triple is left out where the user has a strength above 0 for that item too
-- popularity_exponent      e, 0 to 1: an epoch takes a pair whose item has n users with the chance
--                          least(1, (m / n)^e), m being the mean n; 0 takes all, 0.5 is the subsampling of word2vec
-- validation               boolean SQL expression: the rows held out for early stopping
-- validation_fraction      or a share of the rows, by a hash of user, item and seed
-- patience                 stop after so many epochs without an improvement of the validation loss (3);
--                          without held-out rows, of the training loss, and only if given
-- tolerance                the smallest improvement of the loss that counts;
--                          with held-out rows the best epoch is kept. The loss is the RMSE; implicit_als: in
--                          training the objective, 1 where all scores are 0, else 1 - NDCG@10; bpr: in
--                          training the mean of -ln sigma(s_ui - s_uj), else 1 - AUC, over items drawn evenly
-- duplicates               what several rows of one user and item mean: 'mean', 'sum', 'last' (by ts; of
--                          equal times the larger rating), 'max', 'error'
-- keep_seen                store each user's training items and ratings: mf_recommend leaves them out
-- seed                     where all randomness comes from: same seed and data, same model, bit for bit
-- threads                  threads to train on (DuckDB's own setting)
-- progress                 false hides the progress bar; so does DUCKMF_PROGRESS=0 in the environment
--
-- Refused with an error: NULL users, items, ratings or times, ratings that are no finite numbers, an empty
-- source, fewer than two items, unknown or unused options, options out of range. Nothing is dropped.
create or replace macro mf_fit(
    source, user_id, item_id, rating := NULL, ts := NULL,
    algorithm := NULL, n_factors := NULL, epochs := NULL,
    regularization := NULL, user_regularization := NULL, item_regularization := NULL,
    bias_regularization := NULL, regularization_scaling := NULL,
    learning_rate := NULL, learning_rate_decay := NULL, nonnegative := NULL,
    alpha := NULL, unobserved_weight := NULL, solver := NULL,
    negative_sampling := NULL, popularity_exponent := NULL,
    validation := NULL, validation_fraction := NULL, patience := NULL, tolerance := NULL,
    duplicates := NULL, keep_seen := NULL, seed := NULL, threads := NULL, progress := NULL
) as table
with recursive
    mf__source as materialized (
        select
            user_id as u,
            item_id as i,
            -- a value that is no number becomes NaN, so that it is counted below, never dropped
            case when rating is not null then coalesce(try_cast(rating as float), 'nan') end as r,
            -- seconds since 1970; numbers are that already
            case
                when ts is null then null
                when typeof(ts) = 'TIMESTAMP WITH TIME ZONE' then epoch(try_cast(ts as timestamptz))
                else coalesce(try_cast(ts as double), epoch(try_cast(ts as timestamp)), 'nan')
            end as t,
            validation is true as held_out,
            typeof(rating) <> '"NULL"' as has_rating,  -- false only for an argument left out
            typeof(ts) <> '"NULL"' as has_ts,
            typeof(validation) <> '"NULL"' as has_validation
        from query_table(source)
    ),
    mf__counts as materialized (
        select
            count(*) as n_rows,
            count(*) - count(s.u) as null_users,
            count(*) - count(s.i) as null_items,
            count(*) - count(s.r) as null_ratings,
            count(*) filter (where not isfinite(s.r)) as bad_ratings,
            count(*) filter (where s.r < 0) as negative_ratings,
            count(*) - count(s.t) as null_times,
            count(*) filter (where not isfinite(s.t)) as bad_times,
            bool_or(s.has_rating) as has_rating,
            bool_or(s.has_ts) as has_ts,
            bool_or(s.has_validation) as has_validation
        from mf__source s
    ),
    mf__begun as materialized (
        select mf__begin(
            json_object(
                'function', 'mf_fit',
                'algorithm', algorithm,
                'options', json_object(
                    'n_factors', n_factors,
                    'epochs', epochs,
                    'regularization', regularization,
                    'user_regularization', user_regularization,
                    'item_regularization', item_regularization,
                    'bias_regularization', bias_regularization,
                    'regularization_scaling', regularization_scaling,
                    'learning_rate', learning_rate,
                    'learning_rate_decay', learning_rate_decay,
                    'nonnegative', nonnegative,
                    'alpha', alpha,
                    'unobserved_weight', unobserved_weight,
                    'solver', solver,
                    'negative_sampling', negative_sampling,
                    'popularity_exponent', popularity_exponent,
                    'validation_fraction', validation_fraction,
                    'patience', patience,
                    'tolerance', tolerance,
                    'duplicates', duplicates,
                    'keep_seen', keep_seen,
                    'seed', seed,
                    'threads', threads
                ),
                'progress', progress,
                'counts', to_json(c),
                'duckdb_threads', current_setting('threads'),
                'connection', current_connection_id(),
                'query', current_query_id()
            )::varchar
        ) as begun
        from mf__counts c
    ),
    mf__run as materialized (
        select case when b.begun.error is null then b.begun.run else error(b.begun.error) end as run
        from mf__begun b
    ),
    mf__users as materialized (
        select d.id, (row_number() over (order by d.id) - 1)::integer as code
        from (select distinct s.u as id from mf__source s) d
    ),
    mf__items as materialized (
        select d.id, (row_number() over (order by d.id) - 1)::integer as code
        from (select distinct s.i as id from mf__source s) d
    ),
    -- the rows in a few long lists: a Python call for each vector of rows would cost more than training
    mf__batches as (
        select
            list(u.code) as users,
            list(i.code) as items,
            list(s.r) filter (where s.has_rating) as ratings,
            list(s.held_out) filter (where s.has_validation) as held_out,
            list(s.t) filter (where s.has_ts) as times
        from mf__source s
        join mf__users u on u.id = s.u
        join mf__items i on i.id = s.i
        group by u.code >> 12
    ),
    mf__gathered as materialized (
        select
            g.run,
            sum(mf__gather(g.run, b.users, b.items, b.ratings, b.held_out, b.times))::bigint
                as n_rows
        from mf__run g cross join mf__batches b
        group by g.run
    ),
    mf__training(run, epoch, log) as (
        select
            g.run,
            0,
            mf__start(
                g.run, g.n_rows,
                (select count(*) from mf__users), (select count(*) from mf__items)
            )
        from mf__gathered g
        union all
        select t.run, t.epoch + 1, mf__epoch(t.run)
        from mf__training t
        where case when t.log.error is null then t.log.more else error(t.log.error) end
    ),
    mf__epochs as materialized (from mf__training),
    mf__trained as materialized (
        select e.run, max(e.epoch) as epochs from mf__epochs e group by e.run
    ),
    mf__user_rows as materialized (
        select u.id, u.code, mf__user_rows(t.run, u.code, t.epochs) as user
        from mf__users u cross join mf__trained t
        order by u.code
    ),
    mf__item_rows as materialized (
        select i.id, i.code, mf__item_rows(t.run, i.code, t.epochs) as item
        from mf__items i cross join mf__trained t
        order by i.code
    ),
    -- every kind of row waits for this one: whatever part of the model is read, the run is forgotten
    mf__finished as materialized (
        select mf__finish(
            t.run, (select count(*) from mf__user_rows) + (select count(*) from mf__item_rows)
        ) as model
        from mf__trained t
    )
select
    'model' as kind,
    null as user_id,
    null as item_id,
    null::integer as code,
    f.model.ratings as ratings,
    f.model.bias as bias,
    null::float[] as factors,
    null::integer[] as seen,
    null::float[] as seen_ratings,
    null::float[] as implicit_factors,
    null::struct(
        t0 double, t1 double, beta float, drift float,
        days integer[], day_bias float[], bin_bias float[], factor_drift float[]
    ) as temporal,
    null::integer as epoch,
    null::struct(train_loss double, validation_loss double, seconds double) as metrics,
    f.model.info::json as info
from mf__finished f
union all
select
    'epoch', null, null, null, null, null, null, null, null, null, null, e.epoch,
    {
        'train_loss': e.log.train_loss,
        'validation_loss': e.log.validation_loss,
        'seconds': e.log.seconds
    },
    null
from mf__epochs e cross join mf__finished f
where e.epoch > 0 and f.model.info is not null
union all
select
    'user', u.id, null, u.code, u.user.ratings, u.user.bias, u.user.factors, u.user.seen,
    u.user.seen_ratings, null, null, null, null, null
from mf__user_rows u cross join mf__finished f
where f.model.info is not null
union all
select
    'item', null, i.id, i.code, i.item.ratings, i.item.bias, i.item.factors, null,
    null, i.item.implicit_factors, null, null, null, null
from mf__item_rows i cross join mf__finished f
where f.model.info is not null;

comment on macro table mf_fit is
    'Train a model on ratings: returns the model relation (needs a duckmf connection)';
