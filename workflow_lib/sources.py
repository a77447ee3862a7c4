"""Sources: their repositories, revisions and files, and what is listed of them."""

import hashlib
import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

from snakemake.exceptions import WorkflowError

from workflow_lib.config import fail
from workflow_lib.names import Names

# Other .json files of a repository are metadata.
QUESTION_FILES = ("data/train-*.parquet", "train-*.parquet", "*.jsonl", "data/train-*.json", "train-*.json")

Source = dict[str, Any]
"""A source's `repo`, `revision`, `patterns` of files, and `take`: how many rows are read, None for all.

One that `holds` pictures has files that the rows of another source name.
"""


def configured_sources(names: Names) -> dict[str, Source]:
    """Every source by its name: those of converted artifacts, then those of questions."""
    found = {name: source_of(entry, *entry["files"]) for name, entry in names.entries.items()}
    for name, pictures in names.pictures.items():
        entry = (names.entries | names.asked)[name]
        given = {"repo": entry["repo"], "revision": entry["revision"]} | entry["pictures"]
        found[pictures] = source_of(given, *given["files"]) | {"holds": "pictures"}
    for name, given in names.asked.items():
        found[name] = source_of(given, *given.get("files", QUESTION_FILES))
    return found


def source_of(given: dict[str, Any], *patterns: str) -> Source:
    return {
        "repo": given["repo"],
        "revision": given["revision"],
        "patterns": list(patterns),
        "take": given.get("max_samples"),
    }


def mirror_folder(config: dict[str, Any]) -> Path | None:
    """The folder that is read in place of the hub."""
    mirror = config["hub"]["mirror"]
    if mirror and not os.path.isdir(mirror):
        fail(f"hub.mirror: no folder {mirror}; give one that holds <org>/<name>/<files>, or null for the hub")
    return Path(mirror).resolve() if mirror else None


def moving_revisions(sources: dict[str, Source]) -> dict[str, Source]:
    """One source for each `repo@revision` that is a branch or a tag, whose commit must be asked for."""
    moving = [each for each in sources.values() if not re.fullmatch(r"[0-9a-f]{40}", each["revision"])]
    return {f"{each['repo']}@{each['revision']}": each for each in moving}


def mirror_digest(mirror: Path | None, source: Source) -> str | None:
    """A digest of the sizes and times of a source's files in the mirror: a changed file is listed again."""
    if not mirror:
        return None
    folder = mirror / source["repo"]
    files = [file for pattern in source["patterns"] for file in folder.glob(pattern)]
    states = sorted(f"{file.relative_to(folder)} {file_state(file)}" for file in files)
    return hashlib.sha256("\n".join(states).encode(errors="surrogateescape")).hexdigest()[:16]


def file_state(file: Path) -> str:
    """A file's size and time; "gone" where a link leads to none, which listing the source reports."""
    try:
        status = file.stat()
    except OSError:
        return "gone"
    return f"{status.st_size} {status.st_mtime_ns}"


def read_listing(listing: Path) -> dict[str, dict[str, Any]]:
    """A source's files by name, in source order; loose pictures, which may be many, are left out."""
    return _read_listing(listing, listing.stat().st_mtime_ns)


@cache
def _read_listing(listing: Path, _changed: int) -> dict[str, dict[str, Any]]:
    return {Path(file["file"]).name: file for file in _list_files(listing) if not file.get("loose")}


def _list_files(listing: Path) -> list[dict[str, Any]]:
    """The files of a listing; WorkflowError where a fault of the disk, or a hand, has broken it."""
    try:
        return json.loads(listing.read_text(encoding="utf-8"))["files"]
    except (ValueError, LookupError, TypeError):
        raise WorkflowError(f"{listing} is broken; delete it, and run again") from None


def loose_digest(listing: Path) -> str | None:
    """A digest of the pictures of a source that are in no archive; None where there are none."""
    return _loose_digest(listing, listing.stat().st_mtime_ns)


@cache
def _loose_digest(listing: Path, _changed: int) -> str | None:
    lines = [f"{file['file']} {file['sha256']}" for file in _list_files(listing) if file.get("loose")]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest() if lines else None


def reading_mb(source: str, attempt: int) -> int:
    """The memory that reading a source's shards takes, in MB.

    Pyarrow holds a page, which may be a whole row group. Where nothing is listed yet, or no row group is
    known, it is what those of ordinary size take. A job that ran out of memory gets more at its next attempt.
    """
    listing = Path(f"work/list_shards/{source}.json")
    try:
        largest = _largest_group(listing, listing.stat().st_mtime_ns)
    except FileNotFoundError:
        largest = 0
    return attempt * max(2000, 1500 + 2 * largest // 1_000_000)


@cache
def _largest_group(listing: Path, changed: int) -> int:
    """The bytes of the largest row group of a source's files; 0 where none is known."""
    return max((file.get("group_bytes") or 0 for file in _read_listing(listing, changed).values()), default=0)
