"""Lock the environments anew: from the packages of each NAME.in, a NAME.txt with the hash of every file.

    envs/NAME.in                what people choose
    envs/NAME.txt               all that it needs, with hashes; `make envs` installs it with uv
    envs/NAME.yaml              what conda makes: Python and uv
    envs/NAME.post-deploy.sh    what Snakemake runs in it: uv installs NAME.txt

The script holds the lock's sha256, so that conda makes another environment when the lock changes.
"""

import argparse
import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

ENVS = Path(__file__).resolve().parent
RELEASED = {"vllm-qwen3": "2025-07-15", "vllm-glm41v": "2025-11-25", "vllm-new": "2026-11-02"}
"""The day when the environment's vLLM was new, as of which its requirements are resolved: they have few upper
bounds, and it was tested with what there was."""
GLIBC = {"vllm-new": "2_31"}
"""The oldest glibc that an environment's wheels are for, where it is newer than that of the others, 2.28."""

NAMES = ("base", *RELEASED)

CONDA = """\
# Python and uv, which then installs {name}.txt, file by file with its hashes ({name}.post-deploy.sh).
channels:
  - conda-forge
dependencies:
  - python=3.11
  - uv
"""
POST_DEPLOY = """\
#!/bin/bash
# Installs {name}.txt; made by envs/lock.py. The workflow sets VLM_DATA_PREP to its folder.
set -euo pipefail
lock="$VLM_DATA_PREP/envs/{name}.txt"
echo "{sha256}  $lock" | sha256sum --check --quiet
"$CONDA_PREFIX/bin/uv" pip install --python "$CONDA_PREFIX" --require-hashes --no-deps --requirements "$lock"
"""


def resolve(name: str) -> str:
    """The text of an environment's lock; CalledProcessError if there is none."""
    asked = ENVS / f"{name}.in"
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder, "lock.txt")
        # fmt: off
        command = [
            Path(sys.executable).with_name("uv"), "pip", "compile", asked, "--output-file", lock,
            "--python-version", "3.11", "--python-platform", f"x86_64-manylinux_{GLIBC.get(name, '2_28')}",
            "--only-binary", ":all:", "--generate-hashes", "--no-header", "--no-annotate", "--quiet",
        ]
        # fmt: on
        if name in RELEASED:
            command += ["--exclude-newer", RELEASED[name]]
            for line in asked.read_text(encoding="utf-8").splitlines():
                if "==" in line:
                    command += ["--exclude-newer-package", f"{line.partition('==')[0]}=false"]
        else:
            command += ["--constraints", ENVS.parent / "requirements.txt"]
        subprocess.run(command, check=True)
        return lock.read_text(encoding="utf-8")


def derive(name: str, lock: str) -> dict[str, str]:
    """The files that conda and Snakemake read, by name, for a lock's text."""
    sha256 = hashlib.sha256(lock.encode()).hexdigest()
    return {
        f"{name}.yaml": CONDA.format(name=name),
        f"{name}.post-deploy.sh": POST_DEPLOY.format(name=name, sha256=sha256),
    }


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    for name in NAMES:
        lock = resolve(name)
        for file, text in {f"{name}.txt": lock, **derive(name, lock)}.items():
            (ENVS / file).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
