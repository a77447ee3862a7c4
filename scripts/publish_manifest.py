#!/usr/bin/env python
"""Merge the artifacts' manifests into one, with the digest of the configuration."""

import argparse
import logging
import re
from pathlib import Path
from typing import Any

from prep.runtime import program
from prep.runtime.program import UserError
from prep.storage.atomic import read_json, write_json
from prep.storage.install import install

log = logging.getLogger(__name__)


def merge_manifests(manifests: list[dict], config_sha256: str) -> dict[str, Any]:
    """All manifests by the artifact's name, in the order given.

    Raises UserError when there is none, two are of one artifact, or the digest is not one.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", config_sha256):
        raise UserError(f"--config-sha256 {config_sha256!r} is not a sha256: 64 hex digits are")
    if not manifests:
        raise UserError(
            "no artifact stood when this run began: build one first, and call publish_built alone after it"
        )
    artifacts: dict[str, dict] = {}
    for manifest in manifests:
        if manifest["name"] in artifacts:
            raise UserError(f"two manifests are of {manifest['name']}: give one")
        artifacts[manifest["name"]] = manifest
    return {"artifacts": artifacts, "config_sha256": config_sha256}


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--manifests", type=Path, nargs="*", required=True, help="the artifacts' manifests")
    parser.add_argument("--config-sha256", required=True, help="digest of the keys that decide content")
    parser.add_argument("--publish", type=Path, required=True, help="out: the one manifest")
    parser.add_argument("--data", type=Path, required=True, help="folder to install into")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    found = merge_manifests([read_json(path) for path in args.manifests], args.config_sha256)
    write_json(args.publish, found)
    install(args.data / "manifest.json", args.publish.read_bytes())
    log.info("%d artifacts", len(found["artifacts"]))


if __name__ == "__main__":
    program.run(main)
