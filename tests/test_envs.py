"""Environments: pinned exactly, resolved whole, and the base one is what the lock file installs."""

import ast
import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
from modulefinder import ModuleFinder
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from packaging.requirements import Requirement

from prep.rendering import fonts
from workflow_lib.settings import CHARTING_PACKAGES, RENDERING_PACKAGES, read_versions

SPEC = importlib.util.spec_from_file_location("lock", ROOT / "envs/lock.py")
lock = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(lock)

# What runs where a managed server runs.
ASKING = ["answer_image", "answer_text", "judge_image", "judge_text", "probe_server", "serve_server"]
WHEELS = {
    "PIL": "pillow",
    "fontTools": "fonttools",
    "huggingface_hub": "huggingface-hub",
    "math_verify": "math-verify",
}  # where a module has not its wheel's name


def pins(name: str) -> dict[str, str]:
    """The version of each package of an environment's lock."""
    lines = (ROOT / f"envs/{name}.txt").read_text().splitlines()
    return dict(line.removesuffix(" \\").split("==") for line in lines if line[:1].strip())


def hashes(text: str) -> dict[str, set[str]]:
    """The hashes of each pin of a lock."""
    entries = re.split(r"^(?=\S)", text, flags=re.MULTILINE)
    return {entry.split()[0]: set(re.findall(r"--hash=(\S+)", entry)) for entry in entries if entry}


def imports(program: str) -> set[str]:
    """The packages of others that a program and every module of ours below it import."""
    finder = ModuleFinder(path=[str(ROOT / "scripts")])
    finder.run_script(str(ROOT / f"scripts/{program}.py"))
    files = [Path(module.__file__) for module in finder.modules.values() if module.__file__]
    found = set()
    for node in (node for file in files for node in ast.walk(ast.parse(file.read_text()))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module.partition(".")[0])
    ours = {path.stem for path in (ROOT / "scripts").iterdir()}
    return {WHEELS.get(name, name) for name in found - ours - sys.stdlib_module_names}


@pytest.mark.parametrize("name", lock.NAMES)
def test_every_environment_has_what_the_asking_programs_import(name):
    wanted = set().union(*map(imports, ASKING))
    assert {"aiohttp", "openai", "pyarrow", "pillow"} <= wanted <= pins(name).keys()
    # From 3 on openai has its aiohttp transport; before, it comes in a wheel of its own.
    assert int(pins(name)["openai"].partition(".")[0]) >= 3 or "httpx-aiohttp" in pins(name)


def rule_programs() -> dict[str, str]:
    """The program of each rule that runs in an environment of its own, with that environment's file."""
    rules = "\n".join(path.read_text() for path in sorted((ROOT / "rules").glob("*.smk")))
    blocks = re.split(r"^(?:    )?(?:use rule|rule|checkpoint)\b", rules, flags=re.MULTILINE)[1:]
    programs, envs = {}, {}
    for block in blocks:
        rule, variant = re.match(r" *(\w*)(?: as (\w+) with)?:", block).groups()
        program = re.search(r'(?:"(?:exec )?|program=")(\w+)\.py[" ]', block)
        env = re.search(r'"\.\./envs/(\S+)\.yaml"', block)
        envs[variant or rule] = env[1] if env else envs.get(rule)  # a variant has the rule's
        if program and envs[variant or rule]:
            programs[program[1]] = envs[variant or rule]
    return programs


def test_every_rule_finds_what_its_program_imports_in_its_conda_environment():
    programs = rule_programs()
    assert {"plan", "convert_llava", "convert_ocr", "render_text", "publish_report"} <= programs.keys()
    missing = {program: imports(program) - pins(env).keys() for program, env in programs.items()}
    assert not {program: names for program, names in missing.items() if names}


def test_the_base_environment_is_the_locked_one():
    lines = re.findall(r"^([\w-]+==.*?)(?: \\)?$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    python = {"python_full_version": "3.11.0", "python_version": "3.11"}  # as the environment has it
    found = [each for each in map(Requirement, lines) if not each.marker or each.marker.evaluate(python)]
    locked = {each.name: str(each.specifier).removeprefix("==") for each in found}
    base = pins("base")
    assert base == {name: locked[name] for name in base}


def test_what_draws_a_page_is_told_by_its_versions():
    """A new version of any of them makes pages anew, as its bytes may differ."""
    assert set(RENDERING_PACKAGES) == imports("render_text") - {"pyarrow"} | set(fonts.WHEELS)
    assert set(CHARTING_PACKAGES) <= imports("publish_report") - imports("publish_card")
    versions = read_versions(RENDERING_PACKAGES)
    assert versions["typst"] == importlib.metadata.version("typst")
    with pytest.raises(KeyError, match="nonesuch"):
        read_versions(["nonesuch"])


def test_the_two_teachers_have_transformers_of_their_own():
    qwen3, glm41v = (pins(f"vllm-{name}") for name in ("qwen3", "glm41v"))
    assert (qwen3["vllm"], qwen3["transformers"]) == ("0.9.2", "4.52.3")
    assert tuple(map(int, glm41v["vllm"].split("."))) >= (0, 10)
    assert tuple(map(int, glm41v["transformers"].split("."))) > (4, 52, 3)


@pytest.mark.parametrize("name", lock.NAMES)
def test_an_environment_resolves_to_its_lock_again(name):
    recorded, resolved = (ROOT / f"envs/{name}.txt").read_text(), lock.resolve(name)
    assert hashes(recorded).keys() == hashes(resolved).keys(), "call `make lock`"
    for pin, known in hashes(recorded).items():
        # A version may get wheels for further Pythons; those that it had stay.
        assert set() < known <= hashes(resolved)[pin]


@pytest.mark.parametrize("name", lock.NAMES)
def test_what_conda_makes_installs_the_lock(name, tmp_path):
    derived = lock.derive(name, (ROOT / f"envs/{name}.txt").read_text())
    assert derived == {file: (ROOT / "envs" / file).read_text() for file in derived}, "call `make lock`"
    assert yaml.safe_load(derived[f"{name}.yaml"])["dependencies"] == ["python=3.11", "uv"]
    # The script as Snakemake runs it, with a stand-in for uv that says what it is given.
    uv = tmp_path / "bin/uv"
    uv.parent.mkdir()
    uv.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    uv.chmod(0o755)
    environment = {"PATH": os.defpath, "CONDA_PREFIX": str(tmp_path), "VLM_DATA_PREP": str(ROOT)}
    script = ROOT / f"envs/{name}.post-deploy.sh"
    told = subprocess.run(["bash", script], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.split()[:4] == ["pip", "install", "--python", str(tmp_path)]
    assert told.stdout.split()[-1] == str(ROOT / f"envs/{name}.txt")
    assert "--require-hashes" in told.stdout


def test_a_lock_that_is_not_the_one_meant_is_not_installed(tmp_path):
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs/base.txt").write_text("evil==1\n")
    environment = {"PATH": os.defpath, "CONDA_PREFIX": "/env", "VLM_DATA_PREP": str(tmp_path)}
    done = subprocess.run(["bash", ROOT / "envs/base.post-deploy.sh"], env=environment, capture_output=True)
    assert done.returncode != 0
    assert b"FAILED" in done.stdout


def test_every_environment_has_a_lock():
    assert {env.stem for env in (ROOT / "envs").glob("*.yaml")} == set(lock.NAMES)
