"""A child process whose whole group ends with the program that started it, however that program ends.

The program runs this file in a session of its own: it leaves a guard behind and then *becomes* the
command, so there is no moment at which the command runs unguarded, and the program has the command itself
for a child. The guard reads a pipe of which the program alone holds the other end: one byte says that the
program has ended the group itself, the pipe's end that the program is gone. If the guard is killed, the
program still ends the group: one of the two always lives. What the command writes comes back through a
second pipe; the guard writes where the program's own errors go.

Where both are killed at the same moment, a PID file is left, which prep.serving.orphans looks for.

Imports the standard library only, since it is also run with no packages in reach.
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

# Seconds that processes get to go after SIGKILL: only those stuck in the kernel take any.
KILLED = 5.0
PR_SET_PDEATHSIG = 1
PARENT = os.getppid()  # when the program was young: one that is orphaned is another's child
ENDED = (b"Z", b"X")  # states of a process
TAIL = 8  # lines of a command that are kept to be told
LONGEST = 65536  # bytes of a line
ERROR = re.compile(r"(?:^|\s)((?:\w+\.)*\w+(?:Error|Exception)(?:: .+)?)$")


class Guarded:
    """A command in a session of its own, watched by a guard; each line that it writes is handed to `hear`."""

    def __init__(
        self,
        command: Sequence[str],
        environment: dict[str, str],
        hear: Callable[[str], None],
        grace: float,
        pid_file: Path,
    ):
        """Start it; `grace`: seconds from SIGTERM to SIGKILL. `hear` is called in a thread.

        On Linux `pid_file` is there as long as processes of the group live; its folder must exist.
        """
        self._grace = grace
        self._pid_file = pid_file
        self._last: deque[str] = deque(maxlen=TAIL)
        self._error = ""
        pipe, word = os.pipe()
        self._word: int | None = word
        flags = [str(pipe), str(grace), str(pid_file), identity(os.getpid()) or ""]
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__, *flags, *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                env=environment,
                pass_fds=[pipe],
                start_new_session=True,
            )
        except BaseException:
            os.close(word)
            raise
        finally:
            os.close(pipe)
        self.pid = self._process.pid
        self._listener = threading.Thread(target=self._listen, args=(hear,), daemon=True)
        self._listener.start()

    def ended(self) -> str | None:
        """How the command ended, in words; None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        return f"exit code {code}" if code >= 0 else f"signal {-code}"

    def stop(self) -> None:
        """End every process of the group and send the guard home; a second call does nothing."""
        word, self._word = self._word, None
        if word is None:
            return
        end(self.pid, self._grace, self._pid_file)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(KILLED)
        with contextlib.suppress(BrokenPipeError):
            os.write(word, b".")
        os.close(word)
        self._listener.join(KILLED)

    def tail(self) -> str:
        """The last that the command wrote, in one line, and before it the first error that it named.

        A server of many processes ends in words about the others; what went wrong stands far above.
        """
        last = " | ".join(self._last) or "nothing"
        return last if self._error in last else f"{self._error} | … | {last}"

    def _listen(self, hear: Callable[[str], None]) -> None:
        with self._process.stdout as pipe:
            while line := pipe.readline(LONGEST):
                # Of a progress bar, only how it looked last.
                text = line.decode("utf-8", "replace").rstrip().rpartition("\r")[2].strip()
                if text:
                    self._last.append(text)
                    if not self._error and (found := ERROR.search(text)):
                        self._error = found[1]
                    hear(text)


def end(group: int, grace: float, pid_file: Path) -> None:
    """SIGTERM to every process of a group, SIGKILL to what is left of it after `grace` seconds.

    Removes the PID file once none is left.
    """
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, KILLED)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
        deadline = time.monotonic() + seconds
        while living(group):
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        else:
            pid_file.unlink(missing_ok=True)
            return


def living(group: int) -> bool:
    """Whether a process of the group is left; one that has ended and was not waited for does not count."""
    if not Path("/proc/self/stat").exists():
        return _signalled(group)
    return any(members(group))


def members(group: int) -> Iterator[int]:
    """The processes of a group in /proc, without those that have ended and were not waited for."""
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if entry.isdigit() and _runs_in(group, Path("/proc", entry, "stat").read_bytes()):
                yield int(entry)


def identity(pid: int) -> str | None:
    """A process by its id and its start, in clock ticks since the machine's; None if it has ended.

    Ids are used again, but not with the same start. None also where there is no /proc.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    state, *rest = stat.rpartition(b")")[2].split()
    return None if state in ENDED else f"{pid}:{int(rest[18])}"  # proc(5): state is field 3, the start 22


def machine() -> list[str]:
    """What process ids belong to: this host, its start, and the namespace of ids."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return [os.uname().nodename, boot, os.readlink("/proc/self/ns/pid")]


def follow_parent() -> None:
    """On Linux: have the kernel send this process SIGTERM when the one that started it is gone.

    A workflow that is killed leaves its jobs behind. They must not hold a server on, or ask and write beside
    the next run, and one whose workflow is gone already must not begin.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))
        if os.getppid() != PARENT:
            signal.raise_signal(signal.SIGTERM)


def _runs_in(group: int, stat: bytes) -> bool:
    """Read `pid (name) state ppid pgrp …` as proc(5) has it; a name may hold spaces and brackets."""
    state, _parent, its_group = stat.rpartition(b")")[2].split()[:3]
    return int(its_group) == group and state not in ENDED


def _signalled(group: int) -> bool:
    """Where there is no /proc: whether the group can be signalled."""
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _watch(pipe: int, group: int, grace: float, pid_file: Path) -> None:
    """Wait for the program's word or its end; what ends whole families of processes is not for the guard."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.dup2(2, 1)  # the command's output ends with the command
    if not os.read(pipe, 1):
        with contextlib.suppress(OSError):
            os.write(2, b"guard: the program that started this server is gone; ending the server\n")
        end(group, grace, pid_file)


def _write_pid_file(pid_file: Path, owner: str) -> None:
    """Write which process this is, which program started it, and which pipe it and its children write to."""
    here = identity(os.getpid())
    if here is not None:
        found = {"machine": machine(), "owner": owner, "server": here, "output": os.fstat(1).st_ino}
        part = pid_file.with_suffix(".part")
        part.write_text(json.dumps(found), encoding="utf-8")
        part.replace(pid_file)


def _become(pipe: int, grace: float, pid_file: Path, owner: str, command: list[str]) -> None:
    """Leave the guard and a PID file behind, and become the command."""
    group = os.getpgrp()
    if os.fork() == 0:
        # Twice forked, the guard is nobody's child: the command never meets a stranger to wait for.
        os.setsid()
        if os.fork() == 0:
            _watch(pipe, group, grace, pid_file)
        os._exit(0)
    os.wait()
    os.close(pipe)
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
    _become(int(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3]), sys.argv[4], sys.argv[5:])
