#!/usr/bin/env python
"""How busy a whole stage 3 keeps eight GPUs: the workflow at a tenth of full size, on simulated servers.

`--parts 3` runs it at a third, whose middle has fewer batches that begin and end.

Both paths run as users run them: Snakemake, managed servers of eight replicas, jobs that answer, compare and
judge. A replica is the tests' batching engine (tests/support/batching_engine.py) at its own pace, so that
programs take as long to start as beside GPUs; with `--scale 2` it takes half the time, and their starts count
double. Batches and the time to load a model are scaled as the whole. A share is the tokens that were
written over those of the best fixed limit in the time from the first request to the last answer. So few
answers allow no client more than a share that is told too: verdicts wait for the last answer of their batch,
and the last answers of all leave the servers idle.

Full size would take four hours. It is run in virtual time (bench/virtual_run.py), with the whole time to load
and with answers and a wait for programs to start that are drawn from what was measured. Beside it stands what
the same model makes of the size that was measured. `before` is the text path with what was the default: 64 in
flight, one job at a time, each with a start of its own; at full size it has as many starts for its batches.
"""

import io
import json
import math
import os
import random
import shutil
import statistics
import subprocess
import sys
from argparse import Namespace
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image

from batching_engine import BatchingEngine, Machine, Sequence, machine
from corpus import SCHEMA
from prep.runtime.program import UserError, parser, run
from virtual_run import VirtualRun, cut_batches

ROOT = Path(__file__).resolve().parent.parent
MACHINE = "eight_80gb"
QUESTIONS, PICTURES, BATCH = 162_000, 84_000, 10_000  # at full size
CONFIGS = [f"bench{number}" for number in range(math.ceil(PICTURES / BATCH))]
"""A batch of samples is of whole configs, so each has one here."""
MOST_TOKENS = 2000
PICTURE_BYTES = 130_000
STREAM_S = 10.0
FIXED = (96, 128, 160, 192, 224, 256)
"""Limits of a replica, among which the best fixed one is looked for."""

TEXT = Namespace(
    scale=1.0,
    requests=QUESTIONS,
    server="qwen3",
    judge="judge_text",
    before=["batch_questions"],
    more={},
    resources=[],
)
SAMPLES = [f"work/sample_images/llavaonevision_converted/{name}.json" for name in CONFIGS]
IMAGE = Namespace(
    scale=1.0,
    requests=PICTURES,
    server="glm41v",
    judge="judge_image",
    before=SAMPLES,
    more={},
    resources=[],
)
FORMER = {"concurrency": 64, "linger": 0}
BEFORE = vars(TEXT) | {
    "scale": 8.0, "requests": 2 * BATCH, "more": FORMER, "resources": ["server_qwen3=1"]
}  # fmt: skip
PATHS = {"text": TEXT, "image": IMAGE, "before": Namespace(**BEFORE)}
"""Simulated seconds in one, requests at full size, server, last rule, what comes before, further flags."""


def write_questions(folder: Path, count: int) -> None:
    """Questions and references in alpaca's layout."""
    file = folder / "tatsu-lab/alpaca/data/train-00000-of-00001.parquet"
    file.parent.mkdir(parents=True)
    draw = random.Random(0)
    asked = [
        f"Question {number}: " + " ".join(str(draw.randrange(100)) for _ in range(draw.randrange(20, 200)))
        for number in range(count)
    ]
    columns = {"instruction": asked, "input": [""] * count, "output": ["Five."] * count}
    pq.write_table(pa.table(columns), file)


def write_pictures(folder: Path, count: int, batch: int) -> None:
    """Rows with a picture of about 130 kB in OneVision's layout, a config for each batch."""
    noise = Image.frombytes("RGB", (360, 240), random.Random(0).randbytes(360 * 240 * 3))
    encoded = io.BytesIO()
    noise.save(encoded, "JPEG", quality=85)
    fill = max(0, PICTURE_BYTES - len(encoded.getvalue()))
    for start, name in zip(range(0, count, batch), CONFIGS, strict=True):
        numbers = range(start, min(start + batch, count))
        rows = [picture_row(number, encoded.getvalue(), fill) for number in numbers]
        file = folder / "lmms-lab/LLaVA-OneVision-Data" / name / "train-00000-of-00001.parquet"
        file.parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows, SCHEMA), file)


def picture_row(number: int, jpeg: bytes, fill: int) -> dict:
    """A row whose JPEG has a comment of its own, which makes it as large as is asked for."""
    comment = number.to_bytes(4) + bytes(min(fill, 65_000))
    marked = jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2) + comment + jpeg[2:]
    asked = f"<image>\nQuestion {number}: how many are there?"
    return {
        "id": f"{number:09d}",
        "image": {"bytes": marked, "path": f"{number}.jpg"},
        "conversations": [{"from": "human", "value": asked}, {"from": "gpt", "value": "Five."}],
        "data_source": "bench",
    }


