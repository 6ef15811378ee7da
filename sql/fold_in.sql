-- mf_fold_in, mf_fold_in_items: rows of a model for new or changed users, or items, the other side of
-- the model held still. Need a duckmf connection (Python).
--
--     INSERT INTO films FROM mf_fold_in(films, newcomers, user_id, movie_id, rating);
--
-- Return 'user' (or 'item') rows, one for each user (or item) of the source, by code, with the columns
-- and types of the model. Each row is what training would give it if the other side stayed as it is: a
-- user of the training, folded in with the same ratings, gets the same factors.
--
-- model                    a relation made by mf_fit; its options are those of the model
-- source                   a table, view or CTE with all ratings of its users (or items), old and new
-- user_id, item_id,        SQL expressions over the source's columns, as in mf_fit; ids are cast to the
-- rating, ts               types that the model has
-- complete                 mf_fold_in: false if the source has only new ratings of its users: those that
--                          the model has stored (seen, seen_ratings) count as made before them, or
--                          when they were (seen_times, of models with time terms)
-- unknown                  what a rating of an item (or user) that the model does not know is: 'error',
--                          or 'ignore' to leave it out
-- duplicates               what several rows of one user and item mean, stored ones included; as the
--                          model was trained if left out
-- threads                  threads to solve on (DuckDB's own setting)
--
-- A known user keeps its code: MERGE replaces the row.
--
--     MERGE INTO films USING (FROM mf_fold_in(films, changed, user_id, movie_id, rating)) AS changes
--     ON films.kind = 'user' AND films.user_id = changes.user_id
--     WHEN MATCHED THEN UPDATE WHEN NOT MATCHED THEN INSERT;
--
-- New users get the codes after the largest one. mf_fold_in_items leaves `seen` of the users as it is:
-- fold in items first, then those who rated them. The row of kind 'model' does not change: mu and what
-- info says stay those of the training.
--
-- How rows are solved: als, bias, popularity, implicit_als: their optimum, as in training (a row that
-- implicit_als trained with solver 'cg' was on its way there). svd, svdpp, timesvdpp: the optimum of the
-- same objective, which the steps of training come near; the y_j of svdpp stay. With time terms, those of
-- the row are solved too, and ts must be given: t_u is the mean time of all ratings of a user, and times
-- outside the span of the training count as its ends; seen_times keeps them. bpr: by the steps of training
-- that are the row's own. An item of bpr is learnt from those who did not choose it too, in the ratings
-- that the model has stored, and is compared with all of its items.
create or replace macro mf_fold_in(
    model, source, user_id, item_id, rating := null, ts := null,
    complete := true, unknown := 'error', duplicates := null, threads := null
) as table
from (
    with
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
            null as seen_times, null as temporal
        where false
    ),
    mf__head as not materialized (
        select
            count(*) as rows, any_value(m.bias::double) as mu,
            any_value(m.info::varchar) as info, any_value(m.temporal) as temporal
        from mf__model m
        where m.kind = 'model'
    ),
    mf__typed as not materialized (
        select
            g.*,
            -- a relation without ids is no model, which is said below
            case when typeof(w.user_id) <> '"NULL"' then mf__cast_like(g.u, w.user_id) end as v
        from mf__given g left join (from mf__shape limit 0) w on true
    ),
    mf__source as materialized (
        select
            g.v as u, g.i as id, g.r, g.t, g.has_rating, g.has_ts,
            g.v <> g.u as changed,
            m.code::integer as code
        from mf__typed g
            left join mf__model m on m.kind = 'item' and m.item_id = g.i
    ),
    mf__counts as materialized (
        select
            count(*) as n_rows,
            count(*) - count(s.u) as null_users,
            count(*) - count(s.id) as null_items,
            count(*) - count(s.r) as null_ratings,
            count(*) filter (where not isfinite(s.r)) as bad_ratings,
            count(*) filter (where s.r < 0) as negative_ratings,
            count(*) - count(s.t) as null_times,
            count(*) filter (where not isfinite(s.t)) as bad_times,
            bool_or(s.has_rating) as has_rating,
            bool_or(s.has_ts) as has_ts,
            count(*) filter (where s.changed) as changed_ids,
            count(s.id) filter (where s.code is null) as unknown_rows,
            count(distinct s.id) filter (where s.code is null) as unknown_ids,
            (min(s.id) filter (where s.code is null))::varchar as unknown_id
        from mf__source s
    ),
    mf__fixed as materialized (
        select
            list(m.code::integer) as codes,
            list(coalesce(m.ratings, 0)::bigint) as ratings,
            list(coalesce(m.bias, 0)::float) as bias,
            list(m.factors::float[]) as factors,
            list(m.implicit_factors::float[]) as implicit_factors,
            list(m.temporal) as temporal
        from mf__model m
        where m.kind = 'item' and (
            complete is not true
            or (select h.info ->> 'feedback' = 'implicit' from mf__head h)
            or m.code::integer in (select s.code from mf__source s)
        )
    ),
    mf__laid_out as materialized (
        select
            mf__fixed(
                json_object(
                    'function', 'mf_fold_in',
                    'solved', 'users',
                    'model', to_json(h),
                    'counts', to_json(c),
                    'unknown', unknown,
                    'duplicates', duplicates,
                    'threads', coalesce(threads, current_setting('threads')),
                    'connection', current_connection_id(),
                    'query', current_query_id()
                )::varchar,
                f.codes, f.ratings, f.bias, f.factors, f.implicit_factors, f.temporal,
                null, null, null,
                null, null, null, null, null, null, null, null, null
            ) as made
        from mf__counts c, mf__head h, mf__fixed f
    ),
    mf__ready as materialized (
        select
            case when l.made.error is null then l.made.model else error(l.made.error) end as model
        from mf__laid_out l
    ),
    mf__users as not materialized (
        select
            d.u, d.codes, d.ratings, d.times,
            coalesce(
                m.code,
                (select coalesce(max(m.code), -1) from mf__model m where m.kind = 'user')
                    + row_number() over (partition by m.code is null order by d.u)
            )::integer as code,
            case
                when complete then null
                when m.seen is null and m.ratings > 0
                    then error('mf_fold_in: the model has not stored the ratings of its users '
                        || '(keep_seen := false). Pass all of their ratings and leave complete out.')
                else m.seen::integer[]
            end as stored,
            case when not complete then m.seen_ratings::float[] end as stored_ratings,
            case when not complete then m.seen_times::double[] end as stored_times
        from (
            select
                s.u,
                list(s.code) filter (where s.code is not null) as codes,
                list(s.r) filter (where s.code is not null and s.has_rating) as ratings,
                list(s.t) filter (where s.code is not null and s.has_ts) as times
            from mf__source s
            group by s.u
        ) d
        left join mf__model m on m.kind = 'user' and m.user_id = d.u
    ),
    mf__solved as materialized (
        select
            u.u, u.code,
            mf__solve(
                r.model, u.codes, u.ratings, u.times, u.stored, u.stored_ratings, u.stored_times
            ) as row
        from mf__ready r, mf__users u
    )
    select
        m.* replace (
            'user' as kind,
            s.u as user_id,
            mf__cast_like(s.code, m.code) as code,
            mf__cast_like(s.row.ratings, m.ratings) as ratings,
            mf__cast_like(s.row.bias, m.bias) as bias,
            mf__cast_like(s.row.factors, m.factors) as factors,
            mf__cast_like(s.row.seen, m.seen) as seen,
            mf__cast_like(s.row.seen_ratings, m.seen_ratings) as seen_ratings,
            mf__cast_like(s.row.seen_times, m.seen_times) as seen_times,
            mf__cast_like(s.row.temporal, m.temporal) as temporal
        )
    from mf__solved s left join (from mf__shape limit 0) m on true
    where case when s.row.error is null then true else error(s.row.error) end
    union all
    -- no rows, but what is wrong is an error even if the source has none
    select m.* from mf__ready r left join (from mf__shape limit 0) m on true
    where r.model is null
    order by code
);
comment on macro table mf_fold_in is
    'User rows of a model for new or changed users (needs a duckmf connection)';

