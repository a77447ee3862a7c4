"""Resolve the vLLM environments anew: the rest of each yaml's pins, and its lock with every file's hash.

A yaml's first pins are chosen by people, up to the line that MARK begins. What those need is resolved as
of the day that RELEASED names, when that vLLM was new: its own requirements have few upper bounds, and it
was tested with what there was.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ENVS = Path(__file__).resolve().parent
RELEASED = {"vllm-qwen3": "2025-07-15", "vllm-glm41v": "2025-11-25"}
MARK = "      # What these need,"
PIN = re.compile(r"^(?:      - )?([\w.-]+)==([\w.]+)", re.MULTILINE)


def resolve(name: str) -> str:
    """The text of an environment's lock, from the chosen pins alone; CalledProcessError if there is none."""
    chosen = PIN.findall((ENVS / f"{name}.yaml").read_text(encoding="utf-8").partition(MARK)[0])
    with tempfile.TemporaryDirectory() as folder:
        asked, lock = Path(folder, "asked.in"), Path(folder, "lock.txt")
        asked.write_text("".join(f"{wheel}=={version}\n" for wheel, version in chosen), encoding="utf-8")
        # fmt: off
        command = [
            Path(sys.executable).with_name("uv"), "pip", "compile", asked, "--output-file", lock,
            "--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28",
            "--only-binary", ":all:", "--generate-hashes", "--no-header", "--no-annotate", "--quiet",
            "--exclude-newer", RELEASED[name],
        ]
        # fmt: on
        for wheel, _ in chosen:
            command += ["--exclude-newer-package", f"{wheel}=false"]
        subprocess.run(command, check=True)
        return lock.read_text(encoding="utf-8")


def completed(name: str, lock: str) -> str:
    """The text of an environment's yaml with every pin of its lock."""
    head = (ENVS / f"{name}.yaml").read_text(encoding="utf-8").partition(MARK)[0]
    chosen = dict(PIN.findall(head))
    rest = [f"      - {wheel}=={version}\n" for wheel, version in PIN.findall(lock) if wheel not in chosen]
    return f"{head}{MARK} as of {RELEASED[name]}; {name}.txt has the hashes (`make lock`).\n{''.join(rest)}"


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    for name in RELEASED:
        lock = resolve(name)
        (ENVS / f"{name}.txt").write_text(lock, encoding="utf-8")
        (ENVS / f"{name}.yaml").write_text(completed(name, lock), encoding="utf-8")


if __name__ == "__main__":
    main()
