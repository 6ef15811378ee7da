"""The best k of many scores: a block of users against panels of items, exactly.

A user's score of item i is s_i = b_i + <p, q_i>. Items are ranked by that or, with a risk c, by
s_i - c d_i, d_i^2 = v_i + <p^2, w_i> being the variance of the item's part. Most pairs are only
screened: their score is summed in whatever way is fastest and compared, still in a register, with
what the user's list asks for at that moment. The few that come near it are remembered and in the
end scored again, as DuckDB sums (`list_dot_product`: one term after the other), and ordered by what
ranks them and the item's place.
Screening is off by at most some margin, which is subtracted from what the list asks for: no item of
the right list is ever missed, ties included. With a risk above zero pairs are screened by
s_i - c v_i^(1/2), which is never less; below zero every pair is looked at.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from duckmf.kernels.jit import exact, kernel, part
from duckmf.kernels.screening import HEIGHT, LANES, WIDTH, first, fused, screen

BLOCK = 64  # users that are ranked at a time: their state stays in the cache


class Items(NamedTuple):
    """What users are ranked on. A slot is a lane of a panel; slots go by falling length of q."""

    panels: NDArray[np.float32]  # (n_panels, n_factors + 1, WIDTH), flat: q and b_i to screen with
    reach: NDArray[
        np.float32
    ]  # (n_panels, 2): length of the longest q, and largest b_i, of a panel
    slots: NDArray[np.int32]  # by code: the slot and 1; 0 where there is none
    Q: NDArray[np.float32]  # (n_items, n_factors), by slot
    weights: NDArray[np.float32]  # (n_items,), by slot: b_i; for cosines <q, q>
    places: NDArray[np.int32]  # (n_items,), by slot: items of equal score go by place
    W: NDArray[np.float32]  # (n_items, n_factors), by slot: w_i; no rows where risk is zero
    v: NDArray[np.float32]  # (n_items,), by slot; likewise


class Users(NamedTuple):
    """Who is ranked for; tiles, lengths and margins go to the end of a tile."""

    tiles: NDArray[np.float32]  # (n_tiles, n_factors + 1, HEIGHT), flat: p and 1 to screen with
    lengths: NDArray[np.float32]  # (n_tiles * HEIGHT,), at least that of p in its tile
    margins: NDArray[np.float32]  # (n_tiles * HEIGHT,), at least how far screening may be off
    indptr: NDArray[np.int32]  # (n_users + 1,)
    seen: NDArray[np.int32]  # (indptr[-1],), codes
    P: NDArray[np.float32]  # (n_users, n_factors)
    weights: NDArray[np.float32]  # (n_users,), mu + b_u; for cosines <p, p>
    squares: NDArray[np.float32]  # (n_users, n_factors): p^2; no columns where risk is zero


class Lists(NamedTuple):
    """What is written: the best k items of each user, the best first."""

    places: NDArray[np.int32]  # (n_users, k)
    scores: NDArray[np.float32]  # (n_users, k): s, whatever the risk
    counts: NDArray[np.int32]  # (n_users,), how many a user has


class Score(NamedTuple):
    """What a score is: mu + b_u + b_i + <p, q>, or the cosine of p and q."""

    cosine: bool
    fused: bool  # whether DuckDB leaves the products that it sums unrounded
    risk: float  # c


class Work(NamedTuple):
    """What a block of users needs while it is ranked."""

    hidden: NDArray[
        np.int64
    ]  # (n_panels, BLOCK), flat: a bit for each lane that a user may not have
    limits: NDArray[np.float32]  # (BLOCK,), what the list of a user asks for
    thresholds: NDArray[np.float32]  # (BLOCK,), and what of the scores that are screened
    heaps: NDArray[np.float32]  # (BLOCK * k,), the best screened scores of each user
    n_found: NDArray[np.int64]  # (BLOCK,), the candidates of each user
    found: NDArray[np.float32]  # (BLOCK, room), their screened scores
    slots: NDArray[np.int32]  # (BLOCK, room)
    tile_scores: NDArray[np.float32]  # (HEIGHT * WIDTH,)
    masks: NDArray[np.int64]  # (HEIGHT,), a bit for each lane that a user's list asks for


@part
def replace_least(heap, top, k, value):
    """Put `value` in the place of the least of the k numbers at `top`, a heap with that on top."""
    at = 0
    while 2 * at + 1 < k:
        child = 2 * at + 1
        if child + 1 < k and heap[top + child + 1] < heap[top + child]:
            child += 1
        if not heap[top + child] < value:
            break
        heap[top + at] = heap[top + child]
        at = child
    heap[top + at] = value


@part
def sort(scores, slots, places, n):
    """Sort n candidates, the best first; of equal ones the first place (Shell 1959).

    NaN is the largest number, as it is in DuckDB.
    """
    gap = n
    while gap > 1:
        gap = gap * 5 // 11 if gap > 2 else 1
        for c in range(gap, n):
            a, slot = scores[c], slots[c]
            d = c - gap
            while d >= 0:
                b = scores[d]
                if a == b or (a != a and b != b):
                    if places[slot] > places[slots[d]]:
                        break
                elif b > a or b != b:
                    break
                scores[d + gap], slots[d + gap] = b, slots[d]
                d -= gap
            scores[d + gap], slots[d + gap] = a, slot


@part
def thin_out(scores, slots, n, least):
    """Drop those of n candidates that are below `least`; returns how many stay."""
    left = 0
    for c in range(n):
        if not scores[c] < least:
            scores[left], slots[left] = scores[c], slots[c]
            left += 1
    return left


@exact
def expected(slot, user, items, users, fuse):
    """The score of one item, as DuckDB rounds it."""
    total = np.float32(0.0)
    for t in range(users.P.shape[1]):
        x, y = users.P[user, t], items.Q[slot, t]
        total = fused(x, y, total) if fuse else total + x * y
    return (users.weights[user] + items.weights[slot]) + total


@exact
def deviation(slot, user, items, users, fuse):
    """d of one item, as DuckDB rounds it."""
    total = np.float32(0.0)
    for t in range(users.squares.shape[1]):
        x, y = users.squares[user, t], items.W[slot, t]
        total = fused(x, y, total) if fuse else total + x * y
    return np.sqrt(np.float64(items.v[slot] + total))


@exact
def settle(scores, slots, n, least, user, items, users, score):
    """Score those of n candidates that reach `least` as DuckDB would, and sort them.

    DuckDB sums one product after the other. A few candidates are summed side by side, so that none
    waits for the one before. Returns how many there are.
    """
    n = thin_out(scores, slots, n, least)
    p, a, Q = users.P[user], users.weights[user], items.Q
    cosine, fuse, risk = score
    for low in range(0, n, LANES):
        high = low + LANES if low + LANES < n else n
        for c in range(low, high):
            scores[c] = 0.0
        for t in range(len(p)):
            for c in range(low, high):
                x, y, total = p[t], Q[slots[c], t], scores[c]
                scores[c] = fused(x, y, total) if fuse else total + x * y
    for c in range(n):
        b, total = items.weights[slots[c]], scores[c]
        if cosine:
            ratio = np.float64(total) / (np.sqrt(np.float64(a)) * np.sqrt(np.float64(b)))
            scores[c] = 1.0 if not ratio < 1.0 else ratio if ratio > -1.0 else -1.0
        else:
            scores[c] = (a + b) + total
        if risk != 0.0:
            d = deviation(slots[c], user, items, users, fuse)
            scores[c] = np.float64(scores[c]) - risk * d
    sort(scores, slots, items.places, n)
    return n


@part
def on_the_safe_side(screened, slot, user, items, users, risk):
    """s - c d of an item, from the score that it was screened by."""
    variance = np.float32(0.0)
    for t in range(users.squares.shape[1]):
        variance += users.squares[user, t] * items.W[slot, t]
    v = np.float64(items.v[slot])
    spared = np.sqrt(v) if risk > 0.0 else 0.0
    return np.float32(screened - risk * (np.sqrt(v + variance) - spared))


@part
def begin(work, items, users, start, n_users):
    """Empty the lists of a block of users, and hide from them what they have seen."""
    for row in range(BLOCK):
        work.thresholds[row] = -np.inf if row < n_users else np.inf
        work.limits[row] = work.thresholds[row]
        work.n_found[row] = 0
    for e in range(len(work.heaps)):
        work.heaps[e] = -np.inf
    for e in range(len(work.hidden)):
        work.hidden[e] = -1 if e % BLOCK >= n_users else 0
    for row in range(n_users):
        for e in range(users.indptr[start + row], users.indptr[start + row + 1]):
            code = users.seen[e]
            slot = items.slots[code] - 1 if 0 <= code < len(items.slots) else -1
            if slot >= 0:
                work.hidden[slot // WIDTH * BLOCK + row] |= np.int64(1) << (slot % WIDTH)
        for slot in range(len(items.places), len(items.reach) * WIDTH):
            work.hidden[slot // WIDTH * BLOCK + row] |= np.int64(1) << (slot % WIDTH)


@part
def anyone(thresholds, lengths, margins, low, user, longest, largest):
    """Whether one of a tile's users may ask for a score of a panel.

    The largest score there is at most b_i + |p| |q|, by Cauchy-Schwarz.
    """
    near = 0
    for u in range(HEIGHT):
        bound = largest + longest * lengths[user + u] + margins[user + u]
        near += not bound < thresholds[low + u]
    return near > 0


@part
def unsettle(scores, n, base, margin):
    """Turn n scores of `settle`, less `base`, into what screening finds at most."""
    for c in range(n):
        scores[c] = scores[c] - base + margin


@kernel
def rank(lists, work, items, users, begin_user, end_user, score):
    """The best items of some users that they have not seen, the best first.

    Writes the lists of users begin_user, a multiple of HEIGHT, to end_user - 1.
    Cost: n_users n_items n_factors.
    """
    n, k, room = users.P.shape[1] + 1, lists.scores.shape[1], work.found.shape[1]
    hidden, limits, thresholds, heaps, n_found, _, _, scores, masks = work
    risk = score.risk
    lengths, margins = users.lengths, users.margins
    for start in range(begin_user, end_user, BLOCK):
        n_users = end_user - start if end_user - start < BLOCK else BLOCK
        begin(work, items, users, start, n_users)
        for panel in range(len(items.reach)):
            longest, largest = items.reach[panel, 0], items.reach[panel, 1]
            for low in range(0, n_users, HEIGHT):
                tile = start + low
                if not anyone(thresholds, lengths, margins, low, tile, longest, largest):
                    continue
                who = screen(
                    scores, masks, items.panels, panel * n * WIDTH, users.tiles, tile * n, n,
                    thresholds, low, hidden, panel * BLOCK + low,
                )  # fmt: skip
                while who != 0:
                    u = first(who)
                    who &= who - 1
                    row, user = low + u, tile + u
                    found, slots = work.found[row], work.slots[row]
                    here, limit, margin = n_found[row], limits[row], margins[user]
                    if here + WIDTH > room:
                        here = thin_out(found, slots, here, limit)
                    if here + WIDTH > room:
                        here = settle(found, slots, here, limit, user, items, users, score)
                        here = k if k < here else here
                        base = np.float32(0.0) if score.cosine else users.weights[user]
                        least = found[here - 1] - base - margin
                        limit = least if least > limit else limit
                        unsettle(found, here, base, margin)
                    mask = masks[u]
                    while mask != 0:
                        lane = first(mask)
                        mask &= mask - 1
                        s = scores[u * WIDTH + lane]
                        slot = panel * WIDTH + lane
                        if s < limit and not risk < 0.0:
                            continue
                        if risk != 0.0:
                            s = on_the_safe_side(s, slot, user, items, users, risk)
                            if s < limit:
                                continue
                        found[here] = s
                        slots[here] = slot
                        here += 1
                        if heaps[row * k] < s < np.inf:
                            replace_least(heaps, row * k, k, s)
                            least = heaps[row * k] - margin - margin
                            limit = least if least > limit else limit
                    n_found[row] = here
                    limits[row] = limit
                    thresholds[row] = -np.inf if risk < 0.0 else limit
        for row in range(n_users):
            user = start + row
            found, slots, least = work.found[row], work.slots[row], limits[row]
            here = settle(found, slots, n_found[row], least, user, items, users, score)
            lists.counts[user] = k if k < here else here
            for c in range(lists.counts[user]):
                lists.places[user, c] = items.places[slots[c]]
                lists.scores[user, c] = found[c]
                if risk != 0.0:
                    lists.scores[user, c] = expected(slots[c], user, items, users, score.fused)
