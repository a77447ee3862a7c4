"""What programs are given besides flags, and the digest of what decides content."""

import json
from pathlib import Path

import pytest
from test_workflow_lib_config import checked

from workflow_lib.card import card_settings, notice_of
from workflow_lib.names import Names
from workflow_lib.servers import ServerSettings
from workflow_lib.settings import (
    as_json,
    calibration_settings,
    content_sha256,
    conversion_settings,
    find_calibration,
    list_asked_servers,
    picture_columns,
    request_settings,
    several_teachers,
    write_settings,
)


def test_only_what_decides_content_changes_the_digest(tmp_path: Path) -> None:
    (tmp_path / "a.ttf").write_text("a font")
    digests = {
        content_sha256(checked(changes))
        for changes in (
            {},
            {"seed": 43},
            {"text_reasoning": {"min_score": 4}},
            {"servers": {"qwen3": {"model": "other"}}},
            {"servers": {"qwen3": {"max_model_len": 4096}}},
            {"render": {"fonts": [str(tmp_path / "a.ttf")]}},
            {"sources": {"synthdog_en": {"max_pixels": 1000}}},
        )
    }
    assert len(digests) == 7
    placed = {"concurrency": 3, "mode": "managed", "args": ["-tp", "2"], "devices": "0,1"}
    same = checked({"servers": {"qwen3": placed}, "text_reasoning": {"batch_size": 9}})
    assert content_sha256(same) == content_sha256(checked({}))


def test_the_smaller_pixel_limit_of_a_source_and_of_all_pictures_holds() -> None:
    for limit, own, expected in ((100, 70, 70), (50, 70, 50)):
        config = checked({"images": {"max_pixels": limit}, "sources": {"synthdog_en": {"max_pixels": own}}})
        entries = Names(config).entries
        assert conversion_settings(config, entries["synthdog_en"])["max_pixels"] == expected
        assert conversion_settings(config, entries["llavaonevision_converted/iiit5k"])["max_pixels"] == limit


def test_settings_files_are_what_programs_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = checked({})
    servers = {name: ServerSettings(name, given, tmp_path) for name, given in config["servers"].items()}
    write_settings(config, Names(config), tmp_path, servers)
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    files = {f"work/servers/{name}/server.json" for name in config["servers"]}
    prompts = {f"work/prompts/{task}_reasoning.md" for task in ("text", "image")}
    own = {f"work/{name}.json" for name in ("hub", "plan", "allow_empty", "evaluation", "render")}
    assert written == own | files | prompts
    qwen3 = json.loads(Path("work/servers/qwen3/server.json").read_text())
    assert qwen3["name"] == "qwen3"
    kinds = {"thinking", "no_thinking", "judge"}
    assert qwen3["samplings"].keys() == {f"text_reasoning.sampling.{kind}" for kind in kinds}
    assert json.loads(Path("work/hub.json").read_text())["mirror"] == str(tmp_path)
    text, image = (request_settings(config, f"{task}_reasoning", "judge") for task in ("text", "image"))
    assert text["prompt_sha256"] != image["prompt_sha256"]


def test_servers_that_no_task_with_questions_uses_are_not_asked() -> None:
    """Such servers are not probed by `make probe`."""
    off = {"onevision": None}
    spare = {"servers": {"spare": {"mode": "external", "model": "m", "base_urls": ["http://127.0.0.1:1/v1"]}}}
    several = {"image_reasoning": {"teachers": ["glm41v", "spare"]}}
    for changes, asked in (
        ({}, ["qwen3", "glm41v"]),
        (spare, ["qwen3", "glm41v"]),
        (spare | several, ["qwen3", "glm41v", "spare"]),
        (spare | {"text_reasoning": {"judge": "spare"}} | off, ["qwen3", "spare"]),
        (off | {"text_reasoning": {"sources": []}}, []),
    ):
        config = checked(changes)
        assert list_asked_servers(config, Names(config)) == asked


def test_a_calibration_counts_while_it_is_of_todays_judges(tmp_path: Path) -> None:
    given = {"onevision": {"configs": ["iiit5k"]}}
    config, file = checked(given), tmp_path / "calibration.json"
    about = calibration_settings(config, Names(config))
    assert {what: each["artifact"] for what, each in about.items()} == {
        "text": "text2image",
        "image": "image_thinking",
    }
    assert find_calibration(config, Names(config), file) == []
    file.write_text(
        json.dumps({"samples": 9, "tasks": {what: each | {"kinds": {}} for what, each in about.items()}})
    )
    assert find_calibration(config, Names(config), file) == [str(file)]
    for changes in (
        {"text_reasoning": {"min_score": 4}},
        {"image_reasoning": {"judge": "qwen3"}},
        {"text_reasoning": {"sampling": {"judge": {"temperature": 0}}}},
        {"text_reasoning": {"sources": []}},
    ):
        other = checked(given | changes)
        assert find_calibration(other, Names(other), file) == [], changes
    same = checked(given | {"text_reasoning": {"judge": {"server": "qwen3", "when": "undecided"}}})
    assert find_calibration(same, Names(same), file) == [str(file)]
    for text in ("", "[]", "{}", '{"tasks": 1}', '{"tasks": {"text": 1, "image": []}}'):
        file.write_text(text)
        assert find_calibration(config, Names(config), file) == []


def test_json_is_given_by_a_function_since_snakemake_reads_braces() -> None:
    assert as_json({"top_p": 0.8})(None) == '{"top_p": 0.8}'


def test_what_a_small_model_helped_to_make_says_so() -> None:
    config = checked({"servers": {"qwen3": {"mode": "embedded", "model": "tiny"}}})
    assert "embedded model tiny" in notice_of(config, "text2image")
    assert notice_of(config, "image_thinking") == notice_of(config, "synthdog_en") == ""
    assert card_settings(config, Names(config))["notice"] == notice_of(config, "text2image")
    assert card_settings(checked({}), Names(checked({})))["notice"] is None


def test_the_card_names_the_licence_of_each_source() -> None:
    questions = {"repo": "acme/sums", "revision": "main", "question": ["q"], "licence": "MIT", "note": "mind"}
    config = checked({"text_reasoning": {"sources": [questions]}})
    licences = card_settings(config, Names(config))["licences"]
    assert licences["acme/sums"] == {"licence": "MIT", "note": "mind"}
    assert licences["lmms-lab/LLaVA-OneVision-Data"]["licence"] == "Apache-2.0"


def test_the_report_is_told_of_columns_of_pictures_that_are_called_otherwise() -> None:
    shared = {"repo": "a/b", "revision": "main", "stage": 2, "form": "caption", "prompts": ["What?"]}
    sources = {
        "named": shared | {"columns": {"image": "photo"}},
        "loose": shared | {"pictures": {"files": ["images/*"]}},
        "usual": shared,
    }
    assert picture_columns(Names(checked({"sources": sources}))) == {"named": "photo", "loose": None}


def test_the_report_is_told_of_several_teachers_alone() -> None:
    assert several_teachers(checked({})) == {}
    several = checked({"text_reasoning": {"teachers": ["qwen3", "glm41v"], "samples": 3}})
    assert several_teachers(several) == {"text2image": {"names": ["qwen3", "glm41v"], "samples": 3}}
