#!/usr/bin/env python
"""Write the project's own sample corpus in the layouts of the Hugging Face hub.

Every run writes the same bytes. A corpus that already stands as it should is left alone; one that does not
is replaced as a whole.
"""

import argparse
import logging
import tempfile
from itertools import groupby
from pathlib import Path

from layout import TITLE, build_card, build_manifest, encode_shard
from prep.runtime.program import UserError, parser, run
from rows import Shard, all_shards

log = logging.getLogger("prep")

MANIFEST = "MANIFEST.md"


def build_files(shards: list[Shard]) -> dict[str, bytes]:
    """Every file of the corpus by its path in it."""
    files = {f"{shard.repo}/{shard.path}": encode_shard(shard) for shard in shards}
    for repo, of_repo in groupby(shards, lambda shard: shard.repo):
        files[f"{repo}/README.md"] = build_card(repo, list(of_repo)).encode()
    files[MANIFEST] = build_manifest(shards).encode()
    return files


def refuse_foreign(hub: Path) -> None:
    """Raise UserError when the folder `hub` holds anything that is not a corpus written by this program."""
    if not hub.exists() or not any(hub.iterdir()):
        return
    path = hub / MANIFEST
    if not path.is_file() or not path.read_bytes().startswith(TITLE.encode()):
        raise UserError(f"{hub} holds something else: name another folder, or one that is empty")


def write_corpus(files: dict[str, bytes], hub: Path) -> bool:
    """Make the folder `hub` hold these files and no others; whether anything had to be done.

    The folder is written beside and renamed. When the program is killed between its two renames there is no
    `hub`, which the next run mends. Raises UserError like refuse_foreign.
    """
    refuse_foreign(hub)
    standing = [path for path in hub.rglob("*") if path.is_file()]
    if {path.relative_to(hub).as_posix(): path.read_bytes() for path in standing} == files:
        return False
    hub.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=hub.parent, prefix=f".{hub.name}.") as scratch:
        new, old = Path(scratch, "new"), Path(scratch, "old")
        for name, data in files.items():
            path = new / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        if hub.exists():
            hub.rename(old)
        new.rename(hub)
    return True


def parse_args() -> argparse.Namespace:
    arguments = parser(__doc__)
    arguments.add_argument("--hub", type=Path, required=True, help="folder to write, as <org>/<name>/<files>")
    return arguments.parse_args()


def main() -> None:
    hub = parse_args().hub
    refuse_foreign(hub)
    files = build_files(all_shards())
    done = write_corpus(files, hub.resolve())
    size = sum(map(len, files.values())) / 1e6
    log.info("%s %s: %d files, %.1f MB", "wrote" if done else "left as it is:", hub, len(files), size)


if __name__ == "__main__":
    run(main)
