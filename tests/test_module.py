"""Another workflow includes this one as a module, with rules under their own names or with a prefix."""

import subprocess
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from workflow import SNAKEMAKE, Run, artifact_of, config

OUTER = """
configfile: "outer.yaml"

module prep:
    snakefile: "{snakefile}"
    config: config["prep"]

use rule * from prep{prefix}

rule count:
    input:
        "{artifact}",
        "{manifest}",
    output:
        "count.txt",
    shell:
        "wc -c < {{input[0]}} > {{output}}"

{hooks}
"""
HOOKS = """
onstart: prep.onstart()
onsuccess: prep.onsuccess()
onerror: prep.onerror()
"""
NAME = artifact_of("iiit5k")


def snakemake(folder: Path, *arguments: str) -> Run:
    done = subprocess.run(
        [SNAKEMAKE, "--cores", "2", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Run(done.returncode, done.stdout)


@pytest.mark.parametrize(
    ("prefix", "hooks"), [("", ""), (" as prep_*", HOOKS)], ids=["bare", "prefix and hooks"]
)
def test_an_artifact_is_built_in_another_workflow(tmp_path: Path, prefix: str, hooks: str) -> None:
    places = {"snakefile": ROOT / "Snakefile", "artifact": f"data/{NAME}.parquet"}
    places["manifest"] = f"data/manifest/{NAME}.json"
    (tmp_path / "Snakefile").write_text(OUTER.format(**places, prefix=prefix, hooks=hooks))
    # A few keys alone: what they leave out is the checkout's own.
    given = {"prep": config("http://127.0.0.1:9/v1", onevision={"configs": ["iiit5k"]})}
    (tmp_path / "outer.yaml").write_text(yaml.safe_dump(given))
    done = snakemake(tmp_path, "count")
    assert done.returncode == 0, done.output[-3000:]
    renamed = "prep_" if prefix else ""
    assert f"{renamed}manifest_artifact" in done.jobs
    assert int((tmp_path / "count.txt").read_text()) == (tmp_path / places["artifact"]).stat().st_size
    assert "Nothing to be done" in snakemake(tmp_path, "count").output
    planned = snakemake(tmp_path, "-n", f"{renamed}stage3")
    assert planned.returncode == 0, planned.output[-3000:]
    assert f"{renamed}probe_glm41v" in planned.jobs
    assert "Warning" not in planned.output
