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
    mf__head as materialized (
        select
            s.cut,
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
                when c.taken
                    then error('mf_split: source already has a column named split. '
                        || 'Pass a CTE that excludes or renames it.')
                when not mf__has_ids('mf_split', 'the source', s.users, s.items, s.n) then null
                when method <> 'random' and s.ts_type = '"NULL"'
                    then error('mf_split: method ''' || method || ''' needs ts. '
                        || 'Pass the time of a row, such as ts := rated_at.')
                when method <> 'random' and s.times < s.n
                    then mf__bad_rows(
                        'mf_split', 'ts is NULL', s.n - s.times, s.n,
                        'Add WHERE ... IS NOT NULL to the source.'
                    )
                else true
            end as valid
        from mf__taken(mf__source, split is null) c, (
            select
                count(*) as n, count(s.mf__user) as users, count(s.mf__item) as items,
                count(s.mf__ts) as times, any_value(s.mf__ts_type) as ts_type,
                case
                    when method = 'time'
                        then quantile_disc(s.mf__ts, greatest(0, least(1, 1 - fraction)))
                end as cut
            from mf__source s
        ) s
    ),
    mf__parts as not materialized (
        select
            s.*,
            case method
                when 'random'
                    then hash(hash(seed::bigint, s.mf__user, s.mf__item)) < fraction * 2 ^ 64
                when 'time' then s.mf__ts > h.cut
            end as mf__test
        from mf__source s, mf__head h
        where h.valid and method is distinct from 'last'
        union all
        select
            s.*,
            row_number() over (
                partition by s.mf__user order by s.mf__ts desc nulls last, s.mf__item desc nulls last
            ) <= n as mf__test
        from mf__source s, mf__head h
        where h.valid and method = 'last'
    )
    select
        p.* exclude (mf__user, mf__item, mf__ts, mf__ts_type, mf__test),
        case when p.mf__test then 'test' else 'train' end as split
    from mf__parts p
);
comment on macro table mf_split is 'The rows of a source marked ''train'' or ''test''';
