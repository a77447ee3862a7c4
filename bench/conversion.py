#!/usr/bin/env python
"""The conversion beside the machine's limits: what takes how long, as ratios, and how much memory."""

import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median

from measure import Measured, measured
from prep.runtime.program import parser, run
from prep.storage.atomic import write_json

ROOT = Path(__file__).resolve().parent.parent

ROUNDS = 3
"""Each program is run so often, in turn with the others, and its median time and its largest memory count.

The slow one runs once."""

COPY, PASS, DECODE = "cp", "pyarrow pass-through and sha256", "bare decode loop, 2 processes"
HEADER, DECODED, ASSEMBLE = "convert_llava, header", "convert_llava, decode", "assemble_artifact"
MAP = "datasets.map, 2 processes"
OURS = (HEADER, DECODED, ASSEMBLE)

LIMITS = {
    f"{HEADER}: time / {PASS}": (1.6, "at most"),
    f"{DECODED}: rate / {DECODE}": (0.85, "at least"),
    f"{HEADER}: rate / {MAP}": (20, "at least"),
    f"{DECODED}: rate / {MAP}": (10, "at least"),
    "convert and assemble: peak MB": (600, "at most"),
    "convert and assemble: peak / peak at a quarter of the rows": (1.1, "at most"),
}


def commands(raw: Path, folder: Path) -> dict[str, list[object]]:
    """Each program's command line; assembling needs what converting wrote."""
    python, out = sys.executable, folder / "out"
    baselines = ROOT / "bench/baselines.py"
    part = out / "decode.json"
    artifact = out / "artifact.parquet"
    return {
        COPY: ["cp", raw, out / "copy.parquet"],
        PASS: [python, baselines, "pass_through", raw, out / "pass.parquet"],
        DECODE: [python, baselines, "decode", raw],
        HEADER: [python, *_convert(raw, out, "header")],
        DECODED: [python, *_convert(raw, out, "decode")],
        ASSEMBLE: [
            *(python, ROOT / "scripts/assemble_artifact.py", "--parts", part, "--kind", "converted"),
            *(
                "--may-be-empty",
                "none",
                "--notice",
                "",
                "--shard-bytes",
                0,
                "--artifact",
                artifact,
                "--rejects",
                out / "rejects.parquet",
            ),
            *("--summary", out / "artifact.json"),
        ],
        MAP: [python, baselines, "datasets_map", raw, out / "map/map.parquet"],
    }


def _convert(raw: Path, out: Path, check: str) -> list[object]:
    summary = raw.with_suffix(".json")
    write_json(summary, {"files": {"raw": {"path": f"data/{raw.name}", "sha256": ""}}})
    return [
        *(ROOT / "scripts/convert_llava.py", "--raw", raw, "--raw-summary", summary, "--name", "bench"),
        *("--columns", '{"image": "image", "id": "id", "turns": "conversations"}'),
        *("--missing-tag", "prepend", "--check", check, "--max-pixels", 89_478_485),
        *("--on-bad-shard", "fail", "--threads", 2, "--shard", out / f"{check}.parquet"),
        *("--rejects", out / f"{check}.rejects.parquet", "--summary", out / f"{check}.json"),
    ]


def medians(given: dict[str, list[object]], folder: Path) -> dict[str, Measured]:
    """Each program's median time, and its largest memory."""
    runs: dict[str, list[Measured]] = {name: [] for name in given}
    for number in range(ROUNDS):
        for name, command in given.items():
            if name == MAP and number:
                continue
            shutil.rmtree(folder / "out/map", ignore_errors=True)
            (folder / "out/map").mkdir(parents=True)
            runs[name].append(measured(command, folder / "log.txt"))
            say(f"{name}: {runs[name][-1].seconds:.2f} s, {runs[name][-1].peak:.0f} MB")
    return {
        name: Measured(
            median(one.seconds for one in each),
            max(one.peak for one in each),
            median(one.cpu for one in each),
        )
        for name, each in runs.items()
    }


def figures(whole: dict[str, Measured], quarter: dict[str, Measured]) -> dict[str, float]:
    """What LIMITS names."""

    def rate(name: str, other: str) -> float:
        return whole[other].seconds / whole[name].seconds

    values = (
        1 / rate(HEADER, PASS),
        rate(DECODED, DECODE),
        rate(HEADER, MAP),
        rate(DECODED, MAP),
        max(whole[name].peak for name in OURS),
        max(whole[name].peak / quarter[name].peak for name in OURS),
    )
    return dict(zip(LIMITS, values, strict=True))


def show(rows: int, whole: dict[str, Measured], quarter: dict[str, Measured]) -> None:
    """Print both tables; a picture's whole way is converting, which writes texts alone, and assembling."""
    import pandas as pd  # here, since what a process holds counts for the programs that it starts

    both = {
        f"{name}, then {ASSEMBLE}": Measured(
            whole[name].seconds + whole[ASSEMBLE].seconds,
            max(whole[name].peak, whole[ASSEMBLE].peak),
            whole[name].cpu + whole[ASSEMBLE].cpu,
        )
        for name in (HEADER, DECODED)
    }
    programs = pd.DataFrame(
        {
            "program": name,
            "seconds": one.seconds,
            "rows/s": rows / one.seconds,
            "time / pass-through": one.seconds / whole[PASS].seconds,
            "rate / decode loop": whole[DECODE].seconds / one.seconds,
            "rate / datasets.map": whole[MAP].seconds / one.seconds,
            "peak MB": one.peak,
            "a quarter": quarter[name].peak if name in quarter else None,
        }
        for name, one in (whole | both).items()
    )
    limits = pd.DataFrame(
        {
            "figure": name,
            "found": found,
            "wanted": f"{LIMITS[name][1]} {LIMITS[name][0]}",
            "": "met" if (found <= LIMITS[name][0]) == (LIMITS[name][1] == "at most") else "MISSED",
        }
        for name, found in figures(whole, quarter).items()
    )
    for table in (programs, limits):
        print(table.to_string(index=False, float_format="%.2f", na_rep=""), end="\n\n")


def say(line: str) -> None:
    """Tell how far it is, beside the tables."""
    print(line, file=sys.stderr)


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--folder", type=Path, required=True, help="holds the corpus and what is made of it")
    flags.add_argument("--rows", type=int, default=10_000, help="of the corpus, about 110 kB each")
    args = flags.parse_args()
    found = {}
    for rows in (args.rows, args.rows // 4):
        raw = args.folder / f"corpus-{rows}.parquet"
        if not raw.exists():
            say(f"drawing {rows} rows")
            subprocess.run([sys.executable, ROOT / "bench/corpus.py", raw, str(rows)], check=True)
        found[rows] = medians(commands(raw, args.folder), args.folder)
    whole, quarter = found.values()
    write_json(args.folder / "conversion.json", {name: vars(one) for name, one in whole.items()})
    show(args.rows, whole, quarter)


if __name__ == "__main__":
    run(main)
