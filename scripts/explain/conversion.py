"""The source of a row, and the steps that read it: listing, fetching, converting."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow.parquet as pq

from explain.build_folder import REASONED, BuildFolder
from explain.fates import describe_picture
from explain.row_lookup import read_row
from explain.step import KEPT, NOT_KNOWN, Step, build_step, say_missing
from explain.subject import Subject
from prep.containers.picture_files import open_picture_files
from prep.containers.rows import open_rows
from prep.runtime.program import UserError
from prep.storage.parquet import BUFFER_BYTES, explain_broken

ROWS = (".parquet", ".json", ".jsonl", ".ndjson", ".tar")
"""The endings of files of rows; a manifest also lists archives of pictures."""
READ_BYTES = 256 * 1024 * 1024
"""A larger raw file is not read for the picture of a rejected row, nor a larger row group."""


@dataclass
class Source:
    """A file of a source, as its listing has it, or a manifest where that is gone."""

    repo: str
    revision: str
    commit: str | None
    file: str
    bytes: int | None = None
    sha256: str | None = None
    rows: int | None = None
    take: int | None = None
    """How many rows are read; None: all."""
    state: str | None = None
    detail: str | None = None


def list_sources(folder: BuildFolder, name: str) -> list[Source]:
    """The files of rows of an artifact's source, or of a source of questions, in source order."""
    is_converted = folder.is_converted(name)
    manifests = [
        folder.read_json(f"data/manifest/{each}.json") for each in ([name] if is_converted else REASONED)
    ]
    known = [_read_source(file) for manifest in manifests if manifest for file in manifest.get("sources", ())]
    listing = folder.read_json(f"work/list_shards/{name}.json")
    if not listing:
        if not is_converted and (folder.root / "work/list_shards").is_dir():
            return []
        own = (each for each in known if is_converted or each.repo.rpartition("/")[2] == name)
        return [each for each in own if PurePosixPath(each.file).suffix in ROWS]
    about = {key: listing[key] for key in ("repo", "revision", "commit")}
    states = {(each.repo, each.file): asdict(each) for each in known}
    read = (folder.read_json(f"work/read_questions/{name}.json") or {}).get("sources", {}).get(name, {})
    found = []
    for file in listing["files"]:
        state = {"state": "unneeded"} if file["take"] == 0 else {}
        state |= read.get(file["file"], {}) | states.get((about["repo"], file["file"]), {})
        own = {key: state[key] for key in ("state", "rows", "detail") if state.get(key) is not None}
        found.append(_read_source(about | file | own))
    return found + [_read_source(about | {"file": file, "state": "missing"}) for file in listing["missing"]]


def _read_source(about: dict[str, Any]) -> Source:
    return Source(**{key.name: about.get(key.name) for key in fields(Source)})


def find_source(folder: BuildFolder, subject: Subject) -> Source | None:
    """The file of the source that a row is from."""
    sources = list_sources(folder, subject.name)
    return next((each for each in sources if PurePosixPath(each.file).stem == subject.stem), None)


def describe_source(folder: BuildFolder, subject: Subject, source: Source | None) -> dict[str, Any]:
    """Where a row is from."""
    if source is None:
        where = f"{folder.root / 'work/list_shards'} and the manifests"
        return {"file": f"{NOT_KNOWN}: {where} tell of no {subject.stem}", "row": subject.row}
    raw = folder.root / "raw" / subject.name / PurePosixPath(source.file).name
    rows = "" if source.rows is None else f" of {source.rows:,}"
    return {
        "repository": f"{source.repo}, {source.revision}",
        "commit": source.commit or "none: from a mirror",
        "file": source.file,
        "row": f"{subject.row}{rows}",
        "file sha256": source.sha256,
        "raw file": str(raw) if raw.exists() else f"not there: {raw}",
    }


def find_unread(subject: Subject, source: Source) -> str | None:
    """Why a row of a source's file is not read; None where it is."""
    if source.state == "missing":
        return "not read: its file is missing at the source (hub.incomplete: accept)"
    if source.state == "unneeded" or (source.take is not None and subject.row >= source.take):
        return "not read: it is beyond the rows that are wanted (max_samples, max_questions)"
    return None


