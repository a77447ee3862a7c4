"""What the suites of faults share: a corpus, and what an undisturbed build of it has."""

import fcntl
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fault_server import FaultServer
from small_build import TARGETS, Undisturbed, digest_data, small_config, write_hub
from teachers import teach
from workflow import Build


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Undisturbed:
    """Built once, however many processes test."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "undisturbed"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = folder / "data.json"
        if not found.is_file():
            hub = write_hub(folder / "hub")
            with FaultServer(teach) as server:
                build = Build(folder / "build", small_config(hub, server.base_url))
                done = build.run(*TARGETS)
                assert done.returncode == 0, done.output[-4000:]
            found.write_text(json.dumps(digest_data(build.folder)))
        return Undisturbed(folder / "hub", json.loads(found.read_text()))


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder of a short path: that of a socket has a limit."""
    folder = Path(tempfile.mkdtemp(prefix="chaos-", dir="/tmp")).resolve()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
