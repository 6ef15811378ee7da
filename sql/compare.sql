-- mf_compare(model_a, model_b, test, user_id, item_id, rating := NULL, ts := NULL, k := 10,
--            confidence := 0.95, samples := 1000, seed := 42)
--
-- Two models on the same test rows, and whether their difference is more than chance. Plain SQL;
-- needs no Python. Run predict.sql, recommend.sql and evaluate_ranking.sql before this file.
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
    mf__weighted as not materialized (
        select
            q.place, q.metric, q.a, q.b, q.n, s.sample,
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
        from query_table(sums) q cross join mf__numbers s
    ),
    mf__means as not materialized (
        select
            w.place, w.metric, w.sample,
            sum(w.w * w.a) / nullif(sum(w.w * w.n), 0) as mean_a,
            sum(w.w * w.b) / nullif(sum(w.w * w.n), 0) as mean_b,
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
    order by i.place
);
comment on macro table mf__bootstrap is 'Differences of two models with bootstrap intervals';

create or replace macro mf_compare(
    model_a, model_b, test, user_id, item_id, rating := null, ts := null, k := 10,
    confidence := 0.95, samples := 1000, seed := 42
) as table
from (
    with
    mf__test as not materialized (
        select *, rating::double as mf__rating, typeof(rating) <> '"NULL"' as mf__rated
        from query_table(test)
    ),
    mf__models as not materialized (
        select coalesce(list(m.info ->> 'feedback') filter (where m.kind = 'model'), []) as feedback
        from (
            from (select null::varchar as kind, null as info where false)
            union all by name
            from query_table(model_a)
            union all by name
            from query_table(model_b)
        ) m
    ),
    mf__valid as materialized (
        select
            case
                when count(*) = 0
                    then error('mf_compare: test has no rows. Give the rows that were held out.')
                when (select len(m.feedback) from mf__models m) <> 2
                    then error('mf_compare: model_a and model_b have '
                        || (select len(m.feedback) from mf__models m)
                        || ' rows of kind ''model'' together, not 2. Pass tables made by mf_fit.')
                when any_value(t.mf__rated)
                    and (select list_contains(m.feedback, 'implicit') from mf__models m)
                    then error('mf_compare: a model was trained on implicit feedback and predicts '
                        || 'no ratings. Leave rating out to compare the lists.')
                when any_value(t.mf__rated) and count(t.mf__rating) < count(*)
                    then error('mf_compare: rating is NULL in ' || (count(*) - count(t.mf__rating))
                        || ' of ' || count(*) || ' rows. Add WHERE rating IS NOT NULL to test.')
                when count(*) filter (where not isfinite(t.mf__rating)) > 0
                    then error('mf_compare: rating is NaN or infinite in '
                        || count(*) filter (where not isfinite(t.mf__rating)) || ' of ' || count(*)
                        || ' rows. Add WHERE isfinite(rating) to test.')
                else true
            end as valid
        from mf__test t
    ),
    -- a model is read after the checks, so that what they find is what the user is told
    mf__a as not materialized (from query_table(model_a) where (select v.valid from mf__valid v)),
    mf__b as not materialized (from query_table(model_b) where (select v.valid from mf__valid v)),
    mf__rated as materialized (
        select t.* exclude (mf__rated) from mf__test t, mf__valid v where v.valid and t.mf__rated
    ),
    -- the lists of no test are an error: where ratings are compared, those of one row are left out
    mf__liked as materialized (
        select t.*
        from (
            from mf__test s where not s.mf__rated
            union all
            (from mf__test s where s.mf__rated limit 1)
        ) t, mf__valid v
        where v.valid
    ),
    mf__errors_a as not materialized (
        select p.u, sum(p.e * p.e) as squares, sum(abs(p.e)) as sizes, count(*) as n
        from (
            select user_id as u, mf__rating - prediction as e
            from mf_predict(mf__a, mf__rated, user_id, item_id, ts := ts)
        ) p
        group by p.u
    ),
    mf__errors_b as not materialized (
        select p.u, sum(p.e * p.e) as squares, sum(abs(p.e)) as sizes
        from (
            select user_id as u, mf__rating - prediction as e
            from mf_predict(mf__b, mf__rated, user_id, item_id, ts := ts)
        ) p
        group by p.u
    ),
    mf__errors as materialized (
        select
            hash(a.u) as u, a.n, a.squares as squares_a, b.squares as squares_b,
            a.sizes as sizes_a, b.sizes as sizes_b
        from mf__errors_a a join mf__errors_b b on a.u is not distinct from b.u
    ),
    mf__lists_a as not materialized (
        select l.user_id as u, [l.precision, l.recall, l.ndcg, l.map, l.mrr, l.hit_rate, l.auc] as a
        from mf_evaluate_ranking_per_user(mf__a, mf__liked, user_id, item_id, k := k) l
    ),
    mf__lists_b as not materialized (
        select l.user_id as u, [l.precision, l.recall, l.ndcg, l.map, l.mrr, l.hit_rate, l.auc] as b
        from mf_evaluate_ranking_per_user(mf__b, mf__liked, user_id, item_id, k := k) l
    ),
    mf__lists as materialized (
        select hash(a.u) as u, a.a, b.b
        from mf__lists_a a join mf__lists_b b on a.u = b.u
        where not exists (from mf__rated)
    ),
    mf__sums as materialized (
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
