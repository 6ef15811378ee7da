# %% [markdown]
# # DataFrames and relations
# Needs pandas. A variable of Python is a source like any table.

# %%
import pandas as pd

import duckmf
from duckmf.demo import examples

con = duckmf.connect()
con.execute("SET file_search_path = $1", [str(examples() / "data" / "ml-latest-small")])
con.execute("CREATE TABLE ratings AS FROM 'ratings.parquet'")

# %% [markdown]
# A pandas DataFrame goes in, by the name of its variable. polars and Arrow go in the same way.

# %%
rated = con.sql("SELECT user_id, movie_id, rating FROM ratings").df()
rated["rating"] = rated["rating"] - rated.groupby("user_id")["rating"].transform("mean")
con.sql("FROM mf_fit(rated, user_id, movie_id, rating)").create("films")

# %% [markdown]
# A relation is a query that runs when it is read: `create` above trained once and stored the model.
# Lists are relations too, with filters behind them, and come out as DataFrames.

# %%
top = con.sql("FROM mf_recommend(films, 196, k := 10)").filter("score > 0.5").order("rank")
frame = top.df()
print(frame.head(3))

# %% [markdown]
# Predictions for the pairs of a DataFrame.

# %%
pairs = pd.DataFrame({"who": [196, 196], "film": [1, 2571]})
print(con.sql("SELECT * FROM mf_predict(films, pairs, who, film) ORDER BY film").df())
