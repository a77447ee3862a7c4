"""Duplicates and leaks through all of stage 3: rows add up, and a changed setting asks nothing again."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from containers import write_array, write_zip
from fault_server import Ask, FaultServer, Reply
from nasty import encoded
from scenery import paint
from teachers import teach
from workflow import Build, config

OFF = ["LLaVA_ReCap_558K", "LLaVA_ReCap_CC3M", "LLaVA_ReCap_CC12M", "synthdog_en", "synthdog_zh"]
RIVERS = "Name the three largest rivers of South America and say where each of them meets the sea."
TEXTS = {
    "one": [RIVERS, RIVERS.replace("largest", "biggest"), "What is 6 times 7?", "Why is the sky blue?"],
    "two": ["WHY is the sky blue?", "Why is grass green?"],
}
PICTURED = [(1, "Which?"), (1, "which?"), (2, "Which?"), (3, "Which?"), (1, "Where?")]
FILTERS = {
    "text_reasoning": {"duplicates": "near"},
    "image_reasoning": {"duplicates": "near"},
    "decontaminate": {"questions": ["eval/sums.jsonl"], "pictures": ["eval/pictures"]},
}


class Teachers:
    """The stand-in of teachers and judge; it counts what is no probe."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, ask: Ask) -> Reply:
        self.asked += "max_tokens" not in ask.body
        return teach(ask)


def write_sources(folder: Path) -> dict[str, Any]:
    """A mirror with two sources of texts and one of pictures, evaluation sets, and the config of them."""
    sources = []
    for name, texts in TEXTS.items():
        write_array(folder / f"hub/org/{name}/data/train-0.json", [{"q": text, "a": "so"} for text in texts])
        sources.append({"repo": f"org/{name}", "question": ["q"], "reference": "a"})
    rows = [{"q": text, "a": "so", "picture": f"{row}.png"} for row, (_, text) in enumerate(PICTURED)]
    write_array(folder / "hub/org/seen/data/train-0.json", rows)
    pictures = {f"{row}.png": encoded(paint(seed), "PNG") for row, (seed, _) in enumerate(PICTURED)}
    write_zip(folder / "hub/org/seen/images.zip", pictures)
    about = {"image": "picture", "pictures": {"files": ["images.zip"]}}
    sources.append({"repo": "org/seen", "question": ["q"], "reference": "a"} | about)
    (folder / "build/eval/pictures").mkdir(parents=True)
    paint(3).resize((240, 180)).save(folder / "build/eval/pictures/a.jpg")
    (folder / "build/eval/sums.jsonl").write_text(json.dumps({"question": "what is 6 times 7"}) + "\n")
    return {
        "hub": {"mirror": str(folder / "hub")},
        "onevision": None,
        "sources": dict.fromkeys(OFF),
        "text_reasoning": {
            "sources": [{"revision": "main"} | each for each in sources],
            "no_think_share": 0,
        },
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Build, Teachers, list[Any]]]:
    """A build without filters, and again with them; what was asked, and the manifests, after each run."""
    folder, teachers, seen = tmp_path_factory.mktemp("filtered"), Teachers(), []
    given = write_sources(folder)
    with FaultServer(teachers, slots=16) as server:
        build = Build(folder / "build", config(server.base_url, **given))
        for changes in ({}, FILTERS):
            for key, value in changes.items():
                build.config[key] = build.config.get(key, {}) | value
            done = build.run("stage3", "--quiet", "progress")
            assert done.returncode == 0, done.output[-4000:]
            seen.append((teachers.asked, build.manifest("text2image"), build.manifest("image_thinking")))
        yield build, teachers, seen


def counts(manifest: dict[str, Any]) -> tuple[int, int, dict[str, int]]:
    return manifest["read"], manifest["kept"], manifest["rejected"]


def test_without_filters_every_question_is_asked(built: tuple[Build, Teachers, list[Any]]) -> None:
    _, _, [(asked, text, image), _] = built
    assert counts(text) == (6, 6, {})
    assert counts(image) == (5, 5, {})
    assert asked == 2 * 11


def test_with_filters_rows_add_up_and_nothing_is_asked_again(
    built: tuple[Build, Teachers, list[Any]],
) -> None:
    build, teachers, [(asked, *_), (_, text, image)] = built
    assert counts(text) == (6, 3, {"contaminated": 1, "duplicate": 2})
    assert counts(image) == (5, 3, {"contaminated": 1, "duplicate": 1})
    assert teachers.asked == asked
    rejects = {
        name: [
            (row["id"], row["reason"], row["detail"])
            for row in pq.read_table(build.folder / f"data/rejects/{name}.parquet").to_pylist()
        ]
        for name in ("text2image", "image_thinking")
    }
    assert rejects == {
        "text2image": [
            ("one/train-0:1", "duplicate", "one/train-0:0"),
            ("one/train-0:2", "contaminated", "sums.jsonl:0"),
            ("two/train-0:0", "duplicate", "one/train-0:3"),
        ],
        "image_thinking": [
            ("seen/train-0:1", "duplicate", "seen/train-0:0"),
            ("seen/train-0:3", "contaminated", "pictures/a.jpg"),
        ],
    }


def test_a_touched_evaluation_file_reruns_nothing_and_a_changed_one_what_depends_on_it(
    built: tuple[Build, Teachers, list[Any]],
) -> None:
    build, *_ = built
    file = build.folder / "eval/sums.jsonl"
    file.touch()
    assert "Nothing to be done" in build.run("stage3", "-n").output
    file.write_text(json.dumps({"question": "Why is grass green?"}) + "\n")
    work = build.run("stage3", "-n").work
    assert {"filter_text", "batch_questions"} <= work
    others = ("_image", "image_thinking", "read_questions", "sample_", "fetch_", "probe_")
    assert not {each for each in work if any(other in each for other in others)}
