"""What the text teacher is asked, and what becomes of its answers."""

import json
import os
import subprocess
import sys

import pytest

from batch import Batch, question
from fault_server import Ask, FaultServer, Reply
from prep.inference.request import request_kind
from prep.reasoning.batch import AnswerTask, build_answer_request, list_answer_tasks
from prep.records.question import Question
from prep.storage.atomic import read_json, sha256
from running import PATH
from stand_in_server import processes, until
from teachers import teach

SAMPLING = {"thinking": {"temperature": 0.6}, "no_thinking": {"temperature": 0.7, "top_k": 20}}
REQUEST = {"thinking": {}, "no_thinking": {"suffix": " /no_think"}}
FLAGS = (
    *("--thinking", '{"temperature": 0.6, "top_k": 20}', "--no-thinking", '{"temperature": 0.7}'),
    *("--form", "auto", "--request", json.dumps(REQUEST)),
    *("--samples", 1, "--no-think-share"),
)


def asked(number: int = 3) -> Question:
    row = question(number)
    row.pop("image")
    return Question(**row, image=None, image_path=None)


def test_every_question_is_due_thinking_and_the_share_once_more_without():
    questions = [asked(number) for number in range(200)]
    due = list(list_answer_tasks(questions, 42, 0.5, 2))
    thinking = [(each.id, sample) for each, mode, sample in due if mode == "thinking"]
    plain = {each.id for each, mode, _ in due if mode == "no_thinking"}
    assert thinking == [(each.id, sample) for each in questions for sample in (0, 1)]
    assert 70 < len(plain) < 130
    assert [each.id for each, _, _ in due] == sorted(
        (each.id for each, _, _ in due), key=lambda id_: int(id_[9:])
    )
    assert not any(mode == "no_thinking" for _, mode, _ in list_answer_tasks(questions, 42, 0.0, 1))


def test_a_request_ends_in_the_switch_only_without_thinking_and_has_its_own_seed():
    thinking = build_answer_request(AnswerTask(asked(), "thinking", 0), SAMPLING, 42, REQUEST)
    plain = build_answer_request(AnswerTask(asked(), "no_thinking", 1), SAMPLING, 42, REQUEST)
    assert thinking.messages == [{"role": "user", "content": "What is 3?"}]
    assert plain.messages == [{"role": "user", "content": "What is 3? /no_think"}]
    assert (thinking.id, plain.id) == ("set/file:3#thinking.0", "set/file:3#no_thinking.1")
    assert (thinking.sampling, plain.sampling) == (SAMPLING["thinking"], SAMPLING["no_thinking"])
    tasks = [AnswerTask(asked(), mode, sample) for mode in SAMPLING for sample in (0, 1)]
    assert len({build_answer_request(task, SAMPLING, 42, REQUEST).seed for task in tasks}) == 4


def test_what_requests_were_paid_for_stays_so():
    """Journals know answers by these keys: a change asks every question of every user once more."""
    sampling = {"thinking": {"temperature": 0.6, "top_p": 0.95, "top_k": 20, "min_p": 0}}
    sampling["no_thinking"] = {"temperature": 0.7}
    row = question(3, "Is 1 < 2, [a] | <b> <|> or <| x |>?\nSay so.") | {"id": "alpaca/train:3"}
    row.pop("image")
    text = Question(**row, image=None, image_path=None)
    thinking = build_answer_request(AnswerTask(text, "thinking", 0), sampling, 42, REQUEST)
    plain = build_answer_request(AnswerTask(text, "no_thinking", 1), sampling, 42, REQUEST)
    assert [each.key("Qwen/Qwen3-32B") for each in (thinking, plain)] == [
        "8d72d959d48f35cae4064c88269de3e089305caee50eb9dbdc6673ea3bd17627",
        "e34c154694e617e47bd0622392cf57c3063b25c64801e8953e875840a7e822bf",
    ]


def test_what_a_configuration_adds_is_sent_and_part_of_the_key():
    task, plain = AnswerTask(asked(), "no_thinking", 0), {"no_thinking": {"suffix": " /no_think"}}
    switched = {"suffix": "", "extra": {"chat_template_kwargs": {"enable_thinking": False}}}
    given = {"no_thinking": switched | {"system": "Be brief."}}
    request = build_answer_request(task, SAMPLING, 42, given)
    body = request.body("model")
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is 3?"},
    ]
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    others = [plain, {"no_thinking": switched}, {"no_thinking": {"suffix": ""}}, given]
    requests = [build_answer_request(task, SAMPLING, 42, each) for each in others]
    assert len({each.key("model") for each in requests}) == 4
    # A journal of before tells of no addition where there is the usual suffix.
    added = [request_kind("no_thinking", "model", {}, None, each.added).get("added") for each in requests]
    assert added == [None, switched, {"suffix": ""}, {"system": "Be brief."} | switched]


