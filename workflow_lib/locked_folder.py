"""What to do about a folder that is locked: the run that locked it works there, or it was killed.

Snakemake 9.27 locks by files that name no process, and its message names no command.
"""

import json
import os
import re
import socket
from pathlib import Path

from workflow_lib.run_folder import identify_process

RUN = Path("work/run.json")
"""The last run that began in the folder: its machine, and its main process."""
UNLOCK = "call `snakemake --unlock` once, with the same --configfile and --directory, and then this again"


def note_run() -> None:
    """Write down which process runs in the folder."""
    RUN.parent.mkdir(exist_ok=True)
    part = RUN.with_name(f".{RUN.name}.part")  # of the one run that holds the lock
    part.write_text(
        json.dumps({"machine": _machine(), "process": identify_process()}) + "\n", encoding="utf-8"
    )
    part.replace(RUN)


def explain_lock() -> str:
    """Whether the run that locked the folder lives, as far as can be told from here, and what to do."""
    try:
        found = json.loads(RUN.read_text(encoding="utf-8"))
        (host, boot, _), process = found["machine"], found["process"]
        pid = re.fullmatch(r"(?:(\d{1,10}):\d+)?", process, re.ASCII)[1] or ""
        if not "".join(found["machine"]).isprintable():
            raise ValueError("no name of a machine")
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return f"if no run works in this folder, one was killed there: {UNLOCK}"
    here = _machine()
    if host != here[0] or (boot == here[1] and found["machine"] != here):
        return f"process {pid} on {host} locked this folder; if it was killed, {UNLOCK}"
    if boot == here[1] and process and identify_process(pid) == process:
        return f"process {pid} works in this folder: wait until it ends, or end it with `kill -INT {pid}`"
    return f"the run that locked this folder, process {pid}, was killed: {UNLOCK}"


def _machine() -> list[str]:
    """The scope of process ids: host, boot id, and PID namespace; the host alone where there is no /proc."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return [socket.gethostname(), boot, os.readlink("/proc/self/ns/pid")]
    except OSError:
        return [socket.gethostname(), "", ""]
