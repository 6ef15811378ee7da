"""The Arrow types of what the Python functions return, from their SQL types."""

from __future__ import annotations

from typing import Any

import duckdb
import pyarrow as pa

PLAIN = {
    "boolean": pa.bool_(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "varchar": pa.string(),
    "timestamp": pa.timestamp("us"),
}


def arrow_type(sql: str) -> pa.DataType:
    """The Arrow type of a SQL type, as DuckDB reads it."""
    return _of(duckdb.sqltype(sql))


def _of(kind: Any) -> pa.DataType:
    if kind.id == "list":
        return pa.list_(_of(kind.children[0][1]))
    if kind.id == "struct":
        return pa.struct([pa.field(name, _of(child)) for name, child in kind.children])
    return PLAIN[kind.id]
