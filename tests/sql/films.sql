-- A model small enough to compute by hand: mu = 3, ratings from 1 to 5, two factors.
-- Users: 1 has rated items 11 to 13, 2 item 14, 3 nothing (all held out), 4 everything.
-- Items 14 to 16 score the same for user 1; 11 to 14 have two ratings each, 15 and 16 one.
create table films as
select
    m.kind, m.user_id, m.item_id, m.code::integer as code, m.ratings::bigint as ratings,
    m.bias::float as bias, m.factors::float[] as factors, m.seen::integer[] as seen,
    m.seen_ratings::float[] as seen_ratings,
    null::struct(t0 double, t1 double) as temporal, m.epoch::integer as epoch,
    m.metrics::struct(train_loss double, validation_loss double, seconds double) as metrics,
    m.info::json as info
from (values
    ('model', null, null, null, 10, 3, null, null, null, null, null, '{
        "format": 1, "algorithm": "als", "feedback": "explicit",
        "options": {"n_factors": 2, "seed": 42}, "rating_min": 1.0, "rating_max": 5.0,
        "rating_std": 1.0, "users": 4, "items": 6, "rows": 12, "duplicates_merged": 1, "held_out": 1, "epochs": 2,
        "best_epoch": 2, "loss": "rmse", "train_loss": 0.5, "validation_loss": 0.75,
        "seconds": 0.25, "trained_at": "2026-11-24T12:00:00+00:00",
        "versions": {"duckmf": "0.1.0"}}'),
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
) m(kind, user_id, item_id, code, ratings, bias, factors, seen, seen_ratings, epoch, metrics, info);
