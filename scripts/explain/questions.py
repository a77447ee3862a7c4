"""The steps of stage 3 before a teacher is asked: questions are read or drawn, filtered, and batched."""

from collections.abc import Iterator
from typing import Any

from explain.answers import list_teachers
from explain.build_folder import BuildFolder
from explain.conversion import explain_conversion, explain_reading, find_source
from explain.fates import Fate
from explain.row_lookup import read_row
from explain.step import KEPT, NOT_KNOWN, Step, build_step, cut_lines, say_missing
from explain.subject import Subject
from prep.records import seeding
from prep.records.reason import Reason


def find_task(folder: BuildFolder, subject: Subject, fates: list[Fate]) -> str | None:
    """What a teacher is asked about: text or image; None for a row that none is."""
    name = subject.name
    if any(fate.artifact == "image_thinking" for fate in fates):
        return "image"
    sampled = (*folder.plan.get("sampled", ()), *folder.plan.get("pictured", ()))
    parts = [folder.root / f"work/sample_{kind}/{name}.parquet" for kind in ("images", "questions")]
    if name in sampled or any(part.is_file() for part in parts):
        return "image"
    return None if folder.is_converted(name) else "text"


def explain_question(folder: BuildFolder, subject: Subject, what: str) -> Iterator[Step]:
    """The steps until a question is asked; none follows one that leaves it out."""
    for step in _list_steps(folder, subject, what):
        yield step
        if step.is_end:
            return


def _list_steps(folder: BuildFolder, subject: Subject, what: str) -> Iterator[Step]:
    is_converted, source = folder.is_converted(subject.name), find_source(folder, subject)
    if subject.answer or not is_converted:
        yield from explain_reading(folder, subject, source)
    if not is_converted:
        yield _explain_part(folder, subject, "read_questions", f"/{subject.name}")
    elif subject.answer:
        yield explain_conversion(folder, subject, source)
    if what == "image":
        yield _explain_sample(folder, subject, "sample_images" if is_converted else "sample_questions")
    if (folder.root / f"work/filter_{what}").is_dir():
        yield _explain_part(folder, subject, f"filter_{what}")
    if what == "text":
        yield _explain_batch(folder, subject)


def _explain_part(folder: BuildFolder, subject: Subject, rule: str, log: str = "") -> Step:
    """Whether a rule that takes questions keeps one, by its two files."""
    part = folder.root / f"work/{rule}/{subject.name}"
    kept, rejects = (part.with_name(f"{part.name}{ending}") for ending in (".parquet", ".rejects.parquet"))
    if place := folder.find_row([kept], subject.base):
        row = read_row(place, ["source_id", "question", "reference", "image_sha256"])
        facts = {"source id": row["source_id"], "picture sha256": row["image_sha256"], "at": place}
        texts = {"question": cut_lines(row["question"]), "reference": cut_lines(row["reference"], 2)}
        return build_step(folder, rule, KEPT, (texts if rule == "read_questions" else {}) | facts, log)
    if place := folder.find_row([rejects], subject.base):
        row = read_row(place)
        reason, detail = row["reason"], row["detail"] or None
        facts = {"detail": detail, "at": place}
        if reason == Reason.DUPLICATE:
            facts["twin"] = detail
        if reason == Reason.CONTAMINATED:
            facts["evaluation set"] = find_evaluation_set(folder, detail)
        return build_step(folder, rule, f"rejected: {reason}", facts, log, reason=reason)
    if kept.is_file() and rejects.is_file():
        most = folder.plan.get("questions", {}).get(subject.name)
        why = f"; the first {most} of the source are read (max_questions)" if most else ""
        return build_step(folder, rule, f"in neither of its files{why}", {"at": str(kept)}, log)
    return build_step(folder, rule, NOT_KNOWN, say_missing(kept), log)


def find_evaluation_set(folder: BuildFolder, detail: str) -> str | None:
    """The evaluation file or folder that a detail (`NAME:ROW`, `NAME/FILE`) names."""
    given = folder.read_json("work/evaluation.json") or {}
    found = (
        path
        for kind, mark in (("questions", ":"), ("pictures", "/"))
        for name, path in given.get(kind, {}).items()
        if detail.startswith(f"{name}{mark}")
    )
    return next(found, None)


def _explain_sample(folder: BuildFolder, subject: Subject, rule: str) -> Step:
    """Whether a row is drawn for the teacher of pictures: those with the smallest hashes are."""
    file, log = folder.root / f"work/{rule}/{subject.name}.parquet", f"/{subject.name}"
    if not file.is_file():
        return build_step(folder, rule, NOT_KNOWN, say_missing(file), log)
    drawn = dict(folder.find([file], "", "\U0010ffff"))
    quota = folder.plan.get("quotas", {}).get(subject.name)
    facts: dict[str, Any] = {"rows drawn": len(drawn), "rows wanted": quota, "at": str(file)}
    if place := drawn.get(subject.base):
        row = read_row(place, ["question", "image_sha256"])
        told = {"question": cut_lines(row["question"]), "picture sha256": row["image_sha256"]}
        return build_step(folder, rule, "drawn", told | facts | {"at": place}, log)
    return build_step(folder, rule, _say_not_drawn(folder, subject, list(drawn), quota), facts, log)


def _say_not_drawn(folder: BuildFolder, subject: Subject, drawn: list[str], quota: int | None) -> str:
    """Why a row is not drawn, as far as its hash tells."""
    seed = folder.plan.get("seed")
    if seed is None:
        return "not drawn"
    own, *others = (seeding.hash_names(seed, "sample", id_) for id_ in (subject.base, *drawn))
    if len(drawn) == quota and own > max(others, default=0):
        share, largest = own / 2**64, max(others, default=0) / 2**64
        return (
            f"not drawn: its hash, {share:.4f}, is not among the smallest, of which the last is {largest:.4f}"
        )
    return "not drawn: it has several rounds or tags, or no text besides its tag, or is not in the artifact"


def _explain_batch(folder: BuildFolder, subject: Subject) -> Step:
    """Which batch has a question about a text."""
    batches = folder.root / "work/batch_questions"
    files = sorted(batches.glob("*.parquet"))
    if not files:
        return build_step(folder, "batch_questions", NOT_KNOWN, say_missing(batches))
    if place := folder.find_row(files, subject.base):
        facts = {"asked": describe_due(folder, subject), "at": place}
        return build_step(folder, "batch_questions", f"in batch {place.file.stem}", facts)
    return build_step(folder, "batch_questions", "in no batch", {"at": str(batches)})


def describe_due(folder: BuildFolder, subject: Subject) -> str | None:
    """In which modes a question about a text is asked, how often, and of whom."""
    if not (asked := folder.plan.get("text")):
        return None
    share, seed = asked["no_think_share"], folder.plan["seed"]
    teachers = [teacher.name for teacher in list_teachers(folder, "text")]
    is_chosen = seeding.is_chosen(seed, subject.base, share)
    modes = "thinking and no_thinking" if is_chosen else "thinking"
    why = f"its hash is {'' if is_chosen else 'not '}in no_think_share {share:g}"
    whom = ""
    if len(teachers) > 1:
        chosen = teachers[seeding.choose_part(seed, subject.base, len(teachers))]
        whom = f", of {chosen}, by its hash" if asked.get("mix") == "hash" else f", of {', '.join(teachers)}"
    return f"{modes} ({why}), samples {asked['samples']}{whom}"
