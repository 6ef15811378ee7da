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

-- A macro, since a database file may forget that a CTE is not to be materialized.
create or replace macro mf__predict_rows(model) as table
from query_table(model)
union all by name
select
    null::varchar as kind, null as user_id, null as item_id, null as bias, null as factors,
    null::struct(
        t0 double, t1 double, beta float, drift float,
        days integer[], day_bias float[], bin_bias float[], factor_drift float[]
    ) as temporal,
    null as info
where false;
comment on macro table mf__predict_rows is
    'The rows of a model, with the columns that mf_predict reads';

create or replace macro mf_predict(
    model, pairs, user_id, item_id, ts := null, clip := true
) as table
from (
    with
    mf__pairs as not materialized (
        select
            *, user_id as mf__user, item_id as mf__item,
            case
                when ts is null then null
                when typeof(ts) = 'TIMESTAMP WITH TIME ZONE' then epoch(try_cast(ts as timestamptz))
                else coalesce(try_cast(ts as double), epoch(try_cast(ts as timestamp)), 'nan')
            end as mf__seconds,
            case
                when ts is null or isfinite(mf__seconds) then mf__seconds
                else error('mf_predict: ts is ''' || ts::varchar || ''', which is no time. '
                    || 'Give a TIMESTAMP, a DATE or seconds since 1970.')
            end as mf__ts
        from query_table(pairs)
    ),
    -- A column of pairs hides the outer column of its name, and is NULL in the row added here.
    mf__columns as not materialized (
        select pair.prediction is null or pair.prediction_source is null as taken
        from
            (select 1 as prediction, 1 as prediction_source) free,
            lateral (
                select prediction, prediction_source
                from ((from mf__pairs limit 0) union all by name select 1 as mf__row)
            ) pair
    ),
    mf__head as not materialized (
        select
            coalesce(any_value(m.bias), 0) as mu,
            any_value((m.info ->> 'rating_min')::float) as rating_min,
            any_value((m.info ->> 'rating_max')::float) as rating_max,
            coalesce(clip and any_value(m.info ->> 'feedback') = 'explicit', false) as clipped,
            any_value(m.temporal.t0) as t0, any_value(m.temporal.t1) as t1,
            nullif(any_value(m.temporal.t1) - any_value(m.temporal.t0), 0) as span,
            any_value(m.temporal.beta)::double as beta,
            case
                when count(*) <> 1
                    then error('mf_predict: this relation is not a model: it has ' || count(*)
                        || ' rows of kind ''model'', not 1. Pass a table made by mf_fit.')
                when any_value(m.info ->> 'format')::integer > 1
                    then error('mf_predict: this model has format '
                        || any_value(m.info ->> 'format')
                        || ', made by a newer duckmf. Upgrade duckmf.')
                when (select c.taken from mf__columns c)
                    then error('mf_predict: pairs already has a column named prediction or '
                        || 'prediction_source. Pass a CTE that excludes it.')
                else true
            end as valid
        from mf__predict_rows(model) m
        where m.kind = 'model'
    ),
    mf__users as not materialized (
        select
            m.user_id, m.bias,
            list_concat(m.factors::float[], []) as factors,
            m.bias is not null or m.factors is not null as known,
            m.info ->> 'source' = 'content' as from_content
        from mf__predict_rows(model) m
        where m.kind = 'user'
    ),
    mf__items as not materialized (
        select
            m.item_id, m.bias,
            list_concat(m.factors::float[], []) as factors,
            m.bias is not null or m.factors is not null as known,
            m.info ->> 'source' = 'content' as from_content
        from mf__predict_rows(model) m
        where m.kind = 'item'
    ),
    -- joined on their own, so that a model without time terms does not carry them along
    mf__user_times as not materialized (
        select
            m.user_id, m.temporal.t0 as mean, m.temporal.drift,
            list_concat(m.temporal.factor_drift, []) as factor_drift,
            m.temporal.days, m.temporal.day_bias
        from mf__predict_rows(model) m
        where m.kind = 'user' and m.temporal is not null
    ),
    mf__item_times as not materialized (
        select m.item_id, m.temporal.bin_bias
        from mf__predict_rows(model) m
        where m.kind = 'item' and m.temporal is not null
    ),
    scored as not materialized (
        select
            p.*,
            least(greatest(coalesce(p.mf__ts, h.t1), h.t0), h.t1) as mf__near,
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
                            d.days, try_cast(floor(coalesce(p.mf__ts, h.t1) / 86400) as integer)
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
            (h.mu + coalesce(u.bias, 0) + coalesce(i.bias, 0)
                + case
                    when len(u.factors) > 0 and len(i.factors) > 0
                        then list_dot_product(u.factors, i.factors)
                    else 0
                end + mf__terms)::float
                as mf__score,
            case
                when u.known and i.known and (u.from_content or i.from_content) then 'content'
                when u.known and i.known then 'model'
                when u.known then 'user_bias'
                when i.known then 'item_bias'
                else 'global'
            end as mf__source,
            h.clipped as mf__clipped, h.rating_min as mf__min, h.rating_max as mf__max
        from mf__pairs p
            left join mf__users u on u.user_id = p.mf__user
            left join mf__items i on i.item_id = p.mf__item
            left join mf__user_times d on d.user_id = p.mf__user
            left join mf__item_times b on b.item_id = p.mf__item
            cross join mf__head h
        where h.valid
    )
    select
        s.* exclude (
            mf__user, mf__item, mf__seconds, mf__ts, mf__near, mf__terms, mf__score, mf__source,
            mf__clipped, mf__min, mf__max
        ),
        case
            when s.mf__clipped then least(greatest(s.mf__score, s.mf__min), s.mf__max)
            else s.mf__score
        end as prediction,
        s.mf__source as prediction_source
    from scored s
);
comment on macro table mf_predict is 'Predicted ratings of pairs of a user and an item';
