-- mf_check_source(source, user_id, item_id, rating := NULL, ts := NULL, strength := NULL, test := ...)
--
-- What is unusual about rows that a model is to be trained on. Plain SQL; needs no Python.
--
--   from mf_check_source(ratings, user_id, movie_id, rating, rated_at);
--   from mf_check_source(invoices, customer_id, sku, strength := quantity);
--
-- Returns a row for each finding, errors first, and none where nothing is unusual:
--   severity VARCHAR  'error': mf_fit refuses these rows, or learns nothing from them; 'warning': they
--                     may not mean what they say
--   problem VARCHAR   what was found
--   rows BIGINT       in how many rows of the source (or of test)
--   example VARCHAR   one of them: the least value, or the most frequent pair
--   remedy VARCHAR    what to do, if it is not meant so
--
-- source            a table, view or CTE
-- user_id, item_id, rating, ts, strength
--                   expressions over its columns, as in mf_fit: a rating says how well a user liked
--                   an item, a strength how much he used it
-- test              a table, view or CTE with the same columns, to be judged by: which of its pairs the
--                   model would be trained on
--
-- What is looked for:
--   ids      NULL, NaN or infinite; the same in all rows, as of a name in quotes; numbers with a decimal
--            point that are all whole, as of a column with gaps from pandas; texts that are blank or
--            such as 'nan', or that differ only in case, blanks or leading zeros; users and items with
--            a single rating; repeated pairs
--   rating   NULL, or no finite number; constant; with a long tail, as strengths have: the
--            greatest at least 10, and 10 times the median of those above 0; 0 more often than any
--            other value, as of blanks that were filled in
--   strength NULL, or no finite number; negative; 0 in all rows; with a long tail
--   ts       NULL, infinite, or no time; milliseconds; text; the same in all rows; later than tomorrow

create or replace macro mf__finding(severity, rows_found, problem, example, remedy) as
    case
        when rows_found > 0
            then {
                'severity': severity, 'problem': problem, 'rows': rows_found::bigint,
                'example': example, 'remedy': remedy
            }
    end;
comment on macro mf__finding is 'Something unusual in some rows, or NULL if there are none';

create or replace macro mf__only_where(condition) as
    'WITH kept AS (FROM source WHERE ' || condition || ') FROM mf_fit(kept, ...).';
comment on macro mf__only_where is 'How to train on some rows of a source alone';

-- mf__id_findings(ids, side): what is unusual about the ids of the side 'user' or 'item'. ids has id,
-- n_rows and n_pairs.
create or replace macro mf__id_findings(ids, side) as table
select
    unnest([
        mf__finding(
            'error', c.n_rows * (c.n = 1 and c.n_rows > 1)::integer,
            side || '_id is the same in all rows', c.least,
            'Give a column that tells ' || side || 's apart; write its name without quotes.'
        ),
        mf__finding(
            'error', c.n_not_finite, side || '_id is NaN or infinite', 'nan',
            'Leave these rows out: ' || mf__only_where('isfinite(' || side || '_id)')
        ),
        mf__finding(
            'warning', c.n_rows * (c.n_whole = c.n)::integer,
            side || '_id is a ' || c.type || ', but always a whole number', c.least,
            'Cast it to BIGINT: as text it is ' || c.least || ', not ' || split_part(c.least, '.', 1) || '.'
        ),
        mf__finding(
            'warning', c.n_missing, side || '_id is text that stands for no value',
            '''' || c.missing || '''',
            'Leave these rows out, unless they are of one ' || side || '.'
        ),
        mf__finding(
            'warning', v.n_rows,
            side || '_id differs from another one only in case, blanks or leading zeros', v.example,
            'Write them one way if they are the same, such as upper(trim(' || side || '_id)).'
        ),
        mf__finding(
            'warning', c.n_single_rows,
            format('{:,}', c.n_single) || ' of ' || format('{:,}', c.n) || ' ' || side || 's have a single '
                || case side when 'user' then 'item' else 'user' end,
            c.single,
            case side
                when 'user' then 'Lists of popular items suit them: mf_recommend(..., min_ratings := 2).'
                else 'Leave them out, or learn them from their content: mf_project_items.'
            end
        )
    ]) as found
