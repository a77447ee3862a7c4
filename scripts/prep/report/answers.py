"""Answers to a question side by side: kept and rejected samples of all teachers, with their verdicts.

Texts of rejected answers are in no artifact. They stand in work/answer_*/ and the judge's words in
work/judge_*/, which may be gone: then there is less to show.
"""

import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prep.records import seeding
from prep.records.ids import AnswerId, answer_id, parse_answer_id
from prep.records.reason import Reason
from prep.report.gallery import Limits, Picture, Piece, fit_characters, fold_text, make_picture, split_message
from prep.storage import parquet

KEPT = "kept"
JUDGED = (
    *(Reason.JUDGE_FAIL, Reason.LOW_SCORE, Reason.ANSWER_DISAGREES, Reason.NOT_BEST, Reason.PASS_RATE),
    *(Reason.JUDGE_UNCLEAR, Reason.PICTURE_NOT_NEEDED, Reason.MISSING_GLYPH, Reason.TOO_LONG_TO_RENDER),
)
"""Why an answer was rejected that has a text: such questions are shown first."""
WHAT = {"text2image": "text", "image_thinking": "image"}
"""What is asked about for an artifact: it names the folders of answers and verdicts."""
READ_ROWS = 8192
MOST_ANSWERS = 12
"""Of a question, how many answers are shown."""


@dataclass(frozen=True)
class Answer:
    """An answer with what became of it: `outcome` is `kept` or a reason, `verdict` a row of VERDICTS.

    `pieces` is None where its text is gone.
    """

    id: str
    mode: str
    sample: int
    teacher: str | None
    outcome: str
    detail: str
    pieces: list[Piece] | None
    verdict: dict

    @property
    def is_kept(self) -> bool:
        return self.outcome == KEPT


@dataclass
class Asked:
    """A question with its answers; texts and picture are None or empty where they are gone."""

    id: str
    question: Piece | None = None
    reference: Piece | None = None
    pictures: list[Picture] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)


@dataclass(frozen=True)
class Teachers:
    """The teachers of a task, in order; samples of each are numbered on by `samples` from the one before."""

    names: list[str] = field(default_factory=list)
    samples: int = 0

    def files(self, folder: Path) -> Iterator[tuple[Path, str | None, int]]:
        """The files of a folder of batches, each with its teacher and the samples before that one's.

        The first teacher's are BATCH.parquet, a further one's BATCH.TEACHER.parquet. Other files are of a
        server whose pass rate alone counts, or of an earlier build.
        """
        for path in sorted(folder.glob("[0-9]*.parquet")):
            teacher = path.stem.partition(".")[2]
            if not teacher:
                yield path, self.names[0] if self.names else None, 0
            elif teacher in self.names[1:]:
                yield path, teacher, self.names.index(teacher) * self.samples


def find_questions_with_both(artifact: Path, rejects: Path, name: str, wanted: int) -> list[str]:
    """Up to `wanted` ids of questions that have kept and rejected answers, by a hash of the id.

    Those with a judged answer among the rejected come first. Of all kept answers eight bytes are held.
    """
    kept = np.unique(np.fromiter((hash_question(name, q) for q in _list_questions(artifact)), np.uint64))
    found: dict[str, tuple[bool, int]] = {}
    for id_, reason in _read_columns(rejects, ["id", "reason"]):
        if "#" not in id_ or not len(kept):
            continue
        question = parse_answer_id(id_).question_id
        hashed = hash_question(name, question)
        at = int(np.searchsorted(kept, np.uint64(hashed)))
        if at < len(kept) and kept[at] == hashed:
            key = (reason not in JUDGED, hashed)
            found[question] = min(key, found.get(question, key))
            if len(found) > 64 * wanted:
                found = dict(_smallest(found, wanted))
    return [question for question, _ in _smallest(found, wanted)]


def hash_question(name: str, question_id: str) -> int:
    """The hash by which questions are chosen."""
    return seeding.hash_names(0, "asked", name, question_id)


def _smallest(found: Mapping[str, tuple[bool, int]], wanted: int) -> list[tuple[str, tuple[bool, int]]]:
    return heapq.nsmallest(wanted, found.items(), key=lambda each: each[1])


def _list_questions(artifact: Path) -> Iterator[str]:
    return (id_.rpartition("#")[0] for (id_,) in _read_columns(artifact, ["id"]))


def _read_columns(path: Path, columns: list[str]) -> Iterator[tuple]:
    """Cells of some columns, row by row, in flat memory; of a missing file none."""
    for file in parquet.list_files(path) if path.exists() else ():
        with pq.ParquetFile(file) as opened:
            for batch in opened.iter_batches(READ_ROWS, columns=columns):
                yield from zip(*(batch.column(name).to_pylist() for name in columns), strict=True)


