"""A chat server on the loopback that answers as a plan says: late, wrongly, or not at all; and counts.

    def plan(ask: Ask) -> Reply:
        return Reply(status=500) if ask.attempt == 1 else Reply(delay=0.2)

    with FaultServer(plan, slots=32) as server:
        ...  # ask server.base_url
    assert server.attempts["the prompt"] == 2

What a prompt's n-th attempt gets depends on the plan alone, so a test runs alike each time. A token is a
word with the white space after it; a request that asks for a stream gets its answer a token at a time.
"""

import asyncio
import contextlib
import hashlib
import json
import re
import socket
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

CONTEXT = "This model's maximum context length is {} tokens. However, you requested more. Please reduce"


@dataclass(frozen=True)
class Ask:
    """One request: its JSON body, the text of its last message, and how often that text has come."""

    body: dict[str, Any]
    prompt: str
    attempt: int  # from 1
    headers: dict[str, str]


@dataclass(frozen=True)
class Reply:
    """What one request gets. The default is a finished answer, at once.

    `kind`: `answer` | `reset` (the connection is reset) | `hang` (nothing, ever) | `cut` (half of the
    body, then the end of the connection) | `cut_json` (half of the JSON, as if it were all) | `garbage`
    (not HTTP) | `broken` (a streamed answer's second half is an error).
    """

    kind: str = "answer"
    delay: float = 0.0  # seconds from when a slot takes it
    hold: Callable[[], bool] | None = None  # after that, it is sent as soon as this is true
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content: str | None = None  # None: a text that depends on the whole request body
    message: dict[str, Any] = field(default_factory=dict)  # further fields of the message
    finish_reason: str | None = "stop"
    body: Any = None  # the whole JSON body, in place of a chat completion
    chunked: bool = False
    pause: float = 0.0  # seconds after each token of a streamed answer
    stall: int | None = None  # a streamed answer's tokens after which no more come
    streams: bool = True  # whether it streams, if it is asked to
    label: str = "text/event-stream; charset=utf-8"  # the Content-Type of a streamed answer
    edit: Callable[[list[bytes]], list[bytes]] | None = None  # what becomes of a streamed answer's events
    end: str = "chunk"  # of a chunked body: `chunk` (in good order) | `open` | `close` | `reset` (early)


def answer_to(body: dict[str, Any]) -> str:
    """The text that the server answers a body with: the same for the same body, always, streamed or not."""
    asked = {name: value for name, value in body.items() if not name.startswith("stream")}
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    return f"<think>\nabout {digest[:8]}\n</think>\n\nanswer {digest}"


def tokens(text: str) -> list[str]:
    """A text in tokens, which make it again when they are joined."""
    return re.findall(r"\s*\S+\s*", text) or [text]


def _usage(ask: Ask, said: list[str]) -> dict[str, int]:
    return {"prompt_tokens": len(tokens(ask.prompt)), "completion_tokens": len(said)}


