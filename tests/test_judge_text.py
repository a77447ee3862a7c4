"""What the judge is shown, and what is made of its word."""

import json
import re
from pathlib import Path

import pytest

import plan
from batch import Batch, prompt_flags, question, rule_flags
from fault_server import Ask, FaultServer, Reply
from prep.reasoning import verdict
from prep.records import seeding
from prep.storage import parquet
from prep.storage.schema import ANSWERS

PROMPT = "Q: {question}\nR: {reference}\nA: {answer}"


def answers(folder: Path, texts: list[str | None]) -> Path:
    """Answers to the first questions; None is one that failed."""
    rows = [
        {
            "id": f"set/file:{number}#thinking.0",
            "question_id": f"set/file:{number}",
            "mode": "thinking",
            "sample": 0,
            "text": text and f"<think>\nhm\n</think>\n\n{text}",
            "reason": None if text else "length",
            "detail": None if text else "cut",
        }
        for number, text in enumerate(texts)
    ]
    parquet.write_rows(folder / "answers.parquet", rows, ANSWERS)
    return folder / "answers.parquet"


def judge(
    batch: Batch,
    texts: list[str | None],
    rules: dict[int, str] | None = None,
    when: str = "always",
    votes: int = 1,
):
    """Run the program over answers with these texts, and what rules say of some by their place."""
    given = answers(batch.folder, texts)
    return batch.ask(
        "judge_text.py",
        *("--answers", given, *rule_flags(given, rules or {}, when), *prompt_flags(batch.folder, PROMPT)),
        *("--sampling", '{"temperature": 0.7}', "--request", '{"suffix": " /no_think"}'),
        *("--votes", votes, "--verdicts", batch.folder / "v.parquet"),
    )


def verdict_of(said: str, score: int) -> str:
    return json.dumps({"verdict": said, "score": score, "reason": "because"})


def test_the_judge_sees_question_reference_and_the_answer_without_its_thought(tmp_path):
    with FaultServer(lambda ask: Reply(content=verdict_of("pass", 5))) as server:
        batch = Batch(tmp_path, [question(number) for number in range(3)], server)
        done = judge(batch, ["zero", None, "two {reference}"])
    assert done.returncode == 0, done.stderr
    assert set(server.attempts) == {
        verdict.build_prompt(PROMPT, "What is 0?", "It is 0.", "zero") + " /no_think",
        verdict.build_prompt(PROMPT, "What is 2?", "It is 2.", "two {reference}") + " /no_think",
    }
    assert [(row["id"], row["verdict"], row["score"]) for row in batch.rows("v.parquet")] == [
        ("set/file:0#thinking.0", "pass", 5),
        ("set/file:2#thinking.0", "pass", 5),
    ]


@pytest.mark.parametrize("schema", [True, False])
def test_the_schema_goes_only_to_a_server_that_obeys_it(tmp_path, schema):
    bodies = []

    def plan(ask: Ask) -> Reply:
        bodies.append(ask.body)
        return Reply(content=f"<think>{verdict_of('fail', 1)}</think> I say {verdict_of('pass', 4)}")

    with FaultServer(plan) as server:
        batch = Batch(tmp_path, [question(0)], server)
        batch.probe(schema=schema)
        judge(batch, ["zero"])
    (body,) = bodies
    assert ("response_format" in body) is schema
    if schema:
        assert body["response_format"]["json_schema"]["name"] == "verdict"
    (row,) = batch.rows("v.parquet")
    assert (row["verdict"], row["score"]) == ("pass", 4)


def test_what_is_unclear_is_a_row_of_its_own(tmp_path):
    said = {
        "zero": Reply(content="I think it passes"),
        "one": Reply(content=verdict_of("pass", 4), finish_reason="length"),
        "two": Reply(status=400, body={"error": {"message": "no"}}),
        "three": Reply(content="half of a pair, \ud83d"),
        "four": Reply(content=verdict_of("fail", 2)),
    }
    with FaultServer(lambda ask: said[re.search(r"<answer-\w+>\n(.*)\n</answer", ask.prompt)[1]]) as server:
        batch = Batch(tmp_path, [question(number) for number in range(5)], server)
        done = judge(batch, list(said))
    assert done.returncode == 0, done.stderr
    rows = batch.rows("v.parquet")
    assert [(row["verdict"], row["reason"]) for row in rows] == [
        *((None, "judge_unclear") for _ in range(4)),
        ("fail", None),
    ]
    assert all(row["detail"] for row in rows)


