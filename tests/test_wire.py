"""openai's client over plain streams: connections are kept, and an answer is whole or an error."""

import asyncio

import openai
import pytest
from fault_server import FaultServer, Reply

from prep import wire
from prep.endpoint import Endpoint

BODY = {"model": "model", "messages": [{"role": "user", "content": "prompt"}]}


def post(server: FaultServer, times: int = 1, *, pause: float = 0.0) -> list[str]:
    async def main() -> list[str]:
        client = wire.client(Endpoint(server.base_url, "key"))
        texts = []
        for _ in range(times):
            texts.append(await client.post("/chat/completions", cast_to=str, body=BODY))
            await asyncio.sleep(pause)
        await client.close()
        return texts

    return asyncio.run(main())


def test_one_connection_serves_one_request_after_another():
    with FaultServer() as server:
        texts = post(server, 5)
        assert (len(set(texts)), server.connections) == (1, 1)


def test_a_connection_that_lay_idle_is_not_used_again(monkeypatch):
    monkeypatch.setattr(wire, "IDLE", 0.01)
    with FaultServer() as server:
        post(server, 3, pause=0.05)
        assert server.connections == 3


@pytest.mark.parametrize("header", [{"Connection": "close"}, {"Connection": "Close"}])
def test_a_connection_that_is_to_close_is_not_used_again(header):
    with FaultServer(lambda ask: Reply(headers=header)) as server:
        assert len(set(post(server, 3))) == 1
        assert server.connections == 3


def test_chunks_are_put_together_and_the_connection_is_kept():
    with FaultServer() as server:
        (plain,) = post(server)
    with FaultServer(lambda ask: Reply(chunked=True)) as server:
        assert post(server, 3) == [plain] * 3
        assert server.connections == 1


def test_large_answers_and_requests_come_whole(monkeypatch):
    text = "文" * 1_000_000
    monkeypatch.setitem(BODY, "messages", [{"role": "user", "content": text}])
    with FaultServer(lambda ask: Reply(content=ask.prompt)) as server:
        (came,) = post(server)
    assert text in came


@pytest.mark.parametrize("kind", ["reset", "cut", "garbage"])
def test_what_ends_early_is_a_connection_error(kind):
    with FaultServer(lambda ask: Reply(kind=kind)) as server, pytest.raises(openai.APIConnectionError):
        post(server)


def test_no_server_is_a_connection_error():
    with FaultServer() as server:
        pass
    with pytest.raises(openai.APIConnectionError) as error:
        post(server)
    assert "no connection to 127.0.0.1" in str(error.value.__cause__)


def test_a_redirect_away_from_plain_http_is_refused():
    moved = Reply(status=307, headers={"Location": "https://127.0.0.1/v1/chat/completions"})
    with FaultServer(lambda ask: moved) as server, pytest.raises(openai.APIConnectionError) as error:
        post(server)
    assert "the server sends us on to https://127.0.0.1" in str(error.value.__cause__)


def test_a_cancelled_request_closes_its_connection():
    async def main(server: FaultServer) -> None:
        client = wire.client(Endpoint(server.base_url, "key"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await client.post("/chat/completions", cast_to=str, body=BODY)
        await client.close()
        while not server.unfinished:
            await asyncio.sleep(0.001)

    with FaultServer(lambda ask: Reply(kind="hang")) as server:
        asyncio.run(asyncio.wait_for(main(server), 5))


@pytest.mark.parametrize(
    ("url", "behind"),
    [
        ("http://127.0.0.1:8000/v1", False),
        ("http://localhost:8000/v1", False),
        ("http://gpu.internal:8000/v1", False),
        ("http://teacher.example.org/v1", True),
        ("https://teacher.example.org/v1", False),
    ],
)
def test_the_environment_s_proxy_is_used_but_never_for_the_loopback(monkeypatch, url, behind):
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "HTTP_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:3128")
    monkeypatch.setenv("no_proxy", "gpu.internal")
    assert wire._behind_proxy(url) is behind
