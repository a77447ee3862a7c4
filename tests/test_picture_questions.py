"""Questions about pictures from a JSON file with a zip: from a mirror to image_thinking, by config alone."""

from collections.abc import Iterator
from typing import Any

import pyarrow.parquet as pq
import pytest

import nasty
from containers import write_array, write_zip
from fault_server import FaultServer
from teachers import teach
from workflow import Build, config

OFF = ["LLaVA_ReCap_558K", "LLaVA_ReCap_CC3M", "LLaVA_ReCap_CC12M", "synthdog_en", "synthdog_zh"]
ASKED = {
    **{
        "name": "ours/asked",
        "repo": "org/asked",
        "revision": "main",
        "files": ["main/*.json"],
        "question": ["query"],
    },
    **{"reference": "label", "choices": "options", "answer_by": "index", "image": "picture"},
    "pictures": {"files": ["images.zip"]},
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Build]:
    folder = tmp_path_factory.mktemp("asked")
    repo = folder / "hub/org/asked"
    about = {"query": "Which?", "options": ["red", "blue"]}
    rows = [about | {"picture": f"{row}.png", "label": row} for row in range(3)]
    write_array(repo / "main/train.json", [*rows, about | {"picture": "none.png", "label": 0}])
    write_zip(repo / "images.zip", {f"{row}.png": picture(row) for row in range(3)})
    changes: dict[str, Any] = {"hub": {"mirror": str(folder / "hub")}, "onevision": None}
    changes |= {"sources": dict.fromkeys(OFF), "text_reasoning": {"sources": [ASKED]}}
    with FaultServer(teach, slots=16) as server:
        build = Build(folder / "build", config(server.base_url, **changes))
        build.first = build.run("data/image_thinking.parquet", "--quiet", "progress")
        yield build


def picture(number: int) -> bytes:
    return nasty.encoded(nasty.photograph(30 + number, 20), "PNG")


def test_the_questions_are_asked_with_their_pictures(built: Build) -> None:
    assert built.first.returncode == 0, built.first.output
    rows = pq.read_table(built.folder / "data/image_thinking.parquet").to_pylist()
    assert [row["id"] for row in rows] == [f"ours/asked/train:{row}#thinking.0" for row in range(2)]
    assert [row["images"] for row in rows] == [
        [{"bytes": picture(row), "path": f"{row}.png"}] for row in range(2)
    ]
    assert {row["messages"][0]["content"] for row in rows} == {"<image>\nWhich?\nA. red\nB. blue"}
    assert {row["source"] for row in rows} == {"org/asked"}


def test_every_row_and_file_is_in_the_manifest(built: Build) -> None:
    manifest = built.manifest("image_thinking")
    assert (manifest["read"], manifest["kept"]) == (4, 2)
    assert manifest["rejected"] == {"image_missing": 1, "choice_invalid": 1}
    assert [file["file"] for file in manifest["sources"]] == ["main/train.json", "images.zip"]


def test_a_second_run_has_nothing_to_do_and_the_plan_counts_them(built: Build) -> None:
    again = built.run("data/image_thinking.parquet")
    assert "Nothing to be done" in again.output, again.output
    plan = built.run("plan", "--quiet")
    assert plan.returncode == 0, plan.output
    assert "org/asked" not in plan.output
    assert "image_thinking" in plan.output
