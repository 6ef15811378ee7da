# %% [markdown]
# # Models and lists as expressions of ibis
# Needs `pip install 'ibis-framework[duckdb]' 'duckdb<2'`: with DuckDB 2.0, ibis 12 does not run
# `con.sql`.

# %%
import ibis

import duckmf
from duckmf.demo import examples

data = examples() / "data" / "ml-latest-small"
con = ibis.duckdb.connect()
duckmf.load(con.con)
ratings = con.read_parquet(data / "ratings.parquet", table_name="ratings")
movies = con.read_parquet(data / "movies.parquet", table_name="movies")

# %% [markdown]
# An expression under a name is a source; the trained model is stored as a table.

# %%
recent = ratings.filter(ratings.rated_at.year() >= 2000).alias("recent")
fit = recent.sql("SELECT * FROM mf_fit(recent, user_id, movie_id, rating)")
films = con.create_table("films", fit)
print(films.group_by("kind").agg(rows=films.count()).order_by("kind").to_pandas())

# %% [markdown]
# A list is a table expression: join it, filter it, take it to pandas or polars.

# %%
top = con.sql("FROM mf_recommend(films, 196, k := 20)")
titled = top.join(movies, top.item_id == movies.movie_id)
comedies = titled.filter(titled.genres.contains("Comedy")).order_by("rank").limit(5)
print(comedies.select("rank", "title", "score").to_pandas())
