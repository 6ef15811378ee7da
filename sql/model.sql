-- The ground floor: the words in which the other files are written. None of these macros is stored in a
-- database: `duckmf install`, `duckmf sql` and a duckmf connection write them where they are called.
--
-- A helper is given the name of the function that was called, for its messages. Its parameters stand for
-- values or relations; every column in it is qualified, so that none is taken for a parameter of a caller.
-- Helpers that give rows are sub-queries, not CTEs: a database file may forget that a CTE is not to be
-- materialized.
--
-- A relation of the caller stands first after FROM, or in a CTE of its own: beside a column of its name
-- DuckDB takes it for that column.

-- What a relation must hold --------------------------------------------------------------------------

-- The rows of a model with all columns of users and items; one that the relation lacks is NULL.
create or replace macro mf__rows(model) as table
from query_table(model)
union all by name
select
    null::varchar as kind, null as user_id, null as item_id, null::integer as code,
    null::bigint as ratings, null::float as bias, null::float[] as factors,
    null::integer[] as seen, null::float[] as seen_ratings, null::double[] as seen_times,
    null::float[] as implicit_factors, mf__no_time_terms() as temporal, null::varchar as source
where false;
comment on macro table mf__rows is 'The rows of a model with all columns of users and items';

create or replace macro mf__users_of(model) as table
from mf__rows(model) m where m.kind = 'user';
comment on macro table mf__users_of is 'The users of a model';

create or replace macro mf__items_of(model) as table
from mf__rows(model) m where m.kind = 'item';
comment on macro table mf__items_of is 'The items of a model';

create or replace macro mf__no_time_terms() as null::struct(
    t0 double, t1 double, beta float, drift float,
    days integer[], day_bias float[], bin_bias float[], factor_drift float[]
);
comment on macro mf__no_time_terms is 'The time terms of a row that has none';

create or replace macro mf__format() as 2;
comment on macro mf__format is 'The format of models that are written and read';

-- The head of a model, one row, or an error where the relation is no model that this duckmf reads: what it
-- says of itself, the global mean mu, and the span of time [t0, t1] that it was trained on. `valid` is
-- true; whoever reads the head asks for it, so that the checks are made.
create or replace macro mf__head(model, caller) as table
select
    coalesce(h.bias, 0)::float as mu, h.facts, h.ratings,
    h.temporal.t0 as t0, h.temporal.t1 as t1, nullif(h.temporal.t1 - h.temporal.t0, 0) as span,
    h.temporal.beta::double as beta,
    case
        when h.n <> 1
            then error(caller || ': this relation is not a model: it has ' || h.n
                || ' rows of kind ''model'', not 1. Pass a table made by mf_fit.')
        when h.facts.format is null
            then error(caller || ': this model is of format 1, or its column facts is missing. '
                || 'Train it again.')
        when h.facts.format > mf__format()
            then error(caller || ': this model has format ' || h.facts.format
                || ', made by a newer duckmf. Upgrade duckmf.')
        else true
    end as valid
from (
    select
        count(*) as n, any_value(m.bias) as bias, any_value(m.ratings) as ratings,
        any_value(m.temporal) as temporal, any_value(m.facts) as facts
    from (
        from query_table(model)
        union all by name
        select
            null::varchar as kind, null::bigint as ratings, null::float as bias,
            mf__no_time_terms() as temporal, mf__no_facts() as facts
        where false
    ) m
    where m.kind = 'model'
) h;
comment on macro table mf__head is 'The head of a model, checked';

-- The rows of some kinds, after the check of a head: a relation made from mf__head by the caller. The last
-- row is never there; it makes the check where the model has no row of these kinds.
create or replace macro mf__parts(head, model, kinds) as table
select m.*
from mf__rows(model) m, query_table(head) h
where h.valid and list_contains(kinds, m.kind)
union all by name
select null::varchar as kind from query_table(head) h where not h.valid;
comment on macro table mf__parts is 'The rows of some kinds of a model, checked';