def settings(what: Namespace, folder: Path) -> dict:
    """The default config, with batches and loading scaled, on simulated servers."""
    load_s = machine(MACHINE).load_s / what.parts
    replicas = machine(MACHINE).replicas
    flags = {"machine": MACHINE, "scale": what.scale, "load": load_s, "most": MOST_TOKENS, "stream": STREAM_S}
    server = {
        "mode": "managed",
        "launcher": [sys.executable, str(ROOT / "tests/support/batching_engine.py")],
        "args": [str(word) for name, value in flags.items() for word in (f"--{name}", value)]
        + ["--notes", str(folder / "notes")],
        "replicas": replicas,
        "devices": ",".join(map(str, range(replicas))),
    } | what.more
    questions = {
        "repo": "tatsu-lab/alpaca",
        "revision": "main",
        "question": ["instruction", "input"],
        "reference": "output",
    }
    return {
        "hub": {"mirror": str(folder / "hub")},
        "onevision": {"configs": CONFIGS},
        "images": {"check": "header"},
        "text_reasoning": {"batch_size": what.batch, "sources": [questions]},
        "image_reasoning": {"batch_size": what.batch, "samples_per_config": what.batch},
        "servers": {"qwen3": server, "glm41v": server},
    }


def run_path(name: str, folder: Path, checkout: Path) -> list[dict]:
    """Run a path from its sources to its verdicts; what its replicas noted of starts and answers."""
    what = PATHS[name]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if name == "image":
        write_pictures(folder / "hub", what.requests, what.batch)
    else:
        write_questions(folder / "hub", what.requests)
    (folder / "config.yaml").write_text(yaml.safe_dump(settings(what, folder)))
    targets = [
        f"work/{what.judge}/{batch:05d}.json" for batch in range(math.ceil(what.requests / what.batch))
    ]
    command = [Path(sys.executable).with_name("snakemake"), "--snakefile", checkout / "Snakefile"]
    command += ["--cores", "40", "--resources", "gpu=8", *what.resources]
    command += ["--directory", folder, "--configfile", folder / "config.yaml", "--"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tests/support")}
    with (folder / "log.txt").open("wb") as log:
        for called in (what.before, targets):
            words = [str(word) for word in (*command, *called)]
            if subprocess.run(words, stdout=log, stderr=log, env=environment, check=False).returncode:
                raise UserError(f"{name}: the run failed, see {folder}/log.txt")
    return [
        json.loads(line) for file in (folder / "notes").iterdir() for line in file.read_text().splitlines()
    ]


def measure_best(what: Machine, answers: list[dict], batch: int) -> tuple[float, float]:
    """The most tokens a second that a machine's replicas write of these answers at a fixed limit, when full.

    And the share of it that they reach from the first request to the last answer, with that limit of requests
    in flight as long as there are as many, and no program that starts: the most that any client can have of
    so few answers. Batches are asked in order, their long answers first. A batch's verdicts are due when all
    its answers are there, and go before other answers.
    """
    mixed = random.Random(0).sample(answers, len(answers))
    best = max(measure_fixed(what, mixed, limit)[0] for limit in FIXED)
    find_batch = partial(batch_of, batch)
    in_order = sorted(answers, key=lambda row: (find_batch(row), row["mode"] != "thinking"))
    return best, max(measure_fixed(what, in_order, limit, find_batch)[1] for limit in FIXED) / best


def batch_of(batch: int, row: dict) -> int:
    """The number of the batch, of `batch` questions, of the question that an answer is about."""
    return int(row["about"].rstrip(":").split()[-1]) // batch


def measure_fixed(
    what: Machine, answers: list[dict], limit: int, find_batch: Callable[[dict], int] | None = None
) -> tuple[float, float]:
    """Tokens a second at a limit of each replica: between a fifth and four fifths of the answers, and in all.

    A request goes to the replica with the fewest. With `find_batch` verdicts wait for their batch's answers.
    """
    engines = [BatchingEngine(what) for _ in range(what.replicas)]
    in_flight = Counter(dict.fromkeys(engines, 0))
    verdicts: dict[int, list[dict]] = {}
    due: deque[dict] = deque()
    for row in answers:
        waits = find_batch is not None and row["mode"] == "verdict"
        (verdicts.setdefault(find_batch(row), []) if waits else due).append(row)
    left = Counter(map(find_batch, due)) if find_batch else Counter()
    ended: list[tuple[float, int]] = [(0.0, 0)]  # when, and the tokens until then

    def send(now: float) -> None:
        while due and min(in_flight.values()) < limit:
            engine = min(engines, key=in_flight.get)
            in_flight[engine] += 1
            row = due.popleft()
            engine.submit(Sequence(row["prompt"], row["tokens"], partial(end, engine, row)), now)

    def end(engine: BatchingEngine, row: dict) -> None:
        in_flight[engine] -= 1
        ended.append((engine.now, ended[-1][1] + row["tokens"]))
        if find_batch:
            left[find_batch(row)] -= 1
            if not left[find_batch(row)]:
                due.extendleft(verdicts.pop(find_batch(row), ()))
        send(engine.now)

    send(0.0)
    while len(ended) <= len(answers):
        first = min(engines, key=BatchingEngine.next_event)
        first.advance(first.next_event())
    (begin, before), (until, after) = (ended[int(len(answers) * share)] for share in (0.2, 0.8))
    last, written = ended[-1]
    return (after - before) / (until - begin), written / last


def measure_start(answers: list[dict], batch: int) -> float:
    """The median of the seconds from a batch's last answer to its first verdict, while programs start."""
    last: dict[int, float] = {}
    first: dict[int, float] = {}
    for row in answers:
        number = batch_of(batch, row)
        if row["mode"] == "verdict":
            first[number] = min(row["asked"], first.get(number, math.inf))
        else:
            last[number] = max(row["answered"], last.get(number, 0.0))
    return statistics.median(first[number] - last[number] for number in first)


def simulate(size: Machine, answers: list[dict], questions: int, batch: int, start_s: float) -> VirtualRun:
    """A path of so many questions, to its end, in virtual time: an eighth of it on one of eight replicas."""
    rows = {
        kind: [(row["prompt"], row["tokens"]) for row in answers if row["mode"] == mode] or [(0, 0)]
        for mode, kind in (("thinking", "thinking"), ("plain", "no_thinking"), ("verdict", "judge"))
    }
    modes, draw = Counter(row["mode"] for row in answers), random.Random(0)
    batches = cut_batches(
        questions // size.replicas, batch // size.replicas, modes["plain"] / modes["thinking"], draw
    )
    path = VirtualRun(size, batches, lambda kind: draw.choice(rows[kind]), start_s=start_s)
    while path.jobs:
        path.advance()
    return path


def report(name: str, notes: list[dict]) -> tuple[float, float, int]:
    """Print a path's shares; give its share, what part that is of the most, and the starts of its server."""
    what, size = PATHS[name], machine(MACHINE)
    answers = sorted((row for row in notes if row.get("about")), key=lambda row: row["answered"])
    starts = sum("started" in row for row in notes) // size.replicas
    best, most = measure_best(size, answers, what.batch)
    begin, end = min(row["asked"] for row in answers), answers[-1]["answered"]
    tokens = sum(row["tokens"] for row in answers)
    seconds = (end - begin) * what.scale
    share = tokens / best / seconds
    print(
        f"{name}: {len(answers)} answers, {tokens} tokens in {seconds:.0f} s,"
        f" {starts} starts of {size.load_s / what.parts:.0f} s; {share:.1%} of {best:.0f} tokens/s, where"
        f" these answers allow {most:.1%}"
    )
    if name == "before":  # each job starts anew, at full size too
        full = tokens / best / (seconds + starts * size.load_s * (1 - 1 / what.parts))
        print(f"{name}: at full size {full:.1%}", flush=True)
        return share, share / most, starts
    start_s = measure_start(answers, what.batch) * what.scale
    for about, parts, wait_s, load_s in (
        ("this size", 1, start_s, 0.0),
        ("this size with programs that start at once", 1, 0.0, 0.0),
        ("full size", what.parts, start_s, 0.0),
        ("full size with the load", what.parts, start_s, starts * size.load_s),
    ):
        path = simulate(size, answers, what.requests * parts, what.batch * parts, wait_s)
        virtual = path.written / (best / size.replicas) / (path.now + load_s)
        print(f"{name}: in virtual time, {about}: {virtual:.1%}", flush=True)
    print(f"{name}: programs take {start_s:.0f} s to start", flush=True)
    return share, share / most, starts


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--folder", type=Path, required=True, help="for what is built")
    flags.add_argument("--only", choices=PATHS, nargs="*", default=list(PATHS))
    flags.add_argument("--checkout", type=Path, default=ROOT, help="whose workflow runs")
    flags.add_argument("--scale", type=float, default=1.0, help="simulated seconds in one, but of `before`")
    flags.add_argument("--parts", type=int, default=10, help="a run is this part of full size")
    args = flags.parse_args()
    TEXT.scale = IMAGE.scale = args.scale
    for what in PATHS.values():
        what.parts, what.batch = args.parts, BATCH // args.parts
        what.requests //= args.parts
    found = {}
    for name in args.only:
        found[name] = report(name, run_path(name, (args.folder / name).resolve(), args.checkout))
    shares = [f"{name} {share:.1%} ({part:.1%} of the most)" for name, (share, part, _) in found.items()]
    starts = sum(starts for name, (_, _, starts) in found.items() if name != "before")
    print(f"busy: {', '.join(shares)}, starts {starts}")


if __name__ == "__main__":
    run(main)
