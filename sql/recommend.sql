-- mf_recommend(model, user_id := NULL, k := 10, exclude_seen := true, min_ratings := 1, ts := NULL)
--
-- The k best items of one user, or of every user of a model. Plain SQL; needs no Python.
--
--   from mf_recommend(films, 196);
--   create view top10 as from mf_recommend(films);         -- from top10 where user_id = 196
--
-- Returns a row for each user and rank, ordered by both:
--   user_id, item_id  the ids as they were trained on
--   score FLOAT       mu + b_u + b_i + <p_u, q_i>, not clipped to the rating range (Koren, Bell and
--                     Volinsky 2009, equation 5); terms the model does not have count as zero.
--                     With time terms mu + b_u(t) + b_i(t) + <p_u(t), q_i>, see temporal.sql.
--                     In the popular list: the item's number of training ratings
--   rank BIGINT       1 to k without gaps
--   source VARCHAR    'model'; 'popular' where the list is the popular one (mf_popular); 'content'
--                     for a user of mf_project_users
--
-- model         a relation made by mf_fit, also a filtered one: only its items are recommended
-- user_id       a user, or NULL for all users of the model
-- k             the length of a list, 1 to 100000; shorter where no more items are left
-- exclude_seen  leave out what the user rated in training
-- min_ratings   a user with fewer training ratings gets the popular list, unless the model has
--               a row for the user from content (mf_project_users)
-- ts            the time t of all lists, a TIMESTAMP with or without zone, a DATE, or seconds since
--               1970. Left out, or NULL, it is the end of the time that the model was trained on.
--               Before and after that time the terms are those of its ends. A model without time
--               terms recommends the same at any time
--
-- Items of equal score, or equally popular, are ordered by item_id. A user that the model does not
-- know, or for whom it has no terms (algorithm 'popularity'), gets the popular list. A user who has
-- seen everything gets no rows.
--
-- The candidates of a user are its best k + n_seen items, of which the seen ones are then dropped:
-- looking up every pair would cost more than scoring it.

-- Macros, since a database file may forget that a CTE is not to be materialized.
create or replace macro mf__recommend_items(model) as table
select m.*
from (
    from query_table(model)
    union all by name
    select
        null::varchar as kind, null as item_id, null as code, null as ratings, null as bias,
        null as factors,
        null::struct(
            t0 double, t1 double, beta float, drift float,
            days integer[], day_bias float[], bin_bias float[], factor_drift float[]
        ) as temporal
    where false
) m
where m.kind = 'item';
comment on macro table mf__recommend_items is 'The items of a model, for mf_recommend';

create or replace macro mf__recommend_users(model, user_id, exclude_seen, min_ratings) as table
select
    m.user_id, m.bias::float as bias,
    list_concat(m.factors::float[], []) as factors,
    m.temporal,
    coalesce(m.info ->> 'source' = 'content', false) as from_content,
    (coalesce(m.ratings, 0) >= coalesce(min_ratings, 1) or from_content)
        and (m.bias is not null or m.factors is not null) as personal,
    case
        when not exclude_seen or (m.seen is null and coalesce(m.ratings, 0) = 0) then []
        when m.seen is null
            then error('mf_recommend: the model does not hold what its users have seen. '
                || 'Pass exclude_seen := false or train with keep_seen := true.')
        else m.seen::integer[]
    end as seen
from (
    from query_table(model)
    union all by name
    select
        null::varchar as kind, null as user_id, null as ratings, null as bias, null as factors,
        null as seen, null as info,
        null::struct(
            t0 double, t1 double, beta float, drift float,
            days integer[], day_bias float[], bin_bias float[], factor_drift float[]
        ) as temporal
    where false
) m
where m.kind = 'user' and (user_id is null or m.user_id = user_id);
comment on macro table mf__recommend_users is
    'The user, or the users, of a model and what they have seen, for mf_recommend';

