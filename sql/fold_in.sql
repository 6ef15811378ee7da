-- mf_fold_in, mf_fold_in_items: rows of a model for new or changed users, or items, the other side of
-- the model held still. Need a duckmf connection (Python).
--
--     MERGE INTO films USING (FROM mf_fold_in(films, changed, user_id, movie_id, rating)) AS made
--     ON films.kind = 'user' AND films.user_id = made.user_id
--     WHEN MATCHED THEN UPDATE WHEN NOT MATCHED THEN INSERT;
--
-- Return 'user' (or 'item') rows, one for each user (or item) of the source, by id, with the columns and
-- types of the model. Each row is what training would give it if the other side stayed as it is: a
-- user of the training, folded in with the same ratings, gets the same factors.
--
-- model                    a relation made by mf_fit; its options are those of the model
-- source                   a table, view or CTE with all ratings of its users (or items), old and new
-- user_id, item_id,        SQL expressions over the source's columns, as in mf_fit; ids are cast to the
-- rating, ts, strength     types that the model has
-- complete                 mf_fold_in: false if the source has only new ratings of its users: those that
--                          the model has stored (seen, seen_ratings) count as made before them, or
--                          when they were (seen_times, of models with time terms)
-- unknown                  what a rating of an item (or user) that the model does not know is: 'error',
--                          or 'ignore' to leave it out
-- duplicates               what several rows of one user and item mean, stored ones included; as the
--                          model was trained if left out
-- threads                  threads to solve on (DuckDB's own setting)
--
-- MERGE may be run again, and for users that the model has: it replaces their rows. INSERT would add second
-- ones, and every function refuses a model with two rows of a user.
--
-- A known user keeps its code. That of a new one is made of its id, so that statements that run side by side
-- do not give two of them the same. mf_fold_in_items leaves `seen` of the users as it is: fold in items first,
-- then those who rated them. The row of kind 'model' does not change: mu and what info says stay those of the
-- training.
--
-- How rows are solved: als, bias, popularity, implicit_als: their optimum, as in training (a row that
-- implicit_als trained with solver 'cg' was on its way there). svd, svdpp, timesvdpp: the optimum of the
-- same objective, which the steps of training come near; the y_j of svdpp stay. With time terms, those of
-- the row are solved too, and ts must be given: t_u is the mean time of all ratings of a user, and times
-- outside the span of the training count as its ends; seen_times keeps them. bpr: by the steps of training
-- that are the row's own. An item of bpr is learnt from those who did not choose it too, in the ratings
-- that the model has stored, and is compared with all of its items.

-- mf__fold_in(...): both functions; the side that is solved is `this`, the fixed one `other`. Arguments
-- beside those of the functions:
--
-- caller            the name of the function that was called
-- this, other       'user' and 'item', or the other way round
-- this_id, other_id their ids, as columns of a relation m: of a model, or of the source
-- new_user, new_item  the ids of the rows that are returned, as columns of a relation m that has id; or NULL
create or replace macro mf__fold_in(
    caller, model, source, user_id, item_id, rating, ts, strength, complete, unknown, duplicates, threads,
    this, other, this_id, other_id, new_user, new_item
) as table
with
mf__model as not materialized (from mf__rows(model)),
mf__shape as materialized (from mf__shape(model) limit 0),
mf__head as materialized (
    select h.*, h.facts.feedback = 'implicit' as implicit, h.facts.algorithm = 'bpr' as compares
    from mf__learnt(model, caller) h
),
mf__mine as not materialized (select m.*, this_id as id from mf__model m where m.kind = this),
mf__theirs as not materialized (select m.*, other_id as id from mf__model m where m.kind = other),
mf__given as not materialized (
    select m.*, this_id as given, other_id as other_id
    from mf__ratings_of(source, user_id, item_id, rating, ts, strength) m
),
mf__ratings as materialized (
    select
        g.*, mf__id_like(g.given, w.id) as id, mf__id_like(g.given, w.id) <> g.given as changed,
        t.code, t.n, t.n > 1 or t.n = 1 and t.code is null as damaged
    from mf__given g
        left join (select this_id as id from mf__shape m) w on true
        left join mf__codes(mf__model, other, other_id) t on t.id = g.other_id
),
mf__counts as materialized (
    select c.*, o.*
    from mf__counts_of(mf__ratings) c cross join (
        select
            count(*) filter (where s.changed) as changed_ids,
            count(s.other_id) filter (where s.n is null) as unknown_rows,
            count(distinct s.other_id) filter (where s.n is null) as unknown_ids,
            (min(s.other_id) filter (where s.n is null))::varchar as unknown_id,
            count(s.other_id) filter (where s.damaged) as damaged_rows,
            count(distinct s.other_id) filter (where s.damaged) as damaged_ids,
            (min(s.other_id) filter (where s.damaged))::varchar as damaged_id,
            (
                select coalesce(bool_or(t.implicit_factors is not null), false)
                from mf__theirs t
            ) as has_implicit
        from mf__ratings s
    ) o
),
mf__fixed as (
    select mf__lists_of_m(this = 'item' and (select h.compares from mf__head h)) as lists
    from mf__theirs m
    where complete is not true
        or (select h.implicit from mf__head h)
        or try_cast(m.code as integer) in (select s.code from mf__ratings s)
),
-- what items are compared with, where a model does that: all of them
mf__rivals as (
    select mf__lists_of_m(false) as lists
    from mf__mine m
    where this = 'item' and (select h.compares from mf__head h)
),
mf__laid_out as materialized (
    select
        mf__fixed(
            mf__request(
                caller,
                json_object(
                    'solved', this || 's', 'unknown', unknown, 'duplicates', duplicates,
                    'threads', threads
                ),
                c,
                to_json(h)
            ),
            f.lists,
            r.lists
        ) as made
    from mf__counts c, mf__head h, mf__fixed f, mf__rivals r
),
mf__ready as materialized (
    select mf__answer(l.made.number, l.made.error) as number from mf__laid_out l
),
mf__asked as not materialized (
    select
        d.*,
        mf__code(caller, mf__model, this, try_cast(m.code as integer), d.id) as code,
        -- a new id counts as one row, with a code
        count(*) over (partition by d.id) as n,
        case when m.id is null then 0 else try_cast(m.code as integer) end as known_code,
        case
            when complete then null
            when m.seen is null and m.ratings > 0
                then error(caller || ': the model has not stored the ratings of its users '
                    || '(keep_seen := false). Pass all of their ratings and leave complete out.')
            when m.id is not null and coalesce(len(m.seen), 0) is distinct from m.ratings
                then error(caller || ': the model has not as many seen items of ' || d.id::varchar
                    || ' as ratings: ' || coalesce(len(m.seen), 0) || ' and '
                    || coalesce(m.ratings::varchar, 'NULL') || '. Pass all of its ratings and '
                    || 'leave complete out.')
            else m.seen::integer[]
        end as stored,
        case when not complete then m.seen_ratings::float[] end as stored_ratings,
        case when not complete then m.seen_times::double[] end as stored_times
    from (
        select
            s.id,
            list(s.code) filter (where s.code is not null) as codes,
            list(try_cast(s.r as float)) filter (where s.code is not null and s.has_rating) as ratings,
            list(s.t) filter (where s.code is not null and s.has_ts) as times
        from mf__ratings s
        group by s.id
    ) d
    left join mf__mine m on m.id = d.id
),
mf__solved as materialized (
    select
        a.id, a.code,
        mf__solve(
            r.number, a.codes, a.ratings, a.times, a.stored, a.stored_ratings, a.stored_times
        ) as made
    from mf__ready r, mf__asked a
    where mf__one_row(caller, this, a.id, a.n, a.known_code)
),
mf__made as not materialized (
    select
        this as kind, new_user as user_id, new_item as item_id, m.code,
        m.made.ratings as ratings, m.made.bias as bias, m.made.factors as factors,
        m.made.seen as seen, m.made.seen_ratings as seen_ratings,
        m.made.seen_times as seen_times, m.made.temporal as temporal,
        m.made.uncertainty as uncertainty
    from mf__solved m
    where mf__answer(true, m.made.error)
)
from mf__as_stored(mf__made, mf__shape)
union all
-- no rows, but what is wrong is an error even if the source has none
select m.* from mf__ready r left join mf__shape m on true where r.number is null;
comment on macro table mf__fold_in is 'Rows of one side of a model, the other side held still';

create or replace macro mf_fold_in(
    model, source, user_id, item_id, rating := null, ts := null, strength := null,
    complete := true, unknown := 'error', duplicates := null, threads := null
) as table
from mf__fold_in(
    'mf_fold_in', model, source, user_id, item_id, rating, ts, strength, complete, unknown, duplicates,
    threads, 'user', 'item', m.user_id, m.item_id, m.id, null
) f
order by f.user_id asc nulls last;
comment on macro table mf_fold_in is
    'User rows of a model for new or changed users (needs a duckmf connection)';

create or replace macro mf_fold_in_items(
    model, source, user_id, item_id, rating := null, ts := null, strength := null,
    unknown := 'error', duplicates := null, threads := null
) as table
from mf__fold_in(
    'mf_fold_in_items', model, source, user_id, item_id, rating, ts, strength, true, unknown, duplicates, threads,
    'item', 'user', m.item_id, m.user_id, null, m.id
) f
order by f.item_id asc nulls last;
comment on macro table mf_fold_in_items is
    'Item rows of a model for new or changed items (needs a duckmf connection)';
