"""Put ratings into the order in which stochastic gradient descent visits them: cell by cell."""

from __future__ import annotations

from duckmf.kernels.jit import kernel


@kernel
def count_cells(indptr, indices, counts, order, user_cell, item_cell, begin, end):
    """Count the ratings of each cell, over the users at positions begin to end - 1.

    `order[position]` is a user's code; a rating lies in cell `user_cell[u] + item_cell[i]`.
    Written: `counts` (n_cells,) int64, only in the cells of these users.
    """
    for position in range(begin, end):
        u = order[position]
        for n in range(indptr[u], indptr[u + 1]):
            counts[user_cell[u] + item_cell[indices[n]]] += 1


@kernel
def scatter(
    indptr,
    indices,
    values,
    cursor,
    users,
    items,
    dealt,
    order,
    user_cell,
    item_cell,
    item_position,
    begin,
    end,
):
    """Deal out the ratings that `count_cells` counted to where their cells lie.

    `cursor` (n_cells,) int64 comes in as the begin of each cell and goes out as its end. Written:
    `users`, `items` (n,) int32, the positions of both, and `dealt` (n,) float32, the ratings.
    """
    for position in range(begin, end):
        u = order[position]
        for n in range(indptr[u], indptr[u + 1]):
            i = indices[n]
            cell = user_cell[u] + item_cell[i]
            to = cursor[cell]
            cursor[cell] = to + 1
            users[to] = position
            items[to] = item_position[i]
            dealt[to] = values[n]


@kernel
def shuffle_cells(bounds, users, items, dealt, begin, end, seed):
    """Shuffle the ratings inside each of the cells begin to end - 1, after Fisher and Yates.

    Cell c holds the entries bounds[c] to bounds[c + 1] - 1. Chance comes from a linear congruential
    generator modulo 2^32 (Numerical Recipes, 3rd edition, section 7.1) that starts anew in each
    cell, whose high bits choose; every product fits 63 bits.
    """
    for cell in range(begin, end):
        state = (seed + 2654435769 * (cell + 1)) & 0xFFFFFFFF
        first = bounds[cell]
        for n in range(bounds[cell + 1] - 1, first, -1):
            state = (1664525 * state + 1013904223) & 0xFFFFFFFF
            m = first + ((state * (n - first + 1)) >> 32)
            users[n], users[m] = users[m], users[n]
            items[n], items[m] = items[m], items[n]
            dealt[n], dealt[m] = dealt[m], dealt[n]


@kernel
def shuffle_rows(indptr, turns, begin, end, seed):
    """Shuffle the entries of each of the rows begin to end - 1 of `turns` (n,) int32.

    Row u holds the entries indptr[u] to indptr[u + 1] - 1. Chance is that of `shuffle_cells`.
    """
    for row in range(begin, end):
        state = (seed + 2654435769 * (row + 1)) & 0xFFFFFFFF
        first = indptr[row]
        for n in range(indptr[row + 1] - 1, first, -1):
            state = (1664525 * state + 1013904223) & 0xFFFFFFFF
            m = first + ((state * (n - first + 1)) >> 32)
            turns[n], turns[m] = turns[m], turns[n]
