"""The explanation of a row: its fates, its source, what each step decided, and what to do next."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from explain import absence
from explain.answers import explain_answers
from explain.build_folder import BuildFolder
from explain.conversion import describe_source, explain_conversion, explain_reading, find_source
from explain.fates import Fate, find_fates
from explain.questions import explain_question, find_task
from explain.row_lookup import Place
from explain.step import Step, build_step, say_missing
from explain.subject import Subject, parse_subject
from prep.runtime.program import UserError


@dataclass
class Explanation:
    """All that the files of a build tell of a row.

    `absence` says why the row is nowhere in data/, where it is not. `notes` tell what could not be read.
    """

    id: str
    fates: list[Fate]
    absence: str | None
    origin: dict[str, Any]
    steps: list[Step]
    notes: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)


def explain_row(folder: BuildFolder, text: str) -> Explanation:
    """Explain a row by its id; raises UserError, with ids that come near, where nothing tells of it."""
    if (subject := parse_subject(text)) is None:
        raise UserError(absence.explain_no_id(folder, text))
    fates = find_fates(folder, subject)
    steps = list(list_steps(folder, subject, fates))
    nowhere = None if fates else explain_absence(folder, subject, steps)
    steps += [explain_assembly(folder, fate) for fate in fates if fate.id == subject.id]
    origin = describe_source(folder, subject, find_source(folder, subject))
    commands = list_commands(folder, subject, steps, fates)
    return Explanation(subject.id, fates, nowhere, origin, steps, folder.notes, commands)


def list_steps(folder: BuildFolder, subject: Subject, fates: list[Fate]) -> Iterator[Step]:
    """The steps of a row in the order of the data, as far as it came."""
    if folder.is_converted(subject.name) and not subject.answer:
        source, last = find_source(folder, subject), None
        for last in explain_reading(folder, subject, source):
            yield last
        if last.is_end:
            return
        yield (converted := explain_conversion(folder, subject, source))
        if converted.is_end or any(fate.artifact == subject.name and fate.reason for fate in fates):
            return
    if what := find_task(folder, subject, fates):
        last = None
        for last in explain_question(folder, subject, what):
            yield last
        if last is None or not last.is_end:
            yield from explain_answers(folder, subject, what)


def explain_assembly(folder: BuildFolder, fate: Fate) -> Step:
    """The step that put a row into an artifact, or among its rejects."""
    summary = folder.root / f"work/assemble_artifact/{fate.artifact}.json"
    facts = {"summary": str(summary)} if summary.is_file() else say_missing(summary)
    outcome = f"in {fate.artifact}" if fate.reason is None else f"among the rejects of {fate.artifact}"
    facts = {"at": fate.facts["at"]} | facts
    return build_step(folder, "assemble_artifact", outcome, facts, f"/{fate.artifact}")


def explain_absence(folder: BuildFolder, subject: Subject, steps: list[Step]) -> str:
    """Why a row is nowhere in data/; raises UserError where no file of the build tells of it."""
    source = find_source(folder, subject)
    is_there = any(isinstance(step.facts.get("at"), Place) for step in steps)
    may_be = source is not None and source.rows is not None and subject.row < source.rows
    if not is_there and not may_be and not steps[-1].outcome.startswith("not read"):
        raise UserError(absence.explain_unknown(folder, subject))
    of_answers = () if subject.answer else ("answer_", "judge_", "render_", "select_")
    for step in steps:
        if step.is_end and not step.name.startswith((*of_answers, "answer_blind", "judge_blind")):
            return f"{step.name}: {step.outcome}"
    what = find_task(folder, subject, [])
    if what and (why := absence.find_why_unasked(folder, subject, what)):
        return f"it was not asked: {why}"
    return "its artifact is not built yet, or was built before it came"


def list_commands(folder: BuildFolder, subject: Subject, steps: list[Step], fates: list[Fate]) -> list[str]:
    """Commands to copy: about the rows that this one hangs on, and to draw its pages."""
    is_here = str(folder.root) == "."
    where = "" if is_here else f" FOLDER={shlex.quote(str(folder.root))}"
    ids = [step.facts.get(fact) for step in steps for fact in ("twin", "kept instead")]
    ids += [fate.id for fate in fates]
    ids += [subject.base] if subject.answer else []
    others = dict.fromkeys(id_ for id_ in ids if id_ and id_ != subject.id)
    commands = [f"make why ID={shlex.quote(id_)}{where}" for id_ in others]
    if any(step.name == "batch_questions" and isinstance(step.facts.get("at"), Place) for step in steps):
        questions = "" if is_here else f" QUESTIONS={shlex.quote(str(folder.root / 'work/batch_questions'))}"
        commands.append(f"make pages ID={shlex.quote(subject.id)}{questions}")
    return commands
