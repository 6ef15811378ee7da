-- The ground floor: the words in which the other files are written. None of these macros is stored in a
-- database: `duckmf install`, `duckmf sql` and a duckmf connection write them where they are called.
--
-- A helper is given the name of the function that was called, for its messages. Its parameters stand for
-- values or relations; every column in it is qualified, so that none is taken for a parameter of a caller.
-- Helpers that give rows are sub-queries, not CTEs: a database file may forget that a CTE is not to be
-- materialized, and DuckDB 1.4 takes four times as long to read a statement for every CTE that a CTE is in.
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
    null::float[] as implicit_factors, mf__no_time_terms() as temporal,
    mf__no_uncertainty() as uncertainty, null::varchar as source
where false;
comment on macro table mf__rows is 'The rows of a model with all columns of users and items';

-- The users of a model, or its items, for a function that reads their numbers. That no id is in several rows
-- is asked of the head: mf__head_once.
create or replace macro mf__users_of(model, caller) as table
select m.* replace (mf__factors(caller, m.kind, m.user_id, m.ratings, m.bias, m.factors) as factors)
from mf__rows(model) m
where m.kind = 'user';
comment on macro table mf__users_of is 'The users of a model';

create or replace macro mf__items_of(model, caller) as table
select
    m.* replace (
        mf__factors(caller, m.kind, m.item_id, least(m.ratings, m.code), m.bias, m.factors) as factors
    )
from mf__rows(model) m
where m.kind = 'item';
comment on macro table mf__items_of is 'The items of a model';

-- The factors of a row that is as readers need it, or an error. They are copied: list_dot_product refuses the
-- NULLs of rows that a filter on Parquet has dropped. Whether they are finite is told by scores: mf__is_score.
create or replace macro mf__factors(caller, kind, id, needed, bias, factors) as
    case
        -- without its optimizer DuckDB asks it of rows of other kinds too
        when kind not in ('user', 'item') or mf__is_sound(needed, bias, factors)
            then mf__vector(factors)
        else mf__damaged(caller, kind, id)
    end;
comment on macro mf__factors is 'The factors of a row that is not damaged';

create or replace macro mf__is_sound(needed, bias, factors) as
    needed is not null and isfinite(coalesce(bias, 0)) and list_position(factors, null) is null;
comment on macro mf__is_sound is 'Whether a row has what readers need';

-- Empty where there are none: a NULL list would leave holes that list_dot_product refuses.
create or replace macro mf__vector(factors) as list_concat(factors::float[], []);
comment on macro mf__vector is 'Factors, copied';

create or replace macro mf__damaged(caller, kind, id) as
    error(caller || ': the ' || kind || ' ' || coalesce(id::varchar, 'NULL')
        || ' of this model is damaged. ' || mf__look());
comment on macro mf__damaged is 'An error: a damaged row of a model';

create or replace macro mf__look() as
    'FROM mf_check(model) lists what is wrong with it, and what to do.';
comment on macro mf__look is 'Where damage is explained';

create or replace macro mf__no_time_terms() as null::struct(
    t0 double, t1 double, beta float, drift float,
    days integer[], day_bias float[], bin_bias float[], factor_drift float[]
);
comment on macro mf__no_time_terms is 'The time terms of a row that has none';

-- How sure a model is. Of a user or item: the variances of bias and factors. Of the row of kind 'model':
-- the standard deviation of a rating around its expectation; the range that ratings were taken within; the
-- mean bias of a row without ratings; and the covariances of rows by their number of ratings, of factors and
-- bias, each the lines of a matrix up to its diagonal: of rows without ratings, then the mean of those with
-- 1, 2 to 3, 4 to 7, 8 to 15 ... ratings.
create or replace macro mf__no_uncertainty() as null::struct(
    noise float, low float, high float, user_mean float, item_mean float,
    user_covariances float[][], item_covariances float[][], bias float, factors float[]
);
comment on macro mf__no_uncertainty is 'The uncertainty of a row that has none';

create or replace macro mf__format() as 2;
comment on macro mf__format is 'The format of models that are written and read';

-- The head of a model, one row, or an error where the relation is no model that this duckmf reads: what it
-- says of itself, the global mean mu, the span of time [t0, t1] that it was trained on, and how sure it is:
-- noise, and of a row without ratings the mean bias and the prior, variances of its factors and, last, its
-- bias. `valid` is true; whoever reads the head asks for it, so that the checks are made.
create or replace macro mf__head(model, caller) as table
select
    coalesce(any_value(m.bias), 0)::float as mu, any_value(m.facts) as facts,
    any_value(m.ratings) as ratings,
    (any_value(m.temporal)).t0 as t0, (any_value(m.temporal)).t1 as t1,
    nullif((any_value(m.temporal)).t1 - (any_value(m.temporal)).t0, 0) as span,
    (any_value(m.temporal)).beta::double as beta,
    any_value(m.uncertainty.noise)::double as noise,
    any_value(m.uncertainty.user_mean) as user_mean,
    any_value(m.uncertainty.item_mean) as item_mean,
    mf__diagonal(any_value(m.uncertainty.user_covariances[1])) as user_prior,
    mf__diagonal(any_value(m.uncertainty.item_covariances[1])) as item_prior,
    case
        when count(*) <> 1
            then error(caller || ': this relation is not a model: it has ' || count(*)
                || ' rows of kind ''model'', not 1. Pass a table made by mf_fit.')
        when (any_value(m.facts)).format is null
            then error(caller || ': this model is of format 1, or its column facts is missing. '
                || 'Train it again.')
        when (any_value(m.facts)).format > mf__format()
            then error(caller || ': this model has format ' || (any_value(m.facts)).format
                || ', made by a newer duckmf. Upgrade duckmf.')
        when not isfinite(coalesce(any_value(m.bias), 0))
            then error(caller || ': the global mean of this model is ' || any_value(m.bias)::varchar
                || '. ' || mf__look())
        else true
    end as valid
