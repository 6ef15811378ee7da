-- mf_predict(model, pairs, user_id, item_id, ts := NULL, clip := true)
--
-- The predicted rating of each pair of a user and an item. Plain SQL; needs no Python.
--
--   from mf_predict(films, wishes, user_id, movie_id);
--
-- Returns one row for each row of pairs, in no certain order, with all its columns and
--   prediction FLOAT           mu + b_u + b_i + <p_u, q_i> (Koren, Bell and Volinsky 2009,
--                              equation 5); terms the model does not have count as zero. With time
--                              terms mu + b_u(t) + b_i(t) + <p_u(t), q_i>, see temporal.sql
--   prediction_source VARCHAR  the terms that were used: 'model' (user and item), 'user_bias' (the
--                              item is unknown), 'item_bias' (the user is), 'global' (mu alone);
--                              'content' where a row is that of mf_project_items or _users
--
-- model             a relation made by mf_fit
-- pairs             a table, view or CTE; it may not have columns named as the two above
-- user_id, item_id  expressions over the columns of pairs; NULL is an unknown id
-- ts                the time to predict for, an expression too: a TIMESTAMP with or without zone, a
--                   DATE, or seconds since 1970. Left out, or NULL, it is the end of the time that
--                   the model was trained on. Before and after that time the terms are those of its
--                   ends. A model without time terms predicts the same at any time
-- clip              keep predictions of an explicit model within the ratings seen in training

create or replace macro mf_predict(
    model, pairs, user_id, item_id, ts := null, clip := true
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
                    when h.valid and c.taken
                        then error('mf_predict: pairs already has a column named prediction or '
                            || 'prediction_source. Pass a CTE that excludes it.')
                    else h.valid
                end as valid
            )
        from mf__predicting(model, 'mf_predict', clip) h,
            mf__taken(mf__pairs, prediction is null or prediction_source is null) c
    )
    select
        p.* exclude (
            mf__user, mf__item, mf__ts, mf__prediction, mf__source, mf__cold_user,
            mf__cold_item
        ),
        p.mf__prediction as prediction, p.mf__source as prediction_source
    from mf__predicted('mf_predict', mf__pairs, model, mf__head) p
);
comment on macro table mf_predict is 'Predicted ratings of pairs of a user and an item';
