"""The map of items: their factors on the first two principal components."""

from __future__ import annotations

from typing import Any

import numpy as np

COLORS = 9  # categories with a colour of their own
LABELS = 24


def principal_components(factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Project rows on the two directions in which they differ most.

    `factors` is (n, n_factors), n >= 2. Returns the coordinates, (n, 2) (the second column zero
    with one factor), and the shares of the variance, (2,). The sign makes the sum of cubes
    positive, so that the same model gives the same map.
    """
    centred = factors - factors.mean(axis=0)
    _, values, axes = np.linalg.svd(centred, full_matrices=False)
    places = np.zeros((len(factors), 2))
    count = min(2, len(values))
    places[:, :count] = centred @ axes[:count].T
    shares = np.zeros(2)
    shares[:count] = values[:count] ** 2 / max(np.sum(values**2), 1e-30)
    signs = np.where(np.sum(places**3, axis=0) < 0, -1, 1)
    return places * signs, shares


def grouped(colors: list[str]) -> list[str]:
    """The commonest values, and 'other' for the rest."""
    counted = {color: colors.count(color) for color in set(colors)}
    kept = sorted(counted, key=lambda color: (-counted[color], color))
    kept = kept if len(kept) <= COLORS else kept[: COLORS - 1]
    return [color if color in kept else "other" for color in colors]


def labelled(places: np.ndarray) -> np.ndarray:
    """Which of the points, in order of importance, can have a label that hits no other."""
    spread = np.ptp(places, axis=0)
    spread[spread == 0] = 1
    scaled = places / spread
    chosen: list[int] = []
    for point in range(len(scaled)):
        away = np.abs(scaled[chosen] - scaled[point])
        if not np.any((away[:, 0] < 0.2) & (away[:, 1] < 0.035)):
            chosen.append(point)
        if len(chosen) == LABELS:
            break
    return np.isin(np.arange(len(places)), chosen)


def item_map(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], np.ndarray]:
    """The points of the map, and the shares of the variance on its axes."""
    places, shares = principal_components(np.array([row["factors"] for row in rows], np.float64))
    colors = grouped([row["color"] for row in rows])
    labels = labelled(places)
    points = [
        {
            "title": row["title"],
            "color": color,
            "ratings": row["ratings"],
            "x": round(float(x), 4),
            "y": round(float(y), 4),
            "label": row["title"] if label else "",
        }
        for row, color, (x, y), label in zip(rows, colors, places, labels, strict=True)
    ]
    return points, shares
