#!/usr/bin/env python
"""How long Snakemake plans at the real size, all that is to do and nothing to do, and at 20,000 shards.

20,000 shards are planned beside two bare Snakefiles of as many jobs, without functions and checkpoints: one
whose jobs have the files, resources and commands of ours, and one with one input and one output a job.
"""

import re
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
MANY = 20_000
"""Shards of the large plan; LARGE_RATIO times the bare plan's time and LARGE_MB are what it may take."""
LARGE_RATIO, LARGE_MB = 1.5, 1500
BARE = """
rule all:
    input: expand("work/convert_llava/many/{n}.json", n=range(%d))
rule list_shards:
    output: "work/list_shards/many.json"
    shell: "list_shards {output}"
rule fetch_shard:
    input: listing=ancient("work/list_shards/many.json")
    output: raw="raw/many/{n}", summary="work/fetch_shard/many/{n}.json"
    log: "logs/fetch_shard/many/{n}.log"
    resources: hub_connections=1, mem_mb=1000, runtime=240
    params: code="%s", sha256="%s"
    shell:
        "fetch_shard --listing {input.listing:q} --hub work/hub.json --raw {output.raw:q}"
        " --summary {output.summary:q} 2> {log:q}"
rule convert_llava:
    input:
        raw="raw/many/{n}",
        raw_summary="work/fetch_shard/many/{n}.json",
        listing=ancient("work/list_shards/many.json"),
    output:
        shard="work/convert_llava/many/{n}.parquet",
        rejects="work/convert_llava/many/{n}.rejects.parquet",
        summary="work/convert_llava/many/{n}.json",
    log: "logs/convert_llava/many/{n}.log"
    benchmark: "work/benchmarks/convert_llava/many/{n}.tsv"
    threads: 2
    resources: mem_mb=1000, runtime=60
    params: code="%s", settings="%s"
    shell:
        "convert_llava --raw {input.raw:q} --raw-summary {input.raw_summary:q} --settings {params.settings:q}"
        " --threads {threads} --shard {output.shard:q} --rejects {output.rejects:q}"
        " --summary {output.summary:q} 2> {log:q}"
"""
MINIMAL = """
rule all:
    input: expand("converted/{n}.parquet", n=range(%d))
rule fetch:
    output: "raw/{n}.parquet"
    log: "logs/fetch/{n}.log"
    shell: "fetch {wildcards.n} {output} 2> {log}"
rule convert:
    input: "raw/{n}.parquet"
    output: "converted/{n}.parquet"
    log: "logs/convert/{n}.log"
    shell: "convert {input} {output} 2> {log}"
"""


def plan(folder: Path, *more: str, snakefile: Path = ROOT / "Snakefile") -> list[object]:
    """The command that plans the real configuration's run in a folder."""
    snakemake = Path(sys.executable).with_name("snakemake")
    return [snakemake, "--snakefile", snakefile, "--directory", folder, "all", "--cores", "2", *more]


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


def best(command: list[object], log: Path, says: str, rounds: int = ROUNDS) -> Measured:
    """The best time of some rounds, and the largest memory; UserError where the command says otherwise."""
    rounds = [measured(command, log) for _ in range(rounds)]
    if says not in log.read_text():
        raise UserError(f"{log} does not say {says!r}")
    quickest = min(rounds, key=lambda one: one.seconds)
    return replace(quickest, peak=max(one.peak for one in rounds))


def compare_large(folder: Path) -> str:
    """Plan MANY shards and bare Snakefiles of as many jobs; lines that say how they compare."""
    shutil.rmtree(folder, ignore_errors=True)
    more = MANY - sum(full_size.SHARDS.values())
    full_size.listed(folder / "many", {"LLaVA_ReCap_CC12M": more})
    large = best(plan(folder / "many", "-n"), folder / "log.txt", "answer_text", rounds=1)
    jobs = int(re.search(r"^total +(\d+)$", (folder / "log.txt").read_text(), re.MULTILINE)[1])
    digest = "0" * 64
    bare = plan_bare(folder / "bare", BARE % (jobs // 2, digest, digest, digest, digest))
    minimal = plan_bare(folder / "minimal", MINIMAL % (jobs // 2))
    ratio = large.cpu / bare.cpu
    is_met = ratio <= LARGE_RATIO and large.peak <= LARGE_MB
    return (
        f"{MANY} shards, {jobs} jobs: {large.cpu:.0f} s of CPU, {large.peak:.0f} MB\n"
        f"a bare Snakefile of such jobs: {bare.cpu:.0f} s, {bare.peak:.0f} MB: {ratio:.2f} times"
        f" (at most {LARGE_RATIO} and {LARGE_MB} MB): {'met' if is_met else 'MISSED'}\n"
        f"one of as many jobs with one input and one output each: {minimal.cpu:.0f} s, {minimal.peak:.0f} MB:"
        f" {large.cpu / minimal.cpu:.2f} times"
    )


def plan_bare(folder: Path, snakefile: str) -> Measured:
    folder.mkdir()
    (folder / "Snakefile").write_text(snakefile)
    command = plan(folder, "-n", snakefile=folder / "Snakefile")
    return best(command, folder / "log.txt", "convert", rounds=1)


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
    print(compare_large(folder / "large"))


if __name__ == "__main__":
    run(main)
