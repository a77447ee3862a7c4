"""Artifacts on disk: one parquet file, or a folder of numbered files (shards).

The folder NAME holds NAME-00000-of-00002.parquet and so on. It appears when it is whole.
"""

import contextlib
import glob
import io
import os
import shutil
import tempfile
from bisect import bisect_right
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from prep.storage import parquet
from prep.storage.atomic import name_file_in_errors
from prep.storage.parts import part_prefix, remove_abandoned

FOOTER_SHARE = 64
"""One part in so many of a file is left for what its footer and page index say of its row groups."""


class RowWriter(Protocol):
    """What appends rows: the writer of a file, or of a folder."""

    schema: pa.Schema
    rows: int

    def add(self, table: pa.RecordBatch) -> None:
        """Append rows."""


class ShardWriter:
    """A writer of numbered files of at most `shard_bytes`; a row that is larger has a file to itself.

    Rows go into a file as long as they fit. What its footer takes is known only once it is written, so a
    share is left for it; a file that came out too large is written again as two halves.
    """

    def __init__(self, folder: Path, schema: pa.Schema, shard_bytes: int) -> None:
        self.schema, self.rows = schema, 0
        self._folder, self._shard_bytes = folder, shard_bytes
        self._hasher = ThreadPoolExecutor(1)
        self._files: list[dict[str, Any]] = []
        empty = parquet.Writer(io.BytesIO(), schema, self._hasher)
        empty.finish()
        self._room = shard_bytes - empty.bytes - shard_bytes // FOOTER_SHARE
        self._begin_shard()

    def add(self, table: pa.RecordBatch | pa.Table) -> None:
        """Append rows, each to the file that is open where it fits, else to the next."""
        while table.num_rows:
            room = self._room - self._shard.bytes
            rows = bisect_right(
                range(1, table.num_rows + 1), room, key=lambda first: table.slice(0, first).nbytes
            )
            if not rows and self._shard.rows:
                self._end_shard()
                self._begin_shard()
                continue
            head = table.slice(0, max(1, rows))
            self._shard.add(head)
            self.rows += head.num_rows
            table = table.slice(head.num_rows)

    def _begin_shard(self) -> None:
        self._path = self._folder / f"{len(self._files):05d}.parquet"
        self._file = self._path.open("wb")
        self._shard = parquet.Writer(self._file, self.schema, self._hasher)

    def _end_shard(self) -> None:
        self._shard.finish()
        os.fsync(self._file.fileno())
        self._file.close()
        shard = self._shard
        if shard.bytes > self._shard_bytes and shard.rows > 1:
            self._split_shard(shard.rows)
        else:
            self._files.append({"rows": shard.rows, "bytes": shard.bytes, "sha256": shard.sha256})

    def _split_shard(self, rows: int) -> None:
        """Write the rows of the file that was ended again, as two files or more."""
        whole = self._path.with_suffix(f".{rows}.whole")
        self._path.rename(whole)
        for start, stop in ((0, rows // 2), (rows // 2, rows)):
            self._begin_shard()
            for group in parquet.read_groups(whole, start, stop):
                self._shard.add(group)
            self._end_shard()
        whole.unlink()

    def finish(self, name: str) -> list[dict[str, Any]]:
        """End the last file, and give all their names, now that their number is known."""
        self._end_shard()
        for number, about in enumerate(self._files):
            file = f"{name}-{number:05d}-of-{len(self._files):05d}.parquet"
            (self._folder / f"{number:05d}.parquet").rename(self._folder / file)
            about["file"] = file
        return self._files

    def close(self) -> None:
        """Free the thread and the file."""
        self._file.close()
        self._hasher.shutdown()


@contextlib.contextmanager
def open_artifact(
    path: Path, schema: pa.Schema, shard_bytes: int | None
) -> Iterator[tuple[RowWriter, dict[str, Any]]]:
    """Write an artifact that appears at `path` when the block ends well; `shard_bytes` makes it a folder.

    An artifact of the same name in the other form, of a run with another `shard_bytes`, is then removed.
    Gives the writer, and what a summary says of the artifact, which is filled in at the end.
    """
    about = {"path": path.as_posix()}
    if not shard_bytes:
        with parquet.open_writer(path, schema) as writer:
            yield writer, about
        about |= {"rows": writer.rows, "bytes": writer.bytes, "sha256": writer.sha256}
        remove_shards(path.with_suffix(""))
        return
    with _atomic_folder(path) as part, contextlib.closing(ShardWriter(part, schema, shard_bytes)) as writer:
        yield writer, about
        files = writer.finish(path.name)
    single = path.with_name(f"{path.name}.parquet")
    if single.is_file():
        single.unlink()
    about |= {"rows": writer.rows, "bytes": sum(each["bytes"] for each in files)}
    about["files"] = [
        {"file": (path / each["file"]).as_posix()} | {key: each[key] for key in ("rows", "bytes", "sha256")}
        for each in files
    ]


def remove_shards(folder: Path) -> None:
    """Remove an artifact's shards, and their folder unless it holds something else."""
    shards = [*folder.glob(f"{glob.escape(folder.name)}-[0-9]*-of-[0-9]*.parquet")]
    for file in [*shards, *([folder / ".snakemake_timestamp"] if shards else [])]:
        file.unlink(missing_ok=True)
    if shards:
        with contextlib.suppress(OSError):
            folder.rmdir()


@contextlib.contextmanager
def _atomic_folder(path: Path) -> Iterator[Path]:
    """Give a folder beside `path` to write into; when the block ends well, it takes the place of `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(path, ".parts")
    part = Path(tempfile.mkdtemp(dir=path.parent, prefix=part_prefix(path), suffix=".parts"))
    try:
        with name_file_in_errors(path):
            yield part
            part.chmod(path.parent.stat().st_mode & 0o777)
            former = part.with_name(f"{part.name}.former.parts")
            if path.is_dir():
                path.rename(former)
            part.rename(path)
            shutil.rmtree(former, ignore_errors=True)
    finally:
        shutil.rmtree(part, ignore_errors=True)
