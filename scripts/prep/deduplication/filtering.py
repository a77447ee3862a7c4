"""Deduplication and decontamination of a task's questions, before a teacher is asked."""

import argparse
import json
import logging
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from prep.deduplication import contamination, duplicates
from prep.deduplication.picture_hash import Fingerprint, are_alike, take_any_fingerprint
from prep.deduplication.text_similarity import are_similar, normalize_text
from prep.records.question import Question, read_questions
from prep.records.reason import Reason, Rejection
from prep.runtime import program
from prep.storage import parquet
from prep.storage.atomic import read_json
from prep.storage.schema import QUESTIONS, REJECTS
from prep.storage.summary import write_summary

log = logging.getLogger(__name__)

KEPT, CONTAMINATED = -1, -2
READ_AT_ONCE = 4096
"""How many texts of earlier rows stay in memory."""


class QuestionFilter:
    """Takes the questions of a task one by one, in order, and then says which are rejected.

    A question that overlaps with an evaluation set is `contaminated`, and is nobody's twin.
    """

    def __init__(
        self,
        how: str,
        rows: duplicates.Rows,
        texts: contamination.EvaluationQuestions | None,
        pictures: contamination.EvaluationPictures | None,
    ) -> None:
        """`how` is `keep`, `exact` or `near`; of `texts` and `pictures` None contaminates nothing."""
        self._how, self._rows, self._texts, self._pictures = how, rows, texts, pictures
        self._outcomes = array("i")  # of each question: KEPT, CONTAMINATED, or its twin's number in `rows`
        self._places: dict[int, str] = {}
        self._compared = array("i")  # the position of each of `rows`
        self._keys, self._hashes = array("Q"), array("Q")
        self.reads_pictures = how == "near" or pictures is not None
        """Whether the bytes of pictures decide anything."""

    def add(self, question: Question) -> None:
        """Take the next question: a text, or one about a picture."""
        position, text = len(self._outcomes), normalize_text(question.text)
        own = take_any_fingerprint(question.image) if question.image and self.reads_pictures else None
        if place := self._find_evaluation(question, text, own):
            self._outcomes.append(CONTAMINATED)
            self._places[position] = place
            return
        self._outcomes.append(KEPT)
        if self._how == "keep":
            return
        self._compared.append(position)
        if own and self._how == "near":
            self._hashes.extend(own.hash.tolist())
            self._rows.append(question.id, text, own.copy)
        else:
            text = f"{text}\n{question.image_sha256}" if question.image_sha256 else text
            self._keys.extend(duplicates.list_keys(text, self._how))
            self._rows.append(question.id, text)

    def _find_evaluation(self, question: Question, text: str, own: Fingerprint | None) -> str | None:
        """Where the evaluation question is that a text overlaps with, or the evaluation picture."""
        if question.image_sha256:
            return self._pictures.find(own) if self._pictures else None
        return self._texts.find(text) if self._texts else None

    def find_twins(self) -> np.ndarray:
        """Compare the questions; whether each of them is rejected, by position."""
        count = len(self._compared)
        if count:
            compare = duplicates.find_picture_twins if self._hashes else duplicates.find_twins
            words = np.frombuffer(self._hashes or self._keys, np.uint64).reshape(count, -1)
            twins = compare(words, self._agree(lru_cache(READ_AT_ONCE)(self._rows.read)))
            np.frombuffer(self._outcomes, np.int32)[np.frombuffer(self._compared, np.int32)] = twins
        return np.frombuffer(self._outcomes, np.int32) != KEPT

    def _agree(self, read: Callable[[int], tuple[str, str, bytes]]) -> duplicates.Agree:
        def agree(row: int, earlier: int) -> bool:
            (_, text, copy), (_, other, of_other) = read(row), read(earlier)
            if self._how == "exact":
                return text == other
            return are_alike(copy, of_other) and are_similar(text, other)

        return agree

    def explain(self, position: int) -> Rejection:
        """Why the question at a position is rejected."""
        outcome = self._outcomes[position]
        if outcome == CONTAMINATED:
            return Reason.CONTAMINATED, self._places[position]
        return Reason.DUPLICATE, self._rows.read(outcome)[0]


def split_rows(
    groups: Iterable[pa.Table], start: int, rejected: np.ndarray, found: QuestionFilter
) -> Iterator[tuple[pa.Table, list[dict]]]:
    """The questions of a file that are kept, and rows of REJECTS for the others; `start` is its first one."""
    for group in groups:
        out = rejected[start : start + group.num_rows]
        rows = group.select(["id", "source_file", "row"]).filter(pa.array(out)).to_pylist()
        reasons = (found.explain(start + int(at)) for at in np.flatnonzero(out))
        named = zip(rows, reasons, strict=True)
        yield (
            group.filter(pa.array(~out)),
            [row | {"reason": why, "detail": what} for row, (why, what) in named],
        )
        start += group.num_rows


def write_filtered(args: argparse.Namespace, found: QuestionFilter) -> None:
    """Write what is kept and what is rejected of each file of questions."""
    rejected, start = found.find_twins(), 0
    for path, name in zip(args.questions, args.names, strict=True):
        stem = args.folder / name
        with (
            parquet.open_writer(f"{stem}.parquet", QUESTIONS) as keep,
            parquet.open_writer(f"{stem}.rejects.parquet", REJECTS) as drop,
        ):
            rows = parquet.count_rows(path)
            for kept, dropped in split_rows(parquet.read_groups(path, 0, rows), start, rejected, found):
                keep.add(kept)
                drop.add_rows(dropped)
        start += rows
        files = {"shard": None, "rejects": drop, "questions": keep}
        write_summary(Path(f"{stem}.json"), files, sources={}, raw=None)
        log.info("%s: kept %d, rejected %d", name, keep.rows, drop.rows)


def parse_arguments(doc: str | None) -> argparse.Namespace:
    """The arguments of a program that filters the questions of a task."""
    parser = program.parser(doc)
    parser.add_argument(
        "--questions", type=Path, nargs="+", required=True, help="files of questions, in order"
    )
    parser.add_argument("--names", nargs="+", required=True, help="their names")
    parser.add_argument("--duplicates", choices=("keep", "exact", "near"), required=True)
    parser.add_argument("--evaluation", type=json.loads, required=True, help="JSON: ngram, columns, sha256")
    parser.add_argument(
        "--evaluation-files", type=Path, required=True, help="JSON: questions and pictures by name"
    )
    parser.add_argument(
        "--folder", type=Path, required=True, help="out: NAME.parquet, NAME.rejects.parquet, NAME.json"
    )
    return parser.parse_args()


def filter_questions(args: argparse.Namespace, of_pictures: bool) -> None:
    """Filter the questions of a task: texts, or those about pictures."""
    given = read_json(args.evaluation_files) if args.evaluation else {"questions": {}, "pictures": {}}
    texts = None if of_pictures else contamination.open_questions(given["questions"], args.evaluation)
    pictures = contamination.open_pictures(given["pictures"]) if of_pictures else None
    args.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=args.folder) as file:
        found = QuestionFilter(args.duplicates, duplicates.Rows(file), texts, pictures)
        for question in read_questions(args.questions, of_pictures and found.reads_pictures):
            found.add(question)
        write_filtered(args, found)
