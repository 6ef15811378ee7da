-- The ground floor of what reads how sure a model is: the column uncertainty, whose type is in model.sql. Like
-- model.sql, helpers that no database ever holds.

-- How many standard deviations a list stays on the safe side, or an error. sure: whether the model says how
-- sure it is. The default is the lower end of an interval of 90 %, where one can be had.
create or replace macro mf__risk(caller, risk, sure) as
    case
        when risk is null and not sure then 0::double
        when risk is null then 1.645::double
        when isfinite(try_cast(risk as double)) is not true
            then error(caller || ': risk is ' || risk::varchar || '. Give a number of standard deviations, '
                || 'such as 1.645; 0 ranks by what is expected.')
        when risk::double <> 0 and not sure
            then error(caller || ': this model does not say how sure it is, and risk is ' || risk::varchar
                || '. Leave risk out, or train with algorithm := ''bayes''.')
        else risk::double
    end;
comment on macro mf__risk is 'How many standard deviations a list stays on the safe side';

-- The items of a model as lists are made of them. head: t, t0, span, item_prior and risk, of one row.
create or replace macro mf__ranked_items(model, head, caller) as table
select
    m.item_id, m.code, m.ratings::float as ratings,
    mf__item_bias(m.bias, m.temporal, h.t, h.t0, h.span) as bias, m.factors,
    mf__bias_variance(m.uncertainty, h.item_prior) as bias_variance,
    case when h.risk <> 0 then mf__factor_variances(m.uncertainty, h.item_prior) end as variances
from mf__items_of(model, caller) m, query_table(head) h;
comment on macro table mf__ranked_items is 'The items of a model as lists are made of them';

-- The squares of a vector.
create or replace macro mf__squares(p) as
    list_transform(mf__vector(p), lambda x: x * x)::float[];
comment on macro mf__squares is 'The squares of a vector';

-- The diagonal of a symmetric matrix, of which the lines up to it are given.
create or replace macro mf__diagonal(lines) as
    list_transform(
        range(1, ((sqrt(8 * len(lines) + 1) - 1) / 2)::bigint + 1),
        lambda f: lines[f * (f + 1) // 2]
    )::float[];
comment on macro mf__diagonal is 'The diagonal of a symmetric matrix';

-- The variances of the factors, and of the bias, of a row of a model; those of the prior where it has none.
create or replace macro mf__factor_variances(uncertainty, prior) as
    mf__vector(coalesce((uncertainty).factors::float[], prior[:-2]));
comment on macro mf__factor_variances is 'The variances of the factors of a row';

create or replace macro mf__bias_variance(uncertainty, prior) as
    coalesce((uncertainty).bias, prior[-1], 0)::float;
comment on macro mf__bias_variance is 'The variance of the bias of a row';

-- The z with the share p of a standard normal below it (Wichura 1988, algorithm AS 241, PPND7, to 1e-7).
create or replace macro mf__normal_quantile(p) as
    case
        when abs(p - 0.5) <= 0.425 then (p - 0.5) * mf__central(0.180625 - (p - 0.5) ^ 2)
        else sign(p - 0.5) * mf__in_tail(sqrt(-ln(greatest(least(p, 1 - p), 1e-17))))
    end;
comment on macro mf__normal_quantile is 'A quantile of the standard normal';

create or replace macro mf__central(r) as
    (((59.109374720::double * r + 159.29113202) * r + 50.434271938) * r + 3.3871327179)
        / (((67.187563600::double * r + 78.757757664) * r + 17.895169469) * r + 1);
comment on macro mf__central is 'AS 241 near the median';

create or replace macro mf__in_tail(r) as
    case
        when r <= 5
            then (((0.17023821103::double * (r - 1.6) + 1.3067284816) * (r - 1.6) + 2.7568153900)
                    * (r - 1.6) + 1.4234372777)
                / ((0.12021132975::double * (r - 1.6) + 0.73700164250) * (r - 1.6) + 1)
        else (((0.017337203997::double * (r - 5) + 0.42868294337) * (r - 5) + 3.0812263860)
                * (r - 5) + 6.6579051150)
            / ((0.012258202635::double * (r - 5) + 0.24197894225) * (r - 5) + 1)
    end;
comment on macro mf__in_tail is 'AS 241 in the tails';

-- The variance of an expected rating, of its mf__spread: that of b_u + b_i + <p_u, q_i> where all of these are
-- independent.
create or replace macro mf__variance(caller, spread) as
    mf__bias_variance((spread).of_user, (spread).user_prior)
        + mf__bias_variance((spread).of_item, (spread).item_prior)
        + mf__dot(
            caller, mf__factor_variances((spread).of_user, (spread).user_prior), mf__squares((spread).q)
        )
        + mf__dot(
            caller, mf__squares((spread).p), mf__factor_variances((spread).of_item, (spread).item_prior)
        )
        + mf__dot(
            caller, mf__factor_variances((spread).of_user, (spread).user_prior),
            mf__factor_variances((spread).of_item, (spread).item_prior)
        );
comment on macro mf__variance is 'The variance of an expected rating';