class FaultServer:
    """Serves `plan` while its `with` block lasts, in a thread of its own.

    At most `slots` requests are worked on at once (None: all), the others wait as in a real server.
    `models` are the names that /v1/models shows; with a `key`, requests below /v1 without it get 401. With a
    `context`, a request whose prompt and budget are more tokens than that is refused in vLLM's words, and an
    answer ends with it. `page` is called with the path of each other request, in a thread of its own, where
    it may wait; what it replies is sent in place of the usual.
    """

    def __init__(
        self,
        plan: Callable[[Ask], Reply] | None = None,
        *,
        slots: int | None = None,
        models: tuple[str, ...] = ("model",),
        key: str | None = None,
        context: int | None = None,
        page: Callable[[str], Reply | None] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ):
        self.plan = plan or (lambda ask: Reply())
        self.slots, self.models, self.key, self.context, self.page = slots, models, key, context, page
        self.attempts: Counter[str] = Counter()  # requests by prompt
        self.finished: Counter[str] = Counter()  # whole answers sent, by prompt
        self.connections = 0  # ever opened
        self.arrivals: list[float] = []  # time.monotonic() of each request
        self.departures: list[float] = []  # and of each that left, answered or not
        self.most_at_once = 0
        self.unfinished = 0  # requests in the server whose client went away
        self._working = 0
        self._waiting: deque = deque()
        self.inside = 0  # requests in the server now
        self._listener = socket.create_server((host, port), backlog=4096)
        self.port = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()
        self._transports: set[asyncio.Transport] = set()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> "FaultServer":
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Close all connections and the port; once is enough."""
        if self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            self._loop.create_server(lambda: _Connection(self), sock=self._listener)
        )
        # Not sooner: a loop that is stopped while it opens the port would run for ever.
        self._loop.call_soon(self._ready.set)
        self._loop.run_forever()
        server.close()
        for transport in list(self._transports):
            transport.abort()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def busy(self, concurrency: int) -> float:
        """The share of `concurrency` slots in use, from when all were taken to when the last request came."""
        begin, end = self.arrivals[concurrency - 1], self.arrivals[-1]
        inside = sum(min(max(left, begin), end) for left in self.departures)
        inside -= sum(min(max(came, begin), end) for came in self.arrivals)
        return inside / (concurrency * (end - begin))


class _Connection(asyncio.Protocol):
    """One client's connection: one request at a time."""

    def __init__(self, server: FaultServer):
        self.server = server
        self.data = bytearray()
        self.head: tuple[str, dict[str, str]] | None = None  # path and headers, while the body comes
        self.span = slice(0, 0)  # of the body in `data`
        self.ask: Ask | None = None
        self.holds_slot = False
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.server.connections += 1
        self.server._transports.add(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.server._transports.discard(self.transport)
        if self.timer is not None:
            self.timer.cancel()
        if self.ask is not None:
            self.server.unfinished += 1
            self._leave()

    def data_received(self, data: bytes) -> None:
        self.data += data
        if self.head is None:
            begins = self.data.find(b"\r\n\r\n") + 4
            if begins < 4:
                return
            first, *lines = self.data[: begins - 4].decode("latin-1").split("\r\n")
            pairs = (line.partition(":") for line in lines)
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            self.head = first.split(" ")[1], headers
            self.span = slice(begins, begins + int(headers.get("content-length", 0)))
        if len(self.data) >= self.span.stop:
            (path, headers), self.head = self.head, None
            body = bytes(self.data[self.span])
            self.data.clear()
            self._request(path, headers, body)

    def _request(self, path: str, headers: dict[str, str], data: bytes) -> None:
        server = self.server
        keyed = path.startswith("/v1") and server.key is not None
        if keyed and headers.get("authorization") != f"Bearer {server.key}":
            return self._write(401, {"error": {"message": "no valid key"}})
        if not path.endswith("/chat/completions"):
            if server.page is None:
                return self._page(path, None)
            return threading.Thread(target=self._look_up, args=(path,), daemon=True).start()
        body = json.loads(data)
        prompt = body["messages"][-1]["content"]
        if not isinstance(prompt, str):
            prompt = next(part["text"] for part in prompt if part["type"] == "text")
        server.attempts[prompt] += 1
        server.arrivals.append(time.monotonic())
        self.ask = Ask(body, prompt, server.attempts[prompt], headers)
        server.inside += 1
        server.most_at_once = max(server.most_at_once, server.inside)
        if server.slots is None or server._working < server.slots:
            self._begin()
        else:
            server._waiting.append(self)
        return None

    def _look_up(self, path: str) -> None:
        reply = self.server.page(path)
        with contextlib.suppress(RuntimeError):  # the server was stopped meanwhile
            self.server._loop.call_soon_threadsafe(self._page, path, reply)

    def _page(self, path: str, reply: Reply | None) -> None:
        if reply is not None:
            self._write(reply.status, reply.body or {}, reply)
        elif path.endswith("/health"):
            self._write(200, {})
        elif path.endswith("/models"):
            self._write(200, {"object": "list", "data": [{"id": name} for name in self.server.models]})
        else:
            self._write(404, {"error": {"message": f"nothing at {path}"}})

    def _begin(self) -> None:
        """A slot takes the request."""
        self.holds_slot = True
        self.server._working += 1
        reply = self.server.plan(self.ask)
        if (room := self._room()) is not None and room < self.ask.body.get("max_tokens", 1):
            reply = Reply(status=400, body={"error": {"message": CONTEXT.format(self.server.context)}})
        if reply.kind == "hang":
            return
        if reply.delay:
            self.timer = asyncio.get_running_loop().call_later(reply.delay, self._wait, reply)
        else:
            self._wait(reply)

    def _wait(self, reply: Reply) -> None:
        """Reply once the reply is not held."""
        if reply.hold is None or reply.hold():
            self._reply(reply)
        else:
            self.timer = asyncio.get_running_loop().call_later(0.02, self._wait, reply)

    def _room(self) -> int | None:
        """The tokens that an answer may have at most."""
        context = self.server.context
        return None if context is None else context - len(tokens(self.ask.prompt))

    def _leave(self) -> None:
        """The request is out: the next one that waits gets its slot."""
        server = self.server
        self.ask = self.timer = None
        server.inside -= 1
        server.departures.append(time.monotonic())
        if self.holds_slot:
            self.holds_slot = False
            server._working -= 1
            while server._waiting and (server.slots is None or server._working < server.slots):
                following = server._waiting.popleft()
                if following.ask is not None:
                    following._begin()

    def _reply(self, reply: Reply) -> None:
        ask = self.ask
        said = tokens(answer_to(ask.body) if reply.content is None else reply.content)
        limits = [limit for limit in (ask.body.get("max_tokens"), self._room()) if limit is not None]
        most = min(limits, default=len(said))
        if len(said) > most:
            said, reply = said[:most], replace(reply, finish_reason="length")
        plain = reply.status != 200 or reply.body is not None or reply.kind in ("reset", "garbage")
        if ask.body.get("stream") and reply.streams and not plain:
            return self._stream(said, reply)
        if reply.kind == "answer" and reply.status == 200:
            self.server.finished[ask.prompt] += 1
        self._leave()
        if reply.kind == "reset":
            self._reset()
        elif reply.kind == "garbage":
            self.transport.write(b"SSH-2.0-OpenSSH\r\n\r\n")
        elif reply.status != 200:
            self._write(reply.status, reply.body or {"error": {"message": "as planned"}}, reply)
        else:
            self._write(200, reply.body or self._completion(ask, "".join(said), reply), reply)
        return None

    def _stream(self, said: list[str], reply: Reply) -> None:
        """Begin a streamed answer: chunks of HTTP, an event each."""
        fields = "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
        kind = f"Content-Type: {reply.label}\r\nTransfer-Encoding: chunked"
        self.transport.write(f"HTTP/1.1 200 As Planned\r\n{fields}{kind}\r\n\r\n".encode())
        deltas = [{"role": "assistant", "content": ""}]
        deltas += [{name: text} for name, text in reply.message.items()] + [
            {"content": token} for token in said
        ]
        choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
        choices.append({"index": 0, "delta": {}, "finish_reason": reply.finish_reason})
        events = [{"choices": [choice]} for choice in choices]
        events.append({"choices": [], "usage": _usage(self.ask, said)})
        lines = [f"data: {json.dumps(event, ensure_ascii=False)}\n\n" for event in events]
        lines = [line.encode(errors="backslashreplace") for line in [*lines, "data: [DONE]\n\n"]]
        if reply.edit is not None:
            lines = reply.edit(lines)
        if reply.stall is not None:
            lines = lines[: reply.stall]
        self._next(iter(lines), len(lines) // 2, reply)

    def _next(self, lines: Iterator[bytes], left: int, reply: Reply) -> None:
        """Send one event of a streamed answer, and the rest after it; `left` of them before it goes wrong."""
        line = next(lines, None)
        wrong = left == 0 and reply.kind in ("cut", "cut_json", "broken")
        if wrong and reply.kind == "broken":
            line = b'data: {"error": {"message": "the engine died"}}\n\n'
        if wrong and reply.kind == "cut_json":
            line = line[: len(line) // 2] + b"\n\n"
        if line and not (wrong and reply.kind == "cut"):
            self.transport.write(b"%x\r\n%b\r\n" % (len(line), line))
        if line is not None and not wrong:
            following = self._next, lines, left - 1, reply
            self.timer = asyncio.get_running_loop().call_later(reply.pause, *following)
            return None
        if reply.stall is not None:
            return None
        if reply.kind == "answer":
            self.server.finished[self.ask.prompt] += 1
        self._leave()
        self._end("close" if reply.kind == "cut" else reply.end)
        return None

    def _end(self, how: str) -> None:
        """End a chunked body, in good order or not."""
        if how == "chunk":
            self.transport.write(b"0\r\n\r\n")
        elif how == "close":
            self.transport.close()
        elif how == "reset":
            self._reset()

    def _reset(self) -> None:
        linger = struct.pack("ii", 1, 0)  # on, 0 s: closing sends RST
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.transport.abort()

    def _completion(self, ask: Ask, content: str, reply: Reply) -> dict[str, Any]:
        message = {"role": "assistant", "content": content, **reply.message}
        return {
            "object": "chat.completion",
            "model": ask.body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": reply.finish_reason}],
            "usage": _usage(ask, tokens(content)),
        }

    def _write(self, status: int, body: Any, reply: Reply | None = None) -> None:
        reply = reply or Reply()
        data = json.dumps(body, ensure_ascii=False).encode(errors="backslashreplace")
        if reply.kind == "cut_json":
            data = data[: len(data) // 2]
        if reply.chunked:
            half = len(data) // 2
            parts = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (data[:half], data[half:]))
            length, data = "Transfer-Encoding: chunked", parts
        else:
            length = f"Content-Length: {len(data)}"
        fields = "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
        head = f"HTTP/1.1 {status} As Planned\r\nContent-Type: application/json\r\n{fields}{length}\r\n\r\n"
        if reply.kind == "cut":
            self.transport.write(head.encode() + data[: len(data) // 2])
            self.transport.close()
        else:
            self.transport.write(head.encode() + data)
            if reply.chunked:
                self._end(reply.end)
