"""A child process for parsers in C++: limited memory and time, and a crash is a failure."""

import resource
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, Self

MEMORY_BYTES = 6 * 1024**3
"""Address space of the child; what wants more gets a MemoryError."""
LONGEST_S = 120
"""Wall-clock seconds of one call, on a machine that has other work too: longer is a hang."""


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Child:
    """Calls functions in one child process, which is started again after a crash."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What a function of a module gives; AssertionError where the child crashed or hung."""
        self._pool = self._pool or ProcessPoolExecutor(1, get_context("spawn"), _limit_memory)
        try:
            return self._pool.submit(function, *arguments).result(timeout=LONGEST_S)
        except BrokenProcessPool as error:
            self._pool = None
            raise AssertionError(f"the child crashed with {arguments}") from error
        except TimeoutError as error:
            for process in self._pool._processes.values():
                process.kill()
            self._pool = None
            raise AssertionError(f"the child hung with {arguments}") from error
