"""A batch of a teacher or a judge whose answers are malformed stops early, and says what to set."""

import threading
from collections.abc import Callable

import pyarrow.parquet as pq
import pytest
from test_answer_text import FLAGS
from test_judge_text import judge, verdict_of

from batch import Batch, question
from fault_server import Ask, FaultServer, Reply
from prep.inference.request import Response
from prep.reasoning.answer_format import choose_forms
from prep.reasoning.form_check import AnswerCheck, FormCheck, VerdictCheck
from prep.reasoning.trial import Trial
from prep.records.reason import Reason
from prep.runtime.program import UserError
from workflow import Build, config

GOOD, BAD = "<think>a</think>4", "a</think>4"
TEACHES = {"text_reasoning": {"form": "think", "max_malformed_share": 0.5, "kinds": ["thinking"]}}
BY_HAND = tuple("think" if word == "auto" else word for word in FLAGS)


def check(form: str = "think", max_share: float = 0.5) -> AnswerCheck:
    return AnswerCheck("text_reasoning", form, choose_forms(form, "text_reasoning"), max_share)


def add(checked: FormCheck, *contents: str) -> None:
    for content in contents:
        checked.add("thinking", Response(content, None, "stop"))


def test_a_misfit_is_told_as_soon_as_most_of_twenty_are_malformed():
    checked = check()
    add(checked, *[BAD] * 10)
    with pytest.raises(UserError) as told:
        add(checked, BAD)
    example = f"not in the form: <think>…</think> and text: {BAD!r}"
    assert str(told.value) == (
        "text_reasoning: 11 of 11 answers are rejected as answer_malformed, more than max_malformed_share"
        f" (0.5) allows: {example}; {example}; {example}. Set text_reasoning.form: close_only (it is think),"
        " or auto; what was answered stays in the journal"
    )


def test_later_it_is_told_at_the_same_share():
    checked = check()
    add(checked, *[GOOD] * 30, *[BAD] * 30)
    with pytest.raises(UserError, match="31 of 61 answers"):
        add(checked, BAD)


def test_what_no_form_reads_is_said_so():
    with pytest.raises(UserError, match=r"form is auto, and no named form reads them: see docs/teachers.md"):
        add(check("auto"), *["4"] * 20)


def test_other_reasons_and_a_share_of_all_stop_nothing():
    checked = check()
    for _ in range(40):
        checked.add("thinking", Response(GOOD, None, "content_filter"))
    add(check(max_share=1), *[BAD] * 40)


def test_a_teacher_whose_answers_are_mostly_cut_is_told_so():
    checked, cut = check(), Response("<think>Hm", None, "length")
    for _ in range(10):
        checked.add("thinking", cut)
    with pytest.raises(
        UserError, match=r"rejected as length.* Give text_reasoning\.sampling more max_tokens"
    ):
        checked.add("thinking", cut)


def test_small_batches_are_one_trial(tmp_path):
    """Eleven of twenty answers end it, whichever batch they are of."""
    passed = tmp_path / "think.passed"

    def begin(batch: str) -> AnswerCheck:
        trial = Trial(passed, batch)
        trial.wait()
        return AnswerCheck("text_reasoning", "think", choose_forms("think", ""), 0.5, trial)

    for batch in ("00000", "00001"):
        checked = begin(batch)
        add(checked, *[BAD] * 4)
        checked.end()
    last = begin("00002")
    add(last, BAD, BAD, GOOD)
    with pytest.raises(UserError, match="11 of 12 answers"):
        add(last, BAD)
    last = begin("00002")
    add(last, *[GOOD] * 9)
    assert not passed.exists()  # the last three may be malformed, as eight were
    add(last, GOOD)
    assert passed.exists()
    assert begin("00003").trial == 0


def test_a_misfit_stops_a_build_of_small_batches(tmp_path):
    def plan(asked: Ask) -> Reply:
        return Reply() if asked.prompt.startswith(PROBE) else Reply(content=BAD)

    with FaultServer(plan) as server:
        text = {"form": "think", "no_think_share": 0, "max_questions": 40, "batch_size": 5}
        build = Build(tmp_path, config(server.base_url, text_reasoning=text))
        stopped = build.run("data/text2image.parquet", "--keep-going")
        assert stopped.returncode != 0
        assert "11 of 11 answers are rejected" in stopped.output
        asked = [prompt for prompt in server.attempts if not prompt.startswith(PROBE)]
        assert len(asked) <= 20


def ask(batch: Batch, *flags: object):
    return batch.ask("answer_text.py", *flags, 0.0, "--answers", batch.folder / "a.parquet")


