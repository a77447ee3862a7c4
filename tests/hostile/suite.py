"""A small build of stage 3 in a network of its own: no connection leaves it, and no secret is written down.

It needs root, for the network namespace: only the loopback is there. What tries to leave finds no route,
and the kernel counts that. Meanwhile the command lines of all processes are read over and over.
"""

import base64
import ctypes
import fcntl
import os
import re
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fault_server import FaultServer
from teachers import teach
from workflow import Build, Run, config

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1
"""Of Linux: unshare(2), netdevice(7)."""
KEY, TOKEN = "sk-live-0123456789abcdefghij", "hf_0123456789abcdefghijklmnop"


def enter_own_network() -> None:
    """Move this thread, and all that it starts, into a network namespace with a loopback alone."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        pytest.fail(f"no network of its own: {os.strerror(ctypes.get_errno())}; run this suite as root")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def count_without_route() -> int:
    """How often the kernel found no route for what a process of this network wanted to send."""
    lines = Path("/proc/thread-self/net/snmp").read_text().splitlines()
    names, numbers = (line.split() for line in lines if line.startswith("Ip:"))
    found = int(numbers[names.index("OutNoRoutes")])
    six = re.search(r"^Ip6OutNoRoutes\s+(\d+)", Path("/proc/thread-self/net/snmp6").read_text(), re.MULTILINE)
    return found + int(six[1])


class CommandLines:
    """The command lines of all processes, read over and over by a thread while its block lasts."""

    def __init__(self) -> None:
        self.found: set[bytes] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> "CommandLines":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _read(self) -> None:
        while not self._ended.wait(0.02):
            for pid in filter(str.isdigit, os.listdir("/proc")):
                try:
                    self.found.add(Path(f"/proc/{pid}/cmdline").read_bytes())
                except OSError:  # it has ended
                    continue


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Build, Run, set[bytes], int]]:
    """A build of stage 3 with a key and a token, the command lines meanwhile, and what tried to leave."""
    enter_own_network()
    changes = {
        "onevision": {"configs": ["iiit5k"]},
        "text_reasoning": {"max_questions": 2},
        "image_reasoning": {"samples_per_config": 2},
    }
    with pytest.MonkeyPatch.context() as patch, FaultServer(teach, slots=16, key=KEY) as server:
        patch.setenv("TEACHER_KEY", KEY)
        patch.setenv("HF_TOKEN", TOKEN)
        # Snakemake's Slurm plugin asks a machine's Slurm; that asks DNS unless a file names its controller.
        patch.setenv("SLURM_CONF", os.devnull)
        settings = config(server.base_url, **changes)
        for about in settings["servers"].values():
            about["api_key_env"] = "TEACHER_KEY"
        build = Build(tmp_path_factory.mktemp("built"), settings)
        before = count_without_route()
        with CommandLines() as lines:
            done = build.run("stage3", "--printshellcmds")
        yield build, done, lines.found, count_without_route() - before


def test_the_counter_counts(built: tuple[Build, Run, set[bytes], int]) -> None:
    before = count_without_route()
    with socket.socket() as leaving, pytest.raises(OSError, match="unreachable"):
        leaving.connect(("192.0.2.1", 80))  # of RFC 5737, for documentation
    assert count_without_route() == before + 1


def test_nothing_tries_to_leave_the_machine(built: tuple[Build, Run, set[bytes], int]) -> None:
    _, done, _, left = built
    assert done.returncode == 0, done.output[-3000:]
    assert left == 0


def test_no_command_line_holds_a_secret(built: tuple[Build, Run, set[bytes], int]) -> None:
    _, _, lines, _ = built
    assert any(b"answer_text.py" in line for line in lines)
    assert not [line for line in lines if KEY.encode() in line or TOKEN.encode() in line]


def test_no_file_of_a_build_holds_a_secret(built: tuple[Build, Run, set[bytes], int]) -> None:
    """Logs, manifests, reports, journals, and what Snakemake keeps of its jobs."""
    build, done, _, _ = built
    files = [path for path in build.folder.rglob("*") if path.is_file()]
    assert {"logs", "data", "work", ".snakemake"} <= {
        path.relative_to(build.folder).parts[0] for path in files
    }
    for secret in (KEY, TOKEN):
        spelled = (secret.encode(), base64.b64encode(secret.encode())[:-4])
        assert not [path for path in files if any(form in path.read_bytes() for form in spelled)]
        assert secret not in done.output
