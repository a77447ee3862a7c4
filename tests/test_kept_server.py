"""Servers that a run keeps for its jobs: started once, ended with the run, and nothing is left of them."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from prep.runtime import process_group
from prep.runtime.program import UserError
from prep.serving import kept_server, workflow_run
from prep.serving.endpoint import get_json
from prep.serving.kept_server import KeptServer, open_server
from prep.serving.server import Server
from prep.serving.server_config import ServerConfig
from prep.storage.atomic import write_json
from running import python_environment
from server_config import stand_in_config
from stand_in_server import processes, starts, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows when a process was started")

# keep_server.py, which does not wait for long.
QUICK_KEEPER = """
import runpy
from prep.serving import keeper
from prep.serving.replica import Replica
keeper.HANDOVER_S, keeper.POLL_S, Replica.grace_s, Replica.poll_s = 0.5, 0.1, 0.3, 0.05
runpy.run_path("PROGRAM", run_name="__main__")
"""

JOB = """
import asyncio, sys
from pathlib import Path
from prep.runtime.program import run
from prep.serving.kept_server import open_server
from prep.serving.server_config import read_server_config

async def work(config):
    with open_server(read_server_config(config), config.parent) as server:
        print((await server.ensure_endpoints())[0].base_url, flush=True)
        await asyncio.Event().wait()

run(lambda: asyncio.run(work(Path(sys.argv[1]))))
"""


@pytest.fixture
def workflow(tmp_path, monkeypatch):
    """The main process of a run, which this program is a job of; keepers are quick."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    identity = process_group.identify_process(process.pid)
    folder = Path("/tmp") / f"vlm-prep-test-{identity.replace(':', '-')}"
    monkeypatch.setenv(workflow_run.VARIABLE, f"{identity} {folder}")
    keeper = tmp_path / "keeper.py"
    keeper.write_text(QUICK_KEEPER.replace("PROGRAM", str(kept_server.PROGRAM)))
    monkeypatch.setattr(kept_server, "PROGRAM", keeper)
    monkeypatch.setenv("PYTHONPATH", python_environment()["PYTHONPATH"])
    yield process
    process.kill()
    process.wait()
    with contextlib.suppress(AssertionError):
        until(lambda: not processes(tmp_path), 15)
    for pid in processes(tmp_path):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def use(config: ServerConfig, folder: Path, work=None) -> object:
    """What `await work(server)` gives inside the context of a job's server, else its endpoints."""

    async def main():
        with open_server(config, folder) as server:
            assert isinstance(server, KeptServer)
            return await (work(server) if work else server.ensure_endpoints())

    return asyncio.run(main())


def keepers(folder: Path) -> list[int]:
    return [pid for pid, line in processes(folder).items() if "keeper.py" in line]


def guards(folder: Path) -> list[int]:
    return [pid for pid, line in processes(folder).items() if "process_group.py guard" in line]


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def test_jobs_of_a_run_use_one_start_and_the_run_ends_it(workflow, tmp_path):
    config = stand_in_config(tmp_path, "--keys", str(tmp_path / "keys"), "--stubborn")
    first, second = use(config, tmp_path), use(config, tmp_path)
    assert first == second
    assert get_json(f"{first[0].base_url}/models", first[0].api_key)[0] == 200
    assert len(starts(tmp_path)) == 1
    key = (tmp_path / "keys").read_text().strip()
    assert first[0].api_key == key
    assert key not in (tmp_path / "server.log").read_text()
    assert not any(key in line for line in processes(tmp_path).values())
    run = workflow_run.find_run()
    workflow.kill()
    workflow.wait()
    until(lambda: not processes(tmp_path))
    assert list((tmp_path / "running").iterdir()) == []
    assert not run.folder.exists()


def test_a_server_that_no_job_uses_ends_after_its_linger(workflow, tmp_path):
    config = stand_in_config(tmp_path, linger=1)
    use(config, tmp_path)
    until(lambda: not processes(tmp_path))
    assert "no job has used it for 1 s" in (tmp_path / "server.log").read_text()
    use(config, tmp_path)
    assert len(starts(tmp_path)) == 2


