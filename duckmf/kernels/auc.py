"""How often relevant items score above others: the area under the ROC curve, without a sort."""

import numpy as np

from duckmf.kernels.jit import kernel, part


@part
def _halves(bars, score):
    """Twice the number of bars above `score`, and once those that equal it; bars ascend."""
    n = len(bars)
    if n == 0 or score < bars[0]:
        return 2 * n
    below, end = 0, n
    while below < end:  # the bars below `score`
        middle = (below + end) // 2
        if bars[middle] < score:
            below = middle + 1
        else:
            end = middle
    equal = below
    while equal < n and bars[equal] == score:
        equal += 1
    return 2 * n - below - equal


@kernel
def areas(out, scores, sizes, seen_indptr, seen, indptr, relevant, begin, end):
    """Write to out[u] the AUC of each user u from begin to end, NaN where there is no other item.

    out: (n,) float64; scores: (n, n_items) float32; sizes: (n,) int64, the user's relevant items,
    those that cannot be recommended included; seen: (..,) int32, items left out; relevant: (..,)
    int32, those that can be recommended; both of user u from indptr[u] to indptr[u + 1].
    auc = sum over other items i of (#{relevant above i} + #{equal} / 2) / (size * #{other items})
    """
    for u in range(begin, end):
        row = scores[u]
        mine = relevant[indptr[u] : indptr[u + 1]]
        hidden = seen[seen_indptr[u] : seen_indptr[u + 1]]
        bars = np.empty(len(mine), np.float32)
        for e in range(len(mine)):
            bars[e] = row[mine[e]]
        bars.sort()
        # all items, less those that are hidden or relevant: of the last ones n^2 / 2
        halves = -len(bars) * len(bars)
        for i in range(len(row)):
            halves += _halves(bars, row[i])
        for e in range(len(hidden)):
            halves -= _halves(bars, row[hidden[e]])
        others = len(row) - len(hidden) - len(bars)
        out[u] = 0.5 * halves / (float(sizes[u]) * others) if others > 0 else np.nan
