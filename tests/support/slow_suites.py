"""Change detection for slow test suites: one is due when what it tests has changed since it last passed.

    slow_suites.py due          the suites to run, one a line; standard error says why, and what is skipped
    slow_suites.py record vllm  after a green run: note the digest of each file, to be committed

Comments and docstrings of Python files do not count (see workflow_lib.code_digest).
"""

import argparse
import json
import sys
from pathlib import Path

from workflow_lib.code_digest import content_digest

ROOT = Path(__file__).resolve().parents[2]
GREEN = "tests/green"
"""The folder of the records: a JSON file for each suite, digest by path."""

SUITES = {
    "datasets": (
        "tests/test_old_datasets.py",
        "tests/support/converted.py",
        "tests/support/nasty.py",
        "scripts/prep/storage/*.py",
        "scripts/prep/convert/shard.py",
        "scripts/assemble_artifact.py",
    ),
    "snakemake": (
        "tests/test_newest_snakemake.py",
        "tests/support/full_size.py",
        "Snakefile",
        "rules/*.smk",
        "workflow_lib/*.py",
    ),
    "staleness": (
        "tests/staleness/suite.py",
        "tests/support/workflow.py",
        "Snakefile",
        "rules/*.smk",
        "workflow_lib/*.py",
        "scripts/*.py",
        "scripts/prep/inference/journal.py",
        "scripts/prep/reasoning/*.py",
        "scripts/prep/storage/*.py",
    ),
    "conda": (
        "tests/conda/suite.py",
        "envs/*.*",
    ),
    "slurm": (
        "tests/slurm/suite.py",
        "tests/support/slurm_cluster.py",
        "profiles/slurm/config.yaml",
        "profiles/cluster-generic/config.yaml",
        "Snakefile",
        "rules/*.smk",
        "workflow_lib/*.py",
        "scripts/prep/inference/journal.py",
        "scripts/prep/inference/lease.py",
        "scripts/prep/runtime/*.py",
    ),
    "chaos": (
        "tests/chaos/*.py",
        "tests/support/asked.py",
        "tests/support/disks.py",
        "tests/support/small_build.py",
        "tests/support/stand_in_server.py",
        "tests/support/teachers.py",
        "scripts/prep/inference/*.py",
        "scripts/prep/serving/*.py",
        "scripts/prep/runtime/*.py",
        "scripts/prep/storage/*.py",
        "Snakefile",
        "rules/common.smk",
        "workflow_lib/failures.py",
        "workflow_lib/locked_folder.py",
        "workflow_lib/run_folder.py",
    ),
    "hostile": (
        "tests/hostile/suite.py",
        "tests/support/fault_server.py",
        "tests/support/teachers.py",
        "tests/support/workflow.py",
        "scripts/prep/hub/*.py",
        "scripts/prep/inference/*.py",
        "scripts/prep/runtime/*.py",
        "scripts/prep/serving/*.py",
        "workflow_lib/*.py",
    ),
    "llamafactory": (
        "tests/llamafactory/*.*",
        "tests/trainers/*.*",
        "tests/support/converted.py",
        "tests/support/cpu_torchvision.py",
        "tests/support/nasty.py",
        "scripts/assemble_artifact.py",
        "scripts/publish_llamafactory.py",
        "scripts/publish_registration.py",
        "scripts/templates/publish_llamafactory.yaml",
        "scripts/prep/convert/image_check.py",
        "scripts/prep/report/registration.py",
        "scripts/prep/storage/*.py",
        "workflow_lib/training.py",
    ),
    "browser": (
        "tests/browser/suite.py",
        "tests/support/browser.py",
        "tests/support/reports.py",
        "scripts/publish_report.py",
        "scripts/templates/publish_report.*",
        "scripts/prep/report/*.py",
    ),
    "vllm": (
        "tests/vllm/*.*",
        "tests/support/cpu_torchvision.py",
        "envs/vllm-*",
        "rules/servers.smk",
        "scripts/prep/inference/*.py",
        "scripts/prep/serving/*.py",
        "scripts/prep/reasoning/batch.py",
        "scripts/prep/runtime/process_group.py",
        "scripts/prep/runtime/program.py",
        "scripts/answer_*.py",
        "scripts/judge_*.py",
        "scripts/probe_server.py",
        "scripts/serve_server.py",
    ),
}
"""What each suite tests, as patterns of paths. `make test-NAME` runs it."""


def digest_files(root: Path, patterns: tuple[str, ...]) -> dict[str, str]:
    """The digest of each file that a pattern matches; ValueError for a pattern that matches none."""
    found = {}
    for pattern in patterns:
        files = [file for file in sorted(root.glob(pattern)) if file.is_file()]
        if not files:
            raise ValueError(f"no file matches {pattern}; name what the suite tests now")
        found |= {file.relative_to(root).as_posix(): content_digest(file)[:16] for file in files}
    return found


def changed_files(root: Path, suite: str) -> list[str]:
    """The files of a suite that changed, came or went since its last green run."""
    record = root / GREEN / f"{suite}.json"
    then = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    now = digest_files(root, SUITES[suite])
    return sorted(path for path in then.keys() | now.keys() if then.get(path) != now.get(path))


def record_green_run(root: Path, suite: str) -> None:
    """Note what a suite tests as it is now."""
    record = root / GREEN / f"{suite}.json"
    record.parent.mkdir(exist_ok=True)
    digests = digest_files(root, SUITES[suite])
    record.write_text(json.dumps(digests, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("due")
    commands.add_parser("record").add_argument("suite", choices=SUITES)
    args = parser.parse_args()
    if args.command == "record":
        return record_green_run(ROOT, args.suite)
    for suite in SUITES:
        if changed := changed_files(ROOT, suite):
            named = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
            print(f"{suite}: due, since its last green run changed: {named}", file=sys.stderr)
            print(suite)
        else:
            print(f"{suite}: skipped, nothing that it tests has changed; make test-{suite}", file=sys.stderr)
    return None


if __name__ == "__main__":
    main()
