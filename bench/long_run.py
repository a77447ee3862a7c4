#!/usr/bin/env python
"""The long run: every artifact from half a million rows and a hundred thousand requests.

It shows what each program holds of memory and open files as it goes on. The sources are of the default
config's shapes, with small pictures; the teacher is the tests' own server, which answers at once. All
processes of the run are looked at every second. A program is flat where it holds no more in the second half
of its time than in the first: what accumulates with rows or requests would show there.
"""

import io
import json
import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image

from corpus import SCHEMA
from fault_server import FaultServer
from prep.runtime.program import UserError, parser, run
from teachers import teach

ROOT = Path(__file__).resolve().parent.parent
SHARD_ROWS = 10_000
CONFIGS = ["bench0", "bench1"]
SHARES = {
    "lmms-lab/LLaVA-ReCap-558K/data": 0.2,
    "lmms-lab/LLaVA-ReCap-CC3M/data": 0.3,
    "lmms-lab/LLaVA-ReCap-CC12M/data": 0.3,
    "naver-clova-ix/synthdog-en/data": 0.05,
    "naver-clova-ix/synthdog-zh/data": 0.05,
    **{f"lmms-lab/LLaVA-OneVision-Data/{name}": 0.05 for name in CONFIGS},
}
"""The share of the rows that each folder of the mirror has."""
SAMPLES = 6000
"""Pictures of each OneVision config that are reasoned over."""
SIZES = 50
"""Pictures of so many sizes take turns."""
INTERVAL = 1.0
"""Seconds between two looks at the processes."""
CONCURRENCY = 64
"""Requests in flight, and so connections that a client holds, some of them only later."""
GROWTH, GROWTH_MB, MORE_FILES = 1.1, 100, CONCURRENCY
"""A program may hold a tenth more in its second half, or so many MB; and so many more open files.

Programs that run once an artifact take the small ones first, and hold some batches of each. 100 MB are 400
bytes a row of that half.
"""
FEWEST = 60
"""Looks at a program, at least: before, one half is its start alone."""
PAGES_OCR = pa.schema([("image", SCHEMA.field("image").type), ("ground_truth", pa.string())])


@dataclass(frozen=True)
class Look:
    """What a program held at a moment: seconds, MB of resident memory, open files; of its largest process."""

    second: float
    memory: float
    files: int


def draw_pictures() -> list[bytes]:
    """Small JPEGs of different sizes."""
    draw = random.Random(0)
    found = []
    for number in range(SIZES):
        size = 32 + number, 80 - number // 2
        encoded = io.BytesIO()
        Image.frombytes("RGB", size, draw.randbytes(3 * size[0] * size[1])).save(encoded, "JPEG", quality=30)
        found.append(encoded.getvalue())
    return found


def build_row(number: int, jpeg: bytes, is_page: bool) -> dict:
    """A row of a caption, an answer or a page; each JPEG has a comment of its own."""
    comment = number.to_bytes(8)
    picture = {"bytes": jpeg[:2] + b"\xff\xfe\x00\x0a" + comment + jpeg[2:], "path": f"{number}.jpg"}
    if is_page:
        said = {"gt_parse": {"text_sequence": f"Line {number} of a page that was read."}}
        return {"image": picture, "ground_truth": json.dumps(said)}
    turns = [
        {"from": "human", "value": f"<image>\nWhat is number {number}?"},
        {"from": "gpt", "value": f"It is a pattern of coloured dots, the one with the number {number}."},
    ]
    return {"id": f"{number:09d}", "image": picture, "conversations": turns, "data_source": "bench"}


def write_mirror(folder: Path, rows: int, questions: int) -> None:
    """A mirror of sources with so many rows, and of so many questions."""
    pictures = draw_pictures()
    number = 0
    for place, share in SHARES.items():
        shards = max(1, round(rows * share / SHARD_ROWS))
        size = round(rows * share / shards)
        is_page = "synthdog" in place
        for shard in range(shards):
            file = folder / place / f"train-{shard:05d}-of-{shards:05d}.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            with pq.ParquetWriter(file, PAGES_OCR if is_page else SCHEMA) as writer:
                for start in range(0, size, 1000):
                    some = range(number + start, number + min(size, start + 1000))
                    made = [build_row(each, pictures[each % SIZES], is_page) for each in some]
                    writer.write_table(pa.Table.from_pylist(made, writer.schema))
            number += size
    file = folder / "tatsu-lab/alpaca/data/train-00000-of-00001.parquet"
    file.parent.mkdir(parents=True)
    asked = [f"What is {number} + {number % 97}, and why is it so?" for number in range(questions)]
    columns = {"instruction": asked, "input": [""] * questions, "output": ["A number."] * questions}
    pq.write_table(pa.table(columns), file)


