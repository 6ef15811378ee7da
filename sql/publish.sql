-- mf_publish_recommendations(model, k := 10), mf_publish_predictions(model),
-- mf_publish_similar_items(model, k := 10), mf_publish_model(model), mf_publish_training(model)
--
-- A model for dashboards: relations whose columns every BI tool can show. Plain SQL; they need no
-- Python. Run predict.sql, recommend.sql, similar.sql and info.sql before this file.
--
--   create view films_recommendations as
--     select r.*, m.title from mf_publish_recommendations(films) r
--     left join movies m on m.movie_id = r.item_id;
--
-- The types are INTEGER, BIGINT, DOUBLE, VARCHAR and TIMESTAMP (in UTC), beside the ids, which are as
-- they were trained on: cast ids of other types to VARCHAR in the view. `duckmf publish` (or
-- duckmf.publish in Python) makes all five views of a model, and does that.
--
-- mf_publish_recommendations: user_id, item_id, rank INTEGER, score DOUBLE, source: as mf_recommend
-- mf_publish_predictions: user_id, item_id, prediction DOUBLE, prediction_source, a row for each user
--   and item of the model: as mf_predict. Filter it on a user or an item
-- mf_publish_similar_items: item_id, similar_item_id, rank INTEGER, similarity DOUBLE
-- mf_publish_model: one row: what mf_info says, options and versions as JSON text
-- mf_publish_training: epoch INTEGER, train_loss, validation_loss, seconds DOUBLE: as mf_epochs
--
-- model  a relation made by mf_fit
-- k      the length of a list, 1 to 100000

create or replace macro mf_publish_recommendations(model, k := 10) as table
select r.user_id, r.item_id, r.rank::integer as rank, r.score::double as score, r.source
from mf_recommend(model, k := k) r;
comment on macro table mf_publish_recommendations is
    'The k best items of all users, in the types of BI tools';

create or replace macro mf_publish_predictions(model) as table
from (
    with
    head_rows as not materialized (
        from query_table(model)
        union all by name
        select
            null::varchar as kind, null as bias, null as info,
            null::struct(
                t0 double, t1 double, beta float, drift float,
                days integer[], day_bias float[], bin_bias float[], factor_drift float[]
            ) as temporal
        where false
    ),
    head as not materialized (
        select
            coalesce(any_value(m.bias), 0)::float as mu,
            any_value(m.temporal.t0) as t0, any_value(m.temporal.t1) as t1,
            any_value(m.temporal.beta)::double as beta,
            case when any_value(m.info ->> 'feedback') = 'explicit'
                then any_value((m.info ->> 'rating_min')::float) end as lowest,
            case when any_value(m.info ->> 'feedback') = 'explicit'
                then any_value((m.info ->> 'rating_max')::float) end as highest,
            case
                when count(*) = 1 then true
                else error('mf_publish_predictions: this relation is not a model: it has '
                    || count(*) || ' rows of kind ''model'', not 1. Pass a table made by mf_fit.')
            end as valid
        from head_rows m
        where m.kind = 'model'
    ),
    user_rows as not materialized (
        from query_table(model)
        union all by name
        select
            null::varchar as kind, null as user_id, null as bias, null as factors, null as info,
            null::struct(
                t0 double, t1 double, beta float, drift float,
                days integer[], day_bias float[], bin_bias float[], factor_drift float[]
            ) as temporal
        where false
    ),
    item_rows as not materialized (
        from query_table(model)
        union all by name
        select
            null::varchar as kind, null as item_id, null as bias, null as factors, null as info,
            null::struct(
                t0 double, t1 double, beta float, drift float,
                days integer[], day_bias float[], bin_bias float[], factor_drift float[]
            ) as temporal
        where false
    ),
    -- users and items as they are at the end of the time that the model was trained on
    users as not materialized (
        select
            m.user_id, m.bias is not null or m.factors is not null as known,
            coalesce(m.info ->> 'source' = 'content', false) as from_content,
            coalesce(
                sign(h.t1 - m.temporal.t0) * (abs(h.t1 - m.temporal.t0) / 86400) ^ h.beta, 0
            ) as mf__dev,
            coalesce(m.bias, 0) + coalesce(m.temporal.drift, 0) * mf__dev
                + coalesce(m.temporal.day_bias[
                    list_position(m.temporal.days, try_cast(floor(h.t1 / 86400) as integer))
                ], 0) as bias,
            case
                when m.temporal.factor_drift is null then list_concat(m.factors::float[], [])
                else list_transform(
                    m.factors::float[], lambda p, f: p + mf__dev * m.temporal.factor_drift[f]
                )::float[]
            end as factors
        from head h, user_rows m
        where m.kind = 'user'
    ),
    items as not materialized (
        select
            m.item_id, m.bias is not null or m.factors is not null as known,
            coalesce(m.info ->> 'source' = 'content', false) as from_content,
            coalesce(m.bias, 0)
                + coalesce(m.temporal.bin_bias[len(m.temporal.bin_bias)], 0) as bias,
            list_concat(m.factors::float[], []) as factors
        from item_rows m
        where m.kind = 'item'
    ),
    scored as not materialized (
        select
            u.user_id, i.item_id, h.lowest, h.highest,
            (h.mu + u.bias + i.bias + if(
                len(u.factors) > 0 and len(i.factors) > 0,
                list_dot_product(u.factors, i.factors), 0
            ))::float as score,
            case
                when u.known and i.known and (u.from_content or i.from_content) then 'content'
                when u.known and i.known then 'model'
                when u.known then 'user_bias'
                when i.known then 'item_bias'
                else 'global'
            end as prediction_source
        from head h, users u, items i
    )
    -- greatest and least leave NULLs out
    select
        s.user_id, s.item_id, least(greatest(s.score, s.lowest), s.highest)::double as prediction,
        s.prediction_source
    from scored s
    union all
    select null, null, null, null from head h where not h.valid
);
comment on macro table mf_publish_predictions is
    'The predictions of all users and items, in the types of BI tools';

create or replace macro mf_publish_similar_items(model, k := 10) as table
select s.item_id, s.similar_item_id, s.rank::integer as rank, s.similarity::double as similarity
from mf_similar_items(model, k := k) s;
comment on macro table mf_publish_similar_items is
    'The k items most similar to each item, in the types of BI tools';

create or replace macro mf_publish_model(model) as table
select
    i.algorithm, i.feedback, i.n_factors::integer as n_factors, i.users::bigint as users,
    i.items::bigint as items, i.ratings::bigint as ratings, i.mean_rating::double as mean_rating,
    i.rating_min::double as rating_min, i.rating_max::double as rating_max,
    i.held_out::bigint as held_out, i.epochs::integer as epochs,
    i.best_epoch::integer as best_epoch, i.loss, i.train_loss::double as train_loss,
    i.validation_loss::double as validation_loss, i.seconds::double as seconds,
    i.trained_at::timestamp as trained_at, i.options::varchar as options,
    i.versions::varchar as versions
from mf_info(model) i;
comment on macro table mf_publish_model is 'What a model says of itself, in the types of BI tools';

create or replace macro mf_publish_training(model) as table
select
    e.epoch::integer as epoch, e.train_loss::double as train_loss,
    e.validation_loss::double as validation_loss, e.seconds::double as seconds
from mf_epochs(model) e;
comment on macro table mf_publish_training is 'The losses of each epoch, in the types of BI tools';
