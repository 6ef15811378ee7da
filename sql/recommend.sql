-- mf_recommend(model, user_id := NULL, k := 10, exclude_seen := true, min_ratings := 1, ts := NULL,
--              risk := NULL)
--
-- The k best items of one user, or of every user of a model. Plain SQL; needs no Python.
--
--   from mf_recommend(films, 196);
--   create view top10 as from mf_recommend(films);         -- from top10 where user_id = 196
--
-- Returns a row for each user and rank, ordered by both:
--   user_id, item_id  the ids as they were trained on
--   score FLOAT       mu + b_u + b_i + <p_u, q_i>, not clipped to the rating range (Koren, Bell and
--                     Volinsky 2009, equation 5); terms the model does not have count as zero.
--                     With time terms mu + b_u(t) + b_i(t) + <p_u(t), q_i>, see temporal.sql.
--                     In the popular list: the item's number of training ratings
--   rank BIGINT       1 to k without gaps
--   source VARCHAR    'model'; 'popular' where the list is the popular one (mf_popular); 'content'
--                     for a user of mf_project_users
--
-- model         a relation made by mf_fit, also a filtered one: only its items are recommended
-- user_id       a user, or NULL for all users of the model
-- k             the length of a list, 1 to 100000; shorter where no more items are left
-- exclude_seen  leave out what the user rated in training
-- min_ratings   a user with fewer training ratings gets the popular list, unless the model has
--               a row for the user from content (mf_project_users)
-- ts            the time t of all lists, a TIMESTAMP with or without zone, a DATE, or seconds since
--               1970. Left out, or NULL, it is the end of the time that the model was trained on.
--               Before and after that time the terms are those of its ends. A model without time
--               terms recommends the same at any time
-- risk          c: items are ranked by score - c s, with s^2 = var(b_i) + sum_f p_f^2 var(q_f), the
--               variance of the item's part; the score that is returned is the expected one. Left
--               out, or NULL, it is 1.645 for a model with uncertainty (algorithm 'bayes'), so that
--               of few ratings nothing can be expected that is not likely: 95 % of such parts are
--               above the bound. 0 ranks by the score; below 0 what is uncertain comes first
--
-- Items of equal score, or equally popular, are ordered by item_id. A user that the model does not
-- know, or for whom it has no terms (algorithm 'popularity'), gets the popular list. A user who has
-- seen everything gets no rows.
--
-- A user's candidates are the best k and as many more as the user has seen, of which the seen ones are dropped:
-- looking up every pair would cost more than scoring it. Of more than 1,000 seen items all pairs are looked up, so
-- that the cost stays in proportion to the items, however many were seen.

