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
    mf__model as not materialized (
        from query_table(model)
        union all by name
        select
            null::varchar as kind, null as user_id, null as item_id, null as bias, null as factors,
            null as temporal, null as info
        where false
    ),
    sizes as not materialized (
        select
            count(*) as n,
            count(*) filter (where t.mf__user is null or t.mf__item is null) as nulls,
            count(*) filter (where coalesce(t.mf__rating < 0 or not isfinite(t.mf__rating), true))
                as bad
        from mf__test t
    ),
    head as not materialized (
        select
            coalesce(any_value(m.bias), 0) as mu,
            case
                when count(m.kind) <> 1
                    then error('mf_evaluate_ranks: this relation is not a model: it has '
                        || count(m.kind) || ' rows of kind ''model'', not 1. '
                        || 'Pass a table made by mf_fit.')
                when any_value(m.info ->> 'format')::integer > 1
                    then error('mf_evaluate_ranks: this model has format '
                        || any_value(m.info ->> 'format')
                        || ', made by a newer duckmf. Upgrade duckmf.')
                when count(m.temporal) > 0
                    then error('mf_evaluate_ranks: this model has time terms, and a ranking of its '
                        || 'own for each time. Use mf_evaluate.')
                when any_value(s.n) = 0
                    then error('mf_evaluate_ranks: test has no rows. '
                        || 'Give the rows that were held out.')
                when any_value(s.nulls) > 0
                    then error('mf_evaluate_ranks: user_id or item_id is NULL in '
                        || any_value(s.nulls) || ' of ' || any_value(s.n)
                        || ' rows. Add WHERE ... IS NOT NULL to test.')
                when any_value(s.bad) > 0
                    then error('mf_evaluate_ranks: rating is negative, NULL or infinite in '
                        || any_value(s.bad) || ' of ' || any_value(s.n)
                        || ' rows. Add WHERE rating >= 0 to test.')
                else true
            end as valid
        from sizes s left join mf__model m on m.kind = 'model'
    ),
    items as not materialized (
        select
            m.item_id, m.bias,
            list_concat(m.factors::float[], []) as factors
        from mf__model m
        where m.kind = 'item'
    ),
    users as not materialized (
        select
            m.user_id, m.bias,
            list_concat(m.factors::float[], []) as factors
        from mf__model m
        where m.kind = 'user'
    ),
    mf__pairs as materialized (
        select
            p.u, p.r, i.item_id is not null as known,
            (h.mu + coalesce(u.bias, 0) + coalesce(i.bias, 0)
                + case
                    when len(u.factors) > 0 and len(i.factors) > 0
                        then list_dot_product(u.factors, i.factors)
                    else 0
                end)::float as score
        from (
            select t.mf__user as u, t.mf__item as i, sum(t.mf__rating) as r
            from mf__test t
            group by all
        ) p
            cross join head h
            left join users u on u.user_id = p.u
            left join items i on i.item_id = p.i
        where h.valid
    ),
    -- A score s falls into the first bin b with s <= b: that of s itself, or of what is smaller.
    mf__bins as materialized (
        select
            s.u,
            list_sort(list_distinct(
                s.scores || list_transform(s.scores, lambda x: nextafter(x, '-inf'::float))
            )) as bins
        from (select p.u, list(p.score) as scores from mf__pairs p where p.known group by p.u) s
    ),
    counts as not materialized (
        select
            s.u, any_value(s.bins) as bins, count(*) as n,
            map_values(histogram(s.score, s.bins))[:any_value(len(s.bins))]::double[] as counts
        from (
            select
                b.u, b.bins,
                (h.mu + coalesce(u.bias, 0) + coalesce(i.bias, 0)
                    + case
                        when len(u.factors) > 0 and len(i.factors) > 0
                            then list_dot_product(u.factors, i.factors)
                        else 0
                    end)::float as score
            from head h, items i, mf__bins b left join users u on u.user_id = b.u
        ) s
        group by s.u
    ),
    stands as not materialized (
        select
            p.u, p.r, p.known, p.score, c.n,
            list_sum(c.counts[:list_position(c.bins, p.score)]) as not_above,
            c.counts[list_position(c.bins, p.score)] as equal
        from mf__pairs p left join counts c on c.u = p.u
    ),
    mf__ranked as materialized (
        select
            s.u, s.r,
            case when s.known then s.n - s.not_above + s.equal end as rank,
            case
                when s.known
                    then coalesce((s.n - s.not_above + (s.equal - 1) / 2) / nullif(s.n - 1, 0), 0)
                else 1
            end as place,
            (case when s.r > 0 then 1 else 0 end - s.score::double) ^ 2 as squared_error
        from stands s
    ),
    ordered as not materialized (
        select
            r.u, r.r, r.rank,
            row_number() over (partition by r.u order by r.rank nulls last, r.r desc) as j,
            row_number() over (partition by r.u order by r.r desc) as best
        from mf__ranked r
        where r.r > 0
    ),
    per_user as not materialized (
        select
            coalesce(sum(o.j / o.rank), 0) / count(*) as ap,
            coalesce(sum(o.r / log2(o.rank + 1)), 0) / sum(o.r / log2(o.best + 1)) as ndcg
        from ordered o
        group by o.u
    )
    select
        (select sum(r.r * r.place) / nullif(sum(r.r), 0) from mf__ranked r) as mean_rank,
        (select avg(p.ap) from per_user p) as map,
        (select avg(p.ndcg) from per_user p) as ndcg,
        (select avg(r.squared_error) from mf__ranked r) as mse,
        (select count(*) from mf__ranked r) as n,
        (select count(distinct r.u) from mf__ranked r) as users
    from head h
    where h.valid
);
comment on macro table mf_evaluate_ranks is
    'Where the items of test stand among all items of a model';
