"""Views of a run: a live screen on a terminal, sparse lines elsewhere, drawn by a thread of their own."""

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from rich.text import Text

from prep.runtime.sanitize import register_environment_secrets
from prep.terminal import screen
from prep.terminal.artifacts import format_artifacts, list_next_steps, read_manifests, repeat_command
from prep.terminal.batches import StatsReader, forecast_rules
from prep.terminal.capture import Capture
from prep.terminal.region import Region
from prep.terminal.run_state import Notice, RunState

REFRESH_S = 1.0
PLAN_S = 5.0  # how often the plan's jobs are counted
STOPPED_S = 5.0  # a wait of REFRESH_S that takes so long was interrupted: by Ctrl-Z, say
LINE_S = 60.0  # how often a line tells how a run stands, where there is no terminal
LAST_ROWS = 20_000  # so many summaries are read at a run's end, for its last line


class View:
    """What Snakemake's log events come to: `take` each, and `end` once."""

    def __init__(self, state: RunState, arguments: Sequence[str], with_table: bool = True):
        register_environment_secrets()
        self.state = state
        self.lock = threading.RLock()
        self.plan: Callable[[], Mapping[str, int]] | None = None
        """Counts the jobs of each rule that have not ended."""
        self.artifacts: Sequence[str] = ()
        """The names of the artifacts that the run may build."""
        self._arguments, self._with_table = arguments, with_table
        self._program = sys.argv[0] if Path(sys.argv[0]).name == "snakemake" else "snakemake"
        self._started_in = Path.cwd()
        self._stats = StatsReader(Path("work/stats"), since=time.time())
        self._said: Any = {}
        self._forecasts: Any = {}
        self._planned_at = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="view of the run", daemon=True)
        self.on_error: Callable[[Exception], None] = lambda error: None

    def take(self, event: str | None, level: int, fields: Mapping[str, Any]) -> None:
        """Take a log record of Snakemake in."""
        with self.lock:
            for notice in self.state.take(event, level, fields):
                self.print_notice(notice)
        if event == "run_info" and not self._thread.ident:
            self.start()
            self._thread.start()

    def end(self, broken: bool = False) -> None:
        """Take the screen away, and print how the run ended, unless the view is `broken`."""
        if self._ended.is_set():
            return
        self._ended.set()
        if self._thread.ident and self._thread is not threading.current_thread():
            self._thread.join(5)
        with self.lock:
            self.stop()
            if self.state.total and not broken:
                self.state.read_rows(LAST_ROWS)
                self.print_end()

    def read(self) -> None:
        """Read what the run's jobs wrote, and count its plan."""
        said = self._stats.read()
        with self.lock:
            jobs = self.state.count_asking()
        forecasts = forecast_rules(said, jobs)
        planned = None
        if self.plan and time.monotonic() - self._planned_at > PLAN_S:
            self._planned_at = time.monotonic()
            # The main thread may be changing it: then the next count is right.
            with suppress(RuntimeError, AttributeError, KeyError):
                planned = self.plan()
        with self.lock:
            self._said, self._forecasts = said, forecasts
            if planned is not None:
                self.state.take_plan(planned)
            self.state.read_rows()

    def _follow(self) -> None:
        try:
            while True:
                waits_since = time.monotonic()
                if self._ended.wait(REFRESH_S):
                    return
                if time.monotonic() - waits_since > STOPPED_S:
                    self.resume()
                self.read()
                with self.lock:
                    if not self._ended.is_set():
                        self.refresh()
        except Exception as error:  # whatever it is: the run goes on without its view
            self.on_error(error)

    def print_end(self) -> None:
        """Print the table of artifacts, how the run ended, and what comes next."""
        data = Path(os.path.relpath(Path.cwd(), self._started_in)) / "data"
        manifests = {}
        if self._with_table and self.state.wrote_artifacts:
            manifests = read_manifests(Path("data"), self.artifacts)
        if manifests:
            table = format_artifacts(manifests, self.width(), colour=True)
            self.write(Text.from_ansi(f"\n{table}"))
            notices = {artifact.get("notice") for artifact in manifests.values()}
            for said in sorted(notices - {None}):
                self.write(Text(f"\n{said}"))
            if missing := len(self.artifacts) - len(manifests):
                noun = "artifact is" if missing == 1 else "artifacts are"
                self.write(Text(f"\nOf the config {missing:,} {noun} not built yet."))
        style = "yellow" if self.state.interrupted else "bold red" if self.state.failed else "bold green"
        self.write(Text(f"\n{screen.format_end(self.state)}", style=style))
        if self.state.log_file:
            self.write(Text(f"Snakemake's own log: {self.state.log_file}", style="dim"))
        if manifests and not self.state.failed and not self.state.interrupted:
            self.write(Text())
            steps = list_next_steps(data, manifests, repeat_command(self._program, self._arguments))
            for name, text in steps.items():
                self.write(Text.assemble((f"{name:<8}", "bold"), text))

    def print_notice(self, notice: Notice) -> None:
        """Print what is told once."""
        self.write(screen.format_notice(notice))

    def write(self, text: Text) -> None:
        """Write lasting lines."""
        raise NotImplementedError

    def width(self) -> int | None:
        """Columns of the terminal, if there is one."""
        return None

    def start(self) -> None:
        """Called once, when the first job is about to start."""

    def refresh(self) -> None:
        """Called every REFRESH_S."""

    def resume(self) -> None:
        """Called where the process was stopped, and goes on."""

    def stop(self) -> None:
        """Called once, when the run has ended."""


