#!/usr/bin/env python
"""Verify a finished artifact: read it as its users do, with `datasets`, and hold it against its manifest."""

import argparse
import hashlib
import logging
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from prep.comparison.outcome import Outcome
from prep.records import seeding
from prep.records.tags import IMAGE_TAG
from prep.runtime import program
from prep.runtime.program import UserError
from prep.storage import parquet
from prep.storage.atomic import read_json, sha256, write_text
from prep.storage.schema import REASONED, REASONED_BY, REJECTS, TRAINING

log = logging.getLogger(__name__)

# It looks the hub up, by DNS, even for files that are here.
datasets.config.HF_HUB_OFFLINE = True

BATCH_ROWS = 64
"""The most rows of a batch; of large rows there are fewer."""
SCORES = (1, 2, 3, 4, 5)
"""A judge's scores. There is none where a rule spared the judge, or a sample did not pass and is kept."""
DECODED = 64
"""Pictures of so many rows are decoded."""
SHOWN = 3
"""Faults of a check that are named; the others are counted."""

Checks = dict[str, list[str]]
"""The faults that each check found."""


def check_files(root: Path, manifest: dict) -> Iterator[str]:
    """Yield what differs between the files that stand and those of the manifest: names, sizes, checksums."""
    path = root / manifest["file"]
    listed = manifest.get("files") or [{key: manifest[key] for key in ("file", "bytes", "sha256")}]
    if "files" in manifest:
        for name in sorted({each.name for each in path.iterdir()} - {Path(f["file"]).name for f in listed}):
            yield f"{name} is in the folder, and not in the manifest"
    for file in listed:
        found = root / file["file"]
        if not found.is_file():
            yield f"{file['file']} is missing"
        elif found.stat().st_size != file["bytes"]:
            yield f"{file['file']} has {found.stat().st_size} bytes, not {file['bytes']}"
        elif sha256(found) != file["sha256"]:
            yield f"{file['file']} has another sha256"


def check_sizes(files: list[Path], shard_bytes: int) -> Iterator[str]:
    """Yield the files that are larger than the limit, which only one of a single row may be."""
    for file in files:
        size = file.stat().st_size
        if size > shard_bytes and (rows := pq.read_metadata(file).num_rows) > 1:
            yield f"{file.name} has {size} bytes and {rows} rows, and output.shard_bytes is {shard_bytes}"


def check_counts(rejects: Path, manifest: dict) -> Iterator[str]:
    """Yield what does not add up: every row that was read is kept, or rejected for a reason."""
    reasons: Counter[str] = Counter()
    with pq.ParquetFile(rejects) as file:
        if not file.schema_arrow.equals(REJECTS):
            yield f"{rejects.name} has other columns"
            return
        for batch in file.iter_batches(columns=["reason"]):
            reasons.update(batch.column("reason").to_pylist())
    if reasons != manifest["rejected"]:
        yield f"{rejects.name} holds {dict(reasons)}, the manifest {manifest['rejected']}"
    if manifest["read"] != manifest["kept"] + reasons.total() or manifest["rows"] != manifest["kept"]:
        read, kept, rows = (manifest[key] for key in ("read", "kept", "rows"))
        yield f"{read} read, {kept} kept, {reasons.total()} rejected, {rows} rows"


def check_schema(files: list[Path], schema: pa.Schema) -> Iterator[str]:
    """Yield the files with other columns or features than the artifact's kind has."""
    for file in files:
        found = pq.read_schema(file)
        if not found.equals(schema):
            yield f"{file.name} has the columns {', '.join(map(str, found))}"
        elif (found.metadata or {}).get(b"huggingface") != schema.metadata[b"huggingface"]:
            yield f"{file.name} has other features"


