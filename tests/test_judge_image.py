"""The judge of a picture's answer sees the picture, and is not told to stop thinking."""

import base64
import json

from test_answer_image import png
from test_judge_text import PROMPT, answers, verdict_of

from batch import Batch, prompt_flags, question, rule_flags
from fault_server import Ask, FaultServer, Reply
from prep.reasoning import verdict


def test_the_judge_sees_the_picture_and_the_question_without_its_tag(tmp_path):
    bodies = []

    def plan(ask: Ask) -> Reply:
        bodies.append(ask.body)
        return Reply(content=verdict_of("pass", 4))

    with FaultServer(plan) as server:
        batch = Batch(tmp_path, [question(0, "<image>\nWhat is 0?", png(7))], server)
        done = batch.ask(
            "judge_image.py",
            *("--answers", given := answers(tmp_path, ["zero"]), *rule_flags(given, {})),
            *prompt_flags(tmp_path, PROMPT),
            *(
                "--sampling",
                json.dumps({"top_k": 2}),
                "--request",
                "{}",
                "--verdicts",
                tmp_path / "v.parquet",
            ),
        )
    assert done.returncode == 0, done.stderr
    ((picture, text),) = (body["messages"][0]["content"] for body in bodies)
    assert base64.b64decode(picture["image_url"]["url"].partition(",")[2]) == png(7)
    assert text["text"] == verdict.build_prompt(PROMPT, "What is 0?", "It is 0.", "zero")
    assert [row["score"] for row in batch.rows("v.parquet")] == [4]
