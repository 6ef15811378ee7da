-- A model small enough to compute by hand: mu = 3, ratings from 1 to 5, two factors.
-- Users: 1 has rated items 11 to 13, 2 item 14, 3 nothing (all held out), 4 everything.
-- Items 14 to 16 score the same for user 1; 11 to 14 have two ratings each, 15 and 16 one.
create table films as
select
    m.kind, m.user_id, m.item_id, m.code::integer as code, m.ratings::bigint as ratings,
    m.bias::float as bias, m.factors::float[] as factors, m.seen::integer[] as seen,
    m.seen_ratings::float[] as seen_ratings,
    null::struct(
        t0 double, t1 double, beta float, drift float,
        days integer[], day_bias float[], bin_bias float[], factor_drift float[]
    ) as temporal,
    m.epoch::integer as epoch,
    m.metrics::struct(train_loss double, validation_loss double, seconds double) as metrics,
    null::varchar as source,
    m.facts::struct(
        format integer, algorithm varchar, feedback varchar, n_factors integer,
        users integer, items integer,
        rating_min float, rating_max float, rating_std double,
        solver varchar, alpha double, unobserved_weight double,
        user_regularization double, bias_regularization double, regularization_scaling double,
        nonnegative boolean,
        loss varchar, epochs integer, best_epoch integer, train_loss double, validation_loss double,
        held_out bigint, duplicates_merged bigint, seconds double, trained_at timestamp,
        options varchar, versions varchar
    ) as facts
from (values
    ('model', null, null, null, 10, 3, null, null, null, null, null, {
        'format': 2, 'algorithm': 'als', 'feedback': 'explicit', 'n_factors': 2,
        'users': 4, 'items': 6, 'rating_min': 1, 'rating_max': 5, 'rating_std': 1,
        'solver': null, 'alpha': null, 'unobserved_weight': null,
        'user_regularization': 1, 'bias_regularization': 1, 'regularization_scaling': 0,
        'nonnegative': false, 'loss': 'rmse', 'epochs': 2, 'best_epoch': 2,
        'train_loss': 0.5, 'validation_loss': 0.75, 'held_out': 1, 'duplicates_merged': 1,
        'seconds': 0.25, 'trained_at': '2026-11-24 12:00:00',
        'options': '{"n_factors": 2, "seed": 42}', 'versions': '{"duckmf": "0.1.0"}'}),
    ('epoch', null, null, null, null, null, null, null, null, 1,
        {'train_loss': 1.0, 'validation_loss': 1.25, 'seconds': 0.125}, null),
    ('epoch', null, null, null, null, null, null, null, null, 2,
        {'train_loss': 0.5, 'validation_loss': 0.75, 'seconds': 0.125}, null),
    ('user', 1, null, 0, 3, 0.5, [1, 0], [0, 1, 2], [5, 3, 2], null, null, null),
    ('user', 2, null, 1, 1, -0.5, [0, 1], [3], [5], null, null, null),
    ('user', 3, null, 2, 0, 0, [0, 0], [], [], null, null, null),
    ('user', 4, null, 3, 6, 0.25, [1, 1], [0, 1, 2, 3, 4, 5], [4, 3, 3, 5, 4, 4], null, null, null),
    ('item', null, 11, 0, 2, 0.5, [1, 0], null, null, null, null, null),
    ('item', null, 12, 1, 2, 0, [0, 1], null, null, null, null, null),
    ('item', null, 13, 2, 2, -0.5, [0, 0.5], null, null, null, null, null),
    ('item', null, 14, 3, 2, 0, [1, 1], null, null, null, null, null),
    ('item', null, 15, 4, 1, 0, [1, 0], null, null, null, null, null),
    ('item', null, 16, 5, 1, 0, [1, 0], null, null, null, null, null)
) m(kind, user_id, item_id, code, ratings, bias, factors, seen, seen_ratings, epoch, metrics, facts);

-- The same with time terms, over the first 100 days of 1970 and with roots of days (beta = 0.5).
-- User 1 rated around day 36: dev is -6 on day 0, 2 on day 40, 5 on day 61 and 8 on day 100.
-- User 4 rated around day 0 and drifts, 2 has no terms, 3 is only a mean time.
create table changing as
select
    f.* replace (
        t.temporal::struct(
            t0 double, t1 double, beta float, drift float,
            days integer[], day_bias float[], bin_bias float[], factor_drift float[]
        ) as temporal
    )
from films f left join (values
    ('model', null, {'t0': 0, 't1': 8640000, 'beta': 0.5, 'drift': null, 'days': null,
        'day_bias': null, 'bin_bias': null, 'factor_drift': null}),
    ('user', 0, {'t0': 3110400, 't1': null, 'beta': null, 'drift': 0.125, 'days': [0, 40, 100],
        'day_bias': [0.25, -0.5, 0.125], 'bin_bias': null, 'factor_drift': [0.5, 0]}),
    ('user', 2, {'t0': 4320000, 't1': null, 'beta': null, 'drift': null, 'days': null,
        'day_bias': null, 'bin_bias': null, 'factor_drift': null}),
    ('user', 3, {'t0': 0, 't1': null, 'beta': null, 'drift': -0.125, 'days': null,
        'day_bias': null, 'bin_bias': null, 'factor_drift': null}),
    ('item', 0, {'t0': null, 't1': null, 'beta': null, 'drift': null, 'days': null,
        'day_bias': null, 'bin_bias': [0.25, -0.25], 'factor_drift': null}),
    ('item', 3, {'t0': null, 't1': null, 'beta': null, 'drift': null, 'days': null,
        'day_bias': null, 'bin_bias': [0, 0.5, 1, -1], 'factor_drift': null})
) t(kind, code, temporal) on t.kind = f.kind and t.code is not distinct from f.code;

-- The same by a model that knows how sure it is: variances of 1 / n^2 and 1 / 2 n for items of n ratings.
create table sure_films as
select
    m.*,
    case m.kind
        when 'model' then {
            'noise': 0.5, 'low': 1, 'high': 5, 'user_mean': 0.25, 'item_mean': -0.5,
            'user_covariances': [[0.5, 0, 0.25, 0, 0, 0.125], [0.2, 0, 0.2, 0, 0, 0.1]],
            'item_covariances': [[0.5, 0, 0.5, 0, 0, 0.25]], 'bias': null, 'factors': null
        }
        when 'user' then {'bias': 0.125, 'factors': [0.25, 0.125]}
        when 'item' then {'bias': 1 / m.ratings ** 2, 'factors': [0.5 / m.ratings, 0]}
    end::struct(
        noise float, low float, high float, user_mean float, item_mean float,
        user_covariances float[][], item_covariances float[][], bias float, factors float[]
    ) as uncertainty
from films m;