def read_asked(
    work: Path,
    name: str,
    artifact: Path,
    rejects: Path,
    questions: Collection[str],
    teachers: Teachers,
    limits: Limits,
) -> dict[str, Asked]:
    """The questions with these ids, in their order, each with its answers, verdicts and outcomes."""
    what = WHAT[name]
    asked = {question: Asked(question) for question in questions}
    if not asked:
        return asked
    outcomes: dict[str, tuple[str, str]] = {}
    for (id_,) in _read_columns(artifact, ["id"]):
        if id_.rpartition("#")[0] in asked:
            outcomes[id_] = (KEPT, "")
    for id_, reason, detail in _read_columns(rejects, ["id", "reason", "detail"]):
        if id_.rpartition("#")[0] in asked:
            outcomes[id_] = (reason, detail or "")
    rows = {id_: row for id_, row in _read_answers(work / f"answer_{what}", asked, teachers)}
    verdicts = dict(_read_verdicts(work / f"judge_{what}", rows, teachers))
    for id_, (outcome, detail) in outcomes.items():
        parts, row = parse_answer_id(id_), rows.get(id_, {})
        text = row.get("text")
        pieces = None if text is None else split_message(text, fit_characters(text, limits.characters))
        asked[parts.question_id].answers.append(
            Answer(id_, parts.mode, parts.sample, row.get("teacher"), outcome, detail[:1000], pieces,
                   verdicts.get(id_, {}))
        )  # fmt: skip
    for each in asked.values():
        each.answers.sort(key=lambda answer: (not answer.is_kept, answer.mode, answer.sample))
        del each.answers[MOST_ANSWERS:]
    _add_questions(work, what, asked, limits)
    return asked


def _read_answers(folder: Path, asked: Collection[str], teachers: Teachers) -> Iterator[tuple[str, dict]]:
    """The answers to some questions, by the ids that artifacts and rejects have."""
    for path, teacher, before in teachers.files(folder):
        for row in find_rows(path, "question_id", asked):
            yield shift_sample(row["id"], before), row | {"teacher": teacher}


def _read_verdicts(folder: Path, answers: Collection[str], teachers: Teachers) -> Iterator[tuple[str, dict]]:
    """The verdicts on some answers, by the same ids."""
    for path, _, before in teachers.files(folder):
        own = {shift_sample(id_, -before): id_ for id_ in answers}
        for row in find_rows(path, "id", own):
            yield own[row["id"]], row


def shift_sample(id_: str, by: int) -> str:
    """An answer's id with its sample numbered on by so many."""
    parts = AnswerId(*parse_answer_id(id_))
    return answer_id(parts.question_id, parts.mode, parts.sample + by)


def read_tokens(
    work: Path, name: str, ids: Collection[str], teachers: Teachers
) -> dict[str, tuple[int, int | None]]:
    """The tokens of some answers of an artifact by id, where they are known: all, those of the thought."""
    columns, found = ["id", "tokens", "reasoning_tokens"], {}
    for path, _, before in teachers.files(work / f"answer_{WHAT[name]}"):
        own = {shift_sample(id_, -before): id_ for id_ in ids}
        for row in find_rows(path, "id", own, columns):
            if row.get("tokens"):
                found[own[row["id"]]] = row["tokens"], row.get("reasoning_tokens")
    return found


def find_rows(
    path: Path, column: str, wanted: Iterable[str], columns: list[str] | None = None
) -> Iterator[dict]:
    """The rows of a file that have one of these texts in a column; no other row group is read whole.

    Of these the cells of `columns`, as far as the file has them; None: all. A file that is gone or not whole
    has none: what it holds is no part of the data any more.
    """
    values = pa.array(sorted(wanted), pa.string())
    try:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                here = pc.is_in(file.read_row_group(group, [column]).column(column), values)
                if pc.any(here).as_py():
                    yield from file.read_row_group(group, columns).filter(here).to_pylist()
    except (OSError, pa.ArrowException):
        return


def count_grounded(work: Path, artifact: Path, rejects: Path, teachers: Teachers) -> Counter[bool | None]:
    """How many verdicts on an artifact's answers about pictures call them grounded, not so, or say nothing.

    Verdicts on answers that are neither in the artifact nor among its rejects are of an earlier build. Eight
    bytes are held for each answer.
    """
    ids = (id_ for path in (artifact, rejects) for (id_,) in _read_columns(path, ["id"]))
    known = np.unique(np.fromiter(map(_hash_answer, ids), np.uint64))
    found: Counter[bool | None] = Counter()
    for path, _, before in teachers.files(work / "judge_image"):
        try:
            rows = list(_read_columns(path, ["id", "verdict", "grounded"]))
        except (OSError, pa.ArrowException, KeyError):  # not whole, or of a version without the column
            continue
        judged = [(shift_sample(id_, before), grounded) for id_, verdict, grounded in rows if verdict]
        hashes = np.fromiter((_hash_answer(id_) for id_, _ in judged), np.uint64, len(judged))
        is_known = np.isin(hashes, known)
        found.update(grounded for (_, grounded), here in zip(judged, is_known, strict=True) if here)
        known = np.setdiff1d(known, hashes)  # a later file may be of batches that were cut before
    return found


def _hash_answer(id_: str) -> int:
    return seeding.hash_names(0, "answer", id_)


def _add_questions(work: Path, what: str, asked: dict[str, Asked], limits: Limits) -> None:
    """Give each question its text, its reference and its picture, where they still stand."""
    if what == "text":
        files = sorted((work / "batch_questions").glob("*.parquet"))
    else:
        names = dict.fromkeys(question.rpartition("/")[0] for question in asked)
        folders = (work / "sample_images", work / "sample_questions")
        files = [folder / f"{name}.parquet" for name in names for folder in folders]
    for row in (row for file in files for row in find_rows(file, "id", asked)):
        each = asked[row["id"]]
        each.question = fold_text(row["question"], limits.characters)
        each.reference = None if row["reference"] is None else fold_text(row["reference"], limits.characters)
        if row["image"]:
            each.pictures = [make_picture(row["image"]["bytes"], limits.picture_bytes)]
