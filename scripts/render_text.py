#!/usr/bin/env python
"""Select the answers of a batch that the judge passed, and render their questions as pages."""

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
from prep.rendering.parallel import render_ordered
from prep.rendering.typeset import Page, RenderConfig, Rendering
from prep.runtime import process_pool, program

log = logging.getLogger("prep")

PROMPTS = {True: "Please answer the question in the image.", False: "请回答图片中的问题。"}
"""The prompt beside the pages, by whether the question is English."""


def build_prompt(text: str, mode: str, pages: int) -> str:
    """The user's turn: a tag for each page, the prompt in the question's language, and the mode's switch."""
    switch = NO_THINK if mode == "no_thinking" else ""
    return f"{IMAGE_TAG}\n" * pages + PROMPTS[is_english(text)] + switch


def read_question(selected: JudgedAnswer) -> tuple[str, str] | None:
    """The text and the answer's id of an answer that is kept."""
    return None if selected.rejection else (selected.question.text, selected.answer["id"])


def render_answers(
    pool: Executor, every: Iterator[JudgedAnswer], config: RenderConfig, seed: int
) -> Iterator[tuple[JudgedAnswer, Rendering | Rejection]]:
    """Each answer with its question's pages, or with the rejection for which there are none."""
    for selected, found in render_ordered(pool, every, read_question, config, seed):
        yield selected, selected.rejection or found


def build_row(selected: JudgedAnswer, pages: list[Page]) -> dict:
    """The training row of an answer whose question was rendered."""
    user = build_prompt(selected.question.text, selected.answer["mode"], len(pages))
    images = [
        {"bytes": page.bytes, "path": f"page_{number}.{page.suffix}"}
        for number, page in enumerate(pages, start=1)
    ]
    return selection.build_training_row(selected, user, images)


def build_rows(
    rendered: Iterable[tuple[JudgedAnswer, Rendering | Rejection]],
) -> Iterator[tuple[JudgedAnswer, dict | Rejection]]:
    """Each answer's training row or rejection; logs the markup that is shown as literal text."""
    for selected, found in rendered:
        if isinstance(found, Rendering):
            if found.detail:
                log.info("%s: %s", selected.answer["id"], found.detail)
            yield selected, build_row(selected, found.pages)
        else:
            yield selected, found


def main() -> None:
    parser = program.parser(__doc__)
    selection.add_arguments(parser)
    parser.add_argument("--render", type=json.loads, required=True, help="JSON: the `render` settings")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()
    config = RenderConfig(**args.render | {"fonts": tuple(args.render["fonts"])})
    with scratch_folder.abandoned_removed(), process_pool.open_pool(args.threads) as pool:
        rendered = render_answers(pool, selection.read_judged_answers(args), config, args.seed)
        selection.write_selection(args, build_rows(rendered))


if __name__ == "__main__":
    program.run(main)
