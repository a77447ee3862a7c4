"""One raw shard in, one shard of training rows and one of rejects out; pictures pass through untouched."""

import argparse
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc

from prep import files, pictures, program, shards
from prep.ahead import in_order
from prep.reason import Defect, Reason
from prep.schema import IMAGE, REJECTS, TRAINING

log = logging.getLogger(__name__)

PICTURE = pa.field("image", pa.struct([("bytes", pa.binary()), ("path", shards.TEXT)]))
"""The column of pictures, which every source that is converted has."""


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
    from the first (None: all). `columns` are the source's own beside the picture (see shards.Source);
    `texts_of` turns a batch of them into one Text a row. `threads` read pictures, while one more streams.
    """

    raw: Path
    file: str
    name: str
    take: int | None
    columns: Sequence[str | pa.Field]
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


def run(args: argparse.Namespace, columns: Sequence[str | pa.Field], texts_of: TextsOf) -> None:
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
    """Write the training rows, the rejects, and a summary: the shard's state, and both files' sha256.

    A shard that cannot be read raises BadShard, or, when `on_bad_shard` is `reject`, gives two empty
    files and a summary whose state is `bad`, with the detail.
    """
    try:
        keep, drop = _write(job, shard, rejects)
        state = {"state": "read"}
    except shards.BadShard as bad:
        if on_bad_shard != "reject":
            raise
        log.warning("rejected the whole shard: %s", bad)
        keep, drop = shards.write(shard, [], TRAINING), shards.write(rejects, [], REJECTS)
        state = {"state": "bad", "detail": bad.what}
    write_summary(summary, {job.name: {job.file: state}}, shard=keep, rejects=drop)
    log.info("%s: read %d, kept %d, rejected %d", job.file, keep.rows + drop.rows, keep.rows, drop.rows)


def write_summary(summary: Path, sources: dict[str, dict], **parts: shards.Sink | Path | None) -> None:
    """Write what a part of an artifact is made of, and the sha256 by which a changed part is noticed.

    `sources` gives the state of each file read, by source and path. `parts` are the part's own: `shard`
    (None for a part without training rows), `rejects`, and whatever else follows from it.
    """
    sums = {
        kind: files.sha256(part) if isinstance(part, Path) else part and part.sha256
        for kind, part in parts.items()
    }
    files.write_json(summary, {"sources": sources, "sha256": sums})


def _write(job: Job, shard: Path, rejects: Path) -> tuple[shards.Sink, shards.Sink]:
    """Stream the rows to both files.

    Pictures are read in threads: their decoders let go of the interpreter, so that two threads are as fast
    as two processes, and share one memory.
    """
    source = shards.Source(job.raw, [PICTURE, *job.columns], job.take)
    check = partial(picture_defects, max_pixels=job.max_pixels, how=job.check)
    start = 0
    with (
        shards.sink(shard, TRAINING) as keep,
        shards.sink(rejects, REJECTS) as drop,
        ThreadPoolExecutor(job.threads) as pool,
    ):
        for batch, defects in in_order(pool, check, source.batches(), ahead=2 * job.threads):
            texts = job.texts_of(batch)
            defects = [defect or text.defect for defect, text in zip(defects, texts, strict=True)]
            ids = [job.id(start + i) for i in range(batch.num_rows)]
            kept = [i for i, defect in enumerate(defects) if defect is None]
            keep.add(_training(batch.column("image"), ids, texts, kept))
            rejected = [
                {"id": ids[i], "source_file": job.file, "row": start + i, "reason": why[0], "detail": why[1]}
                for i, why in enumerate(defects)
                if why
            ]
            drop.add(pa.Table.from_pylist(rejected, REJECTS))
            start += batch.num_rows
    return keep, drop


def picture_defects(batch: pa.RecordBatch, max_pixels: int, how: pictures.Check) -> list[Defect | None]:
    """Why each row's picture cannot be kept, or None where it can."""
    image = batch.column("image")
    names = shards.texts(pc.struct_field(image, "path"))
    return [
        (Reason.TEXT_NOT_UTF8, f"image.path: {name}")
        if isinstance(name, UnicodeDecodeError)
        else pictures.check(data, max_pixels, how)
        for data, name in zip(pc.struct_field(image, "bytes").to_pylist(), names, strict=True)
    ]


def _training(image: pa.StructArray, ids: list[str], texts: list[Text], kept: list[int]) -> pa.RecordBatch:
    """The kept rows of a batch; the pictures are carried over by Arrow."""
    if len(kept) < len(image):
        image = image.take(pa.array(kept, pa.int32()))
    columns = {
        "id": [ids[i] for i in kept],
        "source_id": [texts[i].source_id for i in kept],
        "messages": [texts[i].messages for i in kept],
    }
    arrays = [pa.array(cells, TRAINING.field(name).type) for name, cells in columns.items()]
    images = pa.ListArray.from_arrays(pa.array(range(len(kept) + 1), pa.int32()), image.cast(IMAGE))
    return pa.RecordBatch.from_arrays([*arrays, images], schema=TRAINING)
