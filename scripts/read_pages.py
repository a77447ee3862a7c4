#!/usr/bin/env python
"""Legibility check: read a sample of the pages of text2image by OCR, and count the wrong characters."""

import argparse
import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from prep.records import seeding
from prep.records.ids import parse_answer_id
from prep.records.question import find_questions
from prep.rendering.document import Document, is_english
from prep.rendering.fonts import Fonts
from prep.report.ocr import OcrEngine, count_errors
from prep.runtime import program
from prep.storage import parquet
from prep.storage.atomic import write_json

log = logging.getLogger("prep")

QUESTIONS = 12
"""How many questions of each language are read; a page takes half a second."""
CANDIDATES = 1000
"""How many rows are searched for them."""
BARS = {"English": 2.0, "Chinese": 3.0}
"""Per cent of a language's characters that may be wrong: the OCR engine itself errs now and then."""


def detect_language(text: str, faces: Fonts) -> str | None:
    """The language of a question in plain text; None for formulas, code and other scripts."""
    document = Document(text, faces)
    if not document.is_plain_text:
        return None
    return {"zh": "Chinese", "en": "English" if is_english(text) else None}.get(document.language)


def sample_questions(
    artifact: Path, questions: Iterable[Path], seed: int
) -> dict[str, dict[str, tuple[int, str]]]:
    """By language, a sample of the rows with plain questions: position and question by row id."""
    ids = ((position, row["id"]) for position, row in enumerate(parquet.read_rows(artifact, ["id"])))
    rows = seeding.sample_rows(seed, "read", ids, CANDIDATES)
    asked = find_questions(questions, {parse_answer_id(id).question_id for _, id in rows})
    faces = Fonts()
    found: dict[str, dict[str, tuple[int, str]]] = {name: {} for name in BARS}
    for position, id in rows:
        text = asked[parse_answer_id(id).question_id]
        name = detect_language(text, faces)
        if name and len(found[name]) < QUESTIONS:
            found[name][id] = position, text
    return found


def measure_legibility(
    artifact: Path, sampled: dict[str, tuple[int, str]], engine: OcrEngine, max_pixels: int
) -> dict[str, int]:
    """Read the pages of sampled rows; the number of questions, pages, characters and wrong characters."""
    counts: Counter[str] = Counter()
    for row in parquet.read_rows_at(artifact, sorted(position for position, _ in sampled.values())):
        read = "\n".join(engine.read_page(page["bytes"], max_pixels) for page in row["images"])
        wrong, characters = count_errors(sampled[row["id"]][1], read)
        if wrong:
            log.info("%s: %d of %d characters, read as %r", row["id"], wrong, characters, read)
        counts.update(questions=1, pages=len(row["images"]), characters=characters, wrong=wrong)
    return counts


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--artifact", type=Path, required=True, help="text2image")
    parser.add_argument("--questions", type=Path, nargs="*", required=True, help="all that were read")
    parser.add_argument("--max-pixels", type=int, required=True, help="the size that training keeps")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--legibility", type=Path, required=True, help="out: what was read, by language")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    sampled = sample_questions(args.artifact, args.questions, args.seed)
    engine = OcrEngine(args.threads) if any(sampled.values()) else None
    found = []
    for name, rows in sampled.items():
        if rows:
            counts = measure_legibility(args.artifact, rows, engine, args.max_pixels)
            found.append({"language": name, **counts, "bar": BARS[name]})
            log.info("%s: %d of %d characters read wrongly", name, counts["wrong"], counts["characters"])
    write_json(args.legibility, found)


if __name__ == "__main__":
    program.run(main)
