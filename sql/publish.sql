-- mf_publish_recommendations(model, k := 10), mf_publish_similar_items(model, k := 10),
-- mf_publish_predictions(model), mf_publish_model(model), mf_publish_training(model),
-- mf_publish_users(model), mf_publish_items(model), mf_publish_pairs(users, items)
--
-- A model for dashboards: relations whose columns every BI tool can show. Plain SQL; they need no
-- Python.
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

-- mf__published_users(caller, head, model): mf_publish_users, of a checked head: made from mf__predicting.
create or replace macro mf__published_users(caller, head, model) as table
select
    m.user_id,
    (h.mu + mf__user_bias(m.bias, m.temporal, h.t1, mf__day(h.t1), h.beta))::float as bias,
    mf__user_factors(m.factors, m.temporal, h.t1, h.beta) as factors,
    case
        when m.source = 'content' then 'content'
        when mf__is_known(m.bias, m.factors) then 'model'
    end as source,
    h.lowest, h.highest
from mf__users_of(model, caller) m, query_table(head) h
where h.valid;
comment on macro table mf__published_users is 'What mf_publish_pairs needs of users';

create or replace macro mf_publish_users(model) as table
from (
    with mf__head as materialized (from mf__predicting(model, 'mf_publish_users', true))
    from mf__published_users('mf_publish_users', mf__head, model)
    union all
    select null, null, null, null, null, null from mf__head h where not h.valid
);
comment on macro table mf_publish_users is
    'What mf_publish_pairs needs of the users of a model, at the end of the time it was trained on';

-- The end of the time is 1 of a span from 0 to 1, so that the head of the model need not be read.
create or replace macro mf_publish_items(model) as table
select
    m.item_id, mf__item_bias(m.bias, m.temporal, 1, 0, 1) as bias,
    m.factors,
    case
        when m.source = 'content' then 'content'
        when mf__is_known(m.bias, m.factors) then 'model'
    end as source
from mf__items_of(model, 'mf_publish_items') m;
comment on macro table mf_publish_items is
    'What mf_publish_pairs needs of the items of a model, at the end of the time it was trained on';

create or replace macro mf_publish_pairs(users, items) as table
from (
    with mf__published as (from query_table(items))
    select
    s.* exclude (lowest, highest, score, prediction_source),
    mf__clipped(s.score, s.lowest, s.highest)::double as prediction,
    s.prediction_source
from (
    select
        u.user_id, i.* exclude (bias, factors, source), u.lowest, u.highest,
        mf__score('mf_publish_pairs', u.bias, i.bias, u.factors, i.factors) as score,
        case
            when u.source is null and i.source is null then 'global'
            when u.source is null then 'item_bias'
            when i.source is null then 'user_bias'
            when u.source = 'content' then 'content'
            else i.source
        end as prediction_source
    from query_table(users) u, mf__published i
) s
where mf__is_score('mf_publish_pairs', s.score)
);
comment on macro table mf_publish_pairs is
    'The predictions of all pairs of stored users and items, in the types of BI tools';

create or replace macro mf_publish_predictions(model) as table
from (
    with
    mf__head as materialized (from mf__predicting(model, 'mf_publish_predictions', true)),
    mf__users as not materialized (
        from mf__published_users('mf_publish_predictions', mf__head, model)
    ),
    mf__items as not materialized (from mf_publish_items(model))
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
    i.algorithm, i.feedback, i.n_factors, i.users, i.items, i.ratings,
    i.mean_rating::double as mean_rating, i.rating_min::double as rating_min,
    i.rating_max::double as rating_max, i.held_out, i.epochs, i.best_epoch, i.loss, i.train_loss,
    i.validation_loss, i.seconds, i.trained_at, i.options, i.versions
from mf_info(model) i;
comment on macro table mf_publish_model is 'What a model says of itself, in the types of BI tools';

create or replace macro mf_publish_training(model) as table
select e.epoch, e.train_loss, e.validation_loss, e.seconds from mf_epochs(model) e;
comment on macro table mf_publish_training is 'The losses of each epoch, in the types of BI tools';
