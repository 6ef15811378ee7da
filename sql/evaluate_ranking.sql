-- mf_evaluate_ranking_per_user(model, test, user_id, item_id, k := 10, exclude_seen := true,
--                              ts := NULL, risk := NULL)
--
-- How well the list of each user of test holds what is in test. Plain SQL; needs no Python.
--
--   from mf_evaluate_ranking_per_user(films, held_out, user_id, movie_id);
--
-- The list of a user is that of mf_recommend: the best k of all items of the model without the
-- user's training items, and the popular ones for a user whom the model does not know (or who has
-- no training rating). No negatives are sampled. Relevant are the user's items in test, each
-- once. An item that the model does not have, or that the user has seen, cannot be recommended:
-- it counts as a relevant item ranked below all others.
--
-- Returns a row for each user of test, ordered by user_id. rel(r) is 1 where the item at rank r is
-- relevant, else 0; hits(r) the relevant items among the first r; n all relevant items:
--   user_id, n_relevant  the user and n
--   precision            hits(k) / k, also where the list is shorter
--   recall               hits(k) / n
--   ndcg                 sum of rel(r) / log2(r + 1), divided by that sum for the best possible list
--                        (Jarvelin and Kekalainen 2002)
--   map                  sum of rel(r) hits(r) / r, divided by n: the average precision at k
--   mrr                  1 / the rank of the first relevant item, 0 if there is none
--   hit_rate             1 if there is a relevant item, else 0
--   auc                  the chance that a relevant item scores higher than another one, over all
--                        items that can be recommended; equal scores count half. NULL where there
--                        is no other item
--   source               'model' or 'popular', as in mf_recommend
--   items                the list: item ids, best first
-- These are the measures of ranx. Those of implicit divide by least(k, n) instead of k (precision)
-- and n (map), and its auc guesses everything below rank k.
--
-- model             a relation made by mf_fit, also a filtered one
-- test              a table, view or CTE with at least one row; of explicit ratings, keep only what
--                   a user liked, such as WHERE rating >= 4
-- user_id, item_id  expressions over the columns of test, never NULL
-- k                 the length of a list, 1 to 100000
-- exclude_seen      leave out what the user rated in training
-- ts                the time of all lists, as in mf_recommend: one value, not a column of test. Left
--                   out, or NULL, it is the end of the time that the model was trained on
-- risk              as in mf_recommend: how items are ranked, where the model has uncertainty
--
-- The auc needs no sort: scores are counted into the bins that the scores of the relevant items
-- divide. What a user has seen is left out by a hash join, so that a list costs the same however long
-- it is.

