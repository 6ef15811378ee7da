-- mf_recommend, mf_similar_items and mf_similar_users for everyone at once. Need a duckmf connection
-- (Python), where they take the place of the plain macros: same parameters, same result, faster.
--
-- recommend.sql and similar.sql are their manual. Only lists for all users, or all items, are made
-- here, from blocked matrix products that keep k scores of a row; whatever is asked of one user, the
-- popular lists and all checks of arguments are left to plain SQL.
--
-- Items go to Python once in a statement, users in the vectors in which DuckDB scans them, so that a
-- filter on the users of a view reaches them first. Scores that may make it into a list are computed
-- a second time, rounded as list_dot_product rounds: the same numbers and ties as in plain SQL.

-- mf__ranking_of(caller, rows, cosine, risk): the number of a ranking of rows with id, code, weight and
-- factors, and the variances of both for a risk that is not 0, which mf__top takes; no row where there are
-- none. Ties go by id.
create or replace macro mf__ranking_of(caller, rows, cosine, risk) as table
select mf__answer(n.made.number, n.made.error) as ranking
from (
    select
        mf__lay_out(
            caller, current_connection_id()::bigint, current_query_id()::bigint,
            current_setting('threads')::integer, cosine, mf__fused(),
            l.codes, l.places, l.weights, l.factors, risk, l.bias_variances, l.variances
        ) as made
    from (
        select
            list(try_cast(r.code as integer)) as codes, list(r.place) as places,
            list(r.weight::float) as weights, list(r.factors::float[]) as factors,
            list(r.bias_variance) filter (where risk <> 0) as bias_variances,
            list(r.variances) filter (where risk <> 0) as variances
        from (
            select
                i.code, i.weight, i.factors, i.bias_variance, i.variances,
                (row_number() over (order by i.id asc nulls last) - 1)::integer as place
            from query_table(rows) i
        ) r
    ) l
    where l.codes is not null
) n;
comment on macro table mf__ranking_of is 'Items laid out to be ranked';

create or replace macro mf_recommend(
    model, user_id := null, k := 10, exclude_seen := true, min_ratings := 1, ts := null,
    risk := null
) as table
from (
    with
    mf__all as not materialized (
        select
            m.*,
            m.kind = 'user' and user_id is null
                and coalesce(m.ratings, 0) >= coalesce(min_ratings, 1)
                and (m.bias is not null or m.factors is not null)
                and (
                    not exclude_seen or m.seen is not null or coalesce(m.ratings, 0) = 0
                ) is not false as batched
        from mf__rows(model) m
    ),
    mf__rest as not materialized (
        select a.* exclude (batched) from mf__all a where a.batched is not true
    ),
    -- no row where an argument is wrong: plain SQL says it
    mf__start as materialized (
        select
            h.mu, h.t0, h.span, h.beta, mf__within(mf__seconds(ts), h.t0, h.t1) as t,
            mf__day(coalesce(mf__seconds(ts), h.t1)) as day, k::bigint as k, h.item_prior,
            mf__risk('mf_recommend', risk, h.noise is not null) as risk
        from mf__head_once(model, 'mf_recommend', true, true) h
        where user_id is null and h.valid and k between 1 and 100000
            and (ts is null or isfinite(mf__seconds(ts)))
    ),
    mf__items as not materialized (
        select
            m.item_id as id, m.code, m.factors,
            mf__item_bias(m.bias, m.temporal, h.t, h.t0, h.span) as weight,
            mf__bias_variance(m.uncertainty, h.item_prior) as bias_variance,
            mf__factor_variances(m.uncertainty, h.item_prior) as variances
        from mf__start h, mf__all m
        where m.kind = 'item'
    ),
    mf__ranking as materialized (
        from mf__ranking_of('mf_recommend', mf__items, false, (select h.risk from mf__start h))
    ),
    mf__picks as not materialized (
        select
            a.user_id,
            mf__top(
                r.ranking, h.k, h.mu + mf__user_bias(a.bias, a.temporal, h.t, h.day, h.beta),
                mf__user_factors(a.factors, a.temporal, h.t, h.beta),
                case when exclude_seen is not false then a.seen::integer[] end
            ) as made
        from mf__all a, mf__ranking r, mf__start h
        where a.batched
    ),
    mf__ranked as not materialized (
        select p.user_id, unnest(p.items) as item, generate_subscripts(p.items, 1) as rank
        from (
            select p.user_id, mf__answer(p.made.picks, p.made.error) as items from mf__picks p
        ) p
    )
    from mf__lists(mf__rest, user_id, k, exclude_seen, min_ratings, ts, risk)
    union all
    select r.user_id, i.item_id, r.item.score as score, r.rank, 'model' as source
    from mf__ranked r join mf__all i on i.kind = 'item' and i.code = r.item.code
    order by 1 asc nulls last, 4 asc nulls last
);
comment on macro table mf_recommend is 'The k best items of one user or of all users of a model';

-- mf__alike_all(...): mf__alike, by kernels where it is asked for each row.
create or replace macro mf__alike_all(caller, model, rows, kind, id, k) as table
with
mf__left as not materialized (from query_table(rows) r where id is not null),
mf__start as not materialized (
    select k::bigint as k
    from mf__head_once(model, caller, kind = 'user', kind = 'item') h
    where id is null and h.valid and k between 1 and 100000
),
mf__batch as not materialized (
    from (
        select
            r.*, mf__dot(caller, r.factors, r.factors) as weight, null::float as bias_variance,
            null::float[] as variances
        from mf__start h, query_table(rows) r
    ) r
    where r.weight > 0
),
mf__ranking as materialized (from mf__ranking_of(caller, mf__batch, true, 0)),
mf__picks as not materialized (
    select b.id, mf__top(r.ranking, h.k, b.weight, b.factors, [b.code]) as made
    from mf__batch b, mf__ranking r, mf__start h
),
mf__ranked as not materialized (
    select p.id, unnest(p.picks) as pick, generate_subscripts(p.picks, 1) as rank
    from (select p.id, mf__answer(p.made.picks, p.made.error) as picks from mf__picks p) p
)
from mf__alike(caller, model, mf__left, kind, id, k)
union all
select r.id, b.id as other, r.pick.score as similarity, r.rank
from mf__ranked r join mf__batch b on b.code = r.pick.code;
comment on macro table mf__alike_all is 'The rows of a model that are most like each of its rows';

create or replace macro mf_similar_items(model, item_id := null, k := 10) as table
from (
    with mf__rows as not materialized (
        select m.item_id as id, m.code::integer as code, m.factors
        from mf__items_of(model, 'mf_similar_items') m
    )
    select a.id as item_id, a.other as similar_item_id, a.similarity, a.rank
    from mf__alike_all('mf_similar_items', model, mf__rows, 'item', item_id, k) a
    order by 1 asc nulls last, 4 asc nulls last
);
comment on macro table mf_similar_items is 'The k items most similar to one item or to each item';

create or replace macro mf_similar_users(model, user_id := null, k := 10) as table
from (
    with mf__rows as not materialized (
        select m.user_id as id, m.code::integer as code, m.factors
        from mf__users_of(model, 'mf_similar_users') m
    )
    select a.id as user_id, a.other as similar_user_id, a.similarity, a.rank
    from mf__alike_all('mf_similar_users', model, mf__rows, 'user', user_id, k) a
    order by 1 asc nulls last, 4 asc nulls last
);
comment on macro table mf_similar_users is 'The k users most similar to one user or to each user';