def explain_reading(folder: BuildFolder, subject: Subject, source: Source | None) -> Iterator[Step]:
    """The steps of a source's file: its listing, and its raw file."""
    name = subject.name
    listing = folder.root / f"work/list_shards/{name}.json"
    at = {"at": str(listing)} if listing.is_file() else say_missing(listing)
    if source is None:
        yield build_step(folder, "list_shards", NOT_KNOWN, at, f"/{name}")
        return
    all_read = "listed, to be read whole"
    listed = all_read if source.take is None else f"listed, its first {source.take:,} rows to be read"
    unread = find_unread(subject, source)
    yield build_step(folder, "list_shards", unread or listed, at, f"/{name}")
    if unread is None:
        file = PurePosixPath(source.file).name
        summary = folder.root / f"work/fetch_shard/{name}/{file}.json"
        facts, outcome = say_missing(summary), NOT_KNOWN
        if summary.is_file():
            facts, outcome = {"at": str(summary)}, "fetched, with the sha256 that is listed"
        yield build_step(folder, "fetch_shard", outcome, facts, f"/{name}/{file}")


def explain_conversion(folder: BuildFolder, subject: Subject, source: Source | None) -> Step:
    """The step that converts a row of an artifact of stages 1 and 2."""
    rule, stem = folder.find_form(subject.name), f"{subject.name}/{subject.stem}"
    if rule is None:
        return Step("convert_…", NOT_KNOWN, say_missing(folder.root / f"work/convert_…/{stem}.parquet"))
    part = folder.root / f"work/{rule}/{stem}"
    kept, rejects = (part.with_name(f"{part.name}{ending}") for ending in (".parquet", ".rejects.parquet"))
    if place := folder.find_row([kept], subject.base):
        return build_step(folder, rule, KEPT, {"at": place}, f"/{stem}")
    if place := folder.find_row([rejects], subject.base):
        row = read_row(place)
        pictures = read_raw_pictures(folder, subject, rule)
        facts = {"detail": row["detail"] or None, "pictures": pictures, "at": place}
        outcome, about = f"rejected: {row['reason']}", {"reason": row["reason"]}
        return build_step(folder, rule, outcome, facts, f"/{stem}", **about)
    if source and source.state == "bad":
        outcome = "rejected: its file is bad, and all its rows are out (on_bad_shard: reject)"
        return build_step(folder, rule, outcome, {"detail": source.detail}, f"/{stem}")
    return build_step(folder, rule, NOT_KNOWN, say_missing(kept), f"/{stem}")


def read_raw_pictures(folder: BuildFolder, subject: Subject, rule: str) -> list[str] | None:
    """The pictures of a rejected row as its raw file has them, where that can be read at once."""
    part = folder.read_json(f"work/{rule}/{subject.name}/{subject.stem}.json")
    raw = part and part["raw"]
    if not raw or not (path := folder.root / raw["path"]).exists():
        return None
    named = raw.get("pictures")
    if named:
        files = {(folder.root / file).as_posix(): sha256 for file, sha256 in named["files"].items()}
        named = named | {"files": files}
    try:
        pictures = _read_pictures(path, raw["image"], subject.row, named)
    except (UserError, OSError) as error:
        return [f"cannot be read: {error}"]
    return None if pictures is None else [describe_picture(each) for each in pictures]


def _read_pictures(path: Path, image: str, row: int, named: dict[str, Any] | None) -> list[dict] | None:
    """The pictures of a row, each with `bytes` and `path`; None where too much would be read for them."""
    if path.suffix == ".parquet" and not named:
        return _read_cell(path, image, row)
    sizes = [path, *map(Path, named["files"])] if named else [path]
    if sum(file.stat().st_size for file in sizes) > READ_BYTES:
        return None
    start = 0
    for batch in open_rows(path, image, [], open_picture_files(named)).batches(row + 1):
        if row < start + batch.cells.num_rows:
            return batch.cells.column(0)[row - start].as_py()
        start += batch.cells.num_rows
    return None


def _read_cell(path: Path, image: str, row: int) -> list[dict] | None:
    """The same of a parquet file that holds its pictures: one row group is read, as far as to the row."""
    with (
        explain_broken(path, lambda: "cannot be read"),
        pq.ParquetFile(path, buffer_size=BUFFER_BYTES, pre_buffer=False) as file,
    ):
        start = 0
        for group in range(file.num_row_groups):
            about = file.metadata.row_group(group)
            if row >= start + about.num_rows:
                start += about.num_rows
                continue
            if about.total_byte_size > READ_BYTES:
                return None
            for batch in file.iter_batches(16, row_groups=[group], columns=[image], use_threads=False):
                if row < start + batch.num_rows:
                    cell = batch.column(0)[row - start].as_py()
                    own = cell if isinstance(cell, list) else [cell]
                    return [each if isinstance(each, dict) else {"bytes": each} for each in own]
                start += batch.num_rows
    return None
