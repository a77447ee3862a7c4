"""What a server is started with: its command, its devices, its port, and a folder of its own."""

import fcntl
import os
import shutil
import socket
import sys
from itertools import count
from pathlib import Path

from prep.runtime.program import Failure
from prep.serving.server_config import ServerConfig

EMBEDDED = Path(__file__).resolve().parents[2] / "embedded_server.py"
# Flags that are decided at each start.
OURS = ("--host", "--port", "--served-model-name", "--api-key")


def command_line(config: ServerConfig, port: int) -> list[str]:
    """The command that serves the model on `port`; Failure when the configuration makes none."""
    name, model, args = config.name, config.model, config.args
    for flag in (argument.partition("=")[0] for argument in args):
        if flag in OURS:
            raise Failure(f"{name}: args must not hold {flag}: it is decided at each start")
    address = ["--host", config.host, "--port", str(port)]
    if config.mode == "embedded":
        threads = str(config.threads or max(1, _cores() - 1))
        return [sys.executable, str(EMBEDDED), "--model", model, *address, "--threads", threads]
    launcher = config.launcher
    if shutil.which(launcher[0]) is None:
        raise Failure(f"{name}: launcher {launcher[0]!r} is not found; run with --sdm conda, or name another")
    length = str(config.max_model_len)
    return [*launcher, model, *address, "--served-model-name", model, "--max-model-len", length, *args]


def shares(config: ServerConfig) -> list[str | None]:
    """CUDA_VISIBLE_DEVICES of each replica: an equal part of `devices`, or else of those of the job.

    None leaves the variable alone, which one replica may; Failure where several cannot share evenly.
    """
    replicas, devices = config.replicas, config.devices
    if replicas == 1:
        return [devices]
    each = [one for one in (devices or os.environ.get("CUDA_VISIBLE_DEVICES", "")).split(",") if one]
    if not each or len(each) % replicas:
        raise Failure(
            f"{config.name}: {replicas} replicas cannot share {len(each)} devices evenly;"
            ' name them in devices, such as "0,1,2,3"'
        )
    part = len(each) // replicas
    return [",".join(each[start : start + part]) for start in range(0, len(each), part)]


def own_folder(root: Path) -> tuple[Path, int]:
    """A folder `root`/<host>-<number> that no other program uses, and the open lock that keeps it so.

    What servers compile they keep there, and two that write it at once can spoil it; the next one finds
    it again. There are as many folders as servers ever ran at once.
    """
    for number in count():
        folder = root / f"{socket.gethostname()}-{number}"
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return folder.resolve(), lock
        except BlockingIOError:
            os.close(lock)
    raise AssertionError("count() ends")


def free_port(host: str, port: int = 0) -> int:
    """A port of `host` that nobody listens on at this moment: `port` itself, or with 0 any.

    Raises Failure when the port is taken, or the machine has no such host.
    """
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
            # A port whose last connections are still being forgotten is free for a server all the same.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            return listener.getsockname()[1]
    except OSError as error:
        raise Failure(f"cannot listen on {host}:{port or '*'}: {error.strerror}") from error


def taken(host: str, port: int) -> bool:
    """Whether somebody listens there."""
    try:
        free_port(host, port)
    except Failure:
        return True
    return False


def reached(host: str) -> str:
    """The name by which a URL reaches a server of this machine that listens on `host`."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]" if ":" in host else host


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
