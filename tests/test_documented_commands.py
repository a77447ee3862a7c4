"""Every command that README and docs name works as it is written there."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from fault_server import FaultServer
from teachers import teach
from workflow import conda, config

NEED_A_MACHINE = ("profiles/slurm", "my_profile", "profiles/gpu", "--sdm conda", "serve_")
"""What is planned alone: it needs a cluster, GPUs or conda, or runs until Ctrl-C."""
RUN_BY_MAKE = ("make plan", "make targets", "make refresh", "make probe", "make try")
"""Run where they name my.yaml, and no SOURCE. Others install, test or measure: make says what it would do."""


def documented() -> list[str]:
    """The commands of README and docs that start with snakemake or make, each once, in order."""
    texts = [
        path.read_text(encoding="utf-8")
        for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    ]
    span = r"(?:^ {4}|`)((?:\.venv/bin/)?(?:snakemake|make) [^`#\n]+)"
    found = [command.strip() for text in texts for command in re.findall(span, text, re.MULTILINE)]
    return list(dict.fromkeys(found))


COMMANDS = documented()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """A copy of the checkout with a my.yaml of a few rows, and the environment of an activated .venv.

    Its my_profile is the one for Slurm, which docs/cluster.md tells to copy.
    """
    folder = tmp_path_factory.mktemp("documented") / "checkout"
    shutil.copytree(
        ROOT, folder, ignore=shutil.ignore_patterns(".*", "__pycache__", "data", "work", "raw", "logs")
    )
    (folder / ".venv").symlink_to(ROOT / ".venv")
    shutil.copytree(folder / "profiles/slurm", folder / "my_profile")
    with FaultServer(teach, slots=16) as server:
        changes = {
            "onevision": {"configs": ["iiit5k"]},
            "text_reasoning": {"max_questions": 3},
            "image_reasoning": {"samples_per_config": 2},
        }
        (folder / "my.yaml").write_text(yaml.safe_dump(config(server.base_url, **changes)), encoding="utf-8")
        path = os.pathsep.join([str(folder / ".venv/bin"), conda(folder.parent / "conda")])
        yield folder, os.environ | {"PATH": path}


def test_commands_are_found_in_every_document():
    kinds = {shlex.split(command)[0] for command in COMMANDS}
    assert {"snakemake", "make"} <= kinds
    assert len(COMMANDS) > 15


@pytest.mark.parametrize("command", COMMANDS)
def test_a_documented_command_works_as_it_is_written(checkout, command):
    folder, environment = checkout
    if command.startswith("make "):
        run = command.startswith(RUN_BY_MAKE) and "my.yaml" in command and not needs_a_machine(command)
        run = run and "SOURCE=" not in command
        line = command if run else f"{command} -n"
    else:
        line = f"{command} -n" if needs_a_machine(command) else command
    done = subprocess.run(
        line, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (line, done.stdout[-1500:], done.stderr[-3000:])
    target = re.match(r"snakemake (\w+) --", command)
    if target and line == command:
        assert f"rule {target[1]}:" in done.stderr or "Nothing to be done" in done.stderr


def needs_a_machine(command: str) -> bool:
    return any(word in command for word in NEED_A_MACHINE)
