"""The judge, measured through Snakemake: rates, report and card, and what is asked again."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import nasty
from containers import write_array, write_zip
from fault_server import Ask, FaultServer, Reply
from prep.reasoning.calibration import GROUPS, Group, Kind, find_interval
from prep.storage import parquet
from prep.storage.schema import VERDICTS
from running import run
from teachers import VERDICT, teach
from workflow import Build, Run, config

OFF = ["LLaVA_ReCap_558K", "LLaVA_ReCap_CC3M", "LLaVA_ReCap_CC12M", "synthdog_en", "synthdog_zh"]
PROSE = "Gravity is the mutual attraction of masses, which Newton and Einstein described."
TEXTS = [
    *({"query": f"What is {number} plus {number}?", "label": str(2 * number)} for number in range(3, 7)),
    {"query": "Is a rose a plant?", "label": "Yes"},
    {"query": "What is gravity?", "label": PROSE},
]
ASKED = {"query": "Which is it?", "options": ["red", "blue"]}
PICTURES = [ASKED | {"picture": f"{number}.png", "label": number % 2} for number in range(4)]
COMMON = {"revision": "main", "files": ["main/*.json"], "question": ["query"], "reference": "label"}
SOURCES = [
    COMMON | {"name": "sums", "repo": "org/sums"},
    COMMON
    | {"name": "seen", "repo": "org/seen", "image": "picture", "pictures": {"files": ["images.zip"]}}
    | {"choices": "options", "answer_by": "index"},
]
CALIBRATION_RULES = {
    *("plant_errors", "compare_planted_text", "compare_planted_image", "judge_planted_text"),
    *("judge_planted_image", "judge_calibration"),
}


def decide(answer: str) -> str | None:
    """The verdict on an answer: unclear on a phrase that ends in a colon, else by its length."""
    return None if answer.endswith(":") else "pass" if len(answer) % 3 else "fail"


class Judge:
    """The stand-in of teachers and judge; it counts what the judge is asked, with a picture and without."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.answers: set[str] = set()

    def __call__(self, ask: Ask) -> Reply:
        if "response_format" not in ask.body or "max_tokens" in ask.body:  # a probe
            return teach(ask)
        content = ask.body["messages"][-1]["content"]
        self.asked["text" if isinstance(content, str) else "image"] += 1
        text = content if isinstance(content, str) else content[-1]["text"]
        answer = re.search(r"<answer-(\w+)>\n(.*)\n</answer-\1>", text, re.DOTALL)[2]
        self.answers.add(answer)
        said = "pass" if "answer" in answer or "It is" in answer else decide(answer)
        return Reply(content=json.dumps(VERDICT | {"verdict": said, "reason": "ok"}) if said else "hm")


@dataclass
class Built:
    """A build with a scripted judge, its run of `all`, and its first calibration."""

    build: Build
    judge: Judge
    everything: Run
    measured: Run

    def planted(self, what: str) -> list[dict[str, Any]]:
        return list(parquet.read_rows(self.build.folder / f"work/plant_errors/{what}.parquet"))

    def page(self, name: str) -> str:
        return (self.build.folder / f"data/{name}").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    folder = tmp_path_factory.mktemp("calibration")
    write_array(folder / "hub/org/sums/main/train.json", TEXTS)
    write_array(folder / "hub/org/seen/main/train.json", PICTURES)
    pictures = {f"{n}.png": nasty.encoded(nasty.photograph(30 + n, 20), "PNG") for n in range(len(PICTURES))}
    write_zip(folder / "hub/org/seen/images.zip", pictures)
    changes: dict[str, Any] = {"hub": {"mirror": str(folder / "hub")}, "onevision": None}
    changes["sources"] = dict.fromkeys(OFF)
    changes["text_reasoning"] = {"sources": SOURCES, "max_malformed_share": 1}
    changes["image_reasoning"] = {"max_malformed_share": 1}
    judge = Judge()
    with FaultServer(judge, slots=16) as server:
        build = Build(folder / "build", config(server.base_url, **changes))
        everything = build.run("all")
        assert everything.returncode == 0, everything.output[-4000:]
        assert "The judges, measured" not in (build.folder / "data/report.html").read_text(encoding="utf-8")
        yield Built(build, judge, everything, build.run("judge_calibration"))


def expected(planted: list[dict[str, Any]]) -> dict[Kind, Counter[str]]:
    """What is to come of planted answers, by kind."""
    found: dict[Kind, Counter[str]] = {kind: Counter() for kind in Kind}
    for row in planted:
        text = row["text"]
        said = "pass" if "answer" in text or "It is" in text else decide(text)
        found[Kind(row["mode"])][{"pass": "passed", "fail": "failed", None: "unclear"}[said]] += 1
    return found


def test_all_does_not_measure(built: Built) -> None:
    assert set(built.everything.jobs) & CALIBRATION_RULES == set()
    assert set(built.measured.jobs) == CALIBRATION_RULES


