"""An id that no file of a build holds: why, and which ids come near."""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import PurePosixPath

from explain.answers import list_teachers
from explain.build_folder import BuildFolder
from explain.conversion import find_source, list_sources
from explain.subject import FORMS, Subject, parse_subject
from prep.records import seeding

NEAR = 3
"""Ids that are named at most."""


def explain_no_id(folder: BuildFolder, text: str) -> str:
    """The line for a text that is no id."""
    name, _, rest = text.rpartition("/")
    stem, _, row = rest.partition("#")[0].rpartition(":")
    about = Subject(
        name or stem, name or stem, stem or rest, int(row) if row.isdecimal() and len(row) < 19 else 0
    )
    near = list_near_ids(folder, about)
    return f"{text}: is no id: {FORMS}" + (f"; such as {', '.join(near)}" if near else "")


def explain_unknown(folder: BuildFolder, subject: Subject) -> str:
    """The line for an id that nothing tells of."""
    source = find_source(folder, subject)
    if source and source.rows is not None and subject.row >= source.rows:
        return f"{subject.id}: {source.file} has {source.rows:,} rows, counted from 0"
    near = list_near_ids(folder, subject)
    line = f"{subject.id}: no row or question of {folder.root} has this id"
    return f"{line}; near it: {', '.join(near)}" if near else f"{line}; ids are {FORMS}"


def find_why_unasked(folder: BuildFolder, subject: Subject, what: str) -> str | None:
    """Why an answer is not due to a question; None where it is, or nothing tells."""
    asked = folder.plan.get(what)
    if not asked or subject.mode is None:
        return None
    modes = ["thinking", *(["no_thinking"] if what == "text" else [])]
    if subject.mode not in modes:
        return f"there is no mode {subject.mode}, but {' and '.join(modes)}"
    teachers = list_teachers(folder, what)
    most = max(teacher.before for teacher in teachers) + asked["samples"]
    if subject.sample >= most:
        return f"its question has {most} sample(s) in a mode, counted from 0"
    share = asked.get("no_think_share", 0)
    if subject.mode == "no_thinking" and not seeding.is_chosen(folder.plan["seed"], subject.base, share):
        return f"its question is not in the share that is asked without thinking (no_think_share {share:g})"
    return None


def list_near_ids(folder: BuildFolder, subject: Subject) -> list[str]:
    """Ids of names and files that the build knows, the nearest first."""
    found = []
    for name in _nearest(subject.name, folder.list_names()):
        stems = {PurePosixPath(each.file).stem: each for each in list_sources(folder, name)}
        for stem in _nearest(subject.stem, stems) or list(stems)[:1]:
            rows = stems[stem].rows
            row = subject.row if rows is None else max(0, min(subject.row, rows - 1))
            found.append(f"{name}/{stem}:{row}")
    return [each for each in dict.fromkeys(found) if each != subject.id and parse_subject(each)][:NEAR]


def _nearest(wanted: str, known: Iterable[str]) -> list[str]:
    """Those that are the same, else end so, else resemble it."""
    known = list(known)
    if wanted in known:
        return [wanted]
    ends_so = [each for each in known if each.endswith(f"/{wanted}")]
    return ends_so or get_close_matches(wanted, known, NEAR, 0.5)
