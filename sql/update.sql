-- mf_update: a model that has learnt from new ratings, without training it again. Needs a duckmf
-- connection (Python).
--
--     CREATE OR REPLACE TABLE films AS FROM mf_update(films, today, user_id, movie_id, rating);
--
-- Returns the whole model, with its columns and types. The rows of users and items that have new
-- ratings are solved anew, from all their ratings, by the objective of the training; all other rows are
-- as they were. It costs what its touched rows cost, and it is near to a new training while most of what
-- has changed are rows with new ratings: mu and the options stay, and so do rows that a new training would
-- move because their neighbours moved. Train again from time to time.
--
-- model                    a relation made by mf_fit, with keep_seen; its options are those of the model
-- source                   a table, view or CTE with the new ratings alone
-- user_id, item_id,        SQL expressions over the source's columns, as in mf_fit; ids are cast to the
-- rating, ts, strength     types that the model has
-- epochs                   how often touched items, then touched users are solved, 1 to 1000 (3); of bpr
--                          passes over all positives (20), whose steps move the touched rows alone
-- duplicates               what several rows of one user and item mean, the stored one included, which
--                          counts as one row made before all others, or when it was if the model has
--                          time terms; as the model was trained if left out
-- threads                  threads to solve on (DuckDB's own setting)
--
-- Known users and items keep their codes, those of new ones are made of their ids. Rows of kind 'epoch'
-- stay those of the training. The row of kind 'model' counts the new ratings; its info gets an entry in
-- `updates`. Rows are solved as mf_fold_in and mf_fold_in_items solve them, with their time terms; the
-- span of time stays that of the training, whose end later times count as. Refused are models whose
-- ratings were not kept.
create or replace macro mf_update(
    model, source, user_id, item_id, rating := null, ts := null, strength := null,
    epochs := null, duplicates := null, threads := null
) as table
from (
    with
    mf__model as not materialized (from mf__rows(model)),
    mf__shape as not materialized (from mf__shape(model)),
    mf__ratings as materialized (
        select
            s.* replace (
                mf__id_like(s.user_id, w.user_id) as user_id,
                mf__id_like(s.item_id, w.item_id) as item_id
            ),
            mf__id_like(s.user_id, w.user_id) <> s.user_id
                or mf__id_like(s.item_id, w.item_id) <> s.item_id as changed
        from mf__ratings_of(source, user_id, item_id, rating, ts, strength) s
            left join (from mf__shape limit 0) w on true
    ),
    mf__counts as (
        select c.*, (select count(*) filter (where s.changed) from mf__ratings s) as changed_ids
        from mf__counts_of(mf__ratings) c
    ),
    mf__asked as (
        select
            mf__request(
                'mf_update',
                json_object('epochs', epochs, 'duplicates', duplicates, 'threads', threads),
                c,
                to_json(h)
            ) as request
        from mf__counts c cross join mf__learnt(model, 'mf_update') h
    ),
    mf__users as materialized (
        select d.id, mf__code('mf_update', mf__model, 'user', m.code, d.id) as code
        from (select distinct s.user_id as id from mf__ratings s) d
            left join mf__codes(mf__model, 'user', m.user_id) m on m.id = d.id
        where mf__one_row('mf_update', 'user', m.id, m.n, m.code)
    ),
    mf__items as materialized (
        select d.id, mf__code('mf_update', mf__model, 'item', m.code, d.id) as code
        from (select distinct s.item_id as id from mf__ratings s) d
            left join mf__codes(mf__model, 'item', m.item_id) m on m.id = d.id
        where mf__one_row('mf_update', 'item', m.id, m.n, m.code)
    ),
    mf__stored as (
        select m.kind::varchar as kind, mf__lists_of_m(true) as lists
        from mf__model m
        where m.kind in ('user', 'item')
        group by m.kind, mf__group(try_cast(m.code as integer))
    ),
    mf__made as materialized (
        from mf__run(mf__asked, mf__ratings, mf__users, mf__items, mf__stored, true)
    ),
    mf__touched as not materialized (from mf__made d where d.kind in ('user', 'item'))
    select
        m.* replace (
            mf__cast_like(d.ratings, m.ratings) as ratings,
            mf__cast_like(d.facts, m.facts) as facts,
            mf__cast_like(d.info, m.info) as info
        )
    from mf__made d join mf__shape m on m.kind::varchar = d.kind
    where d.kind = 'model'
    union all
    -- an anti join would put the whole model into its hash table
    select m.*
    from mf__shape m
    where m.kind::varchar <> 'model'
        and (m.kind::varchar <> 'user' or m.code not in (select u.code from mf__users u))
        and (m.kind::varchar <> 'item' or m.code not in (select i.code from mf__items i))
    union all
    from mf__as_stored(mf__touched, mf__shape)
);
comment on macro table mf_update is
    'The whole model after it has learnt from new ratings (needs a duckmf connection)';
