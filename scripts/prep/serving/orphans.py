"""The next start ends orphaned servers: those whose program and guard were killed at the same moment.

Each server has a PID file of its own (see prep.runtime.process_group), so that jobs that use one
server at once do not meet.
"""

import contextlib
import json
import logging
import os
import stat
from pathlib import Path
from typing import Any

from prep.runtime.process_group import end, identity, living, machine, members

log = logging.getLogger("prep")


def end_orphans(name: str, folder: Path, grace: float) -> None:
    """End the servers of the PID files in `folder` whose programs are gone, and remove these files.

    `name` is the server's, for the log; `grace`: seconds from SIGTERM to SIGKILL. What belongs to a program
    that lives, to another machine or to another user is left alone.
    """
    for pid_file in sorted(folder.glob("*.json")):
        try:
            found = json.loads(pid_file.read_text(encoding="utf-8"))
            user = pid_file.stat().st_uid
        except FileNotFoundError:
            continue  # its program, or another one that looks for orphans, removed it
        except ValueError:
            pid_file.unlink(missing_ok=True)  # it was not on the disk yet when the machine crashed
            continue
        (host, boot, _), here = found["machine"], machine()
        if user != os.getuid() or host != here[0]:
            continue
        if boot != here[1]:
            pid_file.unlink(missing_ok=True)  # nothing outlives a start of the machine
        elif found["machine"] == here and not _lives(found["owner"]):
            _end(name, found, pid_file, grace)


def _end(name: str, found: dict[str, Any], pid_file: Path, grace: float) -> None:
    group = _pid(found["server"])
    if not _is_left(found):
        pid_file.unlink(missing_ok=True)
        return
    log.warning("%s: ending a server that an earlier program left (process group %d)", name, group)
    end(group, grace, pid_file)
    if living(group):
        log.warning("%s: processes of group %d do not end; they may still hold GPUs", name, group)


def _is_left(found: dict[str, Any]) -> bool:
    """Whether the server lives, or processes that it started: they are in its group and write to its pipe.

    As long as one of them lives, the group's number is given to no other process.
    """
    if _lives(found["server"]):
        return True
    return any(_writes_to(found["output"], pid) for pid in members(_pid(found["server"])))


def _writes_to(pipe: int, pid: int) -> bool:
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            status = os.stat(f"/proc/{pid}/fd/{descriptor}")
            if stat.S_ISFIFO(status.st_mode) and status.st_ino == pipe:
                return True
    return False


def _lives(process: str) -> bool:
    return identity(_pid(process)) == process


def _pid(process: str) -> int:
    return int(process.partition(":")[0])
