"""How many factors, and which algorithm? Tune on the latest ratings; then cross-validate."""

from pathlib import Path

import duckmf

data = Path(__file__).parent / "data" / "ml-latest-small"
con = duckmf.connect()
con.execute("CREATE TABLE ratings AS FROM read_parquet($1)", [str(data / "ratings.parquet")])

print("Trained on the past, judged by the latest tenth of the ratings:")
con.sql("""
    SELECT rank, algorithm, searched ->> 'n_factors' AS n_factors, status, epochs, rmse
    FROM mf_tune(
        ratings, user_id, movie_id, rating, rated_at,
        algorithm := ['als', 'svd'], n_factors := [4, 8, 16, 32], validation_method := 'time'
    )
""").show()

print("The default model on five random folds:")
con.sql("""
    SELECT avg(rmse) AS rmse, stddev(rmse) AS deviation, sum(seconds) AS seconds
    FROM mf_cross_validate(ratings, user_id, movie_id, rating, k := NULL)
""").show()

con.close()