-- mf__rankings(caller, model, test, checked, k, exclude_seen, ts, risk): the measures of each user of test,
-- and what mf_evaluate_ranking counts, in no order. test: a relation with mf__user and mf__item; checked:
-- true, or an error, after the checks of test.
create or replace macro mf__rankings(
    caller, model, test, checked, k, exclude_seen, ts, risk
) as table
with
mf__head as (
    select
        h.mu, h.t0, h.span, h.beta, h.facts.users::double as users,
        mf__within(mf__seconds(ts), h.t0, h.t1) as t,
        mf__day(coalesce(mf__seconds(ts), h.t1)) as day, h.item_prior,
        mf__risk(caller, risk, h.noise is not null) as risk,
        case
            when h.valid and mf__is_time(caller, ts) and checked then mf__k(caller, k)
        end as k
    from mf__head_once(model, caller, true, true) h
),
mf__items as (from mf__ranked_items(model, mf__head, caller)),
mf__pairs as (
    select distinct t.mf__user as u, t.mf__item as i from query_table(test) t
),
mf__known as (from mf__users_of(model, caller)),
mf__people as (
    select
        p.u, coalesce(m.ratings, 0) = 0 as cold,
        case
            when exclude_seen and m.ratings > 0 and m.seen is null
                then error(caller || ': the model does not hold what its users have seen. '
                    || 'Pass exclude_seen := false or train with keep_seen := true.')
            else m.seen::integer[]
        end as seen,
        (h.mu + mf__user_bias(m.bias, m.temporal, h.t, h.day, h.beta))::float as base,
        mf__user_factors(m.factors, m.temporal, h.t, h.beta) as factors,
        case when h.risk <> 0 then mf__squares(m.factors) end as squares, h.risk,
        mf__list_source(m.bias, m.factors, m.source, m.ratings, 1) <> 'popular' as personal
    from (select distinct p.u from mf__pairs p) p
        cross join mf__head h
        left join mf__known m on m.user_id = p.u
),
mf__seen as not materialized (select p.u, unnest(p.seen) as code from mf__people p),
-- the items of test, and whether they can be recommended at all
mf__relevant as (
    select
        p.u, p.i, coalesce(i.ratings, 0) = 0 as cold, s.code is not null as seen,
        i.code is not null and not coalesce(exclude_seen and s.code is not null, false) as listable,
        mf__rank_score(
            caller, u.personal, u.base, i.bias, u.factors, i.factors, i.ratings,
            u.risk, u.squares, i.bias_variance, i.variances
        ) as score
    from mf__pairs p
        join mf__people u on u.u = p.u
        left join mf__items i on i.item_id = p.i
        left join mf__seen s on s.u = p.u and s.code = i.code
),
mf__counts as (
    select
        r.u, count(*) as n, count(*) filter (where r.seen) as seen_pairs,
        count(*) filter (where r.cold) as cold_items,
        list(r.score) filter (where r.listable) as scores
    from mf__relevant r
    group by r.u
),
mf__bins as (
    select
        c.*, len(c.scores) as good, mf__score_bins(c.scores) as bins,
        -- how many score more than a bin, where equal ones count half
        list_transform(
            bins,
            lambda b: len(list_filter(c.scores, lambda s: s > b))
                + len(list_filter(c.scores, lambda s: s = b)) * 0.5::double
        ) as above
    from mf__counts c
),
mf__lists as (
    select
        s.u, count(*) as n, mf__in_each(s.score, s.bins) as counts,
        min(
            struct_pack(minus := -s.score, item_id := s.item_id, ratings := s.ratings), s.k
        ) as picks
    from (
        select
            u.u, i.item_id, i.ratings, coalesce(b.bins, []) as bins, h.k,
            mf__rank_score(
                caller, u.personal, u.base, i.bias, u.factors, i.factors, i.ratings,
                u.risk, u.squares, i.bias_variance, i.variances
            ) as score
        from mf__head h
            cross join mf__items i
            cross join mf__people u
            join mf__bins b on b.u = u.u
            -- no anti join: DuckDB 1.5 cannot make one below lateral columns
            left join (select s.u, s.code from mf__seen s where exclude_seen) s
                on s.u = u.u and s.code = i.code
        where s.code is null
    ) s
    where mf__is_score(caller, s.score)
    group by s.u
),
mf__ranked as (
    select l.u, unnest(l.picks) as item, generate_subscripts(l.picks, 1) as rank from mf__lists l
),
mf__hits as (
    select r.u, list(r.rank order by r.rank asc nulls last) as ranks
    from mf__ranked r join mf__relevant g on g.u = r.u and g.i = r.item.item_id
    group by r.u
)
select
    p.u as user_id, b.n as n_relevant, coalesce(t.ranks, []) as hits,
    len(hits) / h.k::double as precision,
    len(hits) / b.n::double as recall,
    coalesce(list_sum(list_transform(hits, lambda x: 1 / log2(x + 1))), 0)
        / list_sum(list_transform(range(least(h.k, b.n)), lambda x: 1 / log2(x + 2))) as ndcg,
    coalesce(list_sum(list_transform(hits, lambda x, place: place / x::double)), 0) / b.n as map,
    coalesce(1 / hits[1]::double, 0) as mrr,
    (len(hits) > 0)::integer as hit_rate,
    coalesce(list_dot_product(l.counts, b.above) - b.good * b.good * 0.5::double, 0)
        / nullif(b.n * (l.n - coalesce(b.good, 0)), 0) as auc,
    case when p.personal then 'model' else 'popular' end as source,
    coalesce(list_transform(l.picks, lambda x: x.item_id), []) as items,
    list_sum(list_transform(l.picks, lambda x: -log2(greatest(x.ratings, 1) / h.users))) as novelty,
    p.cold, case when p.cold then b.n else b.cold_items end as cold_pairs, b.seen_pairs
from mf__head h
    cross join mf__people p
    join mf__bins b on b.u = p.u
    left join mf__lists l on l.u = p.u
    left join mf__hits t on t.u = p.u
where h.k is not null;
comment on macro table mf__rankings is 'The measures of the list of each user of test, in no order';

-- mf__tested(caller, test): one row, true or an error: whether test has rows, and each has its ids.
create or replace macro mf__tested(caller, test) as table
select
    mf__has_rows(caller, count(*)) and mf__has_ids(
        caller, 'test', count(t.mf__user), count(t.mf__item), count(*)
    ) as checked
from query_table(test) t;
comment on macro table mf__tested is 'Whether test has rows, and each has its ids';