-- What a model says of itself where readers need it: `info` is JSON, which a DuckDB in a browser cannot read.
create or replace macro mf__no_facts() as null::struct(
    format integer, algorithm varchar, feedback varchar, n_factors integer,
    users integer, items integer,
    rating_min float, rating_max float, rating_std double,
    solver varchar, alpha double, unobserved_weight double,
    user_regularization double, bias_regularization double, regularization_scaling double,
    nonnegative boolean,
    loss varchar, epochs integer, best_epoch integer, train_loss double, validation_loss double,
    held_out bigint, duplicates_merged bigint, seconds double, trained_at timestamp,
    options varchar, versions varchar
);
comment on macro mf__no_facts is 'The facts of a row that has none';

-- Times ----------------------------------------------------------------------------------------------

-- A time in seconds since 1970: of a TIMESTAMP with or without a zone, a DATE, or seconds. NULL if it is
-- none of them.
create or replace macro mf__seconds(ts) as
    case
        when typeof(ts) = 'TIMESTAMP WITH TIME ZONE' then epoch(try_cast(ts as timestamptz))
        else coalesce(try_cast(ts as double), epoch(try_cast(ts as timestamp)))
    end;
comment on macro mf__seconds is 'A time in seconds since 1970';

-- Whether ts is a time, or NULL; an error if it is neither.
create or replace macro mf__is_time(caller, ts) as
    case when ts is null or isfinite(mf__seconds(ts)) then true else mf__no_time(caller, ts) end;
comment on macro mf__is_time is 'Whether a value is a time, or NULL';

-- ts in seconds, or an error. The error is a value here, not a condition: DuckDB drops the condition of a
-- value that it knows to be NULL.
create or replace macro mf__time(caller, ts) as
    case
        when ts is null or isfinite(mf__seconds(ts)) then mf__seconds(ts)
        else mf__no_time(caller, ts)
    end;
comment on macro mf__time is 'A time in seconds, or an error';

