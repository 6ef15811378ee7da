-- The ratings and titles of MovieLens latest-small (GroupLens, see LICENSE.txt beside the files).
CREATE TABLE ratings AS FROM 'ratings.parquet';

CREATE TABLE movies AS FROM 'movies.parquet';

-- Keep a fifth of the ratings for the test.
CREATE TABLE parts AS FROM mf_split(ratings, user_id, movie_id, fraction := 0.2);

CREATE VIEW train AS FROM parts WHERE split = 'train';

CREATE VIEW test AS FROM parts WHERE split = 'test';

-- Train: a model is a table.
CREATE TABLE films AS FROM mf_fit(train, user_id, movie_id, rating);

CREATE TABLE biases AS FROM mf_fit(train, user_id, movie_id, rating, algorithm := 'bias');

-- How good is it? The mean rating and the biases alone are what it has to beat.
SELECT 'mean rating' AS model, sqrt(avg((rating - (SELECT avg(rating) FROM train)) ^ 2)) AS rmse FROM test
UNION ALL
SELECT 'biases', rmse FROM mf_evaluate(biases, test, user_id, movie_id, rating)
UNION ALL
SELECT 'films', rmse FROM mf_evaluate(films, test, user_id, movie_id, rating);

-- What did user 196 like best, and what should they see next?
SELECT rank, liked.title AS rated_highest, liked.rating, next.title AS recommended, next.score
FROM (
    SELECT row_number() OVER (ORDER BY rating DESC, rated_at) AS rank, title, rating
    FROM ratings JOIN movies USING (movie_id) WHERE user_id = 196
) liked
JOIN (
    SELECT rank, title, round(score, 2) AS score
    FROM mf_recommend(films, 196, k := 10) JOIN movies ON movie_id = item_id
) next USING (rank)
ORDER BY rank;

-- Clicks, plays and purchases carry no rating; likes stand for them here.
CREATE VIEW likes AS SELECT user_id, movie_id FROM ratings WHERE rating >= 4;

CREATE TABLE clicks AS FROM mf_split(likes, user_id, movie_id, fraction := 0.2);

CREATE VIEW earlier AS FROM clicks WHERE split = 'train';

CREATE VIEW later AS FROM clicks WHERE split = 'test';

CREATE TABLE ranker AS FROM mf_fit(earlier, user_id, movie_id);

CREATE TABLE popular AS FROM mf_fit(earlier, user_id, movie_id, algorithm := 'popularity');

-- How good are the lists of ten? The most popular films are what they have to beat.
SELECT 'popular' AS model, round(ndcg, 3) AS ndcg, round(recall, 3) AS recall, round(hit_rate, 3) AS hit_rate
FROM mf_evaluate_ranking(popular, later, user_id, movie_id)
UNION ALL
SELECT 'ranker', round(ndcg, 3), round(recall, 3), round(hit_rate, 3)
FROM mf_evaluate_ranking(ranker, later, user_id, movie_id);

-- What would user 196 click next?
SELECT rank, title FROM mf_recommend(ranker, 196, k := 5) JOIN movies ON movie_id = item_id ORDER BY rank;
