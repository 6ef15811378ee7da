-- mf_recommend, mf_similar_items and mf_similar_users for everyone at once. Need a duckmf connection
-- (Python), where they take the place of the plain macros: same parameters, same result, faster.
--
-- recommend.sql and similar.sql are their manual. Only lists for all users, or all items, are made
-- here, from blocked matrix products that keep k scores of a row; whatever is asked of one user, the
-- popular lists and all checks of arguments are left to the plain macros, which a duckmf connection
-- also has, named mf__plain_recommend and so on.
--
-- Items go to Python once in a statement, users in the vectors in which DuckDB scans them, so that a
-- filter on the users of a view reaches them first. Scores that may make it into a list are computed
-- a second time, rounded as list_dot_product rounds: the same numbers and ties as in plain SQL.

create or replace macro mf_recommend(
    model, user_id := null, k := 10, exclude_seen := true, min_ratings := 1, ts := null
) as table
from (
    with
    mf__rows as not materialized (
        select
            m.*,
            m.kind = 'user' and user_id is null
                and coalesce(m.ratings, 0) >= coalesce(min_ratings, 1)
                and (m.bias is not null or m.factors is not null)
                and (
                    not exclude_seen or m.seen is not null or coalesce(m.ratings, 0) = 0
                ) is not false as mf__batched
        from (
            from query_table(model)
            union all by name
            select
                null::varchar as kind, null as user_id, null as item_id, null as code,
                null as ratings, null as bias, null as factors, null as seen,
                null::struct(
                    t0 double, t1 double, beta float, drift float,
                    days integer[], day_bias float[], bin_bias float[], factor_drift float[]
                ) as temporal,
                null as info
            where false
        ) m
    ),
    mf__rest as not materialized (from mf__rows r where r.mf__batched is not true),
    mf__head as materialized (
        select
            h.mu, h.k, h.t0, nullif(h.t1 - h.t0, 0) as span, h.beta,
            least(greatest(coalesce(h.seconds, h.t1), h.t0), h.t1) as t,
            try_cast(floor(coalesce(h.seconds, h.t1) / 86400) as integer) as day
        from (
            select
                coalesce(any_value(r.bias), 0)::float as mu, any_value(k)::bigint as k,
                any_value(r.temporal.t0) as t0, any_value(r.temporal.t1) as t1,
                any_value(r.temporal.beta)::double as beta,
                case
                    when typeof(ts) = 'TIMESTAMP WITH TIME ZONE'
                        then epoch(try_cast(ts as timestamptz))
                    else coalesce(try_cast(ts as double), epoch(try_cast(ts as timestamp)))
                end as seconds
            from mf__rows r
            where r.kind = 'model' and k between 1 and 100000
            having count(*) > 0
        ) h
        where ts is null or isfinite(h.seconds)
    ),
    mf__ranking as materialized (
        select
            mf__items(
                to_json({
                    'connection': current_connection_id(),
                    'query': current_query_id(),
                    'threads': current_setting('threads'),
                    'cosine': false,
                    'fused': list_dot_product(
                        [-1.00048828125, 1.000244140625]::float[], [1, 1.000244140625]::float[]
                    ) <> 0
                })::varchar,
                i.codes, i.places, i.bias, i.factors
            ) as ranking
        from (
            select
                list(r.code::integer) as codes,
                list(r.place) as places,
                list(r.bias) as bias,
                list(r.factors::float[]) as factors
            from (
                select
                    i.code, i.factors,
                    (row_number() over (order by i.item_id) - 1)::integer as place,
                    case
                        when i.temporal.bin_bias is null then coalesce(i.bias, 0)
                        else coalesce(i.bias, 0) + i.temporal.bin_bias[
                            1 + least(
                                len(i.temporal.bin_bias) - 1,
                                coalesce(
                                    floor(len(i.temporal.bin_bias) * (h.t - h.t0) / h.span), 0
                                )
                            )::integer
                        ]
                    end::float as bias
                from mf__rows i, mf__head h
                where i.kind = 'item' and user_id is null
            ) r
        ) i
        where i.codes is not null
    ),
    mf__picks as not materialized (
        select
            r.user_id,
            coalesce(
                sign(h.t - r.temporal.t0) * (abs(h.t - r.temporal.t0) / 86400) ^ h.beta, 0
            ) as mf__dev,
            mf__top(
                i.ranking,
                h.k,
                h.mu + case
                    when r.temporal is null then coalesce(r.bias, 0)
                    else coalesce(r.bias, 0) + coalesce(r.temporal.drift, 0) * mf__dev
                        + coalesce(r.temporal.day_bias[list_position(r.temporal.days, h.day)], 0)
                end::float,
                case
                    when r.temporal.factor_drift is null then r.factors::float[]
                    else list_transform(
                        r.factors::float[], lambda p, f: p + mf__dev * r.temporal.factor_drift[f]
                    )
                end::float[],
                case when exclude_seen is not false then r.seen::integer[] end
            ) as items
        from mf__rows r, mf__ranking i, mf__head h
        where r.mf__batched
    ),
    mf__ranked as not materialized (
        select p.user_id, unnest(p.items) as item, generate_subscripts(p.items, 1) as rank
        from mf__picks p
    )
    from mf__plain_recommend(
        mf__rest, user_id, k := k, exclude_seen := exclude_seen, min_ratings := min_ratings,
        ts := ts
    )
    union all
    select r.user_id, i.item_id, r.item.score as score, r.rank, 'model' as source
    from mf__ranked r join mf__rows i on i.kind = 'item' and i.code = r.item.code
    order by 1, 4
);
comment on macro table mf_recommend is 'The k best items of one user or of all users of a model';

