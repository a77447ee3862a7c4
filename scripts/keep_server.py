#!/usr/bin/env python
"""Keep a model server for the jobs of a run, and end it with the run.

The first job that needs the server starts this. The server's configuration comes as JSON on standard input.
"""

import asyncio
import json
import socket
import sys
from pathlib import Path

from prep.runtime.program import UserError, parser, run
from prep.serving.keeper import Keeper
from prep.serving.server_config import ServerConfig
from prep.serving.workflow_run import find_run


async def keep(config: ServerConfig, folder: Path, listener: socket.socket) -> None:
    workflow = find_run()
    if workflow is None:
        raise UserError("no run of the workflow lives on this machine: there is nothing to keep a server for")
    await Keeper(config, folder, workflow, listener).keep()


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--folder", required=True, type=Path, help="the server's: caches and PID files")
    flags.add_argument("--socket", required=True, type=int, help="descriptor of the socket to listen at")
    args = flags.parse_args()
    config = ServerConfig(**json.load(sys.stdin))
    with socket.socket(fileno=args.socket) as listener:
        asyncio.run(keep(config, args.folder, listener))


if __name__ == "__main__":
    run(main, outlive_parent=True)
