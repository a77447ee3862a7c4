#!/usr/bin/env python
"""Write an artifact's manifest: what was read from where, what was kept, and why the rest was not."""

import argparse
import logging
from pathlib import Path

from prep.report.manifest import build_manifest
from prep.runtime import program
from prep.storage.atomic import read_json, write_json

log = logging.getLogger(__name__)


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--name", required=True, help="the artifact's name")
    parser.add_argument("--summary", type=Path, required=True, help="its assembly's summary")
    parser.add_argument("--listings", type=Path, nargs="*", required=True, help="its sources' listings")
    parser.add_argument("--states", type=Path, nargs="*", required=True, help="other summaries of its files")
    parser.add_argument("--manifest", type=Path, required=True, help="out: the manifest")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    listings = [read_json(path) for path in args.listings]
    summary, *states = [read_json(path) for path in (args.summary, *args.states)]
    found = build_manifest(args.name, summary, listings, [summary, *states])
    if "files" in found:
        # Snakemake leaves this file in a folder that a rule makes, and LLaMA-Factory takes it for data.
        (Path(found["file"]) / ".snakemake_timestamp").unlink(missing_ok=True)
    write_json(args.manifest, found)
    log.info("%s: read %d, kept %d", args.name, found["read"], found["kept"])


if __name__ == "__main__":
    program.run(main)
