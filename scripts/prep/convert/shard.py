"""Conversion of one raw shard: the texts of the rows that are kept, and the rejected rows with reasons.

Pictures are checked here and not copied: they stay in the raw shard until the artifact is assembled.
"""

import argparse
import logging
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from prep.convert import image_check
from prep.records.ids import row_id
from prep.records.reason import Reason, Rejection
from prep.runtime import process_pool, program
from prep.storage import parquet
from prep.storage.atomic import read_json
from prep.storage.schema import KEPT
from prep.storage.summary import SplitRows, write_part, write_summary

log = logging.getLogger(__name__)

HELD_BYTES = 64 * 1024 * 1024
"""Rows on their way to other processes take about this much memory at most."""


@dataclass(frozen=True)
class Text:
    """What the text columns of a row give: its messages, or why it has none."""

    source_id: str | None
    messages: list[dict[str, str]] | None
    rejection: Rejection | None = None


@dataclass(frozen=True)
class Conversion:
    """The parameters of one shard's conversion.

    `name` is the artifact's, `file` and `sha256` are the shard's at its source. `take` is how many rows are
    read, from the first (None: all). `columns` are the source's own beside the picture (see parquet.Reader);
    `build_text` turns a row's cells of them into its Text. `threads` is the number of processes that decode.
    """

    raw: Path
    file: str
    sha256: str
    name: str
    take: int | None
    columns: Sequence[str | pa.Field]
    build_text: Callable[..., Text]
    check: image_check.Check
    max_pixels: int
    threads: int


