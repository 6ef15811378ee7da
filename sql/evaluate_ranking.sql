-- mf_evaluate_ranking_per_user(model, test, user_id, item_id, k := 10, exclude_seen := true,
--                              ts := NULL)
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
--
-- The auc needs no sort: scores are counted into the bins that the scores of the relevant items
-- divide, and the seen items are taken off the counts.

create or replace macro mf_evaluate_ranking_per_user(
    model, test, user_id, item_id, k := 10, exclude_seen := true, ts := null
) as table
from (
    with
    mf__test as not materialized (
        select user_id as mf__user, item_id as mf__item from query_table(test)
    ),
    mf__model as not materialized (
        from query_table(model)
        union all by name
        select
            null::varchar as kind, null as user_id, null as item_id, null as code, null as ratings,
            null as bias, null as factors, null as seen,
            null::struct(
                t0 double, t1 double, beta float, drift float,
                days integer[], day_bias float[], bin_bias float[], factor_drift float[]
            ) as temporal,
            null as info
        where false
    ),
    sizes as not materialized (
        select
            count(*) as n,
            count(*) - count(t.mf__user) as null_users,
            count(*) - count(t.mf__item) as null_items
        from mf__test t
    ),
    mf__head as materialized (
        select
            h.mu, h.t0, nullif(h.t1 - h.t0, 0) as span, h.beta,
            least(greatest(coalesce(h.seconds, h.t1), h.t0), h.t1) as t,
            try_cast(floor(coalesce(h.seconds, h.t1) / 86400) as integer) as day,
            case
                when ts is null or isfinite(h.seconds) then h.k
                else error('mf_evaluate_ranking: ts is ''' || ts::varchar || ''', which is no '
                    || 'time. Give a TIMESTAMP, a DATE or seconds since 1970.')
            end as k
        from (
            select
                coalesce(any_value(m.bias), 0) as mu,
                any_value(m.temporal.t0) as t0, any_value(m.temporal.t1) as t1,
                any_value(m.temporal.beta)::double as beta,
                case
                    when typeof(ts) = 'TIMESTAMP WITH TIME ZONE'
                        then epoch(try_cast(ts as timestamptz))
                    else coalesce(try_cast(ts as double), epoch(try_cast(ts as timestamp)))
                end as seconds,
                case
                    when count(m.kind) <> 1
                        then error('mf_evaluate_ranking: this relation is not a model: it has '
                            || count(m.kind) || ' rows of kind ''model'', not 1. '
                            || 'Pass a table made by mf_fit.')
                    when any_value(m.info ->> 'format')::integer > 1
                        then error('mf_evaluate_ranking: this model has format '
                            || any_value(m.info ->> 'format')
                            || ', made by a newer duckmf. Upgrade duckmf.')
                    when coalesce(k not between 1 and 100000, true)
                        then error('mf_evaluate_ranking: k is ' || coalesce(k::varchar, 'NULL')
                            || '. Give the length of a list, from 1 to 100000.')
                    when any_value(s.n) = 0
                        then error('mf_evaluate_ranking: test has no rows. '
                            || 'Give the rows that were held out.')
                    when any_value(s.null_users) > 0
                        then error('mf_evaluate_ranking: user_id is NULL in '
                            || any_value(s.null_users) || ' of ' || any_value(s.n)
                            || ' rows. Add WHERE ... IS NOT NULL to test.')
                    when any_value(s.null_items) > 0
                        then error('mf_evaluate_ranking: item_id is NULL in '
                            || any_value(s.null_items) || ' of ' || any_value(s.n)
                            || ' rows. Add WHERE ... IS NOT NULL to test.')
                    else k::bigint
                end as k
            from sizes s left join mf__model m on m.kind = 'model'
        ) h
    ),
    items as not materialized (
        select
            m.item_id, m.code, m.ratings, m.bias,
            list_concat(m.factors::float[], []) as factors,
            m.temporal.bin_bias as bins,
            row_number() over (order by m.item_id) as place
        from mf__model m
        where m.kind = 'item'
    ),
    -- the items as they are at time t
    items_then as not materialized (
        select
            i.code, i.place, i.ratings, i.factors,
            case
                when i.bins is null then i.bias
                else coalesce(i.bias, 0) + i.bins[
                    1 + least(
                        len(i.bins) - 1, coalesce(floor(len(i.bins) * (h.t - h.t0) / h.span), 0)
                    )::integer
                ]
            end::float as bias
        from mf__head h, items i
    ),
    relevant as not materialized (
        select p.u, count(*) as n, list(i.code) filter (where i.code is not null) as codes
        from (select distinct t.mf__user as u, t.mf__item as i from mf__test t) p
            left join items i on i.item_id = p.i
        group by p.u
    ),
    mf__users as materialized (
        select
            r.u, r.n, coalesce(r.codes, []) as relevant,
            coalesce(
                sign(h.t - m.temporal.t0) * (abs(h.t - m.temporal.t0) / 86400) ^ h.beta, 0
            ) as mf__dev,
            case
                when m.temporal is null then m.bias
                else coalesce(m.bias, 0) + coalesce(m.temporal.drift, 0) * mf__dev
                    + coalesce(m.temporal.day_bias[list_position(m.temporal.days, h.day)], 0)
            end::float as bias,
            case
                when m.temporal.factor_drift is null
                    then list_concat(m.factors::float[], [])
                else list_transform(
                    m.factors::float[], lambda p, f: p + mf__dev * m.temporal.factor_drift[f]
                )
            end::float[] as factors,
            (coalesce(m.ratings, 0) > 0 or coalesce(m.info ->> 'source' = 'content', false))
                and (m.bias is not null or m.factors is not null) as personal,
            case
                when not exclude_seen or (m.seen is null and coalesce(m.ratings, 0) = 0) then []
                when m.seen is null
                    then error('mf_evaluate_ranking: the model does not hold what its users have '
                        || 'seen. Pass exclude_seen := false or train with keep_seen := true.')
                else m.seen::integer[]
            end as seen
        from mf__head h, relevant r left join mf__model m on m.kind = 'user' and m.user_id = r.u
    ),
    marked as not materialized (
        select u.u, unnest(u.relevant) as code, true as is_relevant from mf__users u
        union all
        select u.u, unnest(u.seen), false from mf__users u
    ),
    -- of the relevant and the seen items alone
    mf__few_scores as materialized (
        select
            u.u,
            m.is_relevant,
            case
                when u.personal
                    then (h.mu + coalesce(u.bias, 0) + coalesce(i.bias, 0)
                        + case
                            when len(u.factors) > 0 and len(i.factors) > 0
                                then list_dot_product(u.factors, i.factors)
                            else 0
                        end)::float
                else i.ratings::float
            end as score
        from mf__head h, marked m
            join mf__users u on u.u = m.u
            join items_then i on i.code = m.code
        where not (m.is_relevant and list_contains(u.seen, m.code))
    ),
    -- A score s falls into the first bin b with s <= b; of the relevant items, `above` score more.
    mf__bins as materialized (
        select
            r.u, len(r.scores) as n,
            list_sort(list_distinct(
                r.scores || list_transform(r.scores, lambda s: nextafter(s, '-inf'::float))
            )) as bins,
            list_transform(
                bins,
                lambda b: len(list_filter(r.scores, lambda s: s > b))
                    + len(list_filter(r.scores, lambda s: s = b)) / 2
            ) as above
        from (
            select f.u, list(f.score) as scores
            from mf__few_scores f
            where f.is_relevant
            group by f.u
        ) r
    ),
    seen_counts as not materialized (
        select
            f.u, count(*) as n,
            map_values(histogram(f.score, coalesce(b.bins, [])))[:any_value(len(b.bins))]::double[]
                as counts
        from mf__few_scores f left join mf__bins b on b.u = f.u
        where not f.is_relevant
        group by f.u
    ),
    scores as not materialized (
        select
            u.u, h.k + len(u.seen) as n_candidates, coalesce(b.bins, []) as bins, i.code, i.place,
            case
                when u.personal
                    then (h.mu + coalesce(u.bias, 0) + coalesce(i.bias, 0)
                        + case
                            when len(u.factors) > 0 and len(i.factors) > 0
                                then list_dot_product(u.factors, i.factors)
                            else 0
                        end)::float
                else i.ratings::float
            end as score
        from mf__head h, items_then i, mf__users u left join mf__bins b on b.u = u.u
    ),
    counts as not materialized (
        select
            s.u, count(*) as n,
            map_values(histogram(s.score, s.bins))[:any_value(len(s.bins))]::double[] as counts,
            max(
                struct_pack(score := s.score, before := -s.place, code := s.code), s.n_candidates
            ) as candidates
        from scores s
        group by s.u
    ),
    lists as not materialized (
        select
            c.u,
            list_filter(c.candidates, lambda x: not list_contains(u.seen, x.code))[:h.k] as picks
        from mf__head h, counts c join mf__users u on u.u = c.u
    ),
    ranked as not materialized (
        select
            l.u, unnest(l.picks).code as code, generate_subscripts(l.picks, 1) as rank
        from lists l
    ),
    ranks as not materialized (
        select
            u.u,
            coalesce(
                list(i.item_id order by r.rank) filter (where r.rank is not null), []
            ) as items,
            coalesce(
                list(r.rank order by r.rank) filter (where list_contains(u.relevant, r.code)), []
            ) as hits
        from mf__users u left join ranked r on r.u = u.u left join items i on i.code = r.code
        group by u.u
    ),
    aucs as not materialized (
        select
            c.u,
            coalesce(
                list_dot_product(c.counts, b.above)
                    - coalesce(list_dot_product(s.counts, b.above), 0)
                    - b.n * b.n / 2,
                0
            ) / nullif(u.n * (c.n - coalesce(s.n, 0) - coalesce(b.n, 0)), 0) as auc
        from counts c
            join mf__users u on u.u = c.u
            left join mf__bins b on b.u = c.u
            left join seen_counts s on s.u = c.u
    )
    select
        u.u as user_id, u.n as n_relevant,
        len(r.hits) / h.k as precision,
        len(r.hits) / u.n as recall,
        coalesce(list_sum(list_transform(r.hits, lambda x: 1 / log2(x + 1))), 0)
            / list_sum(list_transform(range(least(h.k, u.n)), lambda x: 1 / log2(x + 2))) as ndcg,
        coalesce(list_sum(list_transform(r.hits, lambda x, place: place / x)), 0) / u.n as map,
        coalesce(1 / r.hits[1], 0) as mrr,
        (len(r.hits) > 0)::integer as hit_rate,
        a.auc,
        case when u.personal then 'model' else 'popular' end as source,
        r.items
    from mf__head h, mf__users u join ranks r on r.u = u.u left join aucs a on a.u = u.u
    order by 1
);
comment on macro table mf_evaluate_ranking_per_user is
    'How well the list of each user holds the items of test';

-- mf_evaluate_ranking(model, test, user_id, item_id, k := 10, exclude_seen := true, ts := NULL)
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
    model, test, user_id, item_id, k := 10, exclude_seen := true, ts := null
) as table
from (
    with
    mf__lists as materialized (
        from mf_evaluate_ranking_per_user(
            model, test, user_id, item_id, k := k, exclude_seen := exclude_seen, ts := ts
        )
    ),
    mf__pairs as materialized (
        select distinct user_id as u, item_id as i from query_table(test)
    ),
    mf__model as not materialized (
        from query_table(model)
        union all by name
        select
            null::varchar as kind, null as user_id, null as item_id, null as code, null as ratings,
            null as seen, null as info
        where false
    ),
    mf__users as not materialized (
        select m.user_id, m.ratings, m.seen::integer[] as seen
        from mf__model m
        where m.kind = 'user' and m.ratings > 0
    ),
    mf__items as not materialized (
        select m.item_id, m.code, m.ratings from mf__model m where m.kind = 'item'
    ),
    mf__means as not materialized (
        select
            avg(l.precision) as precision, avg(l.recall) as recall, avg(l.ndcg) as ndcg,
            avg(l.map) as map, avg(l.mrr) as mrr, avg(l.hit_rate) as hit_rate, avg(l.auc) as auc
        from mf__lists l
    ),
    mf__listed as not materialized (
        select
            count(distinct r.item_id) as items,
            avg(-log2(greatest(i.ratings, 1) / m.users)) as novelty
        from (select unnest(l.items) as item_id from mf__lists l) r
            join mf__items i on i.item_id = r.item_id
            cross join (
                select (m.info ->> 'users')::bigint as users from mf__model m where m.kind = 'model'
            ) m
    ),
    mf__counts as not materialized (
        select
            count(*) as n, count(distinct p.u) as users, count(distinct p.i) as items,
            count(distinct p.u) filter (where u.ratings is null) as cold_users,
            count(distinct p.i) filter (where coalesce(i.ratings, 0) = 0) as cold_items,
            count(*) filter (where u.ratings is null or coalesce(i.ratings, 0) = 0) as cold_pairs,
            count(*) filter (where list_contains(u.seen, i.code)) as seen_pairs
        from mf__pairs p
            left join mf__users u on u.user_id = p.u
            left join mf__items i on i.item_id = p.i
    )
    select
        a.*, l.items / nullif((select count(*) from mf__items), 0) as coverage, l.novelty,
        c.*,
        (select count(*) from mf__users) - (c.users - c.cold_users) as users_without_test
    from mf__means a, mf__listed l, mf__counts c
);
comment on macro table mf_evaluate_ranking is
    'How well the lists of a model hold the items of test';
