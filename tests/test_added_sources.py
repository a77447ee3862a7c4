"""Sources that only a config adds: from a mirror's parquet to an artifact with its manifest and card."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import nasty
from prep.storage.atomic import read_json
from workflow import Build, config

SHARED = {"repo": "org/mine", "revision": "main", "stage": 2, "licence": "CC-BY-4.0", "note": "cite it"}
CAPTION = SHARED | {"form": "caption", "prompts": ["Describe it.", "What is there?"]}
RECAP = [f"LLaVA_ReCap_{size}" for size in ("558K", "CC3M", "CC12M")]
OFF = dict.fromkeys([*RECAP, "synthdog_en", "synthdog_zh"])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Three sources: captions of plain bytes, questions with choices, messages about several pictures."""
    folder = tmp_path_factory.mktemp("added")
    first, second = nasty.plain(), nasty.encoded(nasty.photograph(30, 20), "PNG")
    write(
        folder / "hub/org/mine/data/train-00000-of-00001.parquet",
        {
            "picture": pa.array([first, None, second, b"none"]),
            "txt": ["A cat.", "A dog.", None, "A bird."],
        },
    )
    write(
        folder / "hub/org/asked/train/part.parquet",
        {
            "image": [{"bytes": first, "path": "a.jpg"}] * 2,
            "query": ["Which?", "Which?"],
            "options": [["red", "blue"]] * 2,
            "label": [1, 2],
        },
    )
    turns = [{"role": "user", "content": "<image> or <image>?"}, {"role": "assistant", "content": "Both."}]
    pictures = [{"bytes": first, "path": None}, {"bytes": second, "path": "b.png"}]
    write(
        folder / "hub/org/chat/data/train-00000-of-00001.parquet",
        {"images": [pictures, pictures[:1], [], None], "messages": [turns] * 4},
    )
    sources = {
        "mine": CAPTION | {"columns": {"image": "picture", "text": "txt"}},
        "ours/asked": SHARED
        | {"repo": "org/asked", "form": "qa", "files": ["train/*.parquet"], "answer_by": "index"}
        | {"columns": {"question": "query", "answer": "label", "choices": "options"}},
        "chat": SHARED | {"repo": "org/chat", "form": "messages", "columns": {"image": "images"}},
    }
    changes: dict[str, Any] = {"hub": {"mirror": str(folder / "hub")}, "onevision": None}
    changes["text_reasoning"] = {"sources": []}
    build = Build(folder / "build", config("http://127.0.0.1:1/v1", **changes, sources=OFF | sources))
    build.first = build.run("all", "--quiet", "progress")
    return build


def write(path: Path, columns: dict) -> None:
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table(columns), path)


def contents(build: Build, name: str) -> list[list[str]]:
    rows = pq.read_table(build.folder / f"data/{name}.parquet").to_pylist()
    return [[message["content"] for message in row["messages"]] for row in rows]


def reasons(build: Build, name: str) -> dict[int, str]:
    table = pq.read_table(build.folder / f"data/rejects/{name}.parquet").to_pylist()
    return {row["row"]: row["reason"] for row in table}


def test_they_are_all_that_is_built_and_a_second_run_has_nothing_to_do(built: Build) -> None:
    """Without questions and pictures to reason over there is no stage 3, and no server is asked."""
    assert built.first.returncode == 0, built.first.output
    registered = read_json(built.folder / "data/dataset_info.json")
    assert registered.keys() == {"mine", "asked", "chat"}
    for target in ("all", "stage3"):
        again = built.run(target)
        assert "Nothing to be done" in again.output, again.output
    assert built.run("verdicts").work <= {"verdicts"}


def test_the_plan_has_no_stage_3(built: Build) -> None:
    planned = built.run("plan")
    assert planned.returncode == 0, planned.output
    assert "text2image" not in planned.output


def test_captions_of_pictures_as_plain_bytes(built: Build) -> None:
    [[asked, caption]] = contents(built, "mine")
    assert asked in {f"<image>\n{prompt}" for prompt in CAPTION["prompts"]}
    assert caption == "A cat."
    assert reasons(built, "mine") == {1: "image_missing", 2: "text_empty", 3: "image_unreadable"}
    manifest = built.manifest("mine")
    assert (manifest["read"], manifest["kept"], sum(manifest["rejected"].values())) == (4, 1, 3)
    [row] = pq.read_table(built.folder / "data/mine.parquet").to_pylist()
    assert row["images"] == [{"bytes": nasty.plain(), "path": None}]
    assert (row["id"], row["source_id"]) == ("mine/train-00000-of-00001:0", None)


def test_questions_with_choices(built: Build) -> None:
    assert contents(built, "ours/asked") == [["<image>\nWhich?\nA. red\nB. blue", "B. blue"]]
    assert reasons(built, "ours/asked") == {1: "choice_invalid"}


def test_several_pictures_of_a_row_are_kept_whole(built: Build) -> None:
    assert contents(built, "chat") == [["<image> or <image>?", "Both."]]
    [row] = pq.read_table(built.folder / "data/chat.parquet").to_pylist()
    assert [picture["path"] for picture in row["images"]] == [None, "b.png"]
    assert row["images"][0]["bytes"] == nasty.plain()
    assert reasons(built, "chat") == {1: "wrong_image_tags", 2: "image_missing", 3: "image_missing"}


def test_the_card_has_their_licence(built: Build) -> None:
    card = built.run("publish_built")
    assert card.returncode == 0, card.output
    text = (built.folder / "data/README.md").read_text(encoding="utf-8")
    assert "CC-BY-4.0" in text
    assert "cite it" in text
    assert "**ours/asked.** Questions and answers of the source" in text
