"""Environments for real: each lock gives what its programs import, and conda makes what it holds.

`make test-conda`. Where there is no conda, the second half is skipped, and the last lines say so.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from test_envs import ASKING, imports, lock, rule_programs

from running import python_environment
from workflow import Build

UV = Path(sys.executable).with_name("uv")
PROGRAMS = {name: ASKING for name in lock.RELEASED} | {
    "base": [program for program, env in rule_programs().items() if env == "base"]
}
"""The programs that run in each environment."""


@pytest.mark.parametrize("name", lock.NAMES)
def test_every_program_starts_in_its_environment(name: str, tmp_path: Path) -> None:
    """vLLM itself, 10 GB with CUDA, is left out: the programs import none of it."""
    python = tmp_path / "env/bin/python"
    subprocess.run([UV, "venv", "--quiet", "--python", "3.11", tmp_path / "env"], check=True)
    wheels = sorted(set().union(*map(imports, PROGRAMS[name])))
    install = [
        UV,
        "pip",
        "install",
        "--quiet",
        "--python",
        python,
        "--constraints",
        ROOT / f"envs/{name}.txt",
    ]
    subprocess.run([*install, *wheels], check=True)
    for program in PROGRAMS[name]:
        started = subprocess.run(
            [python, ROOT / f"scripts/{program}.py", "--help"], capture_output=True, text=True, check=False
        )
        assert started.returncode == 0, f"{program}: {started.stderr}"


@pytest.mark.skipif(
    shutil.which("conda") is None,
    reason="NO CONDA ON PATH: its environments were not made and nothing ran in them",
)
def test_an_artifact_is_built_in_condas_environments(tmp_path: Path) -> None:
    hub = tmp_path / "hub"
    program = [sys.executable, ROOT / "demo/build_corpus.py", "--hub", hub]
    subprocess.run(program, env=python_environment(), check=True)
    build = Build(tmp_path / "build", {"hub": {"mirror": str(hub)}})
    done = build.run("data/manifest/synthdog_en.json", "--sdm", "conda")
    assert done.returncode == 0, done.output[-4000:]
    assert (tmp_path / "build/data/synthdog_en.parquet").exists()
