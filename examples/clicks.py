# %% [markdown]
# # Clicks, plays, purchases
# Without a rating, mf_fit learns to rank from what people did. Ratings of four stars and more stand
# for clicks here.

# %%
import duckmf
from duckmf.demo import examples

con = duckmf.connect()
con.execute("SET file_search_path = $1", [str(examples() / "data" / "ml-latest-small")])
con.execute("CREATE TABLE ratings AS FROM 'ratings.parquet'")
con.execute("CREATE TABLE movies AS FROM 'movies.parquet'")
con.execute("""
    CREATE VIEW likes AS SELECT user_id, movie_id, rated_at FROM ratings WHERE rating >= 4;
    CREATE TABLE clicks AS FROM mf_split(likes, user_id, movie_id, fraction := 0.2);
    CREATE VIEW earlier AS FROM clicks WHERE split = 'train';
    CREATE VIEW later AS FROM clicks WHERE split = 'test';
""")

# %% [markdown]
# A strength is a confidence: here that of a click halves in five years. The table below says
# whether that pays.

# %%
con.execute("""
    CREATE TABLE popular AS FROM mf_fit(earlier, user_id, movie_id, algorithm := 'popularity');
    CREATE TABLE als AS FROM mf_fit(earlier, user_id, movie_id);
    CREATE TABLE bpr AS FROM mf_fit(earlier, user_id, movie_id, algorithm := 'bpr');
    CREATE TABLE decayed AS FROM mf_fit(
        earlier, user_id, movie_id, algorithm := 'implicit_als',
        rating := 0.5 ^ (date_diff('day', rated_at, TIMESTAMP '2018-09-24') / (5 * 365.0))
    );
""")

# %% [markdown]
# How good are the lists of ten? The most popular films are what they have to beat.

# %%
query = """
    SELECT
        '{model}' AS model, round(ndcg, 3) AS ndcg, round(recall, 3) AS recall,
        round(hit_rate, 3) AS hit_rate, round(coverage, 3) AS coverage
    FROM mf_evaluate_ranking({model}, later, user_id, movie_id, k := 10)
"""
models = ("popular", "als", "bpr", "decayed")
con.sql("UNION ALL".join(query.format(model=model) for model in models)).show()

# %%
con.sql("""
    SELECT rank, title FROM mf_recommend(als, 196, k := 5) JOIN movies ON movie_id = item_id
    ORDER BY rank
""").show()
