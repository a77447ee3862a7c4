#!/usr/bin/env python
"""Put the parts of an artifact, in order, into its one file, and their rejects into another."""

import argparse
import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from prep import program, shards
from prep.files import read_json, write_json
from prep.program import Failure
from prep.schema import REASONED, REJECTS, TRAINING

log = logging.getLogger(__name__)

SCHEMAS = {"converted": TRAINING, "reasoned": REASONED}


def append(sink: shards.Sink, paths: Iterable[Path], schema: pa.Schema) -> Counter:
    """Append files as they stream by; how often each `reason` occurs, where there is such a column.

    Raises Failure when a file is not whole, or its columns are not the schema's: it was made by other code.
    """
    reasons = Counter()
    for path in paths:
        try:
            part = shards.Source(path, list(schema))
            if not part.found.equals(schema):
                raise shards.BadShard(path, "its columns are not those of today's code")
            for batch in part.batches():
                if "reason" in schema.names:
                    reasons.update(batch.column("reason").to_pylist())
                sink.add(batch.replace_schema_metadata(sink.schema.metadata))
        except shards.BadShard as bad:
            raise Failure(f"{bad}; delete it and run again") from bad
    return reasons


def merged(sources: Iterable[dict]) -> dict:
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
    parser.add_argument("--notice", nargs="?", const="", required=True, help="what the file must say")
    parser.add_argument("--artifact", type=Path, required=True, help="out: training rows")
    parser.add_argument("--rejects", type=Path, required=True, help="out: rejected rows")
    parser.add_argument("--summary", type=Path, required=True, help="out: counts, checksum, states")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    parts = {path: read_json(path) for path in args.parts}
    rows = [path.with_suffix(".parquet") for path, part in parts.items() if part["sha256"]["shard"]]
    rejected = [path.with_suffix(".rejects.parquet") for path in parts]
    schema = SCHEMAS[args.kind]
    notice = {"notice": args.notice} if args.notice else {}
    marked = schema.with_metadata((schema.metadata or {}) | notice)
    with (
        shards.sink(args.artifact, marked) as keep,
        shards.sink(args.rejects, REJECTS.with_metadata(notice or None)) as drop,
    ):
        append(keep, rows, schema)
        reasons = append(drop, rejected, REJECTS)
    write_json(
        args.summary,
        {
            "file": args.artifact.as_posix(),
            "rows": keep.rows,
            "bytes": args.artifact.stat().st_size,
            "sha256": keep.sha256,
            "read": keep.rows + drop.rows,
            "kept": keep.rows,
            "rejected": dict(sorted(reasons.items())),
            "files": merged(part["sources"] for part in parts.values()),
            "notice": args.notice or None,
        },
    )
    log.info("%s: read %d, kept %d", args.artifact, keep.rows + drop.rows, keep.rows)


if __name__ == "__main__":
    program.run(main)
