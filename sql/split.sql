create or replace macro mf_split(
    source, user_id, item_id, ts := NULL, method := 'random', fraction := 0.2, seed := 42, n := 1
) as table
from (
    with
    mf__source as not materialized (
        select
            *, user_id as mf__user, item_id as mf__item, ts as mf__ts, typeof(ts) as mf__ts_type
        from query_table(source)
    ),
    -- A column of source hides the outer column of its name, and is NULL in the row added here.
    columns as not materialized (
        select added.split is NULL as taken
        from
            (select 1 as split) free,
            lateral (
                select split from ((from mf__source limit 0) union all by name select 1 as mf__row)
            ) added
    ),
    head as not materialized (
        select
            case when method = 'time' then quantile_disc(s.mf__ts, 1 - fraction) end as cut,
            case
                when coalesce(method not in ('random', 'time', 'last'), true)
                    then error('mf_split: method is ' || coalesce('''' || method || '''', 'NULL')
                        || '. Give ''random'', ''time'' or ''last''.')
                when coalesce(fraction <= 0 or fraction >= 1, true)
                    then error('mf_split: fraction is ' || coalesce(fraction::VARCHAR, 'NULL')
                        || '. Give a number between 0 and 1.')
                when coalesce(n < 1, true)
                    then error('mf_split: n is ' || coalesce(n::VARCHAR, 'NULL')
                        || '. Give how many rows of each user to hold out, at least 1.')
                when (select c.taken from columns c)
                    then error('mf_split: source already has a column named split. '
                        || 'Pass a CTE that excludes or renames it.')
                when count(*) filter (where s.mf__user is NULL) > 0
                    then error('mf_split: user_id is NULL in '
                        || count(*) filter (where s.mf__user is NULL) || ' of ' || count(*)
                        || ' rows. Add WHERE ... IS NOT NULL to the source.')
                when count(*) filter (where s.mf__item is NULL) > 0
                    then error('mf_split: item_id is NULL in '
                        || count(*) filter (where s.mf__item is NULL) || ' of ' || count(*)
                        || ' rows. Add WHERE ... IS NOT NULL to the source.')
                when method <> 'random' and any_value(s.mf__ts_type) = '"NULL"'
                    then error('mf_split: method ''' || method || ''' needs ts. '
                        || 'Pass the time of a row, such as ts := rated_at.')
                when method <> 'random' and count(*) filter (where s.mf__ts is NULL) > 0
                    then error('mf_split: ts is NULL in '
                        || count(*) filter (where s.mf__ts is NULL) || ' of ' || count(*)
                        || ' rows. Add WHERE ... IS NOT NULL to the source.')
                else true
            end as valid
        from mf__source s
    ),
    parts as not materialized (
        select
            s.*,
            case method
                when 'random' then md5_number_lower(
                    concat_ws(chr(31), s.mf__user, s.mf__item, seed)
                ) < fraction * 18446744073709551616
                when 'time' then s.mf__ts > h.cut
            end as mf__test
        from mf__source s, head h
        where h.valid and method <> 'last'
        union all
        select
            s.*,
            row_number() over (
                partition by s.mf__user order by s.mf__ts desc, s.mf__item desc
            ) <= n as mf__test
        from mf__source s, head h
        where h.valid and method = 'last'
    )
    select
        p.* exclude (mf__user, mf__item, mf__ts, mf__ts_type, mf__test),
        case when p.mf__test then 'test' else 'train' end as split
    from parts p
);
comment on macro table mf_split is 'The rows of a source marked ''train'' or ''test''';
