# %% [markdown]
# # A picture of a model
# Needs `pip install 'duckmf[report]'`. Writes report.html into the current folder: one file, which
# opens without a network.

# %%
from pathlib import Path
from tempfile import TemporaryDirectory

import duckmf
from duckmf import report
from duckmf.demo import examples

folder = TemporaryDirectory()
database = f"{folder.name}/movies.duckdb"
con = duckmf.connect(database)
con.execute("SET file_search_path = $1", [str(examples() / "data" / "ml-latest-small")])
con.execute("""
    CREATE TABLE movies AS FROM 'movies.parquet';
    CREATE TABLE parts AS FROM mf_split('ratings.parquet', user_id, movie_id, fraction := 0.2);
    CREATE TABLE train AS FROM parts WHERE split = 'train';
    CREATE TABLE test AS FROM parts WHERE split = 'test';
    CREATE TABLE films AS FROM mf_fit(train, user_id, movie_id, rating, validation_fraction := 0.1);
""")
con.close()

# %% [markdown]
# The errors are those on ratings that the model has not seen.

# %%
titles = report.TitlesAndColors("movies", "movie_id", "title", color="genres[1]")
held_out = report.HeldOut("test", "user_id", "movie_id", "rating")
page = Path("report.html").absolute()
report.write(report.ReportRequest(database, "films", titles, held_out), page)
folder.cleanup()
print(f"{page.name}: {page.stat().st_size / 1e6:.1f} MB")
