"""Discrete-event model of a batching LLM engine (continuous batching, KV cache, preemption), and its server.

Each step takes a + b x running sequences and gives each of them one token. As many steps pass as it takes to
the next event (an answer ends, the KV cache is full), so the cost is per event, not per token.

    with EngineServer(machine("one_80gb"), scale=100) as server:
        ...  # ask server.base_urls[0]; one simulated second takes 10 ms

As a program it is the launcher of a managed server: it takes vLLM's flags, then its own, from `args`.
"""

import argparse
import asyncio
import hashlib
import heapq
import json
import math
import re
import signal
import socket
import threading
import time
import tomllib
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import NormalDist
from typing import Any

MACHINES = Path(__file__).with_name("machines.toml")
ADMISSION_RESERVE = 0.01  # of the KV cache, that an admission leaves free (vLLM's watermark)
STREAM_INTERVAL_S = 1.0  # simulated, between two pieces of a streamed answer
LENGTHS = {"thinking": (900, 0.7), "plain": (250, 0.6), "verdict": (60, 0.3)}
"""Median and sigma of the lognormal, in tokens, by mode."""
FRAMES = {
    "thinking": ("<think>\n", "\n</think>\n\nFive."),
    "plain": ("<think>\n\n</think>\n\n", ""),
    "verdict": ('{"verdict": "pass", "score": 5, "reason": "', '"}'),
}
"""What stands before and after the tokens of an answer, by mode, as Qwen3 writes it. It is no token."""
PICTURE_TOKENS = 1000
SUBJECT = re.compile(r"Question \d+:")
"""What a bench's questions begin with, and a probe's do not."""
ALMOST = 1e-9  # of a token; rounding


@dataclass(frozen=True)
class Machine:
    """Parameters of one replica, and how many there are; see machines.toml."""

    replicas: int
    step_base_s: float
    step_per_sequence_s: float
    kv_tokens: int
    max_sequences: int
    prefill_tokens_per_s: float
    load_s: float


def machine(name: str) -> Machine:
    """A machine of machines.toml."""
    return Machine(**tomllib.loads(MACHINES.read_text(encoding="utf-8"))[name])


@dataclass(eq=False)
class Sequence:
    """A request in the engine. `written` are its tokens until it was last admitted."""

    prompt: int
    length: int
    done: Callable[[], None] = lambda: None
    written: float = 0.0
    begin: float = field(default=math.nan)  # steps of the engine when it was admitted
    end: float = field(default=math.nan)  # and when it will end