from
    (
        select
            count(*) as n, sum(i.n_rows) as n_rows, try_cast(min(i.id) as varchar) as least,
            any_value(typeof(i.id)) as type,
            count(*) filter (where typeof(i.id) in ('FLOAT', 'DOUBLE')
                and try_cast(i.id as double) = trunc(try_cast(i.id as double))) as n_whole,
            sum(i.n_rows) filter (where typeof(i.id) in ('FLOAT', 'DOUBLE')
                and not isfinite(try_cast(i.id as double))) as n_not_finite,
            sum(i.n_rows) filter (where i.missing is not null) as n_missing, min(i.missing) as missing,
            count(*) filter (where i.n_pairs = 1) as n_single,
            sum(i.n_rows) filter (where i.n_pairs = 1) as n_single_rows,
            try_cast(min(i.id) filter (where i.n_pairs = 1) as varchar) as single
        from (
            select
                i.*,
                case
                    when typeof(i.id) = 'VARCHAR'
                        and lower(trim(try_cast(i.id as varchar))) in ('', 'nan', 'null', 'none', 'n/a')
                        then try_cast(i.id as varchar)
                end as missing
            from query_table(ids) i
        ) i
    ) c,
    (
        select sum(v.n_rows) as n_rows, min(v.example) as example
        from (
            select
                sum(i.n_rows) as n_rows,
                '''' || try_cast(min(i.id) as varchar) || ''' and ''' || try_cast(max(i.id) as varchar)
                    || '''' as example
            from query_table(ids) i
            where typeof(i.id) = 'VARCHAR'
            group by ltrim(lower(regexp_replace(try_cast(i.id as varchar), '\s+', '', 'g')), '0')
            having count(*) > 1
        ) v
    ) v;
comment on macro table mf__id_findings is 'What is unusual about the ids of users or items';

