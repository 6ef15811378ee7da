# %% [markdown]
# # Train on from the model of yesterday

# %%
import duckmf
from duckmf.demo import examples

con = duckmf.connect()
con.execute("SET file_search_path = $1", [str(examples() / "data" / "ml-latest-small")])
con.execute("""
    CREATE TABLE ratings AS FROM 'ratings.parquet' WHERE rated_at < TIMESTAMP '2016-01-01';
    CREATE TABLE films AS FROM mf_fit(ratings, user_id, movie_id, rating, n_factors := 16);
""")

# %% [markdown]
# More ratings come in. Two epochs, from the model and with its options, come near to fifteen from
# scratch; the table that the statement replaces may be where it starts.

# %%
con.execute("""
    INSERT INTO ratings FROM 'ratings.parquet' WHERE rated_at >= TIMESTAMP '2016-01-01';
    CREATE TABLE scratch AS FROM mf_fit(ratings, user_id, movie_id, rating, n_factors := 16);
    CREATE OR REPLACE TABLE films AS
    FROM mf_fit(ratings, user_id, movie_id, rating, warm_start := films, epochs := 2);
""")
con.sql("""
    SELECT 'from the model' AS trained, users, items, epochs, train_loss FROM mf_info(films)
    UNION ALL SELECT 'from scratch', users, items, epochs, train_loss FROM mf_info(scratch)
""").show()

# %% [markdown]
# Who and what it knew already:

# %%
con.sql("SELECT info -> 'warm_start' AS known FROM films WHERE kind = 'model'").show()
con.close()
