"""How many factors? Train on the past, compare on the last ratings of each user."""

from pathlib import Path

import duckmf

data = Path(__file__).parent / "data" / "ml-latest-small"
con = duckmf.connect()
con.execute("CREATE TABLE ratings AS FROM read_parquet($1)", [str(data / "ratings.parquet")])
con.execute("""
    CREATE TABLE parts AS
    FROM mf_split(ratings, user_id, movie_id, rated_at, method := 'last', n := 5)
""")
con.execute("CREATE VIEW train AS FROM parts WHERE split = 'train'")
con.execute("CREATE VIEW test AS FROM parts WHERE split = 'test'")

for n_factors in (4, 8, 16, 32, 64):
    con.execute(
        "CREATE OR REPLACE TABLE model AS "
        "FROM mf_fit(train, user_id, movie_id, rating, n_factors := $1)",
        [n_factors],
    )
    rmse, seconds = con.execute("""
        SELECT e.rmse, i.seconds
        FROM mf_evaluate(model, test, user_id, movie_id, rating) e, mf_info(model) i
    """).fetchone()
    print(f"{n_factors:3} factors: rmse {rmse:.4f} in {seconds:.2f} s")

con.close()
