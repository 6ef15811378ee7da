# %% [markdown]
# # Cold start: users and films without ratings

# %%
import duckmf
from duckmf.demo import examples

con = duckmf.connect()
con.execute("SET file_search_path = $1", [str(examples() / "data" / "ml-latest-small")])
con.execute("CREATE TABLE ratings AS FROM 'ratings.parquet'")
con.execute("CREATE TABLE movies AS FROM 'movies.parquet'")
con.execute("CREATE TABLE films AS FROM mf_fit(ratings, user_id, movie_id, rating)")

# %% [markdown]
# A user that the model does not know gets the popular list; `source` says so.

# %%
con.sql("""
    SELECT rank, title, source
    FROM mf_recommend(films, -1, k := 3) JOIN movies ON movie_id = item_id ORDER BY rank
""").show()

# %% [markdown]
# Films that nobody has rated get their rows from their genres. Any list of numbers, such as an
# embedding, serves as well.

# %%
con.execute("INSERT INTO films FROM mf_project_items(films, movies, movie_id, genres)")
con.sql("""
    SELECT title, genres, score
    FROM mf_recommend(films, 196, k := 10_000) r JOIN movies m ON m.movie_id = r.item_id
    ANTI JOIN ratings ON ratings.movie_id = r.item_id
    ORDER BY r.rank LIMIT 5
""").show()

# %% [markdown]
# A prediction that rests on content is marked.

# %%
con.execute("""
    CREATE VIEW pairs AS
    SELECT 196 AS u, movie_id AS i FROM movies WHERE movie_id IN (1, 1076, 900001)
    UNION ALL SELECT 196, 900001
""")
con.sql("""
    SELECT u, i, prediction, prediction_source FROM mf_predict(films, pairs, u, i) ORDER BY i
""").show()
