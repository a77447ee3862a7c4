"""The forms of answers: what is kept, and the reason for each way to be malformed."""

import pytest

from dialects import DIALECTS
from prep.inference.request import Response
from prep.reasoning.answer_format import FORMS, choose_forms, name_form, parse_answer, strip_thinking
from prep.records.reason import Reason

TEXT, IMAGE = "text_reasoning", "image_reasoning"
THOUGHT = "<think>\n2 and 2\n</think>\n\n4"


def parse_text_answer(response: Response, mode: str, form="auto", seen=None):
    return parse_answer(response, mode, choose_forms(form, TEXT, seen))


def parse_image_answer(response: Response, form="auto"):
    return parse_answer(response, "thinking", choose_forms(form, IMAGE))


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
    kept = f"<think>\na\n</think>\n\n{text}"
    assert parse_text_answer(stopped(kept), "thinking") == kept


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
@pytest.mark.parametrize("form", ["auto", "think"])
def test_a_malformed_text_answer_is_rejected(content, mode, form):
    assert parse_text_answer(stopped(content), mode, form)[0] is Reason.ANSWER_MALFORMED


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        ("<think>see</think><answer>a cat</answer>", "<think>\nsee\n</think>\n\na cat"),
        ("<think>see</think>\n<answer>a cat", "<think>\nsee\n</think>\n\na cat"),
        ("<think>in <answer> tags</think><answer>a cat</answer>", "<think>\nin  tags\n</think>\n\na cat"),
        (
            "<think>s</think><answer>It is <|begin_of_box|>4<|end_of_box|>.</answer>",
            "<think>\ns\n</think>\n\nIt is 4.",
        ),
        (
            "<think>s <|begin_of_box|>3<|end_of_box|></think><answer><|begin_of_box|>4<|end_of_box|>",
            "<think>\ns 3\n</think>\n\n4",
        ),
    ],
)
@pytest.mark.parametrize("form", ["auto", "glm"])
def test_an_image_answer_is_kept_without_its_answer_and_box_tags(content, kept, form):
    assert parse_image_answer(stopped(content), form) == kept


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
        "<think>a</think><answer><|begin_of_box|>4<|begin_of_box|></answer>",
        "<think>a</think><answer></answer>",
        "<think>a</think><answer><|begin_of_box|> <|end_of_box|></answer>",
    ],
)
def test_a_malformed_image_answer_is_rejected(content):
    assert parse_image_answer(stopped(content), "glm")[0] is Reason.ANSWER_MALFORMED
    if content != "<think>see</think>a cat":  # GLM alone has answer tags
        assert parse_image_answer(stopped(content))[0] is Reason.ANSWER_MALFORMED


def test_what_an_answer_says_comes_after_its_last_thought():
    assert strip_thinking(THOUGHT) == "4"
    assert strip_thinking(" 4 ") == "4"


GOOD = [
    (f"Let me see.\n\n{number} and {number}: $x^{{{number}}}$", f"It is **{2 * number}**.\n\n    code\n")
    for number in range(98)
] + [("(1) $a < b$\n答案", "答案是 4。"), ("analysis of the final", "assistant: final answer, [x] | <y>")]


@pytest.mark.parametrize("task", [TEXT, IMAGE])
@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_of_a_hundred_good_answers_of_each_dialect_none_is_lost(dialect, task):
    for thought, text in GOOD:
        response = dialect.response(thought, text)
        seen = name_form(response)
        assert seen == dialect.form
        named = parse_answer(response, "thinking", choose_forms(dialect.form, task))
        assert named.rstrip() == f"<think>\n{thought}\n</think>\n\n{text}".rstrip()
        assert parse_answer(response, "thinking", choose_forms("auto", task, seen)) == named


@pytest.mark.parametrize("task", [TEXT, IMAGE])
def test_auto_reads_every_dialect_whatever_the_probe_saw(task):
    for seen in (None, *FORMS):
        for dialect in DIALECTS.values():
            kept = parse_answer(dialect.response("hm", "4"), "thinking", choose_forms("auto", task, seen))
            assert isinstance(kept, str)
            assert kept.startswith("<think>\nhm\n</think>\n\n")


def test_marks_of_glm_are_cut_out_of_a_text_only_where_the_probe_saw_them():
    asked_for = "<think>\na\n</think>\n\n<answer>4</answer>"
    assert parse_text_answer(stopped(asked_for), "thinking") == asked_for
    assert parse_text_answer(stopped(asked_for), "thinking", seen="think") == asked_for
    assert parse_text_answer(stopped(asked_for), "thinking", seen="glm") == "<think>\na\n</think>\n\n4"


