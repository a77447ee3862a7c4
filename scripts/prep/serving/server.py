"""A model server for as long as a program needs it: started, watched, started again, always stopped.

Three modes: `managed` starts the configured launcher (vLLM, or any command that takes a model and vLLM's
flags), `embedded` the small CPU server of this project, `external` uses servers that run elsewhere. What
is started here listens on the loopback unless `host` says otherwise, asks for a random key that it is
handed in its environment, and is guarded (see prep.runtime.process_group).
"""

import asyncio
import logging
import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from prep.runtime.program import Failure
from prep.serving.endpoint import Endpoint, External
from prep.serving.launch import shares
from prep.serving.orphans import end_orphans
from prep.serving.replica import PID_FILES, Replica
from prep.serving.server_config import ServerConfig

log = logging.getLogger("prep")


class Server:
    """The endpoints of one configured server, inside a `with` block and one event loop.

    Nothing is started or contacted before the first `endpoints()`; leaving the block stops what was
    started. With `stay` what is started keeps its addresses, and one key for all, over restarts; so it
    does with a `port`, from which replicas count up. A failure is final: each later call raises it again.
    """

    def __init__(self, config: ServerConfig, folder: Path, stay: bool = False):
        self._config = config
        self._folder = Path(folder)
        self._stay = stay or config.port is not None
        self._lock = asyncio.Lock()
        self._open = False
        self._failure: str | None = None
        self._external = External(config) if config.mode == "external" else None
        self._replicas: list[Replica] = []
        self._mourned: set[str] = set()

    def __enter__(self) -> "Server":
        self._open = True
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False
        if self._external is not None:
            self._external.close()
        else:
            self._stop()

    async def endpoints(self) -> list[Endpoint]:
        """The endpoints that serve the model now, at least one; starts what does not run.

        The first call waits until all replicas are ready, and so do callers that come meanwhile; later
        ones wait only while none is. Raises Failure when there is no server to be had: one never got
        ready, all died more than `restarts` times, no external one answers, or one that does serves
        another model.
        """
        async with self._lock:
            if not self._open:
                raise RuntimeError("a Server gives endpoints only inside its with block")
            if self._failure is not None:
                raise Failure(self._failure)
            try:
                if self._external is not None:
                    return await self._external.endpoints()
                if not self._replicas:
                    await self._begin()
                return await self._living()
            except Failure as failure:
                self._failure = str(failure)
                raise

    async def _begin(self) -> None:
        """Start all replicas and wait until each is ready; none is left if one never gets there.

        What an earlier program left is ended first: it would hold the GPUs.
        """
        await asyncio.to_thread(end_orphans, self._config.name, self._folder / PID_FILES, Replica.grace)
        config, key = self._config, secrets.token_urlsafe(32) if self._stay else None
        for number, devices in enumerate(shares(config)):
            name = config.name + (f".{number}" if config.replicas > 1 else "")
            port = config.port and config.port + number
            self._replicas.append(Replica(config, name, self._folder, devices, port, key))
        try:
            for replica in self._replicas:
                replica.mend()
            tasks = [replica.task for replica in self._replicas]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        except BaseException:
            self._stop()
            raise

    async def _living(self) -> list[Endpoint]:
        """The replicas that live; the others are started again, and waited for only if none does."""
        while True:
            for replica in self._replicas:
                replica.mend()
            living = [replica.endpoint for replica in self._replicas if replica.lives()]
            starting = [replica.task for replica in self._replicas if replica.starting()]
            lost = {replica.name: replica.lost() for replica in self._replicas if replica.lost()}
            if not living and not starting:
                raise next(reversed(lost.values()))
            for name in lost.keys() - self._mourned:
                log.warning("%s; the run goes on without it", lost[name])
                self._mourned.add(name)
            if living:
                return living
            await asyncio.wait(starting, return_when=asyncio.FIRST_COMPLETED)

    def _stop(self) -> None:
        """End what runs, all at once, so that each has its time to go."""
        replicas, self._replicas = self._replicas, []
        for replica in replicas:
            replica.cancel()
        if replicas:
            with ThreadPoolExecutor(len(replicas)) as pool:
                list(pool.map(Replica.stop, replicas))
