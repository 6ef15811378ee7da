-- mf_folds(source, user_id, item_id, folds := 5, seed := 42)
--
-- Deals the rows of a source into folds, for cross-validation. Plain SQL; needs no Python.
--
--   create table parts as from mf_folds(ratings, user_id, movie_id);
--   create table films as with train as (from parts where fold <> 1) from mf_fit(train, ...);
--
-- Returns the rows of source, in no certain order, with all columns and fold INTEGER, 1 to `folds`:
-- by a hash of user, item and seed, so about as many pairs in each. All rows of a pair fall into
-- one fold, whatever the order of rows and the number of threads. The hash depends on the values:
-- an id of another type (1 and '1') may fall into another fold.
--
-- source            a table, view or CTE; it may not have a column named fold
-- user_id, item_id  expressions over the columns of source, never NULL
-- folds             their number, 2 to 1000
-- seed              another seed deals anew

create or replace macro mf_folds(source, user_id, item_id, folds := 5, seed := 42) as table
from (
    with
    mf__source as not materialized (
        select *, user_id as mf__user, item_id as mf__item from query_table(source)
    ),
    mf__head as (
        select
            case
                when coalesce(folds not between 2 and 1000 or folds <> floor(folds), true)
                    then error('mf_folds: folds is ' || coalesce(folds::varchar, 'NULL')
                        || '. Give a whole number from 2 to 1000.')
                when c.taken
                    then error('mf_folds: source already has a column named fold. '
                        || 'Pass a CTE that excludes or renames it.')
                else mf__has_ids('mf_folds', 'the source', s.users, s.items, s.n)
            end as valid
        from mf__taken(mf__source, fold is null) c, (
            select count(*) as n, count(s.mf__user) as users, count(s.mf__item) as items
            from mf__source s
        ) s
    )
    select
        s.* exclude (mf__user, mf__item),
        (hash(hash(seed::bigint, s.mf__user, s.mf__item)) % folds::ubigint + 1)::integer as fold
    from mf__source s, mf__head h
    where h.valid
);
comment on macro table mf_folds is 'The rows of a source dealt into folds';
