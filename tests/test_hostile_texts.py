"""Texts of servers and journals that anyone may have altered: an answer or one known fault, and in time."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import at_most
from hypothesis import given
from hypothesis import strategies as st

from dialects import DIALECTS
from injections import INJECTIONS
from mutations import catch, cut_in_pieces, encode_json, mutate_bytes, mutate_json
from prep.comparison.compare import compare
from prep.inference.answer_policy import Answers
from prep.inference.errors import RequestError, parse_completion
from prep.inference.journal import Journal
from prep.inference.request import Response
from prep.inference.streaming import ResponseReader
from prep.reasoning.answer_format import FORMS, choose_forms, name_form, parse_answer
from prep.reasoning.content_check import find_language, find_refusal
from prep.reasoning.verdict import build_prompt, build_verdict_row, parse_verdict
from prep.records.reason import Reason
from prep.records.tags import MEDIA_TAG
from prep.records.template_tokens import break_template_tokens, template_tokens
from prep.runtime.program import UserError

STORED = re.compile(r"<think>\n(.*?)\n</think>\n\n(.*)", re.DOTALL)
ANSWERS = [
    *(dialect.response("2 and 2", "4").content for dialect in DIALECTS.values()),
    *("<think>", "</think>", "<answer>", "<|begin_of_box|>", "<image>", "<|im_end|>", "\ud800", "text"),
]


def join_pieces(pieces: list[str]) -> str:
    return "".join(pieces)


@given(
    st.lists(st.sampled_from(ANSWERS) | st.text(max_size=5), max_size=6).map(join_pieces),
    st.none() | st.lists(st.sampled_from(ANSWERS), max_size=3).map(join_pieces),
    st.sampled_from(["auto", *FORMS]),
    st.sampled_from(["text_reasoning", "image_reasoning"]),
    st.sampled_from(["thinking", "no_thinking"]),
)
def test_any_answer_is_stored_in_one_form_or_has_a_reason(
    content: str, reasoning: str | None, form: str, task: str, mode: str
) -> None:
    response = Response(content, reasoning, "stop")
    found = parse_answer(response, mode, choose_forms(form, task))
    name_form(response)
    if not isinstance(found, str):
        assert isinstance(found[0], Reason)
        return
    whole = STORED.fullmatch(found)
    assert whole
    assert bool(whole[1].strip()) == (mode == "thinking")
    assert whole[2].strip()
    assert not re.search("</?think>", whole[1] + whole[2])
    assert not MEDIA_TAG.search(found)
    assert not [token for token in template_tokens(found) if "box" not in token]
    assert found.encode().decode() == found
    # What is stored is read as it is.
    assert parse_answer(Response(found, None, "stop"), mode, choose_forms("think", task)) == found


VERDICT = {"verdict": "pass", "score": 4, "reason": "It says 4.", "grounded": True}


@given(mutate_bytes([encode_json(VERDICT), b"<think>So.</think>" + encode_json(VERDICT)]))
def test_any_verdict_is_clear_or_unclear(text: bytes) -> None:
    said = text.decode(errors="surrogateescape")
    row = build_verdict_row("a:0", Response(said, None, "stop"))
    assert (row["verdict"], row["score"]) in {(v, s) for v in ("pass", "fail") for s in range(1, 6)} | {
        (None, None)
    }
    assert (row["reason"] is None) == (row["verdict"] is not None)
    row["detail"].encode()


def stream(*choices: dict[str, Any]) -> bytes:
    return b"".join(b"data: %b\n\n" % encode_json({"choices": [choice]}) for choice in choices)


BODIES = [
    stream({"delta": {"content": "It is "}}, {"delta": {"content": "4."}, "finish_reason": "stop"})
    + b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}\n\ndata: [DONE]\n\n',
    b": ping\r\n\r\n" + stream({"delta": {"reasoning": "2 + 2"}}, {"delta": {}, "finish_reason": "length"}),
    encode_json({"choices": [{"message": {"content": "4"}, "finish_reason": "stop"}], "usage": {}}),
    b'data: {"error": {"message": "overloaded", "code": 503}}\n\n',
]


def read_body(pieces: list[bytes]) -> Any:
    """The completion of a body that comes in pieces, or the reason of its fault."""
    reader = ResponseReader(64)
    found = catch(
        lambda: (any(map(reader.feed, pieces)), parse_completion(reader.completion()))[1],
        RequestError,
        UserError,
    )
    return found if isinstance(found, dict) else getattr(found, "reason", "one line")


@given(mutate_bytes(BODIES), st.lists(st.integers(0, 10**6), max_size=5))
def test_any_body_is_a_completion_or_a_fault_in_whatever_pieces_it_comes(
    body: bytes, cuts: list[int]
) -> None:
    found = read_body([body])
    assert read_body(cut_in_pieces(body, cuts)) == found
    if isinstance(found, dict):
        assert isinstance(found["content"], str)
        assert all(count >= 0 for count in found["tokens"])


KEYS = [f"{number:064x}" for number in range(3)]
RECORD = {
    "id": "a:0",
    "content": "<think>2 + 2</think>4",
    "reasoning": None,
    "finish_reason": "stop",
    "tokens": [3, 2],
    "max_model_len": 100,
}


def journal_line(key: str, record: Any = RECORD) -> bytes:
    return b'{"v":1,"key":"%b","record":%b}\n' % (key.encode(), encode_json(record))


def read_journal(folder: Path) -> list[Response | None]:
    """The answers of KEYS in a journal, as the client reads them."""
    with Journal(folder) as journal:
        answers = Answers(journal, "model", 100, longer_budget=2.0, window=64)
        return [answers.response(answers.get(key)) if answers.has(key) else None for key in KEYS]


@at_most(50)
@given(mutate_bytes([b"".join(map(journal_line, KEYS))]))
def test_any_journal_gives_answers_or_names_the_line(
    tmp_path_factory: pytest.TempPathFactory, written: bytes
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    (folder / "a.jsonl").write_bytes(written)
    found = catch(lambda: read_journal(folder), UserError)
    if isinstance(found, UserError):
        assert str(folder / "a.jsonl") in str(found)
    else:
        lines = written.splitlines(keepends=True)
        for key, answer in zip(KEYS, found, strict=True):
            assert answer or journal_line(key) not in lines


@at_most(50)
@given(mutate_json([RECORD]))
def test_any_record_of_a_journal_is_an_answer_or_named(
    tmp_path_factory: pytest.TempPathFactory, record: Any
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    (folder / "a.jsonl").write_bytes(journal_line(KEYS[0], record) + journal_line(KEYS[1]))
    found = catch(lambda: read_journal(folder), UserError)
    if isinstance(found, UserError):
        assert "the line at byte 0 is damaged" in str(found)
    else:
        assert isinstance(found[0], Response)
        assert found[1] == Response(RECORD["content"], None, "stop")


# Time.

LONG = 40_000
"""Characters of a text: a teacher's 8,000 tokens are about so many."""
SOON_S = 1.0
"""CPU seconds for it that nobody minds."""
UNITS = (
    *("<think>", "</think>", "<think></think>", "<answer>", "<|begin_of_box|>", "<|end_of_box|>", "<|end|>"),
    *("<|channel|>final<|message|>", "<|channel|>analysis<|message|>", "analysis", "assistantfinal"),
    *("[THINK]", "◁think▷", " ", "\n", "\n ", r"\(", r"\[", "$", "$$", "`", "```", r"\begin{a}", "{", "}"),
    *('{"a":', '{"verdict":"', '"', "\\", r"\boxed{", r"\frac{", "https://", "the answer is ", "=", "4,"),
    *(
        "-4",
        "1e",
        "一",
        "是",
        "<",
        "[",
        "<|",
        "|",
        "(",
        "A. ",
        "/",
        "^",
        "0.",
        "、",
        "，",
        "<image",
        "\ufffd",
    ),
)
_ALL_FORMS = choose_forms("auto", "image_reasoning")
READERS: dict[str, Callable[[str], Any]] = {
    "answer": lambda text: parse_answer(Response(text, None, "stop"), "thinking", _ALL_FORMS),
    "answer beside a thought": lambda text: parse_answer(
        Response(text, text, "stop"), "thinking", _ALL_FORMS
    ),
    "verdict": parse_verdict,
    "prompt": lambda text: build_prompt("{question}{reference}{answer}", text, text, text),
    "language": find_language,
    "refusal": lambda text: find_refusal(text, ["i cannot"]),
    "comparison of an answer": lambda text: compare("What is 2 + 2?", "4", text),
    "comparison with a reference": lambda text: compare("What is 2 + 2?", text, "4"),
    "comparison for a question": lambda text: compare(text, "4", "It is 4."),
    "tokens": break_template_tokens,
}


def measure(reader: str, text: str) -> float:
    """The CPU seconds of a reader for a text."""
    start = time.process_time()
    READERS[reader](text)
    return time.process_time() - start


@pytest.mark.parametrize("reader", READERS)
def test_no_text_takes_time_squared(reader: str) -> None:
    for unit in UNITS:
        for before, after in (("", ""), ("<think>x</think>", "x"), ("x", "<answer>")):
            text = before + unit * (LONG // len(unit)) + after
            if (taken := measure(reader, text)) > SOON_S:
                assert taken < 8 * measure(reader, text[: LONG // 4]), unit


def test_the_written_injections_are_answers_like_others() -> None:
    for injection in INJECTIONS:
        found = parse_answer(Response(f"<think>a</think>{injection}", None, "stop"), "thinking", _ALL_FORMS)
        assert isinstance(found, str) or isinstance(found[0], Reason)
        json.dumps(found)