class LiveView(View):
    """A live screen on a terminal."""

    def __init__(self, stream: TextIO, state: RunState, no_color: bool, **options: Any):
        super().__init__(state, **options)
        # The terminal itself; what others write to it is captured once jobs run.
        terminal = os.fdopen(os.dup(stream.fileno()), "w", encoding=stream.encoding, errors="replace")
        self._region = Region(terminal, no_color)
        self._capture = Capture(lambda line: self._region.print(Text.from_ansi(line)))

    def write(self, text: Text) -> None:
        self._region.print(text)

    def width(self) -> int | None:
        return self._region.size().width

    def start(self) -> None:
        self._capture.start()
        self.refresh()

    def refresh(self) -> None:
        columns, lines = self._region.size()
        now = datetime.now(UTC)
        self._region.draw(
            screen.build_screen(self.state, self._said, self._forecasts, now, columns, lines - 1)
        )

    def resume(self) -> None:
        self._region.forget()

    def stop(self) -> None:
        try:
            self._capture.stop()
        finally:
            self._region.clear()


class PlainView(View):
    """Lines of a log: how the run stands, once a minute."""

    def __init__(self, stream: TextIO, state: RunState, **options: Any):
        super().__init__(state, **options)
        self._stream = stream
        self._told_at = 0.0

    def write(self, text: Text) -> None:
        encoding = self._stream.encoding or "utf-8"
        self._stream.write(f"{text.plain}\n".encode(encoding, errors="replace").decode(encoding))
        self._stream.flush()

    def start(self) -> None:
        steps = ", ".join(f"{name} {step.jobs:,}" for name, step in self.state.steps().items())
        noun = "job" if self.state.total == 1 else "jobs"
        self.write(Text(f"{self.state.total:,} {noun} so far" + (f": {steps}" if steps else "")))
        self._told_at = time.monotonic()

    def refresh(self) -> None:
        if time.monotonic() - self._told_at >= LINE_S:
            self._told_at = time.monotonic()
            line = screen.format_line(self.state, self._said, self._forecasts, datetime.now(UTC))
            self.write(Text(line))


def open_view(stream: TextIO, state: RunState, no_color: bool, **options: Any) -> View:
    """Open the view that suits a stream: a live screen on a terminal that can move its cursor, else lines."""
    if stream.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb"):
        return LiveView(stream, state, no_color, **options)
    return PlainView(stream, state, **options)
