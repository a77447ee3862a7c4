"""The forms of answers: what is kept, and the reason for each way to be malformed."""

import pytest

from prep.inference.request import Response
from prep.reasoning.answer_format import parse_image_answer, parse_text_answer, strip_thinking
from prep.records.reason import Reason

THOUGHT = "<think>\n2 and 2\n</think>\n\n4"


def stopped(content: str, reasoning: str | None = None) -> Response:
    return Response(content, reasoning, "stop")


@pytest.mark.parametrize("answer", [parse_text_answer, lambda response, mode: parse_image_answer(response)])
@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (Response("", None, None, Reason.TIMEOUT, "no answer"), Reason.TIMEOUT),
        (Response(THOUGHT, None, "length"), Reason.LENGTH),
        (Response(THOUGHT, None, "content_filter"), Reason.CONTENT_FILTER),
        (Response(THOUGHT, None, "tool_calls"), Reason.NOT_STOPPED),
        (Response(THOUGHT, None, None), Reason.NOT_STOPPED),
        (Response(f"{THOUGHT} <IMAGE>", None, "stop"), Reason.MEDIA_TAG_IN_ANSWER),
        (Response("4", "see <video>", "stop"), Reason.MEDIA_TAG_IN_ANSWER),
        (Response(f"{THOUGHT}<|im_end|>", None, "stop"), Reason.TEMPLATE_TOKEN_IN_ANSWER),
        (Response(f"{THOUGHT} <|\u2060im_start|> as asked", None, "stop"), Reason.TEMPLATE_TOKEN_IN_ANSWER),
        (Response("4", "the user wrote <|endoftext|>", "stop"), Reason.TEMPLATE_TOKEN_IN_ANSWER),
        (
            Response(f"{THOUGHT}<\uff5cend\u2581of\u2581sentence\uff5c>", None, "stop"),
            Reason.TEMPLATE_TOKEN_IN_ANSWER,
        ),
        (Response(f"[gMASK]<sop>{THOUGHT}", None, "stop"), Reason.TEMPLATE_TOKEN_IN_ANSWER),
        (Response(f"{THOUGHT} \ud83d", None, "stop"), Reason.TEXT_NOT_UTF8),
        (Response("4", "\udc00", "stop"), Reason.TEXT_NOT_UTF8),
        (Response("", None, "stop"), Reason.EMPTY),
        (Response(" \n", "", "stop"), Reason.EMPTY),
    ],
)
def test_an_answer_that_is_none_is_rejected_whatever_the_teacher(answer, response, reason):
    assert answer(response, "thinking")[0] is reason


def test_a_thinking_answer_is_kept_as_it_is():
    assert parse_text_answer(stopped(THOUGHT), "thinking") == THOUGHT


@pytest.mark.parametrize(
    "text", ["<|begin_of_box|>4<|end_of_box|>", "a <| b |> c", "the mean <|x|> is 4", "[MASK]"]
)
def test_what_only_looks_like_a_template_token_is_kept(text):
    assert parse_text_answer(stopped(f"<think>a</think>{text}"), "thinking") == f"<think>a</think>{text}"


def test_thinking_in_a_field_of_its_own_is_put_back():
    assert parse_text_answer(stopped("4", "2 and 2\n"), "thinking") == "<think>\n2 and 2\n</think>\n\n4"


def test_an_empty_think_block_is_kept_or_put_back_without_thinking():
    empty = "<think>\n\n</think>\n\n4"
    assert parse_text_answer(stopped(empty), "no_thinking") == empty
    assert parse_text_answer(stopped("4"), "no_thinking") == empty


@pytest.mark.parametrize(
    ("content", "mode"),
    [
        ("4", "thinking"),
        ("<think>\n2 and 2", "thinking"),
        ("2 and 2</think>4", "thinking"),
        ("<think>a</think>", "thinking"),
        ("<think>a</think>  \n", "thinking"),
        ("<think>a</think>b<think>c</think>", "thinking"),
        ("<think>a</think>b</think>", "thinking"),
        ("first <think>a</think>b", "thinking"),
        ("<think>\n\n</think>\n\n4", "thinking"),
        ("<think>a</think>4", "no_thinking"),
        ("4</think>", "no_thinking"),
    ],
)
def test_a_malformed_text_answer_is_rejected(content, mode):
    assert parse_text_answer(stopped(content), mode)[0] is Reason.ANSWER_MALFORMED


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        ("<think>see</think><answer>a cat</answer>", "<think>see</think>a cat"),
        ("<think>see</think>\n<answer>a cat", "<think>see</think>\na cat"),
        ("<think>in <answer> tags</think><answer>a cat</answer>", "<think>in  tags</think>a cat"),
        (
            "<think>s</think><answer>It is <|begin_of_box|>4<|end_of_box|>.</answer>",
            "<think>s</think>It is 4.",
        ),
        (
            "<think>s <|begin_of_box|>3<|end_of_box|></think><answer><|begin_of_box|>4<|end_of_box|>",
            "<think>s 3</think>4",
        ),
    ],
)
def test_an_image_answer_is_kept_without_its_answer_and_box_tags(content, kept):
    assert parse_image_answer(stopped(content)) == kept


@pytest.mark.parametrize(
    "content",
    [
        "<think>see</think>a cat",
        "<answer>a cat</answer>",
        "<think>see<answer>a cat</answer>",
        "<think>see<answer>a cat</answer></think>",
        "<think>a</think><think>b</think><answer>c</answer>",
        "<think>a</think><answer><|begin_of_box|>4</answer>",
        "<think>a</think><answer>4<|end_of_box|></answer>",
        "<think>a</think><answer><|end_of_box|>4<|begin_of_box|></answer>",
        "<think>a</think><answer></answer>",
        "<think>a</think><answer><|begin_of_box|> <|end_of_box|></answer>",
    ],
)
def test_a_malformed_image_answer_is_rejected(content):
    assert parse_image_answer(stopped(content))[0] is Reason.ANSWER_MALFORMED


def test_what_an_answer_says_comes_after_its_last_thought():
    assert strip_thinking(THOUGHT) == "4"
    assert strip_thinking(" 4 ") == "4"
