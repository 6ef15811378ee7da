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

create or replace macro mf_similar_items(model, item_id := null, k := 10) as table
from (
    with
    rows as not materialized (
        from query_table(model)
        union all by name
        select
            null::varchar as kind, null as item_id, null as code, null as factors, null as info
        where false
    ),
    head as not materialized (
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
    items as not materialized (
        select
            m.item_id, m.code,
            list_concat(m.factors::float[], []) as factors,
            sqrt(list_dot_product(
                list_concat(m.factors::float[], []), list_concat(m.factors::float[], [])
            )) as length
        from rows m
        where m.kind = 'item'
    ),
    others as not materialized (
        select i.code, i.factors, i.length, row_number() over (order by i.item_id) as place
        from items i
        where i.length > 0
    ),
    best as not materialized (
        select
            i.item_id,
            max(
                struct_pack(
                    similarity := greatest(-1, least(1,
                        list_dot_product(i.factors, o.factors) / (i.length * o.length)
                    ))::float,
                    before := -o.place,
                    code := o.code
                ),
                h.k
            ) as picks
        from head h, items i, others o
        where i.length > 0 and i.code <> o.code and (item_id is null or i.item_id = item_id)
        group by i.item_id
    ),
    ranked as not materialized (
        select b.item_id, unnest(b.picks) as pick, generate_subscripts(b.picks, 1) as rank
        from best b
    )
    select r.item_id, m.item_id as similar_item_id, r.pick.similarity as similarity, r.rank
    from ranked r join rows m on m.kind = 'item' and m.code = r.pick.code
    union all
    select null, null, null, null from head h where h.k is null
    order by 1, 4
);
comment on macro table mf_similar_items is 'The k items most similar to one item or to each item';

create or replace macro mf_similar_users(model, user_id := null, k := 10) as table
from (
    with
    rows as not materialized (
        from query_table(model)
        union all by name
        select
            null::varchar as kind, null as user_id, null as code, null as factors, null as info
        where false
    ),
    head as not materialized (
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
    users as not materialized (
        select
            m.user_id, m.code,
            list_concat(m.factors::float[], []) as factors,
            sqrt(list_dot_product(
                list_concat(m.factors::float[], []), list_concat(m.factors::float[], [])
            )) as length
        from rows m
        where m.kind = 'user'
    ),
    others as not materialized (
        select i.code, i.factors, i.length, row_number() over (order by i.user_id) as place
        from users i
        where i.length > 0
    ),
    best as not materialized (
        select
            i.user_id,
            max(
                struct_pack(
                    similarity := greatest(-1, least(1,
                        list_dot_product(i.factors, o.factors) / (i.length * o.length)
                    ))::float,
                    before := -o.place,
                    code := o.code
                ),
                h.k
            ) as picks
        from head h, users i, others o
        where i.length > 0 and i.code <> o.code and (user_id is null or i.user_id = user_id)
        group by i.user_id
    ),
    ranked as not materialized (
        select b.user_id, unnest(b.picks) as pick, generate_subscripts(b.picks, 1) as rank
        from best b
    )
    select r.user_id, m.user_id as similar_user_id, r.pick.similarity as similarity, r.rank
    from ranked r join rows m on m.kind = 'user' and m.code = r.pick.code
    union all
    select null, null, null, null from head h where h.k is null
    order by 1, 4
);
comment on macro table mf_similar_users is 'The k users most similar to one user or to each user';
