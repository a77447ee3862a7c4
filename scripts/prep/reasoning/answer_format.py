"""Validation of teachers' answer formats: the text to train on, or why it is rejected."""

import re

from prep.inference.request import Response
from prep.records.reason import Reason, Rejection
from prep.records.tags import ANSWER_TAGS, BOX_TAGS, EMPTY_THINK, MEDIA_TAG, THINK_END, THINK_START
from prep.records.template_tokens import template_tokens

_THOUGHT = re.compile(r"\s*<think>(?P<thought>.*?)</think>(?P<text>.*)", re.DOTALL)


def check_response(response: Response) -> Rejection | None:
    """Why an answer of any format is rejected, or None.

    It failed, did not stop, is empty, has a media tag or a template token, or cannot be stored.
    """
    if response.failure:
        return response.failure, response.detail or ""
    if response.finish_reason == "length":
        return Reason.LENGTH, "cut at the context's or the budget's end"
    if response.finish_reason == "content_filter":
        return Reason.CONTENT_FILTER, "ended by the server's content filter"
    if response.finish_reason != "stop":
        return Reason.NOT_STOPPED, f"finish_reason is {response.finish_reason}"
    if not join_thinking(response).strip():
        return Reason.EMPTY, "no text at all"
    said = f"{response.reasoning or ''}\n{response.content}"
    if tag := MEDIA_TAG.search(said):
        return Reason.MEDIA_TAG_IN_ANSWER, tag.group()
    if tokens := [token for token in template_tokens(said) if token not in BOX_TAGS]:
        return Reason.TEMPLATE_TOKEN_IN_ANSWER, ", ".join(tokens[:5])
    try:
        said.encode()
    except UnicodeEncodeError as error:
        return Reason.TEXT_NOT_UTF8, error.reason
    return None


def join_thinking(response: Response) -> str:
    """The answer as one text; some servers split the thinking off into a field of its own."""
    if response.reasoning and "<think>" not in response.content:
        return f"<think>\n{response.reasoning.strip()}\n</think>\n\n{response.content.lstrip()}"
    return response.content


def parse_text_answer(response: Response, mode: str) -> str | Rejection:
    """A text teacher's answer, `<think>…</think>` and text, or why it is rejected.

    In mode `no_thinking` the think block is empty; it is restored where the server left it out.
    """
    if rejection := check_response(response):
        return rejection
    text = join_thinking(response)
    if mode == "no_thinking" and "<think>" not in text and "</think>" not in text:
        text = EMPTY_THINK + text.lstrip()
    found = _THOUGHT.fullmatch(text)
    if text.count("<think>") != 1 or text.count("</think>") != 1 or not found:
        return Reason.ANSWER_MALFORMED, "not <think>…</think> followed by text"
    if not found["text"].strip():
        return Reason.ANSWER_MALFORMED, "no text after </think>"
    if bool(found["thought"].strip()) != (mode == "thinking"):
        return Reason.ANSWER_MALFORMED, f"the think block does not fit the mode {mode}"
    return text


def parse_image_answer(response: Response) -> str | Rejection:
    """A vision teacher's answer without its answer and box tags, or why it is rejected.

    The format is that of GLM-4.1V-Thinking: `<think>…</think><answer>…</answer>`, where the last tag may be
    missing, and boxes `<|begin_of_box|>…<|end_of_box|>` in pairs.
    """
    if rejection := check_response(response):
        return rejection
    text = join_thinking(response)
    for tag in (THINK_START, THINK_END):
        if text.count(tag) != 1:
            return Reason.ANSWER_MALFORMED, f"{text.count(tag)} times {tag}"
    if re.findall("|".join(map(re.escape, BOX_TAGS)), text) != list(BOX_TAGS) * text.count(BOX_TAGS[0]):
        return Reason.ANSWER_MALFORMED, "box tags are not in pairs"
    found = _THOUGHT.fullmatch(text)
    if not found or "<answer>" not in found["text"]:
        return Reason.ANSWER_MALFORMED, "not <think>…</think><answer>…"
    text = re.sub("|".join(map(re.escape, (*ANSWER_TAGS, *BOX_TAGS))), "", text)
    if not strip_thinking(text):
        return Reason.ANSWER_MALFORMED, "no text in the answer"
    return text


def strip_thinking(text: str) -> str:
    """The text after `</think>`, stripped."""
    return text.rpartition(THINK_END)[2].strip()
