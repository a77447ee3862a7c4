"""Snakemake logger plugin `live`: one screen for a whole run (`snakemake --logger live`).

Snakemake finds it by its name where scripts/ is on sys.path: `make env` sees to it for .venv; elsewhere
PYTHONPATH does. Snakemake imports every such package at each start, also where it is not asked for, so this
module imports nothing but the interface until it is.

Snakemake's own output takes its place in dry runs, with --quiet, --verbose and the like, where rich is not
installed, and from the moment on when the plugin fails. Jobs' own Snakemake processes have no plugins.
"""

import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    """Flags of the plugin."""

    no_table: bool = field(
        default=False, metadata={"help": "Leave out the table of artifacts and the next steps at the end."}
    )


class LogHandler(LogHandlerBase):
    """Hands Snakemake's log records to the view of the run."""

    def __post_init__(self) -> None:
        self.view = None
        self._own_output = None
        if self._asks_for_own_output():
            return
        try:
            from prep.terminal.run_state import RunState
            from prep.terminal.view import open_view

            self.view = open_view(
                sys.stderr,
                RunState(time.monotonic, show_logs=self.common_settings.show_failed_logs),
                no_color=self.common_settings.nocolor,
                arguments=sys.argv[1:],
                with_table=not getattr(self.settings, "no_table", False),
            )
            self.view.on_error = self._give_up
        except Exception as error:  # whatever it is: no run ends by its view
            print(f"--logger live: {error!r}; Snakemake prints as it does without", file=sys.stderr)

    def _asks_for_own_output(self) -> bool:
        """Whether flags ask for what Snakemake itself prints, or for nothing."""
        common = self.common_settings
        quiet = {str(getattr(each, "name", each)).lower() for each in common.quiet or ()}
        asked = (common.dryrun, common.verbose, common.debug_dag, common.printshellcmds, common.stdout)
        return any(asked) or bool(quiet & {"all", "progress"})

    def follow(self, plan: Callable[[], Mapping[str, int]], artifacts: Sequence[str]) -> None:
        """Take in what no event tells: the jobs to come by rule, and the names of the artifacts."""
        if self.view is not None:
            self.view.plan, self.view.artifacts = plan, artifacts

    @property
    def shows_failures(self) -> bool:
        """Whether each failed job has its line."""
        return self.view is not None and self._own_output is None

    def emit(self, record: logging.LogRecord) -> None:
        if self.view is not None and self._own_output is None:
            try:
                event = getattr(record, "event", None)
                self.view.take(str(event) if event else None, record.levelno, record.__dict__)
                return
            except Exception as error:  # as above
                self._give_up(error)
        if self._own_output is not None:
            with suppress(OSError):  # nobody reads any more
                self._own_output.handle(record)

    def _give_up(self, error: Exception) -> None:
        """Let Snakemake print from here on."""
        from snakemake.logging import ColorizingTextHandler, DefaultFilter, DefaultFormatter

        common = self.common_settings
        with suppress(Exception):  # the terminal may be gone
            self.view.end(broken=True)
        handler = ColorizingTextHandler(common.nocolor, sys.stderr)
        handler.setFormatter(DefaultFormatter(common.quiet, common.show_failed_logs))
        handler.addFilter(
            DefaultFilter(
                common.quiet, common.debug_dag, common.verbose, common.dryrun, common.printshellcmds
            )
        )
        self._own_output = handler
        said = f"--logger live failed: {error!r}; Snakemake prints from here on"
        with suppress(OSError):
            handler.handle(logging.makeLogRecord({"msg": said, "levelno": 30, "levelname": "WARNING"}))

    def close(self) -> None:
        if self.view is not None and self._own_output is None:
            try:
                self.view.end()
            except Exception as error:  # as above
                self._give_up(error)
        super().close()

    @property
    def writes_to_stream(self) -> bool:
        return self.view is not None

    @property
    def writes_to_file(self) -> bool:
        return False

    @property
    def has_filter(self) -> bool:
        return True

    @property
    def has_formatter(self) -> bool:
        return True

    @property
    def needs_rulegraph(self) -> bool:
        return False
