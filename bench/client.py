#!/usr/bin/env python
"""The request client beside a bare one: how busy a server is kept, CPU a request, and memory, in one run.

Three processes: this one, the tests' fault server, and in turn a client; each client prints what it took.
"""

import asyncio
import json
import resource
import shutil
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from fault_server import FaultServer, Reply
from prep.inference.answer_policy import Answers
from prep.inference.client import Client
from prep.inference.journal import Journal
from prep.inference.request import Request
from prep.runtime.program import UserError, parser, run
from prep.serving.endpoint import Endpoint
from server_config import server_config

PICTURE = b"\xff\xd8\xff" + bytes(range(256)) * 508
"""What stands for a picture of 130 kB: nothing here looks into it."""
SAMPLING = {"temperature": 0.6, "top_p": 0.95, "top_k": 20, "min_p": 0}

RUNS = {
    "32 x 0.2 s": Namespace(concurrency=32, delay=0.2, requests=3200, pictures=False),
    "512 x 2 s": Namespace(concurrency=512, delay=2.0, requests=5120, pictures=False),
    "pictures, 64 x 1 s": Namespace(concurrency=64, delay=1.0, requests=1600, pictures=True),
    "many": Namespace(concurrency=64, delay=0.0, requests=100_000, pictures=False),
    "a tenth of many": Namespace(concurrency=64, delay=0.0, requests=10_000, pictures=False),
    "many pictures": Namespace(concurrency=64, delay=0.0, requests=4800, pictures=True),
    "a third of many pictures": Namespace(concurrency=64, delay=0.0, requests=1600, pictures=True),
    "4,096 at once": Namespace(concurrency=4096, delay=15.0, requests=16_384, pictures=True),
    "half of 4,096 at once": Namespace(concurrency=4096, delay=15.0, requests=8192, pictures=True),
}
OURS_ALONE = tuple(RUNS)[3:]
"""Runs that are about our memory."""

LIMITS = {
    "32 x 0.2 s: busy": (0.97, "at least"),
    "512 x 2 s: busy": (0.97, "at least"),
    "pictures, 64 x 1 s: busy": (0.97, "at least"),
    "32 x 0.2 s: CPU ms": (3, "at most"),
    "512 x 2 s: CPU ms": (3, "at most"),
    "100,000 requests: peak MB": (400, "at most"),
    "100,000 requests: peak / peak at 10,000": (1.1, "at most"),
    "4,800 pictures: peak / peak at 1,600": (1.1, "at most"),
    "4,096 pictures at once: peak MB": (4000, "at most"),
    "4,096 at once, 16,384 pictures: peak / peak at 8,192": (1.1, "at most"),
}


def requests(what: Namespace) -> Iterator[Request]:
    """The requests of a run, made as they are asked for."""
    for number in range(what.requests):
        image = PICTURE + number.to_bytes(4) if what.pictures else None
        messages = [{"role": "user", "content": f"question {number}"}]
        yield Request(f"bench/{number}", "thinking", messages, SAMPLING, number, image=image)


def serve(what: Namespace) -> None:
    """The server: says where it is, and how busy it was kept once its standard input ends."""
    with FaultServer(lambda ask: Reply(delay=what.delay)) as server:
        print(server.base_url, flush=True)
        sys.stdin.read()
        assert set(server.attempts.values()) == {1}, "a request was sent twice"
        assert server.most_at_once <= what.concurrency
        print(json.dumps({"busy": server.busy(what.concurrency), "answered": server.finished.total()}))


def ours(what: Namespace, url: str, folder: Path) -> None:
    """The client of the programs, from the first look into the journal to the last answer given."""

    class Running:
        async def ensure_endpoints(self) -> list[Endpoint]:
            return [Endpoint(url)]

    config = server_config("bench", "external", "model", concurrency=what.concurrency)
    with Journal(folder / "journal") as journal:
        client = Client(config, Running(), Answers(journal, "model", 8192), folder / "progress.json")
        assert sum(
            response.failure is None for _, response in client.ask(lambda with_pictures: requests(what), 0.0)
        )


