"""HTTP/1.1 for many long requests at once: what openai's client sends goes out over plain asyncio streams.

The pools that come with openai's client (httpx or httpx2, whichever it was built on) look through all
their connections at each request: 2 ms of CPU a request at 32 in flight, 3.5 to 30 ms at 512. Model
servers are reached by plain http, for which this needs 0.2 ms at any number; https and proxies keep the
pools, with limits that admit all requests.
"""

import asyncio
import importlib
import logging
import socket
import urllib.request
from urllib.parse import urlsplit

import openai

from prep.endpoint import Endpoint, is_loopback

# The HTTP library below this version of openai: httpx, or httpx2 in newer ones.
http = importlib.import_module(type(openai.DEFAULT_CONNECTION_LIMITS).__module__.partition(".")[0])
logging.getLogger(http.__name__).setLevel(logging.WARNING)  # it would log a line a request

CONNECT = 30.0  # seconds to wait for a connection; the server may be taking hundreds at once
# Seconds a connection may lie idle: vLLM's server closes it after 5, and a request sent then is lost.
IDLE = 3.0
# An established connection whose machine is gone is noticed after 60 + 6 times 10 s of silence.
KEEPALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 6))


def client(endpoint: Endpoint) -> openai.AsyncOpenAI:
    """openai's client for an endpoint: no retries, no time limit but that of connecting."""
    own = urlsplit(endpoint.base_url).scheme == "http" and not _behind_proxy(endpoint.base_url)
    limits = http.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=IDLE)
    timeout = http.Timeout(None, connect=CONNECT)
    transport = Streams() if own else None
    pool = openai.DefaultAsyncHttpxClient(transport=transport, limits=limits, timeout=timeout)
    return openai.AsyncOpenAI(
        base_url=endpoint.base_url,
        api_key=endpoint.api_key,
        max_retries=0,
        timeout=timeout,
        http_client=pool,
    )


class Streams(http.AsyncBaseTransport):
    """Carries one request at a time on each of as many connections as are needed.

    Raises the HTTP library's ConnectError when there is no connection, and its RemoteProtocolError when
    one ends before the whole answer is there. A request that is cancelled closes its connection, which
    tells the server to stop.
    """

    def __init__(self) -> None:
        self._idle: list[tuple[_Connection, float]] = []

    async def handle_async_request(self, request):
        """Send a request of httpx's and read the whole answer."""
        if request.url.scheme != "http":
            raise http.UnsupportedProtocol(f"the server sends us on to {request.url}", request=request)
        connection = self._kept() or await _connect(request.url.host, request.url.port or 80)
        whole = False
        try:
            status, headers, body, whole = await connection.exchange(request, await request.aread())
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            words = str(error) or type(error).__name__
            raise http.RemoteProtocolError(f"the connection ended early: {words}", request=request) from error
        finally:
            if whole:
                self._idle.append((connection, asyncio.get_running_loop().time()))
            else:
                connection.abort()
        return http.Response(status, headers=headers, content=body)

    async def aclose(self) -> None:
        """Close the connections that lie idle."""
        while self._idle:
            self._idle.pop()[0].abort()

    def _kept(self) -> "_Connection | None":
        """The connection that was used last, if it is still good."""
        oldest = asyncio.get_running_loop().time() - IDLE
        while self._idle:
            connection, since = self._idle.pop()
            if since > oldest and connection.alive():
                return connection
            connection.abort()
        return None


class _Connection:
    """One connection; after an exchange that ended well it can be used for another."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self._reader, self._writer = reader, writer

    def alive(self) -> bool:
        return not self._writer.is_closing() and not self._reader.at_eof()

    def abort(self) -> None:
        self._writer.transport.abort()

    async def exchange(self, request, body: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes, bool]:
        """Status, headers, body, and whether the connection can be used again.

        Raises EOFError when the connection ends early, ValueError for what is not HTTP/1.1.
        """
        lines = [f"{request.method} ".encode() + request.url.raw_path + b" HTTP/1.1"]
        lines += [name + b": " + value for name, value in request.headers.raw]
        self._writer.write(b"\r\n".join([*lines, b"", body]))
        status = 100
        while 100 <= status < 200:
            version, status, headers = _head(await self._reader.readuntil(b"\r\n\r\n"))
        fields = {name.lower(): value.lower() for name, value in headers}
        keep = version == b"HTTP/1.1" and fields.get(b"connection") != b"close"
        if fields.get(b"transfer-encoding") == b"chunked":
            content = await self._chunks()
        elif b"content-length" in fields:
            content = await self._reader.readexactly(int(fields[b"content-length"]))
        else:
            content, keep = await self._reader.read(), False
        return status, headers, content, keep

    async def _chunks(self) -> bytes:
        parts = []
        while size := int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16):
            parts.append(await self._reader.readexactly(size))
            await self._reader.readexactly(2)
        while await self._reader.readuntil(b"\r\n") != b"\r\n":
            pass  # a trailer
        return b"".join(parts)


def _head(text: bytes) -> tuple[bytes, int, list[tuple[bytes, bytes]]]:
    """HTTP version, status and header fields of an answer's head; ValueError when it is not one."""
    first, *rest = text[:-4].split(b"\r\n")
    version, status, *_ = first.split(b" ", 2)
    if not version.startswith(b"HTTP/1."):
        raise ValueError(f"not HTTP/1.1: {first[:40]!r}")
    fields = []
    for line in rest:
        name, colon, value = line.partition(b":")
        if not colon:
            raise ValueError(f"not a header field: {line[:40]!r}")
        fields.append((name, value.strip()))
    return version, int(status), fields


async def _connect(host: str, port: int) -> _Connection:
    try:
        async with asyncio.timeout(CONNECT):
            reader, writer = await asyncio.open_connection(host, port)
    except OSError as error:  # TimeoutError is one
        raise http.ConnectError(f"no connection to {host}:{port}: {error or 'timed out'}") from error
    opened = writer.get_extra_info("socket")
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE:
        if hasattr(socket, name):  # not on every system
            opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return _Connection(reader, writer)


def _behind_proxy(url: str) -> bool:
    """Whether the environment names a proxy for a URL; the loopback is never looked for in one."""
    parts = urlsplit(url)
    if is_loopback(url) or urllib.request.proxy_bypass(parts.hostname or ""):
        return False
    proxies = urllib.request.getproxies()
    return parts.scheme in proxies or "all" in proxies
