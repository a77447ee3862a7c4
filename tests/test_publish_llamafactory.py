"""Configs for LLaMA-Factory: each stage with the datasets that were built, and what users edited stays."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import publish_llamafactory
from running import run

GB = 1_000_000_000
ARTIFACTS = {
    "LLaVA_ReCap_558K": {"name": "LLaVA_ReCap_558K", "rows": 558_000, "bytes": 13 * GB},
    "LLaVA_ReCap_CC12M": {"name": "LLaVA_ReCap_CC12M", "rows": 2_000_000, "bytes": 100 * GB},
    "synthdog_en": {"name": "synthdog_en", "rows": 500_000, "bytes": 30 * GB},
    "llavaonevision_converted/iiit5k": {
        "name": "llavaonevision_converted/iiit5k",
        "rows": 1_990,
        "bytes": 20_000_000,
    },
    "llavaonevision_converted/none": {"name": "llavaonevision_converted/none", "rows": 0, "bytes": 900},
    "text2image": {"name": "text2image", "rows": 100_000, "bytes": 5 * GB},
}
STAGES = {
    "stage1": ["LLaVA_ReCap_558K"],
    "stage2.1": ["LLaVA_ReCap_CC3M", "LLaVA_ReCap_CC12M", "synthdog_en"],
    "stage2.2": ["llavaonevision_converted/iiit5k", "llavaonevision_converted/none"],
    "stage3": ["text2image"],
}


def configs(**artifacts: dict) -> dict[str, dict[str, Any]]:
    texts = publish_llamafactory.build_configs(STAGES, ARTIFACTS | artifacts, 262_144)
    return {stage: yaml.safe_load(text) for stage, text in texts.items()}


def test_a_stage_mixes_the_artifacts_that_stand_and_have_rows() -> None:
    assert {stage: config["dataset"] for stage, config in configs().items()} == {
        "stage1": ["LLaVA_ReCap_558K"],
        "stage2.1": ["LLaVA_ReCap_CC12M", "synthdog_en"],
        "stage2.2": ["iiit5k"],
        "stage3": ["text2image"],
    }


def test_a_stage_goes_on_from_the_one_before_it_that_has_rows() -> None:
    models = {stage: config["model_name_or_path"] for stage, config in configs().items()}
    assert models == {
        "stage1": "path/to/model",
        "stage2.1": "saves/stage1",
        "stage2.2": "saves/stage2.1",
        "stage3": "saves/stage2.2",
    }
    empty = {"name": "LLaVA_ReCap_558K", "rows": 0, "bytes": 900}
    assert "stage1" not in configs(LLaVA_ReCap_558K=empty)
    assert configs(LLaVA_ReCap_558K=empty)["stage2.1"]["model_name_or_path"] == "path/to/model"


def test_only_stage_3_learns_to_think() -> None:
    thinking = {stage: config["enable_thinking"] for stage, config in configs().items()}
    assert thinking == {"stage1": False, "stage2.1": False, "stage2.2": False, "stage3": True}
    assert all(config["template"] == "qwen3_vl" for config in configs().values())
    assert all(config["image_max_pixels"] == 262_144 for config in configs().values())


def test_large_stages_are_streamed_by_shares_that_add_up() -> None:
    found = configs()
    assert [stage for stage, config in found.items() if config.get("streaming")] == ["stage2.1"]
    large = found["stage2.1"]
    assert large["interleave_probs"] == [0.8, 0.2]
    assert large["max_steps"] == 9766  # of 256 rows, of 2,500,000
    assert large["dataloader_num_workers"] > 0
    assert large["accelerator_config"] == {"dispatch_batches": False}
    assert "max_steps" not in found["stage1"]
    one = configs(LLaVA_ReCap_558K=ARTIFACTS["LLaVA_ReCap_CC12M"])["stage1"]
    assert one["streaming"]
    assert "interleave_probs" not in one


@pytest.mark.parametrize("rows", [[1], [1, 1, 1], [10_000_000, 1], [3, 7, 11, 0.5e6], [1] * 84])
def test_shares_add_up_and_none_is_nothing(rows: list[int]) -> None:
    shares = publish_llamafactory.count_shares([int(each) for each in rows])
    assert sum(shares) == publish_llamafactory.SHARES
    assert min(shares) > 0


def test_large_files_are_said_to_be_copied_by_one_process() -> None:
    def text(**artifacts: dict) -> str:
        return publish_llamafactory.build_configs(STAGES, ARTIFACTS | artifacts, 1)["stage2.1"]

    assert "shard_bytes: 2000000000" in text()
    assert "shard_bytes" not in text(synthdog_en=ARTIFACTS["synthdog_en"] | {"files": []})


def publish(folder: Path, rows: int) -> str:
    manifest = {"artifacts": {"text2image": {"name": "text2image", "rows": rows, "bytes": 9}}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    done = run(
        *("publish_llamafactory.py", "--manifest", folder / "manifest.json", "--max-pixels", 7),
        *("--stages", json.dumps({"stage3": ["text2image"]})),
        *("--publish", folder / "work/stage3.yaml", "--data", folder / "data"),
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_a_config_is_written_anew_until_it_is_edited(tmp_path: Path) -> None:
    standing, published = tmp_path / "data/llamafactory/stage3.yaml", tmp_path / "work/stage3.yaml"
    for rows in (3, 4):
        publish(tmp_path, rows)
        assert standing.read_bytes() == published.read_bytes()
        assert f"# {rows} rows" in standing.read_text()
    edited = standing.read_text().replace("num_train_epochs: 1.0", "num_train_epochs: 2.0")
    standing.write_text(edited)
    assert f"{standing} was edited and stays; {published} is this build's" in publish(tmp_path, 5)
    assert standing.read_text() == edited
    assert "# 5 rows" in published.read_text()


def test_a_stage_without_rows_has_no_config_in_data_but_an_edited_one(tmp_path: Path) -> None:
    standing, published = tmp_path / "data/llamafactory/stage3.yaml", tmp_path / "work/stage3.yaml"
    publish(tmp_path, 0)
    assert not standing.exists()
    assert published.read_text() == publish_llamafactory.NO_CONFIG
    publish(tmp_path, 3)
    assert standing.exists()
    publish(tmp_path, 0)
    assert not standing.exists()
    publish(tmp_path, 3)
    standing.write_text(edited := standing.read_text() + "# mine\n")
    publish(tmp_path, 0)
    assert standing.read_text() == edited
