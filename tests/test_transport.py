"""Chat requests over HTTP: connections are kept, and an answer is whole or a fault, streamed or not."""

import asyncio
import json
from dataclasses import replace

import pytest

from fault_server import FaultServer, Reply
from prep.inference import transport
from prep.inference.errors import RequestError, parse_completion
from prep.inference.transport import STREAM, ChatTransport, proxy, time_limit
from prep.records.reason import Reason
from prep.runtime.program import UserError
from prep.serving.endpoint import Endpoint
from server_config import server_config

BODY = {"model": "model", "messages": [{"role": "user", "content": "prompt"}]}


def post(server: FaultServer, times: int = 1, *, pause: float = 0.0, limit: float = 5, **how) -> list[dict]:
    body = BODY | (STREAM if how else {})

    async def main() -> list[dict]:
        connected = ChatTransport(Endpoint(server.base_url, "key"))
        came = []
        try:
            for _ in range(times):
                came.append(parse_completion(await connected.post(body, limit, **how)))
                await asyncio.sleep(pause)
        finally:
            await connected.close()
        return came

    return asyncio.run(main())


def test_one_connection_serves_one_request_after_another():
    with FaultServer() as server:
        came = post(server, 5)
        assert came == [came[0]] * 5
        assert server.connections == 1


def test_a_connection_that_lay_idle_is_not_used_again(monkeypatch):
    monkeypatch.setattr(transport, "IDLE_TIMEOUT_S", 0.01)
    with FaultServer() as server:
        post(server, 3, pause=0.1)
        assert server.connections == 3


@pytest.mark.parametrize("header", [{"Connection": "close"}, {"Connection": "Close"}])
def test_a_connection_that_is_to_close_is_not_used_again(header):
    with FaultServer(lambda ask: Reply(headers=header)) as server:
        assert len(post(server, 3)) == 3
        assert server.connections == 3


def test_chunks_are_put_together_and_the_connection_is_kept():
    with FaultServer() as server:
        plain = post(server)
    with FaultServer(lambda ask: Reply(chunked=True)) as server:
        assert post(server, 3) == plain * 3
        assert server.connections == 1


def test_large_answers_and_requests_come_whole(monkeypatch):
    text = "文" * 1_000_000
    monkeypatch.setitem(BODY, "messages", [{"role": "user", "content": text}])
    with FaultServer(lambda ask: Reply(content=ask.prompt)) as server:
        assert post(server)[0]["content"] == text
        assert post(server, stall=5)[0]["content"] == text


@pytest.mark.parametrize("kind", ["reset", "cut", "garbage"])
@pytest.mark.parametrize("stall", [None, 5])
def test_what_ends_early_is_a_fault_of_the_connection(kind, stall):
    with FaultServer(lambda ask: Reply(kind=kind)) as server, pytest.raises(RequestError) as fault:
        post(server, stall=stall)
    assert fault.value.reason is Reason.TRANSPORT


def test_a_cookie_is_not_sent_back():
    seen = []
    cookie = {"Set-Cookie": "session=1; Path=/"}
    with FaultServer(lambda ask: seen.append(ask.headers) or Reply(headers=cookie)) as server:
        post(server, 2)
    assert [headers.get("cookie") for headers in seen] == [None, None]


def test_no_name_of_an_account_at_openai_is_sent_to_a_server(monkeypatch):
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_API_KEY", "OPENAI_ADMIN_KEY"):
        monkeypatch.setenv(name, "private")
    seen = []
    with FaultServer(lambda ask: seen.append(ask.headers) or Reply()) as server:
        post(server)
    assert seen
    assert [header for headers in seen for header in headers.items() if "private" in header[1]] == []


def test_no_server_is_a_fault_of_the_connection():
    with FaultServer() as server:
        pass
    with pytest.raises(RequestError, match=r"no connection, .*127\.0\.0\.1") as fault:
        post(server)
    assert fault.value.reason is Reason.TRANSPORT


def test_a_redirect_is_not_followed():
    moved = Reply(status=307, headers={"Location": "https://127.0.0.1/v1/chat/completions"})
    with (
        FaultServer(lambda ask: moved) as server,
        pytest.raises(UserError, match=r"sends us on to https://127\.0\.0\.1"),
    ):
        post(server)


