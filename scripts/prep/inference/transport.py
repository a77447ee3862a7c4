"""Chat completions over `openai.AsyncOpenAI` and aiohttp, whole or as a stream.

The library builds the request, sends it and raises its errors. Its own retries are off: retries are the
client's (see prep.inference.client). Where it is too strict for what servers send, its raw response is read:

- A request goes through the library's `post`, since `chat.completions.create` takes as long again to look
  into each field.
- Answers of status 200 are read by prep.inference.streaming. The library's own stream waits after `[DONE]`
  until the server closes the connection, and its parser takes neither a stream that is labelled as JSON nor
  an answer that came whole before its connection broke.
- The body of an error status counts as far as it came (`_read_error`).
- Its aiohttp session has settings of ours (`_session`): long headers, TCP keepalive, no cookies. The library
  has no public way to hand one in, so this replaces the one of its transport.
"""

import asyncio
import contextlib
import gc
import resource
import socket
import urllib.request
import zlib
from collections.abc import AsyncIterator
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp

from prep.inference import errors
from prep.inference.errors import RequestError
from prep.inference.streaming import ResponseReader
from prep.records.reason import Reason
from prep.runtime.sanitize import sanitize
from prep.serving.endpoint import Endpoint, is_loopback
from prep.serving.server_config import ServerConfig

if TYPE_CHECKING:
    import openai

CONNECT_TIMEOUT_S = 30.0  # the server may be taking hundreds of connections at once
# Of an idle connection: vLLM's server closes it after 5 s, and a request sent then is lost.
IDLE_TIMEOUT_S = 3.0
# An established connection whose machine is gone is noticed after 60 + 6 times 10 s of silence.
KEEPALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 6))
MAX_HEADER_BYTES = 1 << 18  # of an answer; gateways put whole policies into a header
LAST_EVENTS_S = 5.0  # for the counts of tokens and `[DONE]`, once a stream has said how it ended
LAST_CHUNK_S = 0.2  # for the end of a response after `[DONE]`
OTHER_FILES = 256  # that a program may have open beside its connections
METRICS_TIMEOUT_S = 5.0
MAX_METRICS_BYTES = 1 << 20
MAX_ERROR_BYTES = 1 << 20  # that are read of what a server says of an error
MAX_ANSWER_BYTES = 64 << 20  # of an answer: 490 bytes a token of 131,072
STREAM = {"stream": True, "stream_options": {"include_usage": True}}
"""What a body has besides, if the answer is to be streamed; a server that does not stream will do."""
CONNECTION_ERRORS = (aiohttp.ClientError, OSError, zlib.error, UnicodeError)
"""What is at the root of the library's errors when a connection fails, or what came cannot be unpacked.

It reads the words beside a status as ASCII: UnicodeError.
"""


class ChatTransport:
    """The connections to one endpoint, as many as there are requests at once; inside one event loop.

    A request that is cancelled closes its connection, which tells the server to stop.
    """

    def __init__(self, endpoint: Endpoint):
        self.endpoint = endpoint
        self.url = f"{endpoint.base_url}/chat/completions"
        self._client: openai.AsyncOpenAI | None = None

    async def post(
        self, body: dict[str, Any], limit: float, stall: float | None = None, window: int | None = None
    ) -> Any:
        """The JSON that the server answers a chat request with, within `limit` seconds; raises RequestError.

        An answer that is streamed is put together to what it would be in one piece. It is given up when
        nothing more comes for `stall` seconds, and ends with the finish_reason `repetition` when it repeats
        itself (see prep.inference.streaming). An answer that came whole counts, however the connection ends.
        """
        import openai  # takes a second

        self._client = self._client or _client(self.endpoint)
        incoming = ResponseReader(window, self.url)
        how = {"cast_to": object, "stream": True, "stream_cls": openai.AsyncStream[object]}
        try:
            async with (
                asyncio.timeout(limit),
                await self._client.post("/chat/completions", body=body, **how) as stream,
                contextlib.aclosing(stream.response.aiter_bytes()) as pieces,
            ):
                await _receive(pieces, incoming, stall)
        except openai.APIStatusError as error:
            answer = error.response
            raise errors.error_of_status(
                answer.status_code, answer.headers, answer.content, self.url
            ) from error
        except RequestError:
            raise
        except Exception as error:
            if (broken := _connection_error(error)) is None:
                raise
            if (came := incoming.rescued()) is not None:
                return came
            raise _request_error(broken, limit) from error
        return incoming.completion()

    async def read_metrics(self) -> str:
        """What the server says at /metrics, beside its /v1; empty where it says nothing."""
        url = f"{self.endpoint.base_url.removesuffix('/v1')}/metrics"
        headers = {"Authorization": f"Bearer {self.endpoint.api_key}"}
        try:
            async with (
                asyncio.timeout(METRICS_TIMEOUT_S),
                _session(self.endpoint) as session,
                session.get(url, headers=headers, allow_redirects=False) as response,
            ):
                text = await response.content.read(MAX_METRICS_BYTES)
                while more := await response.content.read(MAX_METRICS_BYTES - len(text)):
                    text += more
                return text.decode("utf-8", "replace") if response.status == 200 else ""
        except (TimeoutError, ValueError, *CONNECTION_ERRORS):
            return ""

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()


