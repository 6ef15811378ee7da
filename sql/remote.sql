-- mf_remote_fit(source, user_id, item_id, rating, ts, options, server),
-- mf_remote_train(model, source, user_id, item_id, rating, ts, options, server),
-- mf_remote_recommend(model, user_id, k, server),
-- mf_remote_evaluate(model, test, user_id, item_id, rating, server)
--
-- Train and read models on a server of `duckmf serve`, from a DuckDB shell without Python. The shell
-- has to know the server's token:
--
--     LOAD httpfs; LOAD quack;
--     CREATE SECRET (TYPE quack, TOKEN '...');
--     .read sql/remote.sql
--     FROM mf_remote_train('films', 'ratings', 'user_id', 'movie_id', 'rating');
--     FROM mf_remote_recommend('films', 196);
--
-- mf_remote_fit: mf_fit on a table of the server. The model relation comes to this shell:
--   CREATE TABLE films AS FROM mf_remote_fit('ratings', 'user_id', 'movie_id', 'rating').
-- mf_remote_train: the same as a table of the server, in place of one of that name; returns its
--   mf_info.
-- mf_remote_recommend, mf_remote_evaluate: mf_recommend and mf_evaluate of a model of the server.
--
-- source, model, test    names of tables or views of the server, as strings
-- user_id, item_id,      SQL expressions over their columns, as strings; of mf_remote_recommend, a
--   rating, ts           user's id, or NULL for all users
-- options                the options of mf_fit, as a string: 'n_factors := 64, epochs := 20'
-- server                 where it is ('quack:localhost:9494')
--
-- The server is asked as soon as DuckDB reads such a statement: DESCRIBE and CREATE VIEW ask it too.

create or replace macro mf__remote_literal(v) as
    '''' || replace(v::varchar, '''', '''''') || '''';
comment on macro mf__remote_literal is 'A value as SQL text';

create or replace macro mf__remote_call(source, user_id, item_id, rating, ts, options) as
    'from mf_fit(' || concat_ws(
        ', ', mf__remote_literal(source), user_id, item_id,
        'rating := ' || rating, 'ts := ' || ts, options
    ) || ')';
comment on macro mf__remote_call is 'The call of mf_fit as SQL text';

create or replace macro mf_remote_fit(
    source, user_id, item_id, rating := NULL, ts := NULL, options := NULL,
    server := 'quack:localhost:9494'
) as table
from quack_query(server, mf__remote_call(source, user_id, item_id, rating, ts, options));
comment on macro table mf_remote_fit is
    'Train a model on a table of a duckmf server: returns the model relation';

create or replace macro mf_remote_train(
    model, source, user_id, item_id, rating := NULL, ts := NULL, options := NULL,
    server := 'quack:localhost:9494'
) as table
from quack_query(
    server,
    'create or replace table "' || replace(model, '"', '""') || '" as '
        || mf__remote_call(source, user_id, item_id, rating, ts, options)
        || '; from mf_info(' || mf__remote_literal(model) || ')'
);
comment on macro table mf_remote_train is
    'Train a model into a table of a duckmf server: returns what it is, in one row';

create or replace macro mf_remote_recommend(
    model, user_id := NULL, k := 10, server := 'quack:localhost:9494'
) as table
from quack_query(
    server,
    'from mf_recommend(' || concat_ws(
        ', ', mf__remote_literal(model),
        'user_id := ' || mf__remote_literal(user_id) || '::' || typeof(user_id),
        'k := ' || k
    ) || ')'
);
comment on macro table mf_remote_recommend is
    'The best items for a user, or for each user, by a model of a duckmf server';

create or replace macro mf_remote_evaluate(
    model, test, user_id, item_id, rating, server := 'quack:localhost:9494'
) as table
from quack_query(
    server,
    'from mf_evaluate(' || concat_ws(
        ', ', mf__remote_literal(model), mf__remote_literal(test), user_id, item_id, rating
    ) || ')'
);
comment on macro table mf_remote_evaluate is
    'The errors of the predictions by a model of a duckmf server, in one row';
