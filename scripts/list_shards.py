#!/usr/bin/env python
"""List a source's shards: their bytes, sha256 and rows, the commit they are of, and how much is read."""

import argparse
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from prep.hub.dataset import Dataset, open_dataset
from prep.hub.listing import HubFile
from prep.hub.numbered_files import find_doubled_files, shorten_names
from prep.hub.source_files import find_files
from prep.runtime import program
from prep.runtime.ordered_map import ordered_map
from prep.storage.atomic import read_json, write_json

log = logging.getLogger(__name__)

FOOTER = 256 * 1024
"""Bytes asked for first: the footer of a shard of half a gigabyte with 200 row groups is within them."""


class Footer(NamedTuple):
    """How many rows a parquet file's footer announces, and the bytes of its largest row group, decompressed.

    Both are None for other formats, and for a broken footer.
    """

    rows: int | None = None
    group_bytes: int | None = None


def read_footer(dataset: Dataset, commit: str | None, file: HubFile) -> Footer:
    """What a file's footer says.

    A file ends in the footer, the footer's length in four bytes (little endian), and `PAR1`
    (https://parquet.apache.org/docs/file-format/); pyarrow reads a footer with nothing in front of it.
    """
    if not file.path.endswith(".parquet"):
        return Footer()
    tail = dataset.tail(commit, file, FOOTER)
    length = int.from_bytes(tail[-8:-4], "little") + 8
    if tail.endswith(b"PAR1") and len(tail) < length <= file.bytes:
        tail = dataset.tail(commit, file, length)
    try:
        found = pq.read_metadata(pa.BufferReader(tail))
        groups = [found.row_group(group) for group in range(found.num_row_groups)]
        if found.num_rows < 0 or found.num_rows != sum(group.num_rows for group in groups):
            raise ValueError("the rows of its row groups do not add up")
        return Footer(found.num_rows, max((group.total_byte_size for group in groups), default=0))
    except Exception as error:  # whatever bytes a footer holds: it costs what is known of the file, no more
        log.warning("%s: its footer cannot be read: %s", file.path, error)
        return Footer()


def limit_rows(footers: Iterator[Footer], take: int | None) -> Iterator[tuple[Footer, int | None]]:
    """Each file's footer, and how many of its rows are read (None: all), until `take` are reached.

    Without a limit every file is read whole; a file whose rows are not known counts as none.
    """
    left = take
    for footer in footers:
        if left is None or footer.rows is None:
            yield footer, None
        else:
            here = min(footer.rows, left)
            left -= here
            yield footer, None if here == footer.rows else here
        if left == 0:
            return


def list_files(
    dataset: Dataset,
    revision: str,
    patterns: list[str],
    take: int | None,
    connections: int,
    incomplete: str = "fail",
    holds: str = "rows",
) -> dict:
    """The commit, and every file in source order; `take` is None (all), a number of rows, or 0 (unneeded).

    Footers are read over so many connections side by side. Of files beyond the first `take` rows nothing is
    read, so their rows and row groups, and in a mirror their sha256, are null. `missing` names the files that
    should be there too; there must be none unless `incomplete` is `accept` (see find_files). Where the files
    `holds` pictures, those that are in no archive are marked as `loose`.
    """
    commit = dataset.commit(revision)
    found, loose, missing = find_files(dataset, commit, revision, patterns, take, incomplete, holds)

    def describe(file: HubFile, footer: Footer, taken: int | None) -> dict:
        digest = file.sha256 or (None if taken == 0 else dataset.sha256(commit, file))
        about = {"file": file.path, "bytes": file.bytes, "sha256": digest, "rows": footer.rows, "take": taken}
        return about | {"group_bytes": footer.group_bytes}

    with ThreadPoolExecutor(connections) as pool:
        footers = ordered_map(pool, partial(read_footer, dataset, commit), found, ahead=connections)
        limited = list(limit_rows((footer for _, footer in footers), take))
        limited += [(Footer(), 0)] * (len(found) - len(limited))
        if take and not found[0].path.endswith(".parquet"):
            limited = [(Footer(), take)]
        files = list(pool.map(describe, found, *zip(*limited, strict=True))) if found else []
        files += [
            {**about, "loose": True} for about in pool.map(describe, loose, repeat(Footer()), repeat(None))
        ]
    about = {"holds": holds} if holds == "pictures" else {}
    return {"commit": commit, **about, "files": files, "missing": missing}


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--source", required=True, help="the source's name in this build")
    parser.add_argument("--repo", required=True)
    parser.add_argument("--revision", required=True)
    parser.add_argument("--resolved", type=Path, nargs="*", required=True, help="JSON: its commit, if known")
    parser.add_argument("--patterns", nargs="+", required=True, help="globs of paths in the repository")
    parser.add_argument("--take", type=int, help="read the first so many rows in all; left out: all")
    parser.add_argument("--holds", choices=("rows", "pictures"), default="rows")
    parser.add_argument("--incomplete", choices=("fail", "accept"), required=True)
    parser.add_argument("--hub", type=Path, required=True, help="JSON: mirror, endpoint")
    parser.add_argument("--connections", type=int, required=True, help="footers read side by side")
    parser.add_argument("--listing", type=Path, required=True, help="out: the listing")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    dataset = open_dataset(args.repo, **read_json(args.hub))
    head = {"source": args.source, "repo": args.repo, "revision": args.revision}
    commits = [read_json(path)["commit"] for path in args.resolved]
    revision = commits[0] if commits else args.revision
    how = (args.connections, args.incomplete, args.holds)
    found = list_files(dataset, revision, args.patterns, args.take, *how)
    for doubled in find_doubled_files(file["file"] for file in found["files"]):
        log.warning("%s: rows may be read twice: %s", args.repo, doubled)
    if found["missing"]:
        log.warning("%s: files are missing: %s", args.repo, shorten_names(found["missing"]))
    write_json(args.listing, head | found)
    log.info(
        "%s: %d files, %d bytes", args.repo, len(found["files"]), sum(f["bytes"] for f in found["files"])
    )


if __name__ == "__main__":
    program.run(main)
