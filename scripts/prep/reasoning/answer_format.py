"""Forms of teachers' answers, as a table, and one parser to the form that artifacts hold.

Whatever a teacher's form, what is kept is `<think>\\n…\\n</think>\\n\\n` and text. White space around the
think block is all that changes, besides the marks that a form cuts out. A text in this form stays as it is.
"""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from prep.inference.request import Response
from prep.records.reason import Reason, Rejection
from prep.records.tags import ANSWER_TAGS, BOX_TAGS, MEDIA_TAG, THINK_END, THINK_START
from prep.records.template_tokens import template_tokens

AUTO = "auto"
THINK_TAGS = (THINK_START, THINK_END)
_STORED = re.compile(r"<think>\n(?:|(?!\n).*[^\n])\n</think>\n\n(?!\n).*", re.DOTALL)
"""The form that artifacts hold, without empty lines at the think block's edges."""


class Form(NamedTuple):
    """How a teacher answers.

    One of `patterns`, with the groups `thought` and `text`, matches the whole answer. `marks` and think tags
    must not stand in a thought or a text; `cut` is cut out of both. `splits`: the server splits the thought
    off into a field (True), does not (False), or may (None). A thought that is split off is put before the
    content in think tags.
    """

    name: str
    meaning: str
    patterns: tuple[re.Pattern[str], ...]
    marks: tuple[str, ...] = ()
    cut: tuple[str, ...] = ()
    splits: bool | None = False


def _compile(*patterns: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern, re.DOTALL) for pattern in patterns)


def _block(start: str, end: str) -> tuple[re.Pattern[str], ...]:
    return _compile(rf"\s*{re.escape(start)}(?P<thought>.*?){re.escape(end)}(?P<text>.*)")


_THINK = r"\s*<think>(?P<thought>.*?)</think>(?P<text>.*)"
_CLOSE_ONLY = r"(?P<thought>.*?)</think>(?P<text>.*)"
_GLM_CUT = (*ANSWER_TAGS, *BOX_TAGS)

FORMS = {
    form.name: form
    for form in (
        Form("think", "<think>…</think> and text", _compile(_THINK)),
        Form("close_only", "a thought, </think> and text (the template opens it)", _compile(_CLOSE_ONLY)),
        Form("field", "the thought in a field of its own (reasoning)", _compile(_THINK), splits=True),
        Form(
            "glm",
            "<think>…</think><answer>…</answer> with boxes",
            _compile(r"\s*<think>(?>(?P<thought>.*?)</think>)(?P<text>.*<answer>.*)"),
            cut=_GLM_CUT,
            splits=None,
        ),
        Form(
            "glm_boxes",
            "<think>…</think> and text with boxes <|begin_of_box|>…<|end_of_box|>",
            _compile(_THINK, _CLOSE_ONLY),
            cut=_GLM_CUT,
            splits=None,
        ),
        Form("kimi", "◁think▷…◁/think▷ and text", _block("◁think▷", "◁/think▷"), ("◁think▷", "◁/think▷")),
        # gpt-oss's, with its special tokens and without.
        Form(
            "channels",
            "channels: analysis…final…",
            _compile(
                r"\s*(?:<\|start\|>assistant)?(?:<\|channel\|>analysis<\|message\|>(?P<thought>.*?)<\|end\|>)?"
                r"\s*(?:<\|start\|>assistant)?<\|channel\|>final<\|message\|>(?P<text>.*?)"
                r"(?:<\|return\|>|<\|end\|>)?\s*",
                r"\s*analysis(?P<thought>.*?)assistantfinal(?P<text>.*)",
            ),
            ("<|channel|>", "assistantfinal"),
        ),
        Form("mistral", "[THINK]…[/THINK] and text", _block("[THINK]", "[/THINK]"), ("[THINK]", "[/THINK]")),
        Form(
            "seed",
            "<seed:think>…</seed:think> and text",
            _block("<seed:think>", "</seed:think>"),
            ("<seed:think>", "</seed:think>"),
        ),
        Form(
            "thought",
            "<thought>…</thought> and text",
            _block("<thought>", "</thought>"),
            ("<thought>", "</thought>"),
        ),
        Form(
            "cohere",
            "<|START_THINKING|>…<|END_THINKING|> and text",
            _block("<|START_THINKING|>", "<|END_THINKING|>"),
            ("<|START_THINKING|>", "<|END_THINKING|>"),
            cut=("<|START_RESPONSE|>", "<|END_RESPONSE|>"),
        ),
    )
}
"""The named forms, in the order in which `auto` tries them on a text. Of models that have one:

think: Qwen3, InternVL3.5. close_only: Qwen3-Thinking-2507, Qwen3-VL-Thinking, DeepSeek-R1. field: any server
with a reasoning parser. glm: GLM-4.1V-Thinking, Hunyuan-A13B. glm_boxes: GLM-4.5V, GLM-4.6V. kimi: Kimi-VL.
channels: gpt-oss. mistral: Magistral. seed: Seed-OSS. thought: EXAONE Deep. cohere: Command A Reasoning.
"""
_SPECIFIC = ("glm", "glm_boxes")
"""The forms that others read too, with marks left in: `auto` tries them first on pictures."""
_ALL_MARKS = {*THINK_TAGS, *(mark for form in FORMS.values() for mark in form.marks)}


