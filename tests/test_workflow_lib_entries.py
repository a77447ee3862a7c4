"""Entries: each has its form's keys alone, any can be switched off, and old and new words mean the same."""

from typing import Any

import pytest
from snakemake.exceptions import WorkflowError
from test_workflow_lib_config import checked

from workflow_lib.config_error import closest_first
from workflow_lib.entries import artifact_of, form_of
from workflow_lib.names import Names
from workflow_lib.settings import content_sha256, conversion_settings
from workflow_lib.sources import configured_sources

MINE = {"repo": "org/mine", "revision": "main", "stage": 1, "form": "caption", "prompts": ["Describe it."]}


def names_of(changes: dict[str, Any]) -> Names:
    return Names(checked(changes))


def test_a_further_entry_is_an_artifact_of_its_stage_with_its_forms_defaults() -> None:
    names = names_of({"sources": {"mine": MINE | {"columns": {"text": "txt"}, "files": ["a/*.parquet"]}}})
    assert names.stages["stage1"] == ["LLaVA_ReCap_558K", "mine"]
    assert names.of(form="caption") == ["mine"]
    assert form_of(names.entries["mine"]) == {
        "columns": {"image": "image", "text": "txt"},
        "prompts": ["Describe it."],
    }
    assert configured_sources(names)["mine"]["patterns"] == ["a/*.parquet"]


def test_pictures_that_rows_name_are_a_source_of_their_own() -> None:
    given = MINE | {"files": ["a.json"], "max_samples": 5}
    own = {"files": ["b.zip"], "folder": "train", "repo": "org/pictures"}
    names = names_of({"onevision": None, "sources": {"mine": given | {"pictures": own}}})
    assert names.sources_of("mine") == ["mine", "mine@pictures"]
    sources = configured_sources(names)
    assert sources["mine"]["take"] == 5
    assert sources["mine@pictures"] == {
        **{"repo": "org/pictures", "revision": "main", "patterns": ["b.zip"]},
        **{"take": None, "holds": "pictures"},
    }
    config = checked({"sources": {"mine": given | {"pictures": own}}})
    assert conversion_settings(config, Names(config).entries["mine"])["picture_folder"] == "train"


def test_any_entry_can_be_switched_off() -> None:
    built = ("LLaVA_ReCap_558K", "LLaVA_ReCap_CC3M", "LLaVA_ReCap_CC12M", "synthdog_en", "synthdog_zh")
    names = names_of({"onevision": None, "sources": dict.fromkeys(built) | {"mine": MINE}})
    assert (names.converted, names.sampled) == (["mine"], [])


def test_the_seed_decides_only_which_of_several_prompts_a_row_has() -> None:
    config = checked({"sources": {"mine": MINE, "ours": MINE | {"prompts": ["a", "b"]}}})
    entries = Names(config).entries
    assert "prompt_seed" not in conversion_settings(config, entries["mine"])
    assert "prompt_seed" not in conversion_settings(config, entries["synthdog_en"])
    assert conversion_settings(config, entries["ours"])["prompt_seed"] == config["seed"]


def test_a_onevision_config_in_the_words_of_an_entry_is_the_same() -> None:
    folder = "ai2d(cauldron,llava_format)"
    entry = {"repo": "lmms-lab/LLaVA-OneVision-Data", "revision": "main", "stage": 2, "form": "llava"}
    entry |= {"files": [f"{folder}/train-*.parquet"], "image_reasoning": True, "licence": "Apache-2.0"}
    entry["note"] = "each config has terms of its own source"
    old = checked({"onevision": {"configs": [folder]}})
    new = checked({"onevision": None, "sources": {artifact_of(folder): entry}})
    assert Names(old).entries == Names(new).entries
    assert Names(old).stages == Names(new).stages
    assert content_sha256(old) == content_sha256(new)


