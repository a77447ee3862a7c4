"""Names of artifacts and the wildcard constraints that admit them."""

import re

import pytest
from test_workflow_lib_config import checked

from workflow_lib.entries import artifact_of
from workflow_lib.names import Names, cut_batches, one_of, target_lines
from workflow_lib.settings import question_settings


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ("ai2d(cauldron,llava_format)", "ai2d_cauldron_llava_format"),
        ("GeoQA+(MathV360K)", "GeoQA+_MathV360K"),
        ("MathV360K_VQA-AS", "MathV360K_VQA_AS"),
        ("a b", "a_b"),
    ],
)
def test_the_artifact_of_a_onevision_config(config: str, name: str) -> None:
    assert artifact_of(config) == f"llavaonevision_converted/{name}"


def test_a_constraint_admits_its_names_and_nothing_else() -> None:
    names = ["text2image", "x/GeoQA+_a", "x/b", "x/y/b"]
    admitted = re.compile(one_of(names))
    assert all(admitted.fullmatch(name) for name in names)
    assert not any(admitted.fullmatch(name) for name in ("x/GeoQAA_a", "b", "x/", "text2image/b", "x/y"))
    assert not re.fullmatch(one_of([]), "")


@pytest.mark.parametrize(
    ("size", "batches"),
    [(2, {"00000": ["a", "b"], "00001": ["c"]}), (0, {"00000": ["a"], "00001": ["b"], "00002": ["c"]})],
)
def test_a_batch_packs_as_many_artifacts_as_fit_and_at_least_one(size: int, batches: dict) -> None:
    assert cut_batches(["a", "b", "c"], size) == batches
    assert cut_batches([], size) == {}


def test_a_manifest_lists_the_sources_that_its_artifact_is_made_of() -> None:
    names = Names(checked({"onevision": {"configs": ["iiit5k"]}}))
    assert names.sources_of("synthdog_en") == ["synthdog_en"]
    assert names.sources_of("text2image") == ["Chinese-DeepSeek-R1-Distill-data-110k", "alpaca"]
    assert names.sources_of("image_thinking") == ["llavaonevision_converted/iiit5k"]


def test_a_source_of_questions_has_its_own_name_or_that_of_its_repo() -> None:
    asked = [
        {"repo": "org/sums", "revision": "main", "question": ["q"]} | own for own in ({}, {"name": "more"})
    ]
    config = checked({"text_reasoning": {"sources": asked}})
    assert Names(config).questions == ["sums", "more"]
    assert [question_settings(config, each).get("name") for each in asked] == [None, "more"]


def test_stages_and_targets_name_every_artifact_once() -> None:
    config = checked({"onevision": {"configs": ["iiit5k", "geo170k(qa)"]}})
    names = Names(config)
    assert names.stages == {
        "stage1": ["LLaVA_ReCap_558K"],
        "stage2": [
            *("LLaVA_ReCap_CC3M", "LLaVA_ReCap_CC12M", "synthdog_en", "synthdog_zh"),
            *("llavaonevision_converted/iiit5k", "llavaonevision_converted/geo170k_qa"),
        ],
        "stage3": ["text2image", "image_thinking"],
    }
    assert names.artifacts == [*names.converted, "text2image", "image_thinking"]
    targets = [line.split()[0] for line in target_lines(names, config["servers"])]
    assert len(set(targets)) == len(targets)
    assert {"all", "stage1", "data/image_thinking.parquet", "probe_qwen3", "serve_glm41v"} <= set(targets)
