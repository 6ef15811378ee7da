-- How statements that learn speak to Python: the words of fit.sql, tune.sql, cross_validate.sql, update.sql,
-- fold_in.sql and project.sql. Need a duckmf connection (Python).

-- What goes over ---------------------------------------------------------------------------------------

-- The rows of a source with the caller's ids: user_id, item_id, rating r, time t, and which of the arguments
-- were given. A value that is no number or no time becomes NaN, so that it is counted, never dropped.
--
-- validation  boolean SQL expression: the rows held out, or NULL
-- relevant    boolean SQL expression: the rows that count where lists are judged, or NULL
-- fold        integer SQL expression: the fold of a row, or NULL
create or replace macro mf__ratings_of(
    source, user_id, item_id, rating, ts, validation := null, relevant := null, fold := null
) as table
select
    user_id as user_id,
    item_id as item_id,
    case when rating is not null then coalesce(try_cast(rating as float), 'nan') end as r,
    case when ts is not null then coalesce(mf__seconds(ts), 'nan') end as t,
    validation is true as held_out,
    relevant is true as relevant,
    fold::integer as fold,
    -- false only for an argument left out
    typeof(rating) <> '"NULL"' as has_rating,
    typeof(ts) <> '"NULL"' as has_ts,
    typeof(validation) <> '"NULL"' as has_validation,
    typeof(relevant) <> '"NULL"' as has_relevant,
    typeof(fold) <> '"NULL"' as has_fold
from query_table(source);
comment on macro table mf__ratings_of is 'The rows of a source';

-- What there is to say of such rows; Python refuses them by it.
create or replace macro mf__counts_of(ratings) as table
select
    count(*) as n_rows,
    count(*) - count(s.user_id) as null_users,
    count(*) - count(s.item_id) as null_items,
    count(*) - count(s.r) as null_ratings,
    count(*) filter (where not isfinite(s.r)) as bad_ratings,
    count(*) filter (where s.r < 0) as negative_ratings,
    count(*) - count(s.t) as null_times,
    count(*) filter (where not isfinite(s.t)) as bad_times,
    coalesce(bool_or(s.has_rating), false) as has_rating,
    coalesce(bool_or(s.has_ts), false) as has_ts,
    coalesce(bool_or(s.has_validation), false) as has_validation,
    coalesce(bool_or(s.has_relevant), false) as has_relevant,
    coalesce(bool_or(s.has_fold), false) as has_fold
from query_table(ratings) s;
comment on macro table mf__counts_of is 'What there is to say of the rows of a source';

-- The rows of a relation m, rows of a model, in long lists: a Python call for each vector of rows would cost
-- more than what it is made for. has_seen says whether ratings go along.
create or replace macro mf__lists_of_m(has_seen) as {
    'codes': list(try_cast(m.code as integer)),
    'ratings': list(m.ratings::bigint),
    'bias': list(m.bias::float),
    'factors': list(m.factors::float[]),
    'implicit_factors': list(m.implicit_factors::float[]),
    'temporal': list(m.temporal),
    'seen': list(case when has_seen then m.seen::integer[] end),
    'seen_ratings': list(case when has_seen then m.seen_ratings::float[] end),
    'seen_times': list(case when has_seen then m.seen_times::double[] end)
};
comment on macro mf__lists_of_m is 'The rows of a relation m in long lists';

-- What Python needs of a model whose rows are solved.
create or replace macro mf__learnt(model, caller) as table
select h.mu::double as mu, h.t0, h.t1, h.beta, h.facts, i.info
from mf__head(model, caller) h cross join (
    select any_value(m.info::varchar) as info
    from (
        from query_table(model)
        union all by name
        select null::varchar as kind, null::json as info where false
    ) m
    where m.kind = 'model'
) i
where h.valid;
comment on macro table mf__learnt is 'The head of a model, for Python';

-- The request of a statement: the caller's arguments (asked, JSON), the counts of its source and the head of
-- a model (JSON).
create or replace macro mf__request(caller, asked, counts, model) as
    json_object(
        'function', caller,
        'asked', asked,
        'counts', to_json(counts),
        'model', model,
        'duckdb_threads', current_setting('threads'),
        -- whether DuckDB multiplies and adds in one rounding: lists are those of mf_recommend
        'fused', mf__fused(),
        'connection', current_connection_id(),
        'query', current_query_id()
    )::varchar;
comment on macro mf__request is 'What a statement asks of Python';

-- A value from Python, or the error that came instead.
create or replace macro mf__answer(value, error_text) as
    case when error_text is null then value else error(error_text) end;
comment on macro mf__answer is 'A value from Python, or its error';

-- What comes back --------------------------------------------------------------------------------------

-- An id in the type that the ids of a model have; NULL for a relation without ids, which is no model.
create or replace macro mf__id_like(id, known) as
    case when typeof(known) <> '"NULL"' then mf__cast_like(id, known) end;
comment on macro mf__id_like is 'An id in the type of the ids of a model';

-- The code of an id: its own, or for a new id of a kind what the id makes, so that statements that know
-- nothing of each other give different ids different codes, and one id the same. Where that code is taken,
-- it is one after those of the training.
create or replace macro mf__code(caller, model, kind, known, id) as
    case
        when known is not null then known
        when row_number() over (
            partition by known is null, mf__code_of(id) order by id asc nulls last
        ) = 1 and mf__code_of(id) not in (
            select m.code from query_table(model) m where m.kind = kind and m.code is not null
        )
            then mf__code_of(id)
        else mf__after(
            caller,
            (
                select max(m.code) from query_table(model) m
                where m.kind = kind and m.code < mf__first_made()
            )
        ) + row_number() over (partition by known is null order by id asc nulls last)
    end::integer;
