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

-- mf__changing(model, caller): the head of a model with time terms.
create or replace macro mf__changing(model, caller) as table
select
    h.* replace (
        case
            when h.valid and h.t1 is null
                then error(caller || ': this model has no time terms. '
                    || 'Train with ts and temporal, or with algorithm ''timesvdpp''.')
            else h.valid
        end as valid
    )
from mf__head_once(model, caller, true, true) h;
comment on macro table mf__changing is 'The head of a model with time terms';

create or replace macro mf_item_bias_over_time(model) as table
from (
    with
    mf__head as materialized (from mf__changing(model, 'mf_item_bias_over_time')),
    mf__terms as (
        select
            m.item_id, coalesce(m.bias, 0)::float as bias,
            coalesce(m.temporal.bin_bias, [0]::float[]) as bins, len(bins) as n,
            unnest(bins) as term, generate_subscripts(bins, 1) as bin
        from mf__parts(mf__head, model, ['item']) m
    )
    select
        b.item_id,
        make_timestamp((1e6 * (h.t0 + (b.bin - 1) * (h.t1 - h.t0) / b.n))::bigint) as "from",
        make_timestamp((1e6 * (h.t0 + b.bin * (h.t1 - h.t0) / b.n))::bigint) as "to",
        b.bias + b.term as bias
    from mf__terms b, mf__head h
    order by 1 asc nulls last, 2 asc nulls last
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
    with mf__head as materialized (from mf__changing(model, 'mf_user_drift'))
    select
        m.user_id, make_timestamp((1e6 * m.temporal.t0)::bigint) as mean_time, m.bias,
        m.temporal.drift, h.beta::float as beta, m.temporal.factor_drift,
        list_transform(
            m.temporal.days,
            lambda day, place: struct_pack(
                day := date '1970-01-01' + day, bias := m.temporal.day_bias[place]
            )
        ) as days
    from mf__parts(mf__head, model, ['user']) m, mf__head h
    order by 1 asc nulls last
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
    mf__head as materialized (
        select
            h.beta, mf__within(mf__seconds(ts), h.t0, h.t1) as t,
            mf__day(coalesce(mf__seconds(ts), h.t1)) as day,
            h.valid and mf__is_time('mf_user_bias_on', ts) as valid
        from mf__head_once(model, 'mf_user_bias_on', true, true) h
    )
    select m.user_id, mf__user_bias(m.bias, m.temporal, h.t, h.day, h.beta) as bias
    from mf__parts(mf__head, model, ['user']) m, mf__head h
    order by 1 asc nulls last
);
comment on macro table mf_user_bias_on is 'The bias of each user at one time';
