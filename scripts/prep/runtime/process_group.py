"""Child process group with a parent-death watchdog.

The program runs this file twice: as a launcher in a new session, and as its guard. The launcher execs the
command once the guard has been started, so the command never runs unguarded. The guard reads a pipe whose
other end only the program holds. One byte means that the program has ended the group itself. End of file
means that the program is gone: the guard ends the group. If the guard is killed, the program starts another.

If both are killed at the same moment, a PID file is left, and prep.serving.orphans finds it.

Imports the standard library only: this file also runs without site-packages.
"""

import contextlib
import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

PROC = Path("/proc")  # macOS has none
KILL_WAIT_S = 5.0  # after SIGKILL; only processes stuck in the kernel need it
PR_SET_PDEATHSIG = 1
PARENT_PID = os.getppid()  # at the start: an orphan gets another parent
DEAD_STATES = (b"Z", b"X")  # zombie and dead, see proc(5)
GUARD_PAUSE_S = 1.0  # between two guards, if something kills each of them
TAIL_LINES = 8  # of the output, kept for the failure message
MAX_LINE_BYTES = 65536
PYTHON = (sys.executable, "-I", "-S", __file__)
ERROR_PATTERN = re.compile(r"(?:^|\s)((?:\w+\.)*\w+(?:Error|Exception)(?:: .+)?)$")


