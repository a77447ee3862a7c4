"""Parts of an artifact: the kept rows in one file, the rejected rows in another."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from prep.storage import parquet
from prep.storage.schema import REJECTS

SplitRows = tuple[list[dict], list[dict]]
"""Kept rows, and rejected rows of REJECTS."""


def write_part(
    kept: Path, schema: pa.Schema, rejects: Path, batches: Iterable[SplitRows]
) -> tuple[parquet.Writer, parquet.Writer]:
    """Write batches of rows to both files as they come, and give their writers."""
    with parquet.open_writer(kept, schema) as keep, parquet.open_writer(rejects, REJECTS) as drop:
        for kept_rows, rejected_rows in batches:
            keep.add_rows(kept_rows)
            drop.add_rows(rejected_rows)
    return keep, drop
