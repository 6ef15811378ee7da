"""duckmf: recommendations in DuckDB.

    import duckmf
    con = duckmf.connect("shop.duckdb")
    con.sql("CREATE TABLE films AS FROM mf_fit(ratings, user_id, movie_id, rating)")
    con.sql("FROM mf_recommend(films, 196, k := 10)")

A model is a relation, training is a table function, everything else is SQL.
"""

from duckmf.bigquery import sql
from duckmf.connection.installing import install, uninstall
from duckmf.connection.plugin import connect, load
from duckmf.dashboards import Titles, publish
from duckmf.errors import DuckMFError

__version__ = "0.1.0"
__all__ = [
    "DuckMFError",
    "Titles",
    "__version__",
    "connect",
    "install",
    "load",
    "publish",
    "sql",
    "uninstall",
]
