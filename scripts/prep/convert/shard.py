"""One raw shard in; out go the texts of the rows that are kept, and the rows that are not, with the reason.

Pictures are read here and copied nowhere: they stay in the raw shard until the artifact is assembled.
"""

import argparse
import logging
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from prep.convert import image_check
from prep.records.ids import file_prefix
from prep.records.reason import Defect, Reason
from prep.runtime import process_pool, program
from prep.storage import parquet, part_summary
from prep.storage.atomic import read_json
from prep.storage.schema import KEPT, REJECTS

log = logging.getLogger(__name__)

HELD_BYTES = 64 * 1024 * 1024
"""Rows on their way to other processes take about this much memory at most."""


@dataclass(frozen=True)
class Text:
    """What the text columns of a row give: its messages, or why it has none."""

    source_id: str | None
    messages: list[dict[str, str]] | None
    defect: Defect | None = None


TextsOf = Callable[[pa.RecordBatch], list[Text]]


@dataclass(frozen=True)
class Job:
    """What converting one shard needs to know.

    `name` is the artifact's, `file` and `sha256` are the shard's at its source. `take` is how many rows are
    read, from the first (None: all). `columns` are the source's own beside the picture (see shards.Source);
    `texts_of` turns a batch of them into one Text a row. `threads` is how many processes decode.
    """

    raw: Path
    file: str
    sha256: str
    name: str
    take: int | None
    columns: Sequence[str | pa.Field]
    texts_of: TextsOf
    check: image_check.Check
    max_pixels: int
    threads: int

    @property
    def source_columns(self) -> list[str | pa.Field]:
        """All columns that are read."""
        return [parquet.PICTURE, *self.columns]


