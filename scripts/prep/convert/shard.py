"""Conversion of one raw shard: the texts of the rows that are kept, and the rejected rows with reasons.

Pictures are checked here and not copied: they stay in the raw shard until the artifact is assembled.
"""

import argparse
import json
import logging
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from prep.containers.picture_files import open_picture_files
from prep.containers.rows import Batch, Picture, open_rows
from prep.convert import image_check
from prep.records.ids import row_id
from prep.records.reason import Reason, Rejection
from prep.records.seeding import hash_names
from prep.runtime import process_pool, program
from prep.storage import parquet
from prep.storage.atomic import read_json
from prep.storage.schema import KEPT
from prep.storage.summary import SplitRows, write_part, write_summary

log = logging.getLogger(__name__)

HELD_BYTES = 64 * 1024 * 1024
"""Rows on their way to other processes take about this much memory at most."""


Messages = list[dict[str, str]]
"""The turns of a training row, each with `content` and `role`."""


class Row(NamedTuple):
    """What a form is told of a row besides its cells.

    `pictures` is how many it has where the source's column is of lists; None where it is of single pictures.
    """

    id: str
    pictures: int | None


class Form(NamedTuple):
    """How the rows of a source are laid down: see Conversion for `columns` and `build_messages`."""

    columns: Sequence[str | pa.Field]
    build_messages: Callable[..., Messages | Rejection]


@dataclass(frozen=True)
class Conversion:
    """The parameters of one shard's conversion.

    `name` is the artifact's, `file` and `sha256` are the shard's at its source. `take` is how many rows are
    read, from the first (None: all). `image` is the column of pictures, or of their names where `pictures`
    tells of the files that hold them: `files`, with their sha256, and the `folder` in which names begin.
    `source_id` is the column of the source's own ids (None: it has none). `columns` are those of the source's
    form (see prep.containers.rows); `build_messages` turns a Row and its cells of them into messages, or says
    why it has none. `threads` is the number of processes that decode.
    """

    raw: Path
    file: str
    sha256: str
    name: str
    take: int | None
    image: str
    source_id: str | None
    columns: Sequence[str | pa.Field]
    build_messages: Callable[..., Messages | Rejection]
    check: image_check.Check
    max_pixels: int
    threads: int
    pictures: dict[str, Any] | None = None


def build_parser(doc: str) -> program.Parser:
    """The flags that all converting programs share; `columns` names the source's columns by their role."""
    parser = program.parser(doc)
    parser.add_argument("--raw", type=Path, required=True, help="the raw shard")
    parser.add_argument("--raw-summary", type=Path, required=True, help="its summary")
    parser.add_argument("--pictures", type=Path, nargs="*", default=[], help="files that its rows name")
    parser.add_argument("--picture-summaries", type=Path, nargs="*", default=[], help="their summaries")
    parser.add_argument("--name", required=True, help="the artifact's name, which heads every id")
    add_settings(parser)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--shard", type=Path, required=True, help="out: kept rows, without their pictures")
    parser.add_argument("--rejects", type=Path, required=True, help="out: rejected rows")
    parser.add_argument("--summary", type=Path, required=True, help="out: counts and checksums")
    return parser


def add_settings(parser: program.Parser) -> None:
    """The flags that a source's entry decides, whatever its form."""
    parser.add_argument("--picture-folder", default="", help="where in files of pictures the names begin")
    parser.add_argument("--take", type=int, help="read the first so many rows; left out: all")
    parser.add_argument("--check", choices=("decode", "header"), required=True)
    parser.add_argument("--max-pixels", type=int, required=True)
    parser.add_argument("--on-bad-shard", choices=("fail", "reject"), required=True)
    parser.add_argument("--columns", type=json.loads, required=True, help="JSON: column by role")


def add_prompts(parser: program.Parser) -> None:
    """The flags of a program whose user turns are prompts of the config."""
    parser.add_argument("--prompts", nargs="+", required=True, help="user turns, of which each row has one")
    parser.add_argument("--prompt-seed", type=int, help="seed of the choice; left out where there is one")


def choose_prompt(row: Row, prompts: Sequence[str], seed: int | None) -> str:
    """The prompt that a hash of seed and id chooses for a row."""
    return prompts[0] if seed is None else prompts[hash_names(seed, "prompt", row.id) % len(prompts)]


def run(doc: str | None, form: Any) -> None:
    """Convert the shard that the arguments name; a form has `add_arguments` and `build_form`."""
    parser = build_parser(doc)
    form.add_arguments(parser)
    args = parser.parse_args()
    raw = read_json(args.raw_summary)["files"]["raw"]
    job = Conversion(
        raw=args.raw,
        file=raw["path"],
        sha256=raw["sha256"],
        name=args.name,
        take=args.take,
        threads=args.threads,
        pictures=describe_pictures(args),
        **describe_form(args, form),
    )
    with process_pool.explain_out_of_memory(job.raw, Path(sys.argv[0]).stem):
        convert(job, args.on_bad_shard, args.shard, args.rejects, args.summary)


def describe_form(args: argparse.Namespace, form: Any) -> dict[str, Any]:
    """What of a Conversion the settings of a source decide."""
    columns, build_messages = form.build_form(args)
    return {
        "image": args.columns["image"],
        "source_id": args.columns.get("id"),
        "columns": columns,
        "build_messages": build_messages,
        "check": args.check,
        "max_pixels": args.max_pixels,
    }


