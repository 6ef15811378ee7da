# %% [markdown]
# # Train and recommend
# Ratings in, films out: on MovieLens latest-small, in a database in memory.

# %%
import duckmf
from duckmf.demo import examples

con = duckmf.connect()  # or duckmf.load(con) on a connection that you have
con.execute("SET file_search_path = $1", [str(examples() / "data" / "ml-latest-small")])
con.execute("CREATE TABLE ratings AS FROM 'ratings.parquet'")
con.execute("CREATE TABLE movies AS FROM 'movies.parquet'")

# %% [markdown]
# Training holds a tenth of the ratings out, and keeps the epoch that is best on them.

# %%
con.execute("""
    CREATE TABLE films AS
    FROM mf_fit(ratings, user_id, movie_id, rating, validation_fraction := 0.1)
""")
con.sql("SELECT algorithm, ratings, best_epoch, validation_loss FROM mf_info(films)").show()

# %% [markdown]
# What a user has rated is left out of the list.

# %%
for user in (1, 196):
    print(f"User {user}:")
    found = con.execute(
        "SELECT title, score FROM mf_recommend(films, $1, k := 3) "
        "JOIN movies ON movie_id = item_id ORDER BY rank",
        [user],
    )
    for title, score in found.fetchall():
        print(f"  {score:.2f}  {title}")
