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
-- rating, ts               types that the model has
-- epochs                   how often touched items, then touched users are solved, 1 to 1000 (3); of bpr
--                          passes over all positives (20), whose steps move the touched rows alone
-- duplicates               what several rows of one user and item mean, the stored one included, which
--                          counts as one row made before all others, or when it was if the model has
--                          time terms; as the model was trained if left out
-- threads                  threads to solve on (DuckDB's own setting)
--
-- Known users and items keep their codes, new ones get the codes after the largest. Rows of kind 'epoch'
-- stay those of the training. The row of kind 'model' counts the new ratings; its info gets an entry in
-- `updates`. Rows are solved as mf_fold_in and mf_fold_in_items solve them, with their time terms; the
-- span of time stays that of the training, whose end later times count as. Refused are models whose
-- ratings were not kept.
create or replace macro mf_update(
    model, source, user_id, item_id, rating := null, ts := null,
    epochs := null, duplicates := null, threads := null
) as table
from (
    with recursive
    mf__given as not materialized (
        select
            user_id as u,
            item_id as i,
            case when rating is not null then coalesce(try_cast(rating as float), 'nan') end as r,
            case
                when ts is null then null
                when typeof(ts) = 'TIMESTAMP WITH TIME ZONE' then epoch(try_cast(ts as timestamptz))
                else coalesce(try_cast(ts as double), epoch(try_cast(ts as timestamp)), 'nan')
            end as t,
            typeof(rating) <> '"NULL"' as has_rating,  -- false only for an argument left out
            typeof(ts) <> '"NULL"' as has_ts
        from query_table(source)
    ),
    mf__model as not materialized (
        from query_table(model)
        union all by name
        select
            null::varchar as kind, null as user_id, null as item_id, null::integer as code,
            null::bigint as ratings, null::float as bias, null::float[] as factors,
            null::integer[] as seen, null::float[] as seen_ratings,
            null::double[] as seen_times, null::float[] as implicit_factors,
            null::struct(
                t0 double, t1 double, beta float, drift float, days integer[], day_bias float[],
                bin_bias float[], factor_drift float[]
            ) as temporal,
            null::json as info
        where false
    ),
    -- the columns of the model, of their own types
    mf__shape as not materialized (
        from query_table(model)
        union all by name
        select
            null as kind, null as user_id, null as item_id, null as code, null as ratings,
            null as bias, null as factors, null as seen, null as seen_ratings,
            null as seen_times, null as implicit_factors, null as temporal, null as info
        where false
    ),
    mf__head as not materialized (
        select
            count(*) as rows, any_value(m.bias::double) as mu,
            any_value(m.info::varchar) as info, any_value(m.temporal) as temporal
        from mf__model m
        where m.kind = 'model'
    ),
    mf__source as materialized (
        select
            g.u as given_u, g.i as given_i, g.r, g.t, g.has_rating, g.has_ts,
            -- a relation without ids is no model, which is said below
            case when typeof(w.user_id) <> '"NULL"' then mf__cast_like(g.u, w.user_id) end as u,
            case when typeof(w.item_id) <> '"NULL"' then mf__cast_like(g.i, w.item_id) end as i
        from mf__given g left join (from mf__shape limit 0) w on true
    ),
    mf__counts as materialized (
        select
            count(*) as n_rows,
            count(*) - count(s.given_u) as null_users,
            count(*) - count(s.given_i) as null_items,
            count(*) - count(s.r) as null_ratings,
            count(*) filter (where not isfinite(s.r)) as bad_ratings,
            count(*) filter (where s.r < 0) as negative_ratings,
            count(*) - count(s.t) as null_times,
            count(*) filter (where not isfinite(s.t)) as bad_times,
            bool_or(s.has_rating) as has_rating,
            bool_or(s.has_ts) as has_ts,
            false as has_validation, false as has_relevant, false as has_fold,
            count(*) filter (where s.u <> s.given_u or s.i <> s.given_i) as changed_ids
        from mf__source s
    ),
    mf__begun as materialized (
        select mf__begin(
            json_object(
                'function', 'mf_update',
                'asked', json_object(
                    'model', to_json(h),
                    'epochs', epochs,
                    'duplicates', duplicates,
                    'threads', threads
                ),
                'counts', to_json(c),
                'duckdb_threads', current_setting('threads'),
                'connection', current_connection_id(),
                'query', current_query_id()
            )::varchar
        ) as begun
        from mf__counts c, mf__head h
    ),
    mf__run as materialized (
        select case when b.begun.error is null then b.begun.run else error(b.begun.error) end as run
        from mf__begun b
    ),
    mf__users as materialized (
        select
            d.u,
            coalesce(
                m.code,
                (select coalesce(max(m.code), -1) from mf__model m where m.kind = 'user')
                    + row_number() over (partition by m.code is null order by d.u)
            )::integer as code
        from (select distinct s.u from mf__source s) d
        left join (
            select m.user_id, min(m.code) as code
            from mf__model m
            where m.kind = 'user'
            group by m.user_id
        ) m on m.user_id = d.u
    ),
    mf__items as materialized (
        select
            d.i,
            coalesce(
                m.code,
                (select coalesce(max(m.code), -1) from mf__model m where m.kind = 'item')
                    + row_number() over (partition by m.code is null order by d.i)
            )::integer as code
        from (select distinct s.i from mf__source s) d
        left join (
            select m.item_id, min(m.code) as code
            from mf__model m
            where m.kind = 'item'
            group by m.item_id
        ) m on m.item_id = d.i
    ),
    mf__batches as (
        select
            list(u.code) as users,
            list(i.code) as items,
            list(s.r) filter (where s.has_rating) as ratings,
            list(s.t) filter (where s.has_ts) as times
        from mf__source s
        join mf__users u on u.u = s.u
        join mf__items i on i.i = s.i
        group by u.code >> 12
    ),
    mf__gathered as materialized (
        select
            g.run,
            sum(
                mf__gather(g.run, b.users, b.items, b.ratings, null, b.times, null, null)
            )::bigint as n_rows
        from mf__run g cross join mf__batches b
        group by g.run
    ),
    -- the model's own rows, in long lists
    mf__stored_batches as (
        select
            m.kind,
            list(m.code::integer) as codes,
            list(coalesce(m.ratings, 0)::bigint) as ratings,
            list(coalesce(m.bias, 0)::float) as bias,
            list(m.factors::float[]) as factors,
            list(m.implicit_factors::float[]) as implicit_factors,
            list(m.temporal) as temporal,
            list(m.seen::integer[]) as seen,
            list(m.seen_ratings::float[]) as seen_ratings,
            list(m.seen_times::double[]) as seen_times
        from mf__model m
        where m.kind in ('user', 'item')
        group by m.kind, m.code::integer >> 12
    ),
    mf__stored as materialized (
        select
            sum(
                mf__stored(
                    g.run, b.kind, b.codes, b.ratings, b.bias, b.factors, b.implicit_factors,
                    b.temporal, b.seen, b.seen_ratings, b.seen_times
                )
            )::bigint as n_rows
        from mf__run g cross join mf__stored_batches b
    ),
    mf__training(run, step, log) as (
        select g.run, 0, mf__start(g.run, g.n_rows, 0, 0, s.n_rows)
        from mf__gathered g cross join mf__stored s
        union all
        select t.run, t.step + 1, mf__epoch(t.run)
        from mf__training t
        where case when t.log.error is null then t.log.more else error(t.log.error) end
    ),
    mf__trained as materialized (
        select t.run, max(t.step) as steps from mf__training t group by t.run
    ),
    mf__user_rows as materialized (
        select u.u, u.code, mf__user_rows(t.run, u.code, t.steps) as user
        from mf__users u cross join mf__trained t
    ),
    mf__item_rows as materialized (
        select i.i, i.code, mf__item_rows(t.run, i.code, t.steps) as item
        from mf__items i cross join mf__trained t
    ),
    -- every row waits for this one: whatever part of the model is read, the run is forgotten
    mf__finished as materialized (
        select mf__finish(
            t.run, (select count(*) from mf__user_rows) + (select count(*) from mf__item_rows)
        ) as model
        from mf__trained t
    )
    select
        m.* replace (
            case
                when m.kind::varchar = 'model' then mf__cast_like(f.model.ratings, m.ratings)
                else m.ratings
            end as ratings,
            case
                when m.kind::varchar = 'model' then mf__cast_like(f.model.info, m.info) else m.info
            end as info
        )
    from mf__finished f cross join mf__shape m
    where f.model.info is not null
        and (m.kind::varchar <> 'user' or m.code not in (select u.code from mf__users u))
        and (m.kind::varchar <> 'item' or m.code not in (select i.code from mf__items i))
    union all
    select
        m.* replace (
            'user' as kind,
            u.u as user_id,
            mf__cast_like(u.code, m.code) as code,
            mf__cast_like(u.user.ratings, m.ratings) as ratings,
            mf__cast_like(u.user.bias, m.bias) as bias,
            mf__cast_like(u.user.factors, m.factors) as factors,
            mf__cast_like(u.user.seen, m.seen) as seen,
            mf__cast_like(u.user.seen_ratings, m.seen_ratings) as seen_ratings,
            mf__cast_like(u.user.seen_times, m.seen_times) as seen_times,
            mf__cast_like(u.user.temporal, m.temporal) as temporal
        )
    from mf__finished f
        cross join mf__user_rows u
        left join mf__shape m on m.kind::varchar = 'user' and m.code = u.code
    where f.model.info is not null
    union all
    select
        m.* replace (
            'item' as kind,
            i.i as item_id,
            mf__cast_like(i.code, m.code) as code,
            mf__cast_like(i.item.ratings, m.ratings) as ratings,
            mf__cast_like(i.item.bias, m.bias) as bias,
            mf__cast_like(i.item.factors, m.factors) as factors,
            mf__cast_like(i.item.implicit_factors, m.implicit_factors) as implicit_factors,
            mf__cast_like(i.item.temporal, m.temporal) as temporal
        )
    from mf__finished f
        cross join mf__item_rows i
        left join mf__shape m on m.kind::varchar = 'item' and m.code = i.code
    where f.model.info is not null
);
comment on macro table mf_update is
    'The whole model after it has learnt from new ratings (needs a duckmf connection)';
