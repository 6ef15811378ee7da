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
--   log_likelihood         of a model with uncertainty (algorithm 'bayes'), else NULL: the mean of
--                          ln N(rating; prediction, s^2), the prediction not clipped, s as in
--                          mf_predict
--   coverage               likewise: the share of ratings within the interval of 90 % of mf_predict
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
            mf__seconds(ts) as mf__ts,
            typeof(ts) <> '"NULL"' and ts is null as mf__no_ts,
            ts is not null and isfinite(mf__ts) is not true as mf__bad_ts
        from query_table(test)
    ),
    mf__head as (
        select
            h.* replace (
                case
                    when h.valid and h.feedback = 'implicit'
                        then error('mf_evaluate: this model was trained on implicit feedback and '
                            || 'predicts no ratings. Evaluate its ranking instead.')
                    else h.valid
                end as valid
            )
        from mf__predicting(model, 'mf_evaluate', true) h
    ),
    mf__scored as (
        select
            p.*, p.mf__r - p.mf__prediction as mf__e,
            (p.mf__r - p.mf__score) ^ 2 / p.mf__s2 as mf__z2
        from (
            select
                p.*,
                case when isfinite(p.mf__rating) then p.mf__rating end as mf__r,
                mf__variance('mf_evaluate', p.mf__spread) + p.mf__noise ^ 2 as mf__s2
            from mf__predicted('mf_evaluate', mf__test, model, mf__head) p
        ) p
    ),
    mf__totals as (
        select
            avg(s.mf__e * s.mf__e) as mse, avg(abs(s.mf__e)) as mae,
            median(abs(s.mf__e)) as median_error,
            var_pop(s.mf__e) as var_e, nullif(var_pop(s.mf__r), 0) as var_r,
            count(*) as n, count(s.mf__rating) as ratings,
            count(*) filter (where not isfinite(s.mf__rating)) as infinite,
            count(*) filter (where s.mf__no_ts) as no_times,
            count(*) filter (where s.mf__bad_ts) as bad_times,
            count(distinct s.mf__user) as users, count(distinct s.mf__item) as items,
            count(distinct s.mf__user) filter (where s.mf__cold_user) as cold_users,
            count(distinct s.mf__item) filter (where s.mf__cold_item) as cold_items,
            count(*) filter (where s.mf__cold_user or s.mf__cold_item) as cold_pairs,
            avg(-0.5 * (s.mf__z2 + ln(2 * pi() * s.mf__s2))) as log_likelihood,
            avg((s.mf__z2 <= mf__normal_quantile(0.95) ^ 2)::integer) as coverage
        from mf__scored s
    )
    select
        sqrt(t.mse) as rmse, t.mae, t.mse, t.median_error as median_absolute_error,
        1 - t.mse / t.var_r as r2, 1 - t.var_e / t.var_r as explained_variance,
        t.n, t.users, t.items, t.cold_users, t.cold_items, t.cold_pairs, t.log_likelihood, t.coverage
    from mf__totals t
    where case
        when not mf__has_ratings('mf_evaluate', t.ratings, t.infinite, t.n) then null
        when t.no_times > 0
            then mf__bad_rows(
                'mf_evaluate', 'ts is NULL', t.no_times, t.n,
                'Add WHERE ... IS NOT NULL to test.'
            )
        when t.bad_times > 0
            then mf__bad_rows(
                'mf_evaluate', 'ts is no time', t.bad_times, t.n,
                'Give a TIMESTAMP, a DATE or seconds since 1970.'
            )
        else true
    end
);
comment on macro table mf_evaluate is 'How far the predictions of a model are from known ratings';