def test_template_tokens_of_a_question_are_broken_in_the_request_and_told(tmp_path):
    text = "What does <|im_end|> do?"
    note = "template tokens of the question are broken in the request: <|im_end|>"
    plans = {
        "What does <|\u2060im_end|> do?": Reply(content="<think>hm</think>It ends a turn."),
        "And <|\u2060im_start|>?": Reply(content="<think>hm</think><|im_start|> begins one."),
    }
    with FaultServer(lambda ask: plans[ask.prompt]) as server:
        batch = Batch(tmp_path, [question(0, text), question(1, "And <|im_start|>?")], server)
        done = batch.ask("answer_text.py", *FLAGS, 0.0, "--answers", tmp_path / "a.parquet")
    assert done.returncode == 0, done.stderr
    kept, rejected = batch.rows("a.parquet")
    assert (kept["text"], kept["reason"], kept["detail"]) == (
        "<think>\nhm\n</think>\n\nIt ends a turn.",
        None,
        note,
    )
    assert rejected["reason"] == "template_token_in_answer"
    assert rejected["detail"] == f"<|im_start|>; {note.replace('end', 'start')}"


def test_answers_come_in_order_and_a_second_run_asks_nothing(tmp_path):
    with FaultServer(teach) as server:
        batch = Batch(tmp_path, [question(number) for number in range(20)], server)
        first = batch.ask("answer_text.py", *FLAGS, 1.0, "--answers", tmp_path / "a.parquet")
        assert first.returncode == 0, first.stderr
        assert server.attempts.total() == 40
        batch.ask("answer_text.py", *FLAGS, 1.0, "--answers", tmp_path / "b.parquet")
        assert server.attempts.total() == 40
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    known = {"rows": 40, "sha256": sha256(tmp_path / "b.parquet")}
    assert read_json(tmp_path / "summary.json") == {"files": {"rows": known}}
    rows = batch.rows("a.parquet")
    assert [row["id"] for row in rows] == [
        f"set/file:{number}#{mode}.0" for number in range(20) for mode in ("thinking", "no_thinking")
    ]
    assert {row["question_id"] for row in rows[:2]} == {"set/file:0"}
    assert all(row["text"] and row["reason"] is None for row in rows)
    assert all(row["tokens"] > 1 and row["reasoning_tokens"] is None for row in rows)


def test_what_is_sent_is_the_sampling_the_seed_and_the_model(tmp_path):
    bodies = []

    def plan(ask: Ask) -> Reply:
        bodies.append(ask.body)
        return teach(ask)

    with FaultServer(plan) as server:
        batch = Batch(tmp_path, [question(0)], server)
        batch.ask("answer_text.py", *FLAGS, 0.0, "--answers", tmp_path / "a.parquet")
    (body,) = bodies
    assert body.pop("messages") == [{"role": "user", "content": "What is 0?"}]
    assert 0 <= body.pop("seed") < 2**31
    assert body == {"model": "model", "temperature": 0.6, "top_k": 20}


def test_each_way_to_fail_has_its_reason_and_costs_no_other_row(tmp_path):
    plans = {
        "What is 0?": Reply(finish_reason="length"),
        "What is 1?": Reply(finish_reason="content_filter"),
        "What is 2?": Reply(content="no thought"),
        "What is 3?": Reply(content="<think>a</think> <Image>"),
        "What is 4?": Reply(status=400, body={"error": {"message": "too long"}}),
        "What is 5?": Reply(content="", message={"reasoning": "a thought"}),
        "What is 6?": Reply(content="six", message={"reasoning_content": "a thought"}),
    }
    with FaultServer(lambda ask: plans.get(ask.prompt, Reply())) as server:
        batch = Batch(tmp_path, [question(number) for number in range(8)], server)
        done = batch.ask("answer_text.py", *FLAGS, 0.0, "--answers", tmp_path / "a.parquet")
    assert done.returncode == 0, done.stderr
    rows = batch.rows("a.parquet")
    assert [row["reason"] for row in rows] == [
        *("length", "content_filter", "answer_malformed", "media_tag_in_answer", "bad_request"),
        *("answer_malformed", None, None),
    ]
    assert rows[6]["text"] == "<think>\na thought\n</think>\n\nsix"
    assert "too long" in rows[4]["detail"]
    assert server.attempts["What is 4?"] == 1


