"""Ordered map over an executor, with a bounded look-ahead."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Payload = TypeVar("Payload")
Result = TypeVar("Result")


def ordered_map(
    pool: Executor,
    function: Callable[[Payload], Result],
    items: Iterable[Item],
    ahead: int,
    payload: Callable[[Item], Payload] = lambda item: item,
) -> Iterator[tuple[Item, Result]]:
    """Yield each item with its result, in order, while up to `ahead` items are worked on.

    `payload` gives the part of an item that the function needs, since another process gets a copy.
    """
    left = iter(items)
    waiting = deque((item, pool.submit(function, payload(item))) for item in islice(left, ahead))
    while waiting:
        item, future = waiting.popleft()
        result = future.result()
        waiting.extend((more, pool.submit(function, payload(more))) for more in islice(left, 1))
        yield item, result