def test_a_wrong_form_set_by_hand_costs_at_most_twenty_requests_which_stay_paid(tmp_path):
    with FaultServer(lambda _: Reply(content=BAD, delay=0.05)) as server:
        questions = [question(number) for number in range(60)]
        batch = Batch(tmp_path, questions, server, concurrency=64, teaches=TEACHES)
        first = ask(batch, *BY_HAND)
        assert first.returncode == 1
        assert "Set text_reasoning.form: close_only" in first.last
        assert not (tmp_path / "a.parquet").exists()
        paid = server.attempts.total()
        assert paid <= 20
        assert ask(batch, *BY_HAND).returncode == 1
        assert server.attempts.total() == paid
        assert ask(batch, *FLAGS).returncode == 0
        assert server.attempts.total() == 60
    assert {row["text"] for row in batch.rows("a.parquet")} == {"<think>\na\n</think>\n\n4"}


def test_no_more_than_twenty_are_out_until_the_trial_is_passed(tmp_path):
    """Ten of twenty may be malformed, so the tenth that is not passes it. One that is refused is not."""

    def plan(asked: Ask) -> Reply:
        if asked.prompt == "What is 1?":
            return Reply(status=400)
        slow = asked.prompt in ("What is 0?", "What is 2?")
        content = BAD if asked.prompt == "What is 3?" else GOOD
        return Reply(content=content, hold=lambda: not slow or len(server.departures) >= 60)

    with FaultServer(plan) as server:
        questions = [question(number) for number in range(80)]
        done = ask(Batch(tmp_path, questions, server, concurrency=64, teaches=TEACHES), *BY_HAND)
    assert done.returncode == 0, done.stderr
    assert server.attempts.total() == 80
    assert sorted(server.arrivals)[20] >= sorted(server.departures)[9]


@pytest.mark.parametrize("malformed", [0, 5, 10])
def test_a_trial_is_passed_as_soon_as_the_rest_decides_nothing(tmp_path, malformed):
    trial = Trial(tmp_path / "think.passed", "00000")
    trial.wait()
    checked = AnswerCheck("text_reasoning", "think", choose_forms("think", ""), 0.5, trial)
    add(checked, *[BAD] * malformed, *[GOOD] * 9)
    assert (checked.trial, (tmp_path / "think.passed").exists()) == (20, False)
    add(checked, GOOD)
    assert (checked.trial, (tmp_path / "think.passed").exists()) == (malformed + 10, True)
    checked.end()
    assert not (tmp_path / "think.trial.json").exists()


def all_at_once(server: FaultServer, count: int, content: str = GOOD) -> Callable[[Ask], Reply]:
    """Answers come once so many requests are out, which a trial would not allow."""
    came = threading.Event()

    def come() -> bool:
        if server.inside == count:
            came.set()
        return came.is_set()

    return lambda _: Reply(content=content, hold=come)


def test_what_the_journal_holds_counts_as_read(tmp_path):
    with FaultServer(lambda _: Reply(content=GOOD)) as server:
        questions = [question(number) for number in range(60)]
        assert ask(Batch(tmp_path, questions[:30], server, teaches=TEACHES), *FLAGS).returncode == 0
        server.plan = all_at_once(server, 30)
        done = ask(Batch(tmp_path, questions, server, concurrency=30, teaches=TEACHES), *FLAGS)
        assert done.returncode == 0, done.stderr
        assert server.attempts.total() == 60


def test_one_batch_of_a_run_is_its_trial(tmp_path):
    with FaultServer(lambda _: Reply(content=GOOD)) as server:
        questions = [question(number) for number in range(60)]
        assert ask(Batch(tmp_path, questions[:30], server, teaches=TEACHES), *FLAGS).returncode == 0
        server.plan = all_at_once(server, 30)
        done = ask(Batch(tmp_path, questions[30:], server, concurrency=30, teaches=TEACHES), *FLAGS)
        assert done.returncode == 0, done.stderr


def test_a_form_that_is_set_anew_has_its_own_trial(tmp_path):
    with FaultServer(lambda _: Reply(content=GOOD)) as server:
        questions = [question(number) for number in range(90)]
        assert ask(Batch(tmp_path, questions[:30], server, teaches=TEACHES), *FLAGS).returncode == 0
        paid, server.plan = server.attempts.total(), lambda _: Reply(content=BAD)
        later = Batch(tmp_path, questions[30:], server, concurrency=64, teaches=TEACHES)
        assert ask(later, *BY_HAND).returncode == 1
        assert server.attempts.total() - paid <= 20


