-- The ground floor of what reads relations of the caller: pairs to predict, a source to split, and the
-- rows of test that a model is judged by. Like model.sql, helpers that no database ever holds.
--
-- In such a relation mf__user and mf__item are the ids, mf__rating the rating and mf__ts the time in
-- seconds, beside the columns that it has of its own.

-- What a relation must hold --------------------------------------------------------------------------

-- Whether rows has a column that a result will have, in one row. missing: an expression over these columns
-- that is true where one is NULL. A column of rows hides the outer column of its name, and is NULL in the
-- row added here.
create or replace macro mf__taken(rows, missing) as table
select pair.taken
from
    (select 1 as prediction, 1 as prediction_source, 1 as low, 1 as high, 1 as split, 1 as fold) free,
    lateral (
        select missing as taken
        from ((from query_table(rows) limit 0) union all by name select 1 as mf__row)
    ) pair;
comment on macro table mf__taken is 'Whether a relation has a column that a result will have';

-- An error: in n_bad of n rows is what must not be, and what to do about it.
create or replace macro mf__bad_rows(caller, what, n_bad, n, remedy) as
    error(caller || ': ' || what || ' in ' || n_bad || ' of ' || n || ' rows. ' || remedy);
comment on macro mf__bad_rows is 'An error that counts rows';

-- Whether no id of n rows of a relation is NULL.
create or replace macro mf__has_ids(caller, relation, n_users, n_items, n) as
    case
        when n_users < n
            then mf__bad_rows(
                caller, 'user_id is NULL', n - n_users, n,
                'Add WHERE ... IS NOT NULL to ' || relation || '.'
            )
        when n_items < n
            then mf__bad_rows(
                caller, 'item_id is NULL', n - n_items, n,
                'Add WHERE ... IS NOT NULL to ' || relation || '.'
            )
        else true
    end;
comment on macro mf__has_ids is 'Whether no id is NULL';

-- Whether test has rows.
create or replace macro mf__has_rows(caller, n) as
    case
        when n = 0 then error(caller || ': test has no rows. Give the rows that were held out.')
        else true
    end;
comment on macro mf__has_rows is 'Whether test has rows';

-- Whether test has rows, and each has a rating that is a finite number.
create or replace macro mf__has_ratings(caller, n_ratings, n_infinite, n) as
    case
        when not mf__has_rows(caller, n) then null
        when n_ratings < n
            then mf__bad_rows(
                caller, 'rating is NULL', n - n_ratings, n, 'Add WHERE rating IS NOT NULL to test.'
            )
        when n_infinite > 0
            then mf__bad_rows(
                caller, 'rating is NaN or infinite', n_infinite, n,
                'Add WHERE isfinite(rating) to test.'
            )
        else true
    end;
comment on macro mf__has_ratings is 'Whether test has ratings';

-- Predictions ----------------------------------------------------------------------------------------

-- The head of a model that predicts: with the range of ratings that predictions are kept within, NULL where
-- they are not.
create or replace macro mf__predicting(model, caller, clip) as table
select
    h.mu, h.t0, h.t1, h.span, h.beta, h.facts.feedback as feedback,
    h.noise, h.user_mean, h.item_mean, h.user_prior, h.item_prior,
    case when clip and h.facts.feedback = 'explicit' then h.facts.rating_min end as lowest,
    case when clip and h.facts.feedback = 'explicit' then h.facts.rating_max end as highest,
    h.valid
from mf__head_once(model, caller, true, true) h;
comment on macro table mf__predicting is 'The head of a model that predicts';

