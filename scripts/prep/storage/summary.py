"""Outputs of a job: the two files of a part, and the summary (checksum file) that stands beside outputs.

A part of an artifact has the kept rows in one file, the rejected rows in another.

Jobs that follow take a summary as input, so that they are stale by what the outputs hold, not by their
times. It is JSON of one shape:

    {"files": {"shard": {"rows": 24, "sha256": "…"}, "rejects": {"rows": 0, "sha256": "…"}}, …}

`files` holds what is known of each output (of each input in `gather_parts`), by the name of its flag, or by
its path where there are many. It is null for an output that the job does not write. The sha256 is always
there; `rows`, `bytes` and `path` where a program needs them. Beside `files` stands what else the job found:

- `sources`: what became of each source file, as {source: {path: {"state": …}}}.
- `raw`: the raw shard that still holds the pictures of a part: path, sha256, and the footer's sha256.
- `read`, `kept`, `rejected` and `notice`: an assembly's counts, and what its artifact must say.
- `wanted`: how many samples were to be drawn.
- `funnel`: the lines of a selection, and of all that are assembled; see prep.reasoning.funnel.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from prep.runtime.sanitize import sanitize
from prep.storage import atomic, parquet
from prep.storage.schema import REJECTS

SplitRows = tuple[list[dict], list[dict]]
"""Kept rows, and rejected rows of REJECTS."""


def write_part(
    kept: Path,
    schema: pa.Schema,
    rejects: Path,
    batches: Iterable[SplitRows],
    metadata: Callable[[], Mapping[str, str]] = dict,
) -> tuple[parquet.Writer, parquet.Writer]:
    """Write batches of rows to both files as they come, and give their writers.

    `metadata` is asked after the last row for key-value metadata of the file of kept rows. Details are
    sanitized: what they quote of a source may hold anything, a half of a character too.
    """
    with parquet.open_writer(kept, schema) as keep, parquet.open_writer(rejects, REJECTS) as drop:
        for kept_rows, rejected_rows in batches:
            keep.add_rows(kept_rows)
            drop.add_rows([_sanitize_detail(row) for row in rejected_rows])
        keep.add_metadata(metadata())
    return keep, drop


def _sanitize_detail(row: dict) -> dict:
    return row | {"detail": sanitize(row["detail"])} if row["detail"] else row


def write_summary(
    path: Path, files: Mapping[str, parquet.Writer | dict[str, Any] | None], **about: Any
) -> None:
    """Write a summary; what is known of a file is given, or taken from its writer."""
    known = {
        name: {"rows": file.rows, "sha256": file.sha256} if isinstance(file, parquet.Writer) else file
        for name, file in files.items()
    }
    atomic.write_json(path, {"files": known} | about)