def test_the_rates_are_those_of_the_judge(built: Built) -> None:
    assert built.measured.returncode == 0, built.measured.output[-4000:]
    calibration = json.loads(built.page("calibration.json"))
    assert calibration["samples"] == 200
    for what, artifact in (("text", "text2image"), ("image", "image_thinking")):
        task, planted = calibration["tasks"][what], built.planted(what)
        assert (task["artifact"], task["judge"], task["min_score"]) == (artifact, "model", 3)
        counts = expected(planted)
        assert sum(line["planted"] for line in task["kinds"].values()) == len(planted)
        for group, kinds in GROUPS.items():
            for kind in kinds:
                line, of_kind = task["kinds"][kind], counts[kind]
                assert line["planted"] == of_kind.total()
                assert {name: line[name] for name in ("passed", "failed", "unclear")} == {
                    name: of_kind[name] for name in ("passed", "failed", "unclear")
                }
                heard = line["passed"] + line["failed"]
                wrong = of_kind["failed" if group is Group.RIGHT else "passed"]
                assert line["rate"] == (round(wrong / heard, 4) if heard else None)
                if heard:
                    assert line["interval"] == pytest.approx(find_interval(wrong, heard), abs=1e-4)
        for group, line in task["sums"].items():
            assert line["planted"] == sum(task["kinds"][kind]["planted"] for kind in GROUPS[Group(group)])
    kinds = {what: calibration["tasks"][what]["kinds"] for what in ("text", "image")}
    assert kinds["text"][Kind.ANOTHER_NUMBER]["planted"] == 4
    assert kinds["text"][Kind.NEGATION]["planted"] == 1
    assert kinds["image"][Kind.ANOTHER_CHOICE]["planted"] == 4
    for what, kind in (("image", Kind.NEGATION), ("text", Kind.ANOTHER_CHOICE)):
        assert (kinds[what][kind]["planted"], kinds[what][kind]["rate"]) == (0, None)


def test_the_judge_is_asked_once_about_each_planted_answer_with_its_picture(built: Built) -> None:
    answered = {"text": len(TEXTS) * 3, "image": len(PICTURES)}
    for what in ("text", "image"):
        planted = built.planted(what)
        assert {row["text"] for row in planted} <= built.judge.answers
        most = len(planted) + answered[what]
        assert len(planted) < built.judge.asked[what] <= most


def test_a_second_call_has_nothing_to_do_and_a_lost_file_asks_nothing_again(built: Built) -> None:
    assert "Nothing to be done" in built.build.run("judge_calibration").output
    asked, before = Counter(built.judge.asked), built.page("calibration.json")
    for file in [*(built.build.folder / "work/judge_planted").iterdir()]:
        file.unlink()
    (built.build.folder / "data/calibration.json").unlink()
    again = built.build.run("judge_calibration")
    assert {"judge_planted_text", "judge_planted_image"} <= set(again.jobs)
    assert built.judge.asked == asked
    assert built.page("calibration.json") == before


def test_report_and_card_show_the_rates_and_another_judges_not(built: Built) -> None:
    shown = built.build.run("all")
    assert set(shown.jobs) - {"all"} == {"publish_card", "publish_report"}
    assert "Nothing to be done" in built.build.run("all").output
    line = json.loads(built.page("calibration.json"))["tasks"]["text"]["sums"]["wrong"]
    heard = line["passed"] + line["failed"]
    assert f"Of {heard} errors that were planted `model` passed {line['wrong']}" in built.page("README.md")
    report = built.page("report.html")
    assert "The judges, measured" in report
    assert "image_thinking, judged by" in report
    assert '<td class="number">none</td>' in report
    prompt = built.build.folder / "prompt.md"
    prompt.write_text("Q {question} R {reference} A {answer}")
    given = built.build.config["text_reasoning"]
    given["judge_prompt"] = str(prompt)
    try:
        planned = built.build.run("judge_calibration", "-n")
        assert {"judge_planted_text", "judge_calibration"} <= set(planned.jobs)
        assert "judge_planted_image" not in planned.jobs
        built.build.run("publish_built")
        assert "The judges, measured" not in built.page("report.html")
        assert "measured.**" not in built.page("README.md")
    finally:
        del given["judge_prompt"]


def test_without_a_judge_to_measure_it_says_so(tmp_path: Path) -> None:
    flags = ("--about", "{}", "--samples", 9, "--verdicts", "--calibration", tmp_path / "c.json")
    done = run("judge_calibration.py", *flags)
    assert done.returncode == 1
    assert done.last.startswith("error: no judge is asked")


def test_the_table_tells_what_is_apart(tmp_path: Path) -> None:
    said = [
        *(("negation", "pass", ""), ("negation", "fail", ""), ("negation", None, "no verdict in: hm")),
        ("reference", None, "timeout: after 600 s"),
    ]
    rows = [
        {"id": f"s/f:{n}#{kind}.0", "verdict": word, "score": word and 4, "reason": None, "detail": detail}
        for n, (kind, word, detail) in enumerate(said)
    ]
    parquet.write_rows(tmp_path / "v.parquet", [row | {"rule": None} for row in rows], VERDICTS)
    about = {"text": {"artifact": "text2image", "judge": "model", "min_score": 3}}
    done = run(
        *("judge_calibration.py", "--about", json.dumps(about), "--samples", 9),
        *("--verdicts", tmp_path / "v.parquet", "--calibration", tmp_path / "c.json"),
    )
    assert done.returncode == 0, done.stderr
    lines = {line[:52].strip(): line[52:].strip() for line in done.stdout.splitlines()[1:]}
    assert lines["no for yes, or yes for no"] == "1 of 2: 50 % (1.2 to 98.8 %), 1 unclear"
    assert lines["another number"] == "none"
    assert lines["the reference itself"] == "no verdict"
