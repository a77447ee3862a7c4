"""Live region: the last lines of a terminal, drawn again and again, with lasting lines printed above.

rich draws what is in it (its `Live` is not used: lines stay behind where a window becomes narrower, and its
cursor stays hidden where the process is killed). No mode of the terminal is ever changed, so that there is
nothing to restore: the cursor stands below the region, and each drawing begins with moving it up.
"""

import os
from collections import deque
from threading import RLock
from typing import Any, TextIO

from rich.cells import cell_len
from rich.console import Console, ConsoleDimensions, RenderableType
from rich.text import Text

LASTING = 200  # so many lasting lines are known, to be written again where a window became narrower


class Region:
    """The region of a terminal; `stream` is the terminal. All methods may be called by several threads."""

    def __init__(self, stream: TextIO, no_color: bool = False):
        self._stream = stream
        self.lock = RLock()
        self.console = Console(file=stream, force_terminal=True, no_color=no_color or None, highlight=False)
        self._drawn: list[str] = []
        self._lasting: deque[str] = deque(maxlen=LASTING)
        self._shown = ""

    def size(self) -> ConsoleDimensions:
        """Columns and lines of the terminal as they are now."""
        try:
            columns, lines = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            columns, lines = 0, 0
        return ConsoleDimensions(columns or 80, lines or 24)

    def draw(self, content: RenderableType) -> None:
        """Draw the region anew, where this process is in the foreground."""
        with self.lock:
            size = self.console.size = self.size()
            lines = self._render(content).split("\n")[: max(1, size.height - 1)]
            if not self._is_in_foreground():
                self.forget()
                return
            start = self._start(size)
            self._drawn = [Text.from_ansi(line).plain for line in lines]
            self._shown = "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J"
            self._write(start + self._shown)

    def print(self, content: RenderableType) -> None:
        """Print lasting lines above the region."""
        with self.lock:
            self.console.size = self.size()
            if not self._is_in_foreground():
                self.forget()
            text = self._render(content, soft_wrap=True) + "\n"
            self._lasting.extend(text.splitlines(keepends=True))
            self._write(self._erase() + text + (self._shown if self._drawn else ""))

    def clear(self) -> None:
        """Take the region away."""
        with self.lock:
            if self._drawn:
                self._write(self._erase())
            self.forget()

    def forget(self) -> None:
        """Leave the region where it is: others wrote below it, as a shell does where a run is stopped."""
        self._drawn, self._shown = [], ""

    def _render(self, content: RenderableType, **options: Any) -> str:
        with self.console.capture() as captured:
            self.console.print(content, **options)
        return captured.get().removesuffix("\n")

    def _erase(self) -> str:
        return f"\x1b[{len(self._drawn)}A\r\x1b[J" if self._drawn else ""

    def _start(self, size: ConsoleDimensions) -> str:
        """What moves the cursor to the region's first line.

        Many terminals break lines anew that have become too long, and how many lines the region then takes
        is not known: the whole screen is written again.
        """
        if not self._drawn:
            return ""
        if max(map(cell_len, self._drawn)) <= size.width:
            return f"\x1b[{len(self._drawn)}A\r"
        room, again = size.height - 1 - len(self._drawn), ""
        for line in reversed(self._lasting):
            room -= max(1, -(-cell_len(Text.from_ansi(line).plain) // size.width))
            if room < 0:
                break
            again = line + again
        return f"\x1b[H\x1b[2J{again}"

    def _is_in_foreground(self) -> bool:
        try:
            return os.tcgetpgrp(self._stream.fileno()) == os.getpgrp()
        except (OSError, ValueError):  # it controls no session
            return True

    def _write(self, text: str) -> None:
        encoding = self._stream.encoding or "utf-8"
        self._stream.write(text.encode(encoding, errors="replace").decode(encoding))
        self._stream.flush()
