"""The steps of an answer of stage 3: asked, compared with its reference, judged, selected."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from explain.build_folder import SEARCHED_BYTES, BuildFolder
from explain.journal_lookup import Entry, begin_record
from explain.row_lookup import Place, read_row
from explain.rules import SELECTS
from explain.step import KEPT, NOT_KNOWN, Step, build_step, cut_lines, describe_reason, say_missing
from explain.subject import Subject
from prep.inference.request import Response
from prep.reasoning import verdict
from prep.records import seeding
from prep.records.ids import answer_id, parse_answer_id, vote_id
from prep.records.reason import Reason
from prep.rendering.style import sample_style
from prep.rendering.style_summary import describe_style

SHOWN_ANSWERS = 4
"""Of a question with more answers each has a line, and its steps where it is asked about by its own id."""
BLIND_SAMPLE = "blind.0"
"""What follows a question's id in that of its answer without the picture."""
OUTCOMES = {
    "agrees": "says what the reference says",
    "disagrees": "says something else than the reference",
    "cannot_tell": "no rule can tell",
}


class Teacher(NamedTuple):
    """A teacher of a task: its server's name, or None where nothing tells it.

    `suffix` follows a batch in its files' names; its samples are numbered from `before` on.
    """

    name: str | None
    suffix: str = ""
    before: int = 0


@dataclass
class Answer:
    """An answer where it stands: `id` is the training row's, `own` the one by which its teacher was asked.

    `what` is asked about, `row` is of ANSWERS.
    """

    id: str
    own: str
    what: str
    row: dict[str, Any]
    place: Place
    teacher: Teacher

    @property
    def stem(self) -> str:
        """The batch, and of a further teacher its name, as files are named by them."""
        return self.place.file.stem

    @property
    def batch(self) -> str:
        """The batch alone."""
        return self.stem.partition(".")[0]

    @property
    def further(self) -> str | None:
        """The name of the teacher, where it is not the task's first."""
        return self.teacher.suffix[1:] or None


def list_teachers(folder: BuildFolder, what: str) -> list[Teacher]:
    """The teachers of a task in order, by the settings of the last run, or by the files that stand.

    The settings name a server whose pass rate alone counts among them: its answers become no rows.
    """
    if asked := folder.plan.get(what):
        rated = (asked.get("pass_rate_server") or {}).get("server")
        names, samples = [name for name in asked["teachers"] if name != rated], asked["samples"]
        before = samples if len(names) > 1 and asked.get("mix") == "all" else 0
        further = (Teacher(name, f".{name}", number * before) for number, name in enumerate(names[1:], 1))
        return [Teacher(names[0]), *further]
    folder.note(f"{folder.root / 'work/plan.json'}: not there; it tells of teachers, models and seeds")
    stems = [path.stem for path in sorted((folder.root / f"work/answer_{what}").glob("*.parquet"))]
    names = dict.fromkeys(name for stem in stems if (name := stem.partition(".")[2]))
    return [Teacher(None), *(Teacher(name, f".{name}") for name in names)]


def find_answers(folder: BuildFolder, subject: Subject, what: str) -> list[Answer]:
    """The answers to a question, or the one that is asked about, in the order of teachers."""
    found = []
    every = sorted((folder.root / f"work/answer_{what}").glob("*.parquet"))
    for teacher in list_teachers(folder, what):
        files = [file for file in every if file.stem.removesuffix(teacher.suffix).isdecimal()]
        for own, place in folder.find(files, *subject.answers_range):
            parts = parse_answer_id(own)
            id_ = answer_id(subject.base, parts.mode, parts.sample + teacher.before)
            if subject.answer in (None, id_):
                found.append(Answer(id_, own, what, read_row(place), place, teacher))
    return found


def explain_answers(folder: BuildFolder, subject: Subject, what: str) -> Iterator[Step]:
    """The steps of all answers to a question, or of the one that is asked about."""
    if what == "image":
        yield from _explain_blind_check(folder, subject)
    answers = find_answers(folder, subject, what)
    if not answers:
        missing = say_missing(folder.root / f"work/answer_{what}/…{subject.id}")
        yield build_step(folder, f"answer_{what}", NOT_KNOWN, missing)
    for answer in answers:
        if len(answers) > SHOWN_ANSWERS:
            outcome = f"rejected: {answer.row['reason']}" if answer.row["reason"] else "answered"
            yield Step(f"answer_{what}", outcome, {"answer": answer.id, "at": answer.place})
            continue
        yield _explain_request(folder, answer, f"answer_{what}")
        if answer.row["reason"] is None:
            yield _explain_rule(folder, answer, f"compare_{what}")
            yield _explain_verdict(folder, answer, f"judge_{what}")
        yield _explain_selection(folder, answer)