class BatchingEngine:
    """One replica. Times are simulated seconds, given by the caller and never going back."""

    def __init__(self, what: Machine, now: float = 0.0):
        self.machine = what
        self.now = now
        self.speed = 1.0
        self.preemptions = 0
        self.running: dict[Sequence, None] = {}  # in order of admission
        self.waiting: deque[Sequence] = deque()
        self._steps = 0.0
        self._held = 0.0  # KV tokens of all that run are this and one for each of them a step
        self._ends: list[tuple[float, int, Sequence]] = []
        self._order = 0
        self._prefill_until = now
        self._finished_tokens = 0

    @property
    def step_s(self) -> float:
        """Seconds of a step now."""
        what = self.machine
        return (what.step_base_s + what.step_per_sequence_s * len(self.running)) / self.speed

    @property
    def kv_used(self) -> float:
        """Tokens in the KV cache."""
        return self._held + len(self.running) * self._steps

    @property
    def generated(self) -> float:
        """Tokens written so far, of finished and unfinished answers; none twice."""
        unfinished = sum(self.written(each) for each in [*self.running, *self.waiting])
        return self._finished_tokens + unfinished

    def written(self, sequence: Sequence) -> float:
        """Tokens that a sequence has."""
        return sequence.written + (self._steps - sequence.begin if sequence in self.running else 0)

    def submit(self, sequence: Sequence, now: float) -> None:
        """Take a request in."""
        self.advance(now)
        self.waiting.append(sequence)
        self._admit()

    def abort(self, sequence: Sequence, now: float) -> None:
        """Drop a request whose client went away; one that has ended is no matter."""
        self.advance(now)
        if sequence in self.running:
            self._leave(sequence)
        elif sequence in self.waiting:
            self.waiting.remove(sequence)
        self._finished_tokens += int(sequence.written) if sequence.written < sequence.length else 0
        self._admit()

    def set_speed(self, speed: float, now: float) -> None:
        """Let each step take 1 / speed of its time from now on."""
        self.advance(now)
        self.speed = speed

    def next_event(self) -> float:
        """When the next answer ends or the KV cache is full; infinite when nothing runs."""
        if not self.running:
            return math.inf
        steps = self._next_end() - self._steps
        if len(self.running) > 1:
            steps = min(steps, (self.machine.kv_tokens - self.kv_used) / len(self.running))
        return max(self.now, self._prefill_until) + max(0.0, steps) * self.step_s

    def advance(self, now: float) -> None:
        """Go on to `now`, and call `done` of all that end until then."""
        while (then := self.next_event()) <= now:
            self._move(then)
            ended = []
            while self.running and self._next_end() - self._steps <= ALMOST:
                _, _, sequence = heapq.heappop(self._ends)
                self._leave(sequence)
                sequence.written = sequence.length
                self._finished_tokens += sequence.length
                ended.append(sequence)
            if not ended:
                self._preempt()
            self._admit()
            for sequence in ended:
                sequence.done()
        self._move(now)

    def _move(self, then: float) -> None:
        if self.running:
            writing = then - max(self.now, self._prefill_until)
            self._steps += max(0.0, writing) / self.step_s
        self.now = max(self.now, then)

    def _next_end(self) -> float:
        while self._ends[0][2] not in self.running or self._ends[0][0] != self._ends[0][2].end:
            heapq.heappop(self._ends)  # it left before its end
        return self._ends[0][0]

    def _admit(self) -> None:
        what = self.machine
        room = what.kv_tokens * (1 - ADMISSION_RESERVE)
        while self.waiting and len(self.running) < what.max_sequences:
            sequence = self.waiting[0]
            tokens = sequence.prompt + sequence.written
            if self.running and self.kv_used + tokens > room:
                return
            self.waiting.popleft()
            self.running[sequence] = None
            sequence.begin, sequence.end = self._steps, self._steps + sequence.length - sequence.written
            self._held += tokens - sequence.begin
            self._order += 1
            heapq.heappush(self._ends, (sequence.end, self._order, sequence))
            # Prefill takes the machine from all that write.
            self._prefill_until = max(self.now, self._prefill_until) + tokens / (
                what.prefill_tokens_per_s * self.speed
            )

    def _leave(self, sequence: Sequence) -> None:
        del self.running[sequence]
        self._held -= sequence.prompt + sequence.written - sequence.begin
        sequence.written += self._steps - sequence.begin
        if not self.running:
            self._held = 0.0

    def _preempt(self) -> None:
        """Send the one that came last back to the head of the queue; its KV is computed anew (vLLM's way)."""
        sequence = next(reversed(self.running))
        self._leave(sequence)
        self.waiting.appendleft(sequence)
        self.preemptions += 1

    def metrics(self) -> str:
        """What vLLM's /metrics says of it, under the old and the new name of the KV cache's use."""
        used = min(1.0, self.kv_used / self.machine.kv_tokens)
        values = {
            "vllm:num_requests_running": ("gauge", len(self.running)),
            "vllm:num_requests_waiting": ("gauge", len(self.waiting)),
            "vllm:gpu_cache_usage_perc": ("gauge", used),
            "vllm:kv_cache_usage_perc": ("gauge", used),
            "vllm:num_preemptions_total": ("counter", self.preemptions),
            "vllm:generation_tokens_total": ("counter", int(self.generated)),
        }
        return "".join(
            f'# TYPE {name} {kind}\n{name}{{model_name="model"}} {value}\n'
            for name, (kind, value) in values.items()
        )


