-- mf_evaluate(model, test, user_id, item_id, rating, ts := NULL)
--
-- How far a model's predictions are from known ratings. Plain SQL; needs no Python.
--
--   from mf_evaluate(films, held_out, user_id, movie_id, rating);
--
-- Returns one row, where e = rating - prediction, with the clipped prediction of mf_predict:
--   rmse, mae, mse         sqrt(mean(e^2)), mean(|e|), mean(e^2)
--   median_absolute_error  median(|e|)
--   r2                     1 - mean(e^2) / var(rating)
--   explained_variance     1 - var(e) / var(rating)
--   n, users, items        rows, and distinct users and items, of test
--   cold_users             users of test without training ratings; cold_items likewise
--   cold_pairs             rows of test whose user or item is cold
-- The variances are those of the population, and the measures those of scikit-learn, except that r2
-- and explained_variance are NULL where all ratings are equal.
--
-- model                     a relation made by mf_fit on explicit ratings
-- test                      a table, view or CTE with at least one row
-- user_id, item_id, rating  expressions over the columns of test; a NULL id is an unknown id, and
--                           each rating is finite
-- ts                        the time of the rating, an expression too: a TIMESTAMP with or without
--                           zone, a DATE, or seconds since 1970, never NULL. Left out, all ratings
--                           are predicted for the end of the time that the model was trained on. A
--                           model without time terms predicts the same at any time

