#!/usr/bin/env python
"""Preview of sources: what their first rows become, by the code that converts shards, and what is rejected.

Files are read in place, in the mirror or by range requests at the hub: no file is fetched whole.
"""

import argparse
import io
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from prep.containers.picture_files import PictureFiles
from prep.containers.rows import Picture, open_rows
from prep.convert import caption, llava, messages, ocr, qa, questions, shard
from prep.hub.dataset import Dataset, open_dataset
from prep.hub.listing import HubFile
from prep.hub.loose_files import LooseFiles
from prep.hub.numbered_files import shorten_names
from prep.hub.source_files import find_files
from prep.records.image_format import FORMATS
from prep.report.formatting import MEANINGS
from prep.runtime import program
from prep.runtime.ordered_map import ordered_map
from prep.runtime.program import UserError
from prep.runtime.sanitize import sanitize
from prep.storage.atomic import read_json
from prep.storage.parquet import BadShard, SourceFile

FORMS = {"llava": llava, "messages": messages, "caption": caption, "qa": qa, "ocr": ocr}
MOST_BYTES = 256_000_000
"""The most that is fetched of one file."""
MOST_ROWS = 1_000_000
"""Of a source, at the most, however many are asked for."""
SIDE_BY_SIDE = 4
"""Sources that are read at once."""
WHOLE, IN_LINES = 3, 1000
"""Records of a source that are shown whole, and others that are shown in a line each."""
WHOLE_OF_SEVERAL, IN_LINES_OF_SEVERAL = 1, 3
"""The same where several sources are tried."""
EXAMPLES = 3
"""Rejected rows that are shown for each reason."""
NOT_LISTED = "; not all that is in its archives was listed: a build rejects names that are there twice"
"""What is said where a build may find more files of a name than was looked for."""
SHOWN = 400
"""Characters of a text that are shown; in a line for a whole record, LINE of them."""
LINE = 60


class Record(NamedTuple):
    """A row that is kept, as a user of the artifact sees it: texts by who says them, and pictures."""

    file: str
    row: int
    texts: list[tuple[str, str]]
    pictures: list[Picture]


class Rejected(NamedTuple):
    """A row that is not kept."""

    file: str
    row: int
    reason: str
    detail: str


@dataclass
class Tried:
    """What came of the first rows of a source; `error` says why no more was read.

    `listed` are its files of rows, `read` the names of those that were read, `paths` these files, `archives`
    those of its pictures, `pictures` what is found in these.
    """

    source: dict[str, Any]
    listed: list[HubFile] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    paths: list[SourceFile] = field(default_factory=list)
    archives: list[SourceFile] = field(default_factory=list)
    pictures: PictureFiles | None = None
    kept: list[Record] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    error: str | None = None


def try_source(hub: dict[str, Any], incomplete: str, rows: int, source: dict[str, Any]) -> Tried:
    """Read the first rows of a source; an error names the entry and the key."""
    tried = Tried(source)
    key = "repo"
    try:
        dataset = open_dataset(source["repo"], **hub)
        commit = dataset.commit(source["revision"])
        key = "files"
        tried.listed, _ = list_files(dataset, commit, source, incomplete)
        key = "pictures"
        tried.pictures = open_pictures(hub, source, incomplete, tried.archives)
        read = read_questions if source["form"] == "questions" else read_entry
        left = min(rows, source["take"] or rows)
        for file in tried.listed:
            if not left:
                break
            key = "files"
            path = dataset.locate(commit, file, MOST_BYTES)
            tried.read.append(file.path)
            tried.paths.append(path)
            for each in read(source, path, file.path, tried.pictures, left):
                (tried.kept if isinstance(each, Record) else tried.rejected).append(each)
                left -= 1
        if tried.rejected and not tried.kept:
            first, count = tried.rejected[0], len(tried.rejected)
            tried.error = f"{source['key']}: none of {count} rows is kept; {first.reason}: {first.detail}"
    except (UserError, OSError) as error:
        if any(str(error).startswith(f"{path}:") for path in tried.archives):
            key = "pictures"
        elif isinstance(error, BadShard):
            key = find_key(source, error) or key
        advice = "; where rows have no ids, write id: null" if key == "columns.id" else ""
        tried.error = f"{source['key']}.{key}: {error}{advice}"
    return tried


