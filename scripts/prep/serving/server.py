"""Lifecycle of a model server as a context manager: lazy start, health checks, restarts, guaranteed stop.

Three modes: `managed` starts the configured launcher (vLLM, or any command that takes a model and vLLM's
flags), `embedded` starts the small CPU server of this project, `external` uses servers that run elsewhere.
A started server listens on the loopback unless `host` says otherwise. It gets a random key in its
environment, and a guard (see prep.runtime.process_group).
"""

import asyncio
import logging
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from prep.runtime.program import UserError
from prep.serving.endpoint import Endpoint, ExternalServers
from prep.serving.launch import split_devices
from prep.serving.orphans import end_orphans
from prep.serving.replica import PID_FILES, Replica
from prep.serving.server_config import ServerConfig

log = logging.getLogger("prep")


class Server:
    """The endpoints of one configured server, inside a `with` block and one event loop.

    The first `ensure_endpoints()` starts or contacts it. The end of the block stops what was started. With
    `stay` or a configured `port`, all replicas have one key, and address and key stay the same over restarts.
    Replica number n listens on the port + n. A failure is final: each later call raises it again. Its
    processes inherit the descriptors that are in `held` when they start.
    """

    def __init__(self, config: ServerConfig, folder: Path, stay: bool = False, held: Sequence[int] = ()):
        self._config = config
        self._folder = Path(folder)
        self._held = held
        self._stay = stay or config.port is not None
        self._lock = asyncio.Lock()
        self._open = False
        self._failure: str | None = None
        self._external = ExternalServers(config) if config.mode == "external" else None
        self._replicas: list[Replica] = []
        self._reported: set[str] = set()

    def __enter__(self) -> "Server":
        self._open = True
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False
        if self._external is not None:
            self._external.close()
        else:
            self._stop()

    async def ensure_endpoints(self) -> list[Endpoint]:
        """Return the endpoints that serve the model now, at least one; start replicas that do not run.

        The first call waits until all replicas are healthy, later ones only while none is. Raises UserError
        when a replica never became healthy, all died more than `restarts` times, no external server answers,
        or one of them serves another model.
        """
        async with self._lock:
            if not self._open:
                raise RuntimeError("a Server gives endpoints only inside its with block")
            if self._failure is not None:
                raise UserError(self._failure)
            try:
                if self._external is not None:
                    return await self._external.find_endpoints()
                if not self._replicas:
                    await self._start_replicas()
                return await self._live_endpoints()
            except UserError as failure:
                self._failure = str(failure)
                raise

    def forget_restarts(self) -> None:
        """Count restarts anew, for another job."""
        for replica in self._replicas:
            replica.forget_restarts()
        self._reported.clear()

    async def _start_replicas(self) -> None:
        """Start all replicas and wait until each is healthy; stop all if one never is.

        Orphans of an earlier program are ended first: they would hold the GPUs.
        """
        await asyncio.to_thread(end_orphans, self._config.name, self._folder / PID_FILES, Replica.grace_s)
        config, key = self._config, secrets.token_urlsafe(32) if self._stay else None
        for number, devices in enumerate(split_devices(config)):
            name = config.name + (f".{number}" if config.replicas > 1 else "")
            port = config.port and config.port + number
            self._replicas.append(Replica(name, config, self._folder, devices, port, key, self._held))
        try:
            for replica in self._replicas:
                replica.ensure_started()
            tasks = [replica.task for replica in self._replicas]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        except BaseException:
            self._stop()
            raise

    async def _live_endpoints(self) -> list[Endpoint]:
        """Return the endpoints of the live replicas. Restart the others; wait for them only if none lives."""
        while True:
            for replica in self._replicas:
                replica.ensure_started()
            living = [replica.endpoint for replica in self._replicas if replica.is_ready()]
            starting = [replica.task for replica in self._replicas if replica.is_starting()]
            lost = {each.name: failure for each in self._replicas if (failure := each.get_failure())}
            if not living and not starting:
                raise next(reversed(lost.values()))
            for name in lost.keys() - self._reported:
                log.warning("%s; the run goes on without it", lost[name])
                self._reported.add(name)
            if living:
                return living
            await asyncio.wait(starting, return_when=asyncio.FIRST_COMPLETED)

    def _stop(self) -> None:
        """Stop all replicas at the same time, so that each has its grace period."""
        replicas, self._replicas = self._replicas, []
        for replica in replicas:
            replica.cancel_start()
        if replicas:
            with ThreadPoolExecutor(len(replicas)) as pool:
                list(pool.map(Replica.stop, replicas))