def arguments(doc: str, own: tuple[str, tuple[str, ...]]) -> argparse.Namespace:
    """The flags of a converting program: those that all share, and one of its own, as (flag, choices)."""
    parser = program.parser(doc)
    parser.add_argument("--raw", type=Path, required=True, help="the raw shard")
    parser.add_argument("--identity", type=Path, required=True, help="JSON: its path at the source, sha256")
    parser.add_argument("--name", required=True, help="the artifact's name, which heads every id")
    parser.add_argument("--take", type=int, required=True, help="read so many rows from the first; -1: all")
    parser.add_argument("--check", choices=("decode", "header"), required=True)
    parser.add_argument("--max-pixels", type=int, required=True)
    parser.add_argument("--on-bad-shard", choices=("fail", "reject"), required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument(own[0], choices=own[1], required=True)
    parser.add_argument("--shard", type=Path, required=True, help="out: kept rows, without their pictures")
    parser.add_argument("--rejects", type=Path, required=True, help="out: rejected rows")
    parser.add_argument("--summary", type=Path, required=True, help="out: counts and checksums")
    return parser.parse_args()


def run(args: argparse.Namespace, columns: Sequence[str | pa.Field], texts_of: TextsOf) -> None:
    """Convert the shard that `arguments` names; see Job for `columns` and `texts_of`."""
    identity = read_json(args.identity)
    job = Job(
        raw=args.raw,
        file=identity["file"],
        sha256=identity["sha256"],
        name=args.name,
        take=None if args.take < 0 else args.take,
        columns=columns,
        texts_of=texts_of,
        check=args.check,
        max_pixels=args.max_pixels,
        threads=args.threads,
    )
    with process_pool.named_when_out_of_memory(job.raw, Path(sys.argv[0]).stem):
        convert(job, args.on_bad_shard, args.shard, args.rejects, args.summary)


def convert(job: Job, on_bad_shard: str, shard: Path, rejects: Path, summary: Path) -> None:
    """Write the kept rows, the rejects, and a summary: the shard's state, and by what it is known.

    A shard that cannot be read raises BadShard, or, when `on_bad_shard` is `reject`, gives two empty
    files and a summary whose state is `bad`, with the detail.
    """
    try:
        source = parquet.Source(job.raw, job.source_columns)
        keep, drop = _write(job, source, shard, rejects)
        state, kept = {"state": "read"}, keep
        raw = {"path": job.raw.as_posix(), "sha256": job.sha256, "footer_sha256": source.footer_sha256}
    except parquet.BadShard as bad:
        if on_bad_shard != "reject":
            raise
        log.warning("rejected the whole shard: %s", bad)
        keep, drop = parquet.write_rows(shard, [], KEPT), parquet.write_rows(rejects, [], REJECTS)
        state, kept, raw = {"state": "bad", "detail": bad.what}, None, None
    part_summary.write_summary(summary, {job.name: {job.file: state}}, raw, shard=kept, rejects=drop)
    log.info("%s: read %d, kept %d, rejected %d", job.file, keep.rows + drop.rows, keep.rows, drop.rows)


def _write(job: Job, source: parquet.Source, shard: Path, rejects: Path) -> tuple[parquet.Sink, parquet.Sink]:
    """Write what becomes of the rows to both files, in order.

    This process alone reads the shard, so that nothing of it is read or held twice; `threads` others decode
    pictures. A look at their heads takes less than to hand them over, and a thread does it.
    """
    decoders = process_pool.pool(job.threads) if job.check == "decode" else ThreadPoolExecutor(1)
    with (
        parquet.open_sink(shard, KEPT) as keep,
        parquet.open_sink(rejects, REJECTS) as drop,
        decoders as pool,
    ):
        for kept, rejected in _outcomes(job, source.batches(job.take), pool):
            keep.add_rows(kept)
            drop.add_rows(rejected)
    return keep, drop


Outcomes = tuple[list[dict], list[dict]]
"""What becomes of some rows: rows of KEPT, and rows of REJECTS."""


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
    def bytes(self) -> int:
        """How much memory they take, about."""
        return sum(len(picture or b"") for picture in self.pictures) + self.texts.nbytes


def _rows(start: int, batch: pa.RecordBatch) -> Rows:
    image = batch.column("image")
    pictures, names = (pc.struct_field(image, name).to_pylist() for name in ("bytes", "path"))
    return Rows(start, pictures, names, batch.drop_columns("image"))


def _outcomes(job: Job, batches: Iterator[pa.RecordBatch], pool: Executor) -> Iterator[Outcomes]:
    """What becomes of the rows of each batch, in order.

    So many batches are on their way that each process has work, and so few that they are within HELD_BYTES.
    A larger one, which is a row, is looked at here, while nothing else is: to hand it over copies it thrice.
    """
    waiting: deque[tuple[int, Future[Outcomes]]] = deque()
    start = 0
    while (batch := next(batches, None)) is not None:
        rows = _rows(start, batch)
        start += batch.num_rows
        del batch  # nor is it to be held here while it is looked at, or the next is read
        large = rows.bytes > HELD_BYTES
        if not large:
            waiting.append((rows.bytes, pool.submit(outcomes, job, rows)))
        while waiting and (large or _enough(waiting, 2 * job.threads)):
            yield waiting.popleft()[1].result()
        if large:
            yield outcomes(job, rows)
        del rows
    while waiting:
        yield waiting.popleft()[1].result()


def _enough(waiting: deque[tuple[int, Future[Outcomes]]], most: int) -> bool:
    return len(waiting) > most or sum(size for size, _ in waiting) > HELD_BYTES


def outcomes(job: Job, rows: Rows) -> Outcomes:
    """What becomes of some rows: those that are kept, and the others, each with a reason."""
    kept, rejected = [], []
    prefix = file_prefix(job.name, job.file)
    texts = job.texts_of(rows.texts)
    cells = zip(rows.pictures, rows.names, texts, strict=True)
    for row, (picture, name, text) in enumerate(cells, rows.start):
        origin = {"id": f"{prefix}{row}", "row": row}
        if defect := picture_defect(picture, name, job.max_pixels, job.check) or text.defect:
            reason, detail = defect
            rejected.append(origin | {"source_file": job.file, "reason": reason, "detail": detail})
        else:
            kept.append(origin | {"source_id": text.source_id, "messages": text.messages})
    return kept, rejected


def picture_defect(
    data: bytes | None, name: bytes | None, max_pixels: int, how: image_check.Check
) -> Defect | None:
    """Why a picture cannot be kept, or None where it can."""
    try:
        parquet.decode(name)
    except UnicodeDecodeError as error:
        return Reason.TEXT_NOT_UTF8, f"image.path: {error}"
    return image_check.check(data, max_pixels, how)
