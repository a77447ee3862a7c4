"""Trial (canary) of a run: the first answers of a format are read before more requests are sent.

Beside the mark that it was passed stands what its batches have read so far, which small batches need; and in
the folder of the run, why it failed there, so that no other job asks in vain.
"""

import logging
import time
from collections import Counter
from pathlib import Path

from prep.inference.slots import Slots
from prep.runtime.program import UserError
from prep.serving.workflow_run import find_run
from prep.storage.atomic import read_json, write_json

log = logging.getLogger("prep")

REQUESTS = 20
"""Of so many answers most must be well formed; until that is sure, no more requests are sent."""
POLL_S = 0.2


class Trial:
    """The trial that the file `passed` marks as over, as a batch sees it.

    `passed` is in a folder of the server: the same form at another server is another trial.
    """

    def __init__(self, passed: Path, batch: str):
        self._passed, self._batch = passed, batch
        self._read_file = passed.with_suffix(".trial.json")
        self._run = find_run()
        self._name = f"trial-{passed.parent.name}-{passed.stem}"
        self.left, self.malformed, self._others = 0, Counter[str](), {}

    def wait(self) -> None:
        """Wait while another job of the run is on trial, unless it was passed; then see how far it is.

        A job that comes back from here is on trial itself, until its process ends. UserError where the
        trial has failed in this run.
        """
        turn = self._run and Slots(self._run.folder / self._name, 1)
        is_told = False
        while turn and not self._passed.exists() and not turn.hold(1):
            if not is_told:
                log.info("another job of the run is on trial; this one waits until it has passed, or ends")
            is_told = True
            time.sleep(POLL_S)
        if self._passed.exists():
            return
        if self._run and self._failed_file.exists():
            raise UserError(self._failed_file.read_text(encoding="utf-8"))
        self._others = read_json(self._read_file) if self._read_file.exists() else {}
        self._others.pop(self._batch, None)
        for other in self._others.values():
            self.malformed.update(other["malformed"])
        self.left = max(0, REQUESTS - self.read_before)

    @property
    def _failed_file(self) -> Path:
        return self._run.folder / f"{self._name}.failed"

    @property
    def read_before(self) -> int:
        """How many answers other batches have read."""
        return sum(other["read"] for other in self._others.values())

    def end(self) -> None:
        """Mark that it was passed."""
        self._passed.touch()
        self.left = 0

    def keep(self, read: int, malformed: Counter[str]) -> None:
        """Keep what the batch has read for the next one, where the trial is not over."""
        if read < self.left:
            write_json(self._read_file, self._others | {self._batch: {"read": read, "malformed": malformed}})

    def fail(self, error: UserError) -> None:
        """Have the run's other jobs end with the same error before they ask."""
        if self._run and not self._passed.exists():
            self._failed_file.write_text(str(error), encoding="utf-8")
