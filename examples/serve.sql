-- Serving from the DuckDB shell, with no Python in it. Prepare a database once:
--
--     duckmf demo demo.duckdb
--
-- then: duckdb demo.duckdb -c '.read examples/serve.sql'

-- The model, at a glance.
SELECT algorithm, n_factors, users, items, ratings, epochs, round(train_loss, 3) AS train_loss
FROM mf_info(films);

-- A view that a dashboard can filter by user.
CREATE OR REPLACE VIEW top10 AS
    SELECT user_id, rank, title, score
    FROM mf_recommend(films, k := 10) JOIN movies ON movie_id = item_id;

FROM top10 WHERE user_id = 42 ORDER BY rank;

-- A business rule: only comedies.
CREATE OR REPLACE VIEW comedies AS
    SELECT * FROM films SEMI JOIN (FROM movies WHERE list_contains(genres, 'Comedy')) ON item_id = movie_id
    WHERE kind = 'item'
    UNION ALL
    SELECT * FROM films WHERE kind <> 'item';

SELECT title, score FROM mf_recommend(comedies, 42, k := 3) JOIN movies ON movie_id = item_id ORDER BY rank;

-- The errors by how active a user is.
SELECT
    activity, count(*) AS ratings, round(sqrt(avg((prediction - rating) ^ 2)), 3) AS rmse
FROM (
    SELECT *, CASE WHEN n < 50 THEN 'under 50' WHEN n < 200 THEN '50 to 199' ELSE '200 and more' END AS activity
    FROM mf_predict(films, test, user_id, movie_id)
    JOIN (SELECT user_id, ratings AS n FROM mf_user_factors(films)) USING (user_id)
)
GROUP BY ALL
ORDER BY rmse DESC;
