"""One server process of ours: started until it is ready, started again when it has died, stopped."""

import asyncio
import logging
import os
import secrets
import time
from pathlib import Path

from prep.runtime.process_group import Guarded
from prep.runtime.program import Failure
from prep.runtime.sanitize import sanitize
from prep.serving.endpoint import Endpoint, fetch, names, serves
from prep.serving.launch import command_line, free_port, own_folder, reached, taken
from prep.serving.server_config import ServerConfig

log = logging.getLogger("prep")

# vLLM reads its key from this variable, the embedded server too: a key is never on a command line.
KEY_VARIABLE = "VLLM_API_KEY"
CACHE_VARIABLE = "VLLM_CACHE_ROOT"
PID_FILES = "running"  # the folder of the PID files of servers that run
SERVED = 'HTTP/1.1" 200 OK'  # how vLLM's line about a request ends that went well: there are too many


class Replica:
    """A server process on devices of its own, inside one event loop.

    `port`: the one to listen on; None: any that is free. With `key` given, address and key stay the same
    over restarts; else each start has new ones. `folder` gets what the server keeps from start to start.
    """

    grace = 10.0  # seconds from SIGTERM to SIGKILL
    poll = 0.25  # seconds between two looks at a server that is starting
    patience = 5.0  # seconds that it has to answer a look; twice as long after each that was too short
    ports = 5  # how many free ports are tried when other programs are quicker to take them

    def __init__(
        self,
        config: ServerConfig,
        name: str,
        folder: Path,
        devices: str | None = None,
        port: int | None = None,
        key: str | None = None,
    ):
        self.name = name
        self.endpoint: Endpoint | None = None  # of the last start that got ready
        self.task: asyncio.Task | None = None  # of the last start
        self._config = config
        self._folder = folder
        self._devices = devices
        self._port = port
        self._key = key
        self._restarts = config.restarts
        self._process: Guarded | None = None
        self._cache: tuple[Path, int] | None = None

    def lives(self) -> bool:
        """Whether it is ready, and has not died since."""
        return self.endpoint is not None and not self.starting() and self._process.ended() is None

    def starting(self) -> bool:
        return self.task is not None and not self.task.done()

    def lost(self) -> BaseException | None:
        """Why it cannot be had any more; None as long as it can."""
        return self.task.exception() if self.task is not None and self.task.done() else None

    def mend(self) -> None:
        """Have it started, or started again, if it does not run and is not lost."""
        if not (self.lives() or self.starting() or self.lost()):
            self.task = asyncio.create_task(self._run())

    def cancel(self) -> None:
        """Give up starting it."""
        if self.task is not None and not self.task.cancel() and not self.task.cancelled():
            self.task.exception()  # has been looked at
        self.task = None

    def stop(self) -> None:
        """End its processes, once it is cancelled."""
        if self._process is not None:
            self._process.stop()
            self._process = None
        if self._cache is not None:
            os.close(self._cache[1])
            self._cache = None
        self.endpoint = None

    async def _run(self) -> None:
        """See it to be ready; Failure when it never was, or has died more than `restarts` times."""
        if self._process is not None:
            how = self._process.ended()
            await asyncio.to_thread(self._process.stop)
            self._spend_restart(self._failed(self._process, f"the server died ({how})"))
        while True:
            try:
                self.endpoint = await self._start()
                return
            except Failure as failure:
                # A server that never ran would not run the next time either; one that did, may.
                if self.endpoint is None:
                    raise
                self._spend_restart(failure)

    def _spend_restart(self, failure: Failure) -> None:
        if self._restarts == 0:
            raise failure
        self._restarts -= 1
        log.warning("%s; it is started again", failure)

    async def _start(self) -> Endpoint:
        """Start the server and wait until it is ready; on another port if this one was lost to others."""
        deadline = time.monotonic() + self._config.start_timeout
        host = self._config.host
        for _ in range(self.ports):
            port = free_port(host, self._port or 0)
            endpoint = Endpoint(f"http://{reached(host)}:{port}/v1", self._key or secrets.token_urlsafe(32))
            process = self._process = self._spawn(port, endpoint.api_key)
            try:
                ready = await self._ready(process, endpoint, deadline)
            except BaseException:
                process.stop()
                raise
            if ready:
                log.info("%s: ready at %s", self.name, endpoint.base_url)
                if self._key is not None:
                    self._port = port
                return endpoint
            await asyncio.to_thread(process.stop)
            if self._port or not taken(host, port):
                raise self._failed(process, f"the server ended ({process.ended()}) before it was ready")
            log.warning("%s: another program was quicker to take port %d; trying another", self.name, port)
        raise Failure(f"{self.name}: {self.ports} free ports, one after another, were taken by others first")

    def _spawn(self, port: int, key: str) -> Guarded:
        command = command_line(self._config, port)
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", KEY_VARIABLE: key}
        if self._devices is not None:
            environment["CUDA_VISIBLE_DEVICES"] = self._devices
        if self._config.mode == "managed":
            cache = Path(os.environ.get(CACHE_VARIABLE) or self._folder / "cache")
            self._cache = self._cache or own_folder(cache)
            environment[CACHE_VARIABLE] = str(self._cache[0])
        pid_files = self._folder.resolve() / PID_FILES
        pid_files.mkdir(parents=True, exist_ok=True)
        log.info("%s: starting %s", self.name, " ".join(command))
        pid_file = pid_files / f"{secrets.token_hex(8)}.json"
        return Guarded(command, environment, self._hear, self.grace, pid_file)

    def _hear(self, line: str) -> None:
        """Pass on what the server says."""
        line = sanitize(line)
        if not line.endswith(SERVED):
            log.info("%s | %s", self.name, line)

    async def _ready(self, process: Guarded, endpoint: Endpoint, deadline: float) -> bool:
        """Wait until the server is healthy, names our model to our key, and lives; False if it ended.

        Health alone proves nothing: on a port lost to another server it is that server's.
        """
        model = self._config.model
        root = endpoint.base_url.removesuffix("/v1")
        timeout = self.patience
        while True:
            seen = "it does not answer"
            try:
                status, _ = await fetch(f"{root}/health", timeout=timeout)
                seen = f"/health: status {status}"
                if status == 200:
                    status, body = await fetch(f"{root}/v1/models", endpoint.api_key, timeout)
                    seen = f"/v1/models: status {status}, {names(body)}"
                    if serves(model, body) and process.ended() is None:
                        await self._warn_if_open(root)
                        return True
            except OSError as error:
                if isinstance(getattr(error, "reason", error), TimeoutError):  # it is busy
                    timeout = min(2 * timeout, max(self.patience, deadline - time.monotonic()))
            if process.ended() is not None:
                return False
            if time.monotonic() > deadline:
                timeout = self._config.start_timeout
                raise self._failed(process, f"the server was not ready in {timeout} s ({seen})")
            await asyncio.sleep(self.poll)

    async def _warn_if_open(self, root: str) -> None:
        status, _ = await fetch(f"{root}/v1/models")
        if status == 200:
            log.warning("%s: the server wants no key; have its launcher hand on %s", self.name, KEY_VARIABLE)

    def _failed(self, process: Guarded, what: str) -> Failure:
        """A failure of the server, which ends in the last lines of its log."""
        return Failure(f"{self.name}: {what}; the last that it said: {process.tail()}")
