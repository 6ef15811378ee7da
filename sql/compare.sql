-- mf_compare(model_a, model_b, test, user_id, item_id, rating := NULL, ts := NULL, k := 10,
--            confidence := 0.95, samples := 1000, seed := 42)
--
-- Two models on the same test rows, and whether their difference is more than chance. Plain SQL;
-- needs no Python.
--
--   from mf_compare(films, films_next, held_out, user_id, movie_id, rating);
--   from mf_compare(films, films_next, liked, user_id, movie_id, k := 20);
--
-- Returns a row for each metric: rmse and mae where rating is given, as mf_evaluate defines them,
-- else precision, recall, ndcg, map, mrr, hit_rate and auc, as mf_evaluate_ranking does:
--   metric          its name
--   a, b            of model_a and of model_b
--   difference      b - a
--   low, high       the confidence interval of the difference
--   better          'a' or 'b' where the interval excludes 0, else NULL: no telling them apart
--   users           users of test
--
-- model_a, model_b  relations made by mf_fit
-- test              a table, view or CTE with at least one row
-- user_id, item_id  expressions over the columns of test
-- rating            a number, an expression too; leave it out to compare the lists
-- ts                the time of the rating, an expression too (ratings only)
-- k                 the length of a list (lists only), 1 to 100000
-- confidence        of the interval, between 0 and 1
-- samples           bootstrap samples, 10 to 100000
-- seed              of the bootstrap
--
-- The interval is that of a paired bootstrap over users: a sample takes each user a number of times
-- that is Poisson distributed with mean 1, both models with the same users, and the interval lies
-- between the quantiles of the samples' differences (Efron and Tibshirani 1993, chapter 13; Hanley
-- and MacGibbon 2006 on Poisson weights). Users are taken whole, since the errors of one user are
-- not independent of each other.