create or replace macro mf_check_source(
    source, user_id, item_id, rating := null, ts := null, strength := null, test := 'mf__untested'
) as table
from (
    with
    mf__untested as (from query_table(source) limit 0),
    mf__given as materialized (
        select
            user_id as u, item_id as i,
            coalesce(try_cast(rating as float), try_cast(strength as float)) as r,
            -- texts only of what is to be shown
            case
                when coalesce(isfinite(coalesce(try_cast(rating as float), try_cast(strength as float))), false)
                    then null
                else coalesce(try_cast(rating as varchar), try_cast(strength as varchar))
            end as r_text,
            mf__seconds(ts) as t,
            case
                when mf__seconds(ts) between -1e11 and 1e11 then null
                else try_cast(ts as varchar)
            end as t_text,
            typeof(rating) <> '"NULL"' as has_rating,
            typeof(strength) <> '"NULL"' as has_strength,
            typeof(ts) <> '"NULL"' as has_ts,
            typeof(ts) as ts_type
        from query_table(source)
    ),
    mf__counts as materialized (
        select
            count(*) as n,
            coalesce(any_value(g.has_rating), false) as has_rating,
            coalesce(any_value(g.has_strength), false) as has_strength,
            coalesce(any_value(g.has_ts), false) as has_ts,
            any_value(g.ts_type) as ts_type,
            case when any_value(g.has_strength) then 'strength' else 'rating' end as name,
            count(*) - count(g.u) as null_users,
            min(g.i) filter (where g.u is null) as item_of_null,
            count(*) - count(g.i) as null_items,
            min(g.u) filter (where g.i is null) as user_of_null,
            count(*) filter (where g.r is null) - count(g.r_text) filter (where g.r is null)
                as null_numbers,
            count(g.r_text) as bad_numbers, min(g.r_text) as bad_number,
            count(*) filter (where g.r < 0) as negatives,
            min(g.r) as least, max(g.r) filter (where isfinite(g.r)) as greatest,
            median(g.r) filter (where g.r > 0 and isfinite(g.r)) as middle,
            coalesce(greatest >= 10 and greatest >= 10 * middle, false) as has_tail,
            count(*) filter (where g.t is null and g.t_text is null) as null_times,
            count(*) filter (where not coalesce(isfinite(g.t), g.t_text is null)) as bad_times,
            min(g.t_text) filter (where not coalesce(isfinite(g.t), false)) as bad_time,
            count(*) filter (where isfinite(g.t) and abs(g.t) > 1e11) as long_times,
            min(g.t_text) filter (where isfinite(g.t)) as long_time,
            max(abs(g.t)) filter (where isfinite(g.t)) as farthest,
            make_timestamp((min(g.t) filter (where abs(g.t) <= 1e11) * 1e6)::bigint)::varchar as first_time,
            make_timestamp((max(g.t) filter (where abs(g.t) <= 1e11) * 1e6)::bigint)::varchar as last_time,
            count(*) filter (where g.t between epoch(now()) + 86400 and 1e11) as future_times
        from mf__given g
    ),
    mf__pairs as materialized (
        select g.u, g.i, count(*) as n_rows
        from mf__given g
        where g.u is not null and g.i is not null
        group by g.u, g.i
    ),
    mf__users as materialized (
        select p.u as id, sum(p.n_rows) as n_rows, count(*) as n_pairs from mf__pairs p group by p.u
    ),
    mf__items as materialized (
        select p.i as id, sum(p.n_rows) as n_rows, count(*) as n_pairs from mf__pairs p group by p.i
    ),
    mf__repeats as materialized (
        select
            sum(p.n_rows) as n,
            'user_id ' || try_cast(max(p.pair).u as varchar) || ', item_id '
                || try_cast(max(p.pair).i as varchar) || ': ' || format('{:,}', max(p.pair).n) || ' rows'
                as example
        from (
            select p.n_rows, {'n': p.n_rows, 'u': p.u, 'i': p.i} as pair
            from mf__pairs p
            where p.n_rows > 1
        ) p
    ),
    mf__zeros as materialized (
        select v.n
        from (
            select v.r, count(*) as n, max(count(*)) over () as most, count(*) over () as n_values
            from mf__given v
            where isfinite(v.r)
            group by v.r
        ) v
        where v.r = 0 and v.n = v.most and v.n_values > 1
    ),
    -- ids of source and test may be of different types
    mf__trained as materialized (
        select
            count(*) as n,
            'user_id ' || min(t.pair).u || ', item_id ' || min(t.pair).i as example
        from (
            select
                {'u': try_cast(user_id as varchar), 'i': try_cast(item_id as varchar)} as pair
            from query_table(test)
        ) t
        where t.pair in (
            select {'u': try_cast(p.u as varchar), 'i': try_cast(p.i as varchar)} from mf__pairs p
        )
    ),
    mf__found as (
        select unnest([
            mf__finding(
                'error', c.n * (c.has_rating and c.has_strength)::integer,
                'rating and strength are both given', null,
                'Give a rating where users say how well they like an item, else a strength.'
            ),
            mf__finding(
                'error', c.null_users, 'user_id is NULL',
                'item_id ' || try_cast(c.item_of_null as varchar), 'Leave these rows out: ' || mf__only_where('user_id IS NOT NULL')
            ),
            mf__finding(
                'error', c.null_items, 'item_id is NULL',
                'user_id ' || try_cast(c.user_of_null as varchar), 'Leave these rows out: ' || mf__only_where('item_id IS NOT NULL')
            ),
            mf__finding(
                'error', c.null_numbers * (c.has_rating or c.has_strength)::integer,
                c.name || ' is NULL', null, 'Leave these rows out: ' || mf__only_where(c.name || ' IS NOT NULL')
            ),
            mf__finding(
                'error', c.bad_numbers, c.name || ' is no finite number', '''' || c.bad_number || '''',
                case
                    when c.bad_number similar to '\s*[-+]?\d+,\d+\s*'
                        then 'Write a decimal point: replace(' || c.name || ', '','', ''.'')::DOUBLE.'
                    else 'Correct these rows, or leave them out: '
                        || mf__only_where('isfinite(try_cast(' || c.name || ' AS FLOAT))')
                end
            ),
            mf__finding(
                'error', c.n * (c.has_rating and c.least = c.greatest and c.n > 1)::integer,
                'rating is the same in all rows', c.least::varchar,
                'Leave it out: then what users have chosen counts, not how they rate it.'
            ),
            mf__finding(
                'error', c.n * (c.has_strength and c.least = 0 and c.greatest = 0)::integer,
                'strength is 0 in all rows', '0.0', 'Leave it out: then each row counts as 1.'
            ),
            mf__finding(
                case when c.has_strength then 'error' else 'warning' end,
                c.negatives * (c.has_strength or c.has_tail)::integer, c.name || ' is below 0',
                c.least::varchar,
                'Leave cancellations out, or take them off what they cancel: a strength is at least 0.'
            ),
            mf__finding(
                'warning', c.n * (c.has_rating and c.has_tail)::integer,
                'rating has a long tail, as strengths have',
                'median ' || c.middle || ', greatest ' || c.greatest,
                'Pass strength := ln(1 + ...) instead, if it counts or measures use.'
            ),
            mf__finding(
                'warning', c.n * (c.has_strength and c.has_tail)::integer, 'strength has a long tail',
                'median ' || c.middle || ', greatest ' || c.greatest,
                'Pass strength := ln(1 + ...): often its lists are better.'
            ),
            mf__finding(
                'warning', z.n * c.has_rating::integer, 'rating is 0 more often than any other value',
                '0.0', 'Leave these rows out if 0 is no rating: ' || mf__only_where('rating <> 0')
            ),
            mf__finding(
                'warning', r.n, 'a user and an item stand in several rows', r.example,
                case
                    when c.has_rating then 'mf_fit takes the mean of their ratings'
                    else 'mf_fit adds their strengths up'
                end || '; duplicates := ''last'', ''max'', '
                    || case when c.has_rating then '''sum''' else '''mean''' end
                    || ' or ''error'' is another choice.'
            ),
            mf__finding(
                'error', c.null_times * c.has_ts::integer, 'ts is NULL', null,
                'Leave these rows out: ' || mf__only_where('ts IS NOT NULL')
            ),
            mf__finding(
                'error', c.bad_times, 'ts is no time', '''' || c.bad_time || '''',
                case
                    when c.ts_type = 'VARCHAR' then 'Read it, such as with strptime(ts, ''%d.%m.%Y %H:%M'').'
                    else 'Give a TIMESTAMP, a DATE or seconds since 1970.'
                end
            ),
            mf__finding(
                'error', c.long_times, 'ts is not in seconds since 1970', c.long_time,
                'Divide it by ' || case
                    when c.farthest > 1e17 then '1e9: it is in nanoseconds.'
                    when c.farthest > 1e14 then '1e6: it is in microseconds.'
                    else '1000: it is in milliseconds.'
                end
            ),
            mf__finding(
                'warning', c.n * (c.ts_type = 'VARCHAR' and c.bad_times = 0)::integer, 'ts is text',
                c.first_time, 'Cast it to TIMESTAMP, or to DOUBLE where it is in seconds.'
            ),
            mf__finding(
                'warning', c.n * (c.first_time = c.last_time and c.n > 1)::integer,
                'ts is the same in all rows', c.first_time, 'Leave it out, or give the time of each row.'
            ),
            mf__finding(
                'warning', c.future_times, 'ts is later than tomorrow', c.last_time,
                'Correct it: the last time is what predictions are for.'
            ),
            mf__finding(
                'warning', t.n, 'rows of test have a pair that source has too', t.example,
                'Judge by rows that are held out, such as those of mf_split.'
            )
        ]) as found
        from mf__counts c cross join mf__repeats r cross join mf__trained t left join mf__zeros z on true
        union all
        select {
            'severity': 'error', 'problem': 'the source has no rows', 'rows': c.n, 'example': null,
            'remedy': 'Give it at least one.'
        }
        from mf__counts c
        where c.n = 0
        union all
        from mf__id_findings(mf__users, 'user')
        union all
        from mf__id_findings(mf__items, 'item')
    )
    select f.found.severity, f.found.problem, f.found.rows, f.found.example, f.found.remedy
    from mf__found f
    where f.found is not null
    order by f.found.severity asc nulls last, f.found.rows desc nulls last, f.found.problem asc nulls last
);
comment on macro table mf_check_source is 'What is unusual about rows that a model is to be trained on';