comment on macro mf__code is 'The code of an id, known or new';

-- Codes below it are given in a training, in order; those from it on are made of ids.
create or replace macro mf__first_made() as 1073741824;
comment on macro mf__first_made is 'The first of the codes that are made of ids';

create or replace macro mf__code_of(id) as
    (mf__first_made() + md5_number_lower(id::varchar) % mf__first_made())::integer;
comment on macro mf__code_of is 'The code that an id makes';

-- Codes in groups of a few thousand, however they were made.
create or replace macro mf__group(code) as
    case when code < mf__first_made() then code >> 12 else -1 - (code >> 22) end;
comment on macro mf__group is 'The group of a code';

-- What codes of a training are counted from, where the largest of them is given.
create or replace macro mf__after(caller, largest) as
    case
        when largest > 1000000000
            then error(caller || ': the largest code of the model is ' || largest
                || ', which leaves no room for new ones. Train again.')
        else greatest(coalesce(largest, -1), -1)
    end;
comment on macro mf__after is 'What codes are counted from';

-- The ids of a kind that a model has: code, and in how many rows; id is a column of a relation m.
create or replace macro mf__codes(model, kind, id) as table
select id as id, try_cast(min(m.code) as integer) as code, count(*) as n
from query_table(model) m
where m.kind = kind
group by id;
comment on macro table mf__codes is 'The codes of the ids of a model';

-- Whether an id is in one row of a model, which has a code, or in none; an error if it is otherwise.
create or replace macro mf__one_row(caller, kind, id, n, code) as
    case
        when n > 1
            then error(caller || ': the model has several rows for some of its ' || kind || 's: '
                || coalesce(id::varchar, 'NULL') || ' has ' || n || '. Keep one of each, as MERGE does '
                || 'with what mf_fold_in returns. FROM mf_check(model) lists them.')
        when n = 1 and code is null
            then error(caller || ': the ' || kind || ' ' || id::varchar || ' of this model has no code. '
                || 'Leave the row out, or train again.')
        else true
    end;
comment on macro mf__one_row is 'Whether a model has an id in one row';

-- The rows of a model with the columns that users and items have, of the model's own types.
create or replace macro mf__shape(model) as table
from query_table(model)
union all by name
select
    null as kind, null as user_id, null as item_id, null as code, null as ratings, null as bias,
    null as factors, null as seen, null as seen_ratings, null as seen_times,
    null as implicit_factors, null as temporal, null as source, null as facts, null as info
where false;
comment on macro table mf__shape is 'The rows of a model in its own types';

-- Rows of users and items as rows of a model: with its columns and types, and what else it holds of them.
-- made has columns that mf__rows has; shape is mf__shape of the model, as far as rows take something over.
create or replace macro mf__as_stored(made, shape) as table
select
    m.* replace (
        d.kind as kind,
        mf__cast_like(d.user_id, m.user_id) as user_id,
        mf__cast_like(d.item_id, m.item_id) as item_id,
        mf__cast_like(d.code, m.code) as code,
        mf__cast_like(d.ratings, m.ratings) as ratings,
        mf__cast_like(d.bias, m.bias) as bias,
        mf__cast_like(d.factors, m.factors) as factors,
        mf__cast_like(d.seen, m.seen) as seen,
        mf__cast_like(d.seen_ratings, m.seen_ratings) as seen_ratings,
        mf__cast_like(d.seen_times, m.seen_times) as seen_times,
        mf__cast_like(d.implicit_factors, m.implicit_factors) as implicit_factors,
        mf__cast_like(d.temporal, m.temporal) as temporal,
        mf__cast_like(d.source, m.source) as source
    )
from mf__rows(made) d
    left join query_table(shape) m on m.kind::varchar = d.kind and m.code = d.code;
comment on macro table mf__as_stored is 'Rows of users and items as rows of a model';

-- Runs -------------------------------------------------------------------------------------------------

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
            list(s.r) filter (where s.has_rating) as ratings,
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
    null::integer as epoch,
    null::struct(train_loss double, validation_loss double, seconds double) as metrics,
    null::varchar as source,
    f.model.facts as facts,
    f.model.info::json as info
from mf__finished f
where mf__answer(true, f.model.error)
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
where has_rows and s.log.number is not null and mf__answer(true, f.model.error)
union all
select
    'user', u.id, null, u.code, u.made.ratings, u.made.bias, u.made.factors, u.made.seen,
    u.made.seen_ratings, u.made.seen_times, null, u.made.temporal, null, null, null, null, null
from mf__user_rows u cross join mf__finished f
where mf__answer(true, coalesce(u.made.error, f.model.error))
union all
select
    'item', null, i.id, i.code, i.made.ratings, i.made.bias, i.made.factors, null,
    null, null, i.made.implicit_factors, i.made.temporal, null, null, null, null, null
from mf__item_rows i cross join mf__finished f
where mf__answer(true, coalesce(i.made.error, f.model.error));
comment on macro table mf__run is 'The rows of a model that a run gives';

-- mf__learn: the statement of every function that trains on a source.
--
-- caller         the name of the function that was called: it decides what the run does
-- source, user_id, item_id, rating, ts, validation: as in mf_fit; relevant, fold: as in mf__ratings_of
-- asked          JSON: the other arguments of the caller
-- has_rows       as in mf__run
-- warm_start     a relation made by mf_fit, where the numbers start; 'mf__cold' is none
create or replace macro mf__learn(
    caller, source, user_id, item_id, rating, ts, validation, relevant, fold, asked, has_rows,
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
        any_value(m.info::varchar) filter (where m.kind = 'model') as info
    from mf__warm m
),
mf__ratings as materialized (
    from mf__ratings_of(source, user_id, item_id, rating, ts, validation, relevant, fold)
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
