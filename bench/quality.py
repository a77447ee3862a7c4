#!/usr/bin/env python
"""What the checks of stage 3 cost: CPU a row, and memory at so many rows beside a quarter of them."""

import sys
import tomllib
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import pandas as pd

from measure import Measured, measured
from prep.comparison.compare import Formulas, compare
from prep.records.ids import answer_id
from prep.runtime.program import parser, run
from prep.storage import parquet
from prep.storage.schema import ANSWERS, QUESTIONS, VERDICTS

ROOT = Path(__file__).resolve().parent.parent
CASES = ROOT / "tests/comparison/cases.toml"

PLAIN_MS, FORMULA_MS, GROWTH = 2.0, 30.0, 1.1
"""What a row may take of a core where no child process compares formulas, and where one does; what memory may
grow by."""
EVALUATION = 2000
"""Evaluation questions that the others are compared with."""
TALE = "A merchant sells {} lamps a day for {} coins each, and buys {} barrels of oil on every second day. "
"""What stands before a case's question, so that no two are alike."""


def write_rows(folder: Path, rows: int, with_formulas: bool) -> None:
    """Questions, answers and verdicts: the tests' comparisons by turns, each question one of its own.

    Those that nobody can tell are left out: some are formulas made to take for ever, up to their limit.
    """
    cases = [case for group in tomllib.loads(CASES.read_text()).values() for case in group]
    told = [case for case in cases if case[3] != "cannot_tell"]
    chosen = [case for case in told if isinstance(compare(*case[:3]), Formulas) == with_formulas]

    def numbered() -> Iterator[tuple[str, list[str]]]:
        for number, case in enumerate(islice(cycle(chosen), rows)):
            yield f"bench/train:{number}", case

    def questions() -> Iterator[dict]:
        for number, (id_, (asked, reference, *_)) in enumerate(numbered()):
            tale = TALE.format(number * 7919 % 10_007, number % 97, number)
            text = {"question": tale + asked, "reference": reference, "row": number}
            yield dict.fromkeys(QUESTIONS.names) | text | {"id": id_, "source": "bench"}

    def answers() -> Iterator[dict]:
        for id_, (_, _, text, _) in numbered():
            about = {"id": answer_id(id_, "thinking", 0), "question_id": id_, "mode": "thinking", "sample": 0}
            said = {"text": f"<think>\n{'Let me see. ' * 200}\n</think>\n\n{text}"}
            yield dict.fromkeys(ANSWERS.names) | about | said

    def verdicts() -> Iterator[dict]:
        for id_, _ in numbered():
            told = {"verdict": "pass", "score": 4, "votes": 1}
            yield dict.fromkeys(VERDICTS.names) | told | {"id": answer_id(id_, "thinking", 0)}

    folder.mkdir(parents=True, exist_ok=True)
    parquet.write_rows(folder / "questions.parquet", questions(), QUESTIONS)
    parquet.write_rows(folder / "answers.parquet", answers(), ANSWERS)
    parquet.write_rows(folder / "verdicts.parquet", verdicts(), VERDICTS)
    lines = (f"{TALE.format(number, 'nine', 'many')}" for number in range(EVALUATION))
    (folder / "evaluation.txt").write_text("\n".join(lines))
    (folder / "evaluation.json").write_text(
        f'{{"questions": {{"evaluation.txt": "{folder / "evaluation.txt"}"}}, "pictures": {{}}}}'
    )


def list_commands(folder: Path) -> dict[str, list[object]]:
    """The programs that check the rows in a folder, by what they do."""
    scripts, rows = ROOT / "scripts", {name: folder / f"{name}.parquet" for name in ("questions", "answers")}
    given = ["--questions", rows["questions"], "--answers", rows["answers"]]
    evaluation = '{"ngram": 13, "columns": ["question"], "sha256": ""}'
    return {
        "duplicates, evaluation sets": [
            *(sys.executable, scripts / "filter_text.py", "--questions", rows["questions"]),
            *("--names", "bench", "--duplicates", "near", "--evaluation", evaluation),
            *("--evaluation-files", folder / "evaluation.json", "--folder", folder / "filtered"),
        ],
        "rules": [
            *(sys.executable, scripts / "compare_text.py", *given),
            *("--outcomes", folder / "outcomes.parquet", "--summary", folder / "outcomes.json"),
        ],
        "selection": [
            *(sys.executable, scripts / "select_image.py", *given),
            *("--verdicts", folder / "verdicts.parquet", "--min-score", 3, "--disagree", "ask"),
            *("--keep", "best", "--keep-failed", "false", "--pass-rate", 0, 1),
            *("--shard", folder / "shard.parquet", "--rejects", folder / "rejects.parquet"),
            *("--summary", folder / "selected.json"),
        ],
    }


def build_line(check: str, rows: int, whole: Measured, part: Measured, most: float) -> dict[str, object]:
    """A line of the table; the CPU time a row is that of the rows that are added to a quarter of them."""
    cost = 1000 * (whole.cpu - part.cpu) / (rows - rows // 4)
    growth = whole.peak / part.peak
    is_met = cost <= most and growth <= GROWTH
    return {
        "check": check,
        "CPU ms a row": cost,
        "bar": most,
        "peak MB": whole.peak,
        "x a quarter": growth,
        "": "met" if is_met else "MISSED",
    }


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--folder", type=Path, required=True, help="for what is compared")
    flags.add_argument("--rows", type=int, default=20_000)
    args = flags.parse_args()
    folder, lines = args.folder.resolve(), []
    for kind, with_formulas, most in (("plain", False, PLAIN_MS), ("formulas", True, FORMULA_MS)):
        took: dict[str, list[Measured]] = {}
        for rows in (args.rows, args.rows // 4):
            here = folder / f"{kind}-{rows}"
            write_rows(here, rows, with_formulas)
            for check, command in list_commands(here).items():
                if with_formulas and check != "rules":
                    continue
                took.setdefault(check, []).append(measured(command, here / "log.txt"))
        lines += [build_line(f"{check}, {kind}", args.rows, *both, most) for check, both in took.items()]
    print(f"{args.rows:,} rows; memory may grow by a tenth from a quarter of them\n")
    print(pd.DataFrame(lines).to_string(index=False, float_format="%.2f"))


if __name__ == "__main__":
    run(main)
