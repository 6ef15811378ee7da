# %% [markdown]
# # How the biases of some films move over time
# Needs matplotlib: `pip install 'duckmf[plot]'`. Writes item_bias_over_time.png into the current
# folder.

# %%
from matplotlib.figure import Figure

import duckmf
from duckmf.demo import examples

con = duckmf.connect()
con.execute("SET file_search_path = $1", [str(examples() / "data" / "ml-latest-small")])
con.execute("CREATE TABLE ratings AS FROM 'ratings.parquet'")
con.execute("""
    CREATE TABLE films AS FROM mf_fit(
        ratings, user_id, movie_id, rating, rated_at,
        algorithm := 'bias', temporal := ['item_bins'], time_bins := 8
    )
""")

# %% [markdown]
# Each time bin has one bias: a step from its beginning to its end.

# %%
names = {318: "Shawshank Redemption", 260: "Star Wars (1977)", 780: "Independence Day"}
steps = con.execute("""
    SELECT item_id, [b."from", b."to"] AS times, bias
    FROM mf_item_bias_over_time(films) b WHERE item_id IN (318, 260, 780) ORDER BY b."from"
""").fetchall()

# %%
figure = Figure(figsize=(8, 3.6), dpi=110, layout="constrained")
axes = figure.subplots()
for (film, name), color in zip(names.items(), ("#1b6ca8", "#c2541b", "#5a7d2a"), strict=True):
    times = [time for item, ends, _ in steps if item == film for time in ends]
    bias = [value for item, _, value in steps if item == film for _ in range(2)]
    axes.plot(times, bias, color=color, linewidth=2)
    axes.annotate(
        name, (times[-1], bias[-1]), (6, 0), textcoords="offset points", color=color, va="center"
    )
axes.axhline(0, color="#999999", linewidth=0.8)
axes.set_ylabel("stars above the mean of 3.5")
axes.set_title("What a film's ratings gain, by the time of the rating", loc="left")
axes.spines[["top", "right"]].set_visible(False)
axes.margins(x=0)
figure.savefig("item_bias_over_time.png")
print("item_bias_over_time.png")
