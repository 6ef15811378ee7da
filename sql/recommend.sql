create or replace macro mf_recommend(
    model, user_id := NULL, k := 10, exclude_seen := true, min_ratings := 1
) as table
from (
    with
    rows as not materialized (
        from query_table(model)
        union all by name
        select
            NULL::VARCHAR as kind, NULL as user_id, NULL as item_id, NULL as code, NULL as ratings,
            NULL as bias, NULL as factors, NULL as seen, NULL as info
        where false
    ),
    head as not materialized (
        select
            coalesce(any_value(m.bias), 0) as mu,
            case
                when count(*) <> 1
                    then error('mf_recommend: this relation is not a model: it has ' || count(*)
                        || ' rows of kind ''model'', not 1. Pass a table made by mf_fit.')
                when any_value(m.info ->> 'format')::INTEGER > 1
                    then error('mf_recommend: this model has format '
                        || any_value(m.info ->> 'format')
                        || ', made by a newer duckmf. Upgrade duckmf.')
                when coalesce(k not between 1 and 100000, true)
                    then error('mf_recommend: k is ' || coalesce(k::VARCHAR, 'NULL')
                        || '. Give the length of a list, from 1 to 100000.')
                else k::BIGINT
            end as k
        from rows m
        where m.kind = 'model'
    ),
    items as not materialized (
        select
            m.code, m.ratings, m.bias, m.factors::FLOAT[] as factors,
            row_number() over (order by m.item_id) as place
        from rows m
        where m.kind = 'item'
    ),
    users as not materialized (
        select
            m.user_id, m.bias, m.factors::FLOAT[] as factors,
            coalesce(m.ratings, 0) >= coalesce(min_ratings, 1)
                and (m.bias is not NULL or m.factors is not NULL) as personal,
            case
                when not exclude_seen or (m.seen is NULL and coalesce(m.ratings, 0) = 0) then []
                when m.seen is NULL
                    then error('mf_recommend: the model does not hold what its users have seen. '
                        || 'Pass exclude_seen := false or train with keep_seen := true.')
                else m.seen::INTEGER[]
            end as seen
        from rows m
        where m.kind = 'user' and (user_id is NULL or m.user_id = user_id)
    ),
    strangers as not materialized (
        select u.user_id, u.seen from users u where not u.personal
        union all
        select user_id, [] where user_id is not NULL and not exists (from users)
    ),
    popular as not materialized (
        select
            list(struct_pack(score := i.ratings::FLOAT, before := -i.place, code := i.code)
                order by i.ratings desc, i.place) as candidates
        from items i
    ),
    lists as not materialized (
        select
            u.user_id, 'model' as source, any_value(h.k) as k, any_value(u.seen) as seen,
            max(
                struct_pack(
                    score := (h.mu + coalesce(u.bias, 0) + coalesce(i.bias, 0)
                        + coalesce(list_dot_product(u.factors, i.factors), 0))::FLOAT,
                    before := -i.place,
                    code := i.code
                ),
                h.k + len(u.seen)
            ) as candidates
        from head h, users u, items i
        where u.personal
        group by u.user_id
        union all
        select s.user_id, 'popular', h.k, s.seen, p.candidates[:h.k + len(s.seen)]
        from head h, strangers s, popular p
    ),
    picks as not materialized (
        select
            l.user_id, l.source,
            list_filter(l.candidates, lambda c: not list_contains(l.seen, c.code))[:l.k] as items
        from lists l
    ),
    ranked as not materialized (
        select
            p.user_id, p.source, unnest(p.items) as item, generate_subscripts(p.items, 1) as rank
        from picks p
    )
    select r.user_id, i.item_id, r.item.score as score, r.rank, r.source
    from ranked r join rows i on i.kind = 'item' and i.code = r.item.code
    union all
    select NULL, NULL, NULL, NULL, NULL from head h where h.k is NULL
    order by 1, 4
);
comment on macro table mf_recommend is 'The k best items of one user or of all users of a model';

create or replace macro mf_popular(model, k := 10) as table
from (
    with
    rows as not materialized (
        from query_table(model)
        union all by name
        select NULL::VARCHAR as kind, NULL as item_id, NULL as ratings, NULL as info where false
    ),
    head as not materialized (
        select
            case
                when count(*) <> 1
                    then error('mf_popular: this relation is not a model: it has ' || count(*)
                        || ' rows of kind ''model'', not 1. Pass a table made by mf_fit.')
                when any_value(m.info ->> 'format')::INTEGER > 1
                    then error('mf_popular: this model has format '
                        || any_value(m.info ->> 'format')
                        || ', made by a newer duckmf. Upgrade duckmf.')
                when coalesce(k < 1, true)
                    then error('mf_popular: k is ' || coalesce(k::VARCHAR, 'NULL')
                        || '. Give the length of the list, at least 1.')
                else k::BIGINT
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
    select NULL, NULL, NULL from head h where h.k is NULL
    order by 3
);
comment on macro table mf_popular is 'The items of a model with the most training ratings';
