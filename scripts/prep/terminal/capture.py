"""Capture of terminal output of this process and its children, to print it above a live region."""

import codecs
import os
import select
import threading
from collections.abc import Callable
from contextlib import suppress

IDLE_S = 0.3  # after so long without an end, a line that was begun is taken as it is


class Capture:
    """Hands each line that is written to descriptors 1 and 2, where they are terminals, to `on_line`.

    A thread reads them from a pipe. It reads on whatever `on_line` raises, so that no writer ever waits, and
    the pipe stays open until the process ends, so that no child that lives longer is ended by a signal.
    """

    def __init__(self, on_line: Callable[[str], None]):
        self._on_line = on_line
        self._saved: dict[int, int] = {}
        self._pipe = -1
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._read, name="output of jobs", daemon=True)

    def start(self) -> None:
        """Capture from now on."""
        self._pipe, writes = os.pipe()
        os.set_blocking(self._pipe, False)
        for descriptor in (1, 2):
            if os.isatty(descriptor):
                self._saved[descriptor] = os.dup(descriptor)
                os.dup2(writes, descriptor)
        os.close(writes)
        self._thread.start()

    def stop(self) -> None:
        """Give the terminal back, and hand over what was still written."""
        for descriptor, saved in self._saved.items():
            os.dup2(saved, descriptor)
            os.close(saved)
        self._saved = {}
        self._ends.set()
        if self._thread.ident and self._thread is not threading.current_thread():
            self._thread.join(2)

    def _read(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        begun = ""
        while True:
            ends = self._ends.is_set()
            ready = select.select([self._pipe], [], [], 0 if ends else IDLE_S)[0]
            read = b""
            with suppress(BlockingIOError):
                read = os.read(self._pipe, 65536) if ready else b""
            if read:
                *lines, begun = (begun + decoder.decode(read)).split("\n")
            else:
                lines, begun = [begun] if begun else [], ""
            for line in lines:
                with suppress(Exception):  # the terminal may be gone
                    self._on_line(line.rstrip("\r").rpartition("\r")[2])
            if not read and (ready or ends):
                return