def describe_pictures(args: argparse.Namespace) -> dict[str, Any] | None:
    """The files that hold the shard's pictures, as a summary tells of them; None where it has its own."""
    found = [read_json(path)["files"]["raw"]["sha256"] for path in args.picture_summaries]
    files = {path.as_posix(): sha256 for path, sha256 in zip(args.pictures, found, strict=True)}
    return {"files": files, "folder": args.picture_folder} if files else None


def convert(job: Conversion, on_bad_shard: str, shard: Path, rejects: Path, summary: Path) -> None:
    """Write the kept rows, the rejects, and the part summary (see prep.storage.summary).

    A shard that cannot be read raises BadShard, or, when `on_bad_shard` is `reject`, gives two empty
    files and a summary whose state is `bad`, with the detail.
    """
    try:
        columns = [*filter(None, [job.source_id]), *job.columns]
        source = open_rows(job.raw, job.image, columns, open_picture_files(job.pictures))
        with open_decoders(job) as pool:
            batches = convert_batches(job, source.batches(job.take), pool)
            keep, drop = write_part(shard, KEPT, rejects, batches)
        state, kept = {"state": "read"}, keep
        raw = {"path": job.raw.as_posix(), "sha256": job.sha256, "footer_sha256": source.footer_sha256}
        raw["image"] = job.image
        raw |= {"pictures": job.pictures} if job.pictures else {}
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

    `pictures` are those of each row, each as (`bytes`, `path`); `several` tells whether they are a list at
    the source. `texts` are the other columns. `faults` says why a row cannot be read (see Batch).
    """

    start: int
    pictures: list[list[Picture]]
    several: Sequence[bool]
    texts: pa.RecordBatch
    faults: Mapping[int, Rejection]

    @property
    def nbytes(self) -> int:
        """How much memory they take, about."""
        pictures = sum(len(data or b"") for own in self.pictures for data, _ in own)
        return pictures + self.texts.nbytes


def take_cells(start: int, batch: Batch) -> Rows:
    """The cells of a batch as they are handed to another process."""
    lists = batch.cells.column(0)
    flat = lists.flatten()
    pictures = zip(*(pc.struct_field(flat, name).to_pylist() for name in ("bytes", "path")), strict=True)
    counts = pc.list_value_length(lists).to_pylist()
    own = [list(islice(pictures, count)) for count in counts]
    texts = batch.cells.select(range(1, batch.cells.num_columns))
    return Rows(start, own, batch.several, texts, batch.faults)


def convert_batches(job: Conversion, batches: Iterator[Batch], pool: Executor) -> Iterator[SplitRows]:
    """Convert each batch, in order.

    Enough batches wait in the pool to keep each process busy, and their rows stay within HELD_BYTES. A larger
    batch, which is one row, is converted here, alone: to hand it to another process copies it three times.
    """
    waiting: deque[tuple[int, Future[SplitRows]]] = deque()
    start = 0
    while (batch := next(batches, None)) is not None:
        rows = take_cells(start, batch)
        start += batch.cells.num_rows
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
    for at, (pictures, several, *cells) in enumerate(zip(rows.pictures, rows.several, *own, strict=True)):
        row = rows.start + at
        origin = {"id": row_id(job.name, job.file, row), "row": row}
        rejection = rows.faults.get(at) or find_pictures_rejection(pictures, job.max_pixels, job.check)
        about = Row(origin["id"], len(pictures) if several else None)
        source_id, text = read_texts(job, about, cells) if rejection is None else (None, rejection)
        if isinstance(text, list):
            kept.append(origin | {"source_id": source_id, "messages": text})
        else:
            reason, detail = text
            rejected.append(origin | {"source_file": job.file, "reason": reason, "detail": detail})
    return kept, rejected


def read_texts(job: Conversion, row: Row, cells: list) -> tuple[str | None, Messages | Rejection]:
    """A row's source id, and its messages or the first rule that its texts break."""
    try:
        source_id = parquet.decode(cells.pop(0)) if job.source_id else None
        return source_id, job.build_messages(row, *cells)
    except UnicodeDecodeError as error:
        return None, (Reason.TEXT_NOT_UTF8, str(error))


def find_pictures_rejection(
    pictures: list[Picture], max_pixels: int, how: image_check.Check
) -> Rejection | None:
    """Why a row's pictures cannot be kept: that of the first that cannot; None where all can."""
    if not pictures:
        return Reason.IMAGE_MISSING, "no picture in the list"
    for number, (data, name) in enumerate(pictures, 1):
        if rejection := find_picture_rejection(data, name, max_pixels, how):
            reason, detail = rejection
            return reason, f"picture {number}: {detail}" if len(pictures) > 1 else detail
    return None


def find_picture_rejection(
    data: bytes | None, name: bytes | None, max_pixels: int, how: image_check.Check
) -> Rejection | None:
    """Why a picture cannot be kept, or None where it can."""
    try:
        parquet.decode(name)
    except UnicodeDecodeError as error:
        return Reason.TEXT_NOT_UTF8, f"image.path: {error}"
    return image_check.find_rejection(data, max_pixels, how)