class GuardedProcess:
    """A command in its own session, watched by a guard. Each output line goes to `on_line`."""

    def __init__(
        self,
        command: Sequence[str],
        environment: dict[str, str],
        on_line: Callable[[str], None],
        grace: float,
        pid_file: Path,
        held: Sequence[int] = (),
    ):
        """Start the command. `grace`: seconds from SIGTERM to SIGKILL. A thread calls `on_line`.

        On Linux `pid_file` exists while processes of the group live. Its folder must exist. The command and
        the guard inherit the descriptors `held`: a lock among them is held until both have ended.
        """
        self._grace = grace
        self._pid_file = pid_file
        self._held = tuple(held)
        self._last: deque[str] = deque(maxlen=TAIL_LINES)
        self._error = ""
        self._is_stopped = False
        self._lock = threading.Lock()
        with contextlib.ExitStack() as on_error:
            self._pipe, self._word = os.pipe()
            on_error.callback(self._close_pipe)
            self._process = subprocess.Popen(
                [*PYTHON, "launch", str(pid_file), identify_process(os.getpid()) or "", *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
                pass_fds=self._held,
                start_new_session=True,
            )
            self.pid = self._process.pid
            on_error.callback(self._process.wait)
            on_error.callback(self._process.kill)
            self._guard = self._start_guard()
            on_error.pop_all()
        with contextlib.suppress(BrokenPipeError), self._process.stdin as go:
            go.write(b".")
        threading.Thread(target=self._replace_guards, daemon=True).start()
        self._reader = threading.Thread(target=self._read_output, args=(on_line,), daemon=True)
        self._reader.start()

    def describe_exit(self) -> str | None:
        """Return the exit code or signal in words, or None while the command runs."""
        code = self._process.poll()
        if code is None:
            return None
        return f"exit code {code}" if code >= 0 else f"signal {-code}"

    def stop(self) -> None:
        """End every process of the group, and the guard. A second call does nothing."""
        with self._lock:
            if self._is_stopped:
                return
            self._is_stopped = True
        end_group(self.pid, self._grace, self._pid_file)
        os.write(self._word, b".")
        for process in (self._process, self._guard):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(KILL_WAIT_S)
        self._close_pipe()
        self._reader.join(KILL_WAIT_S)

    def summarize_output(self) -> str:
        """Return the first error line and the last lines of the output, in one line.

        The last lines of a server with many processes are about the others. The cause stands far above.
        """
        last = " | ".join(self._last) or "nothing"
        return last if self._error in last else f"{self._error} | … | {last}"

    def _start_guard(self) -> subprocess.Popen:
        return subprocess.Popen(
            [*PYTHON, "guard", str(self._pipe), str(self.pid), str(self._grace), str(self._pid_file)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=(self._pipe, *self._held),
            start_new_session=True,
        )

    def _replace_guards(self) -> None:
        """Start another guard whenever one was killed."""
        while True:
            self._guard.wait()
            with self._lock, contextlib.suppress(OSError):
                if self._is_stopped:
                    return
                self._guard = self._start_guard()
            time.sleep(GUARD_PAUSE_S)

    def _close_pipe(self) -> None:
        os.close(self._pipe)
        os.close(self._word)

    def _read_output(self, on_line: Callable[[str], None]) -> None:
        with self._process.stdout as pipe:
            while line := pipe.readline(MAX_LINE_BYTES):
                # A progress bar overwrites itself: keep its last state.
                text = line.decode("utf-8", "replace").rstrip().rpartition("\r")[2].strip()
                if text:
                    self._last.append(text)
                    if not self._error and (found := ERROR_PATTERN.search(text)):
                        self._error = found[1]
                    on_line(text)


def end_group(group: int, grace: float, pid_file: Path) -> None:
    """Send SIGTERM to every process of a group, and SIGKILL to what is left after `grace` seconds.

    Remove the PID file once no process is left.
    """
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, KILL_WAIT_S)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
        deadline = time.monotonic() + seconds
        while is_group_alive(group):
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        else:
            pid_file.unlink(missing_ok=True)
            return


def is_group_alive(group: int) -> bool:
    """Whether a process of the group lives. Zombies do not count."""
    if not PROC.joinpath("self/stat").exists():
        return _can_signal(group)
    return any(list_members(group))


def list_members(group: int) -> Iterator[int]:
    """List the processes of a group in /proc, without zombies."""
    for entry in filter(str.isdigit, os.listdir(PROC)):
        fields = _read_stat(PROC / entry / "stat")
        if fields and int(fields[2]) == group:
            yield int(entry)


def identify_process(pid: int) -> str | None:
    """Return a process's id and its start time, in clock ticks since boot; None if it has ended.

    The kernel reuses ids, but not with the same start time. None also where there is no /proc.
    """
    fields = _read_stat(PROC / str(pid) / "stat")
    return f"{pid}:{int(fields[19])}" if fields else None


def identify_machine() -> list[str]:
    """Return the scope of process ids: the host, its boot id, and the PID namespace.

    The host alone where there is no /proc.
    """
    if not PROC.joinpath("self/stat").exists():
        return [os.uname().nodename, "", ""]
    boot = PROC.joinpath("sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return [os.uname().nodename, boot, os.readlink(PROC / "self/ns/pid")]


def end_with_parent() -> None:
    """On Linux, have the kernel send this process SIGTERM when its parent dies.

    A killed workflow leaves its jobs behind. They must not keep a server, or work beside the next run.
    A job whose workflow is gone already must not begin.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))
        if os.getppid() != PARENT_PID:
            signal.raise_signal(signal.SIGTERM)


def _read_stat(path: Path) -> list[bytes] | None:
    """Read a process's state, parent, group and so on, as proc(5) has them; None if it has ended.

    Before them are its id and, in brackets, its name, which may hold spaces and brackets.
    """
    with contextlib.suppress(OSError):
        fields = path.read_bytes().rpartition(b")")[2].split()
        return None if fields[0] in DEAD_STATES else fields
    return None


def _can_signal(group: int) -> bool:
    """Whether the group can be signalled, for systems without /proc."""
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _guard(pipe: int, group: int, grace: float, pid_file: Path) -> None:
    """Watch for the parent's death (SIGKILL included) and end the group then; a byte says that all is done.

    Signals to the whole process tree must not end the guard.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if not os.read(pipe, 1):
        with contextlib.suppress(OSError):
            os.write(2, b"guard: the program that started this server is gone; ending the server\n")
        end_group(group, grace, pid_file)


def _write_pid_file(pid_file: Path, owner: str) -> None:
    """Write the identity of this process and of its program, and the pipe that its group writes to."""
    here = identify_process(os.getpid())
    if here is not None:
        found = {"machine": identify_machine(), "owner": owner, "server": here, "output": os.fstat(1).st_ino}
        part = pid_file.with_suffix(".part")
        part.write_text(json.dumps(found), encoding="utf-8")
        part.replace(pid_file)


def _launch(pid_file: Path, owner: str, command: list[str]) -> None:
    """Exec the command, once the program has started its guard; end if the program is gone before."""
    if not os.read(0, 1):
        return
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(1, 2)
    try:
        _write_pid_file(pid_file, owner)
    except OSError as error:
        sys.exit(f"cannot write {pid_file}: {error.strerror}")
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"cannot run {command[0]}: {error.strerror}")


if __name__ == "__main__":
    role, *words = sys.argv[1:]
    if role == "guard":
        _guard(int(words[0]), int(words[1]), float(words[2]), Path(words[3]))
    else:
        _launch(Path(words[0]), words[1], words[2:])
