-- mf_check(model)
--
-- What is wrong with a model, if anything. Plain SQL; needs no Python.
--
--   from mf_check(films);
--
-- A model is a relation: it may be filtered, appended to, merged, copied and edited. Functions refuse
-- what they cannot read; this says what that is, and in how many rows.
--
-- Returns a row for each kind of damage, errors first, and no row for a sound model:
--   severity VARCHAR  'error': a wrong number or a refusal comes of it; 'warning': no number that a
--                     function gives is wrong, but training does not leave a model so
--   kind VARCHAR      the kind of the damaged rows: 'model', 'user', 'item', or one that is unknown
--   id VARCHAR        one of the users or items, that of the lowest code; NULL for other rows
--   problem VARCHAR   what is wrong, and in how many rows
--   remedy VARCHAR    what to do
--
-- model  any relation; if it is no model, one row says so
--
-- What is looked for:
--   the row of   that there is one, and users and items; its format; what is missing or impossible of
--   kind 'model' facts, info, the global mean, the count of ratings and the span of time
--   all rows     unknown kinds; ids that are NULL, in several rows, or in the column of the other kind;
--                codes that are NULL, negative or in several rows; counts of ratings that are NULL or
--                negative; biases and factors that are missing, not finite, or not n_factors; time
--                terms that are missing, not finite, of lengths that do not fit, or without a span;
--                variances of bayes that are missing, negative or not finite
--   users        seen items that are missing, not in ascending order, unknown, or not as many as the
--                ratings; their ratings and times, likewise
--   items        implicit factors of svdpp and timesvdpp
--   counts       that users and items have the ratings of the row of kind 'model'. This is said only
--                of a relation with as many users and items as were trained, since folding in adds
--                rows, and a filter leaves some out. Users or items that were folded in again may
--                have more
--
-- What is missing is what other rows of the kind have, or what the algorithm learns. A filtered model
-- is sound: users may have seen trained items that are not there any more.

-- mf__claimed(model): the rows of any relation, as a model has them. A column of a type that does not fit
-- is NULL.
create or replace macro mf__claimed(model) as table
select
    try_cast(m.kind as varchar) as kind, m.user_id, m.item_id,
    try_cast(m.code as integer) as code, try_cast(m.ratings as bigint) as ratings,
    try_cast(m.bias as float) as bias, try_cast(m.factors as float[]) as factors,
    try_cast(m.seen as integer[]) as seen, try_cast(m.seen_ratings as float[]) as seen_ratings,
    try_cast(m.seen_times as double[]) as seen_times,
    try_cast(m.implicit_factors as float[]) as implicit_factors,
    try_cast(m.temporal as struct(
        t0 double, t1 double, beta float, drift float,
        days integer[], day_bias float[], bin_bias float[], factor_drift float[]
    )) as temporal,
    try_cast(m.uncertainty as struct(noise float, bias float, factors float[])) as uncertainty,
    try_cast(m.source as varchar) as source,
    try_cast(m.facts as struct(
        format integer, algorithm varchar, feedback varchar, n_factors integer,
        users integer, items integer, rating_min float, rating_max float, options varchar
    )) as facts,
    try_cast(m.info as varchar) as info
from (
    from query_table(model)
    union all by name
    select
        null as kind, null as user_id, null as item_id, null as code, null as ratings,
        null as bias, null as factors, null as seen, null as seen_ratings, null as seen_times,
        null as implicit_factors, null as temporal, null as uncertainty, null as source, null as facts,
        null as info
    where false
) m;
comment on macro table mf__claimed is 'The rows of any relation, as a model has them';

create or replace macro mf__not_finite(numbers) as
    list_contains(list_transform(numbers, lambda x: coalesce(isfinite(x), false)), false);
comment on macro mf__not_finite is 'Whether a list has a number that is missing or not finite';

