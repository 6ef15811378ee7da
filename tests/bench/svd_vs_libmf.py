"""`svd` against libmf: 20 M ratings of MovieLens-20M shape, 64 factors, two threads each.

Same objective: lambda 0.03 for each rating, libmf without biases as it has none. libmf takes the
epochs after which its hold-out RMSE is lowest, svd as many as get it at least there. Times are of
whole trainings from arrays in memory, layout included, and of the epochs alone: what more epochs
cost more. Run in an environment with duckmf and libmf: python -m tests.bench.svd_vs_libmf
The package on PyPI is compiled without vector instructions; for a fair race build its src_cpp with
`g++ -O3 -march=native -DUSEAVX -pthread -shared -fPIC` and name the result in LIBMF_OBJ.
"""

from __future__ import annotations

import time

import numpy as np
from libmf import mf

from duckmf.algorithms.svd import Svd, SvdOptions
from duckmf.kernels.threads import Workers
from tests.bench.known_truth import Known

ROUNDS = 3
N_FACTORS = 64
PENALTY = 0.03
THEIR_EPOCHS = 12
OUR_EPOCHS = 6


def predicted(model: mf.MF, known: Known) -> np.ndarray:
    """<p_u, q_i>; the mean for a row without ratings, whose factors are NaN."""
    P, Q = model.p_factors(), model.q_factors()
    products = np.einsum("nf,nf->n", P[known.test.users], Q[known.test.items])
    return np.where(np.isnan(products), model.model.b, products)


def theirs(known: Known, train: np.ndarray, epochs: int) -> tuple[float, float]:
    """Seconds and hold-out RMSE of libmf at its own step size."""
    model = mf.MF(
        k=N_FACTORS,
        nr_threads=2,
        nr_iters=epochs,
        lambda_p1=0.0,
        lambda_q1=0.0,
        lambda_p2=PENALTY,
        lambda_q2=PENALTY,
        quiet=True,
    )
    began = time.perf_counter()
    model.fit(train)
    seconds = time.perf_counter() - began
    return seconds, known.rmse(predicted(model, known))


def ours(known: Known, ratings, epochs: int) -> tuple[float, float]:
    """Seconds and hold-out RMSE of duckmf."""
    options = SvdOptions(
        n_factors=N_FACTORS,
        epochs=epochs,
        learning_rate=0.2,
        regularization=PENALTY,
        regularization_scaling=1.0,
    )
    workers = Workers(2)
    began = time.perf_counter()
    svd = Svd(ratings, options, workers)
    for number in range(1, epochs + 1):
        svd.epoch(number)
    seconds = time.perf_counter() - began
    workers.close()
    return seconds, known.rmse(svd.factors().predict(known.test.users, known.test.items))


def main() -> None:
    """Print a line for each round, then the medians of their ratios."""
    known = Known.make(138_000, 27_000, 20_000_000)
    ratings = known.ratings()
    columns = (known.train.users, known.train.items, known.train.values)
    train = np.stack(columns, axis=1).astype(np.float32)  # codes are exact up to 2^24
    ours(known, ratings, 1)
    ratios = []
    for _ in range(ROUNDS):
        long, short = theirs(known, train, THEIR_EPOCHS), theirs(known, train, 2)
        our_long, our_short = ours(known, ratings, OUR_EPOCHS), ours(known, ratings, 2)
        epoch = (long[0] - short[0]) / (THEIR_EPOCHS - 2)
        our_epoch = (our_long[0] - our_short[0]) / (OUR_EPOCHS - 2)
        ratios.append((long[0] / our_long[0], epoch / our_epoch))
        print(
            f"libmf {long[0]:.2f} s to RMSE {long[1]:.4f}, {epoch:.3f} s an epoch;"
            f" svd {our_long[0]:.2f} s to {our_long[1]:.4f}, {our_epoch:.3f} s an epoch"
        )
    whole, epoch = np.median(ratios, axis=0)
    print(f"svd is {whole:.1f} times as fast to that RMSE, {epoch:.2f} times an epoch")


if __name__ == "__main__":
    main()