create or replace macro mf_fold_in_items(
    model, source, user_id, item_id, rating := null, ts := null,
    unknown := 'error', duplicates := null, threads := null
) as table
from (
    with
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
            null as seen_times, null as temporal
        where false
    ),
    mf__head as not materialized (
        select
            count(*) as rows, any_value(m.bias::double) as mu,
            any_value(m.info::varchar) as info, any_value(m.temporal) as temporal,
            any_value(m.info ->> 'algorithm') = 'bpr' as compares
        from mf__model m
        where m.kind = 'model'
    ),
    mf__typed as not materialized (
        select
            g.*,
            -- a relation without ids is no model, which is said below
            case when typeof(w.item_id) <> '"NULL"' then mf__cast_like(g.i, w.item_id) end as v
        from mf__given g left join (from mf__shape limit 0) w on true
    ),
    mf__source as materialized (
        select
            g.v as i, g.u as id, g.r, g.t, g.has_rating, g.has_ts,
            g.v <> g.i as changed,
            m.code::integer as code
        from mf__typed g
            left join mf__model m on m.kind = 'user' and m.user_id = g.u
    ),
    mf__counts as materialized (
        select
            count(*) as n_rows,
            count(*) - count(s.id) as null_users,
            count(*) - count(s.i) as null_items,
            count(*) - count(s.r) as null_ratings,
            count(*) filter (where not isfinite(s.r)) as bad_ratings,
            count(*) filter (where s.r < 0) as negative_ratings,
            count(*) - count(s.t) as null_times,
            count(*) filter (where not isfinite(s.t)) as bad_times,
            bool_or(s.has_rating) as has_rating,
            bool_or(s.has_ts) as has_ts,
            count(*) filter (where s.changed) as changed_ids,
            count(s.id) filter (where s.code is null) as unknown_rows,
            count(distinct s.id) filter (where s.code is null) as unknown_ids,
            (min(s.id) filter (where s.code is null))::varchar as unknown_id
        from mf__source s
    ),
    mf__fixed as materialized (
        select
            list(m.code::integer) as codes,
            list(coalesce(m.ratings, 0)::bigint) as ratings,
            list(coalesce(m.bias, 0)::float) as bias,
            list(m.factors::float[]) as factors,
            list(m.implicit_factors::float[]) as implicit_factors,
            list(m.temporal) as temporal,
            list(case when (select h.compares from mf__head h) then m.seen::integer[] end) as seen,
            list(
                case when (select h.compares from mf__head h) then m.seen_ratings::float[] end
            ) as seen_ratings
        from mf__model m
        where m.kind = 'user' and (
            (select h.info ->> 'feedback' = 'implicit' from mf__head h)
            or m.code::integer in (select s.code from mf__source s)
        )
    ),
    -- the items of a model that compares them, all of them
    mf__rivals as materialized (
        select
            list(m.code::integer) as codes,
            list(coalesce(m.ratings, 0)::bigint) as ratings,
            list(coalesce(m.bias, 0)::float) as bias,
            list(m.factors::float[]) as factors
        from mf__model m
        where m.kind = 'item' and (select h.compares from mf__head h)
    ),
    mf__laid_out as materialized (
        select
            mf__fixed(
                json_object(
                    'function', 'mf_fold_in_items',
                    'solved', 'items',
                    'model', to_json(h),
                    'counts', to_json(c),
                    'unknown', unknown,
                    'duplicates', duplicates,
                    'threads', coalesce(threads, current_setting('threads')),
                    'connection', current_connection_id(),
                    'query', current_query_id()
                )::varchar,
                f.codes, f.ratings, f.bias, f.factors, f.implicit_factors, f.temporal,
                f.seen, f.seen_ratings, null,
                v.codes, v.ratings, v.bias, v.factors, null, null, null, null, null
            ) as made
        from mf__counts c, mf__head h, mf__fixed f, mf__rivals v
    ),
    mf__ready as materialized (
        select
            case when l.made.error is null then l.made.model else error(l.made.error) end as model
        from mf__laid_out l
    ),
    mf__items as not materialized (
        select
            d.i, d.codes, d.ratings, d.times,
            coalesce(
                m.code,
                (select coalesce(max(m.code), -1) from mf__model m where m.kind = 'item')
                    + row_number() over (partition by m.code is null order by d.i)
            )::integer as code
        from (
            select
                s.i,
                list(s.code) filter (where s.code is not null) as codes,
                list(s.r) filter (where s.code is not null and s.has_rating) as ratings,
                list(s.t) filter (where s.code is not null and s.has_ts) as times
            from mf__source s
            group by s.i
        ) d
        left join mf__model m on m.kind = 'item' and m.item_id = d.i
    ),
    mf__solved as materialized (
        select
            i.i, i.code,
            mf__solve(r.model, i.codes, i.ratings, i.times, null, null, null) as row
        from mf__ready r, mf__items i
    )
    select
        m.* replace (
            'item' as kind,
            s.i as item_id,
            mf__cast_like(s.code, m.code) as code,
            mf__cast_like(s.row.ratings, m.ratings) as ratings,
            mf__cast_like(s.row.bias, m.bias) as bias,
            mf__cast_like(s.row.factors, m.factors) as factors,
            mf__cast_like(s.row.temporal, m.temporal) as temporal
        )
    from mf__solved s left join (from mf__shape limit 0) m on true
    where case when s.row.error is null then true else error(s.row.error) end
    union all
    -- no rows, but what is wrong is an error even if the source has none
    select m.* from mf__ready r left join (from mf__shape limit 0) m on true
    where r.model is null
    order by code
);
comment on macro table mf_fold_in_items is
    'Item rows of a model for new or changed items (needs a duckmf connection)';
