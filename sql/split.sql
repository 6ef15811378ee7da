-- mf_split(source, user_id, item_id, ts := NULL, method := 'random', fraction := 0.2, seed := 42,
--          n := 1)
--
-- Marks each row of a source as training or test data. Plain SQL; needs no Python.
--
--   create table parts as from mf_split(ratings, user_id, movie_id);
--   create table films as with train as (from parts where split = 'train') from mf_fit(train, ...);
--
-- Returns the rows of source, in no certain order, with all columns and split, 'train' or 'test'.
--
-- source            a table, view or CTE; it may not have a column named split
-- user_id, item_id  expressions over the columns of source, never NULL
-- ts                the time of a row, for the methods 'time' and 'last'; an expression, never NULL
-- method            how the test rows are chosen:
--   'random'  by a hash of user, item and seed, about `fraction` of the pairs. All rows of a pair
--             fall on the same side, whatever the order of rows and the number of threads, and a
--             larger fraction extends the test rows of a smaller one. The hash depends on the
--             values: an id of another type (1 and '1') may fall on the other side
--   'time'    forward in time: the rows after a cut, at most `fraction` of all. Rows of the same
--             time stay together, so no test row is as old as any training row
--   'last'    the last n rows of each user; of rows of the same time, those of greater item_id are
--             the later ones. A user with n rows or fewer has no training rows
-- fraction          share of the test rows, between 0 and 1
-- seed              another seed is another random split
-- n                 test rows of each user, for the method 'last'

create or replace macro mf_split(
    source, user_id, item_id, ts := null, method := 'random', fraction := 0.2, seed := 42, n := 1
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
        select added.split is null as taken
        from
            (select 1 as split) free,
            lateral (
                select split from ((from mf__source limit 0) union all by name select 1 as mf__row)
            ) added
    ),
    head as not materialized (
        select
            case
                when method = 'time'
                    then quantile_disc(s.mf__ts, greatest(0, least(1, 1 - fraction)))
            end as cut,
            case
                when coalesce(method not in ('random', 'time', 'last'), true)
                    then error('mf_split: method is ' || coalesce('''' || method || '''', 'NULL')
                        || '. Give ''random'', ''time'' or ''last''.')
                when coalesce(fraction <= 0 or fraction >= 1, true)
                    then error('mf_split: fraction is ' || coalesce(fraction::varchar, 'NULL')
                        || '. Give a number between 0 and 1.')
                when coalesce(n < 1, true)
                    then error('mf_split: n is ' || coalesce(n::varchar, 'NULL')
                        || '. Give how many rows of each user to hold out, at least 1.')
                when (select c.taken from columns c)
                    then error('mf_split: source already has a column named split. '
                        || 'Pass a CTE that excludes or renames it.')
                when count(*) filter (where s.mf__user is null) > 0
                    then error('mf_split: user_id is NULL in '
                        || count(*) filter (where s.mf__user is null) || ' of ' || count(*)
                        || ' rows. Add WHERE ... IS NOT NULL to the source.')
                when count(*) filter (where s.mf__item is null) > 0
                    then error('mf_split: item_id is NULL in '
                        || count(*) filter (where s.mf__item is null) || ' of ' || count(*)
                        || ' rows. Add WHERE ... IS NOT NULL to the source.')
                when method <> 'random' and any_value(s.mf__ts_type) = '"NULL"'
                    then error('mf_split: method ''' || method || ''' needs ts. '
                        || 'Pass the time of a row, such as ts := rated_at.')
                when method <> 'random' and count(*) filter (where s.mf__ts is null) > 0
                    then error('mf_split: ts is NULL in '
                        || count(*) filter (where s.mf__ts is null) || ' of ' || count(*)
                        || ' rows. Add WHERE ... IS NOT NULL to the source.')
                else true
            end as valid
        from mf__source s
    ),
    parts as not materialized (
        select
            s.*,
            case method
                when 'random'
                    then hash(hash(seed::bigint, s.mf__user, s.mf__item)) < fraction * 2 ^ 64
                when 'time' then s.mf__ts > h.cut
            end as mf__test
        from mf__source s, head h
        where h.valid and method is distinct from 'last'
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