def count_batch_rows(file: str) -> int:
    """How many rows of a file to read at a time, so that a batch is no larger than a row group may be."""
    about = pq.read_metadata(file)
    groups = [about.row_group(group) for group in range(about.num_row_groups)]
    largest = max(group.total_byte_size // max(1, group.num_rows) for group in groups)
    return max(1, min(BATCH_ROWS, parquet.GROUP_BYTES // max(1, largest)))


def stream_rows(files: list[Path], cache: str) -> Iterator[pa.Table]:
    """The rows as `datasets` streams them, in batches; none where there are no rows, which it cannot load."""
    filled = [str(file) for file in files if pq.read_metadata(file).num_rows]
    if filled:
        at_a_time = min(count_batch_rows(file) for file in filled)
        # Without it, pyarrow keeps all that it read of a file until the last row is read.
        one_group = pads.ParquetFragmentScanOptions(
            use_buffered_stream=True, buffer_size=parquet.BUFFER_BYTES, pre_buffer=False
        )
        rows = datasets.load_dataset(
            "parquet",
            data_files=filled,
            split="train",
            streaming=True,
            cache_dir=cache,
            batch_size=at_a_time,
            fragment_scan_options=one_group,
        )
        yield from rows.with_format("arrow").iter(batch_size=at_a_time)


def check_messages(messages: list[dict] | None, pictures: int) -> str | None:
    """Say what is wrong with a row's messages: strict turns, and a tag for each picture."""
    if not messages or len(messages) % 2:
        return "has no even number of messages"
    if any(turn["role"] != ("user", "assistant")[i % 2] for i, turn in enumerate(messages)):
        return "has roles out of turn"
    if any(turn["content"] is None for turn in messages):
        return "has a message without content"
    tags = sum(turn["content"].count(IMAGE_TAG) for turn in messages)
    return None if tags == pictures else f"has {tags} {IMAGE_TAG} tags and {pictures} pictures"


def check_batch(table: pa.Table, faults: Checks) -> None:
    """Add the faults of some rows, by check."""
    ids = table.column("id").to_pylist()
    counts = pc.fill_null(pc.list_value_length(table.column("images")), 0).to_pylist()
    for id, messages, pictures in zip(ids, table.column("messages").to_pylist(), counts, strict=True):
        if fault := check_messages(messages, pictures):
            faults["messages"].append(f"{id} {fault}")
    data = pc.struct_field(pc.list_flatten(table.column("images")), "bytes")
    if pc.any(pc.equal(pc.fill_null(pc.binary_length(data), 0), 0)).as_py():
        faults["pictures"].append(f"a row from {ids[0]} to {ids[-1]} has a picture without bytes")
    if "score" in table.column_names:
        labels = (table.column(key).to_pylist() for key in ("mode", "score"))
        columns = [table.column(key).to_pylist() for key in ("rule", "pass_rate")]
        for id, mode, score, rule, rate in zip(ids, *labels, *columns, strict=True):
            scores = (*SCORES, None) if rule == Outcome.AGREES or rate not in (None, 1) else SCORES
            if mode not in ("thinking", "no_thinking") or score not in scores:
                faults["mode and score"].append(f"{id} has mode {mode} and score {score}")


def check_pictures(row: dict) -> str | None:
    """Say which picture of a row `datasets` cannot decode."""
    for picture in row["images"] or ():
        try:
            datasets.Image().decode_example(picture).close()
        except Exception as error:  # decoders raise anything
            return f"{row['id']}: {type(error).__name__}: {error}"
    return None


def sample_positions(seed: int, name: str, rows: int) -> set[int]:
    """Up to DECODED positions, one from each of as many equal strata, by a hash of seed and name."""
    wanted = min(DECODED, rows)
    edges = [i * rows // wanted for i in range(wanted + 1)] if wanted else []
    return {
        start + seeding.hash_names(seed, "verify", name, i) % (end - start)
        for i, (start, end) in enumerate(pairwise(edges))
    }


def check_rows(files: list[Path], manifest: dict, seed: int, faults: Checks) -> None:
    """Stream all rows once, and add their faults by check; memory holds eight bytes a row."""
    wanted = sample_positions(seed, manifest["name"], manifest["rows"])
    ids, start = array("Q"), 0
    with tempfile.TemporaryDirectory() as cache:
        for table in stream_rows(files, cache):
            check_batch(table, faults)
            for id in table.column("id").to_pylist():
                ids.append(int.from_bytes(hashlib.blake2b(str(id).encode(), digest_size=8).digest()))
            for at in range(table.num_rows):
                if start + at in wanted and (fault := check_pictures(table.slice(at, 1).to_pylist()[0])):
                    faults["decoded pictures"].append(fault)
            start += table.num_rows
            if table.column("id").null_count:
                faults["ids"].append("a row has no id")
    if start != manifest["rows"]:
        faults["rows"].append(f"datasets reads {start}, the manifest says {manifest['rows']}")
    if len(np.unique(ids)) != len(ids):
        faults["ids"].append(f"{len(ids) - len(np.unique(ids))} occur more than once")


def verify(root: Path, manifest: dict, seed: int, shard_bytes: int) -> Checks:
    """All checks of an artifact, each with the faults that it found."""
    path, name = root / manifest["file"], manifest["name"]
    reasoned = name in ("text2image", "image_thinking")
    faults: Checks = {"files": list(check_files(root, manifest))}
    faults["counts"] = list(check_counts(root / "data" / "rejects" / f"{name}.parquet", manifest))
    files = parquet.list_files(path)
    try:
        teachers = reasoned and any("teacher" in pq.read_schema(file).names for file in files)
        schema = (REASONED_BY if teachers else REASONED) if reasoned else TRAINING
        faults["schema"] = list(check_schema(files, schema))
        if shard_bytes:
            faults["sizes of files"] = list(check_sizes(files, shard_bytes))
        if not faults["schema"]:
            names = ["rows", "ids", "messages", "pictures", "decoded pictures"]
            faults |= {each: [] for each in [*names, *["mode and score"] * reasoned]}
            check_rows(files, manifest, seed, faults)
    except Exception as error:  # whatever a reader of a broken file meets is a finding, not a bug
        faults["read with datasets"] = [f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"]
    return faults


def format_lines(name: str, checks: Checks) -> list[str]:
    """A line for each check, with ✓, or with ✗ and its first faults."""
    lines = []
    for check, faults in checks.items():
        rest = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        lines.append(f"{'✗' if faults else '✓'} {name}: {check}" + ": " * bool(faults))
        lines[-1] += "; ".join(faults[:SHOWN]) + rest
    return lines


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--data-root", type=Path, required=True, help="folder that holds data/")
    parser.add_argument("--seed", type=int, required=True, help="decides which pictures are decoded")
    parser.add_argument(
        "--shard-bytes", type=int, required=True, help="most bytes of a file; 0: one file of any size"
    )
    parser.add_argument("--verified", type=Path, required=True, help="out: a line for each check")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    manifest = read_json(args.manifest)
    checks = verify(args.data_root, manifest, args.seed, args.shard_bytes)
    lines = format_lines(manifest["name"], checks)
    for line in lines:
        log.info("%s", line)
    if failed := [check for check, faults in checks.items() if faults]:
        raise UserError(
            f"{manifest['name']}: {', '.join(failed)}: see the lines with ✗; delete {manifest['file']}"
            " and run again, and it is assembled anew"
        )
    write_text(args.verified, "\n".join(lines) + "\n")


if __name__ == "__main__":
    program.run(main)