create or replace macro mf_check(model) as table
from (
    with
    mf__head as materialized (
        select
            count(*) as heads, any_value(m.facts) as facts, any_value(m.info) as info,
            any_value(m.bias) as mu, any_value(m.ratings) as ratings,
            any_value(m.temporal) as temporal, any_value(m.uncertainty.noise) as noise,
            -- what is said of a newer format would be wrong
            coalesce(any_value(m.facts.format) <= mf__format(), true) as is_known,
            -- mf_update counts anew, and not all rows
            coalesce(any_value(m.info) like '%"updates"%', false) as is_updated
        from mf__claimed(model) m
        where m.kind = 'model'
    ),
    -- lists are read once: what is kept is what there is to say of them
    mf__rows as materialized (
        select
            m.kind,
            {
                'code': m.code,
                'user_id': case when m.kind = 'user' then m.user_id end,
                'item_id': case when m.kind = 'item' then m.item_id end
            } as place,
            case m.kind when 'user' then m.item_id is not null else m.user_id is not null end
                as has_other_id,
            m.ratings, m.bias,
            coalesce(m.ratings > 0 and m.source is distinct from 'content', false) as is_trained,
            len(m.factors) as factors, mf__not_finite(m.factors) as bad_factors,
            len(m.implicit_factors) as implicit_factors,
            mf__not_finite(m.implicit_factors) as bad_implicit_factors,
            len(m.seen) as seen, m.seen[1] as first_seen,
            len(m.seen_ratings) as seen_ratings,
            mf__not_finite(m.seen_ratings) as bad_seen_ratings,
            len(m.seen_times) as seen_times, mf__not_finite(m.seen_times) as bad_seen_times,
            m.uncertainty.bias as bias_variance, len(m.uncertainty.factors) as variances,
            not m.uncertainty.bias >= 0 or not isfinite(m.uncertainty.bias)
                or mf__not_finite(m.uncertainty.factors)
                or list_min(m.uncertainty.factors) < 0 as bad_variances,
            m.temporal is not null as has_terms, m.temporal.t0 as mean_time,
            m.temporal.drift, len(m.temporal.factor_drift) as factor_drift,
            len(m.temporal.days) as days, len(m.temporal.day_bias) as day_bias,
            len(m.temporal.bin_bias) as bins,
            not isfinite(m.temporal.drift) or mf__not_finite(m.temporal.factor_drift)
                or mf__not_finite(m.temporal.days::float[]) or mf__not_finite(m.temporal.day_bias)
                or mf__not_finite(m.temporal.bin_bias) as bad_terms
        from mf__claimed(model) m
        where m.kind in ('user', 'item')
    ),
    -- what the rows of a kind have to have
    mf__kinds as materialized (
        select
            r.kind, count(*) as total, sum(r.ratings) as ratings, h.facts.n_factors,
            case when not h.is_updated then h.facts.items end as trained_items,
            h.temporal.t1 is not null or h.heads = 0 as has_span,
            count(r.bias) > 0 or (r.kind = 'item' and h.facts.feedback = 'explicit') as has_bias,
            case
                when h.facts is null then count(r.factors) > 0
                else h.facts.n_factors is not null
            end as has_factors,
            r.kind = 'item' and h.facts.algorithm in ('svdpp', 'timesvdpp') as needs_implicit_factors,
            count(r.implicit_factors) > 0 as has_implicit_factors,
            count(r.seen) > 0 as has_seen,
            count(r.seen_ratings) > 0 or h.facts.feedback = 'explicit' as has_seen_ratings,
            count(r.seen_times) > 0 or h.temporal.t1 is not null as has_seen_times,
            count(*) filter (where r.has_terms) > 0
                or (h.temporal.t1 is not null and regexp_matches(
                    h.facts.options,
                    case r.kind when 'user' then '_(drift|day)"' else '"item_bins"' end
                )) as has_terms,
            max(r.bins) as bins,
            h.noise is not null as is_sure
        from mf__rows r cross join mf__head h
        where h.is_known
        group by r.kind, h.heads, h.facts, h.temporal, h.is_updated, h.noise
    ),
    mf__damaged as (from mf__row_problems(mf__rows, mf__kinds)),
    mf__repeated as (
        select r.kind, r.place, mf__problem(
            'error', true, r.kind || '_id is also that of another row',
            'Keep one row of each, such as that of the last fold-in.'
        ) as found
        from (
            select r.kind, r.place.user_id, r.place.item_id
            from mf__rows r
            where r.place.user_id is not null or r.place.item_id is not null
            group by r.kind, r.place.user_id, r.place.item_id
            having count(*) > 1
        ) d
        join mf__rows r on r.kind = d.kind
            and r.place.user_id is not distinct from d.user_id
            and r.place.item_id is not distinct from d.item_id
        union all
        select d.kind, d.place, mf__problem(
            'error', d.first is distinct from d.last, 'code is also that of another ' || d.kind,
            'Fold these rows in again, or train again: what users have seen is told by codes.'
        )
        from (
            select
                r.kind, r.place, min(r.place) over same_code as first, max(r.place) over same_code as last
            from (
                select r.kind, r.place.code
                from mf__rows r
                where r.place.code is not null
                group by r.kind, r.place.code
                having count(*) > 1
            ) d
            join mf__rows r on r.kind = d.kind and r.place.code = d.code
            window same_code as (partition by r.kind, r.place.code)
        ) d
        union all
        select r.kind, r.place, mf__problem(
            'error', true,
            'seen is not in ascending order, or has an item twice or a NULL', mf__again()
        )
        from (
            select distinct s.code
            from (
                select m.code, unnest(m.seen) as item, unnest(m.seen[2:]) as next
                from mf__claimed(model) m
                where m.kind = 'user'
            ) s
            where s.item >= s.next or s.item is null
        ) d
        join mf__rows r on r.kind = 'user' and r.place.code is not distinct from d.code
        union all
        select 'user', s.place, mf__problem(
            'warning', true, 'seen has codes that no item has, and none was trained with,',
            'Train again, unless folded-in items were taken out on purpose.'
        )
        from (
            select distinct s.place
            from (
                select
                    {'code': m.code, 'user_id': m.user_id, 'item_id': null} as place,
                    unnest(m.seen) as item, k.trained_items
                -- a filter has taken items out where fewer are left than were trained
                from mf__claimed(model) m
                    join mf__kinds k on k.kind = 'item' and k.total >= k.trained_items
                where m.kind = 'user' and m.seen[-1] >= k.trained_items
            ) s
            left join (
                select r.place.code from mf__rows r where r.kind = 'item'
            ) i on i.code = s.item
            where i.code is null and s.item >= s.trained_items
        ) s
    ),
    mf__in_rows as (
        select
            f.kind, f.found.severity, coalesce(
                try_cast(min(f.place).user_id as varchar), try_cast(min(f.place).item_id as varchar)
            ) as id,
            f.found.problem || ' in ' || format('{:,}', count(*)) || ' of '
                || format('{:,}', k.total) || ' rows' as problem,
            f.found.remedy
        from (
            from mf__damaged
            union all
            from mf__repeated
        ) f
        join mf__kinds k on k.kind = f.kind
        where f.found is not null
        group by f.kind, f.found, k.total
    ),
    mf__unknown as (
        select
            coalesce(m.kind, 'NULL') as kind, 'warning' as severity, null as id,
            'no function reads rows of this kind (' || format('{:,}', count(*)) || ')' as problem,
            'Leave these rows out, or correct their kind.' as remedy
        from mf__claimed(model) m cross join mf__head h
        where m.kind not in ('model', 'epoch', 'user', 'item', 'cell') is not false
            and h.heads > 0 and h.is_known
        group by m.kind
    ),
    mf__of_head as (from mf__head_problems(mf__head, mf__kinds))
    select f.severity, f.kind, f.id, f.problem, f.remedy
    from (
        select 'model' as kind, f.found.severity, null as id, f.found.problem, f.found.remedy
        from mf__of_head f where f.found is not null
        union all
        from mf__in_rows
        union all
        from mf__unknown
    ) f
    order by
        f.severity asc nulls last, f.kind = 'model' desc nulls last, f.kind desc nulls last,
        f.problem asc nulls last
);
comment on macro table mf_check is 'What is wrong with a model: a row for each problem, none if it is sound';
