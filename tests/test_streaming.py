"""Repetition: what counts as that, wherever and in whatever pieces it comes."""

import json
import random
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from completions import ANY_CHUNK
from prep.inference.errors import NO_REASON, RequestError, parse_completion
from prep.inference.streaming import EventReader, ResponseReader, find_repetition
from prep.records.reason import Reason

WINDOW = 256
LETTERS = "".join(chr(ord("\u4e00") + number) for number in range(100))


def event(**choice) -> bytes:
    return b"data: %b\n\n" % json.dumps({"choices": [choice]}).encode()


@pytest.mark.parametrize(
    "passage", ["x", "Wait. ", "So the answer is 4, or is it? Let me see. ", "中文又中文"]
)
def test_the_same_passage_over_and_over_is_repetition(passage):
    before = "".join(random.Random(1).choices("abcdefgh ", k=1000))
    end = find_repetition(before + passage * (4 * WINDOW // len(passage)), WINDOW)
    assert end is not None
    assert 1000 < end <= 1000 + WINDOW + WINDOW // 4


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x" * (WINDOW - 1),
        "".join(random.Random(2).choices("ab", k=20_000)),
        " ".join(map(str, range(10_000))),
        # Longer than a quarter of the window: an outline with a repeated heading, say.
        ("a" * 60 + "b" * 60) * 100,
    ],
)
def test_what_goes_on_is_no_repetition(text):
    assert find_repetition(text, WINDOW) is None


@pytest.mark.parametrize(
    ("text", "window", "end"),
    [
        ("x" * 15, 15, 15),  # looked at after each character
        ("x" * 14, 15, None),
        ("x" * 64, 64, 64),
        # 49 of the last 64 are the same for the first time at 149; it is looked at every eighth.
        (LETTERS + "x" * 52, 64, 152),
        (LETTERS + "x" * 51, 64, None),
        (LETTERS[:16] * 5, 64, 64),
        (LETTERS[:17] * 5, 64, None),
        (LETTERS[:21] * 5, 64, None),
    ],
)
def test_repetition_is_found_where_it_is_looked_for(text, window, end):
    assert find_repetition(text, window) == end
    assert find_repetition(text, window, 8) == end


@pytest.mark.parametrize(("checked", "ends"), [(0, [64, 72, 80, 88, 96]), (79, [80, 88, 96]), (80, [88, 96])])
def test_a_text_is_looked_at_once_for_each_eighth_of_the_window(checked, ends):
    looked_at = []

    class Watched(str):
        def __getitem__(self, place):
            looked_at.append(place.stop)
            return super().__getitem__(place)

    assert find_repetition(Watched(LETTERS), 64, checked) is None
    assert looked_at == ends


def test_pieces_are_looked_at_once_for_each_eighth_of_the_window(monkeypatch):
    looked_at = []

    def find(text, window, checked):
        looked_at.append((len(text), checked))
        return find_repetition(text, window, checked)

    monkeypatch.setattr("prep.inference.streaming.find_repetition", find)
    incoming = ResponseReader(64)
    for letter in LETTERS:
        incoming.feed(event(delta={"content": letter}))
    assert looked_at == [(end, end - 8 if end > 8 else 0) for end in range(8, 97, 8)]


@given(
    st.lists(st.sampled_from(["a", "bc", " the same again", "\n", "x" * 40]), max_size=60),
    st.integers(1, 30),
    st.lists(st.integers(1, 700), min_size=1, max_size=20),
    st.integers(16, 300),
)
@example(["a", "bc"], 24, [5], 65)  # the last piece is short, and ends where the text is looked at
def test_what_is_found_depends_on_the_text_and_not_on_its_pieces(passages, times, sizes, window):
    text = "".join(passages) * times
    expected = find_repetition(text, window)
    incoming, begin, stopped, turn = ResponseReader(window), 0, False, 0
    incoming.feed(event(delta={"content": ""}))
    while begin < len(text) and not stopped:
        piece = text[begin : begin + sizes[turn % len(sizes)]]
        begin, turn = begin + len(piece), turn + 1
        stopped = incoming.feed(event(delta={"content": piece}))
    choice = incoming.completion()["choices"][0]
    assert stopped == (expected is not None)
    assert choice["message"].get("content", "") == text[:expected]
    assert (choice["finish_reason"] == Reason.REPETITION) == stopped


