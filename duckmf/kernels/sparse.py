"""Sparse matrices: the counting scatter that sorts cells by row."""

from duckmf.kernels.jit import kernel


@kernel
def scatter(rows, columns, values, begin, out_columns, out_values):
    """Put cell e at the next free place of its row: one counting sort, O(cells).

    rows, columns: (n,) int32; values: (n,) float32; begin: (n_rows,) int64, each row's first place,
    moved on as it fills. Cells of a row keep their order.
    """
    for e in range(len(rows)):
        place = begin[rows[e]]
        begin[rows[e]] = place + 1
        out_columns[place] = columns[e]
        out_values[place] = values[e]
