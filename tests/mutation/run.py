"""Mutation testing of pure functions with Cosmic Ray: what of a module may change with no test that fails.

    run.py --module scripts/prep/records/conversation.py --sample 60

A module is altered in a copy of the checkout, never in the checkout itself. Its tests are those of MODULES.
The seed decides the order of its mutants, of which so many are tried. Those that survive are printed as
differences, and at the end the counts: a mutant of which a test fails, or never ends, is killed.
Mutants of type annotations are left out: `str - None` in one fails at import, whatever is tested.
"""

import argparse
import ast
import difflib
import hashlib
import random
import shlex
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Self

from cosmic_ray.commands import init
from cosmic_ray.mutating import use_mutation
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec

ROOT = Path(__file__).resolve().parents[2]
PREP = "scripts/prep"
SLOW = ("client", "faults", "files", "engine_takes", "runs_away")
LIMIT_ALONE = f"tests/test_concurrency.py -k 'not {' and not '.join(SLOW)}'"
"""Without the tests that ask a server or simulate an engine for an hour, which take seconds each."""
RULES_ALONE = "tests/test_comparison.py -k 'not formula and not process and not few'"
"""Without the tests of the process that formulas are compared in, which take seconds."""
MODULES = {
    f"{PREP}/records/conversation.py": "tests/test_conversation.py",
    f"{PREP}/records/choices.py": "tests/test_choices.py",
    f"{PREP}/records/ids.py": "tests/test_ids.py",
    f"{PREP}/records/template_tokens.py": "tests/test_template_tokens.py",
    f"{PREP}/convert/ocr.py": "tests/test_convert_ocr.py -k 'not nasty and not bad_shard'",
    f"{PREP}/hub/numbered_files.py": "tests/test_numbered_files.py",
    f"{PREP}/inference/concurrency.py": LIMIT_ALONE,
    f"{PREP}/inference/errors.py": "tests/test_errors.py",
    f"{PREP}/inference/streaming.py": "tests/test_streaming.py",
    f"{PREP}/reasoning/answer_format.py": "tests/test_answer_format.py",
    f"{PREP}/reasoning/samples.py": "tests/test_samples.py",
    f"{PREP}/reasoning/verdict.py": "tests/test_verdict.py tests/test_injections.py",
    f"{PREP}/runtime/retry_after.py": "tests/test_retry_after.py",
    f"{PREP}/runtime/sanitize.py": "tests/test_sanitize.py",
    f"{PREP}/comparison/compare.py": f"tests/test_compare.py {RULES_ALONE}",
    f"{PREP}/comparison/numerals.py": "tests/test_numerals.py",
    f"{PREP}/comparison/quantities.py": f"tests/test_quantities.py {RULES_ALONE}",
}
"""The tests of each module, as arguments of pytest."""


def copy_checkout(folder: Path) -> None:
    """Copy the files of the checkout that are in git, or could be, and link its .venv."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    shutil.rmtree(folder, ignore_errors=True)
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to((ROOT / ".venv").resolve())
    corpus = folder.parent / "shared"
    corpus.unlink(missing_ok=True)
    corpus.symlink_to((ROOT.parent / "shared").resolve())  # some tests read the small real corpus beside it


def find_annotations(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Where type annotations begin and end, as (line from 1, column from 0)."""
    found = []
    for node in ast.walk(ast.parse(source)):
        for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if annotation is not None:
                begin = annotation.lineno, annotation.col_offset
                found.append((begin, (annotation.end_lineno, annotation.end_col_offset)))
    return found


def list_mutants(module: Path, folder: Path, seed: int) -> list[MutationSpec]:
    """The mutants of a module but for those of annotations, in an order that the seed decides."""
    session = folder / "mutants.sqlite"
    session.unlink(missing_ok=True)
    with use_db(session, WorkDB.Mode.create) as database:
        init([module], database, {})
        found = [item.mutations[0] for item in database.pending_work_items]
    annotations = find_annotations(module.read_text(encoding="utf-8"))
    found = [
        mutant for mutant in found if not any(begin <= mutant.start_pos < end for begin, end in annotations)
    ]
    found.sort(key=lambda mutant: (mutant.operator_name, str(mutant.operator_args), mutant.occurrence))
    random.Random(seed).shuffle(found)
    return found


