"""Make the environment of LLaMA-Factory, or of other trainers, where it needs no GPU."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from cpu_torchvision import define_operators

UV = Path(sys.executable).with_name("uv")
# The wheel for CPUs where pip's options name a folder that has one, else the index's, with gigabytes of CUDA.
TORCH = "torch==2.13.0"
FOLDERS = [f"--find-links={folder}" for folder in os.environ.get("PIP_FIND_LINKS", "").split()]
# It is imported at every start, and only sound is read with it. Its library is built for GPUs.
TORCHAUDIO = '"""Stands in for torchaudio, which only reads sound."""\n'


def make(folder: Path, requirements: Path) -> None:
    """Install a lock and PyTorch into `folder`, anew; CalledProcessError when uv fails."""
    subprocess.run([UV, "venv", "--quiet", "--clear", "--python", sys.executable, folder], check=True)
    install = [UV, "pip", "install", "--quiet", "--python", folder / "bin/python"]
    subprocess.run([*install, "--no-deps", "--require-hashes", "-r", requirements], check=True)
    subprocess.run([*install, *FOLDERS, TORCH], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    define_operators(packages)
    (packages / "torchaudio.py").write_text(TORCHAUDIO, encoding="utf-8")


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--folder", type=Path, required=True)
    flags.add_argument("--requirements", type=Path, required=True)
    args = flags.parse_args()
    make(args.folder, args.requirements)


if __name__ == "__main__":
    main()
