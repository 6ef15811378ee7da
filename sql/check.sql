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
--                terms that are missing, not finite, of lengths that do not fit, or without a span
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
        null as implicit_factors, null as temporal, null as source, null as facts, null as info
    where false
) m;
comment on macro table mf__claimed is 'The rows of any relation, as a model has them';

create or replace macro mf__not_finite(numbers) as
    list_contains(list_transform(numbers, lambda x: coalesce(isfinite(x), false)), false);
comment on macro mf__not_finite is 'Whether a list has a number that is missing or not finite';

create or replace macro mf__problem(severity, bad, problem, remedy) as
    case when bad then {'severity': severity, 'problem': problem, 'remedy': remedy} end;
comment on macro mf__problem is 'A problem where there is one, else NULL';

create or replace macro mf__again() as 'Fold these rows in again, or train again.';
comment on macro mf__again is 'What to do about rows whose numbers are lost';

create or replace macro mf_check(model) as table
from (
    with
    mf__head as materialized (
        select
            count(*) as heads, any_value(m.facts) as facts, any_value(m.info) as info,
            any_value(m.bias) as mu, any_value(m.ratings) as ratings,
            any_value(m.temporal) as temporal,
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
            max(r.bins) as bins
        from mf__rows r cross join mf__head h
        where h.is_known
        group by r.kind, h.heads, h.facts, h.temporal, h.is_updated
    ),
    mf__damaged as (
        select
            r.kind, r.place,
            unnest([
                mf__problem(
                    'error', r.place.user_id is null and r.place.item_id is null,
                    r.kind || '_id is NULL', 'Leave these rows out, or set their ids.'
                ),
                mf__problem(
                    'warning', r.has_other_id,
                    case r.kind when 'user' then 'item_id' else 'user_id' end || ' is not NULL',
                    'Set it to NULL: no function reads it.'
                ),
                mf__problem(
                    'error', coalesce(r.place.code < 0, true), 'code is NULL or negative',
                    'Train again: what users have seen is told by codes.'
                ),
                mf__problem(
                    'error', coalesce(r.ratings < 0, true), 'ratings is NULL or negative',
                    'Set it to the number of training ratings, 0 if there are none.'
                ),
                mf__problem(
                    'error', r.bias is null and k.has_bias, 'bias is NULL', mf__again()
                ),
                mf__problem('error', not isfinite(r.bias), 'bias is not finite', mf__again()),
                mf__problem(
                    'error', r.factors is null and k.has_factors, 'factors is NULL', mf__again()
                ),
                mf__problem(
                    'error', r.factors is not null and not k.has_factors,
                    'factors is not NULL, but facts.n_factors is',
                    'Set it to NULL, or train again.'
                ),
                mf__problem(
                    'error', r.factors <> k.n_factors,
                    'factors has another length than facts.n_factors (' || k.n_factors || ')',
                    'Append only rows of the same model. ' || mf__again()
                ),
                mf__problem(
                    'error', r.bad_factors, 'factors has a NULL or a number that is not finite', mf__again()
                ),
                mf__problem(
                    -- items that were folded in have none
                    'error', k.needs_implicit_factors and r.implicit_factors is null
                        and (r.place.code < k.trained_items or not k.has_implicit_factors),
                    'implicit_factors is NULL', 'Train again: mf_fold_in needs them.'
                ),
                mf__problem(
                    'error', r.implicit_factors <> k.n_factors or r.bad_implicit_factors,
                    'implicit_factors has a NULL, a number that is not finite, or another length than '
                        || 'facts.n_factors (' || k.n_factors || ')',
                    'Train again: mf_fold_in needs them.'
                ),
                mf__problem(
                    'error', r.seen is null and k.has_seen and r.is_trained and r.kind = 'user',
                    'seen is NULL', mf__again()
                ),
                mf__problem('error', r.first_seen < 0, 'seen has a code below 0', mf__again()),
                mf__problem(
                    'error', r.seen <> r.ratings, 'seen has another length than ratings says',
                    'Set ratings to len(seen). ' || mf__again()
                ),
                mf__problem(
                    'error', r.seen_ratings is null and r.seen > 0 and k.has_seen_ratings,
                    'seen_ratings is NULL', mf__again()
                ),
                mf__problem(
                    'error', coalesce(r.seen_ratings <> r.seen, r.seen_ratings is not null),
                    'seen_ratings has another length than seen', mf__again()
                ),
                mf__problem(
                    'error', r.bad_seen_ratings, 'seen_ratings has a NULL or a number that is not finite',
                    mf__again()
                ),
                mf__problem(
                    'error', r.seen_times is null and r.seen > 0 and k.has_seen_times,
                    'seen_times is NULL', mf__again()
                ),
                mf__problem(
                    'error', coalesce(r.seen_times <> r.seen, r.seen_times is not null),
                    'seen_times has another length than seen', mf__again()
                ),
                mf__problem(
                    'error', r.bad_seen_times, 'seen_times has a NULL or a number that is not finite',
                    mf__again()
                ),
                mf__problem(
                    'error', r.has_terms and not k.has_span,
                    'temporal is not NULL, but the model has no span of time',
                    'Set it to NULL, or train again.'
                ),
                mf__problem(
                    'error', not r.has_terms and k.has_terms and r.is_trained, 'temporal is NULL',
                    mf__again()
                ),
                mf__problem(
                    'error', r.bad_terms, 'temporal has a list with a NULL, or a number that is not finite',
                    mf__again()
                ),
                mf__problem(
                    'error', coalesce(r.drift, r.factor_drift) is not null
                        and coalesce(not isfinite(r.mean_time), true),
                    'temporal has a drift without t0, the mean time', mf__again()
                ),
                mf__problem(
                    'error', r.factor_drift <> k.n_factors,
                    'temporal.factor_drift has another length than facts.n_factors ('
                        || k.n_factors || ')',
                    mf__again()
                ),
                mf__problem(
                    'error', r.days is distinct from r.day_bias,
                    'temporal.day_bias has another length than temporal.days', mf__again()
                ),
                mf__problem(
                    'error', r.bins <> k.bins or r.bins = 0,
                    'temporal.bin_bias has another length than in other rows (' || k.bins || ')',
                    'Append only rows of the same model. ' || mf__again()
                )
            ]) as found
        from mf__rows r join mf__kinds k on k.kind = r.kind
    ),
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
    mf__of_head as (
        select unnest([
            mf__problem(
                'error', h.heads <> 1,
                'this relation is not a model: it has ' || h.heads || ' rows of kind ''model'', not 1',
                'Pass a table made by mf_fit.'
            ),
            mf__problem(
                'error', h.heads > 0 and h.facts.format is null,
                'this model is of format 1, or its column facts is missing', 'Train it again.'
            ),
            mf__problem(
                'error', not h.is_known,
                'this model has format ' || h.facts.format || ', made by a newer duckmf',
                'Upgrade duckmf.'
            )
        ]) as found
        from mf__head h
        union all
        select unnest([
            mf__problem(
                'error', h.facts is not null and h.missing_facts <> '',
                'facts has no ' || h.missing_facts, 'Train it again.'
            ),
            mf__problem(
                'error', h.facts.feedback not in ('explicit', 'implicit'),
                'facts.feedback is ''' || h.facts.feedback || '''',
                'Set it to ''explicit'' or ''implicit''.'
            ),
            mf__problem(
                'error', h.facts.feedback = 'explicit' and h.facts.rating_min > h.facts.rating_max,
                'facts.rating_min is ' || h.facts.rating_min || ', more than rating_max, '
                    || h.facts.rating_max,
                'Set them to the range of the ratings.'
            ),
            mf__problem(
                'error', coalesce(h.info not like '%"format"%' or h.info not like '%"options"%', true),
                'info is NULL or has no format and options',
                'Train it again: functions that learn need them.'
            ),
            mf__problem(
                'error', coalesce(not isfinite(h.mu), true),
                'bias, the global mean, is ' || coalesce(h.mu::varchar, 'NULL'), 'Train it again.'
            ),
            mf__problem(
                'error', coalesce(h.ratings < 0, true),
                'ratings is ' || coalesce(h.ratings::varchar, 'NULL'),
                'Set it to the number of training ratings.'
            ),
            mf__problem(
                'error', h.temporal is not null and coalesce(
                    not (isfinite(h.temporal.t0) and isfinite(h.temporal.t1)
                        and h.temporal.t0 <= h.temporal.t1),
                    true
                ),
                'temporal has the span of time from ' || coalesce(h.temporal.t0::varchar, 'NULL')
                    || ' to ' || coalesce(h.temporal.t1::varchar, 'NULL'),
                'Train it again.'
            ),
            mf__problem(
                'error', h.temporal is not null
                    and coalesce(h.temporal.beta not between 0 and 1, true),
                'temporal.beta is ' || coalesce(h.temporal.beta::varchar, 'NULL')
                    || ', not between 0 and 1',
                'Train it again.'
            ),
            mf__problem(
                'error', h.temporal is null and h.facts.options like '%"temporal": ["%',
                'temporal is NULL, but the model was trained with time terms', 'Train it again.'
            ),
            mf__problem(
                'error', h.temporal is not null and not h.has_terms,
                'temporal has a span of time, but no user and no item has time terms',
                'Train it again.'
            ),
            mf__problem(
                'error', h.users = 0, 'the model has no rows of kind ''user''',
                'Keep them, or train it again: every user is unknown.'
            ),
            mf__problem(
                'error', h.items = 0, 'the model has no rows of kind ''item''',
                'Keep them, or train it again: every item is unknown.'
            ),
            mf__problem(
                'warning', h.users = h.facts.users and h.items = h.facts.items and (
                    h.user_ratings < h.ratings
                    or (h.item_ratings < h.ratings and not h.is_updated)
                    or (h.user_ratings = h.item_ratings and h.user_ratings > h.ratings)
                ),
                'ratings is ' || format('{:,}', h.ratings) || ', but those of all users are '
                    || format('{:,}', h.user_ratings) || ' and those of all items '
                    || format('{:,}', h.item_ratings),
                'Train it again, unless ratings were taken out on purpose.'
            )
        ]) as found
        from (
            select
                h.*, coalesce(u.total, 0) as users, coalesce(i.total, 0) as items,
                u.ratings as user_ratings, i.ratings as item_ratings,
                coalesce(u.has_terms or i.has_terms, u.has_terms, i.has_terms) as has_terms,
                concat_ws(
                    ', ',
                    case when h.facts.algorithm is null then 'algorithm' end,
                    case when h.facts.feedback is null then 'feedback' end,
                    case when h.facts.items is null then 'items' end,
                    case when coalesce(not isfinite(h.facts.rating_min), true) then 'rating_min' end,
                    case when coalesce(not isfinite(h.facts.rating_max), true) then 'rating_max' end
                ) as missing_facts
            from mf__head h
                left join mf__kinds u on u.kind = 'user'
                left join mf__kinds i on i.kind = 'item'
            where h.heads > 0 and h.is_known
        ) h
    )
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
