"""Work that is done side by side and handed out in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Sent = TypeVar("Sent")
Result = TypeVar("Result")


def in_order(
    pool: Executor,
    function: Callable[[Sent], Result],
    items: Iterable[Item],
    ahead: int,
    sent: Callable[[Item], Sent] = lambda item: item,
) -> Iterator[tuple[Item, Result]]:
    """Each item with its result, in order; no more than `ahead` items are taken before they are asked for.

    `sent` is what of an item the function needs: to another process it has to be copied.
    """
    left = iter(items)
    waiting = deque((item, pool.submit(function, sent(item))) for item in islice(left, ahead))
    while waiting:
        item, future = waiting.popleft()
        result = future.result()
        waiting.extend((more, pool.submit(function, sent(more))) for more in islice(left, 1))
        yield item, result