def test_a_licence_or_another_stage_changes_no_row() -> None:
    told = MINE | {"licence": "CC-BY-4.0", "note": "cite it", "stage": 2}
    assert content_sha256(checked({"sources": {"mine": MINE}})) == content_sha256(
        checked({"sources": {"mine": told}})
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"form": "chat"}, "sources.mine.form: 'chat' is not one of"),
        ({"fil": []}, "sources.mine: .*'fil' was unexpected"),
        ({"files": ["a.csv"]}, r"sources.mine.files.0: 'a.csv' does not match"),
        ({"prompts": ["<image> a"]}, "sources.mine.prompts.0: "),
        ({"prompts": []}, "sources.mine.prompts: "),
        ({"columns": {"txt": "a"}}, "sources.mine.columns: .*'txt' was unexpected"),
        ({"columns": {"turns": "a"}}, "sources.mine.columns.turns: the form caption has image, id, text"),
        ({"missing_tag": "reject"}, "sources.mine.missing_tag: the form caption has no such key"),
        ({"form": "llava"}, "sources.mine.prompts: the form llava has no such key"),
        ({"stage": 4}, "sources.mine.stage: 4 is not one of"),
        ({"files": ["a.jsonl"]}, "sources.mine.pictures: JSON holds no pictures; name the files"),
        (
            {"pictures": {"files": ["a.tar.gz"]}},
            "sources.mine.pictures.files: a.tar.gz cannot be",
        ),
        ({"pictures": {"files": []}}, "sources.mine.pictures.files: "),
        ({"pictures": {"files": ["../a.zip"]}}, "sources.mine.pictures.files.0: "),
        ({"pictures": {"files": ["a.zip"], "folder": "../b"}}, "sources.mine.pictures.folder: "),
        ({"pictures": {"folder": "b"}}, "sources.mine.pictures: 'files' is a required property"),
        ({"image_reasoning": True, "files": ["a.tar", "b.parquet"]}, "sources.mine.image_reasoning: "),
        (
            {"image_reasoning": True, "files": ["a/*.parquet", "b/*.parquet"]},
            "sources.mine.image_reasoning: ",
        ),
        ({"image_reasoning": True, "files": ["*/train-*.parquet"]}, "sources.mine.image_reasoning: "),
    ],
)
def test_an_error_names_the_entry_and_the_key(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(WorkflowError, match=f"^config: {said}"):
        checked({"sources": {"mine": MINE | changes}})


def test_an_entry_without_what_it_needs_is_named() -> None:
    with pytest.raises(WorkflowError, match=r"^config: sources.mine: 'form' is a required property"):
        checked({"sources": {"mine": {key: value for key, value in MINE.items() if key != "form"}}})
    with pytest.raises(WorkflowError, match=r"^config: sources.mine.prompts: the form caption needs one"):
        checked({"sources": {"mine": {key: value for key, value in MINE.items() if key != "prompts"}}})


def test_an_answer_by_letter_or_index_needs_choices() -> None:
    asked = {key: value for key, value in MINE.items() if key != "prompts"} | {"form": "qa"}
    checked({"sources": {"mine": asked | {"answer_by": "text"}}})
    checked({"sources": {"mine": asked | {"answer_by": "index", "columns": {"choices": "options"}}}})
    for answer_by in ("letter", "index"):
        with pytest.raises(WorkflowError, match=r"^config: sources.mine.answer_by: names a choice, and"):
            checked({"sources": {"mine": asked | {"answer_by": answer_by}}})


@pytest.mark.parametrize(
    "name",
    [
        *("text2image", "a/image_thinking", "manifest/a", "a/synthdog_en"),
        *("Text2Image", "Manifest/a", "SynthDoG_EN", "a/SYNTHDOG_EN", "README.md", "report.html"),
    ],
)
def test_a_name_that_is_taken(name: str) -> None:
    with pytest.raises(WorkflowError, match=f"^config: sources.{name}: "):
        checked({"sources": {name: MINE}})


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("x" * 300, "sources.xxx.*: the name is too long for files"),
        ("x" + "字" * 40, "sources.x字.*: the name is too long for files"),
        ("/".join(["x" * 90] * 3), "sources.xxx.*: the name is too long for files"),
        (5, "sources: the key 5 is not a text; put it in quotes"),
        (None, "sources: the key None is not a text"),
        ("", "sources.: "),
        ("a b", "sources.a b: .*A file's name"),
        ("a\n", r"sources.a\\n: .*A file's name"),
        ("../a", "sources.../a: "),
        (".a", "sources..a: "),
        ("a//b", "sources.a//b: "),
        ("a/", "sources.a/: "),
        ("a\\b", "sources.a.*b: "),
        ("{a}", "sources.{a}: "),
    ],
)
def test_a_name_that_is_no_file_name(name: object, said: str) -> None:
    with pytest.raises(WorkflowError, match=f"^config: {said}") as error:
        checked({"sources": {name: MINE}})
    assert str(error.value).isprintable()


