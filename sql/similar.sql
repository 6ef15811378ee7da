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

-- mf__alike(caller, model, rows, kind, id, k): for the row of an id, or for each row if it is NULL, the k
-- rows with the greatest cosine. rows: id, code, factors of what has factors.
create or replace macro mf__alike(caller, model, rows, kind, id, k) as table
with
mf__head as materialized (
    select
        case
            when not h.valid then null
            when h.facts.n_factors is null
                then error(caller || ': algorithm ''' || h.facts.algorithm
                    || ''' learns no factors. Train with one that does, such as ''als''.')
            else mf__k(caller, k)
        end as k
    from mf__head_once(model, caller, kind = 'user', kind = 'item') h
),
mf__lengths as not materialized (
    from (
        select r.id, r.factors, sqrt(mf__dot(caller, r.factors, r.factors)) as length
        from query_table(rows) r
    ) r
    where mf__is_score(caller, r.length)
),
-- the least of what is turned round, so that of equals the lower id comes first
mf__best as (
    select
        a.id,
        min(
            struct_pack(
                minus := -greatest(
                    least(mf__dot(caller, a.factors, b.factors) / (a.length * b.length), 1), -1
                )::float,
                id := b.id
            ),
            h.k
        ) as picks
    from mf__head h, mf__lengths a, mf__lengths b
    where a.length > 0 and b.length > 0 and a.id <> b.id and (id is null or a.id = id)
    group by a.id
),
mf__ranked as (
    select b.id, unnest(b.picks) as pick, generate_subscripts(b.picks, 1) as rank
    from mf__best b
)
select r.id, r.pick.id as other, 0 - r.pick.minus as similarity, r.rank
from mf__ranked r
union all
select null, null, null, null from mf__head h where h.k is null;
comment on macro table mf__alike is 'The rows of a model that are most like each of its rows';

create or replace macro mf_similar_items(model, item_id := null, k := 10) as table
from (
    with mf__rows as not materialized (
        select m.item_id as id, m.code, m.factors from mf__items_of(model, 'mf_similar_items') m
    )
    select a.id as item_id, a.other as similar_item_id, a.similarity, a.rank
    from mf__alike('mf_similar_items', model, mf__rows, 'item', item_id, k) a
    order by 1 asc nulls last, 4 asc nulls last
);
comment on macro table mf_similar_items is 'The k items most similar to one item or to each item';

create or replace macro mf_similar_users(model, user_id := null, k := 10) as table
from (
    with mf__rows as not materialized (
        select m.user_id as id, m.code, m.factors from mf__users_of(model, 'mf_similar_users') m
    )
    select a.id as user_id, a.other as similar_user_id, a.similarity, a.rank
    from mf__alike('mf_similar_users', model, mf__rows, 'user', user_id, k) a
    order by 1 asc nulls last, 4 asc nulls last
);
comment on macro table mf_similar_users is 'The k users most similar to one user or to each user';
