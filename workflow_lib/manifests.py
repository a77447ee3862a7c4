"""End-of-run hook: the manifest and the registration of artifacts that were built as targets alone.

Snakemake builds what a target such as `data/synthdog_en.parquet` needs, and runs no job that needs it. So the
hooks of a run's end call the programs of those rules, in the environment of Snakemake.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from snakemake.exceptions import WorkflowError


def lacks_manifest(name: str, artifact_path: str) -> bool:
    """Whether an artifact stands at its path, and its manifest is missing or tells of an earlier one."""
    counted = read_object(Path(f"work/assemble_artifact/{name}.json"))
    artifact = counted.get("files", {}).get("artifact")
    # None is of earlier code: what is assembled anew has its manifest written then.
    if artifact is None or not Path(artifact_path).exists():
        return False
    told = read_object(Path(f"data/manifest/{name}.json"))
    rejected = {reason: count for reason, count in counted["rejected"].items() if count}
    made = [artifact.get("sha256"), artifact.get("files"), counted["read"], rejected]
    return [told.get(key) for key in ("sha256", "files", "read", "rejected")] != made


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object of a file; an empty one where the file is missing or holds none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_manifest(scripts: Path, name: str, listings: list[str], states: list[str]) -> None:
    """Write an artifact's manifest; raises WorkflowError as `run_program` does."""
    manifest = f"data/manifest/{name}.json"
    flags = ["--name", name, "--summary", f"work/assemble_artifact/{name}.json", "--manifest", manifest]
    flags += ["--listings", *listings, "--states", *states]
    run_program(scripts / "manifest_artifact.py", flags, Path(f"logs/manifest_artifact/{name}.log"), manifest)


def register(scripts: Path, names: list[str], sharded: bool) -> None:
    """Register every artifact for LLaMA-Factory; raises WorkflowError as `run_program` does.

    The declared output of the rule is left to it, so that it runs when a further artifact is configured.
    """
    flags = ["--publish", "work/publish_built/dataset_info.json", "--data", "data", "--names", *names]
    flags += ["--sharded"] * sharded
    target = "work/publish/dataset_info.json"
    run_program(scripts / "publish_registration.py", flags, Path("logs/publish_registration.log"), target)


def run_program(program: Path, flags: list[str], log: Path, target: str) -> None:
    """Run a program. Raises WorkflowError with its last line, and the target to build once that is mended."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as told:
        done = subprocess.run([sys.executable, program, *flags], stderr=told, check=False)
    if done.returncode:
        last = log.read_text(encoding="utf-8").strip().rpartition("\n")[2]
        raise WorkflowError(f"{last}\nOnce this is mended, build {target}")
