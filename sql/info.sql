-- mf_info(model), mf_epochs(model), mf_user_factors(model), mf_item_factors(model),
-- mf_weights(model)
--
-- The parts of a model as tidy relations. Plain SQL; they need no Python, and each takes one
-- relation made by mf_fit.
--
-- mf_info: one row. What was trained (algorithm, feedback, n_factors, options), on what (ratings,
--   mean_rating, rating_min, rating_max, held_out, duplicates_merged), how it went (epochs,
--   best_epoch, loss, train_loss, validation_loss, seconds, trained_at), what the relation holds
--   now (users, items) and what made it (format, versions). What a model does not have is NULL.
--
-- mf_epochs: a row for each epoch, in order: epoch, train_loss, validation_loss (NULL where nothing
--   was held out), seconds.
--
-- mf_user_factors, mf_item_factors: a row for each user (or item): its id, ratings (in training),
--   bias and factors (FLOAT[]). What an algorithm does not learn is NULL.
--
-- mf_weights: all of them in one relation, with the columns of BigQuery's ML.WEIGHTS:
--   processed_input  'user_id' or 'item_id'
--   feature          the id, as text
--   factor_weights   a list of (factor, weight), factors counted from 1
--   intercept        the bias
--   One more row holds the global mean: feature 'global__INTERCEPT__', its processed_input and
--   factor_weights NULL.

create or replace macro mf_info(model) as table
from (
    with
    rows as not materialized (
        from query_table(model)
        union all by name
        select null::varchar as kind, null as ratings, null as bias, null as info where false
    ),
    head as not materialized (
        select
            any_value(m.info) filter (where m.kind = 'model') as info,
            any_value(m.ratings) filter (where m.kind = 'model') as ratings,
            any_value(m.bias) filter (where m.kind = 'model') as mean_rating,
            count(*) filter (where m.kind = 'user') as users,
            count(*) filter (where m.kind = 'item') as items,
            case
                when count(*) filter (where m.kind = 'model') <> 1
                    then error('mf_info: this relation is not a model: it has '
                        || count(*) filter (where m.kind = 'model')
                        || ' rows of kind ''model'', not 1. Pass a table made by mf_fit.')
                when any_value((m.info ->> 'format')::integer) filter (where m.kind = 'model') > 1
                    then error('mf_info: this model has format '
                        || any_value(m.info ->> 'format') filter (where m.kind = 'model')
                        || ', made by a newer duckmf. Upgrade duckmf.')
                else true
            end as valid
        from rows m
    )
    select
        h.info ->> 'algorithm' as algorithm,
        h.info ->> 'feedback' as feedback,
        (h.info ->> '$.options.n_factors')::integer as n_factors,
        h.users, h.items, h.ratings, h.mean_rating,
        (h.info ->> 'rating_min')::float as rating_min,
        (h.info ->> 'rating_max')::float as rating_max,
        (h.info ->> 'epochs')::integer as epochs,
        (h.info ->> 'best_epoch')::integer as best_epoch,
        h.info ->> 'loss' as loss,
        (h.info ->> 'train_loss')::double as train_loss,
        (h.info ->> 'validation_loss')::double as validation_loss,
        (h.info ->> 'held_out')::bigint as held_out,
        (h.info ->> 'duplicates_merged')::bigint as duplicates_merged,
        (h.info ->> 'seconds')::double as seconds,
        (h.info ->> 'trained_at')::timestamp as trained_at,
        (h.info ->> 'format')::integer as format,
        h.info -> 'options' as options,
        h.info -> 'versions' as versions
    from head h
    where h.valid
);
comment on macro table mf_info is 'What a model is and how it was trained, in one row';

