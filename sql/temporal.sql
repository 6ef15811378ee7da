-- The time terms of a model as tables: mf_item_bias_over_time(model), mf_user_drift(model) and
-- mf_user_bias_on(model, ts). Plain SQL; needs no Python.
--
--   from mf_item_bias_over_time(films) where item_id = 318;
--
-- A model with time terms (Koren 2009, "Collaborative filtering with temporal dynamics") predicts
--   r(u, i, t) = mu + b_u(t) + b_i(t) + <p_u(t), q_i>
--   b_i(t) = b_i + b_i,bin(t)                  bins that divide the trained span [t0, t1] evenly
--   b_u(t) = b_u + a_u dev_u(t) + b_u,day(t)   b_u,day is 0 on a day without ratings of the user
--   p_u(t) = p_u + a_u,f dev_u(t)              for each factor f
--   dev_u(t) = sign(t - t_u) |t - t_u|^beta    in days^beta; t_u is the mean time of u's ratings
-- A t before t0 or after t1 counts as t0 or t1, except for the day, of which the user has no term
-- then. Times are UTC and days are UTC days. Terms that a model was trained without are zero.
--
-- mf_predict, mf_recommend, mf_evaluate and mf_evaluate_ranking take t as ts and use the formula.
--
-- mf_item_bias_over_time(model)
--
-- Returns a row for each item and bin, ordered by both:
--   item_id           the id as it was trained on
--   from, to TIMESTAMP  the bin: from <= t < to; the last one includes its end, t1. In one bin for
--                     the whole span, where the model has no bins ("from" is to be quoted in SQL)
--   bias FLOAT        b_i(t), in ratings: what the item gets above mu in that time
--
-- model  a relation made by mf_fit with time terms

create or replace macro mf_item_bias_over_time(model) as table
from (
    with
    rows as not materialized (
        from query_table(model)
        union all by name
        select
            null::varchar as kind, null as item_id, null as bias,
            null::struct(
                t0 double, t1 double, beta float, drift float,
                days integer[], day_bias float[], bin_bias float[], factor_drift float[]
            ) as temporal,
            null as info
        where false
    ),
    head as not materialized (
        select
            any_value(m.temporal.t0) as t0, any_value(m.temporal.t1) as t1,
            case
                when count(*) <> 1
                    then error('mf_item_bias_over_time: this relation is not a model: it has '
                        || count(*) || ' rows of kind ''model'', not 1. '
                        || 'Pass a table made by mf_fit.')
                when any_value(m.info ->> 'format')::integer > 1
                    then error('mf_item_bias_over_time: this model has format '
                        || any_value(m.info ->> 'format')
                        || ', made by a newer duckmf. Upgrade duckmf.')
                when any_value(m.temporal.t1) is null
                    then error('mf_item_bias_over_time: this model has no time terms. '
                        || 'Train with ts and temporal, or with algorithm ''timesvdpp''.')
                else true
            end as valid
        from rows m
        where m.kind = 'model'
    ),
    items as not materialized (
        select
            m.item_id, coalesce(m.bias, 0)::float as bias,
            coalesce(m.temporal.bin_bias, [0]::float[]) as bins
        from rows m
        where m.kind = 'item'
    ),
    terms as not materialized (
        select
            i.item_id, i.bias, len(i.bins) as n,
            unnest(i.bins) as term, generate_subscripts(i.bins, 1) as bin
        from items i
    )
    select
        b.item_id,
        make_timestamp((1e6 * (h.t0 + (b.bin - 1) * (h.t1 - h.t0) / b.n))::bigint) as "from",
        make_timestamp((1e6 * (h.t0 + b.bin * (h.t1 - h.t0) / b.n))::bigint) as "to",
        b.bias + b.term as bias
    from terms b, head h
    where h.valid
    union all
    select null, null, null, null from head h where not h.valid
    order by 1, 2
);
comment on macro table mf_item_bias_over_time is 'The bias of each item in each span of time';

-- mf_user_drift(model)
--
-- How users change. Returns a row for each user, ordered by user_id:
--   user_id               the id as it was trained on
--   mean_time TIMESTAMP   t_u
--   bias FLOAT            b_u, the bias at t_u but for the term of that day
--   drift FLOAT           a_u, in ratings per day^beta: b_u(t) moves by drift * dev_u(t)
--   beta FLOAT            the exponent, the same for all users
--   factor_drift FLOAT[]  a_u,f, which p_u(t) moves by, per day^beta
--   days STRUCT(day DATE, bias FLOAT)[]  the days on which the user rated, with b_u,day, in order
-- What the model was trained without is NULL.
--
-- model  a relation made by mf_fit with time terms

