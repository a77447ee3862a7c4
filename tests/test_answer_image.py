"""What the vision teacher is asked: the source's own picture, and the question without its tag."""

import base64
import io
from dataclasses import replace

from PIL import Image

from batch import Batch, question
from fault_server import Ask, FaultServer, Reply
from prep.reasoning.batch import AnswerTask, build_answer_request
from prep.records.question import Question
from teachers import teach

REQUEST = ("--request", '{"thinking": {}}')


def png(shade: int) -> bytes:
    data = io.BytesIO()
    Image.new("L", (32, 32), shade).save(data, "PNG")
    return data.getvalue()


def test_the_picture_goes_first_as_it_is(tmp_path):
    bodies = []

    def plan(ask: Ask) -> Reply:
        bodies.append(ask.body)
        return teach(ask)

    rows = [question(number, f"<image>\nWhat is {number}?", png(number)) for number in range(3)]
    with FaultServer(plan) as server:
        batch = Batch(tmp_path, rows, server)
        flags = (
            "--form",
            "auto",
            "--request",
            '{"thinking": {}}',
            "--thinking",
            '{"temperature": 0.8, "top_k": 2}',
            "--samples",
            2,
        )
        done = batch.ask("answer_image.py", *flags, "--answers", tmp_path / "a.parquet")
    assert done.returncode == 0, done.stderr
    assert [row["id"] for row in batch.rows("a.parquet")] == [
        f"set/file:{number}#thinking.{sample}" for number in range(3) for sample in (0, 1)
    ]
    sent = sorted((body["messages"][0]["content"] for body in bodies), key=str)
    pictures = {base64.b64decode(parts[0]["image_url"]["url"].partition(",")[2]) for parts in sent}
    assert pictures == {png(0), png(1), png(2)}
    assert all(parts[0]["image_url"]["url"].startswith("data:image/png;base64,") for parts in sent)
    assert {parts[1]["text"] for parts in sent} == {"What is 0?", "What is 1?", "What is 2?"}
    assert all((body["temperature"], body["top_k"]) == (0.8, 2) for body in bodies)
    assert len({body["seed"] for body in bodies}) == 6


def test_what_requests_were_paid_for_stays_so():
    """See the test of the same name for texts."""
    picture = b"\xff\xd8\xff picture"
    row = question(5, "<image>\nWhat is written?", picture) | {
        "id": "llavaonevision_converted/iiit5k/train:5"
    }
    row.pop("image")
    asked = Question(**row, image=picture, image_path="p.jpg")
    found = build_answer_request(
        AnswerTask(asked, "thinking", 0), {"thinking": {"temperature": 0.8}}, 42, {"thinking": {}}
    )
    key = "53d40274c0c99788d24c42eb1ac578e3d404ef27440513ba2473d083ef081d26"
    assert found.key("THUDM/GLM-4.1V-9B-Thinking") == key
    task = AnswerTask(replace(asked, question="<image>\n<|image|>"), "thinking", 0)
    broken = build_answer_request(task, {"thinking": {}}, 42, {"thinking": {}})
    assert broken.messages == [{"role": "user", "content": "<|\u2060image|>"}]


def test_tags_of_the_form_are_not_in_what_is_kept(tmp_path):
    with FaultServer(teach) as server:
        batch = Batch(
            tmp_path, [question(0, "<image>\nWhat?", png(0)), question(1, "X<image>", png(1))], server
        )
        flags = ("--form", "auto", *REQUEST, "--thinking", "{}", "--samples", 1)
        batch.ask("answer_image.py", *flags, "--answers", tmp_path / "a.parquet")
    for row in batch.rows("a.parquet"):
        assert row["text"].startswith("<think>\nI see ")
        assert "<answer>" not in row["text"]
        assert "box" not in row["text"]
