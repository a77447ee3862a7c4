"""Servers that answer what no server should: each answer is an error in one line, within time and memory."""

import asyncio
import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Iterable, Iterator

import pytest

from prep.inference import transport
from prep.inference.errors import FINISH_CHARS, RequestError, parse_completion
from prep.inference.transport import ChatTransport
from prep.records.reason import Reason
from prep.serving import endpoint
from prep.serving.endpoint import Endpoint, get_json

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BODY = {"model": "model", "messages": [{"role": "user", "content": "prompt"}]}


@contextlib.contextmanager
def raw_server(pieces: Iterable[bytes], pause: float = 0.0) -> Iterator[str]:
    """A server that reads one request, sends these bytes whatever it was, and closes; its base URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):
                taken, _ = listening.accept()
                with taken:
                    taken.recv(1 << 16)
                    for piece in pieces:
                        taken.sendall(piece)
                        time.sleep(pause)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    thread.join(10)


def post(pieces: Iterable[bytes]) -> RequestError:
    async def main(url: str) -> None:
        connected = ChatTransport(Endpoint(url, "key"))
        try:
            await connected.post(BODY, limit=20)
        finally:
            await connected.close()

    with raw_server(pieces) as url, pytest.raises(RequestError) as caught:
        asyncio.run(main(url))
    return caught.value


@pytest.mark.parametrize("location", ["http://[::1/", "http://a..b/", f"http://{'a' * 70}.b/"])
def test_a_redirect_to_no_url_is_no_answer(location: str) -> None:
    head = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
    with raw_server([head]) as url, pytest.raises(OSError, match="no HTTP answer"):
        get_json(f"{url}/models")


@pytest.mark.parametrize("length", [b"9" * 20, b"9000000000000000000"])
def test_a_length_that_nobody_has_takes_no_memory(length: bytes) -> None:
    with raw_server([OK, b"Content-Length: ", length, b"\r\n\r\n", b"[]"]) as url:
        assert get_json(f"{url}/models") == (200, [])


def test_an_endless_list_of_models_ends_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "MAX_JSON_BYTES", 1 << 20)
    endless = itertools.chain([OK, b"\r\n["], itertools.repeat(b"0," * 10_000))
    with raw_server(endless) as url, pytest.raises(OSError, match="more than 1048576 bytes"):
        get_json(f"{url}/models")


def test_a_redirect_with_an_endless_body_is_followed() -> None:
    with raw_server([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"]) as url:
        head = f"HTTP/1.1 302 Found\r\nLocation: {url}/models\r\n\r\n".encode()
        body = itertools.repeat(b"x" * 65536, 4000)
        with raw_server(itertools.chain([head], body)) as endless:
            assert get_json(f"{endless}/models") == (200, [])
        assert next(body, None)  # it was not read


def test_a_list_of_models_that_trickles_is_given_up() -> None:
    slow = itertools.chain([OK, b"\r\n["], itertools.repeat(b"0,"))
    with raw_server(slow, pause=0.01) as url, pytest.raises(TimeoutError, match=r"no whole answer in 0\.1 s"):
        get_json(f"{url}/models", timeout=0.1)


def test_the_words_beside_a_status_may_be_anything() -> None:
    found = post([b"HTTP/1.1 500 X\xff\r\nContent-Length: 0\r\n\r\n"])
    assert found.reason in (Reason.MALFORMED, Reason.SERVER_ERROR)
    assert found.detail.encode()


@pytest.mark.parametrize("kind", [b"application/json", b"text/event-stream"])
def test_an_answer_without_end_ends_in_an_error(kind: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_ANSWER_BYTES", 1 << 20)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: " + kind + b'\r\n\r\ndata: {"'
    found = post(itertools.chain([head], itertools.repeat(b"x" * 10_000)))
    assert (found.reason, found.detail) == (Reason.MALFORMED, "an answer of more than 1048576 bytes")


def test_a_long_finish_reason_is_cut() -> None:
    choice = {"message": {"content": "a"}, "finish_reason": "because " * 1000}
    assert len(parse_completion({"choices": [choice]})["finish_reason"]) <= FINISH_CHARS