-- mf__bootstrap(sums, confidence, samples, seed): the rows of mf_compare from a relation with a row
-- for each metric and user: place, metric, u, a and b (sums over the user's rows), n (their number).
create or replace macro mf__bootstrap(sums, confidence, samples, seed) as table
from (
    with
    mf__checked as not materialized (
        select
            case
                when coalesce(confidence <= 0 or confidence >= 1, true)
                    then error('mf_compare: confidence is ' || coalesce(confidence::varchar, 'NULL')
                        || '. Give a number between 0 and 1.')
                when coalesce(samples not between 10 and 100000, true)
                    then error('mf_compare: samples is ' || coalesce(samples::varchar, 'NULL')
                        || '. Give a number from 10 to 100000.')
                else samples
            end as n
    ),
    -- sample 0 takes every user once
    mf__numbers as not materialized (
        select unnest(range(c.n + 1)) as sample from mf__checked c
    ),
    -- whole numbers, so that a sum is the same in any order
    mf__whole as (
        select
            q.place, q.metric, q.u, q.n, m.scale,
            (q.a * m.scale)::bigint as a, (q.b * m.scale)::bigint as b
        from query_table(sums) q join (
            select
                q.metric, 2.0 ^ 52 / coalesce(nullif(max(greatest(abs(q.a), abs(q.b))), 0), 1) as scale
            from query_table(sums) q
            group by q.metric
        ) m on m.metric = q.metric
    ),
    mf__weighted as not materialized (
        select
            q.place, q.metric, q.a, q.b, q.n, q.scale, s.sample,
            hash(hash(q.u, s.sample, seed::bigint)) / 2.0 ^ 64 as x,
            case
                when s.sample = 0 or x between 0.36787944 and 0.73575888 then 1
                when x < 0.36787944 then 0
                when x < 0.91969860 then 2
                when x < 0.98101184 then 3
                when x < 0.99634015 then 4
                when x < 0.99940582 then 5
                when x < 0.99991676 then 6
                else 7
            end as w
        from mf__whole q cross join mf__numbers s
    ),
    mf__means as not materialized (
        select
            w.place, w.metric, w.sample,
            any_value(w.scale) * nullif(sum(w.w * w.n), 0) as total,
            sum(w.w * w.a) / total as mean_a, sum(w.w * w.b) / total as mean_b,
            case when w.metric = 'rmse' then sqrt(mean_a) else mean_a end as a,
            case when w.metric = 'rmse' then sqrt(mean_b) else mean_b end as b,
            count(*) as users
        from mf__weighted w
        group by w.place, w.metric, w.sample
    ),
    mf__intervals as not materialized (
        select
            m.place, m.metric, any_value(m.users) as users,
            any_value(m.a) filter (where m.sample = 0) as a,
            any_value(m.b) filter (where m.sample = 0) as b,
            quantile_cont(m.b - m.a, greatest(0, 1 - confidence::double) / 2)
                filter (where m.sample > 0) as low,
            quantile_cont(m.b - m.a, least(2, 1 + confidence::double) / 2)
                filter (where m.sample > 0) as high
        from mf__means m
        group by m.place, m.metric
    )
    select
        i.metric, i.a, i.b, i.b - i.a as difference, i.low, i.high,
        case
            when i.low > 0 then case when i.metric in ('rmse', 'mae') then 'a' else 'b' end
            when i.high < 0 then case when i.metric in ('rmse', 'mae') then 'b' else 'a' end
        end as better,
        i.users
    from mf__intervals i
    order by i.place asc
);
comment on macro table mf__bootstrap is 'Differences of two models with bootstrap intervals';

create or replace macro mf_compare(
    model_a, model_b, test, user_id, item_id, rating := null, ts := null, k := 10,
    confidence := 0.95, samples := 1000, seed := 42
) as table
from (
    with
    mf__test as not materialized (
        select
            user_id as mf__user, item_id as mf__item, rating::double as mf__rating,
            mf__time('mf_compare', ts) as mf__ts,
            typeof(rating) <> '"NULL"' as mf__rated
        from query_table(test)
    ),
    mf__head_a as (from mf__predicting(model_a, 'mf_compare: model_a', true)),
    mf__head_b as (from mf__predicting(model_b, 'mf_compare: model_b', true)),
    mf__valid as (
        select
            case
                when not mf__has_rows('mf_compare', t.n) or not (a.valid and b.valid) then null
                when not t.rated and mf__k('mf_compare', k) > 0
                    then mf__has_ids('mf_compare', 'test', t.users, t.items, t.n)
                when 'implicit' in (a.feedback, b.feedback)
                    then error('mf_compare: a model was trained on implicit feedback and predicts '
                        || 'no ratings. Leave rating out to compare the lists.')
                else mf__has_ratings('mf_compare', t.ratings, t.infinite, t.n)
            end as valid
        from mf__head_a a, mf__head_b b, (
            select
                count(*) as n, any_value(t.mf__rated) as rated,
                count(t.mf__user) as users, count(t.mf__item) as items,
                count(t.mf__rating) as ratings,
                count(*) filter (where not isfinite(t.mf__rating)) as infinite
            from mf__test t
        ) t
    ),
    mf__rated as not materialized (
        select t.* from mf__test t, mf__valid v where v.valid and t.mf__rated
    ),
    mf__errors_a as not materialized (
        select p.mf__user, p.mf__item, p.mf__ts, p.mf__rating, p.mf__rating - p.mf__prediction as a
        from mf__predicted('mf_compare: model_a', mf__rated, model_a, mf__head_a) p
    ),
    mf__errors as (
        select
            hash(s.u) as u, len(s.errors) as n,
            list_sum(list_transform(s.errors, lambda e: e.a ** 2)) as squares_a,
            list_sum(list_transform(s.errors, lambda e: e.b ** 2)) as squares_b,
            list_sum(list_transform(s.errors, lambda e: abs(e.a))) as sizes_a,
            list_sum(list_transform(s.errors, lambda e: abs(e.b))) as sizes_b
        from (
            -- in order, so that the same numbers have the same sum
            select
                p.mf__user as u,
                list_sort(
                    list({'a': p.a, 'b': p.mf__rating - p.mf__prediction}), 'asc', 'nulls last'
                ) as errors
            from mf__predicted('mf_compare: model_b', mf__errors_a, model_b, mf__head_b) p
            group by p.mf__user
        ) s
    ),
    mf__liked as not materialized (select t.* from mf__test t where not t.mf__rated),
    mf__lists as (
        select
            hash(a.user_id) as u,
            [a.precision, a.recall, a.ndcg, a.map, a.mrr, a.hit_rate, a.auc] as a,
            [b.precision, b.recall, b.ndcg, b.map, b.mrr, b.hit_rate, b.auc] as b
        from mf__rankings(
            'mf_compare: model_a', model_a, mf__liked, (select v.valid from mf__valid v), k, true, null, null
        ) a join mf__rankings(
            'mf_compare: model_b', model_b, mf__liked, (select v.valid from mf__valid v), k, true, null, null
        ) b on b.user_id = a.user_id
    ),
    mf__sums as (
        select 1 as place, 'rmse' as metric, e.u, e.squares_a as a, e.squares_b as b, e.n
        from mf__errors e
        union all
        select 2, 'mae', e.u, e.sizes_a, e.sizes_b, e.n from mf__errors e
        union all
        select
            2 + m.place,
            ['precision', 'recall', 'ndcg', 'map', 'mrr', 'hit_rate', 'auc'][m.place],
            l.u, l.a[m.place], l.b[m.place], 1
        from mf__lists l cross join (select unnest(range(1, 8)) as place) m
        where l.a[m.place] is not null and l.b[m.place] is not null
    )
    from mf__bootstrap(mf__sums, confidence, samples, seed)
);
comment on macro table mf_compare is
    'Two models on the same test rows: metrics, their difference and its confidence interval';
