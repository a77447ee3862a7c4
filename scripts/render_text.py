#!/usr/bin/env python
"""Keep what the judge passed of a batch, and draw its questions as pages."""

import json
import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from functools import cache, partial
from itertools import islice

from prep.reasoning import selection
from prep.reasoning.selection import Selected
from prep.records.reason import Defect
from prep.records.tags import IMAGE_TAG, NO_THINK
from prep.rendering import scratch_folder
from prep.rendering.typeset import CannotDraw, Drawing, Page, Style, Typesetter, is_english
from prep.runtime import process_pool, program
from prep.runtime.ordered_map import in_order

log = logging.getLogger("prep")

PROMPTS = {True: "Please answer the question in the image.", False: "请回答图片中的问题。"}
"""What the user says beside the pages, by whether the question is English."""


def prompt(text: str, mode: str, pages: int) -> str:
    """The user's turn: a tag for each page, the prompt in the question's language, and the mode's switch."""
    switch = NO_THINK if mode == "no_thinking" else ""
    return f"{IMAGE_TAG}\n" * pages + PROMPTS[is_english(text)] + switch


@cache
def typesetter(style: Style, seed: int) -> Typesetter:
    """The one typesetter of a process, which keeps its fonts."""
    return Typesetter(style, seed)


def draw(questions: list[tuple[str, str]], style: Style, seed: int) -> list[Drawing | Defect]:
    """Questions, each its text and its answer's id, as pages, or why there are none."""
    found: list[Drawing | Defect] = []
    for text, id in questions:
        try:
            found.append(typesetter(style, seed).draw(text, id))
        except CannotDraw as error:
            found.append((error.reason, error.detail))
    return found


def asked(chunk: list[Selected]) -> list[tuple[str, str]]:
    """The questions of those answers that are kept."""
    return [(each.question.text, each.answer["id"]) for each in chunk if not each.defect]


def drawings(
    pool: Executor, every: Iterator[Selected], style: Style, seed: int
) -> Iterator[tuple[Selected, Drawing | Defect]]:
    """Each answer with its question's pages, or why there are none: it was not kept, or cannot be drawn.

    Processes get several questions at a time, and nothing but these, since to hand them over takes time too.
    """
    chunks = iter(lambda: list(islice(every, 16)), [])
    for chunk, found in in_order(pool, partial(draw, style=style, seed=seed), chunks, ahead=16, sent=asked):
        pages = iter(found)
        for selected in chunk:
            yield selected, selected.defect or next(pages)


def training_row(selected: Selected, pages: list[Page]) -> dict:
    """The training row of a question that was answered and drawn."""
    user = prompt(selected.question.text, selected.answer["mode"], len(pages))
    images = [
        {"bytes": page.bytes, "path": f"page_{number}.{page.suffix}"}
        for number, page in enumerate(pages, start=1)
    ]
    return selection.training_row(selected, user, images)


def outcomes(drawn: Iterable[tuple[Selected, Drawing | Defect]]) -> Iterator[tuple[Selected, dict | Defect]]:
    """Each answer's training row, or why there is none; tells what is drawn without its markup."""
    for selected, found in drawn:
        if isinstance(found, Drawing):
            if found.detail:
                log.info("%s: %s", selected.answer["id"], found.detail)
            yield selected, training_row(selected, found.pages)
        else:
            yield selected, found


def main() -> None:
    parser = program.parser(__doc__)
    selection.add_arguments(parser)
    parser.add_argument(
        "--style", type=json.loads, required=True, help="JSON: see prep.rendering.typeset.Style"
    )
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()
    style = Style(**args.style | {"fonts": tuple(args.style["fonts"])})
    with scratch_folder.swept(), process_pool.pool(args.threads) as pool:
        drawn = drawings(pool, selection.read(args), style, args.seed)
        selection.write(args, outcomes(drawn))


if __name__ == "__main__":
    program.run(main)