def _explain_blind_check(folder: BuildFolder, subject: Subject) -> Iterator[Step]:
    """The steps of the answer without the picture; none where there is no such check."""
    own = f"{subject.base}#{BLIND_SAMPLE}"
    place = folder.find_row(sorted((folder.root / "work/answer_blind").glob("*.parquet")), own)
    if place is None:
        return
    answer = Answer(own, own, "text", read_row(place), place, list_teachers(folder, "text")[0])
    yield _explain_request(folder, answer, "answer_blind")
    if answer.row["reason"] is None:
        yield _explain_rule(folder, answer, "compare_blind")
        answer.what = "image"
        yield _explain_verdict(folder, answer, "judge_blind")


def _explain_request(folder: BuildFolder, answer: Answer, rule: str) -> Step:
    """What a teacher was asked, and answered."""
    row, parts = answer.row, parse_answer_id(answer.own)
    server = answer.teacher.name or find_server(folder, rule, answer.stem)
    own = folder.plan.get(answer.what, {}).get("teachers", {}).get(server, {})
    entries, journal = find_journal(folder, server, answer, [answer.own], row["mode"])
    said = entries[-1].record if entries else {}
    text = row["text"]
    if text is None:
        text = "\n".join(part for part in (said.get("reasoning"), said.get("content")) if part)
    why = describe_reason(row["reason"], row["detail"]) if row["reason"] else {"detail": row["detail"]}
    facts = {
        "answer": answer.id,
        **{key: value for key, value in why.items() if key != "reason"},
        "teacher": describe_server(folder, server),
        "mode": row["mode"],
        "sample": row["sample"],
        "seed": find_seed(folder, parts),
        "sampling": own.get("sampling", {}).get("thinking" if row["mode"] == "blind" else row["mode"]),
        "length": f"{len(text):,} characters{describe_tokens(said)}" if text else None,
        "finish": said.get("finish_reason"),
        "text": cut_lines(text) if text else None,
        "at": answer.place,
        "journal": journal,
    }
    outcome = f"rejected: {row['reason']}" if row["reason"] else "answered"
    about = {"reason": row["reason"], "teacher": answer.further}
    return build_step(folder, rule, outcome, facts, f"/{answer.stem}", **about)


def _explain_rule(folder: BuildFolder, answer: Answer, rule: str) -> Step:
    """What a rule says of an answer."""
    file, log = folder.root / f"work/{rule}/{answer.stem}.parquet", f"/{answer.stem}"
    if not (place := folder.find_row([file], answer.own)):
        return build_step(folder, rule, NOT_KNOWN, say_missing(file), log, teacher=answer.further)
    said = read_row(place)["rule"]
    outcome = f"{said}: {OUTCOMES.get(said, 'an outcome of other code')}"
    return build_step(folder, rule, outcome, {"at": place}, log, teacher=answer.further)


def _explain_verdict(folder: BuildFolder, answer: Answer, rule: str) -> Step:
    """What the judge said of an answer."""
    file, log = folder.root / f"work/{rule}/{answer.stem}.parquet", f"/{answer.stem}"
    if not (place := folder.find_row([file], answer.own)):
        return build_step(folder, rule, NOT_KNOWN, say_missing(file), log, teacher=answer.further)
    row, asked = read_row(place), folder.plan.get(answer.what, {})
    if row["verdict"] is None and row["reason"] is None:
        outcome = "not asked: the rule agrees"
        return build_step(folder, rule, outcome, {"at": place}, log, teacher=answer.further)
    server = asked.get("judge") or find_server(folder, rule, answer.stem)
    votes = 1 if rule == "judge_blind" else asked.get("judge_votes", 1)
    ids = [vote_id(answer.own, vote) for vote in range(votes)]
    facts = {
        "judge": describe_server(folder, server),
        "votes": None if row["votes"] is None else f"{row['votes']} of {votes} pass",
        "grounded": row["grounded"],
        "judge's reason": row["detail"] or None,
        "seed": find_seed(folder, (answer.own, "judge", 0)),
        "at": place,
        "journal": find_judge_journal(folder, server, answer, ids, row),
    }
    outcome = f"rejected: {row['reason']}" if row["reason"] else f"{row['verdict']}, score {row['score']}"
    about = {"reason": row["reason"], "teacher": answer.further}
    return build_step(folder, rule, outcome, facts, log, **about)


def _explain_selection(folder: BuildFolder, answer: Answer) -> Step:
    """Whether an answer became a training row."""
    rule, log = SELECTS[answer.what], f"/{answer.batch}"
    part = folder.root / f"work/{rule}/{answer.batch}"
    shard, rejects = (part.with_name(f"{part.name}{ending}") for ending in (".parquet", ".rejects.parquet"))
    policy = {"kept are": describe_policy(folder.plan.get(answer.what))}
    if answer.what == "text":
        policy |= {"look": find_look(folder, answer.id), "drawn as written": find_literal(folder, answer)}
    if place := folder.find_row([shard], answer.id):
        columns = ("score", "pass_rate", "needs_picture")
        row = read_row(place, columns)
        facts = {name.replace("_", " "): row[name] for name in columns} | policy | {"at": place}
        return build_step(folder, rule, KEPT, facts, log)
    if place := folder.find_row([rejects], answer.id):
        row = read_row(place)
        facts = {"detail": row["detail"] or None} | policy | {"at": place}
        if row["reason"] == Reason.NOT_BEST:
            parts = parse_answer_id(answer.id)
            rivals = (f"{parts.question_id}#{parts.mode}{mark}" for mark in "./")  # "/" follows "."
            facts["kept instead"] = next((id_ for id_, _ in folder.find([shard], *rivals)), None)
        return build_step(folder, rule, f"rejected: {row['reason']}", facts, log, reason=row["reason"])
    return build_step(folder, rule, NOT_KNOWN, say_missing(shard), log)