create or replace macro mf__no_time(caller, ts) as
    error(caller || ': ts is ''' || ts::varchar || ''', which is no time. '
        || 'Give a TIMESTAMP, a DATE or seconds since 1970.');
comment on macro mf__no_time is 'An error: a value that is no time';

-- Seconds as a model of the span [t0, t1] takes them: the end of it for NULL, and its ends beyond them.
create or replace macro mf__within(seconds, t0, t1) as
    least(greatest(coalesce(seconds, t1), t0), t1);
comment on macro mf__within is 'A time within the span of training';

-- The day of a time, counted from 1970.
create or replace macro mf__day(seconds) as try_cast(floor(seconds / 86400) as integer);
comment on macro mf__day is 'The day of a time, counted from 1970';

-- dev_u(t) of Koren 2009: how far t is from the mean of the times of a user, in days^beta; 0 without one.
create or replace macro mf__dev(t, mean, beta) as
    coalesce(sign(t - mean) * (abs(t - mean) / 86400) ^ beta, 0);
comment on macro mf__dev is 'How far a time is from the mean of those of a user';

-- b_i,bin(t) of bins that divide the span from t0 on evenly; 0 without bins.
create or replace macro mf__in_bins(bins, t, t0, span) as
    coalesce(
        bins[1 + least(len(bins) - 1, coalesce(floor(len(bins) * (t - t0) / span), 0))::integer], 0
    );
comment on macro mf__in_bins is 'The bias of the bin that a time is in';

-- b_u,day; 0 on a day without ratings of the user.
create or replace macro mf__on_day(days, day_bias, day) as
    coalesce(day_bias[list_position(days, day)], 0);
comment on macro mf__on_day is 'The bias of a user on a day';

-- Biases, factors and scores -------------------------------------------------------------------------

-- b_u(t), of a row of a user.
create or replace macro mf__user_bias(bias, temporal, t, day, beta) as
    case
        when temporal is null then coalesce(bias, 0)
        else coalesce(bias, 0)
            + coalesce((temporal).drift, 0) * mf__dev(t, (temporal).t0, beta)
            + mf__on_day((temporal).days, (temporal).day_bias, day)
    end::float;
comment on macro mf__user_bias is 'The bias of a user at a time';

-- b_i(t), of a row of an item.
create or replace macro mf__item_bias(bias, temporal, t, t0, span) as
    case
        when temporal is null then coalesce(bias, 0)
        else coalesce(bias, 0) + mf__in_bins((temporal).bin_bias, t, t0, span)
    end::float;
comment on macro mf__item_bias is 'The bias of an item at a time';

-- p_u(t), of a row of a user.
create or replace macro mf__user_factors(factors, temporal, t, beta) as
    case
        when (temporal).factor_drift is null then mf__vector(factors)
        else list_transform(
            factors::float[],
            lambda p, f: p + mf__dev(t, (temporal).t0, beta) * (temporal).factor_drift[f]
        )
    end::float[];
comment on macro mf__user_factors is 'The factors of a user at a time';

-- Factors that list_dot_product takes: it refuses the NULLs of rows that a filter on Parquet has dropped.
create or replace macro mf__vector(factors) as list_concat(factors::float[], []);
comment on macro mf__vector is 'Factors, copied';

-- <p, q>; 0 where one of them is not there.
create or replace macro mf__dot(p, q) as
    case when len(p) > 0 and len(q) > 0 then list_dot_product(p, q) else 0 end;
comment on macro mf__dot is 'The inner product of two vectors of factors';

-- mu + b_u + b_i + <p_u, q_i> (Koren, Bell and Volinsky 2009, equation 5); base is mu + b_u.
create or replace macro mf__score(base, bias, p, q) as (base + bias + mf__dot(p, q))::float;
comment on macro mf__score is 'The score of an item for a user';

-- Where the list of a user comes from, of a row of one: 'model', 'content' or 'popular'.
create or replace macro mf__list_source(bias, factors, source, ratings, min_ratings) as
    case
        when bias is null and factors is null then 'popular'
        when source = 'content' then 'content'
        when coalesce(ratings, 0) >= coalesce(min_ratings, 1) then 'model'
        else 'popular'
    end;
comment on macro mf__list_source is 'Where the list of a user comes from';

-- What an item is listed by: its score for a user, or in the popular list its training ratings.
create or replace macro mf__rank_score(personal, base, bias, p, q, ratings) as
    case when personal then mf__score(base, bias, p, q) else ratings end;
comment on macro mf__rank_score is 'What an item is listed by';

-- A prediction within the range of ratings, where it has one; least and greatest would take five times
-- as long.
create or replace macro mf__clipped(score, lowest, highest) as
    case when score < lowest then lowest when score > highest then highest else score end;
comment on macro mf__clipped is 'A prediction within the range of ratings';

-- Whether DuckDB multiplies and adds in one rounding here: kernels that make the same lists do as it does.
create or replace macro mf__fused() as
    list_dot_product([-1.00048828125, 1.000244140625]::float[], [1, 1.000244140625]::float[]) <> 0;
comment on macro mf__fused is 'Whether DuckDB multiplies and adds in one rounding';

-- Arguments ------------------------------------------------------------------------------------------

-- k, the length of a list, or an error.
create or replace macro mf__k(caller, k) as
    case
        when coalesce(k not between 1 and 100000, true)
            then error(caller || ': k is ' || coalesce(k::varchar, 'NULL')
                || '. Give the length of a list, from 1 to 100000.')
        else k::bigint
    end;
comment on macro mf__k is 'The length of a list, refused where it is none';

-- A value in the type of an example. The structs around them let a column that is missing in the model,
-- and so has no type, pass until it is said that the relation is no model.
create or replace macro mf__cast_like(value, example) as
    cast_to_type({'v': value}, {'v': example}).v;
comment on macro mf__cast_like is 'A value in the type of an example';