def test_a_server_stays_while_a_job_uses_it_and_when_that_job_is_killed(workflow, tmp_path):
    (tmp_path / "job.py").write_text(JOB)
    write_json(tmp_path / "server.json", asdict(stand_in_config(tmp_path)))
    arguments = [sys.executable, str(tmp_path / "job.py"), str(tmp_path / "server.json")]
    job = subprocess.Popen(
        arguments, env=python_environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    with job:
        url = job.stdout.readline().strip()
        kill(job.pid)
    (endpoint,) = use(stand_in_config(tmp_path), tmp_path)
    assert endpoint.base_url == url
    assert len(starts(tmp_path)) == 1


def test_another_server_gets_the_devices_of_one_that_is_idle(workflow, tmp_path):
    folders = tmp_path / "one", tmp_path / "two"
    for folder in folders:
        folder.mkdir()
        use(stand_in_config(folder, name=folder.name, devices="0"), folder)
    (one,), (two,) = map(starts, folders)
    assert not process_group.is_group_alive(one)
    assert process_group.is_group_alive(two)
    assert "another server needs its devices" in (folders[0] / "server.log").read_text()


def test_a_server_that_is_in_use_keeps_its_devices(workflow, tmp_path):
    folders = tmp_path / "one", tmp_path / "two"
    for folder in folders:
        folder.mkdir()

    async def work(server):
        await server.ensure_endpoints()
        with open_server(stand_in_config(folders[1], name="two"), folders[1]) as other:
            waiting = asyncio.create_task(other.ensure_endpoints())
            await asyncio.to_thread(until, lambda: "waits for devices" in _log(folders[1]))
            assert not starts(folders[1])
            server.__exit__()
            await waiting
        assert not process_group.is_group_alive(starts(folders[0])[0])

    use(stand_in_config(folders[0], name="one"), folders[0], work)


def _log(folder: Path) -> str:
    file = folder / "server.log"
    return file.read_text() if file.exists() else ""


def test_servers_on_devices_of_their_own_run_beside_each_other(workflow, tmp_path):
    for name, devices in (("one", "0,1"), ("two", "2")):
        (tmp_path / name).mkdir()
        use(stand_in_config(tmp_path / name, name=name, devices=devices), tmp_path / name)
    assert all(process_group.is_group_alive(starts(tmp_path / name)[0]) for name in ("one", "two"))


def test_a_keeper_that_is_killed_is_replaced_and_leaves_nothing(workflow, tmp_path):
    async def work(server):
        before = await server.ensure_endpoints()
        (keeper,) = keepers(tmp_path)
        kill(keeper)
        after = await server.ensure_endpoints()
        assert after != before
        first, second = starts(tmp_path)
        assert not process_group.is_group_alive(first)
        assert process_group.is_group_alive(second)
        kill(*keepers(tmp_path))
        with pytest.raises(UserError, match="keeper was killed"):
            await server.ensure_endpoints()

    use(stand_in_config(tmp_path, restarts=1), tmp_path, work)
    until(lambda: not processes(tmp_path / "pids"))


def test_nothing_is_left_after_the_keeper_is_killed(workflow, tmp_path):
    use(stand_in_config(tmp_path, "--stubborn"), tmp_path)
    kill(*keepers(tmp_path))
    until(lambda: not processes(tmp_path))


def test_nothing_is_left_after_the_guard_and_then_the_keeper_is_killed(workflow, tmp_path):
    use(stand_in_config(tmp_path, "--stubborn"), tmp_path)
    (killed,) = guards(tmp_path)
    kill(killed)
    until(lambda: guards(tmp_path) not in ([], [killed]))
    kill(*keepers(tmp_path))
    until(lambda: not processes(tmp_path))


def test_the_next_job_ends_a_server_whose_keeper_and_guard_were_killed_at_once(workflow, tmp_path):
    config = stand_in_config(tmp_path / "toy", "--pids", str(tmp_path / "pids"), "--stubborn")
    use(config, tmp_path / "toy")
    (orphan,) = starts(tmp_path)
    (keeper,) = keepers(tmp_path)
    os.kill(keeper, signal.SIGSTOP)  # it cannot start another guard
    kill(*guards(tmp_path))
    kill(keeper)
    use(config, tmp_path / "toy")
    assert not process_group.is_group_alive(orphan)
    assert len(starts(tmp_path)) == 2


def test_a_server_that_dies_is_started_again_within_each_job(workflow, tmp_path):
    async def work(server):
        before = await server.ensure_endpoints()
        kill(starts(tmp_path)[-1])
        while await server.ensure_endpoints() == before:
            await asyncio.sleep(0.02)

    for _ in range(3):
        use(stand_in_config(tmp_path, restarts=1), tmp_path, work)
    assert len(starts(tmp_path)) == 4


def test_a_server_that_cannot_start_fails_the_job_and_the_next_one_tries_again(workflow, tmp_path):
    for count in (1, 2):
        with pytest.raises(UserError, match=r"exit code 7.*the model folder is corrupt"):
            use(stand_in_config(tmp_path, "--die", "7"), tmp_path)
        assert len(starts(tmp_path)) == count
        until(lambda: not processes(tmp_path))


def test_a_job_without_a_run_has_a_server_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv(workflow_run.VARIABLE, f"{os.getpid()}:1 {tmp_path / 'run'}")
    assert isinstance(open_server(stand_in_config(tmp_path), tmp_path), Server)
    monkeypatch.delenv(workflow_run.VARIABLE)
    assert isinstance(open_server(stand_in_config(tmp_path), tmp_path), Server)
    assert not (tmp_path / "run").exists()


def test_a_run_folder_that_others_may_enter_is_refused(workflow, tmp_path):
    folder = workflow_run.find_run().folder
    folder.chmod(0o755)
    with pytest.raises(UserError, match="not a folder of ours alone"):
        open_server(stand_in_config(tmp_path), tmp_path)
    folder.rmdir()
