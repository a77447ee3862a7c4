"""Completeness check of a source: the files that its patterns name, whole, and each name once."""

import re
from collections import defaultdict
from pathlib import PurePosixPath

from prep.hub.dataset import Dataset
from prep.hub.listing import HubFile
from prep.hub.numbered_files import SHOWN, find_doubled_files, find_missing_files, shorten_names
from prep.runtime.program import UserError

ARCHIVES = (".zip", ".tar")
"""The files of pictures that are fetched as shards are; all others are loose."""


def find_files(
    dataset: Dataset,
    commit: str | None,
    revision: str,
    patterns: list[str],
    take: int | None = None,
    incomplete: str = "fail",
    holds: str = "rows",
) -> tuple[list[HubFile], list[HubFile], list[str]]:
    """The files of rows or archives, the loose ones, and the names of those that are missing.

    None must be missing unless `incomplete` is `accept` (see check_whole). Where the files `holds` pictures,
    those that are in no archive are loose. `take` is how many rows are to be read. Raises UserError.
    """
    names = dataset.files(commit, patterns)
    loose = list_loose(names) if holds == "pictures" else []
    archives = set(names) - set(loose)
    names = [file for file in names if file in archives]
    where = f"{dataset.repo}@{revision}"
    found = [file for file in names if file.bytes is not None]
    dangling = [file.path for file in names if file.bytes is None]
    paths = [file.path for file in names]
    if incomplete != "accept":
        check_whole(paths, dangling, where)
    missing = sorted(dangling + find_missing_files(paths))
    if found or not loose:
        check_names(found, missing, where, patterns)
    if take and len(found) > 1 and not all(file.path.endswith(".parquet") for file in found):
        line = "max_samples needs the rows of each file, which only parquet tells before it is read"
        raise UserError(f"{where}: {line}; name one file of rows, or take max_samples out")
    return found, loose, missing


def list_loose(files: list[HubFile]) -> list[HubFile]:
    """The files of pictures that are in no archive."""
    return [file for file in files if file.bytes is not None and not file.path.lower().endswith(ARCHIVES)]


def check_whole(paths: list[str], dangling: list[str], where: str) -> None:
    """Raise UserError where a name leads to no file, or numbered files are not one whole set."""
    advice = "or set hub.incomplete: accept to read what is there"
    if dangling:
        line = f"{shorten_names(dangling)}: no file there, but a dangling link; restore it, {advice}"
        raise UserError(f"{where}: {line}")
    if doubled := find_doubled_files(paths):
        line = f"rows would be read twice: {'; '.join(doubled[:SHOWN])}; leave one set there, {advice}"
        raise UserError(f"{where}: {line}")
    if missing := find_missing_files(paths):
        raise UserError(f"{where}: files are missing: {shorten_names(missing)}; fetch them, {advice}")


def check_names(found: list[HubFile], missing: list[str], where: str, patterns: list[str]) -> None:
    """Fail where nothing was found, or two files of one name: rows are known by it, without its ending."""
    if not found and missing:
        line = f"every file is missing, and none is there to read: {shorten_names(missing)}"
        raise UserError(f"{where}: {line}")
    if not found:
        line = f"no file of {where} matches {' or '.join(patterns)}; check the pattern"
        raise UserError(line)
    if odd := [file.path for file in found if re.search(r"[<>{}]", PurePosixPath(file.path).name)]:
        line = f"{where} has files whose names have brackets that Snakemake reads: {shorten_names(odd)}"
        raise UserError(f"{line}; rename them, or leave them out in the source's files")
    named = defaultdict(list)
    for file in found:
        named[PurePosixPath(file.path).stem].append(file.path)
    same = max(named.values(), key=len)
    if len(same) > 1:
        line = f"{where} has several files of one name, by which rows are known: {' and '.join(same)}"
        raise UserError(f"{line}; leave all but one out in the source's files")
