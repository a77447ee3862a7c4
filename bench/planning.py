#!/usr/bin/env python
"""How long Snakemake plans at the real size: all that is to do, and nothing to do."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import full_size
from measure import Measured, measured
from prep.runtime.program import UserError, parser, run

ROOT = Path(__file__).resolve().parent.parent

SECONDS, MEGABYTES = 15, 400
"""What either may take on two quiet cores."""
ROUNDS = 3


def plan(folder: Path, *more: str) -> list[object]:
    """The command that plans the real configuration's run in a folder."""
    snakemake = Path(sys.executable).with_name("snakemake")
    return [snakemake, "--snakefile", ROOT / "Snakefile", "--directory", folder, "all", "--cores", "2", *more]


def build(folder: Path) -> None:
    """A folder in which Snakemake has taken note of a whole run, that made empty files."""
    if folder.exists():
        return
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    full_size.built(part)
    # With temporary raw shards conversions are no checkpoints, at each of which all is planned anew.
    settings = part / "touch.yaml"
    settings.write_text("keep_raw: false\n")
    # All that is ready is touched at once: choosing two of thousands takes longer than they do.
    free = ["--cores", "5000", "--resources", "hub_connections=5000", "gpu=5000"]
    touch = plan(part, *free, "--touch", "--forcerun", "fetch_shard", "probe_qwen3", "probe_glm41v")
    with (part / "log.txt").open("wb") as log:
        command = [str(word) for word in [*touch, "--configfile", settings]]
        subprocess.run(command, stdout=log, stderr=log, check=True)
    full_size.raw(part)
    part.rename(folder)


def best(command: list[object], log: Path, says: str) -> Measured:
    """The best time of some rounds, and the largest memory; UserError where the command says otherwise."""
    rounds = [measured(command, log) for _ in range(ROUNDS)]
    if says not in log.read_text():
        raise UserError(f"{log} does not say {says!r}")
    quickest = min(rounds, key=lambda one: one.seconds)
    return replace(quickest, peak=max(one.peak for one in rounds))


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--folder", type=Path, required=True, help="holds what is planned")
    folder = flags.parse_args().folder.resolve()
    shutil.rmtree(folder / "listed", ignore_errors=True)  # files that are only touched anew look changed
    full_size.listed(folder / "listed")
    build(folder / "built")
    import pandas as pd  # here, since what a process holds counts for the programs that it starts

    shards = sum(full_size.SHARDS.values())
    found = {
        f"snakemake -n all, {shards} shards listed": best(
            plan(folder / "listed", "-n"), folder / "log.txt", "answer_text"
        ),
        "snakemake -n all, all of it built": best(
            plan(folder / "built", "-n"), folder / "log.txt", "Nothing to be done"
        ),
    }
    lines = [
        {
            "plan": name,
            "seconds": one.seconds,
            "peak MB": one.peak,
            "": "met" if one.seconds <= SECONDS and one.peak <= MEGABYTES else "MISSED",
        }
        for name, one in found.items()
    ]
    print(f"at most {SECONDS} s and {MEGABYTES} MB\n")
    print(pd.DataFrame(lines).to_string(index=False, float_format="%.1f"))


if __name__ == "__main__":
    run(main)
