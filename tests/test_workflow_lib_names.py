"""Names of artifacts and the wildcard constraints that admit them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snakemake.exceptions import WorkflowError
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
    [
        (10, [["a", "b"], ["c", "d", "e"]]),
        (9, [["a", "b"], ["c"], ["d", "e"]]),
        (2, [["a"], ["b"], ["c"], ["d", "e"]]),
    ],
)
def test_a_batch_packs_as_many_artifacts_as_fit_and_at_least_one(size: int, batches: list) -> None:
    rows = {"a": 4, "b": 4, "c": 8, "d": 2, "e": 0}
    assert cut_batches(rows, size) == {f"{number:05d}": names for number, names in enumerate(batches)}
    assert cut_batches({}, size) == {}


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 20)), st.integers(1, 30))
def test_batches_hold_every_name_once_in_order_and_none_could_take_the_next(rows: dict, size: int) -> None:
    batches = list(cut_batches(rows, size).values())
    assert [name for batch in batches for name in batch] == list(rows)
    sums = [sum(rows[name] for name in batch) for batch in batches]
    assert all(total <= size or len(batch) == 1 for total, batch in zip(sums, batches, strict=True))
    assert all(total + rows[after[0]] > size for total, after in zip(sums, batches[1:], strict=False))


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


def test_each_artifact_may_have_a_quota_of_its_own() -> None:
    name = artifact_of("geo3k")
    task = {"samples_per_config": 7, "quotas": {name: 0}}
    quotas = Names(checked({"onevision": {"configs": ["iiit5k", "geo3k"]}, "image_reasoning": task})).quotas
    assert quotas[name] == 0
    assert {rows for other, rows in quotas.items() if other != name} == {7}


def test_a_quota_of_nothing_that_is_drawn_from_is_a_line() -> None:
    line = "config: image_reasoning.quotas: no pictures are drawn from 'geo3k'; write a name whole: "
    with pytest.raises(WorkflowError, match=f"^{line}{artifact_of('geo3k')}$"):
        Names(checked({"image_reasoning": {"quotas": {"geo3k": 5}}}))
