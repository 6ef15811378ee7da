# %% [markdown]
# # Ratings that come and go, without training again

# %%
import duckmf
from duckmf.demo import examples

con = duckmf.connect()
con.execute("SET file_search_path = $1", [str(examples() / "data" / "ml-latest-small")])
con.execute("CREATE TABLE ratings AS FROM 'ratings.parquet'")
con.execute("CREATE TABLE movies AS FROM 'movies.parquet'")
con.execute("CREATE TABLE films AS FROM mf_fit(ratings, user_id, movie_id, rating)")
newcomer = """
    SELECT rank, title, score, source
    FROM mf_recommend(films, 9001, k := 3) JOIN movies ON movie_id = item_id ORDER BY rank
"""

# %% [markdown]
# A newcomer rates three films: their row is solved alone, and joins the model.

# %%
con.execute("""
    CREATE TABLE arrived(u, m, r) AS FROM (VALUES (9001, 1, 5), (9001, 2571, 4.5), (9001, 260, 5));
    MERGE INTO films USING (FROM mf_fold_in(films, arrived, u, m, r)) AS made ON films.kind = 'user'
        AND films.user_id = made.user_id WHEN MATCHED THEN UPDATE WHEN NOT MATCHED THEN INSERT;
""")
con.sql(newcomer).show()

# %% [markdown]
# They rate one more. The model has stored the others, so the new one will do.

# %%
con.execute("""
    CREATE TABLE more(u, m, r) AS FROM (VALUES (9001, 356, 1.0));
    MERGE INTO films USING (FROM mf_fold_in(films, more, u, m, r, complete := false)) AS changes
        ON films.kind = 'user' AND films.user_id = changes.user_id
        WHEN MATCHED THEN UPDATE WHEN NOT MATCHED THEN INSERT;
""")
con.sql(newcomer).show()

# %% [markdown]
# A film that the model does not know: both sides learn, and the whole model comes back.

# %%
con.execute("""
    CREATE TABLE today(u, m, r) AS
    FROM (VALUES (9002, 318, 5.0), (9002, 0, 4.0), (1, 0, 3.5));
    CREATE OR REPLACE TABLE films AS FROM mf_update(films, today, u, m, r);
""")
con.sql("""
    SELECT kind, user_id, item_id, ratings FROM films WHERE user_id > 9000 OR item_id = 0
""").show()

# %% [markdown]
# Somebody wants to be forgotten: their row is all that the model has stored of them.

# %%
con.execute("DELETE FROM films WHERE kind = 'user' AND user_id = 9001")
con.sql(newcomer).show()
