"""The tables of a release: parquet as ``datasets`` and the Hub's viewer want it.

Owns types, row groups and compression. Must not know what a column means.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import polars as pl

ROW_GROUP = 32 * 2**20
"""Bytes of a row group before compression: a viewer reads one to show a page."""


def write(frame: pl.DataFrame, file: Path) -> None:
    """Write one table.

    A table without rows has no row group either: ``datasets`` streams that as nothing, and fails on an empty group.

    Args:
        frame: Columns of texts, numbers, truth values and lists of texts; ``messages``, if any, is a list of turns.
        file: Replaced where it exists.
    """
    import pyarrow as pa
    from datasets import Features, List, Value
    from pyarrow import parquet

    kinds = {pl.String: "string", pl.Float64: "float64", pl.Int64: "int64", pl.Int32: "int32", pl.Boolean: "bool"}
    turn = {"role": Value("string"), "content": Value("string")}
    # Explicit features: polars' own large strings would load as another type.
    features = Features(
        {
            name: List(turn if name == "messages" else Value("string"))
            if isinstance(kind, pl.List)
            else Value(kinds[type(kind)])
            for name, kind in frame.schema.items()
        }
    )
    schema = features.arrow_schema
    # Chunks cut by content and a page index: what the Hub's storage and viewer want.
    options = {"compression": "zstd", "use_content_defined_chunking": True, "write_page_index": True}
    with parquet.ParquetWriter(file, schema, **options) as writer:
        for part in _groups(frame):
            columns = [pa.array(part[name].to_arrow().cast(schema.field(name).type)) for name in frame.columns]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema), row_group_size=part.height)


def _groups(frame: pl.DataFrame) -> Iterable[pl.DataFrame]:
    """The rows in pieces of about one row group each."""
    rows = max(1, min(frame.height, frame.height * ROW_GROUP // max(1, int(frame.estimated_size()))))
    return frame.iter_slices(rows) if frame.height else ()
