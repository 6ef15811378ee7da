# %% [markdown]
# # Which model is better?
# A fifth of the ratings is held out; three models are trained on the others.

# %%
import duckmf
from duckmf.demo import examples

con = duckmf.connect()
con.execute("SET file_search_path = $1", [str(examples() / "data" / "ml-latest-small")])
con.execute("CREATE TABLE ratings AS FROM 'ratings.parquet'")
con.execute("""
    CREATE TABLE parts AS FROM mf_split(ratings, user_id, movie_id, fraction := 0.2);
    CREATE VIEW train AS FROM parts WHERE split = 'train';
    CREATE VIEW test AS FROM parts WHERE split = 'test';
""")
for algorithm in ("als", "svd", "bias"):
    con.execute(f"""
        CREATE TABLE {algorithm} AS
        FROM mf_fit(train, user_id, movie_id, rating, algorithm := '{algorithm}')
    """)

# %% [markdown]
# Errors on the ratings that no model has seen. The biases alone are what factors have to beat.

# %%
con.sql("""
    SELECT 'als' AS model, rmse, mae, r2 FROM mf_evaluate(als, test, user_id, movie_id, rating)
    UNION ALL SELECT 'svd', rmse, mae, r2 FROM mf_evaluate(svd, test, user_id, movie_id, rating)
    UNION ALL SELECT 'bias', rmse, mae, r2 FROM mf_evaluate(bias, test, user_id, movie_id, rating)
""").show()

# %% [markdown]
# How sure is that? The interval of the difference, by a paired bootstrap over users.

# %%
con.sql("""
    SELECT metric, round(difference, 4) AS difference, round(low, 4) AS low,
        round(high, 4) AS high, better
    FROM mf_compare(als, svd, test, user_id, movie_id, rating)
""").show()

# %% [markdown]
# Where a model errs is a query over its predictions.

# %%
con.sql("""
    SELECT rating, count(*) AS n, avg(prediction) AS mean_prediction
    FROM mf_predict(als, test, user_id, movie_id) GROUP BY rating ORDER BY rating
""").show()