def test_a_server_that_refuses_everything_is_not_the_rows_fault(tmp_path):
    with FaultServer(lambda ask: Reply(status=400, body={"error": {"message": "no top_k here"}})) as server:
        batch = Batch(tmp_path, [question(number) for number in range(60)], server)
        done = judge(batch, [f"text {number}" for number in range(60)])
    assert done.returncode == 1
    assert "refused the first" in done.last
    assert "no top_k here" in done.last
    assert not (tmp_path / "v.parquet").exists()


def test_a_server_that_fails_too_much_fails_the_job(tmp_path):
    with FaultServer(
        lambda ask: Reply(finish_reason=None, status=500, headers={"retry-after": "0"})
    ) as server:
        batch = Batch(tmp_path, [question(number) for number in range(2)], server, max_failed_share=0.0)
        done = judge(batch, ["zero", "one"])
    assert done.returncode == 1
    assert "server_error" in done.last
    assert "Run again: only what is missing is asked" in done.last
    assert not (tmp_path / "v.parquet").exists()


def test_a_template_token_reaches_no_judge_whole(tmp_path):
    with FaultServer(lambda ask: Reply(content=verdict_of("pass", 5))) as server:
        row = question(0, "What is <|im_end|>?") | {"reference": "<|im_start|>system"}
        batch = Batch(tmp_path, [row], server)
        done = judge(batch, ["[gMASK]<sop>"])
    assert done.returncode == 0, done.stderr
    (asked,) = server.attempts
    for token in ("<|im_end|>", "<|im_start|>", "[gMASK]", "<sop>"):
        assert token not in asked
        assert token in asked.replace("\u2060", "")


def test_another_prompt_than_the_jobs_is_one_line(tmp_path):
    """The file is written anew by each run that starts in the folder."""
    with FaultServer() as server:
        batch = Batch(tmp_path, [question(0)], server)
        flags = prompt_flags(tmp_path, PROMPT)
        (tmp_path / "prompt.md").write_text("Be strict. {question} {reference} {answer}")
        done = batch.ask(
            "judge_text.py",
            *("--answers", given := answers(tmp_path, ["zero"]), *rule_flags(given, {}), *flags),
            *("--sampling", "{}", "--request", "{}", "--verdicts", tmp_path / "v.parquet"),
        )
        assert not server.attempts
    assert done.returncode == 1
    assert done.last.startswith(f"error: {tmp_path / 'prompt.md'} is not the prompt of this job")
    assert not (tmp_path / "v.parquet").exists()


def test_a_plan_knows_what_was_judged_by_the_prompt_and_its_fence(tmp_path):
    with FaultServer(lambda ask: Reply(content=verdict_of("pass", 5))) as server:
        batch = Batch(tmp_path, [question(0)], server)
        judge(batch, ["zero"])
    line = {"what": "text", "kind": "judge", "server": "teacher"}
    journal = plan.read_held_tokens(tmp_path / "journal", 42)
    row = "set/file:0#thinking.0"
    for template, known in ((PROMPT, {row}), (PROMPT + "!", set())):
        text = {"prompt": template, "sampling": {"judge": {"temperature": 0.7}}}
        text["request"] = {"judge": {"suffix": " /no_think"}}
        about = {"text": text, "models": {"teacher": "model"}, "sampled": []}
        assert set(plan.find_paid_rows(line, about, {"teacher": journal})) == known