@pytest.mark.parametrize(
    "text",
    [
        "<think>\n  a\n\nb  \n</think>\n\n    code\n",
        "<think>\na\n</think>\n\n4 \n\n",
        "<think>\n\u3000a\n</think>\n\n4",
    ],
)
def test_a_text_in_the_stored_form_keeps_every_byte(text):
    for form in ("auto", "think"):
        assert parse_text_answer(stopped(text), "thinking", form) == text
    assert parse_image_answer(stopped(text)) == text


@pytest.mark.parametrize(
    "content", ["<think>a</think>4", "\n<think>\n\na\n\n</think>4", "<think> a\r\n</think>\n 4"]
)
def test_white_space_around_the_think_block_is_all_that_changes(content):
    assert parse_text_answer(stopped(content), "thinking") == "<think>\na\n</think>\n\n4"


@pytest.mark.parametrize("dialect", ["Qwen3", "a reasoning parser", "GLM-4.1V-Thinking", "Kimi-VL-Thinking"])
def test_a_form_set_by_hand_reads_that_form_alone(dialect):
    given = DIALECTS[dialect]
    for form in FORMS.keys() - {given.form, "glm_boxes"}:
        assert parse_text_answer(given.response("hm", "4"), "thinking", form)[
            0
        ] is Reason.ANSWER_MALFORMED or (form == "think" and given.form == "glm")


def test_a_form_of_the_users_own_is_a_pattern_and_what_is_cut_out():
    own = {"pattern": r"THOUGHT:(?P<thought>.*?)ANSWER:(?P<text>.*)", "cut": ["[END]"]}
    kept = "<think>\nhm\n</think>\n\n4"
    assert parse_text_answer(stopped("THOUGHT: hm ANSWER: 4[END]"), "thinking", own) == kept
    assert (
        parse_text_answer(stopped("THOUGHT: <think> ANSWER: 4"), "thinking", own)[0]
        is Reason.ANSWER_MALFORMED
    )
    assert parse_text_answer(stopped(THOUGHT), "thinking", own)[0] is Reason.ANSWER_MALFORMED
    assert parse_text_answer(stopped("4[END]"), "no_thinking", own) == "<think>\n\n</think>\n\n4"


def test_a_channel_of_analysis_may_be_missing_without_thinking():
    said = stopped("<|channel|>final<|message|>4<|return|>")
    assert parse_text_answer(said, "no_thinking") == "<think>\n\n</think>\n\n4"
    assert parse_text_answer(said, "thinking")[0] is Reason.ANSWER_MALFORMED


@pytest.mark.parametrize(
    ("response", "form", "detail"),
    [
        (Response("", None, None, Reason.TIMEOUT, "no answer"), "auto", "no answer"),
        (Response("", None, None, Reason.TIMEOUT), "auto", ""),
        (Response("4", None, "length"), "auto", "cut at the context's or the budget's end"),
        (Response("4", None, "content_filter"), "auto", "ended by the server's content filter"),
        (Response("4", None, "tool_calls"), "auto", "finish_reason is tool_calls"),
        (stopped(" "), "auto", "no text at all"),
        (stopped("4 <Image>"), "auto", "<Image>"),
        (stopped("<|a_0|><|a_1|><|a_2|>"), "auto", "<|a_0|>, <|a_1|>, <|a_2|>"),
        (
            stopped("".join(f"<|a_{number}|>" for number in range(7))),
            "auto",
            "<|a_0|>, <|a_1|>, <|a_2|>, <|a_3|>, <|a_4|>",
        ),
        (stopped("4 \ud83d"), "auto", "surrogates not allowed"),
        (stopped("4"), "think", "not in the form: <think>…</think> and text"),
        (stopped("4"), "auto", "in none of the named forms"),
        (stopped("<think>a</think><answer><|end_of_box|>4</answer>"), "glm", "box tags are not in pairs"),
        (stopped("<think>a</think> "), "think", "no text after the thought"),
        (stopped("<think> </think>4"), "think", "the think block does not fit the mode thinking"),
    ],
)
def test_a_rejection_says_what_is_wrong(response, form, detail):
    assert parse_text_answer(response, "thinking", form)[1] == detail