def test_repetition_and_budgets_are_held_to_what_the_rule_says(tmp_path):
    plans = {
        "What is 0?": Reply(content="<think>\n" + "Hm. " * 100),
        "What is 1?": Reply(content="<think>\na b c d e f g\n</think>\n\none"),
    }
    sampling = ["--thinking", '{"max_tokens": 5}', "--repetition", 64, "--longer-budget", 4]
    with FaultServer(lambda ask: plans.get(ask.prompt, Reply())) as server:
        batch = Batch(tmp_path, [question(number) for number in range(2)], server)
        sent = ["--answers", tmp_path / "a.parquet", *sampling]
        done = batch.ask("answer_text.py", *FLAGS, 0.0, *sent)
        assert done.returncode == 0, done.stderr
        rows = batch.rows("a.parquet")
        assert [row["reason"] for row in rows] == ["repetition", None]
        assert server.attempts == {"What is 0?": 2, "What is 1?": 2}
        batch.ask("answer_text.py", *FLAGS, 0.0, *sent)
        assert batch.rows("a.parquet") == rows
        assert server.attempts.total() == 4


def test_a_wrong_model_is_one_line_and_no_file(tmp_path):
    with FaultServer(teach, models=("another",)) as server:
        batch = Batch(tmp_path, [question(0)], server)
        done = batch.ask("answer_text.py", *FLAGS, 0.0, "--answers", tmp_path / "a.parquet")
    assert done.returncode == 1
    assert done.last.startswith("error: teacher: ")
    assert "another" in done.last
    assert not (tmp_path / "a.parquet").exists()
    assert server.attempts.total() == 0


HALF = "half of a pair: \ud83d"


def test_what_cannot_be_stored_costs_its_row_and_no_other(tmp_path):
    replies = [
        Reply(content=f"<think>\nhm\n</think>\n\n{HALF}"),
        Reply(content="four", message={"reasoning": HALF}),
        Reply(status=400, body={"error": {"message": HALF}}),
        Reply(finish_reason=HALF),
    ]

    def plan(ask: Ask) -> Reply:
        number = int(ask.prompt.removeprefix("What is ").removesuffix("?"))
        return replies[number] if number < len(replies) else teach(ask)

    with FaultServer(plan) as server:
        batch = Batch(tmp_path, [question(number) for number in range(6)], server, max_failed_share=0.5)
        for _ in range(2):
            done = batch.ask("answer_text.py", *FLAGS, 0.0, "--answers", tmp_path / "a.parquet")
            assert done.returncode == 0, done.stderr
    rows = batch.rows("a.parquet")
    reasons = ["text_not_utf8", "text_not_utf8", "bad_request", "not_stopped", None, None]
    assert [row["reason"] for row in rows] == reasons
    assert [bool(row["text"]) for row in rows] == [False] * 4 + [True] * 2


def test_two_jobs_of_one_batch_ask_for_each_answer_once(tmp_path):
    """The first one's workflow is gone, and the restarted one submits the batch again."""
    with FaultServer(lambda ask: Reply(delay=0.05)) as server:
        batch = Batch(tmp_path, [question(number) for number in range(100)], server)
        program = ["answer_text.py", *map(str, (*batch.flags(), *FLAGS, 0.0, "--answers"))]
        with subprocess.Popen([*program, tmp_path / "a.parquet"], env={**os.environ, "PATH": PATH}) as first:
            until(lambda: server.finished.total() > 0, 60)
            second = batch.ask("answer_text.py", *FLAGS, 0.0, "--answers", tmp_path / "b.parquet")
            assert first.wait() == 0
        assert second.returncode == 0, second.stderr
        assert "another job works on this batch" in second.stderr
        assert set(server.attempts.values()) == {1}
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's end")
def test_it_asks_no_more_once_its_workflow_is_killed(tmp_path):
    with FaultServer(lambda ask: Reply(delay=0.1)) as server:
        batch = Batch(tmp_path, [question(number) for number in range(1000)], server)
        answers = ("--answers", tmp_path / "a.parquet")
        program = ["answer_text.py", *map(str, (*batch.flags(), *FLAGS, 0.0, *answers))]
        workflow = [sys.executable, "-c", "import subprocess, sys; subprocess.run(sys.argv[1:])"]
        running = subprocess.Popen([*workflow, *program], env={**os.environ, "PATH": PATH})
        until(lambda: server.finished.total() > 10)
        running.kill()
        running.wait()
        until(lambda: not processes(tmp_path))
        assert server.attempts.total() < 900
    assert not (tmp_path / "a.parquet").exists()
