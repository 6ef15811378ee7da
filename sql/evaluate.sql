-- mf_evaluate(model, test, user_id, item_id, rating, ts := NULL)
--
-- How far a model's predictions are from known ratings. Plain SQL; needs no Python.
--
--   from mf_evaluate(films, held_out, user_id, movie_id, rating);
--
-- Returns one row, where e = rating - prediction, with the clipped prediction of mf_predict:
--   rmse, mae, mse         sqrt(mean(e^2)), mean(|e|), mean(e^2)
--   median_absolute_error  median(|e|)
--   r2                     1 - mean(e^2) / var(rating)
--   explained_variance     1 - var(e) / var(rating)
--   n, users, items        rows, and distinct users and items, of test
--   cold_users             users of test without training ratings; cold_items likewise
--   cold_pairs             rows of test whose user or item is cold
-- The variances are those of the population, and the measures those of scikit-learn, except that r2
-- and explained_variance are NULL where all ratings are equal.
--
-- model                     a relation made by mf_fit on explicit ratings
-- test                      a table, view or CTE with at least one row
-- user_id, item_id, rating  expressions over the columns of test; a NULL id is an unknown id, and
--                           each rating is finite
-- ts                        the time of the rating, an expression too; a model without time terms
--                           predicts the same at any time

create or replace macro mf_evaluate(model, test, user_id, item_id, rating, ts := null) as table
from (
    with
    mf__test as not materialized (
        select
            user_id as mf__user, item_id as mf__item, rating::double as mf__rating, ts as mf__ts
        from query_table(test)
    ),
    mf__model as not materialized (
        from query_table(model)
        union all by name
        select
            null::varchar as kind, null as user_id, null as item_id, null as ratings,
            null as bias, null as factors, null as info
        where false
    ),
    head as not materialized (
        select
            coalesce(any_value(m.bias), 0) as mu,
            any_value((m.info ->> 'rating_min')::float) as rating_min,
            any_value((m.info ->> 'rating_max')::float) as rating_max,
            case
                when count(*) <> 1
                    then error('mf_evaluate: this relation is not a model: it has ' || count(*)
                        || ' rows of kind ''model'', not 1. Pass a table made by mf_fit.')
                when any_value(m.info ->> 'format')::integer > 1
                    then error('mf_evaluate: this model has format '
                        || any_value(m.info ->> 'format')
                        || ', made by a newer duckmf. Upgrade duckmf.')
                when any_value(m.info ->> 'feedback') = 'implicit'
                    then error('mf_evaluate: this model was trained on implicit feedback and '
                        || 'predicts no ratings. Evaluate its ranking instead.')
                else true
            end as valid
        from mf__model m
        where m.kind = 'model'
    ),
    users as not materialized (
        select m.user_id, m.ratings, m.bias, m.factors::float[] as factors
        from mf__model m
        where m.kind = 'user'
    ),
    items as not materialized (
        select m.item_id, m.ratings, m.bias, m.factors::float[] as factors
        from mf__model m
        where m.kind = 'item'
    ),
    scored as not materialized (
        select
            t.mf__user as u, t.mf__item as i, t.mf__rating as given,
            case when isfinite(t.mf__rating) then t.mf__rating end as r,
            r - least(
                greatest(
                    (h.mu + coalesce(u.bias, 0) + coalesce(i.bias, 0)
                        + coalesce(list_dot_product(u.factors, i.factors), 0))::float,
                    h.rating_min
                ),
                h.rating_max
            ) as e,
            coalesce(u.ratings, 0) = 0 as cold_user,
            coalesce(i.ratings, 0) = 0 as cold_item
        from mf__test t
            left join users u on u.user_id = t.mf__user
            left join items i on i.item_id = t.mf__item
            cross join head h
    ),
    totals as not materialized (
        select
            avg(s.e * s.e) as mse, avg(abs(s.e)) as mae, median(abs(s.e)) as median_error,
            var_pop(s.e) as var_e, nullif(var_pop(s.r), 0) as var_r,
            count(*) as n,
            count(*) filter (where s.given is null) as nulls,
            count(*) filter (where not isfinite(s.given)) as infinite,
            count(distinct s.u) as users, count(distinct s.i) as items,
            count(distinct s.u) filter (where s.cold_user) as cold_users,
            count(distinct s.i) filter (where s.cold_item) as cold_items,
            count(*) filter (where s.cold_user or s.cold_item) as cold_pairs
        from scored s
    )
    select
        sqrt(t.mse) as rmse, t.mae, t.mse, t.median_error as median_absolute_error,
        1 - t.mse / t.var_r as r2, 1 - t.var_e / t.var_r as explained_variance,
        t.n, t.users, t.items, t.cold_users, t.cold_items, t.cold_pairs
    from totals t, head h
    where h.valid
        and case
            when t.n = 0
                then error('mf_evaluate: test has no rows. Give the rows that were held out.')
            when t.nulls > 0
                then error('mf_evaluate: rating is NULL in ' || t.nulls || ' of ' || t.n
                    || ' rows. Add WHERE rating IS NOT NULL to test.')
            when t.infinite > 0
                then error('mf_evaluate: rating is NaN or infinite in ' || t.infinite || ' of '
                    || t.n || ' rows. Add WHERE isfinite(rating) to test.')
            else true
        end
);
comment on macro table mf_evaluate is 'How far the predictions of a model are from known ratings';
