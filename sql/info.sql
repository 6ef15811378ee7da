-- mf_info(model), mf_epochs(model), mf_user_factors(model), mf_item_factors(model),
-- mf_weights(model)
--
-- The parts of a model as tidy relations. Plain SQL; they need no Python, and each takes one
-- relation made by mf_fit.
--
-- mf_info: one row. What was trained (algorithm, feedback, n_factors, options), on what (ratings,
--   mean_rating, rating_min, rating_max, held_out, duplicates_merged), how it went (epochs,
--   best_epoch, loss, train_loss, validation_loss, seconds, trained_at), what the relation holds
--   now (users, items) and what made it (format, versions). What a model does not have is NULL; options
--   and versions are JSON text.
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
    mf__counts as (
        select
            count(*) filter (where m.kind = 'user') as users,
            count(*) filter (where m.kind = 'item') as items
        from mf__rows(model) m
    )
    select
        h.facts.algorithm, h.facts.feedback, h.facts.n_factors, c.users, c.items, h.ratings,
        h.mu as mean_rating, h.facts.rating_min, h.facts.rating_max, h.facts.epochs,
        h.facts.best_epoch, h.facts.loss, h.facts.train_loss, h.facts.validation_loss,
        h.facts.held_out, h.facts.duplicates_merged, h.facts.seconds, h.facts.trained_at,
        h.facts.format, h.facts.options, h.facts.versions
    from mf__head_once(model, 'mf_info', true, true) h, mf__counts c
    where h.valid
);
comment on macro table mf_info is 'What a model is and how it was trained, in one row';

create or replace macro mf_epochs(model) as table
from (
    with
    mf__head as materialized (from mf__head(model, 'mf_epochs')),
    mf__epochs as not materialized (
        from query_table(model)
        union all by name
        select
            null::integer as epoch,
            null::struct(train_loss double, validation_loss double, seconds double) as metrics
        where false
    )
    select
        m.epoch, m.metrics.train_loss, m.metrics.validation_loss, m.metrics.seconds
    from mf__parts(mf__head, mf__epochs, ['epoch']) m
    order by m.epoch asc nulls last
);
comment on macro table mf_epochs is 'The training and validation loss of each epoch';

create or replace macro mf_user_factors(model) as table
from (
    with mf__head as materialized (from mf__head_once(model, 'mf_user_factors', true, true))
    select m.user_id, m.ratings, m.bias, m.factors from mf__parts(mf__head, model, ['user']) m
);
comment on macro table mf_user_factors is 'The users of a model with their bias and factors';

create or replace macro mf_item_factors(model) as table
from (
    with mf__head as materialized (from mf__head_once(model, 'mf_item_factors', true, true))
    select m.item_id, m.ratings, m.bias, m.factors from mf__parts(mf__head, model, ['item']) m
);
comment on macro table mf_item_factors is 'The items of a model with their bias and factors';

create or replace macro mf_weights(model) as table
from (
    with mf__head as materialized (from mf__head_once(model, 'mf_weights', true, true))
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
    from mf__parts(mf__head, model, ['model', 'user', 'item']) m
);
comment on macro table mf_weights is 'Every bias and factor of a model, as ML.WEIGHTS shows them';