-- The rows of pairs with their prediction and its source, and whether user and item have no training
-- ratings. head: a relation made from mf__predicting. <p_u(t), q_i> is the sum of two products here, so that
-- no vector is made for a pair.
--
-- Of a model that says how sure it is, mf__spread holds what mf__variance is made of; a row that the model
-- does not know is as its prior says.
create or replace macro mf__predicted(caller, pairs, model, head) as table
with
mf__users as (
    select
        m.user_id, m.ratings, m.bias, mf__vector(m.factors) as factors,
        mf__is_known(m.bias, m.factors) as known, m.source = 'content' as from_content,
        m.temporal.t0 as mean, m.temporal.drift, m.temporal.days, m.temporal.day_bias,
        mf__vector(m.temporal.factor_drift) as factor_drift, m.uncertainty
    from mf__rows(model) m
    where m.kind = 'user'
),
mf__items as (
    select
        m.item_id, m.ratings, m.bias, mf__vector(m.factors) as factors,
        mf__is_known(m.bias, m.factors) as known, m.source = 'content' as from_content,
        m.temporal.bin_bias as bins, m.uncertainty
    from mf__rows(model) m
    where m.kind = 'item'
),
mf__timed as (
    select
        p.*, h.mu as mf__mu, h.t0 as mf__t0, h.t1 as mf__t1, h.span as mf__span, h.beta as mf__beta,
        h.lowest as mf__lowest, h.highest as mf__highest, h.noise as mf__noise,
        h.user_mean as mf__user_mean, h.item_mean as mf__item_mean,
        h.user_prior as mf__user_prior, h.item_prior as mf__item_prior, mf__within(p.mf__ts, h.t0, h.t1) as mf__near,
        mf__day(coalesce(p.mf__ts, h.t1)) as mf__day
    from query_table(pairs) p cross join query_table(head) h
    where h.valid
),
mf__scored as (
    select
        p.* exclude (
            mf__mu, mf__t0, mf__t1, mf__span, mf__beta, mf__near, mf__day,
            mf__user_mean, mf__item_mean, mf__user_prior, mf__item_prior
        ),
        {
            'of_user': u.uncertainty, 'user_prior': p.mf__user_prior, 'p': u.factors,
            'of_item': i.uncertainty, 'item_prior': p.mf__item_prior, 'q': i.factors
        } as mf__spread,
        -- only rows that pairs have are looked at
        case
            when u.user_id is not null and not mf__is_sound(u.ratings, u.bias, u.factors)
                then mf__damaged(caller, 'user', u.user_id)
            when i.item_id is not null and not mf__is_sound(i.ratings, i.bias, i.factors)
                then mf__damaged(caller, 'item', i.item_id)
            else p.mf__mu + coalesce(u.bias, p.mf__user_mean, 0) + coalesce(i.bias, p.mf__item_mean, 0)
                + mf__dot(caller, u.factors, i.factors)
                + case
                    when p.mf__t1 is null then 0
                    else mf__in_bins(i.bins, p.mf__near, p.mf__t0, p.mf__span)
                        + mf__on_day(u.days, u.day_bias, p.mf__day)
                        + mf__dev(p.mf__near, u.mean, p.mf__beta)
                            * (coalesce(u.drift, 0) + mf__dot(caller, u.factor_drift, i.factors))
                end
        end::float as mf__score,
        case
            when u.known and i.known and (u.from_content or i.from_content) then 'content'
            when u.known and i.known then 'model'
            when u.known then 'user_bias'
            when i.known then 'item_bias'
            else 'global'
        end as mf__source,
        coalesce(u.ratings, 0) = 0 as mf__cold_user,
        coalesce(i.ratings, 0) = 0 as mf__cold_item
    from mf__timed p
        left join mf__users u on u.user_id = p.mf__user
        left join mf__items i on i.item_id = p.mf__item
)
select
    p.*,
    mf__clipped(p.mf__score, p.mf__lowest, p.mf__highest) as mf__prediction
from mf__scored p
where mf__is_score(caller, p.mf__score);
comment on macro table mf__predicted is 'Pairs with their predictions';

-- Ranks ----------------------------------------------------------------------------------------------

-- The bins that scores divide: a score s falls into the first bin b with s <= b, that of s itself or of what
-- is smaller.
create or replace macro mf__score_bins(scores) as
    list_sort(
        list_distinct(scores || list_transform(scores, lambda x: nextafter(x, '-inf'::float))),
        'asc', 'nulls first'
    );
comment on macro mf__score_bins is 'The bins that scores divide';

-- An aggregate: how many scores are in each of the bins.
create or replace macro mf__in_each(score, bins) as
    map_values(histogram(score, bins))[:any_value(len(bins))]::double[];
comment on macro mf__in_each is 'How many scores are in each bin';