create or replace macro mf_similar_items(model, item_id := null, k := 10) as table
from (
    with
    mf__rows as not materialized (
        from query_table(model)
        union all by name
        select
            null::varchar as kind, null as item_id, null as code, null as factors, null as info
        where false
    ),
    mf__rest as not materialized (
        from mf__rows r where r.kind = 'model' or item_id is not null
    ),
    mf__head as not materialized (
        select any_value(k)::bigint as k
        from mf__rows r
        where r.kind = 'model' and k between 1 and 100000
        having count(*) > 0
    ),
    mf__items as not materialized (
        from (
            select
                r.item_id, r.code::integer as code, r.factors::float[] as factors,
                list_dot_product(
                    list_concat(r.factors::float[], []), list_concat(r.factors::float[], [])
                ) as square
            from mf__rows r
            where r.kind = 'item' and item_id is null
        ) i
        where i.square > 0
    ),
    mf__ranking as materialized (
        select
            mf__items(
                to_json({
                    'connection': current_connection_id(),
                    'query': current_query_id(),
                    'threads': current_setting('threads'),
                    'cosine': true,
                    'fused': list_dot_product(
                        [-1.00048828125, 1.000244140625]::float[], [1, 1.000244140625]::float[]
                    ) <> 0
                })::varchar,
                o.codes, o.places, o.squares, o.factors
            ) as ranking
        from (
            select
                list(i.code) as codes, list(i.place) as places, list(i.square) as squares,
                list(i.factors) as factors
            from (
                from mf__items i
                select *, (row_number() over (order by i.item_id) - 1)::integer as place
            ) i
        ) o
        where o.codes is not null
    ),
    mf__picks as not materialized (
        select
            i.item_id, mf__top(o.ranking, h.k, i.square, i.factors, [i.code]) as items
        from mf__items i, mf__ranking o, mf__head h
    ),
    mf__ranked as not materialized (
        select p.item_id, unnest(p.items) as pick, generate_subscripts(p.items, 1) as rank
        from mf__picks p
    )
    from mf__plain_similar_items(mf__rest, item_id, k := k)
    union all
    select r.item_id, m.item_id as similar_item_id, r.pick.score as similarity, r.rank
    from mf__ranked r join mf__rows m on m.kind = 'item' and m.code = r.pick.code
    order by 1, 4
);
comment on macro table mf_similar_items is 'The k items most similar to one item or to each item';

create or replace macro mf_similar_users(model, user_id := null, k := 10) as table
from (
    with
    mf__rows as not materialized (
        from query_table(model)
        union all by name
        select
            null::varchar as kind, null as user_id, null as code, null as factors, null as info
        where false
    ),
    mf__rest as not materialized (
        from mf__rows r where r.kind = 'model' or user_id is not null
    ),
    mf__head as not materialized (
        select any_value(k)::bigint as k
        from mf__rows r
        where r.kind = 'model' and k between 1 and 100000
        having count(*) > 0
    ),
    mf__users as not materialized (
        from (
            select
                r.user_id, r.code::integer as code, r.factors::float[] as factors,
                list_dot_product(
                    list_concat(r.factors::float[], []), list_concat(r.factors::float[], [])
                ) as square
            from mf__rows r
            where r.kind = 'user' and user_id is null
        ) i
        where i.square > 0
    ),
    mf__ranking as materialized (
        select
            mf__items(
                to_json({
                    'connection': current_connection_id(),
                    'query': current_query_id(),
                    'threads': current_setting('threads'),
                    'cosine': true,
                    'fused': list_dot_product(
                        [-1.00048828125, 1.000244140625]::float[], [1, 1.000244140625]::float[]
                    ) <> 0
                })::varchar,
                o.codes, o.places, o.squares, o.factors
            ) as ranking
        from (
            select
                list(i.code) as codes, list(i.place) as places, list(i.square) as squares,
                list(i.factors) as factors
            from (
                from mf__users i
                select *, (row_number() over (order by i.user_id) - 1)::integer as place
            ) i
        ) o
        where o.codes is not null
    ),
    mf__picks as not materialized (
        select
            i.user_id, mf__top(o.ranking, h.k, i.square, i.factors, [i.code]) as users
        from mf__users i, mf__ranking o, mf__head h
    ),
    mf__ranked as not materialized (
        select p.user_id, unnest(p.users) as pick, generate_subscripts(p.users, 1) as rank
        from mf__picks p
    )
    from mf__plain_similar_users(mf__rest, user_id, k := k)
    union all
    select r.user_id, m.user_id as similar_user_id, r.pick.score as similarity, r.rank
    from mf__ranked r join mf__rows m on m.kind = 'user' and m.code = r.pick.code
    order by 1, 4
);
comment on macro table mf_similar_users is 'The k users most similar to one user or to each user';