create or replace macro mf_user_drift(model) as table
from (
    with
    rows as not materialized (
        from query_table(model)
        union all by name
        select
            null::varchar as kind, null as user_id, null as bias,
            null::struct(
                t0 double, t1 double, beta float, drift float,
                days integer[], day_bias float[], bin_bias float[], factor_drift float[]
            ) as temporal,
            null as info
        where false
    ),
    head as not materialized (
        select
            any_value(m.temporal.beta) as beta,
            case
                when count(*) <> 1
                    then error('mf_user_drift: this relation is not a model: it has ' || count(*)
                        || ' rows of kind ''model'', not 1. Pass a table made by mf_fit.')
                when any_value(m.info ->> 'format')::integer > 1
                    then error('mf_user_drift: this model has format '
                        || any_value(m.info ->> 'format')
                        || ', made by a newer duckmf. Upgrade duckmf.')
                when any_value(m.temporal.t1) is null
                    then error('mf_user_drift: this model has no time terms. '
                        || 'Train with ts and temporal, or with algorithm ''timesvdpp''.')
                else true
            end as valid
        from rows m
        where m.kind = 'model'
    )
    select
        m.user_id,
        make_timestamp((1e6 * m.temporal.t0)::bigint) as mean_time,
        m.bias::float as bias, m.temporal.drift, h.beta, m.temporal.factor_drift,
        list_transform(
            m.temporal.days,
            lambda day, place: struct_pack(
                day := date '1970-01-01' + day, bias := m.temporal.day_bias[place]
            )
        ) as days
    from rows m, head h
    where h.valid and m.kind = 'user'
    union all
    select null, null, null, null, null, null, null from head h where not h.valid
    order by 1
);
comment on macro table mf_user_drift is 'How the bias and the factors of each user move with time';

-- mf_user_bias_on(model, ts)
--
-- The bias of each user at one time. Returns a row for each user, ordered by user_id:
--   user_id     the id as it was trained on
--   bias FLOAT  b_u(ts), in ratings
--
-- model  a relation made by mf_fit; without time terms, the biases are the same at any time
-- ts     a TIMESTAMP with or without zone, a DATE, or seconds since 1970; NULL is the end of the
--        time that the model was trained on

create or replace macro mf_user_bias_on(model, ts) as table
from (
    with
    rows as not materialized (
        from query_table(model)
        union all by name
        select
            null::varchar as kind, null as user_id, null as bias,
            null::struct(
                t0 double, t1 double, beta float, drift float,
                days integer[], day_bias float[], bin_bias float[], factor_drift float[]
            ) as temporal,
            null as info
        where false
    ),
    head as not materialized (
        select
            least(greatest(coalesce(h.seconds, h.t1), h.t0), h.t1) as t, h.beta,
            try_cast(floor(coalesce(h.seconds, h.t1) / 86400) as integer) as day,
            case
                when ts is null or isfinite(h.seconds) then h.valid
                else error('mf_user_bias_on: ts is ''' || ts::varchar || ''', which is no time. '
                    || 'Give a TIMESTAMP, a DATE or seconds since 1970.')
            end as valid
        from (
            select
                any_value(m.temporal.t0) as t0, any_value(m.temporal.t1) as t1,
                any_value(m.temporal.beta)::double as beta,
                case
                    when typeof(ts) = 'TIMESTAMP WITH TIME ZONE'
                        then epoch(try_cast(ts as timestamptz))
                    else coalesce(try_cast(ts as double), epoch(try_cast(ts as timestamp)))
                end as seconds,
                case
                    when count(*) <> 1
                        then error('mf_user_bias_on: this relation is not a model: it has '
                            || count(*) || ' rows of kind ''model'', not 1. '
                            || 'Pass a table made by mf_fit.')
                    when any_value(m.info ->> 'format')::integer > 1
                        then error('mf_user_bias_on: this model has format '
                            || any_value(m.info ->> 'format')
                            || ', made by a newer duckmf. Upgrade duckmf.')
                    else true
                end as valid
            from rows m
            where m.kind = 'model'
        ) h
    )
    select
        m.user_id,
        (m.bias + coalesce(
            m.temporal.drift * sign(h.t - m.temporal.t0)
                * (abs(h.t - m.temporal.t0) / 86400) ^ h.beta,
            0
        ) + coalesce(m.temporal.day_bias[list_position(m.temporal.days, h.day)], 0))::float as bias
    from rows m, head h
    where h.valid and m.kind = 'user'
    union all
    select null, null from head h where not h.valid
    order by 1
);
comment on macro table mf_user_bias_on is 'The bias of each user at one time';