def parse_arguments(doc: str, own: tuple[str, tuple[str, ...]]) -> argparse.Namespace:
    """The flags of a converting program: those that all share, and one of its own, as (flag, choices)."""
    parser = program.parser(doc)
    parser.add_argument("--raw", type=Path, required=True, help="the raw shard")
    parser.add_argument("--raw-summary", type=Path, required=True, help="its summary")
    parser.add_argument("--name", required=True, help="the artifact's name, which heads every id")
    parser.add_argument("--take", type=int, help="read the first so many rows; left out: all")
    parser.add_argument("--check", choices=("decode", "header"), required=True)
    parser.add_argument("--max-pixels", type=int, required=True)
    parser.add_argument("--on-bad-shard", choices=("fail", "reject"), required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument(own[0], choices=own[1], required=True)
    parser.add_argument("--shard", type=Path, required=True, help="out: kept rows, without their pictures")
    parser.add_argument("--rejects", type=Path, required=True, help="out: rejected rows")
    parser.add_argument("--summary", type=Path, required=True, help="out: counts and checksums")
    return parser.parse_args()


def run(args: argparse.Namespace, columns: Sequence[str | pa.Field], build_text: Callable[..., Text]) -> None:
    """Convert the shard that `parse_arguments` names; see Conversion for `columns` and `build_text`."""
    raw = read_json(args.raw_summary)["files"]["raw"]
    job = Conversion(
        raw=args.raw,
        file=raw["path"],
        sha256=raw["sha256"],
        name=args.name,
        take=args.take,
        columns=columns,
        build_text=build_text,
        check=args.check,
        max_pixels=args.max_pixels,
        threads=args.threads,
    )
    with process_pool.explain_out_of_memory(job.raw, Path(sys.argv[0]).stem):
        convert(job, args.on_bad_shard, args.shard, args.rejects, args.summary)


def convert(job: Conversion, on_bad_shard: str, shard: Path, rejects: Path, summary: Path) -> None:
    """Write the kept rows, the rejects, and the part summary (see prep.storage.summary).

    A shard that cannot be read raises BadShard, or, when `on_bad_shard` is `reject`, gives two empty
    files and a summary whose state is `bad`, with the detail.
    """
    try:
        source = parquet.Reader(job.raw, [parquet.PICTURE, *job.columns])
        with open_decoders(job) as pool:
            batches = convert_batches(job, source.batches(job.take), pool)
            keep, drop = write_part(shard, KEPT, rejects, batches)
        state, kept = {"state": "read"}, keep
        raw = {"path": job.raw.as_posix(), "sha256": job.sha256, "footer_sha256": source.footer_sha256}
    except parquet.BadShard as bad:
        if on_bad_shard != "reject":
            raise
        log.warning("rejected the whole shard: %s", bad)
        keep, drop = write_part(shard, KEPT, rejects, [])
        state, kept, raw = {"state": "bad", "detail": bad.what}, None, None
    sources = {job.name: {job.file: state}}
    write_summary(summary, {"shard": kept, "rejects": drop}, sources=sources, raw=raw)
    log.info("%s: read %d, kept %d, rejected %d", job.file, keep.rows + drop.rows, keep.rows, drop.rows)


def open_decoders(job: Conversion) -> AbstractContextManager[Executor]:
    """Open the pool that checks pictures: `threads` processes, which read nothing of the shard themselves.

    A header is checked in a thread: that takes less time than to send the picture to a process.
    """
    return process_pool.open_pool(job.threads) if job.check == "decode" else ThreadPoolExecutor(1)


@dataclass(frozen=True)
class Rows:
    """Some rows on their way to another process, from the row numbered `start`.

    `pictures` and `names` are `bytes` and `path` of each picture; `texts` are the source's own columns.
    """

    start: int
    pictures: list[bytes | None]
    names: list[bytes | None]
    texts: pa.RecordBatch

    @property
    def nbytes(self) -> int:
        """How much memory they take, about."""
        return sum(len(picture or b"") for picture in self.pictures) + self.texts.nbytes


def take_cells(start: int, batch: pa.RecordBatch) -> Rows:
    """The cells of a batch as they are handed to another process."""
    image = batch.column("image")
    pictures, names = (pc.struct_field(image, name).to_pylist() for name in ("bytes", "path"))
    return Rows(start, pictures, names, batch.drop_columns("image"))


def convert_batches(
    job: Conversion, batches: Iterator[pa.RecordBatch], pool: Executor
) -> Iterator[SplitRows]:
    """Convert each batch, in order.

    Enough batches wait in the pool to keep each process busy, and their rows stay within HELD_BYTES. A larger
    batch, which is one row, is converted here, alone: to hand it to another process copies it three times.
    """
    waiting: deque[tuple[int, Future[SplitRows]]] = deque()
    start = 0
    while (batch := next(batches, None)) is not None:
        rows = take_cells(start, batch)
        start += batch.num_rows
        del batch  # it must not stay in memory while it is checked, or while the next is read
        large = rows.nbytes > HELD_BYTES
        if not large:
            waiting.append((rows.nbytes, pool.submit(convert_rows, job, rows)))
        most = 0 if large else 2 * job.threads
        while len(waiting) > most or sum(size for size, _ in waiting) > HELD_BYTES:
            yield waiting.popleft()[1].result()
        if large:
            yield convert_rows(job, rows)
        del rows
    while waiting:
        yield waiting.popleft()[1].result()


def convert_rows(job: Conversion, rows: Rows) -> SplitRows:
    """The kept rows of KEPT, and the rejected rows, each with a reason."""
    kept, rejected = [], []
    own = (column.to_pylist() for column in rows.texts.columns)
    cells = zip(rows.pictures, rows.names, *own, strict=True)
    for row, (picture, name, *texts) in enumerate(cells, rows.start):
        text = job.build_text(*texts)
        origin = {"id": row_id(job.name, job.file, row), "row": row}
        if rejection := find_picture_rejection(picture, name, job.max_pixels, job.check) or text.rejection:
            reason, detail = rejection
            rejected.append(origin | {"source_file": job.file, "reason": reason, "detail": detail})
        else:
            kept.append(origin | {"source_id": text.source_id, "messages": text.messages})
    return kept, rejected


def find_picture_rejection(
    data: bytes | None, name: bytes | None, max_pixels: int, how: image_check.Check
) -> Rejection | None:
    """Why a picture cannot be kept, or None where it can."""
    try:
        parquet.decode(name)
    except UnicodeDecodeError as error:
        return Reason.TEXT_NOT_UTF8, f"image.path: {error}"
    return image_check.find_rejection(data, max_pixels, how)
