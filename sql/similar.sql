-- mf_similar_items(model, item_id := NULL, k := 10)
-- mf_similar_users(model, user_id := NULL, k := 10)
--
-- The k items (or users) that a model holds for most alike to one of them, or to each of them.
-- Plain SQL; needs no Python.
--
--   from mf_similar_items(films, 318);
--   create view alike as from mf_similar_items(films);     -- from alike where item_id = 318
--
-- Returns a row for each item and rank, ordered by both:
--   item_id, similar_item_id  the ids as they were trained on; in mf_similar_users user_id and
--                             similar_user_id
--   similarity FLOAT          the cosine of the angle between their factors, -1 to 1; biases do not
--                             count
--   rank BIGINT               1 to k without gaps
--
-- model             a relation made by mf_fit with an algorithm that has factors, also a filtered
--                   one: only what it holds is listed
-- item_id, user_id  what to compare with, or NULL for all of the model
-- k                 the length of a list, 1 to 100000; shorter where no more are left
--
-- Nothing is similar to itself, and what is equally similar is ordered by id. An id that the model
-- does not know gets no rows. Factors that are all zero (no ratings) have no direction: such an
-- item gets no rows and is in no list.

-- A macro, since a database file may forget that a CTE is not to be materialized.
create or replace macro mf__similar_items(model) as table
select
    r.item_id, r.code, r.factors, sqrt(list_dot_product(r.factors, r.factors)) as length
from (
    select m.item_id, m.code, list_concat(m.factors::float[], []) as factors
    from (
        from query_table(model)
        union all by name
        select null::varchar as kind, null as item_id, null as code, null as factors where false
    ) m
    where m.kind = 'item'
) r;
comment on macro table mf__similar_items is
    'The items of a model with the length of their factors, for mf_similar_items';

create or replace macro mf_similar_items(model, item_id := null, k := 10) as table
from (
    with
    rows as not materialized (
        from query_table(model)
        union all by name
        select null::varchar as kind, null as info where false
    ),
    mf__head as not materialized (
        select
            case
                when count(*) <> 1
                    then error('mf_similar_items: this relation is not a model: it has '
                        || count(*) || ' rows of kind ''model'', not 1. '
                        || 'Pass a table made by mf_fit.')
                when any_value(m.info ->> 'format')::integer > 1
                    then error('mf_similar_items: this model has format '
                        || any_value(m.info ->> 'format')
                        || ', made by a newer duckmf. Upgrade duckmf.')
                when any_value(m.info ->> '$.options.n_factors') is null
                    then error('mf_similar_items: algorithm ''' || any_value(m.info ->> 'algorithm')
                        || ''' learns no factors. Train with one that does, such as ''als''.')
                when coalesce(k not between 1 and 100000, true)
                    then error('mf_similar_items: k is ' || coalesce(k::varchar, 'NULL')
                        || '. Give the length of a list, from 1 to 100000.')
                else k::bigint
            end as k
        from rows m
        where m.kind = 'model'
    ),
    mf__pairs as not materialized (
        select
            a.item_id, b.item_id as other, h.k,
            list_dot_product(a.factors, b.factors) / (a.length * b.length) as cosine
        from mf__head h, mf__similar_items(model) a, mf__similar_items(model) b
        where a.length > 0 and b.length > 0 and a.code <> b.code
            and (item_id is null or a.item_id = item_id)
    ),
    -- the least of what is turned round, so that of equals the lower id comes first
    best as not materialized (
        select
            p.item_id,
            min(
                struct_pack(
                    minus := case
                        when p.cosine > 1 then -1 when p.cosine < -1 then 1 else -p.cosine
                    end::float,
                    item_id := p.other
                ),
                p.k
            ) as picks
        from mf__pairs p
        group by p.item_id
    ),
    ranked as not materialized (
        select b.item_id, unnest(b.picks) as pick, generate_subscripts(b.picks, 1) as rank
        from best b
    )
    select
        r.item_id, r.pick.item_id as similar_item_id, 0 - r.pick.minus as similarity, r.rank
    from ranked r
    union all
    select null, null, null, null from mf__head h where h.k is null
    order by 1, 4
);
comment on macro table mf_similar_items is 'The k items most similar to one item or to each item';

create or replace macro mf__similar_users(model) as table
select
    r.user_id, r.code, r.factors, sqrt(list_dot_product(r.factors, r.factors)) as length
from (
    select m.user_id, m.code, list_concat(m.factors::float[], []) as factors
    from (
        from query_table(model)
        union all by name
        select null::varchar as kind, null as user_id, null as code, null as factors where false
    ) m
    where m.kind = 'user'
) r;
comment on macro table mf__similar_users is
    'The users of a model with the length of their factors, for mf_similar_users';

create or replace macro mf_similar_users(model, user_id := null, k := 10) as table
from (
    with
    rows as not materialized (
        from query_table(model)
        union all by name
        select null::varchar as kind, null as info where false
    ),
    mf__head as not materialized (
        select
            case
                when count(*) <> 1
                    then error('mf_similar_users: this relation is not a model: it has '
                        || count(*) || ' rows of kind ''model'', not 1. '
                        || 'Pass a table made by mf_fit.')
                when any_value(m.info ->> 'format')::integer > 1
                    then error('mf_similar_users: this model has format '
                        || any_value(m.info ->> 'format')
                        || ', made by a newer duckmf. Upgrade duckmf.')
                when any_value(m.info ->> '$.options.n_factors') is null
                    then error('mf_similar_users: algorithm ''' || any_value(m.info ->> 'algorithm')
                        || ''' learns no factors. Train with one that does, such as ''als''.')
                when coalesce(k not between 1 and 100000, true)
                    then error('mf_similar_users: k is ' || coalesce(k::varchar, 'NULL')
                        || '. Give the length of a list, from 1 to 100000.')
                else k::bigint
            end as k
        from rows m
        where m.kind = 'model'
    ),
    mf__pairs as not materialized (
        select
            a.user_id, b.user_id as other, h.k,
            list_dot_product(a.factors, b.factors) / (a.length * b.length) as cosine
        from mf__head h, mf__similar_users(model) a, mf__similar_users(model) b
        where a.length > 0 and b.length > 0 and a.code <> b.code
            and (user_id is null or a.user_id = user_id)
    ),
    -- the least of what is turned round, so that of equals the lower id comes first
    best as not materialized (
        select
            p.user_id,
            min(
                struct_pack(
                    minus := case
                        when p.cosine > 1 then -1 when p.cosine < -1 then 1 else -p.cosine
                    end::float,
                    user_id := p.other
                ),
                p.k
            ) as picks
        from mf__pairs p
        group by p.user_id
    ),
    ranked as not materialized (
        select b.user_id, unnest(b.picks) as pick, generate_subscripts(b.picks, 1) as rank
        from best b
    )
    select
        r.user_id, r.pick.user_id as similar_user_id, 0 - r.pick.minus as similarity, r.rank
    from ranked r
    union all
    select null, null, null, null from mf__head h where h.k is null
    order by 1, 4
);
comment on macro table mf_similar_users is 'The k users most similar to one user or to each user';
