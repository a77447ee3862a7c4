"""PID files that find orphaned server processes.

A server is orphaned when its program and its guard are killed at the same moment; the next start ends it.
Each process has its own PID file (see prep.runtime.process_group), since several jobs may use one server.
"""

import contextlib
import json
import logging
import os
import stat
from pathlib import Path
from typing import Any

from prep.runtime.process_group import (
    end_group,
    identify_machine,
    identify_process,
    is_group_alive,
    list_members,
)

log = logging.getLogger("prep")


def end_orphans(name: str, folder: Path, grace: float) -> None:
    """End the servers of the PID files in `folder` whose programs are gone, and remove these files.

    `name` is the server's, for the log. `grace`: seconds from SIGTERM to SIGKILL. Servers of a living
    program, of another machine and of another user are left alone.
    """
    for pid_file in sorted(folder.glob("*.json")):
        try:
            found = json.loads(pid_file.read_text(encoding="utf-8"))
            user = pid_file.stat().st_uid
        except FileNotFoundError:
            continue  # its program, or another search for orphans, removed it
        except ValueError:
            pid_file.unlink(missing_ok=True)  # the machine crashed before the content was on disk
            continue
        (host, boot, _), here = found["machine"], identify_machine()
        if user != os.getuid() or host != here[0]:
            continue
        if boot != here[1]:
            pid_file.unlink(missing_ok=True)  # no process outlives a reboot
        elif found["machine"] == here and not _is_alive(found["owner"]):
            _end_server(name, found, pid_file, grace)


def _end_server(name: str, found: dict[str, Any], pid_file: Path, grace: float) -> None:
    group = _parse_pid(found["server"])
    if not _has_survivors(found):
        pid_file.unlink(missing_ok=True)
        return
    log.warning("%s: ending a server that an earlier program left (process group %d)", name, group)
    end_group(group, grace, pid_file)
    if is_group_alive(group):
        log.warning("%s: processes of group %d do not end; they may still hold GPUs", name, group)


def _has_survivors(found: dict[str, Any]) -> bool:
    """Whether the server or a process that it started lives: one in its group that writes to its pipe.

    While one lives, the kernel gives the group's number to no other process.
    """
    if _is_alive(found["server"]):
        return True
    return any(_writes_to(found["output"], pid) for pid in list_members(_parse_pid(found["server"])))


def _writes_to(pipe: int, pid: int) -> bool:
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            status = os.stat(f"/proc/{pid}/fd/{descriptor}")
            if stat.S_ISFIFO(status.st_mode) and status.st_ino == pipe:
                return True
    return False


def _is_alive(process: str) -> bool:
    return identify_process(_parse_pid(process)) == process


def _parse_pid(process: str) -> int:
    return int(process.partition(":")[0])
