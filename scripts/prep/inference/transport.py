"""Chat completions over HTTP: many long requests at once to one endpoint, whole or as a stream.

aiohttp carries them for 0.3 ms of CPU a request, at 32 in flight as at 512; openai's own client takes 1.0
to 1.4 ms over the best of transports, and 2 to 30 ms over the pools that it comes with.
"""

import asyncio
import contextlib
import socket
import urllib.request
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from prep.inference import errors
from prep.inference.errors import Fault
from prep.inference.streaming import Incoming
from prep.records.reason import Reason
from prep.serving.endpoint import Endpoint, is_loopback
from prep.serving.server_config import ServerConfig

CONNECT = 30.0  # seconds to wait for a connection; the server may be taking hundreds at once
# Seconds a connection may lie idle: vLLM's server closes it after 5, and a request sent then is lost.
IDLE = 3.0
# An established connection whose machine is gone is noticed after 60 + 6 times 10 s of silence.
KEEPALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 6))
HEADER = 1 << 18  # bytes that a header of an answer may have; gateways put whole policies into them
LAST_WORDS = 5.0  # seconds for the counts of tokens and the end of a stream, once it has said how it ended
LAST_CHUNK = 0.2  # seconds for the end of a response after the end of its stream
LONGEST_ERROR = 1 << 20  # bytes that are read of what a server says of an error
STREAM = {"stream": True, "stream_options": {"include_usage": True}}
"""What a body has besides, if the answer is to be streamed; a server that does not stream will do."""


class Wire:
    """The connections to one endpoint, as many as there are requests at once; inside one event loop.

    A request that is cancelled closes its connection, which tells the server to stop.
    """

    def __init__(self, endpoint: Endpoint):
        self.endpoint = endpoint
        self.url = f"{endpoint.base_url}/chat/completions"
        self._proxy = proxy(endpoint.base_url)
        self._session: aiohttp.ClientSession | None = None

    async def post(
        self, body: bytes, limit: float, stall: float | None = None, window: int | None = None
    ) -> Any:
        """The JSON that the server answers a chat request with, within `limit` seconds; else raises Fault.

        An answer that is streamed is put together to what it would be in one piece. It is given up when
        nothing more comes for `stall` seconds, and ends with the finish_reason `repetition` when it goes
        round in circles (see prep.inference.streaming). An answer that came whole counts, however the
        connection ends.
        """
        incoming = Incoming(window, self.url)
        try:
            async with asyncio.timeout(limit):
                await self._exchange(body, incoming, stall)
        except (aiohttp.ClientError, OSError) as error:
            if (came := incoming.rescued()) is not None:
                return came
            raise _fault(error, limit) from error
        return incoming.completion()

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _exchange(self, body: bytes, incoming: Incoming, stall: float | None) -> None:
        self._session = self._session or _session(self.endpoint)
        sent = self._session.post(self.url, data=body, proxy=self._proxy, allow_redirects=False)
        async with sent as response:
            if response.status != 200:
                said = await _rest(response, LAST_WORDS)
                raise errors.of_status(response.status, response.headers, said, self.url)
            await _receive(response, incoming, stall)


def time_limit(config: ServerConfig, budget: int | None) -> float:
    """Seconds that an answer of up to `budget` tokens (None: the context) may take once it is sent.

    `request_timeout` for what is not writing (the server's own queue, reading the prompt), and for each
    token the time that it takes at `floor_rate`. Time in our own queue is before that.
    """
    tokens = min(budget or config.max_model_len, config.max_model_len)
    return config.request_timeout + tokens / config.floor_rate


async def _receive(response: aiohttp.ClientResponse, incoming: Incoming, stall: float | None) -> None:
    """Feed `incoming` until no more is needed."""
    now = asyncio.get_running_loop().time
    try:
        # The first piece may wait in the server's queue; from then on they come steadily.
        async with asyncio.timeout(None) as patience:
            async for piece in response.content.iter_any():
                if incoming.feed(piece):
                    break
                if incoming.finished:
                    patience.reschedule(now() + LAST_WORDS)
                elif stall and incoming.streams:
                    patience.reschedule(now() + stall)
    except TimeoutError as error:
        if not incoming.finished:
            raise Fault(Reason.TIMEOUT, f"the stream stalled for {stall:.4g} s") from error
    if incoming.done:
        # Most servers end the response right after it: then the connection can be used again.
        await _rest(response, LAST_CHUNK)


async def _rest(response: aiohttp.ClientResponse, seconds: float) -> bytes:
    """What comes of the rest of a body in so many seconds; longer ones than an error's are cut."""
    rest = b""
    with contextlib.suppress(aiohttp.ClientError, OSError):
        async with asyncio.timeout(seconds):
            async for piece in response.content.iter_any():
                rest += piece
                if len(rest) > LONGEST_ERROR:
                    break
    return rest


def _fault(error: Exception, limit: float) -> Fault:
    """The fault of a request that the connection failed."""
    if type(error) is TimeoutError:  # aiohttp's own are of other kinds
        return Fault(Reason.TIMEOUT, f"no answer in {limit:.4g} s")
    words = str(error) or type(error).__name__
    if isinstance(error, aiohttp.ClientResponseError) and "Got more than" in error.message:
        return Fault(Reason.MALFORMED, f"a header of more than {HEADER} bytes: {words}")
    return Fault(Reason.TRANSPORT, f"no connection, or one that ended early: {words}")


def _session(endpoint: Endpoint) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE, socket_factory=_socket),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT),
        cookie_jar=aiohttp.DummyCookieJar(),
        max_line_size=HEADER,
        max_field_size=HEADER,
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