create or replace macro mf_recommend(
    model, user_id := null, k := 10, exclude_seen := true, min_ratings := 1, ts := null
) as table
from (
    with
    mf__model_rows as not materialized (
        select m.*
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
    ),
    mf__head as materialized (
        select
            h.mu, h.t0, nullif(h.t1 - h.t0, 0) as span, h.beta,
            least(greatest(coalesce(h.seconds, h.t1), h.t0), h.t1) as t,
            try_cast(floor(coalesce(h.seconds, h.t1) / 86400) as integer) as day,
            case
                when ts is null or isfinite(h.seconds) then h.k
                else error('mf_recommend: ts is ''' || ts::varchar || ''', which is no time. '
                    || 'Give a TIMESTAMP, a DATE or seconds since 1970.')
            end as k
        from (
            select
                coalesce(any_value(m.bias), 0)::float as mu,
                any_value(m.temporal.t0) as t0, any_value(m.temporal.t1) as t1,
                any_value(m.temporal.beta)::double as beta,
                case
                    when typeof(ts) = 'TIMESTAMP WITH TIME ZONE'
                        then epoch(try_cast(ts as timestamptz))
                    else coalesce(try_cast(ts as double), epoch(try_cast(ts as timestamp)))
                end as seconds,
                case
                    when count(*) <> 1
                        then error('mf_recommend: this relation is not a model: it has ' || count(*)
                            || ' rows of kind ''model'', not 1. Pass a table made by mf_fit.')
                    when any_value(m.info ->> 'format')::integer > 1
                        then error('mf_recommend: this model has format '
                            || any_value(m.info ->> 'format')
                            || ', made by a newer duckmf. Upgrade duckmf.')
                    when coalesce(k not between 1 and 100000, true)
                        then error('mf_recommend: k is ' || coalesce(k::varchar, 'NULL')
                            || '. Give the length of a list, from 1 to 100000.')
                    else k::bigint
                end as k
            from mf__model_rows m
        ) h
    ),
    mf__strangers as not materialized (
        select u.user_id, u.seen, true as any
        from mf__recommend_users(model, user_id, exclude_seen, min_ratings) u
        where not u.personal
        union all
        select user_id, [], true
        where user_id is not null and not exists (
            from mf__recommend_users(model, user_id, exclude_seen, min_ratings)
        )
    ),
    -- items and users as they are at time t
    mf__items_then as not materialized (
        select
            i.item_id, i.code,
            list_concat(i.factors::float[], []) as factors,
            case
                when i.temporal.bin_bias is null then coalesce(i.bias, 0)
                else coalesce(i.bias, 0) + i.temporal.bin_bias[
                    1 + least(
                        len(i.temporal.bin_bias) - 1,
                        coalesce(floor(len(i.temporal.bin_bias) * (h.t - h.t0) / h.span), 0)
                    )::integer
                ]
            end::float as bias
        from mf__head h, mf__recommend_items(model) i
    ),
    mf__users_then as not materialized (
        select
            u.user_id, u.seen, h.k + len(u.seen) as n_candidates,
            coalesce(
                sign(h.t - u.temporal.t0) * (abs(h.t - u.temporal.t0) / 86400) ^ h.beta, 0
            ) as mf__dev,
            h.mu + case
                when u.temporal is null then coalesce(u.bias, 0)
                else coalesce(u.bias, 0) + coalesce(u.temporal.drift, 0) * mf__dev
                    + coalesce(u.temporal.day_bias[list_position(u.temporal.days, h.day)], 0)
            end::float as base,
            case
                when u.temporal.factor_drift is null then u.factors
                else list_transform(
                    u.factors, lambda p, f: p + mf__dev * u.temporal.factor_drift[f]
                )
            end::float[] as factors
        from
            mf__head h, mf__recommend_users(model, user_id, exclude_seen, min_ratings) u
        where u.personal
    ),
    mf__best as not materialized (
        select
            u.user_id,
            min(
                struct_pack(
                    minus := -(u.base + i.bias
                        + case
                            when len(u.factors) > 0 and len(i.factors) > 0
                                then list_dot_product(u.factors, i.factors)
                            else 0
                        end)::float,
                    item_id := i.item_id,
                    code := i.code
                ),
                u.n_candidates
            ) as candidates
        from mf__users_then u, mf__items_then i
        group by u.user_id
    ),
    mf__lists as not materialized (
        select
            b.user_id, case when u.from_content then 'content' else 'model' end as source, u.seen,
            b.candidates
        from mf__best b
            join mf__recommend_users(model, user_id, exclude_seen, min_ratings) u
                on u.user_id = b.user_id
        union all
        select s.user_id, 'popular', s.seen, p.candidates[:h.k + len(s.seen)]
        from
            mf__head h, mf__strangers s,
            lateral ( -- once, and not at all where nobody is a stranger
                select
                    list(
                        struct_pack(
                            minus := -i.ratings::float, item_id := i.item_id, code := i.code
                        )
                        order by i.ratings desc, i.item_id
                    ) as candidates
                from mf__recommend_items(model) i
                where s.any
            ) p
    ),
    mf__picks as not materialized (
        select
            l.user_id, l.source,
            list_filter(l.candidates, lambda c: not list_contains(l.seen, c.code))[:h.k] as items
        from mf__head h, mf__lists l
    ),
    mf__ranked as not materialized (
        select
            p.user_id, p.source, unnest(p.items) as item, generate_subscripts(p.items, 1) as rank
        from mf__picks p
    )
    select r.user_id, r.item.item_id as item_id, -r.item.minus as score, r.rank, r.source
    from mf__ranked r
    union all
    select null, null, null, null, null from mf__head h where h.k is null
    order by 1, 4
);
comment on macro table mf_recommend is 'The k best items of one user or of all users of a model';

-- mf_popular(model, k := 10)
--
-- The items with the most training ratings, best first: what mf_recommend gives to users without a
-- history. Plain SQL; needs no Python.
--
-- Returns item_id, score BIGINT (training ratings of the item), rank BIGINT (from 1, without gaps).
-- Items of equal score are ordered by item_id.
--
-- model  a relation made by mf_fit
-- k      the length of the list, at least 1

create or replace macro mf_popular(model, k := 10) as table
from (
    with
    rows as not materialized (
        from query_table(model)
        union all by name
        select null::varchar as kind, null as item_id, null as ratings, null as info where false
    ),
    head as not materialized (
        select
            case
                when count(*) <> 1
                    then error('mf_popular: this relation is not a model: it has ' || count(*)
                        || ' rows of kind ''model'', not 1. Pass a table made by mf_fit.')
                when any_value(m.info ->> 'format')::integer > 1
                    then error('mf_popular: this model has format '
                        || any_value(m.info ->> 'format')
                        || ', made by a newer duckmf. Upgrade duckmf.')
                when coalesce(k < 1, true)
                    then error('mf_popular: k is ' || coalesce(k::varchar, 'NULL')
                        || '. Give the length of the list, at least 1.')
                else k::bigint
            end as k
        from rows m
        where m.kind = 'model'
    ),
    items as not materialized (
        select
            m.item_id, m.ratings as score,
            row_number() over (order by m.ratings desc, m.item_id) as rank
        from rows m
        where m.kind = 'item'
    )
    select i.item_id, i.score, i.rank from items i, head h where i.rank <= h.k
    union all
    select null, null, null from head h where h.k is null
    order by 3
);
comment on macro table mf_popular is 'The items of a model with the most training ratings';
