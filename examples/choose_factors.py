# %% [markdown]
# # How many factors, and which algorithm?

# %%
import duckmf
from duckmf.demo import examples

con = duckmf.connect()
con.execute("SET file_search_path = $1", [str(examples() / "data" / "ml-latest-small")])
con.execute("CREATE TABLE ratings AS FROM 'ratings.parquet'")

# %% [markdown]
# Trained on the past, judged by the latest tenth of the ratings. Trials that fall behind are
# stopped.

# %%
con.sql("""
    SELECT rank, algorithm, searched ->> 'n_factors' AS n_factors, status, epochs, rmse
    FROM mf_tune(
        ratings, user_id, movie_id, rating, rated_at,
        algorithm := ['als', 'svd'], n_factors := [4, 8, 16, 32], validation_method := 'time'
    )
""").show()

# %% [markdown]
# How much of a difference is luck? The default model on five random folds.

# %%
con.sql("""
    SELECT avg(rmse) AS rmse, stddev(rmse) AS deviation, sum(seconds) AS seconds
    FROM mf_cross_validate(ratings, user_id, movie_id, rating, k := NULL)
""").show()

# %% [markdown]
# Search and train with the winner, on all rows, in one statement.

# %%
con.execute("""
    CREATE TABLE films AS FROM mf_fit_best(
        ratings, user_id, movie_id, rating, n_factors := [8, 16, 32], regularization := [0.5, 1, 2]
    )
""")
con.sql("""
    SELECT n_factors, options ->> 'regularization' AS regularization, ratings FROM mf_info(films)
""").show()
