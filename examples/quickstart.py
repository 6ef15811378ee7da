"""Train on MovieLens and recommend films, from Python. Run it anywhere: `python quickstart.py`."""

from pathlib import Path

import duckmf

data = Path(__file__).parent / "data" / "ml-latest-small"
con = duckmf.connect()  # or duckmf.load(con) on a connection that you have
con.execute("SET file_search_path = $1", [str(data)])
con.execute("CREATE VIEW ratings AS FROM 'ratings.parquet'")
con.execute("CREATE VIEW movies AS FROM 'movies.parquet'")

con.execute("""
    CREATE TABLE films AS
    FROM mf_fit(ratings, user_id, movie_id, rating, validation_fraction := 0.1)
""")
print(con.sql("SELECT algorithm, ratings, best_epoch, validation_loss FROM mf_info(films)"))

for user in (1, 196):
    print(f"User {user}:")
    found = con.execute(
        "SELECT title, score FROM mf_recommend(films, $1, k := 3) "
        "JOIN movies ON movie_id = item_id ORDER BY rank",
        [user],
    )
    for title, score in found.fetchall():
        print(f"  {score:.2f}  {title}")

con.close()