def list_files(
    dataset: Dataset, commit: str | None, given: dict[str, Any], incomplete: str, holds: str = "rows"
) -> tuple[list[HubFile], list[HubFile]]:
    """The files of rows or archives, and loose ones; where none matches, UserError says what there is."""
    try:
        about = (given["revision"], given["patterns"], given["take"], incomplete, holds)
        found, loose, _ = find_files(dataset, commit, *about)
    except UserError as error:
        if "matches" not in str(error):
            raise
        there = [file.path for depth in (1, 2, 3) for file in dataset.files(commit, ["/".join("*" * depth)])]
        raise UserError(f"{error}; it has {shorten_names(there)}") from error
    return found, loose


def open_pictures(
    hub: dict[str, Any], source: dict[str, Any], incomplete: str, opened: list[SourceFile]
) -> PictureFiles | None:
    """The pictures that the rows of a source name; their archives are put into `opened`."""
    given = source["pictures"]
    if given is None:
        return None
    dataset = open_dataset(given["repo"], **hub)
    commit = dataset.commit(given["revision"])
    archives, loose = list_files(dataset, commit, given, incomplete, "pictures")
    opened += [dataset.locate(commit, file, MOST_BYTES) for file in archives]
    files = LooseFiles(dataset, commit, loose) if loose else None
    return PictureFiles(opened, source["settings"]["picture_folder"], files, lazily=True)


def read_entry(
    source: dict[str, Any], path: SourceFile, file: str, pictures: PictureFiles | None, take: int
) -> Iterator[Record | Rejected]:
    """The first rows of a file of pictures with texts, converted."""
    form = FORMS[source["form"]]
    parser = program.parser(None)
    shard.add_settings(parser)
    form.add_arguments(parser)
    args = parser.parse_args(["--settings", json.dumps(source["settings"])])
    job = shard.Conversion(
        raw=path,
        file=file,
        sha256="",
        name=source["name"],
        take=take,
        threads=1,
        **shard.describe_form(args, form),
    )
    columns = [*filter(None, [job.source_id]), *job.columns]
    start = 0
    for batch in open_rows(path, job.image, columns, pictures).batches(take):
        cells = shard.take_cells(start, batch)
        kept, rejected = shard.convert_rows(job, cells)
        for row in sorted(kept + rejected, key=lambda row: row["row"]):
            if "reason" in row:
                yield Rejected(file, row["row"], row["reason"], row["detail"])
            else:
                texts = [(turn["role"], turn["content"]) for turn in row["messages"]]
                yield Record(file, row["row"], texts, cells.pictures[row["row"] - start])
        start += batch.cells.num_rows


def read_questions(
    source: dict[str, Any], path: SourceFile, file: str, pictures: PictureFiles | None, take: int
) -> Iterator[Record | Rejected]:
    """The first rows of a file of questions."""
    parser = program.parser(None)
    questions.add_settings(parser)
    args = parser.parse_args(["--settings", json.dumps(source["settings"])])
    for row in questions.parse_rows(args, path, file, pictures, take):
        if "reason" in row:
            yield Rejected(file, row["row"], row["reason"], row["detail"])
        else:
            texts = [("question", row["question"]), ("reference", row["reference"])]
            image = row.get("image")
            own = [(image["bytes"], (image["path"] or "").encode() or None)] if image else []
            yield Record(file, row["row"], [text for text in texts if text[1]], own)


def find_key(source: dict[str, Any], error: BadShard) -> str | None:
    """The key of the entry that names a column of which an error tells; None where it tells of none."""
    told = set(re.split(r"[\s,;]+", error.what))
    told |= {word.partition(".")[0] for word in told}
    settings = source["settings"]
    keys = {f"columns.{role}": column for role, column in settings.get("columns", {}).items()}
    keys |= {key: settings.get(key) for key in ("question", "reference", "choices", "image")}
    for key, column in keys.items():
        if told & {*(column if isinstance(column, list) else [column])}:
            return key
    return None