@pytest.mark.parametrize(
    "text", ["\U0001f600", "a\U0001f600\U0001f601b", "\ud83d", "\ude00\ud83d.", "\ud83d\U0001f600"]
)
def test_a_character_may_come_in_two_halves(text):
    incoming = ResponseReader(64)
    units = memoryview(text.encode("utf-16", "surrogatepass")[2:]).cast("H")  # as servers of UTF-16 count
    for unit in units:
        incoming.feed(event(delta={"content": chr(unit)}))
    assert incoming.completion()["choices"][0]["message"]["content"] == text


@pytest.mark.parametrize(
    "chunk",
    [
        b"[]",
        b"1",
        b'{"choices": 1}',
        b'{"choices": [{"delta": {"content": 1}}]}',
        b'{"choices": [{"delta": {"content": ["a"]}}]}',
    ],
)
def test_what_is_no_chunk_is_malformed(chunk):
    with pytest.raises(RequestError) as fault:
        ResponseReader().feed(b"data: %b\n\n" % chunk)
    assert fault.value.reason is Reason.MALFORMED


@given(st.lists(ANY_CHUNK, max_size=4), st.none() | st.integers(16, 64))
def test_whatever_comes_is_a_completion_or_a_fault(chunks, window):
    incoming = ResponseReader(window)
    try:
        for chunk in chunks:
            incoming.feed(b"data: %b\n\n" % json.dumps(chunk).encode())
        parse_completion(incoming.completion())
    except RequestError:
        pass


# Events


@pytest.mark.parametrize(
    ("text", "events"),
    [
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data: a\r\rdata: b\r\n\r\n", [b"a", b"b"]),
        (b"data:a\ndata:  b\ndata\n\n", [b"a\n b\n"]),
        (b"data: a\n: comment\nevent: e\nid: 1\nretry: 9\nother\n\n", [b"a"]),
        (b": comment\n\n\n\nevent: e\n\ndata:\n\n", [b""]),
        (b"data: a\n", [b"a"]),
        (b"data: a", [b"a"]),
        (b"data: a\n\ndata: b\ndata: c", [b"a", b"b\nc"]),
        ("data: 中\u2028\x0b\x0c\x85文\n\n".encode(), ["中\u2028\x0b\x0c\x85文".encode()]),
        (b"", []),
    ],
)
def test_events_are_read_by_the_standard_in_whatever_pieces_they_come(text, events):
    for size in range(1, len(text) + 1):
        reader = EventReader()
        found = [data for at in range(0, len(text), size) for data in reader.feed(text[at : at + size])]
        assert found + reader.close() == events
        assert reader.close() == []


def test_a_long_line_is_not_copied_for_each_of_its_pieces():
    reader, piece = EventReader(), b"x" * 1000
    reader.feed(b"data: ")
    held = sys.getrefcount(piece)
    for _ in range(100):
        assert reader.feed(piece) == []
    assert sys.getrefcount(piece) == held + 100
    assert reader.feed(b"\n\n") == [100 * piece]


def test_parts_of_a_streamed_content_are_put_together():
    incoming = ResponseReader()
    for content in (
        [{"type": "thinking", "thinking": [{"text": "r"}]}],
        [{"type": "text", "text": "a"}],
        "b",
    ):
        incoming.feed(event(delta={"content": content}))
    incoming.feed(event(delta={"reasoning_content": {"text": "s"}}, finish_reason="STOP"))
    assert parse_completion(incoming.completion()) == {
        "content": "ab",
        "reasoning": "r",
        "finish_reason": "stop",
        "tokens": [0, 0],
    }


def test_an_error_of_a_choice_is_one_of_the_stream():
    with pytest.raises(RequestError, match="HTTP 200 with error 400: no") as fault:
        ResponseReader().feed(event(delta={}, finish_reason="error", error={"code": 400, "message": "no"}))
    assert fault.value.reason is Reason.BAD_REQUEST


