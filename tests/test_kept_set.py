"""Verdicts stay with their rows: the judge's rule says what is kept, in whatever order answers come."""

import hashlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fault_server import Ask, FaultServer, Reply
from prep.records.question import read_questions
from teachers import teach
from workflow import ONEVISION, Build, config

MIN_SCORE = 3
QUESTION = re.compile(r"<question-(\w+)>\n(.*)\n</question-\1>", re.DOTALL)
ARTIFACTS = {"text2image": "read_questions", "image_thinking": "sample_images"}


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def judge(question: str) -> dict:
    """The verdict on any answer to a question: a function of the question alone."""
    number = digest(question)
    return {"verdict": "pass" if number[0] % 3 else "fail", "score": 1 + number[1] % 5, "reason": "so"}


def serve(ask: Ask) -> Reply:
    """Answers late by a hash, a fifth of them only when asked once more, and verdicts by `judge`."""
    number = digest(ask.prompt)
    if ask.attempt == 1 and number[2] % 5 == 0:
        return Reply(status=500) if number[3] % 2 else Reply(kind="reset")
    delay = number[4] / 2000
    if "response_format" not in ask.body:
        return Reply(delay=delay, content=teach(ask).content)
    said = QUESTION.search(ask.prompt)
    return Reply(delay=delay, content=json.dumps(judge(said[2]) if said else judge("a probe")))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Build]:
    """A stage 3 whose run is ended in the middle of its answers, and then run again to its end."""
    with FaultServer(serve, slots=16) as server:
        own = config(
            server.base_url,
            onevision={"configs": ONEVISION[:5]},
            text_reasoning={"max_questions": 20, "batch_size": 16, "min_score": MIN_SCORE},
            image_reasoning={"samples_per_config": 15, "batch_size": 15, "min_score": MIN_SCORE},
        )
        build = Build(tmp_path_factory.mktemp("kept"), own)
        command = build.command("stage3")
        run = subprocess.Popen(command, cwd=build.checkout, stdout=subprocess.DEVNULL, start_new_session=True)
        while server.finished.total() < 40 and run.poll() is None:
            time.sleep(0.05)
        os.kill(run.pid, signal.SIGTERM)
        assert run.wait(120) != 0
        done = build.run("stage3")
        assert done.returncode == 0, done.output[-4000:]
        yield build


@pytest.mark.parametrize("name", ARTIFACTS)
def test_the_kept_set_is_that_of_the_verdicts(built: Build, name: str) -> None:
    questions = {
        question.id: question.text
        for path in sorted((built.folder / "work" / ARTIFACTS[name]).rglob("*.parquet"))
        if not path.name.endswith(".rejects.parquet")
        for question in read_questions([Path(path)], with_pictures=False)
    }
    kept = pq.read_table(built.folder / f"data/{name}.parquet", columns=["id", "score"]).to_pylist()
    rejected = pq.read_table(built.folder / f"data/rejects/{name}.parquet").to_pylist()
    reasons = {row["id"]: row["reason"] for row in rejected}
    assert kept
    assert {"judge_fail", "low_score"} <= set(reasons.values())
    assert len(kept) + len(rejected) == built.manifest(name)["read"]
    for id_, outcome in [*((row["id"], row["score"]) for row in kept), *reasons.items()]:
        verdict = judge(questions[id_.partition("#")[0]])
        if verdict["verdict"] == "fail":
            expected = "judge_fail"
        elif verdict["score"] < MIN_SCORE:
            expected = "low_score"
        else:
            expected = verdict["score"]
        assert outcome == expected, id_
