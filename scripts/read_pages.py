#!/usr/bin/env python
"""Legibility check: read a sample of the pages of text2image by OCR, and count the wrong characters."""

import argparse
import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from prep.records import seeding
from prep.records.ids import parse_answer_id
from prep.records.question import find_questions
from prep.rendering.document import Document, is_english
from prep.rendering.fonts import Fonts
from prep.report.ocr import OcrEngine, count_errors, count_unread, is_known
from prep.runtime import program
from prep.storage import parquet
from prep.storage.atomic import write_json

log = logging.getLogger("prep")

QUESTIONS = 12
"""How many questions of each kind are read; a page takes half a second."""
CANDIDATES = 1000
"""How many rows are searched for them."""
PLAIN = {"English": 2.0, "Chinese": 3.0}
STRUCTURED = {"formula": 5.0, "table": 3.0, "code": 3.0}
"""By kind, the per cent of characters that may be wrong: the OCR engine itself errs now and then."""
BARS = PLAIN | STRUCTURED


@dataclass(frozen=True)
class Sample:
    """A row of the artifact to read: its position, its id, and the text that its pages show."""

    position: int
    id: str
    text: str


def classify(text: str, faces: Fonts) -> tuple[str | None, str]:
    """The kind of a question in English or Chinese, and the text on its pages; None for other questions."""
    document = Document(text, faces)
    if document.is_plain_text:
        language = {"zh": "Chinese", "en": "English" if is_english(text) else None}
        return language.get(document.language), text
    shown = document.shown_text()
    letters = list(filter(str.isalnum, shown))
    is_readable = 2 * sum(map(is_known, letters)) > len(letters)
    if not is_readable or document.formula_share > 0.5:  # OCR often sees no text in a formula alone
        return None, shown
    return (document.kind if document.kind in BARS else None), shown


def sample_questions(artifact: Path, questions: Iterable[Path], seed: int) -> dict[str, list[Sample]]:
    """By kind, a sample of the artifact's rows."""
    ids = ((position, row["id"]) for position, row in enumerate(parquet.read_rows(artifact, ["id"])))
    rows = seeding.sample_rows(seed, "read", ids, CANDIDATES)
    asked = find_questions(questions, {parse_answer_id(id).question_id for _, id in rows})
    faces = Fonts()
    found: dict[str, list[Sample]] = {kind: [] for kind in BARS}
    for position, id in rows:
        kind, shown = classify(asked[parse_answer_id(id).question_id].question, faces)
        if kind and len(found[kind]) < QUESTIONS:
            found[kind].append(Sample(position, id, shown))
    return found


def measure_legibility(
    artifact: Path, kind: str, samples: list[Sample], engine: OcrEngine, max_pixels: int
) -> dict[str, Any]:
    """Read the pages of sampled rows; what was wrong in all of them, and in the worst one."""
    count = count_errors if kind in PLAIN else count_unread
    samples = sorted(samples, key=attrgetter("position"))
    rows = parquet.read_rows_at(artifact, [sample.position for sample in samples])
    counts: Counter[str] = Counter()
    each = []
    for sample, row in zip(samples, rows, strict=True):
        read = "\n".join(engine.read_page(page["bytes"], max_pixels) for page in row["images"])
        wrong, characters = count(sample.text, read)
        if wrong:
            log.info("%s: %d of %d characters, read as %r", sample.id, wrong, characters, read)
        counts.update(questions=1, pages=len(row["images"]), characters=characters, wrong=wrong)
        each.append({"row": sample.position, "id": sample.id, "wrong": wrong, "characters": characters})
    log.info("%s: %d of %d characters read wrongly", kind, counts["wrong"], counts["characters"])
    worst = max(each, key=lambda one: one["wrong"] / max(one["characters"], 1))
    return {"kind": kind, **counts, "bar": BARS[kind], "worst": worst}


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--artifact", type=Path, required=True, help="text2image")
    parser.add_argument("--questions", type=Path, nargs="*", required=True, help="all that were read")
    parser.add_argument("--max-pixels", type=int, required=True, help="the size that training keeps")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--legibility", type=Path, required=True, help="out: what was read, by kind")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    sampled = sample_questions(args.artifact, args.questions, args.seed)
    engine = OcrEngine(args.threads) if any(sampled.values()) else None
    found = [
        measure_legibility(args.artifact, kind, samples, engine, args.max_pixels)
        for kind, samples in sampled.items()
        if samples
    ]
    write_json(args.legibility, found)


if __name__ == "__main__":
    program.run(main)
