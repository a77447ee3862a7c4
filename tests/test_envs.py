"""Environments: pinned exactly, and the base one is what the lock file installs."""

import re
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

ENVS = sorted((ROOT / "envs").glob("*.yaml"))


def pins(env: Path) -> dict[str, str]:
    """The versions that an environment asks pip for; each must be exact."""
    dependencies = yaml.safe_load(env.read_text())["dependencies"]
    (wheels,) = (each["pip"] for each in dependencies if isinstance(each, dict))
    assert all(re.fullmatch(r"[\w.\[\]-]+==[\w.]+", wheel) for wheel in wheels)
    return dict(wheel.split("==") for wheel in wheels)


@pytest.mark.parametrize("env", ENVS, ids=lambda env: env.stem)
def test_every_environment_pins_what_the_asking_programs_import(env):
    assert pins(env).keys() >= {"openai", "pyarrow", "pillow"}
    assert yaml.safe_load(env.read_text())["channels"] == ["conda-forge"]


def test_the_base_environment_is_the_locked_one():
    locked = dict(re.findall(r"^([\w-]+)==([\w.]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    base = pins(ROOT / "envs/base.yaml")
    assert base == {name: locked[name] for name in base}


def test_the_two_teachers_have_transformers_of_their_own():
    qwen3, glm41v = (pins(ROOT / f"envs/vllm-{name}.yaml") for name in ("qwen3", "glm41v"))
    assert (qwen3["vllm"], qwen3["transformers"]) == ("0.9.2", "4.52.3")
    assert tuple(map(int, glm41v["vllm"].split("."))) >= (0, 10)
    assert tuple(map(int, glm41v["transformers"].split("."))) > (4, 52, 3)
