# %% [markdown]
# # A business rule is a WHERE on the model
# A model is a table of rows for users and items; what is not in it is not recommended.

# %%
import duckmf
from duckmf.demo import examples

con = duckmf.connect()
con.execute("SET file_search_path = $1", [str(examples() / "data" / "ml-latest-small")])
con.execute("CREATE TABLE ratings AS FROM 'ratings.parquet'")
con.execute("CREATE TABLE movies AS FROM 'movies.parquet'")
con.execute("CREATE TABLE films AS FROM mf_fit(ratings, user_id, movie_id, rating)")

# %% [markdown]
# Only comedies of the nineties, and all rows that are not items.

# %%
con.execute("""
    CREATE VIEW offered AS
        SELECT movie_id FROM movies
        WHERE list_contains(genres, 'Comedy') AND regexp_matches(title, '\\(199\\d\\)');
    CREATE VIEW offer AS
        SELECT * FROM films SEMI JOIN offered ON item_id = movie_id WHERE kind = 'item'
        UNION ALL
        SELECT * FROM films WHERE kind <> 'item';
""")
con.sql("""
    SELECT rank, title, score
    FROM mf_recommend(offer, 196, k := 5) JOIN movies ON movie_id = item_id ORDER BY rank
""").show()

# %% [markdown]
# A rule about the list itself is SQL behind it: at most one film of each first genre.

# %%
con.sql("""
    SELECT title, genres[1] AS genre, score
    FROM mf_recommend(films, 196, k := 50) JOIN movies ON movie_id = item_id
    QUALIFY row_number() OVER (PARTITION BY genres[1] ORDER BY rank) = 1
    ORDER BY rank LIMIT 5
""").show()

# %% [markdown]
# A dashboard's view: the filter on the user goes all the way down.

# %%
con.execute("CREATE VIEW top10 AS FROM mf_recommend(offer, k := 10)")
con.sql("SELECT item_id, score FROM top10 WHERE user_id = 42 AND rank <= 3 ORDER BY rank").show()
