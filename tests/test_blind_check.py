"""Whether a question about a picture needs it: the text teacher is asked without."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow.parquet as pq
import pytest
from test_picture_questions import ASKED, OFF

import nasty
from containers import write_array, write_zip
from fault_server import Ask, FaultServer, Reply
from prep.reasoning.blind_check import find_needs
from teachers import VERDICT, teach
from workflow import Build, config

PAIRS = 100
SOURCE = {key: value for key, value in ASKED.items() if key not in ("choices", "answer_by")}

KINDS = {
    "by rule": (lambda number: f"It is {number}.", False),
    "wrong": (lambda number: f"It is {number + 1}.", True),
    "by the judge": (lambda number: f"As many as in row {number}, I should think.", False),
    "refused": (lambda number: "I'm unable to view the picture.", True),
    "malformed": (lambda number: None, None),
}
"""What the text teacher says of a question without its picture, and whether it needs the picture then."""


def kind_of(number: int) -> str:
    return list(KINDS)[number % len(KINDS)]


class Script:
    """The teacher of pictures, which is always right, the text teacher, and a judge who knows the rows."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    def __call__(self, ask: Ask) -> Reply:
        content = ask.body["messages"][-1]["content"]
        text = content if isinstance(content, str) else content[-1]["text"]
        found = re.search(r"Pair (\d+):", text)
        if found is None:  # the probe
            return teach(ask)
        number = int(found[1])
        if "response_format" in ask.body:
            self.asked["judge"] += 1
            said = "fail" if f"It is {number + 1}." in text else "pass"
            return Reply(content=json.dumps(VERDICT | {"verdict": said}))
        if not isinstance(content, str):
            self.asked["picture"] += 1
            return Reply(content=f"<think>\nhm\n</think>\n\nThe picture shows it: {number}.")
        self.asked["blind"] += 1
        say, _ = KINDS[kind_of(number)]
        answer = say(number)
        return Reply(content="no thought" if answer is None else f"<think>\nhm\n</think>\n\n{answer}")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Build, Script]]:
    folder = tmp_path_factory.mktemp("blind")
    repo = folder / "hub/org/asked"
    rows = [
        {"query": f"Pair {row}: how many?", "picture": f"{row}.png", "label": str(row)}
        for row in range(PAIRS)
    ]
    write_array(repo / "main/train.json", rows)
    pictures = {
        f"{row}.png": nasty.encoded(nasty.photograph(30 + row % 50, 20 + row % 7), "PNG")
        for row in range(PAIRS)
    }
    write_zip(repo / "images.zip", pictures)
    changes: dict[str, Any] = {"hub": {"mirror": str(folder / "hub")}, "onevision": None}
    changes |= {"sources": dict.fromkeys(OFF), "text_reasoning": {"sources": [SOURCE]}}
    script = Script()
    with FaultServer(script, slots=16) as server:
        changes["image_reasoning"] = {"blind_check": "column"}
        build = Build(folder / "build", config(server.base_url, **changes))
        build.first = build.run("data/manifest/image_thinking.json", "--quiet", "progress")
        yield build, script


def needs(build: Build) -> dict[int, bool | None]:
    """The column of each row that is kept, by the row's number in its source."""
    rows = pq.read_table(build.folder / "data/image_thinking.parquet", columns=["id", "needs_picture"])
    return {int(re.search(r":(\d+)#", row["id"])[1]): row["needs_picture"] for row in rows.to_pylist()}


def test_what_is_answered_right_without_its_picture_does_not_need_it(built: tuple[Build, Script]) -> None:
    build, script = built
    assert build.first.returncode == 0, build.first.output[-4000:]
    assert needs(build) == {number: KINDS[kind_of(number)][1] for number in range(PAIRS)}
    # The judge is asked about each answer with the picture, and of the others where no rule agrees.
    judged = sum(kind_of(number) in ("wrong", "by the judge") for number in range(PAIRS))
    assert script.asked == {"picture": PAIRS, "blind": PAIRS, "judge": PAIRS + judged}


def test_the_filter_rejects_what_does_not_need_it_and_asks_nothing(built: tuple[Build, Script]) -> None:
    build, script = built
    before = Counter(script.asked)
    build.config["image_reasoning"]["blind_check"] = "filter"
    done = build.run("data/manifest/image_thinking.json")
    assert done.returncode == 0, done.output[-4000:]
    assert script.asked == before
    left = {number: found for number in range(PAIRS) if (found := KINDS[kind_of(number)][1]) is not False}
    assert needs(build) == left
    manifest = build.manifest("image_thinking")
    assert manifest["rejected"] == {"picture_not_needed": PAIRS - len(left)}
    assert manifest["read"] == PAIRS
    assert "Nothing to be done" in build.run("data/manifest/image_thinking.json", "--dry-run").output


def test_without_the_check_the_text_teacher_is_not_asked(built: tuple[Build, Script]) -> None:
    build, script = built
    before = Counter(script.asked)
    build.config["image_reasoning"]["blind_check"] = False
    done = build.run("data/manifest/image_thinking.json")
    assert done.returncode == 0, done.output[-4000:]
    assert script.asked == before
    assert set(needs(build).values()) == {None}
    assert build.manifest("image_thinking")["rejected"] == {}


def test_the_plan_counts_what_is_asked_without_pictures(built: tuple[Build, Script]) -> None:
    build, _ = built
    build.config["image_reasoning"]["blind_check"] = "column"
    plan = build.run("plan", "--quiet")
    assert plan.returncode == 0, plan.output
    assert re.search(rf"image +blind +qwen3 +{PAIRS} +model +{PAIRS} +0 ", plan.output), plan.output
    # What a rule decided is not asked.
    assert re.search(r"^in all +360 +340 +0 ", plan.output, re.MULTILINE), plan.output


def test_an_answer_that_never_came_tells_nothing() -> None:
    answer = {"id": "q#blind.0", "question_id": "q", "mode": "blind", "sample": 0, "detail": "slow"}
    assert find_needs([answer | {"reason": "timeout"}], [], "ask") == {"q": None}
    assert find_needs([answer | {"reason": None}], [], "ask") == {"q": None}
