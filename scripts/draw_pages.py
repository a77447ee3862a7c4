#!/usr/bin/env python
"""Draw a question under one look or many: its pages, its look, and what is literal or why it is rejected."""

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from prep.records.ids import answer_id, parse_answer_id
from prep.records.question import find_questions
from prep.records.reason import Rejection
from prep.rendering import scratch_folder
from prep.rendering.outcome import RenderOutcome, find_outcome, format_counts
from prep.rendering.parallel import render_ordered
from prep.rendering.style import PageStyle
from prep.rendering.style_summary import describe_style
from prep.rendering.typeset import RenderConfig, Rendering
from prep.runtime import process_pool, program
from prep.runtime.sanitize import sanitize
from prep.storage import parquet

CHUNK = 4
"""How many drawings a worker gets at once: few, so that ten looks are shared out."""


class Drawing(NamedTuple):
    """A text under one look: `name` is the text's, and `id` decides the look."""

    name: str
    text: str
    id: str
    look: int


def read_text(path: Path) -> str:
    """Read a text; raises UserError where it is not UTF-8."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise program.UserError(
            f"{path}: is not UTF-8: {error.reason} at byte {error.start}; save it as UTF-8"
        ) from None


def read_texts(path: Path) -> dict[str, str]:
    """Read a text, or each *.txt of a folder, by the file's name without its ending."""
    if not path.exists():
        raise program.UserError(f"TEXT={path}: no such file or folder")
    files = sorted(path.glob("*.txt")) if path.is_dir() else [path]
    if not files:
        raise program.UserError(f"{path}: no *.txt in this folder")
    return {file.stem: read_text(file) for file in files}


def find_question(id: str, questions: Path) -> tuple[str, str]:
    """Find a question by its own id or that of one of its rows: the row's id, and the text."""
    if re.search(r"#\w+\.\d+\Z", id):
        row, question = id, parse_answer_id(id).question_id
    else:
        row, question = answer_id(id, "thinking", 0), id
    files = parquet.list_files(questions)
    if not files or not files[0].exists():
        raise program.UserError(
            f"{questions}: no parquet of questions; QUESTIONS=… says where a run has them"
        )
    found = find_questions(files, {question})
    if not found:
        raise program.UserError(f"{question}: no question in {questions} has this id, such as alpaca/train:3")
    return row, found[question].question


def list_drawings(texts: dict[str, str], looks: int) -> Iterator[Drawing]:
    """List each text under `looks` looks; the first is the one that a run draws for a row of this id."""
    for id, text in texts.items():
        name = re.sub("[/:#]", "_", id)
        for look in range(1, looks + 1):
            yield Drawing(name, text, id if look == 1 else f"{id}#look.{look}", look)


def write_pages(folder: Path, drawing: Drawing, rendering: Rendering) -> list[Path]:
    """Write the pages, each named by text, look and number."""
    paths = []
    for number, page in enumerate(rendering.pages, start=1):
        paths.append(folder / f"{drawing.name}_{drawing.look:03}_{number}.{page.suffix}")
        paths[-1].write_bytes(page.bytes)
    return paths


def describe_problem(found: Rendering | Rejection) -> str:
    """Describe in a line why a question is rejected, or what is literal; empty where all is typeset."""
    words = found.detail or "" if isinstance(found, Rendering) else f"{found[0]}: {found[1]}"
    return " ".join(words.split())


def format_drawing(
    drawing: Drawing, found: Rendering | Rejection, style: PageStyle, paths: list[Path]
) -> str:
    """Format the line of a drawing; `style` is the one that its id samples."""
    look = describe_style(style)
    if isinstance(found, Rendering) and found.style != style:
        look = f"{describe_style(found.style)}, the tightest, since it is too long for: {look}"
    told = filter(None, [find_outcome(found), describe_problem(found)])
    parts = [f"{drawing.name}, look {drawing.look}: {': '.join(told)}", look, " ".join(map(str, paths))]
    return "; ".join(filter(None, parts))


def format_text(name: str, outcomes: list[RenderOutcome], problems: Counter[str]) -> str:
    """Format the line of a text under all its looks."""
    told = (f"{problem} ({times})" for problem, times in problems.most_common() if problem)
    return "; ".join([f"{name}: {format_counts(outcomes)}", *told])


def count(word: str) -> int:
    """Read a whole number of 1 or more."""
    if not (word.isascii() and word.isdecimal() and int(word)):
        raise program.UserError(f"{word}: is no whole number of 1 or more, which LOOKS and JOBS are")
    return int(word)


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--text", type=Path, help="a text in UTF-8, or a folder of *.txt")
    parser.add_argument("--id", help="the id of a question, or of a row of text2image")
    parser.add_argument(
        "--questions", type=Path, required=True, help="where an id is looked up: file or folder"
    )
    parser.add_argument("--looks", type=count, required=True, help="under how many looks a text is drawn")
    parser.add_argument("--render", type=json.loads, required=True, help="JSON: the `render` settings")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--jobs", type=count, required=True, help="processes")
    parser.add_argument("--folder", type=Path, required=True, help="out: NAME_LOOK_PAGE.png or .jpg")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.text and args.id:
        raise program.UserError("a text or an ID is drawn, not both")
    if not args.text and not args.id:
        raise program.UserError("what is to be drawn? TEXT=file, TEXT=folder or ID=… says it")
    texts = read_texts(args.text) if args.text else dict([find_question(args.id, args.questions)])
    args.folder.mkdir(parents=True, exist_ok=True)
    config = RenderConfig(**args.render | {"fonts": tuple(args.render["fonts"])})
    every: list[RenderOutcome] = []
    with scratch_folder.abandoned_removed(), process_pool.open_pool(args.jobs) as pool:
        drawings = list_drawings(texts, args.looks)
        drawn = render_ordered(pool, drawings, attrgetter("text", "id"), config, args.seed, CHUNK)
        for name, group in groupby(drawn, key=lambda pair: pair[0].name):
            outcomes, problems = [], Counter()
            for drawing, found in group:
                paths = write_pages(args.folder, drawing, found) if isinstance(found, Rendering) else []
                outcomes.append(find_outcome(found))
                problems[describe_problem(found)] += 1
                if len(texts) == 1:
                    style = config.sample_style(args.seed, drawing.id)
                    print(sanitize(format_drawing(drawing, found, style, paths)), flush=True)
            if len(texts) > 1:
                print(sanitize(format_text(name, outcomes, problems)), flush=True)
            every += outcomes
    print(format_counts(every))


if __name__ == "__main__":
    program.run(main)
