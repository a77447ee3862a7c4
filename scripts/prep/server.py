"""A model server for as long as a program needs it: started, watched, started again, always stopped.

Three modes: `managed` starts the configured launcher (vLLM, or any command that takes a model and vLLM's
flags), `embedded` the small CPU server of this project, `external` uses servers that run elsewhere. What
is started here listens on the loopback unless `host` says otherwise, asks for a random key that it is
handed in its environment, and is guarded (see prep.guard).
"""

import asyncio
import logging
import os
import secrets
import shutil
import socket
import sys
import time
from pathlib import Path
from typing import Any

from prep.endpoint import Endpoint, External, get, names, serves
from prep.guard import Guarded, follow_parent
from prep.program import Failure

log = logging.getLogger("prep")

# vLLM reads its key from this variable, the embedded server too: a key is never on a command line.
KEY_VARIABLE = "VLLM_API_KEY"
EMBEDDED = Path(__file__).resolve().parent.parent / "embedded_server.py"
# Flags that are decided at each start.
OURS = ("--host", "--port", "--served-model-name", "--api-key")


class Server:
    """The endpoints of one configured server, inside a `with` block and one event loop.

    Nothing is started or contacted before the first `endpoints()`; leaving the block stops what was
    started. `folder` gets the server's log. A failure is final: each later call raises it again.
    """

    grace = 10.0  # seconds from SIGTERM to SIGKILL
    poll = 0.25  # seconds between two looks at a server that is starting
    ports = 5  # how many free ports are tried when other programs are quicker to take them

    def __init__(self, settings: dict[str, Any], folder: Path):
        self._settings = settings
        self._name = settings["name"]
        self._log = Path(folder) / f"server-{socket.gethostname()}-{os.getpid()}.log"
        self._lock = asyncio.Lock()
        self._open = False
        self._failure: str | None = None
        self._external = External(settings) if settings["mode"] == "external" else None
        self._process: Guarded | None = None
        self._endpoint: Endpoint | None = None
        self._restarts = settings["restarts"]
        # An address that is to stay keeps its key too; one that changes gets a new one with each start.
        self._key = secrets.token_urlsafe(32) if settings.get("port") else None

    def __enter__(self) -> "Server":
        self._open = True
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False
        if self._external is not None:
            self._external.close()
            return
        if self._process is not None:
            self._process.stop()
            self._process = None
        follow_parent(False)

    async def endpoints(self) -> list[Endpoint]:
        """The endpoints that serve the model now, at least one; starts the server if none runs.

        Callers that come while it starts wait for the one start. Raises Failure when there is no server
        to be had: it never got ready, it died more than `restarts` times, no external one answers, or
        one that does serves another model.
        """
        async with self._lock:
            self._check_open()
            if self._failure is not None:
                raise Failure(self._failure)
            try:
                if self._external is not None:
                    return await self._external.endpoints()
                return [await self._running()]
            except Failure as failure:
                self._failure = str(failure)
                raise

    def _check_open(self) -> None:
        if not self._open:
            raise RuntimeError("a Server gives endpoints only inside its with block")

    async def _running(self) -> Endpoint:
        """The server that this context has started; started now, or again, if it does not run."""
        if self._process is not None:
            how = self._process.ended()
            if how is None:
                return self._endpoint
            await asyncio.to_thread(self._process.stop)
            self._spend_restart(self._failed(self._process, f"the server died ({how})"))
        while True:
            try:
                self._endpoint = await self._start()
                return self._endpoint
            except Failure as failure:
                # A server that never ran would not run the next time either; one that did, may.
                if self._endpoint is None:
                    raise
                self._spend_restart(failure)

    def _spend_restart(self, failure: Failure) -> None:
        if self._restarts == 0:
            raise failure
        self._restarts -= 1
        log.warning("%s; it is started again", failure)

    async def _start(self) -> Endpoint:
        """Start the server and wait until it is ready; on another port if this one was lost to others."""
        deadline = time.monotonic() + self._settings["start_timeout"]
        host, fixed = self._settings["host"], self._settings.get("port")
        for _ in range(self.ports):
            self._check_open()
            port = free_port(host, fixed or 0)
            endpoint = Endpoint(f"http://{_reached(host)}:{port}/v1", self._key or secrets.token_urlsafe(32))
            process = self._process = self._spawn(port, endpoint.api_key)
            try:
                ready = await self._ready(process, endpoint, deadline)
            except BaseException:
                self._process = None
                process.stop()
                raise
            if ready:
                log.info("%s: ready at %s", self._name, endpoint.base_url)
                return endpoint
            await asyncio.to_thread(process.stop)
            if fixed or not _taken(host, port):
                raise self._failed(process, f"the server ended ({process.ended()}) before it was ready")
            log.warning("%s: another program was quicker to take port %d; trying another", self._name, port)
        raise Failure(f"{self._name}: {self.ports} free ports, one after another, were taken by others first")

    def _spawn(self, port: int, key: str) -> Guarded:
        command = command_line(self._settings, port)
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", KEY_VARIABLE: key}
        if self._settings["devices"] is not None:
            environment["CUDA_VISIBLE_DEVICES"] = self._settings["devices"]
        log.info("%s: starting %s; its log is %s", self._name, " ".join(command), self._log)
        follow_parent(True)
        return Guarded(command, environment, self._log, self.grace)

    async def _ready(self, process: Guarded, endpoint: Endpoint, deadline: float) -> bool:
        """Wait until the server is healthy, names our model to our key, and lives; False if it ended.

        Health alone proves nothing: on a port lost to another server it is that server's.
        """
        model = self._settings["model"]
        root = endpoint.base_url.removesuffix("/v1")
        while True:
            seen = "it does not answer"
            try:
                status, _ = await asyncio.to_thread(get, f"{root}/health")
                seen = f"/health: status {status}"
                if status == 200:
                    status, body = await asyncio.to_thread(get, f"{root}/v1/models", endpoint.api_key)
                    seen = f"/v1/models: status {status}, {names(body)}"
                    if serves(model, body) and process.ended() is None:
                        await self._warn_if_open(root)
                        return True
            except OSError:
                pass
            if process.ended() is not None:
                return False
            if time.monotonic() > deadline:
                timeout = self._settings["start_timeout"]
                raise self._failed(process, f"the server was not ready in {timeout} s ({seen})")
            await asyncio.sleep(self.poll)

    async def _warn_if_open(self, root: str) -> None:
        status, _ = await asyncio.to_thread(get, f"{root}/v1/models")
        if status == 200:
            log.warning("%s: the server wants no key; have its launcher hand on %s", self._name, KEY_VARIABLE)

    def _failed(self, process: Guarded, what: str) -> Failure:
        """A failure of the server, which ends in the last lines of its log."""
        last = " | ".join(process.tail(8)) or "nothing"
        return Failure(f"{self._name}: {what}; the last of its log {self._log}: {last}")


def command_line(settings: dict[str, Any], port: int) -> list[str]:
    """The command that serves the model on `port`; Failure when the settings make none."""
    name, model, args = settings["name"], settings["model"], list(settings["args"])
    for flag in (argument.partition("=")[0] for argument in args):
        if flag in OURS:
            raise Failure(f"{name}: args must not hold {flag}: it is decided at each start")
    address = ["--host", settings["host"], "--port", str(port)]
    if settings["mode"] == "embedded":
        threads = str(settings.get("threads") or max(1, _cores() - 1))
        return [sys.executable, str(EMBEDDED), "--model", model, *address, "--threads", threads]
    launcher = settings["launcher"]
    if shutil.which(launcher[0]) is None:
        raise Failure(f"{name}: launcher {launcher[0]!r} is not found; run with --sdm conda, or name another")
    length = settings["max_model_len"]
    limit = [] if length is None else ["--max-model-len", str(length)]
    return [*launcher, model, *address, "--served-model-name", model, *limit, *args]


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


def _taken(host: str, port: int) -> bool:
    try:
        free_port(host, port)
    except Failure:
        return True
    return False


def _reached(host: str) -> str:
    """The name by which a URL reaches a server of this machine that listens on `host`."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]" if ":" in host else host


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