def show_difference(before: str, after: str) -> str:
    """The changed lines, with the number of the first."""
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0))
    return "\n".join(lines[2:])


class Tester:
    """The process of tester.py, which runs tests in the copy of the checkout."""

    def __init__(self, folder: Path, tests: str):
        python, log = folder / ".venv/bin/python", folder.parent / "tests.log"
        command = [python, folder / "tests/mutation/tester.py", "--log", log, *shlex.split(tests)]
        self._process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.cpu_seconds = self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(self) -> str:
        """What came of the tests: passed, failed, uncollected or timeout."""
        print(file=self._process.stdin, flush=True)
        return self._read()

    def _read(self) -> str:
        if not (line := self._process.stdout.readline()):
            raise SystemExit(self._process.wait())
        return line.strip()


class Killed:
    """The mutants that earlier runs killed, one a line, each by a digest of what it was."""

    def __init__(self, path: Path):
        self._path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self._outcomes = dict(line.split() for line in lines)

    def get(self, mutated: str) -> str | None:
        """How a mutated module was killed."""
        return self._outcomes.get(_digest(mutated))

    def add(self, mutated: str, outcome: str) -> None:
        """Write down how a mutated module was killed."""
        with self._path.open("a") as file:
            print(_digest(mutated), outcome, file=file)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def try_module(name: str, folder: Path, sample: int | None, seed: int, killed: Killed) -> Counter[str]:
    """Try so many mutants of a module; the counts by outcome, and of all as `mutants`."""
    mutants = list_mutants(folder / name, folder.parent, seed)
    counts: Counter[str] = Counter(mutants=len(mutants))
    with Tester(folder, MODULES[name]) as tester:
        for mutant in mutants[:sample]:
            operator = get_operator(mutant.operator_name)(**mutant.operator_args)
            with use_mutation(folder / name, operator, mutant.occurrence) as (before, after):
                outcome = killed.get(after)
                if outcome is None and (outcome := tester.run()) != "passed":
                    killed.add(after, outcome)
            counts[outcome] += 1
            if outcome == "passed":
                print(f"survived: {name}\n{show_difference(before, after)}", flush=True)
    return counts


def show_counts(name: str, counts: Counter[str]) -> str:
    """A line of a table in Markdown: mutants, tried, killed in three ways, survived, and the share killed."""
    by = [counts[outcome] for outcome in ("failed", "timeout", "uncollected")]
    tried = sum(by) + counts["passed"]
    cells = [name, counts["mutants"], tried, *by, counts["passed"], f"{sum(by) / max(1, tried):.1%}"]
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--module", action="append", choices=MODULES, help="which; left out: all, one by one")
    parser.add_argument("--sample", type=int, help="how many mutants of each module; left out: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=ROOT / ".mutation/checkout")
    parser.add_argument(
        "--retry",
        action="store_true",
        help="try only what no earlier run with the same module's text has killed",
    )
    args = parser.parse_args()
    copy_checkout(args.folder)
    known = args.folder.parent / "killed.txt"
    if not args.retry:
        known.unlink(missing_ok=True)
    killed = Killed(known)
    head = ["module", "mutants", "tried", "a test fails", "no end", "no import", "survive", "killed"]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    total: Counter[str] = Counter()
    for name in args.module or MODULES:
        counts = try_module(name, args.folder, args.sample, args.seed, killed)
        lines.append(show_counts(name.removeprefix(f"{PREP}/"), counts))
        print(lines[-1], flush=True)
        total += counts
    print("\n".join([*lines, show_counts("together", total)]))


if __name__ == "__main__":
    main()
