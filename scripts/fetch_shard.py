#!/usr/bin/env python
"""Fetch one shard as it was listed: link it from a mirror, or download it and check its sha256."""

import argparse
from pathlib import Path

from prep.hub.dataset import open_dataset
from prep.hub.listing import HubFile
from prep.runtime import program
from prep.runtime.program import UserError
from prep.storage.atomic import read_json
from prep.storage.summary import write_summary


def find_file(listing: dict, name: str) -> dict:
    """The listed file of this name (the last part of its path)."""
    found = [file for file in listing["files"] if file["file"].split("/")[-1] == name]
    if len(found) != 1:
        raise UserError(f"{listing['repo']} lists {len(found)} files named {name}, and there must be one")
    return found[0]


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--listing", type=Path, required=True)
    parser.add_argument("--hub", type=Path, required=True, help="JSON: mirror, endpoint")
    parser.add_argument("--raw", type=Path, required=True, help="out: the shard, under its listed name")
    parser.add_argument("--summary", type=Path, required=True, help="out: its summary: path, bytes, sha256")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    listing = read_json(args.listing)
    file = find_file(listing, args.raw.name)
    dataset = open_dataset(listing["repo"], **read_json(args.hub))
    shard = HubFile(file["file"], file["bytes"], file["sha256"])
    dataset.fetch(listing["commit"], shard, args.raw)
    raw = {"path": shard.path, "bytes": shard.bytes, "sha256": shard.sha256}
    write_summary(args.summary, {"raw": raw})


if __name__ == "__main__":
    program.run(main)
