"""Stages of training: stage 2 begins with what pictures show, and goes on to instructions."""

from itertools import chain
from typing import Any

import yaml
from conftest import ROOT

from workflow_lib.names import Names
from workflow_lib.training import training_stages

QA = {"repo": "org/a", "revision": "main", "stage": 2, "form": "qa"}
CAPTION = QA | {"form": "caption", "prompts": ["Describe it."]}


def stages(**changes: Any) -> dict[str, list[str]]:
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    return training_stages(Names(config | changes))


def test_every_artifact_is_in_one_stage() -> None:
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    found = stages()
    assert sorted(chain(*found.values())) == sorted(Names(config).artifacts)
    assert found["stage1"] == ["LLaVA_ReCap_558K"]
    assert found["stage2.1"] == ["LLaVA_ReCap_CC3M", "LLaVA_ReCap_CC12M", "synthdog_en", "synthdog_zh"]
    assert all(name.startswith("llavaonevision_converted/") for name in found["stage2.2"])
    assert found["stage3"] == ["text2image", "image_thinking"]


def test_a_source_of_ones_own_goes_by_its_form_and_a_stage_without_any_is_none() -> None:
    own = {"mine": CAPTION, "asked": QA}
    text = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))["text_reasoning"]
    found = stages(sources=own, onevision=None, text_reasoning=text | {"sources": []})
    assert found == {"stage2.1": ["mine"], "stage2.2": ["asked"]}