def raise_file_limit(connections: int) -> int:
    """Let so many connections be open at once, as far as the system allows; give how many may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    wanted = connections + OTHER_FILES
    if soft != unlimited and soft < wanted:
        soft = wanted if hard == unlimited else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return connections if soft == unlimited else max(1, min(connections, soft - OTHER_FILES))


def time_limit(config: ServerConfig, budget: int | None) -> float:
    """Seconds that an answer of up to `budget` tokens (None: the context) may take once it is sent.

    `request_timeout` for what is not writing (the server's own queue, reading the prompt), and for each
    token the time that it takes at `floor_rate`. Time in our own queue is before that.
    """
    tokens = min(budget or config.max_model_len, config.max_model_len)
    return config.request_timeout + tokens / config.floor_rate


async def _receive(pieces: AsyncIterator[bytes], incoming: ResponseReader, stall: float | None) -> None:
    """Feed `incoming` until no more is needed. Raises RequestError for more than MAX_ANSWER_BYTES."""
    now, came = asyncio.get_running_loop().time, 0
    try:
        # The first piece may wait in the server's queue; from then on they come steadily.
        async with asyncio.timeout(None) as patience:
            async for piece in pieces:
                came += len(piece)
                if came > MAX_ANSWER_BYTES:
                    raise RequestError(Reason.MALFORMED, f"an answer of more than {MAX_ANSWER_BYTES} bytes")
                if incoming.feed(piece):
                    break
                if incoming.finished:
                    patience.reschedule(now() + LAST_EVENTS_S)
                elif stall and incoming.streams:
                    patience.reschedule(now() + stall)
    except TimeoutError as error:
        if not incoming.finished:
            raise RequestError(Reason.TIMEOUT, f"the stream stalled for {stall:.4g} s") from error
    if incoming.done:
        # Most servers end the response right after it: then the connection can be used again.
        await _rest(pieces, LAST_CHUNK_S)


async def _rest(pieces: AsyncIterator[bytes], seconds: float) -> bytes:
    """What comes of the rest of a body in so many seconds; longer ones than an error's are cut."""
    rest = b""
    try:
        async with asyncio.timeout(seconds):
            async for piece in pieces:
                rest += piece
                if len(rest) > MAX_ERROR_BYTES:
                    break
    except Exception as error:
        if _connection_error(error) is None:
            raise
    return rest


async def _read_error(response: Any) -> None:
    """Give the library what came of the body of an error status as if it were all.

    It reads that body to its end before it raises the status, and loses both when the connection breaks.
    """
    if response.status_code != 200:
        stream = response.stream
        said = await _rest(aiter(stream), LAST_EVENTS_S)
        await stream.aclose()
        response.stream = type(response)(response.status_code, content=said).stream


def _connection_error(error: BaseException | None) -> BaseException | None:
    """The error of a connection that an error of the library was raised from; None: it is of another kind."""
    while error is not None and not isinstance(error, CONNECTION_ERRORS):
        error = error.__cause__
    return error


def _request_error(error: BaseException, limit: float) -> RequestError:
    """The error of a request that the connection failed."""
    if type(error) is TimeoutError:  # aiohttp's own are of other kinds
        return RequestError(Reason.TIMEOUT, f"no answer in {limit:.4g} s")
    words = str(error) or type(error).__name__
    if isinstance(error, UnicodeError):
        return RequestError(Reason.MALFORMED, f"not HTTP: {sanitize(words)}")
    if isinstance(error, aiohttp.ClientResponseError) and "Got more than" in error.message:
        return RequestError(Reason.MALFORMED, f"a header of more than {MAX_HEADER_BYTES} bytes: {words}")
    return RequestError(Reason.TRANSPORT, f"no connection, or one that ended early: {words}")


def _client(endpoint: Endpoint) -> "openai.AsyncOpenAI":
    import openai

    # The library's 80,000 objects stay for good. Left out of full collections, they cost no 65 ms pauses.
    gc.freeze()
    http = openai.DefaultAioHttpClient(
        follow_redirects=False,
        trust_env=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        event_hooks={"response": [_read_error]},
    )
    http._transport.client = lambda: _session(endpoint)
    client = openai.AsyncOpenAI(
        base_url=endpoint.base_url,
        api_key=endpoint.api_key,
        max_retries=0,
        timeout=openai.Timeout(None, connect=CONNECT_TIMEOUT_S),
        default_headers={"Accept-Encoding": "gzip, deflate"},
        http_client=http,
    )
    # The library reads these from OPENAI_ORG_ID and OPENAI_PROJECT_ID, and would send them to any server.
    client.organization = client.project = None
    return client


def _session(endpoint: Endpoint) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_TIMEOUT_S, socket_factory=_socket),
        proxy=proxy(endpoint.base_url),
        cookie_jar=aiohttp.DummyCookieJar(),
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
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
