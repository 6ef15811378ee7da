"""How duckmf sits on a DuckDB connection: macros, Python functions, and the border to them."""