def test_a_request_that_took_too_long_is_taken_back_from_the_server():
    with FaultServer(lambda ask: Reply(kind="hang")) as server:
        with pytest.raises(RequestError, match=r"no answer in 0.1 s") as fault:
            post(server, limit=0.1)
        assert fault.value.reason is Reason.TIMEOUT

        async def told() -> None:
            while not server.unfinished:
                await asyncio.sleep(0.001)

        asyncio.run(asyncio.wait_for(told(), 5))


# Streams

STREAMED = [
    Reply(),
    Reply(content="<think>\na\n</think>\n\nb 中文 \n"),
    Reply(content="b", message={"reasoning": "a"}),
    Reply(content="b", message={"reasoning_content": "a"}),
    Reply(content="", finish_reason="content_filter"),
    Reply(content="cut here", finish_reason="length"),
    Reply(streams=False),
    Reply(content=" ".join(map(str, range(3000)))),
]


@pytest.mark.parametrize("reply", STREAMED)
def test_a_streamed_answer_is_the_one_that_comes_whole(reply):
    with FaultServer(lambda ask: reply) as server:
        whole = post(server)
        assert post(server, 3, stall=5) == whole * 3
        assert post(server, 3, window=64) == whole * 3
        assert server.connections == 3


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(kind="broken"), Reason.SERVER_ERROR),
        (Reply(kind="cut_json"), Reason.CUT_JSON),
        (Reply(finish_reason=None, edit=lambda events: events[:-1]), Reason.SERVER_ERROR),
        (Reply(finish_reason=None, content="", edit=lambda events: events[-1:]), Reason.SERVER_ERROR),
        (Reply(finish_reason=None, end="close", edit=lambda events: events[:-1]), Reason.TRANSPORT),
        (Reply(finish_reason=None, end="reset", edit=lambda events: events[:3]), Reason.TRANSPORT),
        (Reply(finish_reason="abort"), Reason.SERVER_ERROR),
        (Reply(finish_reason="ABORT"), Reason.SERVER_ERROR),
        (Reply(status=503), Reason.RATE_LIMITED),
        (Reply(status=400), Reason.BAD_REQUEST),
        (Reply(kind="hang"), Reason.TIMEOUT),
    ],
)
def test_what_goes_wrong_with_a_stream_has_its_name(reply, reason):
    with FaultServer(lambda ask: reply) as server, pytest.raises(RequestError) as fault:
        post(server, limit=0.3 if reply.kind == "hang" else 60, stall=60)
    assert fault.value.reason is reason


def test_a_stream_that_stalls_is_given_up_long_before_the_time_limit():
    with FaultServer(lambda ask: Reply(stall=3)) as server:
        with pytest.raises(RequestError, match=r"the stream stalled for 0.1 s") as fault:
            post(server, limit=60, stall=0.1)
        assert fault.value.reason is Reason.TIMEOUT


def test_a_slow_stream_is_none_that_stalls_and_neither_is_a_late_one():
    words = "one two three four five six seven eight"
    with FaultServer(lambda ask: Reply(content=words, delay=0.6, pause=0.06)) as server:
        assert post(server, limit=60, stall=0.4)[0]["content"] == words


def test_an_answer_that_repeats_itself_is_stopped():
    reply = Reply(content="A beginning. " + "Wait, let me think again. " * 3000)
    with FaultServer(lambda ask: reply) as server:
        (came,) = post(server, limit=60, window=256)
        assert came["finish_reason"] == Reason.REPETITION
        assert 256 <= len(came["content"]) < 512
        assert not server.finished


# Streams that end or are written in other ways than by the book


def swap(events: list[bytes]) -> list[bytes]:
    """The counts of tokens before the finish_reason."""
    return [*events[:-3], events[-2], events[-3], events[-1]]


def each(old: bytes, new: bytes):
    return lambda events: [event.replace(old, new) for event in events]


def before_each(more: bytes):
    return lambda events: [more + event for event in events]


