"""One managed server process: start until healthy, restart after death, stop."""

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from prep.runtime.process_group import GuardedProcess
from prep.runtime.program import UserError
from prep.runtime.sanitize import sanitize
from prep.serving.endpoint import Endpoint, describe_models, fetch_json, serves_model
from prep.serving.launch import build_command, find_free_port, is_port_taken, lease_folder, url_host
from prep.serving.server_config import ServerConfig

log = logging.getLogger("prep")

# vLLM and the embedded server read the key from this variable, so it is on no command line.
KEY_VARIABLE = "VLLM_API_KEY"
CACHE_VARIABLE = "VLLM_CACHE_ROOT"
PID_FILES = "running"  # folder of the PID files
PORT_ATTEMPTS = 5  # when other programs take a free port first
ACCESS_LOG_OK = 'HTTP/1.1" 200 OK'  # end of an access-log line, of which there are too many


@dataclass(eq=False, repr=False)
class Replica:
    """A server process on its own devices, used inside one event loop.

    `port` None means any free one. With a `key`, address and key stay the same over restarts; without, each
    start has new ones. `folder` holds the caches and PID files of the server.
    """

    grace_s: ClassVar[float] = 10.0  # from SIGTERM to SIGKILL
    poll_s: ClassVar[float] = 0.25  # between two health checks of a server that is starting
    timeout_s: ClassVar[float] = 5.0  # of a health check; doubled after each timeout

    name: str
    config: ServerConfig
    folder: Path
    devices: str | None
    port: int | None
    key: str | None
    held: Sequence[int] = ()  # descriptors that its processes inherit
    endpoint: Endpoint | None = None  # of the last start that became healthy
    task: asyncio.Task | None = None  # of the last start
    _restarts: int = 0
    _process: GuardedProcess | None = None
    _cache: tuple[Path, int] | None = None

    def is_ready(self) -> bool:
        """Whether it became healthy, and has not died since."""
        return self.endpoint is not None and not self.is_starting() and self._process.describe_exit() is None

    def is_starting(self) -> bool:
        return self.task is not None and not self.task.done()

    def get_failure(self) -> BaseException | None:
        """Return why it was given up, or None."""
        return self.task.exception() if self.task is not None and self.task.done() else None

    def ensure_started(self) -> None:
        """Start or restart it, if it does not run and was not given up."""
        if not (self.is_ready() or self.is_starting() or self.get_failure()):
            self.task = asyncio.create_task(self._run())

    def forget_restarts(self) -> None:
        """Count restarts anew; one that was given up may start again."""
        self._restarts = 0
        if self.get_failure():
            self.task = None

    def cancel_start(self) -> None:
        """Cancel the current start."""
        if self.task is not None and not self.task.cancel() and not self.task.cancelled():
            self.task.exception()  # mark the exception as retrieved
        self.task = None

    def stop(self) -> None:
        """End its processes, after cancel_start."""
        if self._process is not None:
            self._process.stop()
            self._process = None
        if self._cache is not None:
            os.close(self._cache[1])
            self._cache = None
        self.endpoint = None

    async def _run(self) -> None:
        """Start until healthy. Raises UserError when it never was, or has died more than `restarts` times."""
        if self._process is not None:
            how = self._process.describe_exit()
            await asyncio.to_thread(self._process.stop)
            self._spend_restart(self._describe_failure(self._process, f"the server died ({how})"))
        while True:
            try:
                self.endpoint = await self._start()
                return
            except UserError as failure:
                # A server that never became healthy would not the next time either.
                if self.endpoint is None:
                    raise
                self._spend_restart(failure)

    def _spend_restart(self, failure: UserError) -> None:
        if self._restarts == self.config.restarts:
            raise failure
        self._restarts += 1
        log.warning("%s; it is started again", failure)

    async def _start(self) -> Endpoint:
        """Start the server and wait until it is healthy; try another port if this one was taken."""
        deadline = time.monotonic() + self.config.start_timeout
        host = self.config.host
        for _ in range(PORT_ATTEMPTS):
            port = find_free_port(host, self.port or 0)
            endpoint = Endpoint(f"http://{url_host(host)}:{port}/v1", self.key or secrets.token_urlsafe(32))
            process = self._process = self._spawn(port, endpoint.api_key)
            try:
                ready = await self._wait_until_ready(process, endpoint, deadline)
            except BaseException:
                process.stop()
                raise
            if ready:
                log.info("%s: ready at %s", self.name, endpoint.base_url)
                if self.key is not None:
                    self.port = port
                return endpoint
            await asyncio.to_thread(process.stop)
            if self.port or not is_port_taken(host, port):
                raise self._describe_failure(
                    process, f"the server ended ({process.describe_exit()}) before it was ready"
                )
            log.warning("%s: another program took port %d first; trying another", self.name, port)
        raise UserError(f"{self.name}: other programs took {PORT_ATTEMPTS} free ports first")

    def _spawn(self, port: int, key: str) -> GuardedProcess:
        command = build_command(self.config, port)
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", KEY_VARIABLE: key}
        if self.devices is not None:
            environment["CUDA_VISIBLE_DEVICES"] = self.devices
        if self.config.mode == "managed":
            cache = Path(os.environ.get(CACHE_VARIABLE) or self.folder / "cache")
            self._cache = self._cache or lease_folder(cache)
            environment[CACHE_VARIABLE] = str(self._cache[0])
            if os.path.isabs(command[0]):  # what its environment brings along, such as ninja, is beside it
                environment["PATH"] = os.pathsep.join([os.path.dirname(command[0]), os.environ["PATH"]])
        pid_files = self.folder.resolve() / PID_FILES
        pid_files.mkdir(parents=True, exist_ok=True)
        log.info("%s: starting %s", self.name, " ".join(command))
        pid_file = pid_files / f"{secrets.token_hex(8)}.json"
        return GuardedProcess(command, environment, self._log_line, self.grace_s, pid_file, self.held)

    def _log_line(self, line: str) -> None:
        """Log a line of the server's output."""
        line = sanitize(line)
        if not line.endswith(ACCESS_LOG_OK):
            log.info("%s | %s", self.name, line)

    async def _wait_until_ready(self, process: GuardedProcess, endpoint: Endpoint, deadline: float) -> bool:
        """Wait until the server is healthy, names our model to our key, and lives; False if it ended.

        Health alone proves nothing: another server may have taken the port.
        """
        model = self.config.model
        root = endpoint.base_url.removesuffix("/v1")
        timeout = self.timeout_s
        while True:
            seen = "it does not answer"
            try:
                status, _ = await fetch_json(f"{root}/health", timeout=timeout)
                seen = f"/health: status {status}"
                if status == 200:
                    status, body = await fetch_json(f"{root}/v1/models", endpoint.api_key, timeout)
                    seen = f"/v1/models: status {status}, {describe_models(body)}"
                    if serves_model(model, body) and process.describe_exit() is None:
                        await self._warn_if_open(root)
                        return True
            except OSError as error:
                if isinstance(getattr(error, "reason", error), TimeoutError):  # it is busy
                    timeout = min(2 * timeout, max(self.timeout_s, deadline - time.monotonic()))
            if process.describe_exit() is not None:
                return False
            if time.monotonic() > deadline:
                timeout = self.config.start_timeout
                raise self._describe_failure(process, f"the server was not ready in {timeout} s ({seen})")
            await asyncio.sleep(self.poll_s)

    async def _warn_if_open(self, root: str) -> None:
        status, _ = await fetch_json(f"{root}/v1/models")
        if status == 200:
            log.warning("%s: the server wants no key; its launcher must pass on %s", self.name, KEY_VARIABLE)

    def _describe_failure(self, process: GuardedProcess, what: str) -> UserError:
        """Make a UserError that ends in the last lines of the server's output."""
        return UserError(f"{self.name}: {what}; its last output: {process.summarize_output()}")
