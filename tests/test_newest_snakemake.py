"""The newest Snakemake, in an environment that holds nothing else, plans what the locked one plans."""

import subprocess
import venv
from pathlib import Path

import pytest

import full_size
from workflow import Build, Run

pytestmark = pytest.mark.newest_snakemake


@pytest.fixture(scope="module")
def newest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("newest-snakemake")
    venv.create(folder, with_pip=True)
    subprocess.run([folder / "bin/pip", "install", "--quiet", "snakemake"], check=True)
    return folder / "bin/snakemake"


def test_the_real_size_is_planned_alike(newest: Path, tmp_path: Path) -> None:
    full_size.listed(tmp_path)
    build = Build(tmp_path, {})
    _, *arguments = build.command("-n", "all")
    done = subprocess.run([newest, *arguments], capture_output=True, text=True, check=False)
    planned = Run(done.returncode, done.stdout + done.stderr)
    assert planned.returncode == 0, planned.output[-3000:]
    assert len(planned.work) > 4000
    assert planned.work == build.run("-n", "all").work
