-- mf_evaluate_ranks(model, test, user_id, item_id, rating := 1)
--
-- Where the items of test stand among all items of a model. Plain SQL; needs no Python.
--
--   from mf_evaluate_ranks(shop, later, user_id, product_id, purchases);
--
-- Every item of the model is ranked for every user of test, by the score of mf_predict and with
-- nothing left out, also not what the user has seen: this is for models that are asked for whole
-- rankings, as BigQuery's ML.EVALUATE is. mf_evaluate_ranking looks at lists of k new items.
--
-- Returns one row, where r is the rating of a pair (the sum, if it has several rows):
--   mean_rank    sum of r * place / sum of r, where place is 0 for the first of all items and 1 for
--                the last: 0.5 is what chance gives, smaller is better (Hu, Koren and Volinsky 2008,
--                equation 8). Items of equal score share the middle of their places
--   map          mean over the users of the average precision: for the j-th best of a user's n items
--                with r > 0, the precision j / rank; their sum divided by n
--   ndcg         mean over the users of sum of r / log2(rank + 1), divided by that sum for the best
--                order (Jarvelin and Kekalainen 2002)
--   mse          mean of (1 - score)^2 where r > 0, and of score^2 where r is 0
--   n, users     pairs and users of test
--   For map and ndcg an item stands behind those of equal score. An item that the model does not
--   have is the last of all for mean_rank, adds nothing to map and ndcg, and has the score of
--   mf_predict for mse. A measure is NULL where no r is above 0.
--
-- model             a relation made by mf_fit without time terms
-- test              a table, view or CTE with at least one row
-- user_id, item_id  expressions over the columns of test, never NULL
-- rating            the strength of a pair, an expression too: finite and at least 0
--
-- No list is sorted: scores are counted into the bins that the scores of a user's own items divide.

create or replace macro mf_evaluate_ranks(model, test, user_id, item_id, rating := 1) as table
from (
    with
    mf__test as not materialized (
        select user_id as mf__user, item_id as mf__item, rating::double as mf__rating
        from query_table(test)
    ),
    mf__head as (
        select
            h.mu,
            case
                when not h.valid then null
                when h.t1 is not null
                    then error('mf_evaluate_ranks: this model has time terms, and a ranking of its '
                        || 'own for each time. Use mf_evaluate.')
                when not mf__has_rows('mf_evaluate_ranks', s.n) then null
                when s.nulls > 0
                    then mf__bad_rows(
                        'mf_evaluate_ranks', 'user_id or item_id is NULL', s.nulls, s.n,
                        'Add WHERE ... IS NOT NULL to test.'
                    )
                when s.bad > 0
                    then mf__bad_rows(
                        'mf_evaluate_ranks', 'rating is negative, NULL or infinite', s.bad, s.n,
                        'Add WHERE rating >= 0 to test.'
                    )
                else true
            end as valid
        from mf__head_once(model, 'mf_evaluate_ranks', true, true) h, (
            select
                count(*) as n,
                count(*) filter (where t.mf__user is null or t.mf__item is null) as nulls,
                count(*) filter (where (t.mf__rating >= 0 and isfinite(t.mf__rating)) is not true)
                    as bad
            from mf__test t
        ) s
    ),
    mf__items as (
        select m.item_id, coalesce(m.bias, 0)::float as bias, m.factors
        from mf__items_of(model, 'mf_evaluate_ranks') m
    ),
    mf__known as (from mf__users_of(model, 'mf_evaluate_ranks')),
    mf__users as (
        select
            t.u, (h.mu + coalesce(m.bias, 0))::float as base, m.factors
        from (select distinct t.mf__user as u from mf__test t) t
            cross join mf__head h
            left join mf__known m on m.user_id = t.u
        where h.valid
    ),
    mf__pairs as (
        select
            p.u, p.i, p.r, i.item_id is not null as known,
            mf__score('mf_evaluate_ranks', u.base, coalesce(i.bias, 0), u.factors, i.factors) as score
        from (
            select t.mf__user as u, t.mf__item as i, sum(t.mf__rating) as r
            from mf__test t
            group by all
        ) p
            join mf__users u on u.u = p.u
            left join mf__items i on i.item_id = p.i
    ),
    mf__bins as (
        select p.u, mf__score_bins(list(p.score)) as bins
        from mf__pairs p
        where p.known
        group by p.u
    ),
    mf__counts as (
        select
            s.u, any_value(s.bins) as bins, count(*) as n, mf__in_each(s.score, s.bins) as counts
        from (
            select b.u, b.bins, mf__score('mf_evaluate_ranks', u.base, i.bias, u.factors, i.factors) as score
            from mf__bins b join mf__users u on u.u = b.u cross join mf__items i
        ) s
        where mf__is_score('mf_evaluate_ranks', s.score)
        group by s.u
    ),
    mf__stands as (
        select
            p.u, p.i, p.r, p.known, p.score, c.n,
            list_sum(c.counts[:list_position(c.bins, p.score)]) as not_above,
            c.counts[list_position(c.bins, p.score)] as equal
        from mf__pairs p left join mf__counts c on c.u = p.u
    ),
    mf__ranked as (
        select
            s.u, s.i, s.r,
            case when s.known then s.n - s.not_above + s.equal end as rank,
            case
                when s.known
                    then coalesce((s.n - s.not_above + (s.equal - 1) / 2) / nullif(s.n - 1, 0), 0)
                else 1
            end as place,
            (case when s.r > 0 then 1 else 0 end - s.score::double) ^ 2 as squared_error
        from mf__stands s
    ),
    mf__ordered as (
        select
            r.u, r.r, r.rank,
            row_number() over (
                partition by r.u order by r.rank asc nulls last, r.r desc nulls last
            ) as j,
            row_number() over (partition by r.u order by r.r desc nulls last) as best
        from mf__ranked r
        where r.r > 0
    ),
    mf__measures as (
        select
            o.u, coalesce(sum(o.j / o.rank order by o.j asc nulls last), 0) / count(*) as ap,
            coalesce(sum(o.r / log2(o.rank + 1) order by o.j asc nulls last), 0)
                / sum(o.r / log2(o.best + 1) order by o.best asc nulls last) as ndcg
        from mf__ordered o
        group by o.u
    )
    -- sums in order, so that the same numbers have the same sum
    select
        sum(r.r * r.place order by r.u asc nulls last, r.i asc nulls last)
            / nullif(sum(r.r order by r.u asc nulls last, r.i asc nulls last), 0) as mean_rank,
        (select avg(m.ap order by m.u asc nulls last) from mf__measures m) as map,
        (select avg(m.ndcg order by m.u asc nulls last) from mf__measures m) as ndcg,
        avg(r.squared_error order by r.u asc nulls last, r.i asc nulls last) as mse,
        count(r.place) as n, count(distinct r.u) as users
    from mf__head h left join mf__ranked r on h.valid
);
comment on macro table mf_evaluate_ranks is
    'Where the items of test stand among all items of a model';
