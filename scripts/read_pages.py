#!/usr/bin/env python
"""Have an OCR engine read some pages of text2image, and count the characters that it gets wrong."""

import argparse
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from prep.records import seeding
from prep.records.ids import parse_answer_id
from prep.rendering.document import Document, is_english
from prep.rendering.fonts import Fonts
from prep.report.ocr import Reading, errors
from prep.runtime import program
from prep.storage import parquet
from prep.storage.atomic import write_json

log = logging.getLogger("prep")

QUESTIONS = 12
"""So many questions of each language are read, or all that there are; a page takes half a second."""
LOOKED_AT = 1000
"""So many rows are looked at for them."""
BARS = {"English": 2.0, "Chinese": 3.0}
"""Per cent of a language's characters that may be read wrongly: the engine itself errs now and then."""


@dataclass(frozen=True)
class Sampled:
    """A row of the artifact, by its number, and the question that its pages show."""

    row: int
    id: str
    text: str


def sample_rows(artifact: Path, seed: int) -> list[tuple[int, str]]:
    """Number and id of the rows with the smallest hashes of seed and id, in the hashes' order."""
    rows = ((number, row["id"]) for number, row in enumerate(parquet.read_rows(artifact, ["id"])))
    return seeding.sample_rows(seed, "read", rows, LOOKED_AT)


def texts(files: Iterable[Path], ids: set[str]) -> dict[str, str]:
    """The questions with these ids."""
    rows = (row for file in files for row in parquet.read_rows(file, ["id", "question"]))
    return {row["id"]: row["question"] for row in rows if row["id"] in ids}


def language(text: str, faces: Fonts) -> str | None:
    """The language of a question that is plain text; None for formulas, code, and what else is read badly."""
    document = Document(text, faces)
    if not document.is_plain_text:
        return None
    return {"zh": "Chinese", "en": "English" if is_english(text) else None}.get(document.language)


def sample(artifact: Path, questions: Iterable[Path], seed: int) -> dict[str, list[Sampled]]:
    """By language, the plain questions that are read."""
    rows = sample_rows(artifact, seed)
    asked = texts(questions, {parse_answer_id(id).question_id for _, id in rows})
    faces = Fonts()
    found: dict[str, list[Sampled]] = {name: [] for name in BARS}
    for number, id in rows:
        text = asked[parse_answer_id(id).question_id]
        name = language(text, faces)
        if name and len(found[name]) < QUESTIONS:
            found[name].append(Sampled(number, id, text))
    return found


def legibility(artifact: Path, sampled: list[Sampled], reading: Reading) -> dict[str, int]:
    """How many questions, pages and characters were read, and how many characters wrongly."""
    counts = dict.fromkeys(("questions", "pages", "characters", "wrong"), 0)
    wanted = sorted(sampled, key=lambda one: one.row)
    rows = parquet.read_rows_at(artifact, [one.row for one in wanted])
    for one, row in zip(wanted, rows, strict=True):
        read = "\n".join(reading.page(page["bytes"]) for page in row["images"])
        wrong, characters = errors(one.text, read)
        if wrong:
            log.info("%s: %d of %d characters, read as %r", one.id, wrong, characters, read)
        found = {"questions": 1, "pages": len(row["images"]), "characters": characters, "wrong": wrong}
        counts = {key: counts[key] + found[key] for key in counts}
    return counts


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--artifact", type=Path, required=True, help="text2image")
    parser.add_argument("--questions", type=Path, nargs="*", required=True, help="all that were read")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--legibility", type=Path, required=True, help="out: what was read, by language")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    sampled = sample(args.artifact, args.questions, args.seed)
    reading = Reading(args.threads) if any(sampled.values()) else None
    found = []
    for name, rows in sampled.items():
        if rows:
            counts = legibility(args.artifact, rows, reading)
            found.append({"language": name, **counts, "bar": BARS[name]})
            log.info("%s: %d of %d characters read wrongly", name, counts["wrong"], counts["characters"])
    write_json(args.legibility, found)


if __name__ == "__main__":
    program.run(main)
