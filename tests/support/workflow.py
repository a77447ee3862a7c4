"""The workflow as its users run it: Snakemake from the checkout, on a small real corpus."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

HUB = ROOT.parent / "shared/hub"
SNAKEMAKE = Path(sys.executable).with_name("snakemake")
ONEVISION = [
    "ai2d(cauldron,llava_format)",
    "scienceqa(cauldron,llava_format)",
    "geo170k(qa)",
    "clevr(cauldron,llava_format)",
    "intergps(cauldron,llava_format)",
    "sroie",
    "robut_wtq(cauldron,llava_format)",
    "iiit5k",
    "magpie_pro(l3_80b_mt)",
]
CAPTIONS = ["LLaVA_ReCap_558K", "LLaVA_ReCap_CC3M", "LLaVA_ReCap_CC12M"]
PAGES = ["synthdog_en", "synthdog_zh"]


def hub() -> Path:
    """The folder of the small real corpus; without it nothing of this is tested, and that is a failure."""
    if not (HUB / "MANIFEST.md").is_file():
        pytest.fail(f"NO CORPUS AT {HUB}: the workflow is tested on it; put it beside the checkout")
    return HUB


def artifact_of(folder: str) -> str:
    """The artifact of a OneVision config, as the naming rule has it."""
    return "llavaonevision_converted/" + re.sub(r"[(), -]", "_", folder).rstrip("_")


@dataclass
class Run:
    """What one call of Snakemake printed, and the rules of the jobs that it ran or planned."""

    returncode: int
    output: str
    jobs: list[str] = field(init=False)
    work: set[str] = field(init=False)
    """Each job but `all` by its rule and wildcards, such as `convert_llava iiit5k/train-00000-of-00001`."""
    targets: dict[str, str] = field(init=False)
    """The shell command of each job (with `--printshellcmds`), by its rule and wildcards as `--target-jobs`
    takes them: `convert_llava:source=iiit5k,shard=train-00000-of-00001`."""

    def __post_init__(self) -> None:
        block = r"^(?:local)?(?:rule|checkpoint) (\w+):\n((?: {4}.*\n)*)(?:Shell command: (.*))?"
        found = re.findall(block, self.output, re.MULTILINE)
        self.jobs = [rule for rule, _, _ in found]
        self.work = {f"{rule} {_wildcards(about)}".strip() for rule, about, _ in found} - {"all"}
        self.targets = {f"{rule}:{_assignments(about)}": command for rule, about, command in found}


def _assignments(about: str) -> str:
    """A job's wildcards as `name=value,name=value`, from what Snakemake prints about it."""
    pairs = re.search(r"^    wildcards: (.*)$", about, re.MULTILINE)
    return pairs[1].replace(", ", ",") if pairs else ""


def _wildcards(about: str) -> str:
    """The values of a job's wildcards, from what Snakemake prints about it."""
    pairs = _assignments(about).split(",")
    return "/".join(pair.partition("=")[2] for pair in pairs).rstrip("/")


class Build:
    """A folder that the workflow builds into, with the configuration of its runs."""

    def __init__(self, folder: Path, config: dict[str, Any], checkout: Path = ROOT):
        self.folder, self.config, self.checkout = folder, config, checkout
        self.first: Run | None = None
        """The run that a fixture built the folder with."""
        self.configfile = folder / "run.yaml"
        folder.mkdir(parents=True, exist_ok=True)

    def command(self, *arguments: str) -> list[str]:
        """Snakemake's command line, on two cores."""
        self.configfile.write_text(yaml.safe_dump(self.config, allow_unicode=True), encoding="utf-8")
        command = [
            *(SNAKEMAKE, "--cores", "2", "--snakefile", self.checkout / "Snakefile"),
            *("--configfile", self.configfile, "--directory", self.folder, *arguments),
        ]
        return [str(word) for word in command]

    def run(
        self,
        *arguments: str,
        path: str | None = None,
        prefix: Sequence[str] = (),
        environment: dict[str, str] | None = None,
    ) -> Run:
        """Run Snakemake; `path` replaces PATH, `environment` all; `prefix` are words before the command."""
        done = subprocess.run(
            [*prefix, *self.command(*arguments)],
            cwd=self.checkout,
            env=(os.environ if environment is None else environment) | ({"PATH": path} if path else {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        return Run(done.returncode, done.stdout)

    def manifest(self, name: str) -> dict[str, Any]:
        """An artifact's manifest."""
        return json.loads((self.folder / f"data/manifest/{name}.json").read_text(encoding="utf-8"))


def config(base_url: str, **changes: Any) -> dict[str, Any]:
    """The small corpus as mirror, its nine OneVision configs, and one external server for both teachers."""
    server = {"mode": "external", "model": "model", "base_urls": [base_url], "concurrency": 16}
    return {
        "hub": {"mirror": str(hub())},
        "onevision": {"configs": ONEVISION},
        "servers": {"qwen3": server, "glm41v": server},
    } | changes


def conda(folder: Path) -> str:
    """A PATH on which a stand-in for conda comes first; what it makes holds a stand-in for uv alone."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/activate").write_text('export CONDA_PREFIX="$1"\n')
    (folder / "bin/conda").write_text(
        f"""#!/bin/sh
case "$*" in
    --version) echo conda 25.1.0 ;;
    "info --json") echo '{{"conda_prefix": "{folder}", "platform": "linux-64"}}' ;;
    "config --get"*) echo '{{"get": {{"channel_priority": "strict"}}}}' ;;
    "env create"*) for prefix; do :; done; mkdir -p "$prefix/bin"; cp /bin/true "$prefix/bin/uv" ;;
    clean*) ;;
    *) exit 1 ;;
esac
"""
    )
    (folder / "bin/conda").chmod(0o755)
    return os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
