-- How statements that learn speak to Python: the words of fit.sql, tune.sql, cross_validate.sql, update.sql,
-- fold_in.sql and project.sql. Need a duckmf connection (Python).

-- What goes over ---------------------------------------------------------------------------------------

-- The rows of a source with the caller's ids: user_id, item_id, rating or strength r, time t, and which of the
-- arguments were given. A value that is no number or no time becomes NaN, so that it is counted, never dropped.
--
-- validation  boolean SQL expression: the rows held out, or NULL
-- relevant    boolean SQL expression: the rows that count where lists are judged, or NULL
-- fold        integer SQL expression: the fold of a row, or NULL
create or replace macro mf__ratings_of(
    source, user_id, item_id, rating, ts, strength,
    validation := null, relevant := null, fold := null
) as table
select
    user_id as user_id,
    item_id as item_id,
    case
        when rating is not null then coalesce(try_cast(rating as double), 'nan')
        when strength is not null then coalesce(try_cast(strength as double), 'nan')
    end as r,
    case when ts is not null then coalesce(mf__seconds(ts), 'nan') end as t,
    validation is true as held_out,
    relevant is true as relevant,
    fold::integer as fold,
    -- false only for an argument left out
    typeof(rating) <> '"NULL"' or typeof(strength) <> '"NULL"' as has_rating,
    typeof(strength) <> '"NULL"' as has_strength,
    typeof(rating) <> '"NULL"' and typeof(strength) <> '"NULL"' as has_both,
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
    count(s.r) filter (where not coalesce(isfinite(try_cast(s.r as float)), false)) as bad_ratings,
    count(*) filter (where s.r < 0) as negative_ratings,
    max(abs(s.r)) filter (where isfinite(try_cast(s.r as float))) as largest_rating,
    stddev_pop(s.r) filter (where isfinite(try_cast(s.r as float))) as ratings_std,
    count(*) - count(s.t) as null_times,
    count(*) filter (where not isfinite(s.t)) as bad_times,
    coalesce(bool_or(s.has_rating), false) as has_rating,
    coalesce(bool_or(s.has_strength), false) as has_strength,
    coalesce(bool_or(s.has_both), false) as has_both,
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
select h.mu::double as mu, h.t0, h.t1, h.beta, h.facts, i.info, i.uncertainty
from mf__head(model, caller) h cross join (
    select any_value(m.info::varchar) as info, any_value(m.uncertainty) as uncertainty
    from (
        from query_table(model)
        union all by name
        select
            null::varchar as kind, mf__no_uncertainty() as uncertainty, null::json as info
        where false
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
    null as implicit_factors, null as temporal, null as uncertainty, null as source,
    null as facts, null as info
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
        mf__cast_like(d.uncertainty, m.uncertainty) as uncertainty,
        mf__cast_like(d.source, m.source) as source
    )
from mf__rows(made) d
    left join query_table(shape) m on m.kind::varchar = d.kind and m.code = d.code;
comment on macro table mf__as_stored is 'Rows of users and items as rows of a model';
