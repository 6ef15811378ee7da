-- mf_publish_recommendations(model, k := 10), mf_publish_similar_items(model, k := 10),
-- mf_publish_predictions(model), mf_publish_model(model), mf_publish_training(model),
-- mf_publish_users(model), mf_publish_items(model), mf_publish_pairs(users, items)
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
-- duckmf.publish in Python) makes all five relations of a model, and does that.
--
-- mf_publish_recommendations: user_id, item_id, rank INTEGER, score DOUBLE, source: as mf_recommend
-- mf_publish_predictions: user_id, item_id, prediction DOUBLE, prediction_source, a row for each user
--   and item of the model: as mf_predict, at the end of the time that the model was trained on.
--   Filter it on a user or an item
-- mf_publish_similar_items: item_id, similar_item_id, rank INTEGER, similarity DOUBLE
-- mf_publish_model: one row: what mf_info says, options and versions as JSON text
-- mf_publish_training: epoch INTEGER, train_loss, validation_loss, seconds DOUBLE: as mf_epochs
--
-- mf_publish_predictions is mf_publish_pairs of mf_publish_users and mf_publish_items. Stored as
-- tables, these two answer a filter in half the time: less SQL is planned, no list is copied.
--
--   create table mf__films_users as from mf_publish_users(films);
--   create table mf__films_items as from mf_publish_items(films);
--   create view films_predictions as from mf_publish_pairs(mf__films_users, mf__films_items);
--
-- mf_publish_users: user_id, bias FLOAT (with the mean rating), factors FLOAT[], source, and lowest
--   and highest FLOAT, which the predictions are clipped to
-- mf_publish_items: item_id, bias FLOAT, factors FLOAT[], source
-- mf_publish_pairs: as mf_publish_predictions; more columns of items, such as titles, come along
--
-- model         a relation made by mf_fit
-- k             the length of a list, 1 to 100000
-- users, items  relations made by mf_publish_users and mf_publish_items

create or replace macro mf_publish_recommendations(model, k := 10) as table
select r.user_id, r.item_id, r.rank::integer as rank, r.score::double as score, r.source
from mf_recommend(model, k := k) r;
comment on macro table mf_publish_recommendations is
    'The k best items of all users, in the types of BI tools';

create or replace macro mf_publish_users(model) as table
from (
    with
    mf__head as materialized (
        select
            coalesce(h.bias, 0)::float as mu, h.temporal.t1 as t1, h.temporal.beta as beta,
            case
                when h.info ->> 'feedback' = 'explicit' then h.info ->> 'rating_min'
            end::float as lowest,
            case
                when h.info ->> 'feedback' = 'explicit' then h.info ->> 'rating_max'
            end::float as highest,
            case
                when h.n = 1 then true
                else error('mf_publish_users: this relation is not a model: it has '
                    || h.n || ' rows of kind ''model'', not 1. Pass a table made by mf_fit.')
            end as valid
        from (
            select
                count(*) as n, any_value(m.bias) as bias, any_value(m.info) as info,
                any_value(m.temporal) as temporal
            from (
                from query_table(model)
                union all by name
                select
                    null::varchar as kind, null as bias, null as info,
                    null::struct(
                        t0 double, t1 double, beta float, drift float,
                        days integer[], day_bias float[], bin_bias float[], factor_drift float[]
                    ) as temporal
                where false
            ) m
            where m.kind = 'model'
        ) h
    ),
    mf__users as not materialized (
        select
            m.user_id, m.bias, m.factors::float[] as factors, m.temporal, h.mu, h.lowest, h.highest,
            floor(h.t1 / 86400) as day,
            coalesce(
                sign(h.t1 - m.temporal.t0) * (abs(h.t1 - m.temporal.t0) / 86400) ^ h.beta, 0
            ) as dev,
            case
                when m.info ->> 'source' = 'content' then 'content'
                when m.bias is not null or m.factors is not null then 'model'
            end as source
        from mf__head h, (
            from query_table(model)
            union all by name
            select
                null::varchar as kind, null as user_id, null as bias, null as factors, null as info,
                null::struct(
                    t0 double, t1 double, beta float, drift float,
                    days integer[], day_bias float[], bin_bias float[], factor_drift float[]
                ) as temporal
            where false
        ) m
        where m.kind = 'user'
    )
    select
        u.user_id,
        (u.mu + coalesce(u.bias, 0) + coalesce(u.temporal.drift * u.dev, 0)
            + coalesce(u.temporal.day_bias[list_position(u.temporal.days, u.day)], 0)
        )::float as bias,
        case
            when u.temporal.factor_drift is null then u.factors || []
            else list_transform(
                u.factors, lambda p, f: p + u.dev * u.temporal.factor_drift[f]
            )::float[]
        end as factors,
        u.source, u.lowest, u.highest
    from mf__users u
    union all
    select null, null, null, null, null, null from mf__head h where not h.valid
);
comment on macro table mf_publish_users is
    'What mf_publish_pairs needs of the users of a model, at the end of the time it was trained on';

create or replace macro mf_publish_items(model) as table
select
    m.item_id, (coalesce(m.bias, 0) + coalesce(m.temporal.bin_bias[-1], 0))::float as bias,
    m.factors::float[] || [] as factors,
    case
        when m.info ->> 'source' = 'content' then 'content'
        when m.bias is not null or m.factors is not null then 'model'
    end as source
from (
    from query_table(model)
    union all by name
    select
        null::varchar as kind, null as item_id, null as bias, null as factors, null as info,
        null::struct(
            t0 double, t1 double, beta float, drift float,
            days integer[], day_bias float[], bin_bias float[], factor_drift float[]
        ) as temporal
    where false
) m
where m.kind = 'item';
comment on macro table mf_publish_items is
    'What mf_publish_pairs needs of the items of a model, at the end of the time it was trained on';

create or replace macro mf_publish_pairs(users, items) as table
select
    s.* exclude (lowest, highest, score, prediction_source),
    -- least and greatest would take five times as long
    case
        when s.score < s.lowest then s.lowest
        when s.score > s.highest then s.highest
        else s.score
    end::double as prediction,
    s.prediction_source
from (
    select
        u.user_id, i.* exclude (bias, factors, source), u.lowest, u.highest,
        u.bias + i.bias + coalesce(list_dot_product(u.factors, i.factors), 0) as score,
        case
            when u.source is null and i.source is null then 'global'
            when u.source is null then 'item_bias'
            when i.source is null then 'user_bias'
            when u.source = 'content' then 'content'
            else i.source
        end as prediction_source
    from query_table(users) u, query_table(items) i
) s;
comment on macro table mf_publish_pairs is
    'The predictions of all pairs of stored users and items, in the types of BI tools';

create or replace macro mf_publish_predictions(model) as table
from (
    with
    mf__users as not materialized (from mf_publish_users(model)),
    mf__items as not materialized (from mf_publish_items(model)),
    mf__head as not materialized (
        select
            case
                when count(*) = 1 then true
                else error('mf_publish_predictions: this relation is not a model: it has '
                    || count(*) || ' rows of kind ''model'', not 1. Pass a table made by mf_fit.')
            end as valid
        from (
            from query_table(model) union all by name select null::varchar as kind where false
        ) m
        where m.kind = 'model'
    )
    from mf_publish_pairs(mf__users, mf__items)
    union all
    select null, null, null, null from mf__head h where not h.valid
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
