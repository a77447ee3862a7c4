"""What an answer says decides, by rules: refusals, its language, and prompts that it quotes."""

import pytest
import yaml
from conftest import ROOT

from batch import Batch, question
from fault_server import Ask, FaultServer, Reply
from prep.reasoning.content_check import ContentChecks, find_content_fault, find_language
from prep.records.question import Question
from prep.records.reason import Reason

REFUSALS = yaml.safe_load((ROOT / "config.yaml").read_text())["text_reasoning"]["refusals"]
CHECKS = ContentChecks(REFUSALS, "question")
SYSTEM = "You are a careful tutor. Think inside <think> tags, then give the final answer in a box."
ENGLISH = "How many apples are left if four of the nine are eaten?"
CHINESE = "九个苹果吃掉四个，还剩下多少个苹果？请写出过程。"


def asked(text: str = ENGLISH, reference: str | None = "5") -> Question:
    return Question("a/b:1", "a", None, "b", 1, text, reference, None)


def find(text: str, of: Question | None = None, thought: str = "hm", system: str = "") -> tuple | None:
    return find_content_fault(f"<think>\n{thought}\n</think>\n\n{text}", of or asked(), CHECKS, system)


@pytest.mark.parametrize(
    "text",
    [
        "I’m sorry, but I can’t help with this.",
        "Unfortunately, i'm sorry,\nbut I CAN'T say.",
        "很抱歉，我无法回答这个问题。",
        "As an AI language model, I have no apples.",
    ],
)
def test_a_refusal_is_found_whatever_its_case_and_apostrophes(text):
    assert find(text)[0] == Reason.REFUSAL


@pytest.mark.parametrize(
    "text",
    [
        "Five apples are left, and I am sorry for the four.",
        "x" * 300 + " I'm sorry, but I can't",
        "Five.",
    ],
)
def test_other_answers_are_no_refusals(text):
    assert find(text) is None


def test_a_thought_may_consider_a_refusal_and_the_reference_may_be_one():
    assert find("Five.", thought="I'm sorry, but I can't see why not.") is None
    refusal = "As an AI language model, I cannot eat."
    assert find(refusal, asked("Can you eat an apple?", "As an AI language model, I can't.")) is None


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Five apples are left over.", "English"),
        ("还剩下五个苹果，因为吃掉了四个。", "Chinese"),
        ("用 Python 的 `sorted` 函数对列表排序即可，它会返回新的列表。", "Chinese"),
        ("$\\text{apples left over are five in all}$ 所以还剩五个苹果。", "Chinese"),
        ("Five 五 apples 苹果 left 剩 over 下", None),
        ("5", None),
        ("Осталось пять яблок, потому что четыре съели.", None),
        ("```python\nprint('all of the apples')\n```\n上面的代码会打印所有的苹果。", "Chinese"),
    ],
)
def test_find_language(text, language):
    assert find_language(text) == language


@pytest.mark.parametrize(
    ("question_", "reference", "text", "is_fault"),
    [
        (CHINESE, "5", "Five apples are left over.", True),
        (ENGLISH, "5", "还剩下五个苹果，因为吃掉了四个。", True),
        (ENGLISH, None, "还剩下五个苹果，因为吃掉了四个。", True),
        (CHINESE, "Five of the apples are left.", "Five apples are left over.", False),
        ("Translate into Chinese: five apples are left.", None, "还剩下五个苹果，没有被吃掉。", False),
        ("把下面这句话翻译一下：还剩下五个苹果，没有被吃掉。", None, "Five apples are left over.", False),
        (CHINESE, "5", "5 apples", False),
        (CHINESE, "5", "还剩下五个苹果，因为吃掉了四个。", False),
    ],
)
def test_an_answer_in_the_other_language_is_found(question_, reference, text, is_fault):
    found = find(text, asked(question_, reference))
    assert (found is not None) == is_fault
    assert found is None or found[0] == Reason.OTHER_LANGUAGE
    assert find_content_fault(text, asked(question_, reference), ContentChecks(REFUSALS)) is None


def test_a_quote_of_the_system_message_is_found_in_thought_and_text():
    for thought, text in ((f"It says: {SYSTEM.replace(' ', chr(10))}", "Five."), ("hm", SYSTEM[10:])):
        assert find(text, thought=thought, system=SYSTEM)[0] == Reason.PROMPT_QUOTED
    assert find("A careful tutor would give the final answer in a box: five.", system=SYSTEM) is None


def test_a_batch_names_what_its_answers_say(tmp_path):
    def plan(ask: Ask) -> Reply:
        return Reply(content=f"<think>a</think>{'I cannot assist with that' if '1' in ask.prompt else '4'}")

    with FaultServer(plan) as server:
        batch = Batch(tmp_path, [question(number) for number in range(3)], server)
        flags = ("--thinking", "{}", "--no-thinking", "{}", "--no-think-share", 0, "--samples", 1)
        form = ("--form", "auto", "--request", '{"thinking": {}, "no_thinking": {}}')
        checks = ("--checks", '{"refusals": ["I cannot assist"], "language": "question"}')
        done = batch.ask("answer_text.py", *flags, *form, *checks, "--answers", tmp_path / "a.parquet")
    assert done.returncode == 0, done.stderr
    found = [(row["reason"], row["detail"]) for row in batch.rows("a.parquet")]
    assert found == [(None, None), ("refusal", "I cannot assist"), (None, None)]