def build_config(folder: Path, base_url: str) -> dict:
    """The default config over the mirror, with one external server for teachers and judges."""
    server = {"mode": "external", "model": "model", "base_urls": [base_url], "concurrency": CONCURRENCY}
    questions = {
        "repo": "tatsu-lab/alpaca",
        "revision": "main",
        "question": ["instruction", "input"],
        "reference": "output",
    }
    return {
        "hub": {"mirror": str(folder / "hub")},
        "onevision": {"configs": CONFIGS},
        "text_reasoning": {"sources": [questions], "batch_size": 5000},
        "image_reasoning": {"samples_per_config": SAMPLES},
        "servers": {"qwen3": server, "glm41v": server},
    }


def look(root: psutil.Process) -> Iterator[tuple[str, Look]]:
    """Each living program of a run, and what the largest of its processes holds."""
    now = time.monotonic()
    largest: dict[str, Look] = {}
    for process in [root, *root.children(recursive=True)]:
        try:
            with process.oneshot():
                name = name_program(process.cmdline())
                held = Look(now, process.memory_info().rss / 1e6, process.num_fds())
        except psutil.Error:
            continue
        if name and (name not in largest or held.memory > largest[name].memory):
            largest[name] = held
    yield from largest.items()


def name_program(words: list[str]) -> str | None:
    """The program that a command line runs: one of scripts/, or Snakemake itself."""
    for word in words[:3]:
        path = Path(word)
        if path.suffix == ".py" and path.parent.name == "scripts":
            return path.stem
        if path.name == "snakemake":
            return "snakemake"
    return None


def run_build(folder: Path, base_url: str) -> tuple[dict[str, list[Look]], float]:
    """Build all; what was seen of each program, and the seconds that it took."""
    (folder / "config.yaml").write_text(yaml.safe_dump(build_config(folder, base_url)))
    command = [Path(sys.executable).with_name("snakemake"), "all", "--snakefile", ROOT / "Snakefile"]
    command += ["--cores", "2", "--directory", folder, "--configfile", folder / "config.yaml"]
    seen: dict[str, list[Look]] = defaultdict(list)
    start = time.monotonic()
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log)
        root = psutil.Process(process.pid)
        while process.poll() is None:
            for name, held in look(root):
                seen[name].append(held)
            time.sleep(INTERVAL)
    if process.returncode:
        raise UserError(f"the run failed, see {folder}/log.txt")
    return seen, time.monotonic() - start


def compare_halves(name: str, looks: list[Look]) -> dict[str, object]:
    """A line of the table: the most that a program held in either half of its looks."""
    halves = looks[: len(looks) // 2], looks[len(looks) // 2 :]
    before, after = (max((each.memory for each in half), default=0.0) for half in halves)
    files = [max((each.files for each in half), default=0) for half in halves]
    is_flat = after <= max(GROWTH * before, before + GROWTH_MB) and files[1] <= files[0] + MORE_FILES
    return {
        "program": name,
        "s": looks[-1].second - looks[0].second,
        "MB, first half": before,
        "second": after,
        "files, first half": files[0],
        "second ": files[1],
        "": "short" if len(looks) < FEWEST else "flat" if is_flat else "GROWS",
    }


def count_rows(folder: Path) -> tuple[int, int]:
    """The rows of all sources that were kept, and those that were rejected."""
    manifests = [json.loads(file.read_text()) for file in (folder / "data/manifest").rglob("*.json")]
    return sum(each["kept"] for each in manifests), sum(sum(each["rejected"].values()) for each in manifests)


def size_of(folder: Path) -> int:
    """The bytes of a folder's files."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--folder", type=Path, required=True, help="for what is built; must not exist")
    flags.add_argument("--rows", type=int, default=500_000)
    flags.add_argument("--questions", type=int, default=34_000)
    args = flags.parse_args()
    folder = args.folder.resolve()
    if folder.exists():
        raise UserError(f"{folder} exists; name a new folder, or delete it")
    write_mirror(folder / "hub", args.rows, args.questions)
    with FaultServer(teach, slots=256) as server:
        seen, seconds = run_build(folder, server.base_url)
        requests = sum(server.finished.values())
    lines = [compare_halves(name, looks) for name, looks in sorted(seen.items())]
    print(pd.DataFrame(lines).to_string(index=False, float_format="%.0f"))
    kept, rejected = count_rows(folder)
    logs = size_of(folder / "logs") + os.path.getsize(folder / "log.txt")
    print(
        f"\nlong run: {args.rows:,} rows of sources, {requests:,} requests in {seconds:,.0f} s;"
        f" kept {kept:,}, rejected {rejected:,}; logs {logs / 1e6:.1f} MB"
    )


if __name__ == "__main__":
    run(main)