create or replace macro mf_evaluate(model, test, user_id, item_id, rating, ts := null) as table
from (
    with
    mf__test as not materialized (
        select
            user_id as mf__user, item_id as mf__item, rating::double as mf__rating,
            case
                when ts is null then null
                when typeof(ts) = 'TIMESTAMP WITH TIME ZONE' then epoch(try_cast(ts as timestamptz))
                else coalesce(try_cast(ts as double), epoch(try_cast(ts as timestamp)))
            end as mf__ts,
            typeof(ts) <> '"NULL"' and ts is null as mf__no_ts,
            ts is not null and isfinite(mf__ts) is not true as mf__bad_ts
        from query_table(test)
    ),
    mf__model as not materialized (
        from query_table(model)
        union all by name
        select
            null::varchar as kind, null as user_id, null as item_id, null as ratings,
            null as bias, null as factors,
            null::struct(
                t0 double, t1 double, beta float, drift float,
                days integer[], day_bias float[], bin_bias float[], factor_drift float[]
            ) as temporal,
            null as info
        where false
    ),
    head as not materialized (
        select
            coalesce(any_value(m.bias), 0) as mu,
            any_value((m.info ->> 'rating_min')::float) as rating_min,
            any_value((m.info ->> 'rating_max')::float) as rating_max,
            any_value(m.temporal.t0) as t0, any_value(m.temporal.t1) as t1,
            nullif(any_value(m.temporal.t1) - any_value(m.temporal.t0), 0) as span,
            any_value(m.temporal.beta)::double as beta,
            case
                when count(*) <> 1
                    then error('mf_evaluate: this relation is not a model: it has ' || count(*)
                        || ' rows of kind ''model'', not 1. Pass a table made by mf_fit.')
                when any_value(m.info ->> 'format')::integer > 1
                    then error('mf_evaluate: this model has format '
                        || any_value(m.info ->> 'format')
                        || ', made by a newer duckmf. Upgrade duckmf.')
                when any_value(m.info ->> 'feedback') = 'implicit'
                    then error('mf_evaluate: this model was trained on implicit feedback and '
                        || 'predicts no ratings. Evaluate its ranking instead.')
                else true
            end as valid
        from mf__model m
        where m.kind = 'model'
    ),
    users as not materialized (
        select
            m.user_id, m.ratings, m.bias,
            list_concat(m.factors::float[], []) as factors
        from mf__model m
        where m.kind = 'user'
    ),
    items as not materialized (
        select
            m.item_id, m.ratings, m.bias,
            list_concat(m.factors::float[], []) as factors
        from mf__model m
        where m.kind = 'item'
    ),
    -- joined on their own, so that a model without time terms does not carry them along
    user_times as not materialized (
        select
            m.user_id, m.temporal.t0 as mean, m.temporal.drift,
            list_concat(m.temporal.factor_drift, []) as factor_drift,
            m.temporal.days, m.temporal.day_bias
        from mf__model m
        where m.kind = 'user' and m.temporal is not null
    ),
    item_times as not materialized (
        select m.item_id, m.temporal.bin_bias
        from mf__model m
        where m.kind = 'item' and m.temporal is not null
    ),
    scored as not materialized (
        select
            t.mf__user as u, t.mf__item as i, t.mf__rating as given,
            t.mf__no_ts as no_ts, t.mf__bad_ts as bad_ts,
            case when isfinite(t.mf__rating) then t.mf__rating end as r,
            least(greatest(coalesce(t.mf__ts, h.t1), h.t0), h.t1) as mf__near,
            case
                when h.t1 is null then 0
                else coalesce(
                    b.bin_bias[
                        1 + least(
                            len(b.bin_bias) - 1,
                            coalesce(floor(len(b.bin_bias) * (mf__near - h.t0) / h.span), 0)
                        )::integer
                    ],
                    0
                ) + coalesce(
                    d.day_bias[
                        list_position(
                            d.days, try_cast(floor(coalesce(t.mf__ts, h.t1) / 86400) as integer)
                        )
                    ],
                    0
                ) + coalesce(
                    sign(mf__near - d.mean) * (abs(mf__near - d.mean) / 86400) ^ h.beta
                        * (coalesce(d.drift, 0)
                            + case
                                when len(d.factor_drift) > 0 and len(i.factors) > 0
                                    then list_dot_product(d.factor_drift, i.factors)
                                else 0
                            end),
                    0
                )
            end as mf__terms,
            r - least(
                greatest(
                    (h.mu + coalesce(u.bias, 0) + coalesce(i.bias, 0)
                        + case
                            when len(u.factors) > 0 and len(i.factors) > 0
                                then list_dot_product(u.factors, i.factors)
                            else 0
                        end + mf__terms)::float,
                    h.rating_min
                ),
                h.rating_max
            ) as e,
            coalesce(u.ratings, 0) = 0 as cold_user,
            coalesce(i.ratings, 0) = 0 as cold_item
        from mf__test t
            left join users u on u.user_id = t.mf__user
            left join items i on i.item_id = t.mf__item
            left join user_times d on d.user_id = t.mf__user
            left join item_times b on b.item_id = t.mf__item
            cross join head h
    ),
    totals as not materialized (
        select
            avg(s.e * s.e) as mse, avg(abs(s.e)) as mae, median(abs(s.e)) as median_error,
            var_pop(s.e) as var_e, nullif(var_pop(s.r), 0) as var_r,
            count(*) as n,
            count(*) filter (where s.given is null) as nulls,
            count(*) filter (where not isfinite(s.given)) as infinite,
            count(*) filter (where s.no_ts) as no_times,
            count(*) filter (where s.bad_ts) as bad_times,
            count(distinct s.u) as users, count(distinct s.i) as items,
            count(distinct s.u) filter (where s.cold_user) as cold_users,
            count(distinct s.i) filter (where s.cold_item) as cold_items,
            count(*) filter (where s.cold_user or s.cold_item) as cold_pairs
        from scored s
    )
    select
        sqrt(t.mse) as rmse, t.mae, t.mse, t.median_error as median_absolute_error,
        1 - t.mse / t.var_r as r2, 1 - t.var_e / t.var_r as explained_variance,
        t.n, t.users, t.items, t.cold_users, t.cold_items, t.cold_pairs
    from totals t, head h
    where h.valid
        and case
            when t.n = 0
                then error('mf_evaluate: test has no rows. Give the rows that were held out.')
            when t.nulls > 0
                then error('mf_evaluate: rating is NULL in ' || t.nulls || ' of ' || t.n
                    || ' rows. Add WHERE rating IS NOT NULL to test.')
            when t.infinite > 0
                then error('mf_evaluate: rating is NaN or infinite in ' || t.infinite || ' of '
                    || t.n || ' rows. Add WHERE isfinite(rating) to test.')
            when t.no_times > 0
                then error('mf_evaluate: ts is NULL in ' || t.no_times || ' of ' || t.n
                    || ' rows. Add WHERE ... IS NOT NULL to test.')
            when t.bad_times > 0
                then error('mf_evaluate: ts is no time in ' || t.bad_times || ' of ' || t.n
                    || ' rows. Give a TIMESTAMP, a DATE or seconds since 1970.')
            else true
        end
);
comment on macro table mf_evaluate is 'How far the predictions of a model are from known ratings';