def describe_server(folder: BuildFolder, server: str | None) -> str | None:
    """A server and its model, as the last run has it."""
    model = folder.plan.get("models", {}).get(server)
    return f"{server}, model {model}" if model else server


def find_server(folder: BuildFolder, rule: str, stem: str) -> str | None:
    """The server that a job asked, as its progress has it."""
    return (folder.read_json(f"work/stats/{rule}/{stem}.json") or {}).get("server")


def find_seed(folder: BuildFolder, of: tuple[str, str, int]) -> int | None:
    """The seed of a request, by the last run's."""
    seed = folder.plan.get("seed")
    return None if seed is None else seeding.request_seed(seed, *of)


def describe_tokens(record: dict[str, Any]) -> str:
    """The tokens of an answer, as its journal has them."""
    tokens = record.get("tokens")
    return f", {tokens[0]:,} tokens of prompt and {tokens[1]:,} of answer" if tokens else ""


def find_journal(
    folder: BuildFolder, server: str | None, answer: Answer, ids: list[str], mode: str
) -> tuple[list[Entry], list[str]]:
    """The journal's lines about some requests of a mode, the one that counts last, and how to find them."""
    if server is None:
        return [], [f"not known which of {folder.root / 'work/journal'}/*"]
    place = folder.root / "work/journal" / server
    entries = folder.journal(server, f"{parse_answer_id(answer.own).question_id}#")
    if entries is None:
        large = f"{place} has more than {SEARCHED_BYTES // 1024**2} MB and was not searched:"
        return [], [large, say_search(place, ids[0])]
    own = [entry for entry in entries if _is_of(entry.record, ids, mode)]
    told = [f"{entry.file}, byte {entry.offset}, key {entry.key}" for entry in own]
    return own, told or [f"no line in {place}"]


def find_judge_journal(
    folder: BuildFolder, server: str | None, answer: Answer, ids: list[str], row: dict[str, Any]
) -> list[str]:
    """The same of the judge's votes on an answer.

    Votes on answers of several teachers may have the same ids. So of several lines about one vote those are
    told that say what the verdict says.
    """
    entries, told = find_journal(folder, server, answer, ids, "judge")
    if len(ids) > 1 or len(entries) < 2:
        return told
    says = ("verdict", "score", "detail")
    own = [
        line
        for entry, line in zip(entries, told, strict=True)
        if all(read_vote(answer.own, entry.record)[key] == row[key] for key in says)
    ]
    return own or told


def read_vote(id_: str, record: dict[str, Any]) -> dict[str, Any]:
    """A row of VERDICTS from a journal's record."""
    said = Response(record["content"], record["reasoning"], record["finish_reason"])
    return verdict.build_verdict_row(id_, said)


def _is_of(record: dict[str, Any], ids: list[str], mode: str) -> bool:
    """Whether a record is of one of some requests; lines of early versions tell no mode."""
    return record["id"] in ids and record.get("asked", {}).get("mode", mode) == mode


def say_search(folder: Path, id_: str) -> str:
    """The command that finds the journal's lines about a row."""
    return f"grep -aF {shlex.quote(begin_record(id_))} {shlex.quote(str(folder))}/*.jsonl"


def describe_policy(asked: dict[str, Any] | None) -> str | None:
    """What decides which answers of a task are kept."""
    if not asked:
        return None
    rate = asked.get("pass_rate")
    parts = [
        f"min_score {asked['min_score']}",
        f"keep {asked['keep']}",
        f"rules.disagree {asked['rules']['disagree']}",
        f"pass_rate {rate[0]:g} to {rate[1]:g}" if rate else "",
        "keep_failed" if asked.get("keep_failed") else "",
        f"blind_check {asked['blind_check']}" if asked.get("blind_check") else "",
    ]
    return ", ".join(filter(None, parts))


def find_look(folder: BuildFolder, id_: str) -> str | None:
    """The look of a row's pages; None where the settings of pages are gone."""
    if not (given := folder.read_json("work/render.json")):
        return None
    keys = ("min_font_px", "max_font_px", "format", "looks")
    return describe_style(sample_style(given["seed"], id_, *(given["render"][key] for key in keys)))


def find_literal(folder: BuildFolder, answer: Answer) -> str | None:
    """What of a page's markup stands there as the source has it, as its job's log tells."""
    file, wanted = folder.root / f"logs/render_text/{answer.batch}.log", f" {answer.id}: "
    if not file.is_file():
        return None
    with file.open(encoding="utf-8", errors="replace") as lines:
        return next((line.partition(wanted)[2].strip() for line in lines if wanted in line), None)
