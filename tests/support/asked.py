"""Requests for the tests of the client, the configuration that they are sent with, and where to."""

import json
from pathlib import Path

from fault_server import FaultServer
from prep.inference.request import Request
from prep.serving.endpoint import Endpoint
from server_config import server_config

SAMPLING = {"temperature": 0.6, "top_p": 0.95, "top_k": 20, "min_p": 0}

CONFIG = server_config("teacher", "external", "model", concurrency=8, request_timeout=5, floor_rate=1e12)


def request(number: int, **changes) -> Request:
    messages = [{"role": "user", "content": f"question {number}"}]
    return Request(
        f"alpaca/train:{number}#thinking.0", "thinking", messages, SAMPLING, 1000 + number, **changes
    )


class Endpoints:
    """Gives the endpoints of running fault servers, and counts how often it was asked for them."""

    def __init__(self, *servers: FaultServer, key: str = "EMPTY"):
        self.given = [Endpoint(server.base_url, key) for server in servers]
        self.calls = 0

    async def ensure_endpoints(self) -> list[Endpoint]:
        self.calls += 1
        return list(self.given)


PROGRAM = """
import sys
from dataclasses import replace
from pathlib import Path
from asked import CONFIG, request
from prep.inference.answer_policy import Answers
from prep.inference.client import Client
from prep.serving.endpoint import Endpoint
from prep.storage.atomic import write_text
from prep.inference.journal import Journal
from prep.runtime.program import run

class Running:
    async def ensure_endpoints(self):
        return [Endpoint(sys.argv[2])]

def main():
    folder = Path(sys.argv[1])
    with Journal(folder / "journal") as journal:
        config = replace(CONFIG, concurrency=16)
        client = Client(config, Running(), Answers(journal, "model", 8192), folder / "progress.json")
        came = client.ask(lambda with_pictures: (request(n) for n in range(300)), 0.0)
        write_text(folder / "out", "".join(f"{id_} {response.content}\\n" for id_, response in came))

run(main)
"""
"""A program that asks the server at its second argument 300 requests, into the folder of its first."""


def journaled_prompts(folder: Path) -> set[str]:
    """The prompts whose answers stand in a journal, torn lines aside."""
    lines = [line for path in folder.glob("*.jsonl") for line in path.read_bytes().splitlines(True)]
    rows = [json.loads(line)["record"]["id"] for line in lines if line.endswith(b"\n")]
    return {f"question {row.split(':')[1].split('#')[0]}" for row in rows}
