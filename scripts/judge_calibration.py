#!/usr/bin/env python
"""Measure the judge: how many planted errors it passes, and how many right answers it fails."""

import argparse
import json
from pathlib import Path
from typing import Any

from prep.reasoning.calibration import GROUPS, MEANINGS, Group, count_verdicts
from prep.report.formatting import format_interval, format_share
from prep.runtime import program
from prep.storage import parquet
from prep.storage.atomic import write_json

RATES = {
    Group.WRONG: "errors that the judge passes",
    Group.RIGHT: "right answers that it fails",
    Group.ARGUABLE: "arguable answers that it passes",
}


def list_lines(task: dict[str, Any]) -> list[str]:
    """A task's rates, a line for each group and kind."""
    lines = [f"{task['artifact']}, judged by {task['judge']}"]
    for group, kinds in GROUPS.items():
        total = task["sums"].get(group)
        lines.append(_show(RATES[group], total) if total else f"  {RATES[group]}")
        lines += [_show(f"  {MEANINGS[kind]}", task["kinds"][kind]) for kind in kinds]
    return lines


def _show(what: str, line: dict[str, Any]) -> str:
    if line["rate"] is None:
        return f"  {what:<52} {'none' if not line['planted'] else 'no verdict'}"
    heard = line["passed"] + line["failed"]
    wrong = line["wrong"]
    rate = f"{wrong:,} of {heard:,}: {format_share(wrong, heard)} ({format_interval(line['interval'])})"
    apart = [f"{line[name]} {name}" for name in ("unclear", "unanswered") if line[name]]
    return f"  {what:<52} {', '.join([rate, *apart])}"


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument(
        "--about", type=json.loads, required=True, help="JSON: each task's artifact, judge, …"
    )
    parser.add_argument("--samples", type=int, required=True, help="kept answers of each task, at most")
    parser.add_argument("--verdicts", type=Path, nargs="*", required=True, help="of planted answers, by task")
    parser.add_argument("--calibration", type=Path, required=True, help="out: counts, rates, intervals")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if not args.about:
        raise program.UserError("no judge is asked: neither text_reasoning nor image_reasoning has questions")
    tasks = {}
    for (name, about), verdicts in zip(args.about.items(), args.verdicts, strict=True):
        tasks[name] = about | count_verdicts(parquet.read_rows(verdicts), about["min_score"])
    write_json(args.calibration, {"samples": args.samples, "tasks": tasks})
    for task in tasks.values():
        print("\n".join(list_lines(task)))


if __name__ == "__main__":
    program.run(main)
