-- mf_explain(model, user_id, item_id, k := 10)
--
-- Why a model scores an item for a user as it does: what each item that the user rated adds to the
-- score. Plain SQL; needs no Python.
--
--   from mf_explain(films, 196, 318);
--
-- Returns rows whose contributions add up to the score of mf_recommend and the unclipped prediction
-- of mf_predict, but for the rounding of float32:
--   part VARCHAR         'baseline': mu + b_i, what anybody would get; 'item': a rated item;
--                        'other items': all that are not among the k, in one row; 'approximation':
--                        where a model of solver 'cg' is not quite at the solution of its
--                        equations, what it scores above (or below) it
--   item_id              the rated item
--   rating FLOAT         how the user rated it, or the strength; items of strength 0 add nothing
--                        to an 'implicit_als' score and are not listed
--   contribution DOUBLE  how much that adds to the score (or takes from it)
--   rank BIGINT          of 'item' rows: 1 to k by the size of the contribution; equal ones are
--                        ordered by item_id
-- in this order.
--
-- model             a relation made by mf_fit with algorithm 'als' or 'implicit_als',
--                   keep_seen := true, nonnegative := false and no time terms. Of its items, all that the user
--                   rated must be there, and all of an 'implicit_als' model that gives weight to
--                   unobserved pairs
-- user_id, item_id  a pair. If the model does not know both, there are no rows
-- k                 rated items to list, at least 1
--
-- The factors and the bias of a user solve linear equations: they are a sum over the ratings. With
-- z_j = (q_j, 1), A = sum_j z_j z_j' + n^nu diag(sigma lambda_u, ..., lambda_b) over the n items j
-- that the user rated, and sigma the standard deviation of all ratings,
--   (p_u, b_u) = A^-1 sum_j z_j (r_uj - mu - b_j)
--   score = mu + b_i + sum_j (z_i' A^-1 z_j) (r_uj - mu - b_j)
-- In an 'implicit_als' model z_j = q_j, and all its items j weigh in with c_j, which is
-- 1 + alpha r_uj for the n of strength above 0 and w0 for the others:
--   A = sum_j c_j z_j z_j' + lambda_u (n + w0 n_items)^nu I
--   score = sum_j (z_i' A^-1 z_j) c_j over the n items
-- (after Hu, Koren and Volinsky 2008, section 5). A x = z_i is solved by conjugate gradients. The
-- sum over all items takes about 0.2 seconds and 80 MB a pair for 27,000 items, 64 factors.

create or replace macro mf_explain(model, user_id, item_id, k := 10) as table
from (
    with recursive
    mf__head as materialized (
        select
            h.mu::double as mu, h.facts.algorithm = 'implicit_als' as implicit,
            h.facts.solver = 'cg' as approximate, h.facts.items as items, h.facts.alpha as alpha,
            case when implicit then h.facts.unobserved_weight else 0 end as w0,
            case
                when not implicit and h.facts.rating_std > 1e-6 * abs(h.mu) then h.facts.rating_std
                else 1
            end as sigma,
            h.facts.user_regularization as lambda_u, h.facts.bias_regularization as lambda_b,
            h.facts.regularization_scaling as nu,
            case
                when not h.valid then null
                when h.facts.algorithm not in ('als', 'implicit_als')
                    then error('mf_explain: the scores of algorithm ''' || h.facts.algorithm
                        || ''' are no sum over ratings. Train with ''als'' or ''implicit_als''.')
                when h.facts.nonnegative
                    then error('mf_explain: nonnegative factors are no sum over ratings. '
                        || 'Train with nonnegative := false.')
                when h.t1 is not null
                    then error('mf_explain: scores with time terms are no sum over ratings alone. '
                        || 'Train without temporal.')
                when coalesce(k < 1, true)
                    then error('mf_explain: k is ' || coalesce(k::varchar, 'NULL')
                        || '. Give how many items to list, at least 1.')
                else k::bigint
            end as k
        from mf__head_once(model, 'mf_explain', true, true) h
    ),
    mf__target as materialized (
        select
            coalesce(i.bias, 0) as bias, i.factors::double[] as factors,
            i.factors::double[] || case when h.implicit then [] else [1] end as z
        from mf__items_of(model, 'mf_explain') i, mf__head h
        where i.item_id = item_id
    ),
    mf__person as materialized (
        select
            u.ratings, u.factors::double[] as factors,
            case
                when u.ratings > 0 and (u.seen is null or u.seen_ratings is null)
                    then error('mf_explain: the model does not hold what its users have rated. '
                        || 'Train with keep_seen := true.')
                else u.seen::integer[]
            end as seen,
            u.seen_ratings::float[] as seen_ratings
        from mf__users_of(model, 'mf_explain') u
        where u.user_id = user_id
    ),
    -- The items of A, each scaled by the root of its weight: A = sum z z' + ridge, and the right
    -- side is sum z y over those that have a y.
    mf__items as materialized (
        select
            i.item_id as id, i.code < h.items as trained, s.rating,
            case
                when not h.implicit then 1
                when s.rating > 0 then sqrt(1 + h.alpha * s.rating)
                else sqrt(h.w0)
            end as scale,
            case
                when not h.implicit then s.rating - h.mu - coalesce(i.bias, 0)
                when s.rating > 0 then scale
            end as y,
            list_transform(
                i.factors::double[] || case when h.implicit then [] else [1] end,
                lambda v: scale * v
            ) as z
        from mf__items_of(model, 'mf_explain') i
            cross join mf__head h
            left join (
                select unnest(p.seen) as code, unnest(p.seen_ratings) as rating from mf__person p
            ) s on s.code = i.code
        where s.code is not null or h.w0 > 0 and i.code < h.items
    ),
    mf__counts as materialized (
        select
            count(i.y) as n, count(i.rating) as rated, count(*) filter (i.trained) as trained
        from mf__items i
    ),
    mf__ridges as not materialized (
        select
            (c.n + h.w0 * h.items) ^ h.nu as weight,
            list_transform(t.factors, lambda x: h.sigma * h.lambda_u * weight)
                || case when h.implicit then [] else [h.lambda_b * weight] end as ridge
        from mf__head h, mf__target t, mf__counts c
    ),
    mf__columns as not materialized (
        select
            list_transform(
                range(1, len(any_value(i.z)) + 1),
                lambda a: list_transform(list(i.z), lambda z: z[a])
            ) as columns
        from mf__items i
    ),
    mf__equations as materialized (
        select
            t.z,
            list_transform(
                l.columns,
                lambda one, a: list_transform(
                    l.columns,
                    lambda other, b: list_dot_product(one, other)
                        + case when a = b then e.ridge[a] else 0 end
                )
            ) as A
        from mf__head h, mf__target t, mf__person p, mf__counts c, mf__ridges e, mf__columns l
        where case
            when c.rated < p.ratings
                then error('mf_explain: the model lacks ' || p.ratings - c.rated || ' of the '
                    || p.ratings || ' items that this user rated. Pass the whole model.')
            when h.w0 > 0 and c.trained < h.items
                then error('mf_explain: the model lacks ' || h.items - c.trained || ' of the '
                    || h.items || ' items that it was trained on, whose factors are part of every '
                    || 'explanation. Pass the whole model.')
            else c.n > 0
        end
    ),
    -- x: the solution so far; r = z - A x; p: the direction of the next step
    mf__solving(step, x, r, p, rr) as (
        select
            0, list_transform(e.z, lambda v: 0::double), e.z, e.z, list_dot_product(e.z, e.z)
        from mf__equations e
        union all
        select
            s.step + 1, s.x, s.r,
            list_transform(s.r, lambda v, a: v + list_dot_product(s.r, s.r) / s.rr * s.p[a]),
            list_dot_product(s.r, s.r)
        from (
            select
                s.step, s.p, s.rr,
                list_transform(s.x, lambda v, a: v + s.length * s.p[a]) as x,
                list_transform(s.r, lambda v, a: v - s.length * s.Ap[a]) as r
            from (
                select s.*, s.rr / list_dot_product(s.p, s.Ap) as length
                from (
                    select s.*, list_transform(e.A, lambda line: list_dot_product(line, s.p)) as Ap
                    from mf__solving s, mf__equations e
                    where s.step < 1000 and s.rr > 1e-24 * list_dot_product(e.z, e.z)
                ) s
            ) s
        ) s
    ),
    mf__solution as not materialized (
        select
            arg_max(s.x, s.step) as x,
            case
                when arg_max(s.rr, s.step) > 1e-12 * arg_min(s.rr, s.step)
                    then error('mf_explain: the equations of this user have no single solution. '
                        || 'Train with regularization above 0.')
                else true
            end as solved
        from mf__solving s
    ),
    mf__contributions as not materialized (
        select
            i.id, i.rating, list_dot_product(s.x, i.z) * i.y as contribution,
            row_number() over (
                order by abs(contribution) desc nulls last, i.id asc nulls last
            ) as rank
        from mf__items i, mf__solution s
        where s.solved and s.x is not null and i.y is not null
    ),
    mf__parts as not materialized (
        select
            1 as place, 'baseline' as part, null as id, null as rating,
            h.mu + t.bias as contribution, null as rank
        from mf__head h, mf__target t, mf__person p
        union all
        select 2, 'item', c.id, c.rating, c.contribution, c.rank
        from mf__head h, mf__contributions c
        where c.rank <= h.k
        union all
        select 3, 'other items', null, null, sum(c.contribution), null
        from mf__head h, mf__contributions c
        where c.rank > h.k
        having count(*) > 0
        union all
        select
            4, 'approximation', null, null,
            list_dot_product(any_value(p.factors), any_value(t.factors)) - sum(c.contribution), null
        from mf__head h, mf__person p, mf__target t, mf__contributions c
        where h.approximate
        having count(*) > 0
        union all
        select null, null, null, null, null, null from mf__head h where h.k is null
    )
    select p.part, p.id as item_id, p.rating, p.contribution, p.rank
    from mf__parts p
    order by p.place asc nulls last, p.rank asc nulls last
);
comment on macro table mf_explain is 'What each item that a user rated adds to one score';
