"""A model server that its keeper shares among the jobs of a run on one machine (see prep.serving.keeper).

The first job that needs the server starts the keeper; a job that ends leaves the server to the next one.
"""

import asyncio
import contextlib
import json
import logging
import socket
import subprocess
import sys
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from prep.runtime.program import UserError
from prep.serving.endpoint import Endpoint
from prep.serving.keeper import name_server
from prep.serving.server import Server
from prep.serving.server_config import ServerConfig
from prep.serving.workflow_run import WorkflowRun, find_run

log = logging.getLogger("prep")

PROGRAM = Path(__file__).resolve().parents[2] / "keep_server.py"
LOG = "server.log"  # in the server's folder: the keeper's, with the output of the server
CONNECT_ATTEMPTS = 3  # a keeper may end at the moment that a job connects
WAITING_JOBS = 128  # connections that a keeper has not accepted yet


class Endpoints(AbstractContextManager, Protocol):
    """What jobs ask for endpoints: a Server of their own, or one that is kept."""

    async def ensure_endpoints(self) -> list[Endpoint]:
        """Return the endpoints that serve the model now, at least one. Raises UserError."""


def open_server(config: ServerConfig, folder: Path) -> Endpoints:
    """The server of a configuration: that of the run on this machine, or one that ends with the `with` block.

    A job on a cluster, and a program that is run by hand, has a server of its own.
    """
    run = None if config.mode == "external" else find_run()
    return Server(config, folder) if run is None else KeptServer(config, folder, run)


class KeptServer:
    """The endpoints of a kept server, inside a `with` block; its end leaves the server to the next job.

    A keeper that is killed counts as a server that died: another is started, up to `restarts` times.
    """

    def __init__(self, config: ServerConfig, folder: Path, run: WorkflowRun):
        self._config = config
        self._folder = Path(folder)
        self._run = run
        self._turn = asyncio.Lock()
        self._lease: socket.socket | None = None
        self._keeper: subprocess.Popen | None = None  # the last that this job started
        self._is_served = False  # whether the keeper of the lease has given endpoints
        self._lost = 0
        self._failure: str | None = None

    def __enter__(self) -> "KeptServer":
        return self

    def __exit__(self, *_: object) -> None:
        self._release()

    async def ensure_endpoints(self) -> list[Endpoint]:
        """Return the endpoints that serve the model now, at least one; the keeper starts what does not run.

        Raises UserError where the keeper's server fails, or keepers are lost again and again.
        """
        async with self._turn:
            if self._failure is not None:
                raise UserError(self._failure)
            for _ in range(CONNECT_ATTEMPTS + self._config.restarts):
                if self._lease is None:
                    self._lease = self._connect()
                found = await self._ask(self._lease)
                if found is None:
                    self._count_loss()
                elif "error" in found:
                    self._failure = found["error"]
                    raise UserError(self._failure)
                else:
                    self._is_served = True
                    return [Endpoint(*each) for each in found["endpoints"]]
            raise UserError(f"{self._config.name}: its keeper ends at once; see {self._folder / LOG}")

    def _count_loss(self) -> None:
        """Drop the lease of a keeper that is gone. Raises UserError where too many are."""
        is_served = self._is_served
        self._release()
        if is_served:
            self._lost += 1
            what = f"{self._config.name}: the server's keeper was killed"
            if self._lost > self._config.restarts:
                self._failure = f"{what}; see {self._folder / LOG}"
                raise UserError(self._failure)
            log.warning("%s; it is started again", what)

    def _release(self) -> None:
        if self._lease is not None:
            self._lease.close()
        self._lease, self._is_served = None, False

    async def _ask(self, lease: socket.socket) -> dict[str, Any] | None:
        """What the keeper answers; None where it is gone."""
        loop = asyncio.get_running_loop()
        answer = b""
        try:
            await loop.sock_sendall(lease, json.dumps({"use": True}).encode() + b"\n")
            while not answer.endswith(b"\n"):
                part = await loop.sock_recv(lease, 65536)
                if not part:
                    return None
                answer += part
        except OSError:
            return None
        except BaseException:
            self._release()  # the answer to this question must not be taken for that to the next one
            raise
        return json.loads(answer)

    def _connect(self) -> socket.socket:
        """A connection to the keeper of our server; it is started where there is none."""
        path = self._run.folder / f"{name_server(self._config)}.sock"
        with self._run.lock(), contextlib.ExitStack() as closed_on_error:
            lease = closed_on_error.enter_context(socket.socket(socket.AF_UNIX))
            try:
                lease.connect(str(path))
            except (FileNotFoundError, ConnectionRefusedError):
                path.unlink(missing_ok=True)  # of a keeper that was killed
                with socket.socket(socket.AF_UNIX) as listener:
                    listener.bind(str(path))
                    path.chmod(0o600)
                    listener.listen(WAITING_JOBS)
                    self._start_keeper(listener)
                lease.connect(str(path))
            lease.setblocking(False)
            closed_on_error.pop_all()
            return lease

    def _start_keeper(self, listener: socket.socket) -> None:
        """Start a keeper in a session of its own, which no signal to this job's group reaches."""
        self._folder.mkdir(parents=True, exist_ok=True)
        output = self._folder / LOG
        arguments = ["--folder", str(self._folder), "--socket", str(listener.fileno())]
        log.info("%s: its keeper logs to %s", self._config.name, output)
        with output.open("ab") as log_file:
            self._keeper = keeper = subprocess.Popen(
                [sys.executable, str(PROGRAM), *arguments],
                stdin=subprocess.PIPE,
                stdout=log_file,
                stderr=log_file,
                pass_fds=[listener.fileno()],
                start_new_session=True,
            )
        with keeper.stdin as pipe, contextlib.suppress(BrokenPipeError):
            pipe.write(json.dumps(asdict(self._config)).encode())
