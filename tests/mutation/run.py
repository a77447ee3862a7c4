"""Mutation testing of pure functions with Cosmic Ray: what of a module may change with no test that fails.

    run.py --module scripts/prep/records/conversation.py --minutes 10

The module is altered in a copy of the checkout, never in the checkout itself. Its tests are those of MODULES.
Mutants are tried in an order that the seed decides, until the time is over. Those that survive are printed as
differences, and then the counts: a mutant of which a test fails, or never ends, is killed.
"""

import argparse
import random
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path

from cosmic_ray.commands import init
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome

ROOT = Path(__file__).resolve().parents[2]
PREP = "scripts/prep"
MODULES = {
    f"{PREP}/records/conversation.py": "tests/test_conversation.py",
    f"{PREP}/records/choices.py": "tests/test_choices.py",
    f"{PREP}/records/ids.py": "tests/test_ids.py",
    f"{PREP}/records/template_tokens.py": "tests/test_template_tokens.py",
    f"{PREP}/convert/ocr.py": "tests/test_convert_ocr.py",
    f"{PREP}/hub/numbered_files.py": "tests/test_numbered_files.py",
    f"{PREP}/inference/concurrency.py": "tests/test_concurrency.py",
    f"{PREP}/inference/errors.py": "tests/test_errors.py",
    f"{PREP}/inference/streaming.py": "tests/test_streaming.py",
    f"{PREP}/reasoning/answer_format.py": "tests/test_answer_format.py",
    f"{PREP}/reasoning/samples.py": "tests/test_samples.py",
    f"{PREP}/reasoning/verdict.py": "tests/test_verdict.py tests/test_injections.py",
    f"{PREP}/runtime/retry_after.py": "tests/test_retry_after.py",
    f"{PREP}/runtime/sanitize.py": "tests/test_sanitize.py",
    **{
        f"{PREP}/comparison/{name}.py": "tests/test_comparison.py"
        for name in ("compare", "numerals", "quantities")
    },
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


def list_mutants(module: Path, folder: Path, seed: int) -> list[MutationSpec]:
    """All mutants of a module, in an order that the seed decides."""
    session = folder / "mutants.sqlite"
    session.unlink(missing_ok=True)
    with use_db(session, WorkDB.Mode.create) as database:
        init([module], database, {})
        found = [item.mutations[0] for item in database.pending_work_items]
    random.Random(seed).shuffle(found)
    return found


def show_difference(text: str) -> str:
    """The changed lines of a difference, with the place of the first."""
    lines = text.splitlines()
    place = next((line for line in lines if line.startswith("@@")), "")
    changed = [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    return "\n".join([place, *changed])


def try_module(name: str, folder: Path, minutes: float, seed: int) -> Counter[str]:
    """Try mutants of a module until the time is over; the counts by outcome, `left` among them."""
    command = f".venv/bin/python -m pytest -x -q -p no:cacheprovider {MODULES[name]}"
    begun = time.monotonic()
    sound = subprocess.run(
        f"cd {folder} && {command}", shell=True, capture_output=True, text=True, check=False
    )
    if sound.returncode:
        raise SystemExit(f"{name}: its tests fail without a mutant:\n{sound.stdout[-2000:]}")
    longest = 60 + 5 * (time.monotonic() - begun)
    mutants = list_mutants(folder / name, folder, seed)
    counts: Counter[str] = Counter(left=len(mutants))
    for mutant in mutants:
        if time.monotonic() - begun > 60 * minutes:
            break
        done = mutate_and_test([mutant], f'bash -c "cd {folder} && {command}"', longest)
        outcome = "survived" if done.test_outcome == TestOutcome.SURVIVED else "killed"
        counts[outcome] += 1
        counts["left"] -= 1
        if outcome == "survived":
            print(f"survived: {name} {mutant.operator_name}\n{show_difference(done.diff or '')}", flush=True)
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--module", action="append", choices=MODULES, help="which; left out: all, one by one")
    parser.add_argument("--minutes", type=float, required=True, help="for each module")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=ROOT / ".mutation/checkout")
    args = parser.parse_args()
    copy_checkout(args.folder)
    total: Counter[str] = Counter()
    for name in args.module or MODULES:
        counts = try_module(name, args.folder, args.minutes, args.seed)
        tried = counts["killed"] + counts["survived"]
        print(f"{name}: {counts['killed']} of {tried} mutants killed, {counts['left']} not tried", flush=True)
        total += counts
    tried = total["killed"] + total["survived"]
    print(f"mutation: {total['killed']} of {tried} killed, {total['killed'] / max(1, tried):.1%}")


if __name__ == "__main__":
    main()