def format_tried(tried: Tried, whole: int, in_lines: int) -> str:
    """What is shown of a source: some records whole, some in a line each, and rejected rows by reason."""
    source = tried.source
    lines = [
        f"== {source['name']}: {source['form']} → {source['artifact']}",
        f"   {source['repo']}@{source['revision']}: {describe_files(tried)}",
    ]
    for record in tried.kept[:whole]:
        lines += format_record(record)
    more = tried.kept[whole:]
    lines += ["", *map(format_line, more[:in_lines])] if more else []
    if len(more) > in_lines:
        lines.append(f"  … and {len(more) - in_lines} more, which SOURCE={source['name']} shows")
    reasons = Counter(row.reason for row in tried.rejected)
    for reason, count in reasons.most_common():
        lines += ["", f"  {count} rejected as {reason}: {MEANINGS[reason]}"]
        own = [row for row in tried.rejected if row.reason == reason][:EXAMPLES]
        lines += [f"    {describe_place(row)}{': ' if row.detail else ''}{row.detail}" for row in own]
    return "\n".join(lines)


def describe_files(tried: Tried) -> str:
    """The files that were read, of how many, and what was fetched of them."""
    if not tried.listed:
        return "no file was read"
    more = len(tried.listed) - len(tried.read)
    fetched = sum(getattr(path, "fetched", 0) for path in [*tried.paths, *tried.archives])
    said = f" and {more} more" if more else ""
    size = f", {sum(file.bytes for file in tried.listed) / 1e6:,.1f} MB"
    return (
        shorten_names(tried.read)
        + said
        + size
        + (f", of which {fetched / 1e6:,.1f} MB were fetched" if fetched else "")
    )


def describe_place(row: Record | Rejected) -> str:
    """Where a row is from."""
    return f"row {row.row} of {row.file}"


def format_record(record: Record) -> list[str]:
    """A record, each text indented under who says it."""
    pictures = [f"    picture    {describe_picture(*picture)}" for picture in record.pictures]
    texts = []
    for who, text in record.texts:
        shown = text if len(text) <= SHOWN else f"{text[:SHOWN]} … ({len(text):,} characters)"
        texts.append(f"    {who:<10} {shown}".replace("\n", "\n" + " " * 15))
    return ["", f"  {describe_place(record)}", *pictures, *texts]


def format_line(record: Record) -> str:
    """A record in a line."""
    said = " → ".join(shorten(text) for _, text in record.texts[:2])
    more = f" … {len(record.texts)} turns" if len(record.texts) > 2 else ""
    pictures = ", ".join(describe_picture(*picture) for picture in record.pictures)
    return f"  row {record.row}: {pictures}{'; ' if pictures else ''}{said}{more}"


def shorten(text: str) -> str:
    """The beginning of a text, in one line."""
    line = " ".join(text.split())
    return line if len(line) <= LINE else f"{line[:LINE]}…"


def describe_picture(data: bytes, name: bytes | None) -> str:
    """The format, size and bytes of a picture, and its name."""
    with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
        about = f"{picture.format} {picture.width}x{picture.height}, {len(data) / 1000:,.1f} kB"
    return about + (f", {name.decode(errors='replace')}" if name else "")


def summarize(tried: Tried) -> str:
    """The line of a source."""
    if tried.error:
        return f"error: {tried.error}"
    kept, rejected = len(tried.kept), len(tried.rejected)
    reasons = Counter(row.reason for row in tried.rejected).most_common()
    told = f" ({', '.join(f'{reason} {count}' for reason, count in reasons)})" if reasons else ""
    told += NOT_LISTED if tried.pictures and tried.pictures.found_early else ""
    return f"{tried.source['name']}: {kept + rejected} rows = {kept} kept + {rejected} rejected{told}"


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--sources", type=Path, required=True, help="JSON: the sources, and the hub")
    parser.add_argument("--rows", type=int, required=True, help="rows of each source")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    given = read_json(args.sources)
    read = partial(try_source, given["hub"], given["incomplete"], min(args.rows, MOST_ROWS))
    several = len(given["sources"]) > 1
    shown = (WHOLE_OF_SEVERAL, IN_LINES_OF_SEVERAL) if several else (WHOLE, IN_LINES)
    lines, failed = [], False
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        for _, tried in ordered_map(pool, read, given["sources"], ahead=SIDE_BY_SIDE):
            if not tried.error or tried.kept or tried.rejected:
                print(sanitize(format_tried(tried, *shown)), end="\n\n")
            lines.append(sanitize(summarize(tried)))
            failed |= tried.error is not None
            print(lines[-1], end="\n\n", flush=True)
    if several:
        print("\n".join(["In all:", *lines]))
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    program.run(main)
