#!/usr/bin/env python
"""Select the answers of a batch that the judge passed, and render their questions as pages.

Pages that stand in the batch's file from the last run are taken over, so that a changed threshold draws only
what was not drawn before.
"""

import json
import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor

from prep.reasoning import selection
from prep.reasoning.selection import JudgedAnswer
from prep.records.reason import Rejection
from prep.records.tags import IMAGE_TAG, NO_THINK
from prep.rendering import scratch_folder
from prep.rendering.document import is_english
from prep.rendering.drawn_pages import DrawnPages, Pages, describe_drawing, digest_drawing, sum_pages
from prep.rendering.parallel import render_ordered
from prep.rendering.typeset import RenderConfig, Rendering
from prep.runtime import process_pool, program

log = logging.getLogger("prep")

PROMPTS = {True: "Please answer the question in the image.", False: "请回答图片中的问题。"}
"""The prompt beside the pages, by whether the question is English."""


def build_prompt(text: str, mode: str, pages: int) -> str:
    """The user's turn: a tag for each page, the prompt in the question's language, and the mode's switch."""
    switch = NO_THINK if mode == "no_thinking" else ""
    return f"{IMAGE_TAG}\n" * pages + PROMPTS[is_english(text)] + switch


def read_question(item: tuple[JudgedAnswer, Pages | None]) -> tuple[str, str] | None:
    """The text and the answer's id of an answer that is kept and has no pages yet."""
    selected, pages = item
    return None if selected.rejection or pages else (selected.question.text, selected.answer["id"])


def render_answers(
    pool: Executor, every: Iterable[JudgedAnswer], drawn: DrawnPages, config: RenderConfig, seed: int
) -> Iterator[tuple[JudgedAnswer, Pages | Rejection]]:
    """Each answer with its question's pages, or with the rejection for which there are none."""
    items = ((each, None if each.rejection else drawn.find(each.answer["id"])) for each in every)
    for (selected, pages), found in render_ordered(pool, items, read_question, config, seed):
        new = name_pages(found) if isinstance(found, Rendering) else found
        yield selected, selected.rejection or pages or new


def name_pages(rendering: Rendering) -> Pages:
    """Pages as the `images` of a row."""
    numbered = enumerate(rendering.pages, start=1)
    images = [{"bytes": page.bytes, "path": f"page_{number}.{page.suffix}"} for number, page in numbered]
    return Pages(images, rendering.detail)


def build_row(selected: JudgedAnswer, images: list[dict]) -> dict:
    """The training row of an answer whose question was rendered."""
    user = build_prompt(selected.question.text, selected.answer["mode"], len(images))
    return selection.build_training_row(selected, user, images)


def build_rows(
    rendered: Iterable[tuple[JudgedAnswer, Pages | Rejection]], literal: dict[str, str], sums: list[str]
) -> Iterator[tuple[JudgedAnswer, dict | Rejection]]:
    """Each answer's training row or rejection.

    What is shown as literal text is logged, and put in `literal`; the sum of each row's pages in `sums`.
    """
    for selected, found in rendered:
        if isinstance(found, Pages):
            if found.literal:
                literal[selected.answer["id"]] = found.literal
                log.info("%s: %s", selected.answer["id"], found.literal)
            sums.append(sum_pages(found.images))
            yield selected, build_row(selected, found.images)
        else:
            yield selected, found


def main() -> None:
    parser = program.parser(__doc__)
    selection.add_arguments(parser)
    parser.add_argument("--render", type=json.loads, required=True, help="JSON: the `render` settings")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--drawing", required=True, help="digest of what decides a page but its question")
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()
    config = RenderConfig(**args.render | {"fonts": tuple(args.render["fonts"])})
    drawing = digest_drawing(args.drawing, args.questions)
    drawn, literal, sums = DrawnPages(args.shard, drawing), {}, []
    with scratch_folder.abandoned_removed(), process_pool.open_pool(args.threads) as pool:
        rendered = render_answers(pool, selection.read_judged_answers(args), drawn, config, args.seed)
        rows = build_rows(rendered, literal, sums)
        selection.write_selection(args, rows, lambda: describe_drawing(drawing, literal, sums))
    log.info("%d rows have their pages of the last run", drawn.taken)


if __name__ == "__main__":
    program.run(main)