OTHER = b'data: {"choices": [{"delta": {"content": "more"}}]}\n\n'
ERROR = b'data: {"error": {"message": "the engine died", "code": 500}}\n\n'
ENDS = {
    "the connection is left open": Reply(end="open"),
    "the last chunk of HTTP is missing": Reply(end="close"),
    "the connection is reset": Reply(end="reset"),
    "more content": Reply(edit=lambda events: [*events, OTHER]),
    "more content, left open": Reply(edit=lambda events: [*events, OTHER], end="open"),
    "garbage": Reply(edit=lambda events: [*events, b"data: {garbage\n\n\x00\xff"]),
    "an error": Reply(edit=lambda events: [*events, ERROR]),
    "an error before [DONE]": Reply(edit=lambda events: [*events[:-1], ERROR, events[-1]]),
    "garbage before [DONE]": Reply(edit=lambda events: [*events[:-1], b"data: {garbage\n\n", events[-1]]),
    "no [DONE]": Reply(edit=lambda events: events[:-1]),
    "no [DONE], closed": Reply(edit=lambda events: events[:-1], end="close"),
    "no [DONE], reset": Reply(edit=lambda events: events[:-1], end="reset"),
    "no [DONE], left open": Reply(edit=lambda events: events[:-1], end="open"),
    "a cut [DONE]": Reply(edit=lambda events: [*events[:-1], b"data: [DO"], end="close"),
    "[DONE] as JSON": Reply(edit=each(b"[DONE]", b'"[DONE]"'), end="open"),
    "the counts come first": Reply(edit=swap),
}
WORDS = "<think>\na\n</think>\n\nthe answer 中文"
FINISHED = {"content": WORDS, "reasoning": None, "finish_reason": "stop", "tokens": [1, 6]}


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(transport, "LAST_EVENTS_S", 0.1)
    monkeypatch.setattr(transport, "LAST_CHUNK_S", 0.1)


@pytest.mark.parametrize("reply", ENDS.values(), ids=ENDS)
def test_what_comes_after_the_end_of_a_stream_costs_nothing(impatient, reply):
    with FaultServer(lambda ask: replace(reply, content=WORDS)) as server:
        assert post(server, 2, limit=300, stall=200) == [FINISHED] * 2
        assert server.attempts == {"prompt": 2}


def test_without_the_counts_of_tokens_a_finished_stream_is_whole():
    reply = Reply(content=WORDS, edit=lambda events: events[:-2], end="close")
    with FaultServer(lambda ask: reply) as server:
        assert post(server, stall=5) == [FINISHED | {"tokens": [0, 0]}]


def test_a_connection_that_is_left_open_after_the_end_is_closed(impatient):
    with FaultServer(lambda ask: Reply(end="open")) as server:
        post(server, 3, limit=300, stall=200)
        assert server.connections == 3


def test_a_stream_that_ends_in_good_order_without_a_finish_reason_is_not_asked_for_again():
    with FaultServer(lambda ask: Reply(content=WORDS, finish_reason=None)) as server:
        assert post(server, stall=5) == [FINISHED | {"finish_reason": "missing"}]


@pytest.mark.parametrize("end", ["close", "reset", "open"])
def test_a_whole_answer_in_one_piece_counts_however_the_connection_ends(end):
    with FaultServer(lambda ask: Reply(content=WORDS, chunked=True, end=end)) as server:
        assert post(server, limit=0.5) == [FINISHED]
        assert post(server, limit=0.5, stall=5) == [FINISHED]


WRITTEN = {
    "CR": each(b"\n\n", b"\r\r"),
    "CRLF": each(b"\n\n", b"\r\n\r\n"),
    "no empty lines": each(b"\n\n", b"\n"),
    "no space": each(b"data: ", b"data:"),
    "a byte order mark": lambda events: [b"\xef\xbb\xbf" + events[0], *events[1:]],
    "comments": before_each(b": PROCESSING\n\n"),
    "a comment at first": lambda events: [b":\n\n", *events],
    "comments as data": before_each(b"data: : PROCESSING\n\n"),
    "words as data": before_each(b"data: keep-alive\n\n"),
    "empty strings": before_each(b'data: ""\n\n'),
    "empty data": before_each(b"data:\n\n"),
    "null": before_each(b"data: null\n\n"),
    "other fields": before_each(b"event: message\nid: 1\nretry: 5\nmore\n"),
    "empty lines": before_each(b"\n\n"),
    "no last line end": lambda events: [*events[:-1], events[-1].strip()],
    "no last line end nor [DONE]": lambda events: [*events[:-2], events[-2].strip()],
    "several data lines": each(b'"choices": [{', b'"choices":\ndata: [{'),
    "byte for byte": lambda events: [bytes([byte]) for byte in b"".join(events)],
    "CRLF, byte for byte": lambda events: [
        bytes([byte]) for byte in b"\xef\xbb\xbf" + b"".join(events).replace(b"\n", b"\r\n")
    ],
    "all at once": lambda events: [b"".join(events)],
}


