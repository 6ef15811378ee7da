-- mf_fit: train a model with one statement. Needs a duckmf connection (Python); every function that reads
-- a model is plain SQL.
--
--     CREATE TABLE films AS FROM mf_fit(ratings, user_id, movie_id, rating, n_factors := 64);
--
-- Returns the model relation: one 'model' row, an 'epoch' row per pass, a 'user' row per user and an
-- 'item' row per item. Everything happens inside the statement and its transaction.
--
-- source                   table, view, CTE or temp table, as an identifier or a string
-- user_id, item_id         SQL expressions over the source's columns, of any type; they come back as they were
-- rating                   SQL expression, a number: what a user says of an item, such as stars
-- ts                       SQL expression, the time of the rating: TIMESTAMP, with or without a zone, DATE, or
--                          seconds since 1970; for time terms, and 'last' duplicates are chosen by it
-- strength                 SQL expression, a number of at least 0, instead of rating: how much a user did with an item,
--                          such as ln(1 + plays); 1 if both are left out. implicit_als and bpr take it as rating, too
--
-- Options. NULL, or leaving one out, is the default; - marks what an algorithm does not use, and refuses.
--
-- algorithm                als     bayes   svd     svdpp   timesvdpp  bias    popularity  implicit_als  bpr
-- n_factors                32      *       32      32      32         -       -           64            32
-- epochs                   15      15      20      20      20         10      -           15            100
-- regularization           1.0     -       1.0     1.0     1.0        5.0     5.0         0.5           0.02
-- regularization_scaling   0.5     -       0.5     0.5     0.5        -       -           0.5           -
-- learning_rate            -       -       0.15    0.015   0.015      -       -           -             0.1
-- learning_rate_decay      -       -       1.0     1.0     1.0        -       -           -             1.0
-- nonnegative              false   -       -       -       -          -       -           -             -
-- alpha                    -       -       -       -       -          -       -           1.0           -
-- unobserved_weight        -       -       -       -       -          -       -           0.4           -
-- negative_sampling        -       -       -       -       -          -       -           -             uniform
-- popularity_exponent      -       -       -       -       -          -       -           -             0.0
-- temporal                 []      -       []      []      all        []      -           -             -
-- time_bins                30      -       30      30      30         30      -           -             -
-- temporal_regularization  20.0    -       20.0    20.0    20.0       20.0    -           -             -
-- drift_exponent           0.4     -       0.4     0.4     0.4        0.4     -           -             -
-- duplicates               mean    mean    mean    mean    mean       mean    mean        sum           sum
-- tolerance                0.0001  0.0001  0.0001  0.0001  0.0001     0.0001  0.0001      0.0001        0.0001
-- relative_tolerance       0.0     0.0     0.0     0.0     0.0        0.0     0.0         0.0           0.0
-- keep_seen                true    true    true    true    true       true    true        true          true
-- seed                     42      42      42      42      42         42      42          42            42
--
-- algorithm                'als' (default with rating): r = mu + b_u + b_i + <p_u, q_i>, alternating exact least squares
--                          'bayes': the same model by variational inference: nothing to regularize, and it knows
--                          how sure it is of each number (uncertainty), which mf_predict makes intervals of and
--                          mf_recommend lists that do not rest on few ratings (Lim and Teh 2007)
--                          'svd': the same model by stochastic gradient descent
--                          'svdpp': r = mu + b_u + b_i + <p_u + n^-1/2 sum_j y_j, q_i>, the sum over the n
--                          items j that the user rated, whatever the ratings (Koren 2008); the sum is inside
--                          the factors of the user row, the y_j are the implicit_factors of the item rows
--                          'timesvdpp': svdpp whose biases and p_u change with ts, see temporal (Koren 2009)
--                          'bias': mu + b_u + b_i
--                          'popularity': items by their number of ratings, the same list for everybody
--                          'implicit_als' (default without rating): items ranked by <p_u, q_i>, learnt from strengths
--                          as confidences over all pairs (Hu, Koren and Volinsky 2008)
--                          'bpr': items ranked by b_i + <p_u, q_i>, learnt from triples of a user, a pair of
--                          strength above 0, no matter how strong, and another item (Rendle et al. 2009)
-- n_factors                length of p_u and q_i, 1 to 1024; * of bayes, where it is left out, as many as the
--                          ratings bear: 2 n / (users + items) of n ratings, from 4 to 32
-- epochs                   passes over the ratings
-- regularization           lambda of the L2 penalty; user_regularization, item_regularization,
--                          bias_regularization and, for the y_j of svdpp and timesvdpp, implicit_regularization
--                          default to it
-- regularization_scaling   nu in the penalty lambda * n^nu of a row with n ratings; implicit_als: in
--                          lambda * (n + unobserved_weight * all)^nu, all being the number of items or users
-- learning_rate            step size, for ratings of standard deviation 1; svdpp and timesvdpp: of a row of
--                          2,500 ratings, rows of fewer take larger steps; bpr: of a triple, which also pays lambda
-- learning_rate_decay      the share of it that is gone by the last epoch
-- nonnegative              factors >= 0
-- alpha                    a pair of strength r > 0 has preference 1 with confidence 1 + alpha * r
-- unobserved_weight        the confidence of preference 0 in all other pairs, 0 to 1; a strength of 0 is one of
--                          them, and marks the item as seen
-- solver                   how a row is solved: 'cg', three steps of conjugate gradients an epoch, or 'cholesky',
--                          exactly; the faster one for n_factors if left out
-- negative_sampling        the other item of a triple: 'uniform', any item, or 'popularity', in proportion to its
--                          users; a triple is left out where the user has a strength above 0 for that item too
-- popularity_exponent      e, 0 to 1: an epoch takes a pair whose item has n users with the chance
--                          least(1, (m / n)^e), m being the mean n; 0 takes all, 0.5 is the subsampling of word2vec
-- temporal                 the time terms that are learnt, of ts: a list, one of its parts as a text, or 'all'
--                          'item_bins': b_i(t) = b_i + a bias of the bin that t is in
--                          'user_drift': b_u(t) = b_u + a_u dev_u(t), dev_u(t) = sign(t - t_u) |t - t_u|^beta with
--                          t - t_u in days and t_u the mean time of the user's ratings
--                          'user_day': b_u(t) = b_u + a bias of the user's day, in UTC
--                          'factor_drift', of timesvdpp alone: p_u(t) = p_u + a_u,f dev_u(t)
--                          The bins of an item, and the days of a user, sum to 0 over the ratings: a day without
--                          ratings has the user's mean. Times before or after training have the nearest bin and
--                          drift. Predictions without ts are those of the end of training (Koren 2009)
-- time_bins                bins of equal length between the first and the last rating
-- temporal_regularization  lambda of the time terms, in ratings: a bin or day of n ratings keeps n / (n + lambda) of
--                          what it differs by, a drift the same of what it is at a usual distance from t_u;
--                          the drift of factors pays lambda * n^nu
-- drift_exponent           beta, 0 to 1
-- validation               boolean SQL expression: the rows held out for early stopping
-- validation_fraction      or a share of the rows, by a hash of user, item and seed
-- patience                 stop after so many epochs without an improvement of the validation loss (3);
--                          without held-out rows, of the training loss, and only if given
-- tolerance                the smallest improvement of the loss that counts; relative_tolerance: the
--                          same as a share of the loss, an improvement has to be larger than both;
--                          with held-out rows the best epoch is kept. The loss is the RMSE; implicit_als: in
--                          training the objective, 1 where all scores are 0, else 1 - NDCG@10; bpr: in
--                          training the mean of -ln sigma(s_ui - s_uj), else 1 - AUC, over items drawn evenly
-- duplicates               what several rows of one user and item mean: 'mean', 'sum', 'last' (by ts; of
--                          equal times the larger rating), 'max', 'error'; their time is the last
-- keep_seen                store each user's training items and ratings: mf_recommend leaves them out
-- seed                     where all randomness comes from: same seed and data, same model, bit for bit
-- threads                  threads to train on (DuckDB's own setting)
-- progress                 false hides the progress bar; so does DUCKMF_PROGRESS=0 in the environment
-- warm_start               a relation made by mf_fit: training starts from its numbers, so that few epochs bring
--                          it up to date with a source that has grown. Options that are left out are those it
--                          was trained with, but for threads, patience and validation; algorithm and n_factors
--                          must be. Users and items that it does not know start as ever; als and implicit_als
--                          take its items, and begin by solving all users for them; bayes takes its users. It may be the table that
--                          the statement replaces; it cannot be NULL. Not for 'popularity'
--
-- Refused with an error: NULL users, items, ratings or times, ratings that are no finite numbers, an empty
-- source, fewer than two items, unknown or unused options, options out of range. Nothing is dropped.
create or replace macro mf_fit(
    source, user_id, item_id, rating := NULL, ts := NULL, strength := NULL,
    algorithm := NULL, n_factors := NULL, epochs := NULL,
    regularization := NULL, user_regularization := NULL, item_regularization := NULL,
    bias_regularization := NULL, implicit_regularization := NULL, regularization_scaling := NULL,
    learning_rate := NULL, learning_rate_decay := NULL, nonnegative := NULL,
    alpha := NULL, unobserved_weight := NULL, solver := NULL,
    negative_sampling := NULL, popularity_exponent := NULL,
    temporal := NULL, time_bins := NULL, temporal_regularization := NULL, drift_exponent := NULL,
    validation := NULL, validation_fraction := NULL, patience := NULL, tolerance := NULL,
    relative_tolerance := NULL,
    duplicates := NULL, keep_seen := NULL, seed := NULL, threads := NULL, progress := NULL,
    warm_start := 'mf__cold'
) as table
from mf__learn(
    'mf_fit', source, user_id, item_id, rating, ts, strength, validation, null, null,
    json_object(
        'algorithm', algorithm,
        'options', mf__options(
            n_factors, epochs, regularization, user_regularization, item_regularization,
            bias_regularization, implicit_regularization, regularization_scaling, learning_rate,
            learning_rate_decay, nonnegative, alpha, unobserved_weight, solver, negative_sampling,
            popularity_exponent, temporal, time_bins, temporal_regularization, drift_exponent,
            validation_fraction, patience, tolerance, relative_tolerance, duplicates, keep_seen,
            seed, threads
        ),
        'progress', progress
    ),
    true,
    warm_start
);

comment on macro table mf_fit is
    'Train a model on ratings: returns the model relation (needs a duckmf connection)';
