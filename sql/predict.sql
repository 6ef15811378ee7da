-- mf_predict(model, pairs, user_id, item_id, ts := NULL, clip := true, interval := NULL,
--            interval_of := 'rating', interval_share := NULL)
--
-- The predicted rating of each pair of a user and an item. Plain SQL; needs no Python.
--
--   from mf_predict(films, wishes, user_id, movie_id);
--   from mf_predict(films, wishes, user_id, movie_id, interval := 0.9);
--
-- Returns one row for each row of pairs, in no certain order, with all its columns and
--   prediction FLOAT           mu + b_u + b_i + <p_u, q_i> (Koren, Bell and Volinsky 2009,
--                              equation 5); terms the model does not have count as zero. With time
--                              terms mu + b_u(t) + b_i(t) + <p_u(t), q_i>, see temporal.sql
--   prediction_source VARCHAR  the terms that were used: 'model' (user and item), 'user_bias' (the
--                              item is unknown), 'item_bias' (the user is), 'global' (mu alone);
--                              'content' where a row is that of mf_project_items or _users
--   low, high FLOAT            with `interval` alone: the ends of the interval
--
-- model             a relation made by mf_fit
-- pairs             a table, view or CTE; it may not have columns named as those above
-- user_id, item_id  expressions over the columns of pairs; NULL is an unknown id
-- ts                the time to predict for, an expression too: a TIMESTAMP with or without zone, a
--                   DATE, or seconds since 1970. Left out, or NULL, it is the end of the time that
--                   the model was trained on. Before and after that time the terms are those of its
--                   ends. A model without time terms predicts the same at any time
-- clip              keep predictions of an explicit model, and intervals, within the ratings seen in
--                   training
-- interval          of a model with uncertainty (algorithm 'bayes'): the share of ratings that shall
--                   lie within low and high, above 0 and below 1. They are prediction +- z s, z the
--                   quantile of the standard normal and s^2 = 1 / tau + var(b_u) + var(b_i)
--                   + sum_f (p_f^2 var(q_f) + q_f^2 var(p_f) + var(p_f) var(q_f)), as if users,
--                   items and factors were independent. An unknown id has the prior's variances.
-- interval_of       'rating': of the rating that would be seen; 'mean': of the expected one, without
--                   the noise 1 / tau of single ratings
-- interval_share    the name of interval before DuckDB 2.0, for which INTERVAL is a word of its own

create or replace macro mf_predict(
    model, pairs, user_id, item_id, ts := null, clip := true, "interval" := null,
    interval_of := 'rating', interval_share := null
) as table
from (
    with
    mf__pairs as not materialized (
        select
            *, user_id as mf__user, item_id as mf__item,
            mf__time('mf_predict', ts) as mf__ts
        from query_table(pairs)
    ),
    mf__head as (
        select
            h.* replace (
                case
                    when not h.valid then h.valid
                    when c.taken
                        then error('mf_predict: pairs already has a column named prediction'
                            || case when coalesce("interval", interval_share) is null then ' or ' else ', low, high or ' end
                            || 'prediction_source. Pass a CTE that excludes it.')
                    when coalesce("interval", interval_share) is null then h.valid
                    when coalesce(interval_of not in ('rating', 'mean'), true)
                        then error('mf_predict: interval_of is '
                            || coalesce('''' || interval_of || '''', 'NULL')
                            || '. Give ''rating'' or ''mean''.')
                    when not coalesce(
                        try_cast(coalesce("interval", interval_share) as double) > 0 and try_cast(coalesce("interval", interval_share) as double) < 1, false
                    )
                        then error('mf_predict: interval is ' || coalesce("interval", interval_share)::varchar
                            || '. Give the share of ratings within it, such as 0.9.')
                    when h.noise is null
                        then error('mf_predict: this model does not say how sure it is. Leave interval '
                            || 'out, or train with algorithm := ''bayes''.')
                    else h.valid
                end as valid
            )
        from mf__predicting(model, 'mf_predict', clip) h,
            mf__taken(
                mf__pairs,
                prediction is null or prediction_source is null
                    or (coalesce("interval", interval_share) is not null and (low is null or high is null))
            ) c
    ),
    mf__predictions as not materialized (
        from mf__predicted('mf_predict', mf__pairs, model, mf__head)
    ),
    mf__plain as not materialized (
        select
            p.* exclude (
                mf__user, mf__item, mf__ts, mf__prediction, mf__source, mf__cold_user,
                mf__cold_item, mf__lowest, mf__highest, mf__score, mf__noise, mf__spread
            ),
            p.mf__prediction as prediction, p.mf__source as prediction_source
        from mf__predictions p
    ),
    mf__sure as not materialized (
        select
            p.* exclude (
                mf__user, mf__item, mf__ts, mf__prediction, mf__source, mf__cold_user,
                mf__cold_item, mf__lowest, mf__highest, mf__score, mf__noise, mf__spread, mf__half
            ),
            p.mf__prediction as prediction, p.mf__source as prediction_source,
            mf__clipped((p.mf__score - p.mf__half)::float, p.mf__lowest, p.mf__highest) as low,
            mf__clipped((p.mf__score + p.mf__half)::float, p.mf__lowest, p.mf__highest) as high
        from (
            select
                p.*, mf__normal_quantile((1 + try_cast(coalesce("interval", interval_share) as double)) / 2) * sqrt(
                    mf__variance('mf_predict', p.mf__spread)::double
                        + case when interval_of = 'rating' then p.mf__noise ^ 2 else 0 end
                ) as mf__half
            from mf__predictions p
        ) p
    )
    from query_table(case when coalesce("interval", interval_share) is null then 'mf__plain' else 'mf__sure' end)
);
comment on macro table mf_predict is 'Predicted ratings of pairs of a user and an item';
