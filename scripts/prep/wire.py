"""Chat completions over HTTP: many long requests at once to one endpoint, whole or as a stream.

aiohttp carries them for 0.3 ms of CPU a request, at 32 in flight as at 512; openai's own client takes 1.0
to 1.4 ms over the best of transports, and 2 to 30 ms over the pools that it comes with.
"""

import asyncio
import socket
import urllib.request
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from prep import fault as faults
from prep.endpoint import Endpoint, is_loopback
from prep.fault import Fault
from prep.reason import Reason
from prep.stream import Gathered

CONNECT = 30.0  # seconds to wait for a connection; the server may be taking hundreds at once
# Seconds a connection may lie idle: vLLM's server closes it after 5, and a request sent then is lost.
IDLE = 3.0
# An established connection whose machine is gone is noticed after 60 + 6 times 10 s of silence.
KEEPALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 6))
STREAM = {"stream": True, "stream_options": {"include_usage": True}}
"""What a body has besides, if the answer is to be streamed; a server that does not stream will do."""


class Wire:
    """The connections to one endpoint, as many as there are requests at once; inside one event loop.

    A request that is cancelled closes its connection, which tells the server to stop.
    """

    def __init__(self, endpoint: Endpoint):
        self.endpoint = endpoint
        self._url = f"{endpoint.base_url}/chat/completions"
        self._proxy = proxy(endpoint.base_url)
        self._session: aiohttp.ClientSession | None = None

    async def post(
        self, body: bytes, limit: float, stall: float | None = None, window: int | None = None
    ) -> Any:
        """The JSON that the server answers a chat request with, within `limit` seconds; else raises Fault.

        An answer that is streamed is put together to what it would be in one piece. It is given up when
        nothing more comes for `stall` seconds, and ends with the finish_reason `repetition` when it goes
        round in circles (see prep.stream).
        """
        try:
            async with asyncio.timeout(limit):
                return await self._exchange(body, stall, window)
        except (aiohttp.ClientError, OSError) as error:
            if type(error) is TimeoutError:  # aiohttp's own are of other kinds
                raise Fault(Reason.TIMEOUT, f"no answer in {limit:.4g} s") from error
            words = str(error) or type(error).__name__
            raise Fault(Reason.TRANSPORT, f"no connection, or one that ended early: {words}") from error

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _exchange(self, body: bytes, stall: float | None, window: int | None) -> Any:
        self._session = self._session or _session(self.endpoint)
        url = self._url
        sent = self._session.post(url, data=body, proxy=self._proxy, allow_redirects=False)
        async with sent as response:
            if response.status != 200:
                said = await response.read()
                raise faults.of_status(response.status, response.headers, said, url)
            if response.content_type != "text/event-stream":
                return faults.parsed(await response.read())
            return await _streamed(response, stall, window)


def time_limit(settings: dict[str, Any], budget: int | None) -> float:
    """Seconds that an answer of up to `budget` tokens (None: the context) may take once it is sent.

    `request_timeout` for what is not writing (the server's own queue, reading the prompt), and for each
    token the time that it takes at `floor_rate`. Time in our own queue is before that.
    """
    tokens = min(budget or settings["max_model_len"], settings["max_model_len"])
    return settings["request_timeout"] + tokens / settings["floor_rate"]


async def _streamed(response: aiohttp.ClientResponse, stall: float | None, window: int | None) -> Any:
    """A streamed answer in one piece (server-sent events, each a chunk of a chat completion)."""
    gathered, rest = Gathered(window), b""
    now = asyncio.get_running_loop().time
    try:
        # The first piece may wait in the server's queue; from then on they come steadily.
        async with asyncio.timeout(None) as patience:
            async for piece in response.content.iter_any():
                *lines, rest = (rest + piece).split(b"\n")
                if gathered.add(line[5:].strip() for line in lines if line.startswith(b"data:")):
                    return gathered.completion()
                if stall:
                    patience.reschedule(now() + stall)
    except TimeoutError as error:
        raise Fault(Reason.TIMEOUT, f"the stream stalled for {stall:.4g} s") from error
    return gathered.completion()


def _session(endpoint: Endpoint) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE, socket_factory=_socket),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Authorization": f"Bearer {endpoint.api_key}", "Content-Type": "application/json"},
    )


def _socket(address: tuple) -> socket.socket:
    """A socket for an address as getaddrinfo gives it, which notices when the other machine is gone."""
    family, kind, protocol, _, _ = address
    opened = socket.socket(family, kind, protocol)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE:
        if hasattr(socket, name):  # not on every system
            opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return opened


def proxy(url: str) -> str | None:
    """The proxy that the environment names for a URL; the loopback is never looked for in one."""
    parts = urlsplit(url)
    if is_loopback(url) or urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")
