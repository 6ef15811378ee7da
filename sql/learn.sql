-- mf__learn: how one statement trains; mf_fit and the other functions that train call it. Needs a duckmf
-- connection (Python).
--
-- It gathers the rows of a source in codes, begins a run, calls it epoch by epoch and gives back the model
-- relation with the caller's ids.
--
-- caller                   the name of the function that was called: it decides what the run does
-- source, user_id, item_id, rating, ts, validation: as in mf_fit
-- relevant                 boolean SQL expression: the rows that count where lists are judged, or NULL
-- fold                     integer SQL expression: the fold of a row, or NULL
-- asked                    JSON: the other arguments of the caller
-- has_rows                 false leaves out all rows but that of kind 'model', whose info has the outcome
-- warm_start               a relation made by mf_fit, where the numbers start; 'mf__cold' is none
create or replace macro mf__learn(
    caller, source, user_id, item_id, rating, ts, validation, relevant, fold, asked, has_rows,
    warm_start := 'mf__cold'
) as table
with recursive
    mf__cold as (select 'none' as kind),
    mf__warm as not materialized (
        from mf__rows(warm_start)
        union all by name
        select null::json as info where false
    ),
    mf__warm_head as not materialized (
        select
            count(*) filter (where m.kind = 'model') as rows,
            count(*) filter (where m.kind = 'none') as colds,
            any_value(m.bias::double) filter (where m.kind = 'model') as mu,
            any_value(m.info::varchar) filter (where m.kind = 'model') as info
        from mf__warm m
    ),
    mf__source as materialized (
        select
            user_id as u,
            item_id as i,
            -- a value that is no number becomes NaN, so that it is counted below, never dropped
            case when rating is not null then coalesce(try_cast(rating as float), 'nan') end as r,
            case when ts is not null then coalesce(mf__seconds(ts), 'nan') end as t,
            validation is true as held_out,
            typeof(rating) <> '"NULL"' as has_rating,  -- false only for an argument left out
            typeof(ts) <> '"NULL"' as has_ts,
            typeof(validation) <> '"NULL"' as has_validation,
            relevant is true as relevant,
            fold::integer as fold,
            typeof(relevant) <> '"NULL"' as has_relevant,
            typeof(fold) <> '"NULL"' as has_fold
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
            bool_or(s.has_validation) as has_validation,
            bool_or(s.has_relevant) as has_relevant,
            bool_or(s.has_fold) as has_fold
        from mf__source s
    ),
    mf__begun as materialized (
        select mf__begin(
            json_object(
                'function', caller,
                'asked', asked,
                'counts', to_json(c),
                'warm_start', case when h.colds = 0 then to_json(h) end,
                'duckdb_threads', current_setting('threads'),
                -- whether DuckDB multiplies and adds in one rounding: lists are those of mf_recommend
                'fused', mf__fused(),
                'connection', current_connection_id(),
                'query', current_query_id()
            )::varchar
        ) as begun
        from mf__counts c cross join mf__warm_head h
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
            list(s.t) filter (where s.has_ts) as times,
            list(s.relevant) filter (where s.has_relevant) as relevant,
            list(s.fold) filter (where s.has_fold) as folds
        from mf__source s
        join mf__users u on u.id = s.u
        join mf__items i on i.id = s.i
        group by u.code >> 12
    ),
    mf__gathered as materialized (
        select
            g.run,
            sum(
                mf__gather(
                    g.run, b.users, b.items, b.ratings, b.held_out, b.times, b.relevant, b.folds
                )
            )::bigint as n_rows
        from mf__run g cross join mf__batches b
        group by g.run
    ),
    -- what the model of warm_start knows of these users and items
    mf__warm_rows as not materialized (
        select m.*, u.code as mf__code
        from mf__warm m join mf__users u on mf__cast_like(m.user_id, u.id) = u.id
        where m.kind = 'user'
        union all by name
        select m.*, i.code as mf__code
        from mf__warm m join mf__items i on mf__cast_like(m.item_id, i.id) = i.id
        where m.kind = 'item'
    ),
    mf__warm_batches as (
        select
            m.kind,
            list(m.mf__code) as codes,
            list(coalesce(m.ratings, 0)::bigint) as ratings,
            list(coalesce(m.bias, 0)::float) as bias,
            list(m.factors::float[]) as factors,
            list(m.implicit_factors::float[]) as implicit_factors,
            list(m.temporal) as temporal
        from mf__warm_rows m
        group by m.kind, m.mf__code >> 12
    ),
    mf__warmed as materialized (
        select
            coalesce(sum(
                mf__stored(
                    g.run, b.kind, b.codes, b.ratings, b.bias, b.factors, b.implicit_factors,
                    b.temporal, null, null, null
                )
            ), 0)::bigint as n_rows
        from mf__run g cross join mf__warm_batches b
    ),
    mf__training(run, step, log) as (
        select
            g.run,
            0,
            mf__start(
                g.run, g.n_rows,
                (select count(*) from mf__users), (select count(*) from mf__items), w.n_rows
            )
        from mf__gathered g cross join mf__warmed w
        union all
        select t.run, t.step + 1, mf__epoch(t.run)
        from mf__training t
        where case when t.log.error is null then t.log.more else error(t.log.error) end
    ),
    mf__steps as materialized (from mf__training),
    mf__trained as materialized (
        select s.run, max(s.step) as steps from mf__steps s group by s.run
    ),
    mf__user_rows as materialized (
        select u.id, u.code, mf__user_rows(t.run, u.code, t.steps) as user
        from mf__users u cross join mf__trained t
        where has_rows
        order by u.code
    ),
    mf__item_rows as materialized (
        select i.id, i.code, mf__item_rows(t.run, i.code, t.steps) as item
        from mf__items i cross join mf__trained t
        where has_rows
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
    null::double[] as seen_times,
    null::float[] as implicit_factors,
    f.model.temporal as temporal,
    null::integer as epoch,
    null::struct(train_loss double, validation_loss double, seconds double) as metrics,
    null::varchar as source,
    f.model.facts as facts,
    f.model.info::json as info
from mf__finished f
union all
select
    'epoch', null, null, null, null, null, null, null, null, null, null, null, s.log.number,
    {
        'train_loss': s.log.train_loss,
        'validation_loss': s.log.validation_loss,
        'seconds': s.log.seconds
    },
    null, null, null
from mf__steps s cross join mf__finished f
where has_rows and s.log.number is not null and f.model.info is not null
union all
select
    'user', u.id, null, u.code, u.user.ratings, u.user.bias, u.user.factors, u.user.seen,
    u.user.seen_ratings, u.user.seen_times, null, u.user.temporal, null, null, null, null, null
from mf__user_rows u cross join mf__finished f
where f.model.info is not null
union all
select
    'item', null, i.id, i.code, i.item.ratings, i.item.bias, i.item.factors, null,
    null, null, i.item.implicit_factors, i.item.temporal, null, null, null, null, null
from mf__item_rows i cross join mf__finished f
where f.model.info is not null;

comment on macro table mf__learn is 'The statement of every function that trains on a source';

-- mf__options(...): what the options of a training are, as JSON for Python.
create or replace macro mf__options(
    n_factors, epochs, regularization, user_regularization, item_regularization,
    bias_regularization, implicit_regularization, regularization_scaling, learning_rate,
    learning_rate_decay, nonnegative, alpha, unobserved_weight, solver, negative_sampling,
    popularity_exponent, temporal, time_bins, temporal_regularization, drift_exponent,
    validation_fraction, patience, tolerance, relative_tolerance, duplicates, keep_seen, seed,
    threads
) as json_object(
    'n_factors', n_factors, 'epochs', epochs, 'regularization', regularization,
    'user_regularization', user_regularization, 'item_regularization', item_regularization,
    'bias_regularization', bias_regularization, 'implicit_regularization', implicit_regularization,
    'regularization_scaling', regularization_scaling, 'learning_rate', learning_rate,
    'learning_rate_decay', learning_rate_decay, 'nonnegative', nonnegative, 'alpha', alpha,
    'unobserved_weight', unobserved_weight, 'solver', solver,
    'negative_sampling', negative_sampling, 'popularity_exponent', popularity_exponent,
    'temporal', temporal, 'time_bins', time_bins,
    'temporal_regularization', temporal_regularization, 'drift_exponent', drift_exponent,
    'validation_fraction', validation_fraction, 'patience', patience, 'tolerance', tolerance,
    'relative_tolerance', relative_tolerance, 'duplicates', duplicates, 'keep_seen', keep_seen,
    'seed', seed, 'threads', threads
);
comment on macro mf__options is 'The options of a training as JSON';