create or replace macro mf_epochs(model) as table
from (
    with
    rows as not materialized (
        from query_table(model)
        union all by name
        select
            null::varchar as kind, null as epoch,
            null::struct(train_loss double, validation_loss double, seconds double) as metrics,
            null as info
        where false
    ),
    head as not materialized (
        select
            case
                when count(*) <> 1
                    then error('mf_epochs: this relation is not a model: it has ' || count(*)
                        || ' rows of kind ''model'', not 1. Pass a table made by mf_fit.')
                when any_value(m.info ->> 'format')::integer > 1
                    then error('mf_epochs: this model has format '
                        || any_value(m.info ->> 'format')
                        || ', made by a newer duckmf. Upgrade duckmf.')
                else true
            end as valid
        from rows m
        where m.kind = 'model'
    )
    select
        m.epoch, m.metrics.train_loss, m.metrics.validation_loss, m.metrics.seconds
    from rows m, head h
    where h.valid and m.kind = 'epoch'
    union all
    select null, null, null, null from head h where not h.valid
    order by 1
);
comment on macro table mf_epochs is 'The training and validation loss of each epoch';

create or replace macro mf_user_factors(model) as table
from (
    with
    rows as not materialized (
        from query_table(model)
        union all by name
        select
            null::varchar as kind, null as user_id, null as ratings, null as bias, null as factors,
            null as info
        where false
    ),
    head as not materialized (
        select
            case
                when count(*) <> 1
                    then error('mf_user_factors: this relation is not a model: it has ' || count(*)
                        || ' rows of kind ''model'', not 1. Pass a table made by mf_fit.')
                when any_value(m.info ->> 'format')::integer > 1
                    then error('mf_user_factors: this model has format '
                        || any_value(m.info ->> 'format')
                        || ', made by a newer duckmf. Upgrade duckmf.')
                else true
            end as valid
        from rows m
        where m.kind = 'model'
    )
    select m.user_id, m.ratings, m.bias, m.factors
    from rows m, head h
    where h.valid and m.kind = 'user'
    union all
    select null, null, null, null from head h where not h.valid
);
comment on macro table mf_user_factors is 'The users of a model with their bias and factors';

create or replace macro mf_item_factors(model) as table
from (
    with
    rows as not materialized (
        from query_table(model)
        union all by name
        select
            null::varchar as kind, null as item_id, null as ratings, null as bias, null as factors,
            null as info
        where false
    ),
    head as not materialized (
        select
            case
                when count(*) <> 1
                    then error('mf_item_factors: this relation is not a model: it has ' || count(*)
                        || ' rows of kind ''model'', not 1. Pass a table made by mf_fit.')
                when any_value(m.info ->> 'format')::integer > 1
                    then error('mf_item_factors: this model has format '
                        || any_value(m.info ->> 'format')
                        || ', made by a newer duckmf. Upgrade duckmf.')
                else true
            end as valid
        from rows m
        where m.kind = 'model'
    )
    select m.item_id, m.ratings, m.bias, m.factors
    from rows m, head h
    where h.valid and m.kind = 'item'
    union all
    select null, null, null, null from head h where not h.valid
);
comment on macro table mf_item_factors is 'The items of a model with their bias and factors';

create or replace macro mf_weights(model) as table
from (
    with
    rows as not materialized (
        from query_table(model)
        union all by name
        select
            null::varchar as kind, null as user_id, null as item_id, null as bias, null as factors,
            null as info
        where false
    ),
    head as not materialized (
        select
            case
                when count(*) <> 1
                    then error('mf_weights: this relation is not a model: it has ' || count(*)
                        || ' rows of kind ''model'', not 1. Pass a table made by mf_fit.')
                when any_value(m.info ->> 'format')::integer > 1
                    then error('mf_weights: this model has format '
                        || any_value(m.info ->> 'format')
                        || ', made by a newer duckmf. Upgrade duckmf.')
                else true
            end as valid
        from rows m
        where m.kind = 'model'
    )
    select
        case m.kind when 'user' then 'user_id' when 'item' then 'item_id' end as processed_input,
        case m.kind
            when 'user' then m.user_id::varchar
            when 'item' then m.item_id::varchar
            else 'global__INTERCEPT__'
        end as feature,
        list_transform(
            m.factors::float[],
            lambda w, place: struct_pack(factor := place::integer, weight := w::double)
        ) as factor_weights,
        m.bias::double as intercept
    from rows m, head h
    where h.valid and m.kind in ('model', 'user', 'item')
    union all
    select null, null, null, null from head h where not h.valid
);
comment on macro table mf_weights is 'Every bias and factor of a model, as ML.WEIGHTS shows them';