def read_prompt(body: dict[str, Any]) -> tuple[str, int]:
    """The text of a body's messages, and the tokens of their text and pictures."""
    contents = [message.get("content") for message in body.get("messages", ())]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    texts = [str(content) for content in contents if not isinstance(content, list)]
    text = "\n".join([*texts, *(part["text"] for part in parts if part["type"] == "text")])
    pictures = sum(part["type"] == "image_url" for part in parts)
    return text, max(1, min(len(text), 8000) // 4) + PICTURE_TOKENS * pictures


def find_mode(body: dict[str, Any], text: str) -> str:
    """How a body wants to be answered: `thinking`, `plain`, or `verdict` where it gives a schema."""
    if "response_format" in body:
        return "verdict"
    thinks = body.get("chat_template_kwargs", {}).get("enable_thinking", True)
    return "thinking" if thinks and not text.rstrip().endswith("/no_think") else "plain"


def answer_length(body: dict[str, Any]) -> int:
    """Tokens that the answer to a body has: lognormal by mode, by the hash of the request."""
    text, _ = read_prompt(body)
    asked = {
        name: value for name, value in body.items() if name != "messages" and not name.startswith("stream")
    }
    digest = hashlib.sha256((json.dumps(asked, sort_keys=True) + text).encode()).digest()
    median, sigma = LENGTHS[find_mode(body, text)]
    share = (int.from_bytes(digest[:6]) + 0.5) / 2**48
    length = max(1, round(median * math.exp(sigma * NormalDist().inv_cdf(share))))
    return min(length, body.get("max_tokens") or length)


class EngineServer:
    """Serves each replica of a machine at a port of its own while its `with` block lasts, in one thread.

    `scale` simulated seconds pass in one. It answers 503 until the machine's load time is over. Without
    `shows_metrics`, /metrics is 404. No answer has more tokens than `most`. `note` is called with what is to
    be known of each answer.
    """

    def __init__(
        self,
        what: Machine,
        scale: float = 100.0,
        shows_metrics: bool = True,
        *,
        most: int | None = None,
        stream_s: float = STREAM_INTERVAL_S,
        port: int = 0,
        model: str = "model",
        note: Callable[[dict[str, Any]], None] = lambda _: None,
    ):
        self.scale, self.shows_metrics, self.load_s = scale, shows_metrics, what.load_s
        self.most, self.stream_s, self.model, self.note = most, stream_s, model, note
        self.engines = [BatchingEngine(what) for _ in range(what.replicas)]
        self.requests = 0
        self._loop = asyncio.new_event_loop()
        self._listeners = [socket.create_server(("127.0.0.1", port), backlog=4096) for _ in self.engines]
        self._timers: list[asyncio.TimerHandle | None] = [None for _ in self.engines]
        self._transports: set[asyncio.Transport] = set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()

    @property
    def base_urls(self) -> list[str]:
        return [f"http://127.0.0.1:{each.getsockname()[1]}/v1" for each in self._listeners]

    def __enter__(self) -> "EngineServer":
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def set_speed(self, speed: float) -> None:
        """Change the speed of all replicas."""

        def change() -> None:
            for number, engine in enumerate(self.engines):
                engine.set_speed(speed, self.now())
                self.plan(number)

        self._loop.call_soon_threadsafe(change)

    def now(self) -> float:
        """Simulated seconds since the start."""
        return (self._loop.time() - self._started) * self.scale

    def plan(self, number: int) -> None:
        """Wake up at the next event of a replica."""
        if (timer := self._timers[number]) is not None:
            timer.cancel()
        then, self._timers[number] = self.engines[number].next_event(), None
        if then < math.inf:
            when = self._started + then / self.scale
            self._timers[number] = self._loop.call_at(when, self._advance, number)

    def _advance(self, number: int) -> None:
        self.engines[number].advance(self.now())
        self.plan(number)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._started = self._loop.time()
        servers = [
            self._loop.run_until_complete(
                self._loop.create_server(lambda number=number: _Connection(self, number), sock=listener)
            )
            for number, listener in enumerate(self._listeners)
        ]
        self._loop.call_soon(self._ready.set)
        self._loop.run_forever()
        for server in servers:
            server.close()
        for transport in list(self._transports):
            transport.abort()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()


class _Connection(asyncio.Protocol):
    """One client's connection: one request at a time."""

    def __init__(self, server: EngineServer, number: int):
        self.server, self.number, self.engine = server, number, server.engines[number]
        self.data = bytearray()
        self.sequence: Sequence | None = None
        self.sent = 0  # tokens of a stream
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.server._transports.add(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.server._transports.discard(self.transport)
        if self.timer is not None:
            self.timer.cancel()
        if self.sequence is not None and not self.server._loop.is_closed():
            self.engine.abort(self.sequence, self.server.now())
            self.server.plan(self.number)

    def data_received(self, data: bytes) -> None:
        self.data += data
        begin = self.data.find(b"\r\n\r\n") + 4
        if begin < 4 or self.sequence is not None:
            return
        first, *lines = self.data[: begin - 4].decode("latin-1").lower().split("\r\n")
        headers = dict(line.split(":", 1) for line in lines)
        end = begin + int(headers.get("content-length", 0))
        if len(self.data) < end:
            return
        body = bytes(self.data[begin:end])
        del self.data[:end]
        self._serve(first.split(" ")[1], body)

    def _serve(self, path: str, body: bytes) -> None:
        server = self.server
        if server.now() < server.load_s:
            self._send(503, b"loading")
        elif path.endswith("/chat/completions"):
            self._ask(json.loads(body))
        elif path == "/metrics" and server.shows_metrics:
            self.engine.advance(server.now())
            self._send(200, self.engine.metrics().encode(), "text/plain")
        elif path.endswith("/models"):
            models = [{"id": server.model, "object": "model"}]
            self._send(200, json.dumps({"object": "list", "data": models}).encode())
        else:
            self._send(200 if path == "/health" else 404, b"")

    def _ask(self, body: dict[str, Any]) -> None:
        self.server.requests += 1
        self.asked_at = time.time()
        text, self.prompt = read_prompt(body)
        self.mode, self.text = find_mode(body, text), text
        self.length = min(answer_length(body), self.server.most or math.inf)
        self.finish = "length" if self.length == body.get("max_tokens") else "stop"
        self.before, self.after = FRAMES[self.mode]
        self.sequence = Sequence(self.prompt, self.length, self._finish)
        self.streams = bool(body.get("stream"))
        if self.streams:
            self.sent = 0
            self.transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            self._tick()
        self.engine.submit(self.sequence, self.server.now())
        self.server.plan(self.number)

    def _tick(self) -> None:
        """Send what was written since the last piece."""
        written = min(int(self.engine.written(self.sequence)), self.length - 1)
        if written > self.sent:
            words = self._words(self.sent, written)
            self._event({"delta": {"content": words}, "finish_reason": None})
            self.sent = written
        self.timer = self.server._loop.call_later(self.server.stream_s / self.server.scale, self._tick)

    def _finish(self) -> None:
        self.sequence = None
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        self.server.note(
            {
                "asked": self.asked_at,
                "answered": time.time(),
                "mode": self.mode,
                "prompt": self.prompt,
                "tokens": self.length,
                "about": (SUBJECT.search(self.text) or [""])[0],
            }
        )
        usage = {"prompt_tokens": self.prompt, "completion_tokens": self.length}
        if self.streams:
            rest = {"content": self._words(self.sent, self.length)}
            self._event({"delta": rest, "finish_reason": self.finish})
            self._chunk(b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n")
            self._chunk(b"data: [DONE]\n\n")
            self._chunk(b"")
            return
        message = {"role": "assistant", "content": self._words(0, self.length)}
        choice = {"index": 0, "message": message, "finish_reason": self.finish}
        answer = {
            "id": "1",
            "object": "chat.completion",
            "model": "model",
            "choices": [choice],
            "usage": usage,
        }
        self._send(200, json.dumps(answer).encode())

    def _event(self, choice: dict[str, Any]) -> None:
        event = {"object": "chat.completion.chunk", "choices": [{"index": 0, **choice}]}
        self._chunk(b"data: " + json.dumps(event).encode() + b"\n\n")

    def _chunk(self, data: bytes) -> None:
        self.transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def _send(self, status: int, body: bytes, kind: str = "application/json") -> None:
        head = f"HTTP/1.1 {status} .\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        self.transport.write(head.encode() + body)

    def _words(self, begin: int, end: int) -> str:
        """The tokens of the answer from one to another: numbers, so that none repeats."""
        words = "".join(f"{number} " for number in range(begin, end))
        return (self.before if begin == 0 else "") + words + (self.after if end == self.length else "")


def main() -> None:
    flags = argparse.ArgumentParser(allow_abbrev=False)
    flags.add_argument("model")
    flags.add_argument("--host")
    flags.add_argument("--port", type=int)
    flags.add_argument("--served-model-name")
    flags.add_argument("--max-model-len", type=int)
    flags.add_argument("--machine", required=True, help="of machines.toml, of which it is one replica")
    flags.add_argument("--scale", type=float, required=True, help="simulated seconds in one")
    flags.add_argument("--load", type=float, required=True, help="simulated seconds until it is ready")
    flags.add_argument("--most", type=int, help="tokens of an answer")
    flags.add_argument("--stream", type=float, default=STREAM_INTERVAL_S, help="seconds between pieces")
    flags.add_argument(
        "--notes", type=Path, required=True, help="folder for a JSON line for each start and answer"
    )
    args = flags.parse_args()
    what = replace(machine(args.machine), replicas=1, load_s=args.load)
    args.notes.mkdir(parents=True, exist_ok=True)
    with (args.notes / f"{args.port}.jsonl").open("a", encoding="utf-8", buffering=1) as notes:
        notes.write(json.dumps({"started": time.time()}) + "\n")
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with (
            suppress(KeyboardInterrupt),
            EngineServer(
                what,
                args.scale,
                most=args.most,
                stream_s=args.stream,
                port=args.port,
                model=args.served_model_name,
                note=lambda row: notes.write(json.dumps(row) + "\n"),
            ),
        ):
            signal.pause()


if __name__ == "__main__":
    main()
