"""Requests for the tests of the client, the configuration that they are sent with, and where to."""

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
