-- What may be wrong with a model, for mf_check: with its rows of users and items, and with its head.

create or replace macro mf__problem(severity, bad, problem, remedy) as
    case when bad then {'severity': severity, 'problem': problem, 'remedy': remedy} end;
comment on macro mf__problem is 'A problem where there is one, else NULL';

create or replace macro mf__again() as 'Fold these rows in again, or train again.';
comment on macro mf__again is 'What to do about rows whose numbers are lost';

-- What is wrong with rows: kind, place, found (NULL where it is not wrong). rows, kinds: relations of mf_check.
create or replace macro mf__row_problems(rows, kinds) as table
select
    r.kind, r.place,
    unnest([
        mf__problem(
            'error', r.place.user_id is null and r.place.item_id is null,
            r.kind || '_id is NULL', 'Leave these rows out, or set their ids.'
        ),
        mf__problem(
            'warning', r.has_other_id,
            case r.kind when 'user' then 'item_id' else 'user_id' end || ' is not NULL',
            'Set it to NULL: no function reads it.'
        ),
        mf__problem(
            'error', coalesce(r.place.code < 0, true), 'code is NULL or negative',
            'Train again: what users have seen is told by codes.'
        ),
        mf__problem(
            'error', coalesce(r.ratings < 0, true), 'ratings is NULL or negative',
            'Set it to the number of training ratings, 0 if there are none.'
        ),
        mf__problem(
            'error', r.bias is null and k.has_bias, 'bias is NULL', mf__again()
        ),
        mf__problem('error', not isfinite(r.bias), 'bias is not finite', mf__again()),
        mf__problem(
            'error', r.factors is null and k.has_factors, 'factors is NULL', mf__again()
        ),
        mf__problem(
            'error', r.factors is not null and not k.has_factors,
            'factors is not NULL, but facts.n_factors is',
            'Set it to NULL, or train again.'
        ),
        mf__problem(
            'error', r.factors <> k.n_factors,
            'factors has another length than facts.n_factors (' || k.n_factors || ')',
            'Append only rows of the same model. ' || mf__again()
        ),
        mf__problem(
            'error', r.bad_factors, 'factors has a NULL or a number that is not finite', mf__again()
        ),
        mf__problem(
            -- items that were folded in have none
            'error', k.needs_implicit_factors and r.implicit_factors is null
                and (r.place.code < k.trained_items or not k.has_implicit_factors),
            'implicit_factors is NULL', 'Train again: mf_fold_in needs them.'
        ),
        mf__problem(
            'error', r.implicit_factors <> k.n_factors or r.bad_implicit_factors,
            'implicit_factors has a NULL, a number that is not finite, or another length than '
                || 'facts.n_factors (' || k.n_factors || ')',
            'Train again: mf_fold_in needs them.'
        ),
        mf__problem(
            'error', r.seen is null and k.has_seen and r.is_trained and r.kind = 'user',
            'seen is NULL', mf__again()
        ),
        mf__problem('error', r.first_seen < 0, 'seen has a code below 0', mf__again()),
        mf__problem(
            'error', r.seen <> r.ratings, 'seen has another length than ratings says',
            'Set ratings to len(seen). ' || mf__again()
        ),
        mf__problem(
            'error', r.seen_ratings is null and r.seen > 0 and k.has_seen_ratings,
            'seen_ratings is NULL', mf__again()
        ),
        mf__problem(
            'error', coalesce(r.seen_ratings <> r.seen, r.seen_ratings is not null),
            'seen_ratings has another length than seen', mf__again()
        ),
        mf__problem(
            'error', r.bad_seen_ratings, 'seen_ratings has a NULL or a number that is not finite',
            mf__again()
        ),
        mf__problem(
            'error', r.seen_times is null and r.seen > 0 and k.has_seen_times,
            'seen_times is NULL', mf__again()
        ),
        mf__problem(
            'error', coalesce(r.seen_times <> r.seen, r.seen_times is not null),
            'seen_times has another length than seen', mf__again()
        ),
        mf__problem(
            'error', r.bad_seen_times, 'seen_times has a NULL or a number that is not finite',
            mf__again()
        ),
        mf__problem(
            'error', k.is_sure and r.is_trained
                and (r.bias_variance is null or r.variances is distinct from r.factors),
            'uncertainty has not as many variances as there are bias and factors', mf__again()
        ),
        mf__problem(
            'error', r.bad_variances,
            'uncertainty has a variance that is NULL, negative or not finite', mf__again()
        ),
        mf__problem(
            'error', r.has_terms and not k.has_span,
            'temporal is not NULL, but the model has no span of time',
            'Set it to NULL, or train again.'
        ),
        mf__problem(
            'error', not r.has_terms and k.has_terms and r.is_trained, 'temporal is NULL',
            mf__again()
        ),
        mf__problem(
            'error', r.bad_terms, 'temporal has a list with a NULL, or a number that is not finite',
            mf__again()
        ),
        mf__problem(
            'error', coalesce(r.drift, r.factor_drift) is not null
                and coalesce(not isfinite(r.mean_time), true),
            'temporal has a drift without t0, the mean time', mf__again()
        ),
        mf__problem(
            'error', r.factor_drift <> k.n_factors,
            'temporal.factor_drift has another length than facts.n_factors ('
                || k.n_factors || ')',
            mf__again()
        ),
        mf__problem(
            'error', r.days is distinct from r.day_bias,
            'temporal.day_bias has another length than temporal.days', mf__again()
        ),
        mf__problem(
            'error', r.bins <> k.bins or r.bins = 0,
            'temporal.bin_bias has another length than in other rows (' || k.bins || ')',
            'Append only rows of the same model. ' || mf__again()
        )
    ]) as found