def test_the_judge_is_told_where_a_rule_disagrees_and_nowhere_else(tmp_path):
    with FaultServer(lambda ask: Reply(content=verdict_of("fail", 2))) as server:
        batch = Batch(tmp_path, [question(number) for number in range(3)], server)
        done = judge(batch, ["zero", "one", "two"], {0: "agrees", 1: "disagrees"})
    assert done.returncode == 0, done.stderr
    assert {ask: verdict.DISPUTED in ask for ask in server.attempts} == {
        verdict.build_prompt(PROMPT, f"What is {number}?", f"It is {number}.", text, number == 1)
        + " /no_think": number == 1
        for number, text in enumerate(["zero", "one", "two"])
    }
    assert [row["rule"] for row in batch.rows("v.parquet")] == ["agrees", "disagrees", "cannot_tell"]


def test_a_rule_that_agrees_spares_the_judge_and_asking_always_then_asks_only_about_those(tmp_path):
    rules = {0: "agrees", 1: "disagrees", 3: "agrees", 4: "agrees"}
    texts = ["zero", "one", "two", "three", "four"]
    with FaultServer(lambda ask: Reply(content=verdict_of("pass", 4))) as server:
        batch = Batch(tmp_path, [question(number) for number in range(5)], server)
        assert judge(batch, texts, rules, "undecided").returncode == 0
        asked = set(server.attempts)
        spared = batch.rows("v.parquet")
        assert judge(batch, texts, rules, "undecided").returncode == 0
        assert judge(batch, texts, rules).returncode == 0
    assert [row["id"] for row in spared] == [f"set/file:{number}#thinking.0" for number in range(5)]
    assert [row["verdict"] for row in spared] == [None, "pass", "pass", None, None]
    assert not any(row["reason"] or row["score"] for row in spared if row["verdict"] is None)
    assert len(asked) == 2
    assert len(server.attempts) == 5
    assert all(count == 1 for count in server.attempts.values())
    assert {row["verdict"] for row in batch.rows("v.parquet")} == {"pass"}


def test_with_every_answer_decided_no_server_is_needed(tmp_path):
    with FaultServer(lambda ask: Reply(status=500)) as server:
        batch = Batch(tmp_path, [question(0)], server)
        assert judge(batch, ["zero"], {0: "agrees"}, "undecided").returncode == 0
        assert not server.attempts


def test_several_votes_are_counted_and_more_of_them_ask_only_for_the_new_ones(tmp_path):
    seeds = {vote: seeding.request_seed(42, "set/file:0#thinking.0", "judge", vote) for vote in range(5)}
    said = dict(zip(seeds.values(), ["pass", "fail", "fail", "pass", "pass"], strict=True))
    scores = dict(zip(seeds.values(), [5, 2, 1, 3, 4], strict=True))
    asked = []

    def plan(ask: Ask) -> Reply:
        asked.append(ask.body["seed"])
        return Reply(content=verdict_of(said[ask.body["seed"]], scores[ask.body["seed"]]))

    found = []
    with FaultServer(plan) as server:
        batch = Batch(tmp_path, [question(0)], server)
        for votes in (1, 3, 5):
            done = judge(batch, ["zero"], votes=votes)
            assert done.returncode == 0, done.stderr
            (row,) = batch.rows("v.parquet")
            found.append((row["id"], row["verdict"], row["score"], row["votes"]))
    id_ = "set/file:0#thinking.0"
    assert found == [(id_, "pass", 5, 1), (id_, "fail", 1, 1), (id_, "pass", 4, 3)]
    assert asked[0] == seeds[0]
    assert sorted(asked) == sorted(seeds.values())


def test_spared_answers_stay_in_their_places_between_those_with_votes(tmp_path):
    with FaultServer(lambda ask: Reply(content=verdict_of("pass", 4))) as server:
        batch = Batch(tmp_path, [question(number) for number in range(4)], server)
        judge(batch, ["0", "1", "2", "3"], {0: "agrees", 2: "agrees"}, "undecided", votes=3)
    assert [(row["id"][9], row["score"], row["votes"]) for row in batch.rows("v.parquet")] == [
        ("0", None, None),
        ("1", 4, 3),
        ("2", None, None),
        ("3", 4, 3),
    ]
    assert sum(server.attempts.values()) == 6
