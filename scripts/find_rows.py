#!/usr/bin/env python
"""Search all rows of a build, kept and rejected: by artifact, id, text, reason, score, mode. Print them."""

import argparse
import sys
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from prep.records.ids import parse_answer_id
from prep.records.reason import Reason
from prep.report.built_files import find_artifact, list_columns, read_manifests, read_rows
from prep.report.gallery import LABELS, format_value, make_picture
from prep.runtime import program
from prep.runtime.program import UserError
from prep.runtime.sanitize import sanitize
from prep.storage import parquet

SHOWN = 4000
"""The most characters of a text that are printed."""


@dataclass(frozen=True)
class Query:
    """What a row must have; None: anything. `text` stands in its id or its texts, whatever their case."""

    id: str | None = None
    text: str | None = None
    reason: str | None = None
    score: int | None = None
    mode: str | None = None

    def matches(self, row: dict) -> bool:
        """Whether a row of an artifact, or of its rejects, is meant."""
        texts = [message["content"] for message in row.get("messages") or ()]
        said = (row["id"], row.get("detail") or "", *texts)
        wanted = self.text and self.text.casefold()
        return (
            self.id in (None, row["id"])
            and (not wanted or any(wanted in each.casefold() for each in said))
            and all(
                value is None or row.get(key) == value
                for key, value in (("reason", self.reason), ("score", self.score), ("mode", self.mode))
            )
        )


def choose_manifests(data: Path, name: str | None) -> list[dict]:
    """The manifest of the artifact that is named, also by the last part of its name; or all."""
    found = read_manifests(data)
    chosen = [m for own, m in found.items() if name in (None, own, PurePosixPath(own).name)]
    if not chosen:
        raise UserError(f"{data}: no artifact {name}; there are: {', '.join(found)}")
    return chosen


def find_kept(data: Path, manifest: dict, query: Query) -> Iterator[int]:
    """The positions of the kept rows that are meant, in the artifact's order; no picture is read."""
    position = 0
    for file in parquet.list_files(find_artifact(data, manifest)):
        names = [name for name in list_columns(file) if name != "images"]
        if query.reason or any(
            getattr(query, key) is not None and key not in names for key in ("score", "mode")
        ):
            return
        for row in read_rows(file, names):
            if query.matches(row):
                yield position
            position += 1


def find_rejected(data: Path, manifest: dict, query: Query) -> Iterator[dict]:
    """The rejected rows that are meant, in the order of the rejects; an answer's mode is in its id."""
    path = data / "rejects" / f"{manifest['name']}.parquet"
    if query.score is None and sum(manifest["rejected"].values()):
        for row in read_rows(path):
            mode = parse_answer_id(row["id"]).mode if "#" in row["id"] else None
            if query.matches(row | {"mode": mode}):
                yield row


def format_row(row: dict) -> str:
    """A row as lines of text: what it is, its pictures, its turns."""
    if "reason" in row:
        head = f"{row['id']}: rejected as {row['reason']}, row {row['row']} of {row['source_file']}"
        return f"{head}\n{_indent(row['detail'] or 'no detail')}"
    labels = ", ".join(f"{key} {format_value(row[key])}" for key in LABELS if row.get(key) is not None)
    lines = [f"{row['id']}: kept{f', {labels}' if labels else ''}"]
    lines += [f"  picture: {make_picture(image['bytes']).note}" for image in row["images"]]
    lines += [f"  {message['role']}:\n{_indent(message['content'])}" for message in row["messages"]]
    return "\n".join(lines)


def _indent(text: str) -> str:
    cut = f"{text[:SHOWN]}… {len(text) - SHOWN:,} more characters" if len(text) > SHOWN else text
    return textwrap.indent(cut, "    ")


def find_rows(data: Path, manifests: Iterable[dict], query: Query, most: int) -> Iterator[dict]:
    """The rows that are meant, artifact by artifact: `most` of the kept ones, then the rejected ones."""
    for manifest in manifests:
        kept = [*islice(find_kept(data, manifest, query), most)]
        yield from parquet.read_rows_at(find_artifact(data, manifest), kept)
        yield from find_rejected(data, manifest, query)


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder data/ of a build")
    # Each of these may be left out: then any row will do.
    parser.add_argument("--name", help="the artifact")
    parser.add_argument("--id", help="the row's whole id")
    parser.add_argument("--text", help="what stands in the id, a turn or a detail")
    parser.add_argument("--reason", choices=[reason.value for reason in Reason])
    parser.add_argument("--score", type=int, choices=range(1, 6))
    parser.add_argument("--mode", choices=("thinking", "no_thinking"))
    parser.add_argument("--rows", type=int, required=True, help="the most rows that are printed")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.rows < 1:
        raise UserError(f"N={args.rows}: at least one row is to be shown")
    query = Query(args.id, args.text, args.reason, args.score, args.mode)
    most = min(args.rows, sys.maxsize)
    found = find_rows(args.data, choose_manifests(args.data, args.name), query, most)
    count = 0
    for row in islice(found, most):
        print(f"{sanitize(format_row(row))}\n")
        count += 1
    more = "; there may be more: N=… shows them" if count == args.rows else ", and no more"
    print(f"{count:,} {'row' if count == 1 else 'rows'}{more}")


if __name__ == "__main__":
    program.run(main)
