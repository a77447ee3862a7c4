"""Parallel rendering: questions in order over a process pool, with a typesetter in each worker."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from functools import cache, partial
from itertools import islice
from typing import TypeVar

from prep.records.reason import Rejection
from prep.rendering.typeset import RenderConfig, Rendering, Typesetter
from prep.runtime.ordered_map import ordered_map

Item = TypeVar("Item")
CHUNK = 16
"""How many questions a task of a process renders together."""
Asked = tuple[str, str]
"""A question's text, and the id that decides its look."""


def render_ordered(
    pool: Executor,
    items: Iterable[Item],
    read_question: Callable[[Item], Asked | None],
    config: RenderConfig,
    seed: int,
    chunk: int = CHUNK,
) -> Iterator[tuple[Item, Rendering | Rejection | None]]:
    """Yield each item with its question's rendering; None where `read_question` gives none to render.

    Each task of a process is `chunk` questions and nothing else, since passing data takes time too.
    """
    left = iter(items)
    chunks = iter(lambda: list(islice(left, chunk)), [])
    render = partial(_render_questions, config=config, seed=seed)

    def read_chunk(each: list[Item]) -> list[Asked]:
        return [asked for asked in map(read_question, each) if asked]

    for each, found in ordered_map(pool, render, chunks, ahead=16, payload=read_chunk):
        renderings = iter(found)
        for item in each:
            yield item, next(renderings) if read_question(item) else None


@cache
def _typesetter(config: RenderConfig, seed: int) -> Typesetter:
    """The typesetter of this process, which keeps its fonts."""
    return Typesetter(config, seed)


def _render_questions(questions: list[Asked], config: RenderConfig, seed: int) -> list[Rendering | Rejection]:
    return _typesetter(config, seed).render_together(questions) if questions else []
