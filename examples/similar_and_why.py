# %% [markdown]
# # Similar films, and why a film is recommended

# %%
import duckmf
from duckmf.demo import examples

con = duckmf.connect()
con.execute("SET file_search_path = $1", [str(examples() / "data" / "ml-latest-small")])
con.execute("CREATE TABLE ratings AS FROM 'ratings.parquet'")
con.execute("CREATE TABLE movies AS FROM 'movies.parquet'")
con.execute("CREATE TABLE films AS FROM mf_fit(ratings, user_id, movie_id, rating)")

# %% [markdown]
# The neighbours of Toy Story (1), by the cosine of their factors. Films with a handful of ratings
# point somewhere by chance: leave them out of the model first.

# %%
con.execute("CREATE VIEW known AS FROM films WHERE kind <> 'item' OR ratings >= 20")
con.sql("""
    SELECT rank, title, similarity
    FROM mf_similar_items(known, 1, k := 5) JOIN movies ON movie_id = similar_item_id ORDER BY rank
""").show()

# %% [markdown]
# What the films that user 196 has rated add to the score of Toy Story.

# %%
con.sql("""
    SELECT part, title, rating, contribution
    FROM mf_explain(films, 196, 1, k := 5) LEFT JOIN movies ON movie_id = item_id
    ORDER BY abs(contribution) DESC
""").show()

# %% [markdown]
# Users of like taste.

# %%
con.sql("SELECT rank, similar_user_id, similarity FROM mf_similar_users(films, 196, k := 3)").show()