def bare(what: Namespace, url: str, _: Path) -> None:
    """A client that only sends and receives: asyncio's streams, one connection for each request in flight."""
    host, port = url.removeprefix("http://").removesuffix("/v1").split(":")
    left = requests(what)

    async def work() -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        for request in left:
            body = json.dumps(request.body("model")).encode()
            head = (
                f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.partition(b"Content-Length: ")[2].split(b"\r\n")[0])
            assert json.loads(await reader.readexactly(length))["choices"]
        writer.close()

    async def main() -> None:
        await asyncio.gather(*(work() for _ in range(what.concurrency)))

    asyncio.run(main())


def client(role: str, name: str, url: str, folder: Path) -> None:
    """Run a client, and print its CPU a request in ms, start-up apart, and its peak of memory in MB."""
    what = RUNS[name]
    began = time.process_time()
    {"ours": ours, "bare": bare}[role](what, url, folder)
    cpu = (time.process_time() - began) / what.requests
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(json.dumps({"cpu": cpu * 1e3, "peak": peak}))


def measured(role: str, name: str, folder: Path) -> dict[str, float]:
    """What a client took, and how busy it kept a server of its own."""
    shutil.rmtree(folder, ignore_errors=True)
    own = [sys.executable, __file__, "--folder", str(folder), "--run", name, "--role"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([*own, "serve"], **pipes) as server:
        url = server.stdout.readline().strip()
        done = subprocess.run([*own, role, "--url", url], stdout=subprocess.PIPE, text=True, check=False)
        said, _ = server.communicate()
    if done.returncode or server.returncode:
        raise UserError(f"{name}: the {role} client or its server failed")
    return json.loads(done.stdout) | json.loads(said)


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--folder", type=Path, required=True, help="for the journals, which are deleted")
    flags.add_argument("--run", choices=RUNS, help="one run alone")
    flags.add_argument("--role", choices=["serve", "ours", "bare"], help="what this process is in that run")
    flags.add_argument("--url", help="of the server")
    args = flags.parse_args()
    if args.role == "serve":
        return serve(RUNS[args.run])
    if args.role:
        return client(args.role, args.run, args.url, args.folder)
    found = {}
    for name in [args.run] if args.run else RUNS:
        for role in ["ours"] if name in OURS_ALONE else ["ours", "bare"]:
            one = found[name, role] = measured(role, name, args.folder / "requests")
            print(name, role, one, file=sys.stderr)
    if not args.run:
        show(found)
    return None


def show(found: dict[tuple[str, str], dict[str, float]]) -> None:
    """Print both tables."""
    import pandas as pd

    def peak(name: str) -> float:
        return found[name, "ours"]["peak"]

    small, large, pictures, many, tenth, more, third, waves, half = RUNS
    values = (
        *(found[name, "ours"]["busy"] for name in (small, large, pictures)),
        *(found[name, "ours"]["cpu"] for name in (small, large)),
        *(peak(many), peak(many) / peak(tenth), peak(more) / peak(third)),
        *(peak(waves), peak(waves) / peak(half)),
    )
    runs = pd.DataFrame(
        {"run": name, "client": role, "busy": one["busy"], "CPU ms": one["cpu"], "peak MB": one["peak"]}
        for (name, role), one in found.items()
    )
    limits = pd.DataFrame(
        {
            "figure": figure,
            "found": value,
            "wanted": f"{way} {limit}",
            "": "met" if (value <= limit) == (way == "at most") else "MISSED",
        }
        for (figure, (limit, way)), value in zip(LIMITS.items(), values, strict=True)
    )
    print(runs.to_string(index=False, float_format="%.3f"))
    print()
    print(limits.to_string(index=False, float_format="%.3f"))


if __name__ == "__main__":
    run(main)