from (
    from query_table(model)
    union all by name
    select
        null::varchar as kind, null::bigint as ratings, null::float as bias,
        mf__no_time_terms() as temporal, mf__no_uncertainty() as uncertainty,
        mf__no_facts() as facts
    where false
) m
where m.kind = 'model';
comment on macro table mf__head is 'The head of a model, checked';

-- The head of a model in which no user and no item is in several rows, as far as that is asked for.
create or replace macro mf__head_once(model, caller, users, items) as table
select
    h.* replace (
        case
            when h.valid and mf__n_user_ids < mf__n_users
                then mf__repeated(caller, 'user', mf__n_users - mf__n_user_ids, mf__n_users)
            when h.valid and least(mf__n_item_ids, mf__n_item_codes) < mf__n_items
                then mf__repeated(
                    caller, 'item', mf__n_items - least(mf__n_item_ids, mf__n_item_codes), mf__n_items
                )
            else h.valid
        end as valid
    )
-- the names before the head are none that a model has
from mf__ids(model, users, items) mf__n, mf__head(model, caller) h;
comment on macro table mf__head_once is 'The head of a model in which no row stands twice';

-- How many rows of users and items a model has, as far as that is asked for, and how many ids and codes.
create or replace macro mf__ids(model, users, items) as table
select
    count(*) filter (where m.kind = 'user') as mf__n_users,
    count(distinct m.user_id) as mf__n_user_ids,
    count(*) filter (where m.kind = 'item') as mf__n_items,
    count(distinct m.item_id) as mf__n_item_ids,
    count(distinct case when m.kind = 'item' then m.code end) as mf__n_item_codes
from (
    from query_table(model)
    union all by name
    select null::varchar as kind, null as user_id, null as item_id, null::integer as code
    where false
) m
where (users and m.kind = 'user') or (items and m.kind = 'item');
comment on macro table mf__ids is 'How many rows of users and items a model has, and how many ids';

-- An error: so many of all rows of a kind are not the only ones of their ids.
create or replace macro mf__repeated(caller, kind, n, total) as
    error(caller || ': the model has several rows for some of its ' || kind || 's: ' || n || ' of '
        || total || ' have the id or the code of another one. Keep one of each, as MERGE does with what '
        || 'mf_fold_in returns. FROM mf_check(model) lists them.');
comment on macro mf__repeated is 'An error: rows that are not the only ones of their ids';

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
        when (temporal).factor_drift is null then factors
        else list_transform(
            factors::float[],
            lambda p, f: p + mf__dev(t, (temporal).t0, beta) * (temporal).factor_drift[f]
        )
    end::float[];
comment on macro mf__user_factors is 'The factors of a user at a time';

-- <p, q>; 0 where one of them is not there.
create or replace macro mf__dot(caller, p, q) as
    case
        when len(p) = len(q) then list_dot_product(p, q)
        when len(p) > 0 and len(q) > 0
            then error(caller || ': the model has rows with ' || len(p) || ' factors and rows with '
                || len(q) || '. FROM mf_check(model) lists what is wrong with it, and what to do.')
        else 0
    end;
comment on macro mf__dot is 'The inner product of two vectors of factors';

-- mu + b_u + b_i + <p_u, q_i> (Koren, Bell and Volinsky 2009, equation 5); base is mu + b_u.
create or replace macro mf__score(caller, base, bias, p, q) as
    (base + bias + mf__dot(caller, p, q))::float;
comment on macro mf__score is 'The score of an item for a user';

-- Whether a score is a finite number, or an error: NaN would be the best of all, and clipped to a rating.
create or replace macro mf__is_score(caller, score) as
    case
        when isfinite(score) then true
        else error(caller || ': a score is ' || coalesce(score::varchar, 'NULL') || ', no finite '
            || 'number: biases or factors of this model are damaged. ' || mf__look())
    end;
comment on macro mf__is_score is 'Whether a score is a finite number';

-- Whether a row has terms of its own.
create or replace macro mf__is_known(bias, factors) as bias is not null or coalesce(len(factors), 0) > 0;
comment on macro mf__is_known is 'Whether a row has terms of its own';

-- Where the list of a user comes from, of a row of one: 'model', 'content' or 'popular'.
create or replace macro mf__list_source(bias, factors, source, ratings, min_ratings) as
    case
        when not mf__is_known(bias, factors) then 'popular'
        when source = 'content' then 'content'
        when coalesce(ratings, 0) >= coalesce(min_ratings, 1) then 'model'
        else 'popular'
    end;
comment on macro mf__list_source is 'Where the list of a user comes from';

-- What an item is listed by: its score for a user, or in the popular list its training ratings. With a
-- risk, the score less so many standard deviations of the item's part: squares are those of p.
create or replace macro mf__rank_score(
    caller, personal, base, bias, p, q, ratings, risk, squares, bias_variance, variances
) as
    case
        when personal is not true then ratings
        else (
            mf__score(caller, base, bias, p, q) - case
                when risk = 0 then 0::double
                else risk * sqrt((bias_variance + mf__dot(caller, squares, variances))::double)
            end
        )::float
    end;
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
