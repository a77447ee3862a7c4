"""A terminal that shows what a program writes to it: a pseudo-terminal, and the few sequences that we use."""

import codecs
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.cells import cell_len

SEQUENCE = re.compile(r"\x1b\[([0-9;]*)([A-Za-z])|\x1b(?!\[)|\x1b\[\?")


class Screen:
    """The lines of a terminal, with those that were scrolled out of it; it breaks lines that are too long.

    Any sequence that is not about the cursor, erasing or colours fails: what sets a mode must be reset, and a
    killed program resets nothing.
    """

    def __init__(self, columns: int, lines: int):
        self.columns, self.lines = columns, lines
        self.scrolled: list[str] = []
        self._rows: list[list[str]] = [[]]
        self._row = self._column = 0
        self._unread = ""

    @property
    def text(self) -> str:
        """What stands on the screen."""
        return "\n".join("".join(row).rstrip() for row in self._rows).rstrip("\n")

    @property
    def everything(self) -> str:
        """What was scrolled out, and what stands on the screen."""
        return "\n".join([*self.scrolled, self.text])

    def resize(self, columns: int, lines: int) -> None:
        """Change the size; as in many terminals, lines that are too long are broken anew."""
        rows = ["".join(row).rstrip() for row in self._rows]
        before, after = rows[: self._row], rows[self._row :]
        self.columns, self.lines = columns, lines
        cut = [self._cut(row) for row in before]
        self._rows = [list(piece) for pieces in cut for piece in pieces]
        self._row = len(self._rows)
        self._rows += [list(piece) for row in after for piece in self._cut(row)] or [[]]
        while self._row >= self.lines:
            self.scrolled.append("".join(self._rows.pop(0)).rstrip())
            self._row -= 1

    def _cut(self, row: str) -> list[str]:
        return [row[at : at + self.columns] for at in range(0, len(row), self.columns)] or [""]

    def write(self, text: str) -> None:
        """Take in what a program wrote."""
        text = self._unread + text
        end = text.rfind("\x1b")
        cut = end if end >= 0 and not SEQUENCE.match(text, end) else len(text)
        text, self._unread = text[:cut], text[cut:]
        at = 0
        for found in SEQUENCE.finditer(text):
            self._put(text[at : found.start()])
            at = found.end()
            self._obey(found)
        self._put(text[at:])

    def _obey(self, found: re.Match[str]) -> None:
        number, letter = found[1] or "", found[2]
        if letter == "A":
            self._row = max(0, self._row - int(number or 1))
        elif letter == "H" and not number:
            self._row = self._column = 0
        elif letter == "J" and number in ("", "0"):
            del self._rows[self._row + 1 :]
            del self._rows[self._row][self._column :]
        elif letter == "J" and number == "2":
            self._rows = [[] for _ in self._rows]
        elif letter == "K":
            del self._rows[self._row][self._column :]
        elif letter != "m":
            raise AssertionError(f"a sequence that needs to be undone, or that is not known: {found[0]!r}")

    def _put(self, text: str) -> None:
        for letter in text:
            if letter == "\r":
                self._column = 0
            elif letter == "\n":
                self._feed()
            else:
                if self._column + cell_len(letter) > self.columns:
                    self._column = 0
                    self._feed()
                row = self._rows[self._row]
                row.extend(" " * (self._column + 1 - len(row)))
                row[self._column] = letter
                self._column += cell_len(letter)

    def _feed(self) -> None:
        self._row += 1
        if self._row == self.lines:
            self.scrolled.append("".join(self._rows.pop(0)).rstrip())
            self._row -= 1
        while self._row >= len(self._rows):
            self._rows.append([])


class Terminal:
    """Runs a program in a terminal of its own, which is the program's controlling one."""

    def __init__(self, columns: int = 100, lines: int = 40):
        self.screen = Screen(columns, lines)
        self.raw = ""
        self.process: subprocess.Popen[bytes] | None = None
        self._ours, self._theirs = pty.openpty()
        self._set_size()

    def run(
        self,
        command: Sequence[str | Path],
        cwd: Path,
        env: Mapping[str, str],
        until: Callable[[Screen], bool] = lambda screen: False,
        then: Callable[["Terminal"], None] | None = None,
    ) -> int:
        """Run a command to its end, and return its exit code; call `then` once `until` holds."""
        before = termios.tcgetattr(self._theirs)
        decoder = codecs.getincrementaldecoder("utf-8")()
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        waits = True
        try:
            while True:
                ended = self.process.poll() is not None
                if not select.select([self._ours], [], [], 0 if ended else 0.1)[0]:
                    if ended:
                        break
                    continue
                said = decoder.decode(os.read(self._ours, 65536))
                self.raw += said
                self.screen.write(said.replace("\r\n", "\n").replace("\n", "\r\n"))
                if waits and then and until(self.screen):
                    waits = False
                    then(self)
            assert termios.tcgetattr(self._theirs) == before
            assert not (waits and then), self.screen.everything
            return self.process.returncode
        finally:
            self.process.kill()
            self.process.wait()
            os.close(self._theirs)
            os.close(self._ours)

    def resize(self, columns: int, lines: int) -> None:
        """Change the window's size, as a user does."""
        self.screen.resize(columns, lines)
        self._set_size()

    def interrupt(self, number: int) -> None:
        """Send a signal to every process of the session, as a terminal does."""
        os.killpg(self.process.pid, number)

    def _set_size(self) -> None:
        size = struct.pack("HHHH", self.screen.lines, self.screen.columns, 0, 0)
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, size)