@pytest.mark.parametrize("kind", [{"object": "error"}, {"type": "error"}])
def test_an_error_may_be_a_chunk_of_its_own(kind):
    error = {**kind, "message": "no", "code": 400}
    with pytest.raises(RequestError, match="HTTP 200 with error 400: no") as fault:
        ResponseReader().feed(b"event: error\ndata: %b\n\n" % json.dumps(error).encode())
    assert fault.value.reason is Reason.BAD_REQUEST


def test_a_chunk_that_says_how_the_answer_ended_may_not_be_malformed_itself():
    with pytest.raises(RequestError) as fault:
        ResponseReader().feed(event(delta={"content": 5}, finish_reason="stop"))
    assert fault.value.reason is Reason.MALFORMED


@pytest.mark.parametrize("begin", [b"", b"\xef\xbb\xbf", b"\r\n", b"\n" * 99])
def test_what_comes_shows_at_its_first_bytes_however_they_come(begin):
    whole = json.dumps({"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]}).encode()
    chunks = event(delta={"content": "a"}, finish_reason="stop")
    for text, streams in (
        (whole, False),
        (chunks, True),
        (b":\n\n" + chunks, True),
        (b"id:7\n" + chunks, True),
    ):
        incoming = ResponseReader()
        for byte in (begin if streams else begin.strip()) + text:
            incoming.feed(bytes([byte]))
        assert incoming.streams is streams
        assert parse_completion(incoming.completion())["content"] == "a"


@pytest.mark.parametrize("text", [b"", b"{", b'data: {"choices": [', event(delta={"content": "a"})])
def test_what_is_not_whole_is_not_rescued(text):
    incoming = ResponseReader()
    incoming.feed(text)
    assert incoming.rescued() is None


@given(st.lists(ANY_CHUNK | st.binary(max_size=9), max_size=4), st.sampled_from([b"\n\n", b"\r", b"\n"]))
def test_whatever_is_fed_is_a_completion_or_a_fault(chunks, end):
    incoming = ResponseReader(16)
    incoming.rescued()
    try:
        for chunk in chunks:
            data = chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode()
            incoming.feed(b"data: " + data + end)
        incoming.rescued()
        parse_completion(incoming.completion())
    except RequestError:
        pass


def test_a_stream_that_ends_in_order_is_told_from_one_that_is_cut():
    text = event(delta={"content": "a"})
    cut, whole, empty = (ResponseReader() for _ in range(3))
    assert cut.feed(text) is False
    assert cut.finished is False
    assert cut.completion()["choices"][0]["finish_reason"] is None
    assert whole.feed(text) is False
    assert whole.feed(b"data: [DONE]\n\n" + text) is True
    assert whole.finished is True
    assert whole.completion()["choices"] == [{"message": {"content": "a"}, "finish_reason": NO_REASON}]
    assert whole.rescued() == whole.completion()
    empty.feed(event(delta={"content": ""}) + b"data: [DONE]\n\n")
    assert empty.completion()["choices"] == [{"message": {}, "finish_reason": None}]


def test_a_stream_has_finished_with_its_reason_and_its_counts_may_follow():
    incoming = ResponseReader()
    assert incoming.feed(event(delta={"content": "a"}, finish_reason="stop")) is False
    assert incoming.finished is True
    assert incoming.feed(b'data: {"choices": [], "usage": {"completion_tokens": 3}}\n\n') is False
    assert incoming.feed(b"data: 5\n\n") is True  # whatever goes wrong now
    assert incoming.done is True
    assert parse_completion(incoming.rescued())["tokens"] == [0, 3]


def test_the_last_event_counts_without_its_empty_line():
    incoming = ResponseReader()
    incoming.feed(event(delta={"content": "a"}) + event(delta={"content": "b"}, finish_reason="stop").strip())
    assert parse_completion(incoming.completion())["content"] == "ab"


def test_a_server_may_leave_no_line_between_its_events():
    incoming = ResponseReader()
    chunk = event(delta={"content": "a"}).strip()
    assert incoming.feed(chunk + b"\n" + chunk + b"\ndata: [DONE]\n\n") is True
    assert incoming.completion()["choices"][0]["message"] == {"content": "aa"}
