#!/usr/bin/env python
"""Keep what the judge passed of a batch, and draw its questions as pages."""

import json
import logging
from collections.abc import Iterable, Iterator
from functools import cache, partial

from prep import program, selection, workers
from prep.ahead import in_order
from prep.conversation import IMAGE_TAG
from prep.drawing.typeset import CannotDraw, Drawing, Page, Style, Typesetter, is_english
from prep.reason import Defect
from prep.selection import Selected

log = logging.getLogger("prep")

PROMPTS = {True: "Please answer the question in the image.", False: "请回答图片中的问题。"}
"""What the user says beside the pages, by whether the question is English."""


def prompt(text: str, mode: str, pages: int) -> str:
    """The user's turn: a tag for each page, the prompt in the question's language, and the mode's switch."""
    switch = " /no_think" if mode == "no_thinking" else ""
    return f"{IMAGE_TAG}\n" * pages + PROMPTS[is_english(text)] + switch


@cache
def typesetter(style: Style, seed: int) -> Typesetter:
    """The one typesetter of a process, which keeps its fonts."""
    return Typesetter(style, seed)


def draw(selected: Selected, style: Style, seed: int) -> Drawing | Defect:
    """An answer's question as pages, or why there are none: it was not kept, or cannot be drawn."""
    if selected.defect:
        return selected.defect
    try:
        return typesetter(style, seed).draw(selected.question.text, selected.answer["id"])
    except CannotDraw as error:
        return error.reason, error.detail


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
        "--style", type=json.loads, required=True, help="JSON: see prep.drawing.typeset.Style"
    )
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()
    style = Style(**args.style | {"fonts": tuple(args.style["fonts"])})
    with workers.pool(args.threads) as pool:
        drawn = in_order(pool, partial(draw, style=style, seed=args.seed), selection.read(args), ahead=256)
        selection.write(args, outcomes(drawn))


if __name__ == "__main__":
    program.run(main)