create or replace macro mf_evaluate_ranking_per_user(
    model, test, user_id, item_id, k := 10, exclude_seen := true, ts := null, risk := null
) as table
from (
    with
    mf__test as not materialized (
        select user_id as mf__user, item_id as mf__item from query_table(test)
    )
    select
        r.user_id, r.n_relevant, r.precision, r.recall, r.ndcg, r.map, r.mrr, r.hit_rate, r.auc,
        r.source, r.items
    from mf__rankings(
        'mf_evaluate_ranking_per_user', model, mf__test,
        (select t.checked from mf__tested('mf_evaluate_ranking_per_user', mf__test) t),
        k, exclude_seen, ts, risk
    ) r
    order by 1 asc nulls last
);
comment on macro table mf_evaluate_ranking_per_user is
    'How well the list of each user holds the items of test';

-- mf_evaluate_ranking(model, test, user_id, item_id, k := 10, exclude_seen := true, ts := NULL,
--                     risk := NULL)
--
-- How well a model's lists hold what is in test. Plain SQL; needs no Python.
--
--   from mf_evaluate_ranking(films, liked, user_id, movie_id);
--
-- Returns one row:
--   precision, recall, ndcg, map, mrr, hit_rate, auc
--                        means over the users of test, as defined above; cold users, who get the
--                        popular list, count like all others
--   coverage             share of the model's items that are in at least one list
--   novelty              mean of -log2(share of the training users who rated the item) over all
--                        items in all lists; an item without training ratings counts as if it
--                        had one (Zhou et al. 2010, Vargas and Castells 2011)
--   n, users, items      pairs (each once), users and items of test
--   cold_users           users of test without training ratings; cold_items likewise
--   cold_pairs           pairs whose user or item is cold
--   seen_pairs           pairs that were training data
--   users_without_test   users with training ratings, but none in test: they count nowhere
--
-- The parameters are those of mf_evaluate_ranking_per_user.

create or replace macro mf_evaluate_ranking(
    model, test, user_id, item_id, k := 10, exclude_seen := true, ts := null, risk := null
) as table
from (
    with
    mf__test as not materialized (
        select user_id as mf__user, item_id as mf__item from query_table(test)
    ),
    mf__users as (
        from mf__rankings(
            'mf_evaluate_ranking', model, mf__test,
            (select t.checked from mf__tested('mf_evaluate_ranking', mf__test) t),
            k, exclude_seen, ts, risk
        )
    ),
    mf__items as (
        select m.item_id, coalesce(m.ratings, 0) = 0 as cold from mf__items_of(model, 'mf_evaluate_ranking') m
    ),
    -- in order, so that the same numbers have the same sum
    mf__means as (
        select
            avg(u.precision order by u.user_id asc nulls last) as precision,
            avg(u.recall order by u.user_id asc nulls last) as recall,
            avg(u.ndcg order by u.user_id asc nulls last) as ndcg,
            avg(u.map order by u.user_id asc nulls last) as map,
            avg(u.mrr order by u.user_id asc nulls last) as mrr,
            avg(u.hit_rate order by u.user_id asc nulls last) as hit_rate,
            avg(u.auc order by u.user_id asc nulls last) as auc,
            sum(u.novelty order by u.user_id asc nulls last)
                / nullif(sum(len(u.items)), 0)::double as novelty,
            sum(u.n_relevant)::bigint as n, count(*) as users,
            count(*) filter (where u.cold) as cold_users,
            sum(u.cold_pairs)::bigint as cold_pairs, sum(u.seen_pairs)::bigint as seen_pairs
        from mf__users u
    ),
    mf__warm as (select count(*) as n from mf__rows(model) m where m.kind = 'user' and m.ratings > 0),
    mf__items_tested as (
        select count(*) as items, count(*) filter (where i.cold is not false) as cold_items
        from (select distinct t.mf__item as i from mf__test t) t left join mf__items i on i.item_id = t.i
    )
    select
        a.precision, a.recall, a.ndcg, a.map, a.mrr, a.hit_rate, a.auc,
        (
            select count(distinct l.item_id)
            from (select unnest(u.items) as item_id from mf__users u) l
        ) / nullif((select count(*) from mf__items), 0)::double as coverage,
        a.novelty, a.n, a.users, t.items, a.cold_users, t.cold_items, a.cold_pairs, a.seen_pairs,
        w.n - (a.users - a.cold_users) as users_without_test
    from mf__means a, mf__items_tested t, mf__warm w
);
comment on macro table mf_evaluate_ranking is
    'How well the lists of a model hold the items of test';
