"""The judge's prompt as it is built: no text closes its fence or becomes a turn of the conversation."""

import re
from types import SimpleNamespace

import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from injections import INJECTIONS, TOKENS
from prep.reasoning import verdict
from prep.reasoning.verdict import build_empty_prompt, build_prompt

NAMES = ("question", "reference", "answer")
SOUND = {"question": "What is 2 + 2?", "reference": "It is 4.", "answer": "4"}
TEMPLATES = {
    path: (ROOT / path).read_text(encoding="utf-8")
    for path in ("prompts/judge_text.md", "prompts/judge_image.md", "demo/judge.md")
} | {"instructions last": "A: {answer} Q: {question} R: {reference}\nJudge it. {other} {}"}
LIVE_TOKEN = re.compile(
    r"<\|\w+\|>|<\uff5c[\w\u2581]+\uff5c>|\[gMASK\]|<sop>|<(start|end)_of_turn>|\[/?INST\]|<</?SYS>>"
)


def mark_of(built: str) -> str:
    """The mark that the last line names."""
    return re.search(r"tags that end in ([0-9a-f]{12}) were data", built.splitlines()[-1])[1]


def data_of(template: str, built: str) -> dict[str, str]:
    """What stands in each fence; there must be one of each, in the template's order, and no other mark."""
    mark = mark_of(built)
    order = sorted(NAMES, key=lambda name: template.index(f"{{{name}}}"))
    tags = re.findall(rf"<[^<]*{mark}>", built)
    assert tags == [f"<{end}{name}-{mark}>" for name in order for end in ("", "/")]
    assert built.count(mark) == len(tags) + 1
    return {name: built.split(f"<{name}-{mark}>\n")[1].split(f"\n</{name}-{mark}>")[0] for name in NAMES}


@pytest.mark.parametrize("path", TEMPLATES)
def test_no_injection_closes_its_fence(path):
    assert len(set(INJECTIONS)) == 130
    template = TEMPLATES[path]
    known = mark_of(build_prompt(template, **SOUND))
    for injection in INJECTIONS:
        for place in NAMES:
            texts = SOUND | {place: injection.replace("MARK", known)}
            built = build_prompt(template, **texts)
            data = data_of(template, built)
            assert {name: text.replace("\u2060", "") for name, text in data.items()} == texts
            assert not LIVE_TOKEN.search(built)
            assert built == build_prompt(template, **texts)


@given(st.text(), st.text() | st.none(), st.text())
def test_any_text_is_data_and_nothing_else(question, reference, answer):
    template = TEMPLATES["instructions last"]
    data = data_of(template, build_prompt(template, question, reference, answer))
    assert [text.replace("\u2060", "") for text in data.values()] == [
        text.replace("\u2060", "") for text in (question, reference or "", answer)
    ]


def test_every_token_of_the_list_is_broken_and_nothing_else_is_changed():
    for text in set(INJECTIONS) - set(TOKENS):
        assert (
            data_of(
                "{question}{reference}{answer}", build_prompt("{question}{reference}{answer}", text, "", "")
            )["question"]
            == text
        )
    for text in TOKENS:
        assert "\u2060" in build_prompt("{question}{reference}{answer}", text, "", "")


def test_a_mark_that_stands_in_a_text_is_not_taken(monkeypatch):
    marks = iter(["aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc"])
    fake = SimpleNamespace(sha256=lambda _: SimpleNamespace(hexdigest=lambda: next(marks)))
    monkeypatch.setattr(verdict, "hashlib", fake)
    built = build_prompt("{question}{reference}{answer} bbbbbbbbbbbb", "aaaaaaaaaaaa", "", "")
    assert mark_of(built) == "cccccccccccc"


@pytest.mark.parametrize("path", ["prompts/judge_text.md", "prompts/judge_image.md", "demo/judge.md"])
def test_the_instructions_come_first_and_are_alike_for_all_texts(path):
    template = TEMPLATES[path]
    first, second = (build_prompt(template, question, "r", "a") for question in ("one", "two"))
    fixed = template.partition("{question}")[0]
    assert first.startswith(fixed)
    assert second.startswith(fixed)
    assert '"verdict": "pass"' in fixed
    if path != "demo/judge.md":  # its small model heeds what it read last
        assert re.sub(r"\{\w+\}|\w+( \w+)*:|\s", "", template.removeprefix(fixed)) == ""


def test_a_skeleton_tells_templates_and_fences_apart_but_not_texts():
    """A journal tells requests by it: with another fence, the same prompt file makes other requests."""
    assert build_empty_prompt("a {question}") != build_empty_prompt("b {question}")
    assert (
        build_empty_prompt("a {question}")
        == build_prompt("a {question}", "", None, "")
        != build_prompt("a {question}", "b", None, "")
    )
