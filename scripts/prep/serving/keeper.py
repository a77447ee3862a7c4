"""Keeper (supervisor) of a model server: a process that lends it to the jobs of a run, and ends with the run.

A job holds a connection to the keeper's Unix socket while it uses the server. The kernel closes it however
the job ends: it is a lease. A line of JSON asks:

    {"use": true}           answered with `{"endpoints": [[base_url, api_key], …]}`, or `{"error": "…"}`
    {"need": ["0", "1"]}    from the keeper of another server, which waits for these devices (null: all)

The keeper ends its server when the run's main process is gone, when no job has used it for `linger` seconds,
or for HANDOVER_S where another server of the run waits for its devices.
"""

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import shutil
import socket
import time
from dataclasses import asdict
from pathlib import Path

from prep.runtime.program import UserError
from prep.serving.orphans import end_orphans
from prep.serving.replica import PID_FILES, Replica
from prep.serving.server import Server
from prep.serving.server_config import ServerConfig
from prep.serving.workflow_run import WorkflowRun, try_lock_devices

log = logging.getLogger("prep")

POLL_S = 0.5  # between two looks at the run and its jobs
HANDOVER_S = 30.0  # without a job, until another server gets the devices: the next job may be about to start
NEED_LIFE_S = 5.0  # after which another keeper that waited is taken for gone
FIRST_JOB_S = 10.0  # in which the job that started the keeper is heard of
LAUNCH_KEYS = (
    *("name", "mode", "model", "launcher", "args", "devices", "replicas", "host", "port", "threads"),
    "max_model_len",
)
"""What decides which process a server is; a job that needs another one gets another keeper."""


def name_server(config: ServerConfig) -> str:
    """One name for the jobs that can use one server: same settings, same devices."""
    settings = {key: getattr(config, key) for key in LAUNCH_KEYS} | {"visible": list_devices(config)}
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def list_devices(config: ServerConfig) -> list[str] | None:
    """The devices of a managed server, by `devices` or the environment; None where neither names them."""
    if config.mode == "embedded":
        return []
    named = config.devices or os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return [device for device in named.split(",") if device] or None


class Keeper:
    """Keeps one server inside one event loop. `listener` is its socket, <name>.sock in the run's folder."""

    def __init__(self, config: ServerConfig, folder: Path, run: WorkflowRun, listener: socket.socket):
        self._config = config
        self._folder = folder
        self._run = run
        self._listener = listener
        self._socket = run.folder / f"{name_server(config)}.sock"
        self._devices = list_devices(config)
        self._held: list[int] = []  # locks on the devices
        self._server = Server(config, folder, held=self._held)
        self._turn = asyncio.Lock()
        self._jobs: set[asyncio.StreamWriter] = set()
        self._searches: set[asyncio.Task] = set()  # for endpoints, that jobs wait for
        self._last_use = time.monotonic() + FIRST_JOB_S
        self._needed = float("-inf")  # when another keeper last waited for our devices
        self._failed = self._retired = False

    async def keep(self) -> None:
        """Serve until there is no use for the server; all of its processes have ended then."""
        with self._server:
            hearing = await asyncio.start_unix_server(self._hear, sock=self._listener)
            while not (reason := self._reason_to_end()):
                await asyncio.sleep(POLL_S)
            log.info("%s: ends its server: %s", self._config.name, reason)
            self._retire()
            hearing.close()
            for job in self._jobs:
                job.transport.abort()
            for search in self._searches:
                search.cancel()
            await asyncio.gather(*self._searches, return_exceptions=True)
        if not self._run.is_alive():
            shutil.rmtree(self._run.folder, ignore_errors=True)

    def _reason_to_end(self) -> str | None:
        if not self._run.is_alive():
            return "the workflow has ended"
        if self._jobs:
            return None
        now = time.monotonic()
        idle = now - self._last_use
        if self._failed:
            return "it failed"
        if idle > 0 and not self._has_devices():
            return "no job waits for it"
        if idle > self._config.linger:
            return f"no job has used it for {self._config.linger:g} s"
        if now - self._needed < NEED_LIFE_S and idle > HANDOVER_S:
            return "another server needs its devices"
        return None

    def _retire(self) -> None:
        """Have no further job come. Who holds the run's lock alone may remove a socket, or make one."""
        if not self._retired:
            self._retired = True
            with contextlib.suppress(FileNotFoundError), self._run.lock():
                self._socket.unlink(missing_ok=True)

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a job, or a keeper that waits, as long as it is connected."""
        try:
            while line := await reader.readline():
                asked = json.loads(line)
                if "need" in asked:
                    self._note_need(asked["need"])
                    continue
                if writer not in self._jobs:
                    self._jobs.add(writer)
                    self._server.forget_restarts()
                writer.write(json.dumps(await self._answer(reader)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # a job that was killed
        finally:
            if writer in self._jobs:
                self._jobs.discard(writer)
                self._last_use = time.monotonic()
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> dict[str, object]:
        """The endpoints, or why there are none. A job that goes away is waited for no longer."""
        found = asyncio.create_task(self._find_endpoints())
        self._searches.add(found)
        found.add_done_callback(self._searches.discard)
        gone = asyncio.create_task(_wait_for_end(reader))
        try:
            await asyncio.wait((found, gone), return_when=asyncio.FIRST_COMPLETED)
            if not found.done():
                raise ConnectionResetError
            return found.result()
        finally:
            gone.cancel()

    async def _find_endpoints(self) -> dict[str, object]:
        try:
            async with self._turn:
                await self._lock_devices()
            endpoints = await self._server.ensure_endpoints()
        except (UserError, OSError) as error:
            self._failed = True
            self._retire()
            return {"error": str(error)}
        return {"endpoints": [list(asdict(each).values()) for each in endpoints]}

    async def _lock_devices(self) -> None:
        """Wait until no other server of the run has our devices; tell their keepers."""
        is_told = False
        while not self._has_devices():
            self._held += try_lock_devices(self._run.folder, self._devices)
            if self._held:
                return
            if not is_told:
                log.info("%s: waits for devices that another server of this run has", self._config.name)
                is_told = True
            self._tell_need()
            await asyncio.to_thread(self._end_orphans)
            await asyncio.sleep(1)

    def _end_orphans(self) -> None:
        """End servers of any name whose keeper and guard were killed at once: they hold devices."""
        for pid_files in self._folder.resolve().parent.glob(f"*/{PID_FILES}"):
            end_orphans(pid_files.parent.name, pid_files, Replica.grace_s)

    def _has_devices(self) -> bool:
        return bool(self._held) or self._config.mode == "embedded"

    def _tell_need(self) -> None:
        """Tell the other keepers of the run that we wait."""
        line = json.dumps({"need": self._devices}).encode() + b"\n"
        for path in self._run.folder.glob("*.sock"):
            if path != self._socket:
                with socket.socket(socket.AF_UNIX) as other, contextlib.suppress(OSError):
                    other.setblocking(False)
                    other.connect(str(path))
                    other.send(line)

    def _note_need(self, devices: list[str] | None) -> None:
        ours = self._devices
        if ours is None or devices is None or set(ours) & set(devices):
            self._needed = time.monotonic()


async def _wait_for_end(reader: asyncio.StreamReader) -> None:
    """Wait until the other side has closed; it says nothing while it waits for an answer."""
    while not reader.at_eof():
        await asyncio.sleep(POLL_S)
