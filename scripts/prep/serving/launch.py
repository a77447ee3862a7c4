"""Launch parameters of a managed server: command line, devices, port, and a leased cache folder."""

import fcntl
import os
import shutil
import socket
import sys
from itertools import count
from pathlib import Path

from prep.runtime.program import UserError
from prep.serving.server_config import ServerConfig

EMBEDDED_SERVER = Path(__file__).resolve().parents[2] / "embedded_server.py"
RESERVED_FLAGS = ("--host", "--port", "--served-model-name", "--api-key")  # decided at each start


def build_command(config: ServerConfig, port: int) -> list[str]:
    """Build the command that serves the model on `port`. Raises UserError when the configuration is wrong."""
    name, model, args = config.name, config.model, config.args
    for flag in (argument.partition("=")[0] for argument in args):
        if flag in RESERVED_FLAGS:
            raise UserError(f"{name}: args must not hold {flag}: it is decided at each start")
    address = ["--host", config.host, "--port", str(port)]
    if config.mode == "embedded":
        threads = str(config.threads or max(1, _count_cores() - 1))
        return [sys.executable, str(EMBEDDED_SERVER), "--model", model, *address, "--threads", threads]
    launcher = config.launcher
    if shutil.which(launcher[0]) is None:
        raise UserError(
            f"{name}: launcher {launcher[0]!r} is not found; call `make envs`, run with --sdm conda, or name"
            " another"
        )
    length = str(config.max_model_len)
    return [*launcher, model, *address, "--served-model-name", model, "--max-model-len", length, *args]


def split_devices(config: ServerConfig) -> list[str | None]:
    """Split `devices`, or else those of the job, into CUDA_VISIBLE_DEVICES of each replica.

    None leaves the variable as it is (for one replica). Raises UserError where the split is not even.
    """
    replicas, devices = config.replicas, config.devices
    if replicas == 1:
        return [devices]
    each = [one for one in (devices or os.environ.get("CUDA_VISIBLE_DEVICES", "")).split(",") if one]
    if not each or len(each) % replicas:
        raise UserError(
            f"{config.name}: {replicas} replicas cannot share {len(each)} devices evenly;"
            ' name them in devices, such as "0,1,2,3"'
        )
    part = len(each) // replicas
    return [",".join(each[start : start + part]) for start in range(0, len(each), part)]


def lease_folder(root: Path) -> tuple[Path, int]:
    """Lease a folder `root`/<host>-<number>; return it with its open lock. Closing the lock ends the lease.

    Servers keep compiled code there. Two that write at once can corrupt it; a later one uses it again.
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


def find_free_port(host: str, port: int = 0) -> int:
    """Return a port of `host` that is free at this moment: `port` itself, or any for 0.

    Raises UserError when the port is taken, or the machine has no such host.
    """
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
            # Connections in TIME_WAIT do not hinder a server.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            return listener.getsockname()[1]
    except OSError as error:
        raise UserError(f"cannot listen on {host}:{port or '*'}: {error.strerror}") from error


def is_port_taken(host: str, port: int) -> bool:
    """Whether a process listens at the port."""
    try:
        find_free_port(host, port)
    except UserError:
        return True
    return False


def url_host(host: str) -> str:
    """Return the host part of a URL that reaches a server of this machine that listens on `host`."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]" if ":" in host else host


def _count_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
