#!/usr/bin/env python
"""Write down which commit a branch or a tag of a repository names."""

import argparse
import logging
from pathlib import Path

from prep.hub.dataset import open_dataset
from prep.runtime import program
from prep.storage.atomic import read_json, write_json

log = logging.getLogger(__name__)


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--repo", required=True)
    parser.add_argument("--revision", required=True)
    parser.add_argument("--hub", type=Path, required=True, help="JSON: mirror, endpoint")
    parser.add_argument("--resolved", type=Path, required=True, help="out: repo, revision, commit")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    commit = open_dataset(args.repo, **read_json(args.hub)).commit(args.revision)
    write_json(args.resolved, {"repo": args.repo, "revision": args.revision, "commit": commit})
    log.info("%s@%s is %s", args.repo, args.revision, commit)


if __name__ == "__main__":
    program.run(main)