@pytest.mark.parametrize("edit", WRITTEN.values(), ids=WRITTEN)
def test_a_stream_may_be_written_in_many_ways(edit):
    with FaultServer(lambda ask: Reply(content=WORDS, edit=edit)) as server:
        assert post(server, stall=5) == [FINISHED]


LABELS = ["application/json", "text/plain", "application/octet-stream", "TEXT/EVENT-STREAM", "text/html"]


@pytest.mark.parametrize("label", LABELS)
def test_a_stream_is_one_whatever_its_label(label):
    with FaultServer(lambda ask: Reply(content=WORDS, label=label)) as server:
        assert post(server, stall=5) == [FINISHED]
        assert post(server, window=64) == [FINISHED]


def test_an_answer_in_one_piece_is_one_whatever_its_label():
    def in_one_piece(events: list[bytes]) -> list[bytes]:
        choice = {"message": {"content": WORDS}, "finish_reason": "stop"}
        return [
            json.dumps({"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 6}}).encode()
        ]

    with FaultServer(lambda ask: Reply(edit=in_one_piece)) as server:
        assert post(server, stall=5) == [FINISHED]


@pytest.mark.parametrize(
    ("code", "reason"), [(400, "bad_request"), ("429", "rate_limited"), ("server_error", "server_error")]
)
def test_an_error_in_a_stream_is_read_like_a_status(code, reason):
    def fails(events: list[bytes]) -> list[bytes]:
        error = {"error": {"message": "as planned", "code": code}}
        return [*events[:2], b"data: %b\n\n" % json.dumps(error).encode()]

    with (
        FaultServer(lambda ask: Reply(edit=fails)) as server,
        pytest.raises(RequestError, match=r"with error .*as planned") as fault,
    ):
        post(server, stall=5)
    assert fault.value.reason == reason


# What else an answer may look like


def test_a_long_header_costs_nothing():
    with FaultServer(lambda ask: Reply(content=WORDS, headers={"X-Policy": "a" * 100_000})) as server:
        assert post(server) == post(server, stall=5) == [FINISHED]


def test_a_header_that_is_too_long_is_not_tried_as_often_as_a_lost_connection():
    with (
        FaultServer(lambda ask: Reply(headers={"X-Policy": "a" * 300_000})) as server,
        pytest.raises(RequestError, match="a header of more than") as fault,
    ):
        post(server)
    assert fault.value.reason is Reason.MALFORMED


@pytest.mark.parametrize("end", ["close", "reset", "open"])
def test_an_error_status_counts_however_the_connection_ends(impatient, end):
    with (
        FaultServer(lambda ask: Reply(status=400, chunked=True, end=end)) as server,
        pytest.raises(RequestError, match="HTTP 400: as planned") as fault,
    ):
        post(server)
    assert fault.value.reason is Reason.BAD_REQUEST


# Where, and how long


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("http://127.0.0.1:8000/v1", None),
        ("http://localhost:8000/v1", None),
        ("http://gpu.internal:8000/v1", None),
        ("http://teacher.example.org/v1", "http://127.0.0.1:3128"),
        ("https://teacher.example.org/v1", None),
    ],
)
def test_the_environment_s_proxy_is_used_but_never_for_the_loopback(monkeypatch, url, named):
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "HTTP_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:3128")
    monkeypatch.setenv("no_proxy", "gpu.internal")
    assert proxy(url) == named


def test_the_time_limit_is_for_the_tokens_that_an_answer_may_have():
    config = server_config("teacher", "external", "model", request_timeout=600, floor_rate=5)
    assert time_limit(config, 1000) == 800
    assert time_limit(config, None) == time_limit(config, 100_000) == 600 + 8192 / 5
