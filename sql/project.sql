-- mf_project_items(model, features, item_id, vector, regularization := NULL)
-- mf_project_users(model, features, user_id, vector, regularization := NULL)
--
-- Rows of a model for items (or users) that nobody has rated (or that have rated nothing), from what
-- is known of their content. They need a duckmf connection (Python); the rows they give do not.
--
--     INSERT INTO films FROM mf_project_items(films, movies, movie_id, genres);
--
-- Learns from the model's items with ratings how content becomes bias and factors, and returns an
-- item row, with the columns of the model, for each row of features whose item the model does not
-- have. mf_predict says 'content' of predictions that rest on such a row. To project anew, delete
-- the rows without ratings before: DELETE FROM films WHERE kind = 'item' AND ratings = 0.
--
-- model            a relation made by mf_fit
-- features         a table, view or CTE with one row for each item (or user), those of the model too
-- item_id, user_id expressions over the columns of features
-- vector           a list or array of numbers, of one length, such as an embedding; or a list of
--                  texts, such as genres or tags, each of which becomes a 0 or 1. A text that no
--                  rated item has says nothing of the factors, and counts as absent
-- regularization   lambda of the ridge regression, for features of variance 1; left out, the one
--                  with the least generalized cross-validation error (Golub, Heath and Wahba 1979)
--
-- The model: [b_i, q_i] = c + x_i W, minimizing sum_i n_i |[b_i, q_i] - c - x_i W|^2 + lambda |W|^2
-- over the items with n_i > 0 ratings; a content to factor map as of Gantner et al. 2010, "Learning
-- attribute-to-feature mappings for cold-start recommendations".

-- mf__project(...): both functions. Arguments beside those of the functions:
--
-- caller        the name of the function that was called
-- kind          'item' or 'user'
-- known_id      its id, as a column of a relation m, a model
-- new_user, new_item  the ids of the rows that are returned, as columns of a relation m that has id; or NULL
create or replace macro mf__project(
    caller, model, features, id, vector, regularization, kind, known_id, new_user, new_item
) as table
with
mf__model as not materialized (from mf__rows(model)),
mf__shape as materialized (from mf__shape(model) limit 0),
mf__known as materialized (
    select known_id as id, m.ratings, m.bias, m.factors from mf__model m where m.kind = kind
),
mf__features as materialized (
    select
        f.*,
        -- numbers or texts, each only where the type says so
        case when f.is_numeric then try_cast(f.content as double[]) end as numbers,
        case when not f.is_numeric then try_cast(f.content as varchar[]) end as texts
    from (
        select
            g.*, typeof(g.content) as type,
            regexp_full_match(
                typeof(g.content),
                '(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL\(.*\)|BOOLEAN)\[\d*\]'
            ) as is_numeric
        from (select id as id, vector as content from query_table(features)) g
    ) f
),
mf__counts as (
    select
        count(*) as n, count(f.id) as n_ids, count(distinct f.id) as n_distinct,
        count(coalesce(f.numbers::varchar, f.texts::varchar)) as n_vectors,
        any_value(f.type) filter (where not f.type.regexp_full_match('.*\[\d*\]')) as other_type,
        (select h.valid from mf__head(model, caller) h) as is_model
    from mf__features f
),
mf__checked as materialized (
    select
        case
            when not c.is_model then false
            when c.n = 0
                then error(caller || ': features has no rows. Give the content of the model''s '
                    || 'items and of new ones.')
            when c.other_type is not null
                then error(caller || ': vector is of type ' || c.other_type
                    || '. Give a list of numbers or of texts.')
            when c.n_ids < c.n
                then error(caller || ': the id is NULL in ' || (c.n - c.n_ids) || ' of ' || c.n
                    || ' rows of features. Leave them out.')
            when c.n_distinct < c.n
                then error(caller || ': features has ' || c.n || ' rows for ' || c.n_distinct
                    || ' ids. Give one row each.')
            when c.n_vectors < c.n
                then error(caller || ': vector is NULL in ' || (c.n - c.n_vectors) || ' of ' || c.n
                    || ' rows. Leave them out.')
            else true
        end as valid
    from mf__counts c
),
mf__rated as materialized (
    select
        json_object('function', caller, 'regularization', regularization)::varchar as request,
        list(k.ratings::bigint order by k.id asc nulls last) as ratings,
        list(k.bias::float order by k.id asc nulls last) as bias,
        list(k.factors::float[] order by k.id asc nulls last) as factors,
        list(f.numbers order by k.id asc nulls last) as numbers,
        list(f.texts order by k.id asc nulls last) filter (where not f.is_numeric) as texts
    from mf__known k join mf__features f on f.id = k.id
    where k.ratings > 0
),
mf__new as materialized (
    select
        f.id, f.numbers, f.texts, row_number() over (order by f.id asc nulls last) as place
    from mf__features f anti join mf__known k on k.id = f.id
),
mf__projected as materialized (
    select
        case
            when k.texts is null
                then mf__project_numbers(
                    k.request, k.ratings, k.bias, k.factors, k.numbers,
                    (select list(n.numbers order by n.place asc nulls last) from mf__new n)
                )
            else mf__project_texts(
                k.request, k.ratings, k.bias, k.factors, k.texts,
                (select list(n.texts order by n.place asc nulls last) from mf__new n)
            )
        end as made
    from mf__rated k cross join mf__checked c
    where c.valid
),
mf__terms as materialized (
    select unnest(t.rows) as made, generate_subscripts(t.rows, 1) as place
    from (select mf__answer(p.made.rows, p.made.error) as rows from mf__projected p) t
),
mf__numbered as not materialized (
    select n.id, n.place, mf__code(caller, mf__model, kind, null::integer, n.id) as code from mf__new n
),
mf__made as not materialized (
    select
        kind as kind, new_user as user_id, new_item as item_id, m.code, 0::bigint as ratings,
        t.made.bias as bias, t.made.factors as factors,
        case when kind = 'user' then []::integer[] end as seen,
        case when kind = 'user' then []::float[] end as seen_ratings,
        'content' as source
    from mf__numbered m join mf__terms t on t.place = m.place
)
from mf__as_stored(mf__made, mf__shape);
comment on macro table mf__project is 'Rows of a model for what has no ratings, from content';

create or replace macro mf_project_items(
    model, features, item_id, vector, regularization := null
) as table
from mf__project(
    'mf_project_items', model, features, item_id, vector, regularization,
    'item', m.item_id, null, m.id
);
comment on macro table mf_project_items is
    'Item rows of a model for items without ratings, from content (needs a duckmf connection)';

create or replace macro mf_project_users(
    model, features, user_id, vector, regularization := null
) as table
from mf__project(
    'mf_project_users', model, features, user_id, vector, regularization,
    'user', m.user_id, m.id, null
);
comment on macro table mf_project_users is
    'User rows of a model for users without ratings, from content (needs a duckmf connection)';
