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
    -- A column of source hides the outer column of its name, and is NULL in the row added here.
    columns as not materialized (
        select added.fold is null as taken
        from
            (select 1 as fold) free,
            lateral (
                select fold from ((from mf__source limit 0) union all by name select 1 as mf__row)
            ) added
    ),
    head as not materialized (
        select
            case
                when coalesce(folds not between 2 and 1000 or folds <> floor(folds), true)
                    then error('mf_folds: folds is ' || coalesce(folds::varchar, 'NULL')
                        || '. Give a whole number from 2 to 1000.')
                when (select c.taken from columns c)
                    then error('mf_folds: source already has a column named fold. '
                        || 'Pass a CTE that excludes or renames it.')
                when count(*) filter (where s.mf__user is null) > 0
                    then error('mf_folds: user_id is NULL in '
                        || count(*) filter (where s.mf__user is null) || ' of ' || count(*)
                        || ' rows. Add WHERE ... IS NOT NULL to the source.')
                when count(*) filter (where s.mf__item is null) > 0
                    then error('mf_folds: item_id is NULL in '
                        || count(*) filter (where s.mf__item is null) || ' of ' || count(*)
                        || ' rows. Add WHERE ... IS NOT NULL to the source.')
                else true
            end as valid
        from mf__source s
    )
    select
        s.* exclude (mf__user, mf__item),
        (hash(hash(seed::bigint, s.mf__user, s.mf__item)) % folds::ubigint + 1)::integer as fold
    from mf__source s, head h
    where h.valid
);
comment on macro table mf_folds is 'The rows of a source dealt into folds';