PROBE = ("What is 2 + 3?", "Is the sky blue", "What is written in this picture?")


def test_a_judge_without_verdicts_is_told_as_soon_as_most_of_twenty_have_none():
    checked = VerdictCheck("text_reasoning", 0.5)
    add(checked, verdict_of("pass", 4), *["I would say it is right."] * 10)
    with pytest.raises(UserError) as told:
        add(checked, "Right.")
    example = "no verdict: 'I would say it is right.'"
    assert str(told.value) == (
        "text_reasoning: 11 of 12 verdicts are rejected as judge_unclear (no verdict in them), more than"
        f" max_malformed_share (0.5) allows: {example}; {example}; {example}. text_reasoning.judge_prompt"
        " must ask for a JSON object of verdict (pass or fail), score (1 to 5) and reason; where it does,"
        " name another server as text_reasoning.judge; what was answered stays in the journal"
    )


def test_a_judge_that_thinks_until_it_is_cut_is_told_so():
    checked, cut = VerdictCheck("image_reasoning", 0.5), Response("<think>Hm", None, "length")
    for _ in range(10):
        checked.add("judge", cut)
    with pytest.raises(UserError, match=r"Give image_reasoning\.sampling\.judge more max_tokens, or switch"):
        checked.add("judge", cut)


def test_a_judge_that_fails_or_finds_fault_stops_nothing():
    checked = VerdictCheck("text_reasoning", 0.5)
    add(checked, *[verdict_of("fail", 1)] * 20)
    for _ in range(40):
        checked.add("judge", Response("", None, None, Reason.TRANSPORT, "gone"))


def test_a_judge_without_verdicts_costs_at_most_twenty_requests_which_stay_paid(tmp_path):
    with FaultServer(lambda _: Reply(content="I like it.", delay=0.05)) as server:
        questions = [question(number) for number in range(60)]
        batch = Batch(tmp_path, questions, server, concurrency=64, judges={"text_reasoning": 0.5})
        done = judge(batch, ["an answer"] * 60)
        assert done.returncode == 1
        assert "verdicts are rejected as judge_unclear" in done.last
        assert not (tmp_path / "v.parquet").exists()
        paid = server.attempts.total()
        assert paid <= 20
        assert judge(batch, ["an answer"] * 60).returncode == 1
        assert server.attempts.total() == paid
        everything = Batch(tmp_path, questions, server, concurrency=64, judges={"text_reasoning": 1})
        assert judge(everything, ["an answer"] * 60).returncode == 0
    assert {row["reason"] for row in batch.rows("v.parquet")} == {"judge_unclear"}


def test_no_more_than_twenty_verdicts_are_out_until_twenty_were_read(tmp_path):
    """The batches after it start at full width."""
    good = Reply(content=verdict_of("pass", 5))
    with FaultServer(lambda _: good) as server:
        questions = [question(number) for number in range(80)]
        judges = {"text_reasoning": 0.5}
        first = judge(Batch(tmp_path, questions, server, concurrency=64, judges=judges), ["a"] * 60)
        assert first.returncode == 0, first.stderr
        assert sorted(server.arrivals)[20] >= sorted(server.departures)[19]
        server.plan = all_at_once(server, 20, good.content)
        later = Batch(tmp_path, questions, server, concurrency=20, judges=judges)
        assert judge(later, ["a"] * 80).returncode == 0


def test_a_build_with_a_misfit_stops_and_no_empty_artifact_is_a_success(tmp_path):
    """The probe's own questions are answered in the form that is set, and the others in another one."""

    def plan(asked: Ask) -> Reply:
        return Reply() if asked.prompt.startswith(PROBE) else Reply(content=BAD)

    with FaultServer(plan) as server:
        text = {"form": "think", "no_think_share": 0, "max_questions": 15}
        build = Build(tmp_path, config(server.base_url, text_reasoning=text))
        stopped = build.run("data/text2image.parquet")
        assert stopped.returncode != 0
        assert "Set text_reasoning.form: close_only (it is think), or auto" in stopped.output
        asked = [prompt for prompt in server.attempts if not prompt.startswith(PROBE)]
        assert len(asked) <= 20

        text |= {"max_questions": 5}
        empty = build.run("data/text2image.parquet")
        assert empty.returncode != 0
        assert "data/text2image.parquet would be empty, since every answer was rejected" in empty.output
        text |= {"allow_empty": True}
        assert build.run("data/text2image.parquet").returncode == 0
        assert pq.read_metadata(tmp_path / "data/text2image.parquet").num_rows == 0
