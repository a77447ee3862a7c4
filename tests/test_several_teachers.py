"""Several teachers of one task: each asks, the best verdict is kept, a column tells whose it is."""

import hashlib
import json
from collections import Counter
from typing import Any

import pyarrow.parquet as pq
import pytest

from fault_server import Ask, FaultServer, Reply
from prep.storage.schema import REASONED
from teachers import VERDICT, teach
from workflow import Build, config
from workflow_lib.teachers import resolve_teachers

SHARED = {"batch_size": 12}
SECOND = {"server": "second", "form": "close_only", "sampling": {"thinking": {"temperature": 1.0}}}


class Teachers:
    """The stand-in of both teachers and of the judge, who prefers every second answer of the second."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    def __call__(self, ask: Ask) -> Reply:
        body, content = ask.body, ask.body["messages"][-1]["content"]
        if "max_tokens" not in body:  # the probe has some
            self.asked["judge" if "response_format" in body else body["model"]] += 1
        if "response_format" in body:
            text = content if isinstance(content, str) else json.dumps(content)
            better = "by the second" in text and hashlib.sha256(text.encode()).digest()[0] % 2
            score = 5 if better else VERDICT["score"]
            return Reply(content=json.dumps(VERDICT | {"score": score, "reason": "ok"}))
        if body["model"] == "other":
            thought = "" if str(content).endswith(" /no_think") else "I think."
            return Reply(content=f"{thought}</think>by the second")
        return teach(ask)


def rows_of(build: Build, name: str) -> list[dict[str, Any]]:
    return pq.read_table(build.folder / f"data/{name}.parquet").to_pylist()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory):
    """A build with one teacher for each task, its stand-ins, and the config of the second server."""
    teachers = Teachers()
    with FaultServer(teachers, slots=16, models=("model", "other")) as server:
        own = config(
            server.base_url,
            onevision={"configs": ["iiit5k"]},
            text_reasoning={"max_questions": 3, "no_think_share": 0.5, **SHARED},
            image_reasoning={"samples_per_config": 4, **SHARED},
        )
        own["servers"]["second"] = own["servers"]["qwen3"] | {"model": "other"}
        build = Build(tmp_path_factory.mktemp("several"), own)
        done = build.run("stage3")
        assert done.returncode == 0, done.output[-4000:]
        yield build, teachers


def test_a_second_teacher_asks_alone_and_the_best_verdict_is_kept(built: tuple[Build, Teachers]) -> None:
    build, teachers = built
    one = {name: rows_of(build, name) for name in ("text2image", "image_thinking")}
    assert pq.read_schema(build.folder / "data/text2image.parquet").names == REASONED.names
    due = {name: build.manifest(name)["read"] for name in one}
    build.config["text_reasoning"]["teachers"] = ["qwen3", SECOND]
    build.config["image_reasoning"]["teachers"] = ["glm41v", SECOND]
    before = Counter(teachers.asked)
    done = build.run("stage3")
    assert done.returncode == 0, done.output[-4000:]
    # What the first answered stands, and so do the verdicts about it.
    assert {"answer_text", "judge_text", "answer_image", "judge_image"} & set(done.jobs) == set()
    assert {"answer_text_second", "judge_text_second", "answer_image_second"} <= set(done.jobs)
    assert teachers.asked - before == Counter(other=sum(due.values()), judge=sum(due.values()))
    for name, kept in one.items():
        manifest, rows = build.manifest(name), rows_of(build, name)
        assert manifest["read"] == 2 * due[name] == len(rows) + sum(manifest["rejected"].values())
        assert manifest["rejected"] == {"not_best": len(kept)}
        contract = REASONED.names[: REASONED.names.index("score") + 1]
        assert [*contract, "teacher", *REASONED.names[len(contract) :]] == list(rows[0])
        assert len({row["id"] for row in rows}) == len(rows)
        for row in rows:
            second = row["teacher"] == "second"
            assert row["score"] == (5 if second else 4)
            assert row["id"].endswith(".1" if second else ".0")
            assert ("by the second" in row["messages"][1]["content"]) == second
    # Of equally good answers the first teacher's is kept.
    assert {row["teacher"] for row in rows_of(build, "text2image")} == {"qwen3", "second"}
    again = build.run("stage3", "--dry-run")
    assert "Nothing to be done" in again.output


def test_teachers_share_the_questions_by_hash(built: tuple[Build, Teachers]) -> None:
    build, teachers = built
    build.config["text_reasoning"] |= {"teachers": ["qwen3", SECOND], "mix": "hash"}
    build.config["image_reasoning"].pop("teachers", None)
    before = Counter(teachers.asked)
    done = build.run("data/manifest/text2image.json")
    assert done.returncode == 0, done.output[-4000:]
    assert teachers.asked == before  # every answer and verdict was journaled
    rows, manifest = rows_of(build, "text2image"), build.manifest("text2image")
    assert manifest["rejected"] == {}
    assert {row["id"].rpartition(".")[2] for row in rows} == {"0"}
    by_question = {(row["id"].partition("#")[0], row["teacher"]) for row in rows}
    assert len(by_question) == len({question for question, _ in by_question})
    assert {teacher for _, teacher in by_question} == {"qwen3", "second"}


def test_the_pass_rate_of_another_server_is_a_column_and_a_filter(built: tuple[Build, Teachers]) -> None:
    build, teachers = built
    build.config["image_reasoning"].pop("teachers", None)
    for samples in (1, 2):
        rated = SECOND | {"samples": samples}
        build.config["text_reasoning"] |= {"teachers": ["qwen3"], "pass_rate_server": rated}
        before = Counter(teachers.asked)
        done = build.run("data/manifest/text2image.json")
        assert done.returncode == 0, done.output[-4000:]
    rows, manifest = rows_of(build, "text2image"), build.manifest("text2image")
    # One sample more is asked for.
    assert teachers.asked - before == Counter(other=manifest["read"], judge=manifest["read"])
    assert "teacher" not in rows[0]
    assert {row["pass_rate"] for row in rows} == {1.0}
    assert not any("by the second" in row["messages"][1]["content"] for row in rows)
    before = Counter(teachers.asked)
    build.config["text_reasoning"] |= {"pass_rate": [0.0, 0.5], "allow_empty": True}
    done = build.run("data/manifest/text2image.json")
    assert done.returncode == 0, done.output[-4000:]
    assert teachers.asked == before
    assert build.manifest("text2image")["rejected"] == {"pass_rate": manifest["read"]}


def test_a_list_of_one_is_as_if_teacher_named_it() -> None:
    plain = {"teacher": "a", "form": "auto", "sampling": {"judge": {}, "thinking": {}}, "request": {}}
    listed = plain | {"teacher": "b", "teachers": ["a"], "mix": "hash"}
    resolve_teachers(listed)
    assert listed == plain


def test_what_an_entry_leaves_out_is_the_tasks() -> None:
    sampling = {"thinking": {"temperature": 0.6, "top_k": 20}, "judge": {"temperature": 0}}
    task = {"teacher": "a", "form": "auto", "sampling": sampling, "request": {"thinking": {}, "judge": {}}}
    task["teachers"] = [SECOND, "a"]
    resolve_teachers(task)
    assert task["teacher"] == "second"
    assert task["form"] == "close_only"
    assert task["sampling"] == {"thinking": {"temperature": 1.0}, "judge": {"temperature": 0}}
    assert task["teachers"]["a"] == {
        "form": "auto",
        "sampling": {"thinking": {"temperature": 0.6, "top_k": 20}},
        "request": {"thinking": {}},
    }
    assert task["mix"] == "all"
