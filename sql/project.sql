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

-- mf__project(known, features, name, regularization): a row for each row of features that is not
-- among the known ones: id, bias, factors. known has id, ratings, bias, factors; features id, vector.
create or replace macro mf__project(known, features, name, regularization) as table
from (
    with
    mf__features as materialized (
        select
            f.id,
            -- numbers or texts, each only where the type says so
            regexp_full_match(
                typeof(f.vector),
                '(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL\(.*\)|BOOLEAN)\[\d*\]'
            ) as numeric,
            case when numeric then try_cast(f.vector as double[]) end as numbers,
            case when numeric then null else try_cast(f.vector as varchar[]) end as texts,
            typeof(f.vector) as type
        from query_table(features) f
    ),
    mf__checked as materialized (
        select
            case
                when count(*) = 0
                    then error(name || ': features has no rows. Give the content of the model''s '
                        || 'items and of new ones.')
                when count(*) filter (where not f.type.regexp_full_match('.*\[\d*\]')) > 0
                    then error(name || ': vector is of type ' || any_value(f.type)
                        || '. Give a list of numbers or of texts.')
                when count(f.id) < count(*)
                    then error(name || ': the id is NULL in ' || (count(*) - count(f.id)) || ' of '
                        || count(*) || ' rows of features. Leave them out.')
                when count(distinct f.id) < count(*)
                    then error(name || ': features has ' || count(*) || ' rows for '
                        || count(distinct f.id) || ' ids. Give one row each.')
                when count(coalesce(f.numbers::varchar, f.texts::varchar)) < count(*)
                    then error(name || ': vector is NULL in '
                        || (count(*) - count(coalesce(f.numbers::varchar, f.texts::varchar)))
                        || ' of ' || count(*) || ' rows. Leave them out.')
                else true
            end as valid
        from mf__features f
    ),
    mf__known as materialized (
        select
            json_object('function', name, 'regularization', regularization)::varchar as request,
            list(k.ratings::bigint order by k.id) as ratings,
            list(k.bias::float order by k.id) as bias,
            list(k.factors::float[] order by k.id) as factors,
            list(f.numbers order by k.id) as numbers,
            list(f.texts order by k.id) filter (where not f.numeric) as texts
        from query_table(known) k join mf__features f on f.id = k.id
        where k.ratings > 0
    ),
    mf__new as materialized (
        select f.id, f.numbers, f.texts, row_number() over (order by f.id) as place
        from mf__features f anti join query_table(known) k on k.id = f.id
    ),
    mf__result as materialized (
        select
            case
                when k.texts is null
                    then mf__project_numbers(
                        k.request, k.ratings, k.bias, k.factors, k.numbers,
                        (select list(n.numbers order by n.place) from mf__new n)
                    )
                else mf__project_texts(
                    k.request, k.ratings, k.bias, k.factors, k.texts,
                    (select list(n.texts order by n.place) from mf__new n)
                )
            end as projected
        from mf__known k cross join mf__checked c
        where c.valid
    ),
    mf__rows as materialized (
        select unnest(p.rows) as made, generate_subscripts(p.rows, 1) as place
        from (
            select
                case
                    when r.projected.error is null then r.projected.rows
                    else error(r.projected.error)
                end as rows
            from mf__result r
        ) p
    )
    select n.id, n.place, r.made.bias as bias, r.made.factors as factors
    from mf__new n join mf__rows r on r.place = n.place
);
comment on macro table mf__project is 'Biases and factors of rows without ratings, from content';

create or replace macro mf_project_items(
    model, features, item_id, vector, regularization := null
) as table
from (
    with
    mf__model as not materialized (
        from query_table(model)
        union all by name
        select
            null::varchar as kind, null as user_id, null as item_id, null as code, null as ratings,
            null as bias, null as factors
        where false
    ),
    mf__valid as materialized (
        select
            case
                when count(*) filter (where m.kind = 'model') <> 1
                    then error('mf_project_items: this relation is not a model: it has '
                        || count(*) filter (where m.kind = 'model')
                        || ' rows of kind ''model'', not 1. Pass a table made by mf_fit.')
                else coalesce(max(m.code) filter (where m.kind = 'item'), -1)
            end as last
        from mf__model m
    ),
    mf__sides as materialized (
        select m.item_id as id, m.ratings, m.bias, m.factors
        from mf__model m, mf__valid v
        where m.kind = 'item' and v.last is not null
    ),
    mf__content as materialized (
        select item_id as id, vector as vector from query_table(features)
    )
    from (from query_table(model) limit 0)
    union all by name
    select
        'item' as kind, p.id as item_id, (v.last + p.place)::integer as code, 0::bigint as ratings,
        p.bias, p.factors, '{"source":"content"}'::json as info
    from mf__project(mf__sides, mf__content, 'mf_project_items', regularization) p
        cross join mf__valid v
);
comment on macro table mf_project_items is
    'Item rows of a model for items without ratings, from content (needs a duckmf connection)';

create or replace macro mf_project_users(
    model, features, user_id, vector, regularization := null
) as table
from (
    with
    mf__model as not materialized (
        from query_table(model)
        union all by name
        select
            null::varchar as kind, null as user_id, null as item_id, null as code, null as ratings,
            null as bias, null as factors
        where false
    ),
    mf__valid as materialized (
        select
            case
                when count(*) filter (where m.kind = 'model') <> 1
                    then error('mf_project_users: this relation is not a model: it has '
                        || count(*) filter (where m.kind = 'model')
                        || ' rows of kind ''model'', not 1. Pass a table made by mf_fit.')
                else coalesce(max(m.code) filter (where m.kind = 'user'), -1)
            end as last
        from mf__model m
    ),
    mf__sides as materialized (
        select m.user_id as id, m.ratings, m.bias, m.factors
        from mf__model m, mf__valid v
        where m.kind = 'user' and v.last is not null
    ),
    mf__content as materialized (
        select user_id as id, vector as vector from query_table(features)
    )
    from (from query_table(model) limit 0)
    union all by name
    select
        'user' as kind, p.id as user_id, (v.last + p.place)::integer as code, 0::bigint as ratings,
        p.bias, p.factors, []::integer[] as seen, []::float[] as seen_ratings,
        '{"source":"content"}'::json as info
    from mf__project(mf__sides, mf__content, 'mf_project_users', regularization) p
        cross join mf__valid v
);
comment on macro table mf_project_users is
    'User rows of a model for users without ratings, from content (needs a duckmf connection)';
