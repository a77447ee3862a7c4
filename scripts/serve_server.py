#!/usr/bin/env python
"""Run a model server in the foreground until Ctrl-C, for several runs to use as an external server."""

import asyncio
import contextlib
import fcntl
import json
import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from prep.runtime.program import UserError, parser, run
from prep.serving.endpoint import Endpoint
from prep.serving.server import Server
from prep.serving.server_config import ServerConfig, read_server_config

CHECK_EVERY_S = 1.0  # between two liveness checks


@contextlib.contextmanager
def open_key_file(path: Path) -> Iterator[Callable[[str], None]]:
    """Lock `path`, readable by its owner alone, and yield a function that writes a key; remove it at the end.

    Raises UserError while another program holds the lock. A killed program leaves the file but no lock, and
    its key is no longer valid.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{path} is in use: this server is served already; stop it, or use it") from None
        os.fchmod(file.fileno(), 0o600)

        def write(key: str) -> None:
            file.seek(0)
            file.truncate()
            file.write(key + "\n")
            file.flush()

        try:
            write("")
            yield write
        finally:
            path.unlink(missing_ok=True)


def describe_usage(config: ServerConfig, endpoints: list[Endpoint], key: Path) -> str:
    """Return the configuration by which other runs use the server, to be pasted."""
    name, urls = config.name, json.dumps([endpoint.base_url for endpoint in endpoints])
    variable = re.sub(r"\W", "_", name.upper(), flags=re.ASCII) + "_API_KEY"
    if config.host in ("0.0.0.0", "::"):
        urls = re.sub(r"//[^/]*:", f"//{socket.gethostname()}:", urls)
    return f"""{name} serves {config.model} at {urls} until Ctrl-C.
Before a run that shall use it:
  export {variable}="$(cat {key})"
and in that run's configuration:
  servers:
    {name}:
      mode: external
      base_urls: {urls}
      api_key_env: {variable}
"""


async def serve(config: ServerConfig, folder: Path, key: Path) -> None:
    """Serve until interrupted. A server that dies restarts at the same address, with the same key."""
    with open_key_file(key) as write, Server(config, folder, stay=True) as server:
        endpoints = await server.ensure_endpoints()
        write(endpoints[0].api_key)
        print(describe_usage(config, endpoints, key.resolve()), flush=True)
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            await server.ensure_endpoints()


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--server", required=True, type=Path, help="the server's configuration, JSON")
    flags.add_argument("--key-file", required=True, type=Path, help="to write while it runs: the key")
    args = flags.parse_args()
    config = read_server_config(args.server)
    if config.mode == "external":
        raise UserError(f"{config.name} is external: it runs elsewhere, there is nothing to start")
    # A closed terminal ends the server, unless nohup ignores SIGHUP.
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        signal.signal(signal.SIGHUP, signal.getsignal(signal.SIGTERM))
    asyncio.run(serve(config, args.server.parent, args.key_file))


if __name__ == "__main__":
    run(main)
