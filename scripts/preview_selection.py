#!/usr/bin/env python
"""Show which rows of stage 3 another selection would keep: nothing is asked, and no page is drawn.

Answers and verdicts that stand are selected by the settings given, and held against the artifacts and their
rejects. It says how many answers it could not compare, because a batch lacks answers or verdicts.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from prep.reasoning import blind_check, selection
from prep.records.reason import Reason
from prep.report.built_files import find_artifact, read_manifests, read_rows
from prep.report.difference import KEPT, Difference, format_differences
from prep.runtime import program
from prep.runtime.program import UserError
from prep.runtime.sanitize import sanitize
from prep.storage import parquet

WHAT = {"text2image": "text", "image_thinking": "image"}
"""What is asked about for an artifact: it names the folders of answers and verdicts."""
OF_PAGES = (Reason.MISSING_GLYPH, Reason.TOO_LONG_TO_RENDER)
"""Why a question has no pages, whatever the judge says of its answer."""
CHANGES = pa.schema(
    [("artifact", pa.string()), ("id", pa.string()), ("was", pa.string()), ("now", pa.string())]
)


def read_outcomes(root: Path, name: str) -> dict[str, str]:
    """What became of each answer of an artifact: `kept` or the reason, by id."""
    data = root / "data"
    kept = read_rows(find_artifact(data, read_manifests(data)[name]), ["id"])
    rejects = read_rows(root / "data" / "rejects" / f"{name}.parquet", ["id", "reason"])
    return dict.fromkeys((row["id"] for row in kept), KEPT) | {row["id"]: row["reason"] for row in rejects}


def list_batches(work: Path, what: str, given: dict[str, Any]) -> Iterator[argparse.Namespace]:
    """The files of each batch that was answered and judged whole, and the settings, as programs take both."""
    names = given.get("teachers", [""])
    endings = ["", *(f".{name}" for name in names[1:])]
    for first in sorted(path for path in (work / f"answer_{what}").glob("[0-9]*.parquet")):
        batch = first.stem
        if not batch.isdigit():
            continue  # of a further teacher
        files = {
            "answers": [work / f"answer_{what}/{batch}{ending}.parquet" for ending in endings],
            "verdicts": [work / f"judge_{what}/{batch}{ending}.parquet" for ending in endings],
            "rated_answers": [], "rated_verdicts": [], "blind_answers": [], "blind_verdicts": [],
        }  # fmt: skip
        if rated := given.get("rated"):
            files["rated_answers"] = [work / f"answer_{what}/{batch}.{rated}.parquet"]
            files["rated_verdicts"] = [work / f"judge_{what}/{batch}.{rated}.parquet"]
        if given.get("blind_check", "off") != "off":
            files["blind_answers"] = [work / f"answer_blind/{batch}.parquet"]
            files["blind_verdicts"] = [work / f"judge_blind/{batch}.parquet"]
        if all(path.is_file() for path in chain.from_iterable(files.values())):
            yield argparse.Namespace(**{"teachers": [], "samples": 0} | given | files)


def select_batch(args: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """The id of each answer of a batch, and what would become of it: `kept` or a reason."""
    decided, _ = selection.decide_answers(args)
    answers, verdicts = (
        chain.from_iterable(map(parquet.read_rows, paths))
        for paths in (args.blind_answers, args.blind_verdicts)
    )
    needs = blind_check.find_needs(answers, verdicts, args.disagree)
    for id_, decision in decided.items():
        rejection = decision.rejection
        if getattr(args, "blind_check", "off") == "filter" and needs.get(id_.rpartition("#")[0]) is False:
            rejection = rejection or blind_check.NOT_NEEDED
        yield id_, KEPT if rejection is None else str(rejection[0])


@dataclass
class Preview:
    """How an artifact would differ; `changes` are rows of CHANGES.

    Of its `answers` so many are `compared`: the others are in no batch that was answered and judged as the
    settings ask.
    """

    difference: Difference
    changes: list[dict]
    answers: int
    compared: int


def preview(root: Path, name: str, given: dict[str, Any]) -> Preview:
    """How an artifact would differ if its answers were selected as `given`."""
    was = read_outcomes(root, name)
    rows = sum(outcome == KEPT for outcome in was.values())
    found, changes, seen = Difference(name, rows, rows), [], set()
    for batch in list_batches(root / "work", WHAT[name], given):
        first = batch.answers[0]
        with parquet.explain_broken(first, lambda: "this batch, or the judge's verdicts on it, is broken"):
            selected = dict(select_batch(batch))
        for id_, now in selected.items():
            if id_ not in was or id_ in seen:
                continue  # of a batch that was cut in an earlier way
            seen.add(id_)
            before = was[id_]
            if before != now and not (before in OF_PAGES and now == KEPT):
                found.add((before, now), id_)
                changes.append({"artifact": name, "id": id_, "was": before, "now": now})
    found.new = rows + found.added - found.gone
    return Preview(found, changes, sum("#" in id_ for id_ in was), len(seen))


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--tasks", type=json.loads, required=True, help="JSON: how each artifact is selected")
    parser.add_argument("--folder", type=Path, required=True, help="the build: it holds data/ and work/")
    parser.add_argument("--changes", type=Path, help="out: parquet of every answer that changes")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.changes:
        program.check_replaceable(args.changes)
    standing = [name for name in args.tasks if (args.folder / f"data/manifest/{name}.json").is_file()]
    if not standing:
        raise UserError(f"{args.folder}: no artifact of stage 3 stands here; FOLDER=… says where one does")
    found = [preview(args.folder, name, args.tasks[name]) for name in standing]
    if not any(each.compared for each in found):
        raise UserError(
            f"{args.folder}/work: no batch is answered and judged as these settings ask;"
            " a run asks what is missing"
        )
    print(sanitize(format_differences(each.difference for each in found)))
    for each in found:
        if each.compared < each.answers:
            lacking = f"of {each.answers:,} answers {each.answers - each.compared:,} are not compared"
            why = "they are in no batch that was answered and judged as these settings ask"
            print(f"\n{each.difference.name}: {lacking}: {why}")
    if args.changes:
        parquet.write_rows(args.changes, chain.from_iterable(each.changes for each in found), CHANGES)
        print(f"\n{args.changes}")


if __name__ == "__main__":
    program.run(main)