def test_names_that_differ_in_case_alone() -> None:
    for one, other in (("mine", "Mine"), ("ours/mine", "MINE")):
        with pytest.raises(WorkflowError, match=f"^config: sources.{other}: .* is that of {one}"):
            checked({"sources": {one: MINE, other: MINE}})
    asked = [{"repo": f"{repo}", "revision": "main", "question": ["q"]} for repo in ("a/Alpaca", "b/alpaca")]
    with pytest.raises(WorkflowError, match=r"^config: text_reasoning.sources.0: another .* set `name`$"):
        checked({"text_reasoning": {"sources": asked}})
    checked({"text_reasoning": {"sources": [asked[0], asked[1] | {"name": "ours/alpaca"}]}})


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a b", "0.name: .*A file's name"),
        ("x" * 101, "0.name: the name is too long"),
        ("Text2Image", "0.name: this name is taken"),
        ("MINE", "0: another source or artifact has the name MINE"),
    ],
)
def test_a_name_that_no_source_of_questions_can_have(name: str, said: str) -> None:
    asked = {"name": name, "repo": "a/b", "revision": "main", "question": ["q"]}
    with pytest.raises(WorkflowError, match=f"^config: text_reasoning.sources.{said}"):
        checked({"sources": {"mine": MINE}, "text_reasoning": {"sources": [asked]}})


def test_a_name_in_the_folder_of_anothers_shards() -> None:
    sources = {"sources": {"mine": MINE, "mine/more": MINE}}
    checked(sources)
    with pytest.raises(
        WorkflowError, match=r"^config: sources.mine/more: output.shard_bytes makes mine a folder"
    ):
        checked(sources | {"output": {"shard_bytes": 1000}})


def test_null_for_a_source_that_is_nowhere_described() -> None:
    said = r"^config: sources.synthdog_ne: is null, and there is no such source.*; allowed: synthdog_en, "
    with pytest.raises(WorkflowError, match=said):
        checked({"sources": {"synthdog_ne": None}})


@pytest.mark.parametrize("glob", ["/data/a.parquet", "../a.parquet", "a/../b.parquet", "a\n.parquet"])
def test_files_outside_the_repository(glob: str) -> None:
    with pytest.raises(WorkflowError, match=r"^config: sources.mine.files.0: .*A path in the repository"):
        checked({"sources": {"mine": MINE | {"files": [glob]}}})


def test_allowed_words_stand_in_their_order_but_for_those_much_like_the_wrong_one() -> None:
    assert closest_first("promt", ["stage", "repo", "prompts", "form"]) == [
        "prompts",
        "stage",
        "repo",
        "form",
    ]
    assert closest_first("xyz", ["stage", "repo", "form"]) == ["stage", "repo", "form"]


def test_an_unknown_key_has_the_allowed_ones_beside_it_the_closest_first() -> None:
    with pytest.raises(WorkflowError, match=r"'prompt' was unexpected\); allowed: prompts, "):
        checked({"sources": {"mine": MINE | {"prompt": ["a"]}}})
    with pytest.raises(
        WorkflowError, match=r"missing_tag: the form caption has no such key; allowed: .*prompts"
    ):
        checked({"sources": {"mine": MINE | {"missing_tag": "reject"}}})
    with pytest.raises(WorkflowError, match=r"form: 'captoin' is not one of: caption, "):
        checked({"sources": {"mine": MINE | {"form": "captoin"}}})
