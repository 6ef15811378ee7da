-- How statements that learn run: a training called epoch by epoch, and what it makes as the rows of a model. In the
-- words of learn.sql, for fit.sql, tune.sql, cross_validate.sql and update.sql. Needs a duckmf connection (Python).

-- mf__run: gathers the rows of a source in codes, begins a run, calls it epoch by epoch and gives back the
-- rows of a model with the caller's ids.
--
-- asked    one row: the request
-- ratings  the rows of a source (mf__ratings_of)
-- users, items  id and code of all ids of the source
-- stored   rows of a model that the run begins with: kind, lists (mf__lists_of_m)
-- has_rows false leaves out all rows but that of kind 'model', whose info has the outcome
create or replace macro mf__run(asked, ratings, users, items, stored, has_rows) as table
with recursive
    -- the last argument of some functions is what they have to wait for: ids that are refused are so before
    -- there is a run
    mf__begun as materialized (
        select
            mf__begin(
                a.request,
                (select count(*) from query_table(users)) + (select count(*) from query_table(items))
            ) as begun
        from query_table(asked) a
    ),
    mf__number as materialized (
        select mf__answer(b.begun.run, b.begun.error) as run from mf__begun b
    ),
    mf__lists as (
        select
            list(u.code) as users,
            list(i.code) as items,
            list(try_cast(s.r as float)) filter (where s.has_rating) as ratings,
            list(s.held_out) filter (where s.has_validation) as held_out,
            list(s.t) filter (where s.has_ts) as times,
            list(s.relevant) filter (where s.has_relevant) as relevant,
            list(s.fold) filter (where s.has_fold) as folds
        from query_table(ratings) s
        join query_table(users) u on u.id = s.user_id
        join query_table(items) i on i.id = s.item_id
        group by mf__group(u.code)
    ),
    mf__gathered as materialized (
        select
            n.run,
            sum(mf__answer(n.taken.n, n.taken.error))::bigint as n_rows
        from (
            select
                n.run,
                mf__gather(
                    n.run, l.users, l.items, l.ratings, l.held_out, l.times, l.relevant, l.folds
                ) as taken
            from mf__number n cross join mf__lists l
        ) n
        group by n.run
    ),
    mf__known as materialized (
        select coalesce(sum(mf__answer(n.taken.n, n.taken.error)), 0)::bigint as n_rows
        from (
            select mf__stored(n.run, b.kind, b.lists) as taken
            from mf__number n cross join query_table(stored) b
        ) n
    ),
    mf__training(run, step, log) as (
        select
            g.run, 0,
            mf__start(
                g.run, g.n_rows,
                (select count(*) from query_table(users)), (select count(*) from query_table(items)),
                w.n_rows
            )
        from mf__gathered g cross join mf__known w
        union all
        select t.run, t.step + 1, mf__epoch(t.run)
        from mf__training t
        where mf__answer(t.log.more, t.log.error)
    ),
    mf__steps as materialized (from mf__training),
    mf__trained as materialized (
        select s.run, max(s.step) as steps from mf__steps s group by s.run
    ),
    mf__user_rows as materialized (
        select u.id, u.code, mf__user_rows(t.run, u.code, t.steps) as made
        from query_table(users) u cross join mf__trained t
        where has_rows
        order by u.code asc nulls last
    ),
    mf__item_rows as materialized (
        select i.id, i.code, mf__item_rows(t.run, i.code, t.steps) as made
        from query_table(items) i cross join mf__trained t
        where has_rows
        order by i.code asc nulls last
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
    f.model.uncertainty as uncertainty,
    null::integer as epoch,
    null::struct(train_loss double, validation_loss double, seconds double) as metrics,
    null::varchar as source,
    f.model.facts as facts,
    f.model.info::json as info
from mf__finished f
where mf__answer(true, f.model.error)
union all
select
    'epoch', null, null, null, null, null, null, null, null, null, null, null, null, s.log.number,
    {
        'train_loss': s.log.train_loss,
        'validation_loss': s.log.validation_loss,
        'seconds': s.log.seconds
    },
    null, null, null
from mf__steps s cross join mf__finished f
where has_rows and s.log.number is not null and mf__answer(true, f.model.error)
union all
select
    'user', u.id, null, u.code, u.made.ratings, u.made.bias, u.made.factors, u.made.seen,
    u.made.seen_ratings, u.made.seen_times, null, u.made.temporal, u.made.uncertainty, null, null,
    null, null, null
from mf__user_rows u cross join mf__finished f
where mf__answer(true, coalesce(u.made.error, f.model.error))
union all
select
    'item', null, i.id, i.code, i.made.ratings, i.made.bias, i.made.factors, null,
    null, null, i.made.implicit_factors, i.made.temporal, i.made.uncertainty, null, null,
    null, null, null
from mf__item_rows i cross join mf__finished f
where mf__answer(true, coalesce(i.made.error, f.model.error));
comment on macro table mf__run is 'The rows of a model that a run gives';

-- mf__learn: the statement of every function that trains on a source.
--
-- caller         the name of the function that was called: it decides what the run does
-- source, user_id, item_id, rating, ts, strength, validation: as in mf_fit; relevant, fold: as in mf__ratings_of
-- asked          JSON: the other arguments of the caller
-- has_rows       as in mf__run
-- warm_start     a relation made by mf_fit, where the numbers start; 'mf__cold' is none
create or replace macro mf__learn(
    caller, source, user_id, item_id, rating, ts, strength, validation, relevant, fold, asked, has_rows,
    warm_start := 'mf__cold'
) as table
with
mf__cold as (select 'none' as kind),
mf__warm as not materialized (
    from mf__rows(warm_start)
    union all by name
    select mf__no_facts() as facts, null::json as info where false
),
mf__warm_head as not materialized (
    select
        count(*) filter (where m.kind = 'model') as rows,
        count(*) filter (where m.kind = 'none') as colds,
        coalesce(any_value(m.bias::double) filter (where m.kind = 'model'), 0) as mu,
        any_value(m.facts.format) filter (where m.kind = 'model') as format,
        any_value(m.info::varchar) filter (where m.kind = 'model') as info,
        any_value(m.uncertainty) filter (where m.kind = 'model') as uncertainty
    from mf__warm m
),
mf__ratings as materialized (
    from mf__ratings_of(
        source, user_id, item_id, rating, ts, strength, validation, relevant, fold
    )
),
mf__asked as (
    select
        mf__request(caller, asked, c, case when h.colds = 0 then to_json(h) end) as request
    from mf__counts_of(mf__ratings) c cross join mf__warm_head h
),
mf__users as materialized (
    select d.id, (row_number() over (order by d.id asc nulls last) - 1)::integer as code
    from (select distinct s.user_id as id from mf__ratings s) d
),
mf__items as materialized (
    select d.id, (row_number() over (order by d.id asc nulls last) - 1)::integer as code
    from (select distinct s.item_id as id from mf__ratings s) d
),
-- what the model of warm_start knows of these users and items, by their codes here
mf__warm_rows as not materialized (
    select m.* replace (u.code as code)
    from mf__warm m join mf__users u on mf__cast_like(m.user_id, u.id) = u.id
    where m.kind = 'user'
    union all by name
    select m.* replace (i.code as code)
    from mf__warm m join mf__items i on mf__cast_like(m.item_id, i.id) = i.id
    where m.kind = 'item'
),
mf__stored as (
    select m.kind::varchar as kind, mf__lists_of_m(false) as lists
    from mf__warm_rows m
    group by m.kind, m.code >> 12
)
from mf__run(mf__asked, mf__ratings, mf__users, mf__items, mf__stored, has_rows);
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
