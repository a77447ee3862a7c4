"""Identity of a run and its folder on the machine's own disk, for jobs that share a server.

Jobs of the main process find both in a variable of the environment. A job on a cluster has none: its own
allocation is its machine.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

VARIABLE = "VLM_DATA_PREP_RUN"
LONGEST_FOLDER = 60  # characters: a socket's path may have 107


def export_run(is_main_process: bool, is_remote: bool) -> None:
    """Tell the jobs of this process which run they are of; a job on a cluster is told nothing."""
    if is_remote:
        os.environ.pop(VARIABLE, None)
    elif is_main_process and (process := identify_process()):
        folder = choose_folder(process)
        os.environ[VARIABLE] = f"{process} {folder}"
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


def choose_folder(process: str) -> Path:
    """A folder that this run alone has, on a disk of this machine; it is made where it is needed."""
    name = f"vlm-prep-{os.getuid()}-{process.replace(':', '-')}"
    bases = (os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir(), "/tmp")
    usable = (base for base in bases if os.path.isdir(base) and os.access(base, os.W_OK))
    return Path(next((base for base in usable if len(f"{base}/{name}") <= LONGEST_FOLDER), "/tmp"), name)


def identify_process(pid: int | str = "self") -> str:
    """A process's id and start time, in clock ticks since boot; empty if it ended, or there is no /proc."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return ""
    number, fields = int(stat.partition(b" ")[0]), stat.rpartition(b")")[2].split()
    return "" if fields[0] in (b"Z", b"X") else f"{number}:{int(fields[19])}"