-- mf__lists(model, user_id, k, exclude_seen, min_ratings, ts, risk): the lists, in rows; mf_recommend in plain
-- SQL, and in a duckmf connection whatever is not made by kernels.
create or replace macro mf__lists(model, user_id, k, exclude_seen, min_ratings, ts, risk) as table
with
mf__head as materialized (
    select
        h.mu, h.t0, h.span, h.beta, mf__within(mf__seconds(ts), h.t0, h.t1) as t,
        mf__day(coalesce(mf__seconds(ts), h.t1)) as day, h.item_prior,
        mf__risk('mf_recommend', risk, h.noise is not null) as risk,
        case
            when h.valid and mf__is_time('mf_recommend', ts) then mf__k('mf_recommend', k)
        end as k
    from mf__head_once(model, 'mf_recommend', false, true) h
),
mf__people as (
    select
        p.*, case when len(p.seen) <= 1000 then p.seen else [] end as few,
        case when len(p.seen) > 1000 then p.seen end as many
    from (
        select
            m.user_id,
            mf__list_source(m.bias, m.factors, m.source, m.ratings, min_ratings) as origin,
            origin <> 'popular' as personal,
            (h.mu + mf__user_bias(m.bias, m.temporal, h.t, h.day, h.beta))::float as base,
            mf__user_factors(m.factors, m.temporal, h.t, h.beta) as factors,
            case when h.risk <> 0 then mf__squares(m.factors) end as squares,
            case
                when not exclude_seen then []
                when coalesce(m.ratings, 0) > 0 and m.seen is null
                    then error('mf_recommend: the model does not hold what its users have seen. '
                        || 'Pass exclude_seen := false or train with keep_seen := true.')
                else coalesce(m.seen::integer[], [])
            end as seen
        from mf__users_of(model, 'mf_recommend') m, mf__head h
        where user_id is null or m.user_id = user_id
    ) p
),
mf__items as (from mf__ranked_items(model, mf__head, 'mf_recommend')),
mf__best as (
    select
        s.user_id,
        min(
            struct_pack(
                minus := -s.score, item_id := s.item_id, code := s.code, expected := s.expected
            ),
            s.k
        ) as candidates
    from (
        select
            u.user_id, i.item_id, i.code, h.k + coalesce(len(u.few), 0) as k,
            mf__rank_score(
                'mf_recommend', u.personal, u.base, i.bias, u.factors, i.factors, i.ratings,
                h.risk, u.squares, i.bias_variance, i.variances
            ) as score,
            case
                when h.risk <> 0 and u.personal
                    then mf__score('mf_recommend', u.base, i.bias, u.factors, i.factors)
            end as expected
        from mf__head h
            left join mf__people u on true
            cross join mf__items i
            left join (select p.user_id, unnest(p.many) as code from mf__people p) s
                on s.user_id = u.user_id and s.code = i.code
        where s.code is null and (user_id is not null or u.user_id is not null)
    ) s
    where mf__is_score('mf_recommend', s.score)
    group by s.user_id
),
mf__ranked as (
    select
        l.user_id, l.source, unnest(l.picks) as item, generate_subscripts(l.picks, 1) as rank
    from (
        select
            case when user_id is null then b.user_id else user_id end as user_id,
            coalesce(u.origin, 'popular') as source,
            count(*) over (partition by b.user_id) as n,
            list_filter(
                b.candidates, lambda c: list_contains(u.few, c.code) is not true
            )[:h.k] as picks
        from mf__head h cross join mf__best b left join mf__people u on u.user_id = b.user_id
    ) l
    where mf__one_row('mf_recommend', 'user', l.user_id, l.n, 0)
)
select
    r.user_id, r.item.item_id as item_id, coalesce(r.item.expected, -r.item.minus) as score, r.rank,
    r.source
from mf__ranked r
union all
select null, null, null, null, null from mf__head h where h.k is null;
comment on macro table mf__lists is 'The k best items of one user or of all users, in no order';

create or replace macro mf_recommend(
    model, user_id := null, k := 10, exclude_seen := true, min_ratings := 1, ts := null,
    risk := null
) as table
from mf__lists(model, user_id, k, exclude_seen, min_ratings, ts, risk) l
order by l.user_id asc nulls last, l.rank asc nulls last;
comment on macro table mf_recommend is 'The k best items of one user or of all users of a model';

-- mf_popular(model, k := 10)
--
-- The items with the most training ratings, best first: what mf_recommend gives to users without a
-- history. Plain SQL; needs no Python.
--
-- Returns item_id, score BIGINT (training ratings of the item), rank BIGINT (from 1, without gaps).
-- Items of equal score are ordered by item_id.
--
-- model  a relation made by mf_fit
-- k      the length of the list, at least 1

create or replace macro mf_popular(model, k := 10) as table
from (
    with
    mf__head as materialized (
        select
            case
                when not h.valid then null
                when coalesce(k < 1, true)
                    then error('mf_popular: k is ' || coalesce(k::varchar, 'NULL')
                        || '. Give the length of the list, at least 1.')
                else k::bigint
            end as k
        from mf__head_once(model, 'mf_popular', false, true) h
    ),
    mf__items as (
        select
            m.item_id, m.ratings as score,
            row_number() over (order by m.ratings desc nulls last, m.item_id asc nulls last) as rank
        from mf__items_of(model, 'mf_popular') m
    )
    select i.item_id, i.score, i.rank from mf__items i, mf__head h where i.rank <= h.k
    union all
    select null, null, null from mf__head h where h.k is null
    order by rank asc nulls last
);
comment on macro table mf_popular is 'The items of a model with the most training ratings';
