"""One raw shard in, one shard of training rows and one of rejects out; pictures pass through untouched."""

import argparse
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice, repeat
from multiprocessing import get_context
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc

from prep import pictures, program, shards
from prep.files import sha256, write_json
from prep.reason import Defect
from prep.schema import IMAGE, REJECTS, TRAINING

log = logging.getLogger(__name__)

WORTH_PROCESSES = 32 * 1024 * 1024
"""Below this many bytes a shard is read faster than processes start."""


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

    `name` is the artifact's, `file` the shard's path in its repository. `take` is how many rows are read,
    from the first (None: all). `columns` are the source's text columns; `texts_of` turns a batch of them
    into one Text a row. `threads` processes read pictures when `check` is `decode`.
    """

    raw: Path
    file: str
    name: str
    take: int | None
    columns: tuple[str, ...]
    texts_of: TextsOf
    check: pictures.Check
    max_pixels: int
    threads: int

    def id(self, row: int) -> str:
        """The id of a row, counted from 0 in the source file."""
        return f"{self.name}/{PurePosixPath(self.file).stem}:{row}"


def arguments(doc: str, own: tuple[str, tuple[str, ...]]) -> argparse.Namespace:
    """The flags of a converting program: those that all share, and one of its own, as (flag, choices)."""
    parser = program.parser(doc)
    parser.add_argument("--raw", type=Path, required=True, help="the raw shard")
    parser.add_argument("--file", required=True, help="its path in the source's repository")
    parser.add_argument("--name", required=True, help="the artifact's name, which heads every id")
    parser.add_argument("--take", type=int, required=True, help="read so many rows from the first; -1: all")
    parser.add_argument("--check", choices=("decode", "header"), required=True)
    parser.add_argument("--max-pixels", type=int, required=True)
    parser.add_argument("--on-bad-shard", choices=("fail", "reject"), required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument(own[0], choices=own[1], required=True)
    parser.add_argument("--shard", type=Path, required=True, help="out: training rows")
    parser.add_argument("--rejects", type=Path, required=True, help="out: rejected rows")
    parser.add_argument("--summary", type=Path, required=True, help="out: counts and checksums")
    return parser.parse_args()


def run(args: argparse.Namespace, columns: tuple[str, ...], texts_of: TextsOf) -> None:
    """Convert the shard that `arguments` names; see Job for `columns` and `texts_of`."""
    job = Job(
        raw=args.raw,
        file=args.file,
        name=args.name,
        take=None if args.take < 0 else args.take,
        columns=columns,
        texts_of=texts_of,
        check=args.check,
        max_pixels=args.max_pixels,
        threads=args.threads,
    )
    convert(job, args.on_bad_shard, args.shard, args.rejects, args.summary)


def convert(job: Job, on_bad_shard: str, shard: Path, rejects: Path, summary: Path) -> None:
    """Write the training rows, the rejects, and a summary: state, rows read, kept, both files' sha256.

    A shard that cannot be read raises BadShard, or, when `on_bad_shard` is `reject`, gives two empty
    files and a summary whose state is `bad`, with the detail.
    """
    try:
        read, kept = _write(job, shard, rejects)
        state = {"state": "read"}
    except shards.BadShard as bad:
        if on_bad_shard != "reject":
            raise
        log.warning("rejected the whole shard: %s", bad)
        read = kept = 0
        shards.write(shard, [], TRAINING)
        shards.write(rejects, [], REJECTS)
        state = {"state": "bad", "detail": str(bad).removeprefix(f"{job.raw}: ")}
    write_summary(summary, {job.name: {job.file: state}}, shard=shard, rejects=rejects)
    log.info("%s: read %d, kept %d, rejected %d", job.file, read, kept, read - kept)


def write_summary(summary: Path, sources: dict[str, dict], **files: Path | None) -> None:
    """Write what a part of an artifact is made of, and the sha256 by which a changed part is noticed.

    `sources` gives the state of each file read, by source and path. `files` are the part's own: `shard`
    (None for a part without training rows), `rejects`, and whatever else follows from it.
    """
    sums = {kind: file and sha256(file) for kind, file in files.items()}
    write_json(summary, {"sources": sources, "sha256": sums})


def _write(job: Job, shard: Path, rejects: Path) -> tuple[int, int]:
    """Stream the rows to both files; how many were read, and how many kept."""
    read = 0
    with shards.sink(shard, TRAINING) as keep, shards.sink(rejects, REJECTS) as drop:
        for batch, defects in _checked(job):
            texts = job.texts_of(batch)
            defects = [defect or text.defect for defect, text in zip(defects, texts, strict=True)]
            kept = [i for i, defect in enumerate(defects) if defect is None]
            keep.add(_training(batch, job, read, texts, kept))
            drop.add(pa.Table.from_pylist(_rejected(job, read, defects), REJECTS))
            read += batch.num_rows
        return read, keep.rows


def _checked(job: Job) -> Iterator[tuple[pa.RecordBatch, list[Defect | None]]]:
    """Each batch of the rows to be read, with a picture's defect, or None, for each of its rows."""
    source = shards.Source(job.raw, ("image", *job.columns), job.take)
    if job.check == "header" or job.threads == 1 or job.raw.stat().st_size < WORTH_PROCESSES:
        for batch in source.batches():
            yield batch, _defects(batch, job.max_pixels, job.check)
        return
    with ProcessPoolExecutor(job.threads, get_context("spawn")) as pool:
        groups = pool.map(_group_defects, repeat(job), range(source.groups))
        found = chain.from_iterable(groups)
        for batch in source.batches():
            yield batch, list(islice(found, batch.num_rows))


