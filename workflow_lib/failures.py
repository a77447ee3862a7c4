"""Error summary of a run: folders that cannot be written, and the last line of each log with an error."""

import contextlib
import errno
import logging
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from workflow_lib.config import FOLDERS
from workflow_lib.config_error import fail
from workflow_lib.locked_folder import explain_lock

ALWAYS = (".snakemake", "logs", "work")
"""Folders that every run writes into."""
PROBE_BYTES = 1 << 16
END_BYTES = 1 << 16
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def report_failures(since: float, run_logs: Iterable[str | Path], shown: bool = False) -> None:
    """Print to stderr the error lines of this run's logs, and what sbatch said of jobs that it did not take.

    `since` is when the run started, in seconds since the epoch; `run_logs` are Snakemake's own. Where each
    failed job was `shown` in a line, its log is not repeated.

    Programs end with one `error:` line in their log. Snakemake shows logs where jobs fail, which is pages
    above the end of a long run, and with `--quiet rules` not at all. A job that sbatch refuses has no log.
    """
    lines = _find_full_disks()
    lines += (line for log in run_logs for line in find_refusals(Path(log)))
    for log in [] if shown else sorted(Path("logs").rglob("*.log")):
        with contextlib.suppress(FileNotFoundError):  # of a job that still runs on a cluster
            if log.stat().st_mtime >= since - 1:  # file systems round times down
                last = read_end(log).strip().rpartition("\n")[2]
                if last.startswith("error: "):
                    lines.append(f"{last}\n       (log: {log})")
    if lines:
        print("\n".join(["", *lines]), file=sys.stderr, flush=True)


def read_end(log: Path) -> str:
    """The last END_BYTES of a log."""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - END_BYTES))
        return file.read().decode(errors="replace")


def check_room(outputs: Iterable[str]) -> None:
    """Stop a run before its first job where a folder of `outputs` is full or cannot be written.

    Snakemake makes folders and removes files itself, and dies of what it may not in the midst of a run.
    """
    written = {Path(output).parts[0] for output in outputs}
    places = {*ALWAYS, *(folder for folder in FOLDERS if Path(folder).parts[0] in written)}
    for place, error in find_unwritable(places):
        fail(_advise(place, error))


def find_unwritable(places: Iterable[str]) -> Iterator[tuple[Path, OSError]]:
    """Each of the folders, and the temporary one, that cannot take some kilobytes now, and why."""
    folders = [*filter(Path.is_dir, (Path(place).absolute() for place in sorted(places)))]
    # Python takes another one where this is full, and the solver of Snakemake's scheduler does not.
    named = Path(os.environ.get("TMPDIR") or "/tmp")
    try:
        folders.append(Path(tempfile.gettempdir()))
    except FileNotFoundError as error:  # of TMPDIR, /tmp and others none takes a byte
        yield named, error
    for folder in folders:
        if error := _try_to_write(folder):
            yield folder, error
    if named.is_dir() and named not in folders:
        error = _try_to_write(named)
        if error and error.errno in NO_ROOM:
            yield named, error


def _try_to_write(folder: Path) -> OSError | None:
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            while file.tell() < PROBE_BYTES:  # of a last write before the disk is full, a part is taken
                file.write(bytes(PROBE_BYTES))
    except OSError as error:
        return error
    return None


def _advise(folder: Path, error: OSError) -> str:
    advice = "free some space there (df shows where)" if error.errno in NO_ROOM else "mend that"
    return f"{folder}: {error.strerror}; {advice}, and run again"


def explain_errors() -> None:
    """Have a line that says what to do follow Snakemake's own errors: a locked folder, a full disk.

    An error of the scheduler, which has no room to note that a job ended, ends a run without `onerror`.
    """
    logging.getLogger("snakemake.logging").addHandler(_Explainer())


class _Explainer(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        exception, message = getattr(record, "exception", None), record.getMessage()
        if exception == "LockException":
            print(f"error: {explain_lock()}", file=sys.stderr, flush=True)
        for error in (OSError(number, os.strerror(number)) for number in NO_ROOM if exception):
            if f"[Errno {error.errno}]" in message:
                lines = _find_full_disks() or [f"error: {_advise(Path.cwd(), error)}"]
                print("\n".join(lines), file=sys.stderr, flush=True)


def _find_full_disks() -> list[str]:
    found = find_unwritable({*ALWAYS, *FOLDERS})
    return [f"error: {_advise(folder, error)}" for folder, error in found if error.errno in NO_ROOM]


def find_refusals(run_log: Path) -> list[str]:
    """A line for each thing that sbatch said when it refused jobs; none where there is no such log."""
    text = run_log.read_text(encoding="utf-8", errors="replace") if run_log.is_file() else ""
    message = r"SLURM sbatch failed\. The error message was '(?:sbatch: error: )?(.*?)'?$"
    said = Counter(re.findall(message, text, re.MULTILINE))
    return [
        f"error: sbatch refused {count} submission{'s' * (count > 1)}: {words};"
        " the profile says where a job runs and what it asks for (docs/cluster.md)"
        for words, count in said.items()
    ]
