#!/usr/bin/env python
"""Concatenate the parts of an artifact, in order, with their pictures; and their rejects."""

import argparse
import logging
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from prep.containers.picture_files import open_picture_files
from prep.containers.rows import open_rows
from prep.runtime import process_pool, program
from prep.runtime.program import UserError
from prep.storage import parquet
from prep.storage.atomic import read_json
from prep.storage.schema import KEPT, REASONED, REASONED_BY, REJECTS, TRAINING
from prep.storage.shards import RowWriter, open_artifact
from prep.storage.summary import write_summary

log = logging.getLogger(__name__)

SCHEMAS = {"converted": TRAINING, "reasoned": REASONED, "reasoned_by": REASONED_BY}


def read_part(path: Path, part: dict, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The training rows of a part; none where it has no file of them.

    `path` holds the rows. Where their pictures are still in the raw shard, that must be the one that was
    converted, else UserError.
    """
    if part["raw"]:
        given = part["raw"]
        pictures = open_picture_files(given.get("pictures"))
        raw = open_rows(Path(given["path"]), given["image"], [], pictures)
        if raw.footer_sha256 != given["footer_sha256"]:
            what = "it, or a picture of its rows, was" if pictures else "was"
            line = f"{what} replaced after it was converted; delete {path} and run again"
            raise UserError(f"{given['path']}: {line}")
        batches = (batch.cells for batch in raw.batches(find_last_row(path) + 1))
        yield from join_pictures(read_stored(path, KEPT), batches)
    elif part["files"]["shard"]:
        yield from read_stored(path, schema)


def find_last_row(path: Path) -> int:
    """The number of the last row that is kept; -1 where none is."""
    last = -1
    for batch in parquet.Reader(path, [KEPT.field("row")]).batches():
        last = batch.column("row")[-1].as_py()
    return last


def read_stored(path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rows of a file of ours, in batches; raises BadShard where it is not whole, or has other columns."""
    file = parquet.Reader(path, list(schema))
    if not file.file_schema.equals(schema):
        raise parquet.BadShard(path, "its columns are not those of today's code")
    yield from file.batches()


def join_pictures(kept: Iterator[pa.RecordBatch], raw: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Merge join of KEPT rows with the pictures of the raw shard, by row number; Arrow copies the pictures.

    Both are streams, and `raw` is read only to the last row that is kept. Raises UserError when `raw` ends
    before that: no row is left out silently.
    """
    ahead, start = pa.Table.from_batches([], KEPT), 0
    for batch in raw:
        stop = start + batch.num_rows
        while not ahead.num_rows or ahead.column("row")[-1].as_py() < stop:
            if (more := next(kept, None)) is None:
                break
            ahead = pa.concat_tables([ahead, pa.Table.from_batches([more])])
        if not ahead.num_rows:
            return
        rows = ahead.slice(0, bisect_left(ahead.column("row").to_pylist(), stop)).combine_chunks()
        ahead = ahead.slice(rows.num_rows)
        yield from _add_pictures(rows, batch.column(0), start).to_batches()
        start = stop
    if ahead.num_rows or next(kept, None) is not None:
        raise UserError(f"a raw shard ends after {start} rows, and more were converted; convert it again")


def _add_pictures(rows: pa.Table, images: pa.ListArray, start: int) -> pa.Table:
    if rows.num_rows < len(images):
        images = images.take(pc.subtract(rows.column("row"), start).combine_chunks())
    if pc.any(pc.equal(pc.list_value_length(images), 0)).as_py():
        raise UserError("a raw shard has rows without pictures, and they were converted with some; run again")
    images = images.cast(TRAINING.field("images").type)
    return rows.drop_columns("row").append_column("images", images).cast(TRAINING)


def append_batches(writer: RowWriter, batches: Iterable[pa.RecordBatch]) -> Counter:
    """Append rows as they stream by; how often each `reason` occurs, where there is such a column.

    Raises UserError when a file that they are read from is not whole, or was made by other code.
    """
    reasons = Counter()
    try:
        for batch in batches:
            if "reason" in batch.schema.names:
                reasons.update(batch.column("reason").to_pylist())
            writer.add(batch.replace_schema_metadata(writer.schema.metadata))
    except parquet.BadShard as bad:
        raise UserError(f"{bad}; delete it and run again") from bad
    return reasons


def check_may_be_empty(artifact: Path, lost: Counter, allowed: Path) -> None:
    """Raise UserError for an artifact that lost every answer, unless `allowed` names it."""
    if artifact.stem not in read_json(allowed):
        counts = ", ".join(f"{reason} {count}" for reason, count in lost.most_common())
        raise UserError(
            f"{artifact} would be empty, since every answer was rejected: {counts}. What was answered stays"
            " in the journal. See docs/teachers.md; `allow_empty: true` of its task accepts an empty artifact"
        )


def merge_sources(sources: Iterable[dict]) -> dict:
    """The states of all parts' files, by source and path, in order."""
    states: dict[str, dict] = {}
    for part in sources:
        for source, files in part.items():
            states.setdefault(source, {}).update(files)
    return states


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument(
        "--parts", type=Path, nargs="*", required=True, help="summaries; each part's files stand beside it"
    )
    parser.add_argument("--kind", choices=SCHEMAS, required=True)
    parser.add_argument(
        "--may-be-empty", type=Path, required=True, help="JSON: artifacts that may have no row"
    )
    parser.add_argument("--notice", nargs="?", const="", required=True, help="what the file must say")
    parser.add_argument(
        "--shard-bytes", type=int, required=True, help="most bytes of a file; 0: one file of any size"
    )
    parser.add_argument(
        "--artifact", type=Path, required=True, help="out: training rows, a folder if there are shards"
    )
    parser.add_argument("--rejects", type=Path, required=True, help="out: rejected rows")
    parser.add_argument("--summary", type=Path, required=True, help="out: counts, checksum, states")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    parts = {path: read_json(path) for path in args.parts}
    schema = SCHEMAS[args.kind]
    notice = {"notice": args.notice} if args.notice else {}
    marked = schema.with_metadata((schema.metadata or {}) | notice)
    with (
        open_artifact(args.artifact, marked, args.shard_bytes) as (keep, artifact),
        parquet.open_writer(args.rejects, REJECTS.with_metadata(notice or None)) as drop,
    ):
        reasons, lost = Counter(), Counter()
        for path, part in parts.items():
            with process_pool.explain_out_of_memory(
                (part["raw"] or {"path": path})["path"], "assemble_artifact"
            ):
                append_batches(keep, read_part(path.with_suffix(".parquet"), part, schema))
            rejected = append_batches(drop, read_stored(path.with_suffix(".rejects.parquet"), REJECTS))
            reasons += rejected
            if part["files"]["shard"]:  # else questions that nobody was asked
                lost += rejected
        if lost and args.kind != "converted" and not keep.rows:
            check_may_be_empty(args.artifact, lost, args.may_be_empty)
    write_summary(
        args.summary,
        {"artifact": artifact, "rejects": drop},
        sources=merge_sources(part["sources"] for part in parts.values()),
        read=keep.rows + drop.rows,
        kept=keep.rows,
        rejected=dict(sorted(reasons.items())),
        notice=args.notice or None,
        funnel=[line for part in parts.values() for line in part.get("funnel", ())],
    )
    log.info("%s: read %d, kept %d", args.artifact, keep.rows + drop.rows, keep.rows)


if __name__ == "__main__":
    program.run(main)