def _group_defects(job: Job, group: int) -> list[Defect | None]:
    """The defects of one row group's pictures, which the process reads for itself."""
    source = shards.Source(job.raw, ("image",), job.take)
    return [
        defect
        for batch in source.group_batches(group)
        for defect in _defects(batch, job.max_pixels, job.check)
    ]


def _defects(batch: pa.RecordBatch, max_pixels: int, how: pictures.Check) -> list[Defect | None]:
    cells = _field(batch.column("image"), "bytes", pa.binary())
    return [pictures.check(cell.as_py(), max_pixels, how) for cell in cells]


def _training(
    batch: pa.RecordBatch, job: Job, start: int, texts: list[Text], kept: list[int]
) -> pa.RecordBatch:
    """The kept rows of a batch; the pictures are carried over by Arrow."""
    image = batch.column("image").take(pa.array(kept, pa.int32()))
    image = pa.StructArray.from_arrays(
        [_field(image, field.name, field.type) for field in IMAGE], fields=list(IMAGE)
    )
    columns = {
        "id": [job.id(start + i) for i in kept],
        "source_id": [texts[i].source_id for i in kept],
        "messages": [texts[i].messages for i in kept],
        "images": pa.ListArray.from_arrays(pa.array(range(len(kept) + 1), pa.int32()), image),
    }
    arrays = [
        value if isinstance(value, pa.Array) else pa.array(value, TRAINING.field(name).type)
        for name, value in columns.items()
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=TRAINING)


def _rejected(job: Job, start: int, defects: list[Defect | None]) -> list[dict]:
    return [
        {
            "id": job.id(start + i),
            "source_file": job.file,
            "row": start + i,
            "reason": defect[0],
            "detail": defect[1],
        }
        for i, defect in enumerate(defects)
        if defect
    ]


def _field(image: pa.Array, name: str, kind: pa.DataType) -> pa.Array:
    """A field of the picture struct, null where the struct is null; all null when there is no such field."""
    if not pa.types.is_struct(image.type):
        raise shards.BadShard(f"image is of type {image.type}, not a struct of bytes and path")
    if image.type.get_field_index(name) < 0:
        return pa.nulls(len(image), kind)
    return pc.struct_field(image, name).cast(kind)