def choose_forms(form: str | dict[str, Any], task: str, seen: str | None = None) -> tuple[Form, ...]:
    """The forms that a task's answers are read in, in order: one, or with `auto` all that have a name.

    `seen` is what the probe saw, which `auto` tries first. A text teacher may write the marks of GLM because
    it was asked to; so they are cut out of texts only where the probe saw them. A mapping is a form of the
    user's own.
    """
    if isinstance(form, dict):
        return (Form("custom", "custom", _compile(form["pattern"]), (), tuple(form.get("cut", ()))),)
    if form != AUTO:
        return (FORMS[form],)
    specific = _SPECIFIC if task == "image_reasoning" else ()
    names = dict.fromkeys((*specific, *([seen] if seen else ()), *FORMS))
    return tuple(FORMS[name] for name in names)


def parse_answer(response: Response, mode: str, forms: tuple[Form, ...]) -> str | Rejection:
    """An answer in the form that artifacts hold, or why it is rejected.

    In mode `no_thinking` the think block is empty; it is put back where the answer has none. In all others it
    is not empty.
    """
    if rejection := _check_end(response):
        return rejection
    found = _split(response, mode, forms)
    if isinstance(found, str):
        said = f"{response.reasoning or ''}\n{response.content}"
        return _check_text(said) or (Reason.ANSWER_MALFORMED, found)
    thought, text = found
    stored = f"<think>{thought}</think>{text}"
    if rejection := _check_text(stored):
        return rejection
    if not text.strip():
        return Reason.ANSWER_MALFORMED, "no text after the thought"
    if bool(thought.strip()) != (mode != "no_thinking"):
        return Reason.ANSWER_MALFORMED, f"the think block does not fit the mode {mode}"
    return stored if _STORED.fullmatch(stored) else _join(thought, text)


def _check_end(response: Response) -> Rejection | None:
    """Why an answer is rejected that failed, did not stop, or is empty; or None."""
    if response.failure:
        return response.failure, response.detail or ""
    if response.finish_reason == "length":
        return Reason.LENGTH, "cut at the context's or the budget's end"
    if response.finish_reason == "content_filter":
        return Reason.CONTENT_FILTER, "ended by the server's content filter"
    if response.finish_reason != "stop":
        return Reason.NOT_STOPPED, f"finish_reason is {response.finish_reason}"
    if not response.content.strip() and not response.reasoning:
        return Reason.EMPTY, "no text at all"
    return None


def _check_text(said: str) -> Rejection | None:
    """Why a text of any form is rejected: a media tag, a template token, or it cannot be stored; or None."""
    if tag := MEDIA_TAG.search(said):
        return Reason.MEDIA_TAG_IN_ANSWER, tag.group()
    if tokens := [token for token in template_tokens(said) if token not in BOX_TAGS]:
        return Reason.TEMPLATE_TOKEN_IN_ANSWER, ", ".join(tokens[:5])
    try:
        said.encode()
    except UnicodeEncodeError as error:
        return Reason.TEXT_NOT_UTF8, error.reason
    return None


def _split(response: Response, mode: str, forms: tuple[Form, ...]) -> tuple[str, str] | str:
    """The thought and the text by the first form that the answer has; or why it has none."""
    for form in forms:
        if found := _match(form, response):
            if form.cut == _GLM_CUT and not _has_whole_boxes(found["thought"], found["text"]):
                return "box tags are not in pairs"
            parts = tuple(_cut(found[part] or "", form.cut) for part in ("thought", "text"))
            if not any(mark in part for mark in (*THINK_TAGS, *form.marks) for part in parts):
                return parts
    text = _cut(response.content, forms[0].cut)
    if mode == "no_thinking" and not response.reasoning and not any(mark in text for mark in _ALL_MARKS):
        return "", text
    return f"not in the form: {forms[0].meaning}" if len(forms) == 1 else "in none of the named forms"


def _match(form: Form, response: Response) -> re.Match[str] | None:
    """How an answer matches a form, or None."""
    is_split = bool(response.reasoning) and THINK_START not in response.content
    if form.splits is not None and form.splits != is_split:
        return None
    text = _join(response.reasoning or "", response.content) if is_split else response.content
    return next(filter(None, (pattern.fullmatch(text) for pattern in form.patterns)), None)


def _has_whole_boxes(*parts: str) -> bool:
    found = re.findall("|".join(map(re.escape, BOX_TAGS)), "".join(parts))
    return found == list(BOX_TAGS) * (len(found) // 2)


def _cut(text: str, tags: Iterable[str]) -> str:
    for tag in tags:
        text = text.replace(tag, "")
    return text


def _join(thought: str, text: str) -> str:
    return f"{THINK_START}\n{thought.strip()}\n{THINK_END}\n\n{text.lstrip()}"


def name_form(response: Response, mode: str = "thinking") -> str | None:
    """The name of the form that an answer has, the most specific one; None where it has none."""
    names = dict.fromkeys((*_SPECIFIC, *FORMS))
    if not any(tag in response.content for tag in BOX_TAGS):
        names.pop("glm_boxes")
    fits = (name for name in names if isinstance(parse_answer(response, mode, (FORMS[name],)), str))
    return next(fits, None)


def strip_thinking(text: str) -> str:
    """The text after `</think>`, stripped."""
    return text.rpartition(THINK_END)[2].strip()
