"""Chat requests over HTTP: connections are kept, and an answer is whole or a fault, streamed or not."""

import asyncio
import json

import pytest
from fault_server import FaultServer, Reply

from prep import wire
from prep.endpoint import Endpoint
from prep.fault import Fault, read
from prep.program import Failure
from prep.reason import Reason
from prep.wire import STREAM, Wire, proxy, time_limit

BODY = {"model": "model", "messages": [{"role": "user", "content": "prompt"}]}


def post(server: FaultServer, times: int = 1, *, pause: float = 0.0, limit: float = 5, **how) -> list[dict]:
    body = json.dumps(BODY | (STREAM if how else {})).encode()

    async def main() -> list[dict]:
        connected = Wire(Endpoint(server.base_url, "key"))
        came = []
        try:
            for _ in range(times):
                came.append(read(await connected.post(body, limit, **how)))
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
    monkeypatch.setattr(wire, "IDLE", 0.01)
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
    with FaultServer(lambda ask: Reply(kind=kind)) as server, pytest.raises(Fault) as fault:
        post(server, stall=stall)
    assert fault.value.reason is Reason.TRANSPORT


def test_no_server_is_a_fault_of_the_connection():
    with FaultServer() as server:
        pass
    with pytest.raises(Fault, match=r"no connection, .*127\.0\.0\.1") as fault:
        post(server)
    assert fault.value.reason is Reason.TRANSPORT


def test_a_redirect_is_not_followed():
    moved = Reply(status=307, headers={"Location": "https://127.0.0.1/v1/chat/completions"})
    with (
        FaultServer(lambda ask: moved) as server,
        pytest.raises(Failure, match=r"sends us on to https://127\.0\.0\.1"),
    ):
        post(server)


def test_a_request_that_took_too_long_is_taken_back_from_the_server():
    with FaultServer(lambda ask: Reply(kind="hang")) as server:
        with pytest.raises(Fault, match=r"no answer in 0.1 s") as fault:
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
        (Reply(finish_reason=None), Reason.SERVER_ERROR),
        (Reply(finish_reason="abort"), Reason.SERVER_ERROR),
        (Reply(status=503), Reason.SERVER_ERROR),
        (Reply(status=400), Reason.BAD_REQUEST),
        (Reply(kind="hang"), Reason.TIMEOUT),
    ],
)
def test_what_goes_wrong_with_a_stream_has_its_name(reply, reason):
    with FaultServer(lambda ask: reply) as server, pytest.raises(Fault) as fault:
        post(server, limit=0.3, stall=5)
    assert fault.value.reason is reason


def test_a_stream_that_stalls_is_given_up_long_before_the_time_limit():
    with FaultServer(lambda ask: Reply(stall=3)) as server:
        with pytest.raises(Fault, match=r"the stream stalled for 0.1 s") as fault:
            post(server, limit=60, stall=0.1)
        assert fault.value.reason is Reason.TIMEOUT


def test_a_slow_stream_is_none_that_stalls_and_neither_is_a_late_one():
    words = "one two three four five six seven eight"
    with FaultServer(lambda ask: Reply(content=words, delay=0.6, pause=0.06)) as server:
        assert post(server, limit=60, stall=0.4)[0]["content"] == words


def test_an_answer_that_goes_round_in_circles_is_stopped():
    reply = Reply(content="A beginning. " + "Wait, let me think again. " * 3000)
    with FaultServer(lambda ask: reply) as server:
        (came,) = post(server, limit=60, window=256)
        assert came["finish_reason"] == Reason.REPETITION
        assert 256 <= len(came["content"]) < 512
        assert not server.finished


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
    settings = {"request_timeout": 600, "floor_rate": 5, "max_model_len": 8192}
    assert time_limit(settings, 1000) == 800
    assert time_limit(settings, None) == time_limit(settings, 100_000) == 600 + 8192 / 5
