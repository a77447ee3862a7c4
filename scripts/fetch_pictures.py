#!/usr/bin/env python
"""Fetch the loose pictures of a source, at their paths there: link them, or download and check them."""

import argparse
import glob
import hashlib
import logging
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from prep.hub.dataset import open_dataset
from prep.hub.listing import HubFile
from prep.runtime import program
from prep.runtime.ordered_map import ordered_map
from prep.storage.atomic import read_json
from prep.storage.summary import write_summary

log = logging.getLogger(__name__)


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--listing", type=Path, required=True)
    parser.add_argument("--hub", type=Path, required=True, help="JSON: mirror, endpoint")
    parser.add_argument("--connections", type=int, required=True, help="pictures fetched side by side")
    parser.add_argument("--raw", type=Path, required=True, help="out: the folder of pictures")
    parser.add_argument("--summary", type=Path, required=True, help="out: its summary: bytes, sha256")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    listing = read_json(args.listing)
    files = [
        HubFile(file["file"], file["bytes"], file["sha256"]) for file in listing["files"] if file.get("loose")
    ]
    dataset = open_dataset(listing["repo"], **read_json(args.hub) | {"keep": False})
    lines = "\n".join(f"{file.path} {file.sha256}" for file in files)
    sha256 = hashlib.sha256(lines.encode()).hexdigest()
    # What has come stays there when the job fails, and the next one goes on from it.
    part = args.raw.with_name(f".{args.raw.name}.{sha256[:16]}.part")

    def fetch(file: HubFile) -> None:
        if not (part / file.path).is_file():
            dataset.fetch(listing["commit"], file, part / file.path)

    # Left by a download that was given up, and its pictures replaced at the hub since.
    for old in args.raw.parent.glob(f".{glob.escape(args.raw.name)}.*.part"):
        if old != part:
            shutil.rmtree(old, ignore_errors=True)
    part.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(args.connections) as pool:
        for _ in ordered_map(pool, fetch, files, ahead=args.connections):
            pass
    part.replace(args.raw)
    size = sum(file.bytes for file in files)
    raw = {"path": listing["repo"], "bytes": size, "sha256": sha256}
    write_summary(args.summary, {"raw": raw})
    log.info("%s: %d loose pictures, %d bytes", listing["repo"], len(files), size)


if __name__ == "__main__":
    program.run(main)