from query_table(rows) r join query_table(kinds) k on k.kind = r.kind;
comment on macro table mf__row_problems is 'What is wrong with the rows of a model';

-- What is wrong with the row of kind 'model': found (NULL where it is not wrong). head, kinds: relations of mf_check.
create or replace macro mf__head_problems(head, kinds) as table
select unnest([
    mf__problem(
        'error', h.heads <> 1,
        'this relation is not a model: it has ' || h.heads || ' rows of kind ''model'', not 1',
        'Pass a table made by mf_fit.'
    ),
    mf__problem(
        'error', h.heads > 0 and h.facts.format is null,
        'this model is of format 1, or its column facts is missing', 'Train it again.'
    ),
    mf__problem(
        'error', not h.is_known,
        'this model has format ' || h.facts.format || ', made by a newer duckmf',
        'Upgrade duckmf.'
    )
]) as found
from query_table(head) h
union all
select unnest([
    mf__problem(
        'error', h.facts is not null and h.missing_facts <> '',
        'facts has no ' || h.missing_facts, 'Train it again.'
    ),
    mf__problem(
        'error', h.facts.feedback not in ('explicit', 'implicit'),
        'facts.feedback is ''' || h.facts.feedback || '''',
        'Set it to ''explicit'' or ''implicit''.'
    ),
    mf__problem(
        'error', h.facts.feedback = 'explicit' and h.facts.rating_min > h.facts.rating_max,
        'facts.rating_min is ' || h.facts.rating_min || ', more than rating_max, '
            || h.facts.rating_max,
        'Set them to the range of the ratings.'
    ),
    mf__problem(
        'error', coalesce(h.info not like '%"format"%' or h.info not like '%"options"%', true),
        'info is NULL or has no format and options',
        'Train it again: functions that learn need them.'
    ),
    mf__problem(
        'error', coalesce(not isfinite(h.mu), true),
        'bias, the global mean, is ' || coalesce(h.mu::varchar, 'NULL'), 'Train it again.'
    ),
    mf__problem(
        'error', coalesce(h.ratings < 0, true),
        'ratings is ' || coalesce(h.ratings::varchar, 'NULL'),
        'Set it to the number of training ratings.'
    ),
    mf__problem(
        'error', h.temporal is not null and coalesce(
            not (isfinite(h.temporal.t0) and isfinite(h.temporal.t1)
                and h.temporal.t0 <= h.temporal.t1),
            true
        ),
        'temporal has the span of time from ' || coalesce(h.temporal.t0::varchar, 'NULL')
            || ' to ' || coalesce(h.temporal.t1::varchar, 'NULL'),
        'Train it again.'
    ),
    mf__problem(
        'error', h.temporal is not null
            and coalesce(h.temporal.beta not between 0 and 1, true),
        'temporal.beta is ' || coalesce(h.temporal.beta::varchar, 'NULL')
            || ', not between 0 and 1',
        'Train it again.'
    ),
    mf__problem(
        'error', h.temporal is null and h.facts.options like '%"temporal": ["%',
        'temporal is NULL, but the model was trained with time terms', 'Train it again.'
    ),
    mf__problem(
        'error', h.temporal is not null and not h.has_terms,
        'temporal has a span of time, but no user and no item has time terms',
        'Train it again.'
    ),
    mf__problem(
        'error', h.users = 0, 'the model has no rows of kind ''user''',
        'Keep them, or train it again: every user is unknown.'
    ),
    mf__problem(
        'error', h.items = 0, 'the model has no rows of kind ''item''',
        'Keep them, or train it again: every item is unknown.'
    ),
    mf__problem(
        'warning', h.users = h.facts.users and h.items = h.facts.items and (
            h.user_ratings < h.ratings
            or (h.item_ratings < h.ratings and not h.is_updated)
            or (h.user_ratings = h.item_ratings and h.user_ratings > h.ratings)
        ),
        'ratings is ' || format('{:,}', h.ratings) || ', but those of all users are '
            || format('{:,}', h.user_ratings) || ' and those of all items '
            || format('{:,}', h.item_ratings),
        'Train it again, unless ratings were taken out on purpose.'
    )
]) as found
from (
    select
        h.*, coalesce(u.total, 0) as users, coalesce(i.total, 0) as items,
        u.ratings as user_ratings, i.ratings as item_ratings,
        coalesce(u.has_terms or i.has_terms, u.has_terms, i.has_terms) as has_terms,
        concat_ws(
            ', ',
            case when h.facts.algorithm is null then 'algorithm' end,
            case when h.facts.feedback is null then 'feedback' end,
            case when h.facts.items is null then 'items' end,
            case when coalesce(not isfinite(h.facts.rating_min), true) then 'rating_min' end,
            case when coalesce(not isfinite(h.facts.rating_max), true) then 'rating_max' end
        ) as missing_facts
    from query_table(head) h
        left join query_table(kinds) u on u.kind = 'user'
        left join query_table(kinds) i on i.kind = 'item'
    where h.heads > 0 and h.is_known
) h;
comment on macro table mf__head_problems is 'What is wrong with the head of a model';
