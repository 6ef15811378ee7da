# %% [markdown]
# # A model for dashboards, and for everybody else
# BI tools read tables and views; none of them needs Python.

# %%
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

import duckmf
from duckmf.demo import examples

folder = TemporaryDirectory()
database = Path(folder.name) / "movies.duckdb"
con = duckmf.connect(database)
con.execute("SET file_search_path = $1", [str(examples() / "data" / "ml-latest-small")])
con.execute("CREATE TABLE ratings AS FROM 'ratings.parquet'")
con.execute("CREATE TABLE movies AS FROM 'movies.parquet'")
con.execute("CREATE TABLE films AS FROM mf_fit(ratings, user_id, movie_id, rating)")

# %% [markdown]
# Five relations in the column types that all of them show, with titles.

# %%
print(duckmf.publish(con, "films", duckmf.Titles("movies", "movie_id", "title"), k=5))

# %% [markdown]
# A model is a table: a Parquet file of it is the model too.

# %%
con.execute(f"COPY films TO '{folder.name}/films.parquet'")
con.close()

# %% [markdown]
# A client without duckmf reads the file.

# %%
with duckdb.connect(str(database), read_only=True) as plain:
    plain.sql("SELECT rank, title, score FROM films_recommendations WHERE user_id = 196").show()
    plain.sql("SELECT title, similar_title FROM films_similar_items WHERE item_id = 1").show()
    plain.sql("SELECT epoch, train_loss FROM films_training WHERE epoch > 13").show()
folder.cleanup()
