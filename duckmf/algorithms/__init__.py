"""The algorithms. Each is a class with the same few members; `ALGORITHMS` names them.

    Options                         its frozen dataclass of options
    __init__(ratings, options, workers)   lays the data out and draws the initial factors
    epoch(number) -> float          one pass over the ratings; returns the training loss (RMSE)
    factors() -> Factors            the numbers as they stand, by user and item code
"""
