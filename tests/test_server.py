"""The server context, with real processes and real signals: started, watched, and always stopped."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import ROOT

from fault_server import FaultServer, Reply
from prep.runtime import process_group
from prep.runtime.program import UserError
from prep.serving import endpoint as endpoint_module
from prep.serving import replica as replica_module
from prep.serving.endpoint import Endpoint, ExternalServers, describe_models, get_json, is_loopback
from prep.serving.launch import build_command, find_free_port, split_devices
from prep.serving.replica import Replica
from prep.serving.server import Server
from prep.serving.server_config import ServerConfig
from prep.storage.atomic import write_json
from running import python_environment
from server_config import stand_in_config
from stand_in_server import processes, starts, until

# What a program of this project is: it uses a server until it is done, told to stop, or killed.
PROGRAM = """
import asyncio, sys
from pathlib import Path
from prep.runtime.program import run
from prep.serving.replica import Replica
from prep.serving.server import Server
from prep.serving.server_config import read_server_config

async def work(config, ending):
    with Server(read_server_config(config), config.parent) as server:
        if ending == "orphan":
            print("ready", flush=True)
            sys.stdin.read()
        await server.ensure_endpoints()
        print("ready", flush=True)
        if ending == "failure":
            raise ValueError("the program is broken")
        if ending == "wait":
            await asyncio.Event().wait()

def main():
    Replica.grace_s = 0.3
    asyncio.run(work(Path(sys.argv[1]), sys.argv[2]))

run(main)
"""


linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows when a process was started")


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    """Looks twenty times a second, and kills soon; a test that fails leaves nothing either."""
    monkeypatch.setattr(Replica, "poll_s", 0.05)
    monkeypatch.setattr(Replica, "grace_s", 0.3)
    yield
    for pid in processes(tmp_path):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def use(config: ServerConfig, folder: Path, work) -> object:
    """What `await work(server)` gives inside the context of a server."""

    async def main():
        with Server(config, folder) as server:
            return await work(server)

    return asyncio.run(main())


def elsewhere(model="toy/model", wait=lambda: None, **changes) -> FaultServer:
    """A server that runs elsewhere: healthy, and names its model after a wait.

    What the wait gives, if it gives something, is the status of the answer.
    """

    def page(path: str) -> Reply | None:
        status = wait() if path == "/v1/models" else None
        return status and Reply(status=status)

    return FaultServer(models=(model,), page=page, **changes)


# Starting


def test_starts_at_the_first_call_only_and_stops_at_the_end(tmp_path):
    async def work(server):
        assert starts(tmp_path) == []
        given = await asyncio.gather(*(server.ensure_endpoints() for _ in range(20)))
        assert all(endpoints == given[0] for endpoints in given)
        (pid,) = starts(tmp_path)
        assert os.getpgid(pid) == pid != os.getpgrp()
        return given[0]

    (endpoint,) = use(stand_in_config(tmp_path), tmp_path, work)
    assert endpoint.base_url.startswith("http://127.0.0.1:")
    assert endpoint.base_url.endswith("/v1")
    until(lambda: not processes(tmp_path))
    with pytest.raises(OSError, match="refused"):
        get_json(endpoint.base_url + "/models")


@pytest.fixture
def clock(monkeypatch):
    """The clock of a start, which stands still until a test turns it."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(replica_module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_a_server_that_takes_long_to_name_its_model_gets_ready(tmp_path, monkeypatch, clock):
    patience = []

    async def slow(url: str, key: str = "", timeout: float = 5.0):
        patience.append(timeout)
        if url.endswith("/models") and key and timeout < 15:
            raise TimeoutError("timed out")
        return await endpoint_module.fetch_json(url, key, timeout)

    monkeypatch.setattr(replica_module, "fetch_json", slow)
    config = stand_in_config(tmp_path, start_timeout=18)
    assert len(use(config, tmp_path, lambda server: server.ensure_endpoints())) == 1
    assert patience[:2] == [5, 5]
    assert max(patience) == 18


def test_a_context_without_a_call_starts_nothing(tmp_path):
    with Server(stand_in_config(tmp_path), tmp_path):
        pass
    assert starts(tmp_path) == []


def test_gives_nothing_outside_its_block(tmp_path):
    server = Server(stand_in_config(tmp_path), tmp_path)
    with pytest.raises(RuntimeError, match="with block"):
        asyncio.run(server.ensure_endpoints())


def test_the_key_is_new_for_each_start_and_shows_nowhere(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)

    async def work(server):
        (first,) = await server.ensure_endpoints()
        assert get_json(first.base_url + "/models", first.api_key)[0] == 200
        assert get_json(first.base_url + "/models")[0] == 401
        lines = "".join(processes("").values())
        (old,) = starts(tmp_path)
        os.kill(old, signal.SIGKILL)
        (second,) = await until_restarted(server, tmp_path, 2)
        return first, second, lines + "".join(processes("").values())

    first, second, lines = use(stand_in_config(tmp_path), tmp_path, work)
    assert first.api_key != second.api_key
    assert first.base_url != second.base_url
    assert "stand_in_server.py" in lines
    for key in (first.api_key, second.api_key):
        assert len(key) > 30
        assert key not in lines + caplog.text + repr(first) + repr(second)


async def until_restarted(server, folder: Path, count: int) -> list[Endpoint]:
    """Endpoints as a client asks for them while the server dies: again until it has been started anew."""
    while True:
        endpoints = await server.ensure_endpoints()
        if len(starts(folder)) == count:
            return endpoints
        await asyncio.sleep(0.02)


def test_devices_and_flags_reach_the_server_and_its_words_the_log(tmp_path, caplog):
    caplog.set_level(logging.INFO)

    async def work(server):
        await server.ensure_endpoints()
        return processes(tmp_path)[starts(tmp_path)[0]]

    line = use(stand_in_config(tmp_path, devices="0,3"), tmp_path, work)
    assert f"--served-model-name toy/model --max-model-len 512 --pids {tmp_path}" in line
    assert "toy | devices 0,3" in caplog.text
    assert "200 OK" not in caplog.text


def test_a_server_that_wants_no_key_is_told_of(tmp_path, caplog):
    use(stand_in_config(tmp_path, "--open"), tmp_path, lambda server: server.ensure_endpoints())
    assert "wants no key" in caplog.text


@pytest.mark.parametrize("model", ["another/model", "toy/model"])
def test_a_port_lost_to_another_server_is_given_up(tmp_path, monkeypatch, caplog, model):
    caplog.set_level(logging.INFO)

    def ours_ended():
        until(lambda: starts(tmp_path) and not process_group.is_group_alive(starts(tmp_path)[0]))

    # Even one that wants no key and has the same model is not ours, when ours has ended.
    with elsewhere(model, wait=ours_ended) as thief:
        offers = [thief.port]
        # The port was free when it was looked at, and taken when the server came to it.
        monkeypatch.setattr(
            replica_module,
            "find_free_port",
            lambda host, port=0: offers.pop() if offers else find_free_port(host, port),
        )
        (endpoint,) = use(stand_in_config(tmp_path), tmp_path, lambda server: server.ensure_endpoints())
    assert endpoint.base_url != thief.base_url
    assert len(starts(tmp_path)) == 2
    assert "Address already in use" in caplog.text
    assert f"another program took port {thief.port} first" in caplog.text


def test_a_fixed_port_that_is_taken_fails_before_anything_starts(tmp_path):
    with elsewhere() as other, pytest.raises(UserError, match=f"cannot listen on 127.0.0.1:{other.port}"):
        use(stand_in_config(tmp_path, port=other.port), tmp_path, lambda server: server.ensure_endpoints())
    assert starts(tmp_path) == []


def test_a_fixed_port_keeps_address_and_key_over_a_restart(tmp_path):
    async def work(server):
        first = await server.ensure_endpoints()
        os.kill(starts(tmp_path)[0], signal.SIGKILL)
        return first, await until_restarted(server, tmp_path, 2)

    port = find_free_port("127.0.0.1")
    first, second = use(stand_in_config(tmp_path, port=port), tmp_path, work)
    assert first == second
    assert first[0].base_url == f"http://127.0.0.1:{port}/v1"


def test_the_embedded_server_starts_and_asks_for_its_key(tmp_path):
    async def work(server):
        (endpoint,) = await server.ensure_endpoints()
        return [get_json(f"{endpoint.base_url}/models", key)[0] for key in (endpoint.api_key, "")]

    model = "SmolLM2-135M-Instruct"
    config = stand_in_config(tmp_path, mode="embedded", model=model, launcher=[], args=[], threads=1)
    assert use(config, tmp_path, work) == [200, 401]
    until(lambda: not processes(tmp_path))


# Replicas


def test_replicas_start_beside_each_other_on_devices_of_their_own(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    config = stand_in_config(tmp_path, replicas=2, devices="0,1,2,3")
    endpoints = use(config, tmp_path, lambda server: server.ensure_endpoints())
    assert len({endpoint.base_url for endpoint in endpoints}) == 2
    assert len({endpoint.api_key for endpoint in endpoints}) == 2
    assert {"toy.0 | devices 0,1", "toy.1 | devices 2,3"} <= set(caplog.messages)
    until(lambda: not processes(tmp_path))


def test_a_replica_that_dies_is_started_again_while_the_other_serves(tmp_path):
    async def work(server):
        before = await server.ensure_endpoints()
        os.kill(starts(tmp_path)[0], signal.SIGKILL)
        while len(during := await server.ensure_endpoints()) == 2:
            await asyncio.sleep(0.02)
        while len(after := await server.ensure_endpoints()) == 1:
            await asyncio.sleep(0.02)
        return before, during, after

    before, during, after = use(stand_in_config(tmp_path, replicas=2, devices="0,1"), tmp_path, work)
    assert set(during) < set(before)
    assert set(during) < set(after) != set(before)


def test_the_run_goes_on_without_a_replica_that_is_lost_until_none_is_left(tmp_path, caplog):
    async def work(server):
        await server.ensure_endpoints()
        for left, pid in zip((1, 0), starts(tmp_path), strict=True):
            os.kill(pid, signal.SIGKILL)
            # Its end is seen before its failure is known, which is told first.
            while len(await server.ensure_endpoints()) > left or "goes on without it" not in caplog.text:
                await asyncio.sleep(0.02)

    with pytest.raises(UserError, match=r"toy.[01]: the server died \(signal 9\)"):
        use(stand_in_config(tmp_path, replicas=2, devices="0,1", restarts=0), tmp_path, work)
    assert "the run goes on without it" in caplog.text


def test_one_replica_that_never_gets_ready_is_a_failure_and_leaves_none(tmp_path):
    with pytest.raises(UserError, match=r"toy.1: the server ended \(exit code 3\)"):
        use(
            stand_in_config(tmp_path, "--die-on", "1", replicas=2, devices="0,1"),
            tmp_path,
            lambda server: server.ensure_endpoints(),
        )
    until(lambda: not processes(tmp_path))


def test_replicas_at_a_fixed_port_count_up_from_it_with_one_key(tmp_path):
    port = find_free_port("127.0.0.1")
    config = stand_in_config(tmp_path, replicas=2, devices="0,1", port=port)
    endpoints = use(config, tmp_path, lambda server: server.ensure_endpoints())
    assert [each.base_url for each in endpoints] == [f"http://127.0.0.1:{port + n}/v1" for n in (0, 1)]
    assert len({endpoint.api_key for endpoint in endpoints}) == 1


@pytest.mark.parametrize(
    ("replicas", "devices", "own", "expected"),
    [
        (1, None, "0,1", [None]),
        (1, "3", None, ["3"]),
        (2, "0,1,2,3", "9", ["0,1", "2,3"]),
        (2, None, "4,5", ["4", "5"]),
        (2, None, None, "cannot share 0 devices"),
        (2, "0,1,2", None, "cannot share 3 devices"),
    ],
)
def test_shares(tmp_path, monkeypatch, replicas, devices, own, expected):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if own:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", own)
    config = stand_in_config(tmp_path, replicas=replicas, devices=devices)
    if isinstance(expected, list):
        assert split_devices(config) == expected
    else:
        with pytest.raises(UserError, match=f"toy: 2 replicas {expected}"):
            split_devices(config)


def test_servers_that_run_at_once_compile_into_folders_of_their_own_and_find_them_again(
    tmp_path, caplog, monkeypatch
):
    monkeypatch.delenv("VLLM_CACHE_ROOT", raising=False)
    caplog.set_level(logging.INFO)

    def used() -> set[str]:
        """The cache folders that servers were told of since the last call."""
        found = {line.partition("| cache ")[2] for line in caplog.messages if "| cache " in line}
        caplog.clear()
        return found

    use(
        stand_in_config(tmp_path, replicas=2, devices="0,1"),
        tmp_path,
        lambda server: server.ensure_endpoints(),
    )
    first = used()
    assert len(first) == 2
    assert all(Path(folder).parent == tmp_path / "cache" for folder in first)
    use(stand_in_config(tmp_path), tmp_path, lambda server: server.ensure_endpoints())
    assert used() < first


# Failing


@pytest.mark.parametrize(
    ("behaviour", "changes", "words"),
    [
        (
            ["--die", "3"],
            {},
            r"ended \(exit code 3\) before it was ready.*: ValueError: too little memory \| … \|.*is corrupt",
        ),
        (["--sick"], {}, r"not ready in 20 s \(/health: status 503\)"),
        (["--misnamed"], {}, "not ready in 20 s .*another-model"),
        ([], {"launcher": ["no-such-launcher"]}, "launcher 'no-such-launcher' is not found"),
        (["--api-key", "secret"], {}, "args must not hold --api-key"),
        ([], {"host": "host.invalid"}, "cannot listen on host.invalid"),
    ],
)
def test_a_start_that_cannot_be_is_one_failure_for_all_callers(
    tmp_path, monkeypatch, clock, behaviour, changes, words
):
    async def fetch_json(*args, **options):
        answer = await endpoint_module.fetch_json(*args, **options)
        clock.now = 21  # the first answer comes too late
        return answer

    async def work(server):
        return await asyncio.gather(*(server.ensure_endpoints() for _ in range(5)), return_exceptions=True)

    monkeypatch.setattr(replica_module, "fetch_json", fetch_json)
    failures = use(stand_in_config(tmp_path, *behaviour, **changes), tmp_path, work)
    assert [type(failure) for failure in failures] == [UserError] * 5
    with pytest.raises(UserError, match=words):
        raise failures[-1]
    assert len(starts(tmp_path)) <= 1
    until(lambda: not processes(tmp_path))


def test_a_server_that_keeps_dying_is_given_up_after_its_restarts(tmp_path):
    async def work(server):
        await server.ensure_endpoints()
        for count in (2, 3):
            os.kill(starts(tmp_path)[-1], signal.SIGKILL)
            await until_restarted(server, tmp_path, count)
        os.kill(starts(tmp_path)[-1], signal.SIGKILL)
        await until_restarted(server, tmp_path, 4)

    with pytest.raises(UserError, match=r"the server died \(signal 9\)"):
        use(stand_in_config(tmp_path, restarts=2), tmp_path, work)
    assert len(starts(tmp_path)) == 3


def test_the_children_of_a_server_that_died_end_before_it_starts_again(tmp_path):
    async def work(server):
        await server.ensure_endpoints()
        old = starts(tmp_path)[0]
        os.kill(old, signal.SIGKILL)
        await until_restarted(server, tmp_path, 2)
        assert not process_group.is_group_alive(old)

    use(stand_in_config(tmp_path, "--stubborn"), tmp_path, work)
    until(lambda: not processes(tmp_path))


def test_a_start_that_is_cancelled_leaves_nothing_and_can_be_made_again(tmp_path):
    async def work(server):
        task = asyncio.create_task(server.ensure_endpoints())
        while not starts(tmp_path):
            await asyncio.sleep(0.02)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert not process_group.is_group_alive(starts(tmp_path)[0])
        await server.ensure_endpoints()

    use(stand_in_config(tmp_path), tmp_path, work)
    assert len(starts(tmp_path)) == 2


# Ending


@pytest.fixture
def program(tmp_path):
    """Start a program that uses a stubborn server; gives its process once the server is ready."""
    started = []

    def start(ending: str, *before: str):
        (tmp_path / "program.py").write_text(PROGRAM)
        config = tmp_path / "server.json"
        write_json(config, asdict(stand_in_config(tmp_path, "--stubborn")))
        process = subprocess.Popen(
            [*before, sys.executable, str(tmp_path / "program.py"), str(config), ending],
            env=python_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()


def guards_of(folder: Path) -> list[int]:
    return [pid for pid, line in processes(folder).items() if "process_group.py guard" in line]


def guard_of(folder: Path) -> int:
    (pid,) = guards_of(folder)
    return pid


def test_nothing_is_left_after_success(program, tmp_path):
    process = program("success")
    assert process.wait(10) == 0
    assert not process_group.is_group_alive(starts(tmp_path)[0])
    until(lambda: not processes(tmp_path))


def test_nothing_is_left_after_an_exception(program, tmp_path):
    process = program("failure")
    assert "the program is broken" in process.communicate(timeout=10)[1]
    assert process.returncode == 1
    until(lambda: not processes(tmp_path))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_after_a_signal(program, tmp_path, number):
    process = program("wait")
    assert len(processes(tmp_path)) == 4  # program, guard, server, child
    process.send_signal(number)
    assert process.wait(10) == 128 + number
    until(lambda: not processes(tmp_path))


def test_nothing_is_left_after_the_program_is_killed(program, tmp_path):
    process = program("wait")
    process.kill()
    until(lambda: not processes(tmp_path))
    assert "guard: the program that started this server is gone" in process.stderr.read()


def test_another_guard_takes_the_place_of_one_that_was_killed(program, tmp_path):
    process = program("wait")
    for _ in range(2):
        killed = guard_of(tmp_path)
        os.kill(killed, signal.SIGKILL)
        until(lambda killed=killed: guards_of(tmp_path) not in ([], [killed]))
    process.kill()
    until(lambda: not processes(tmp_path))
    assert "guard: the program that started this server is gone" in process.stderr.read()


def test_nothing_is_left_after_a_signal_to_a_program_whose_guard_was_killed(program, tmp_path):
    process = program("wait")
    os.kill(guard_of(tmp_path), signal.SIGKILL)
    process.terminate()
    assert process.wait(10) == 128 + signal.SIGTERM
    until(lambda: not processes(tmp_path))


def test_a_guard_that_is_told_to_end_stays_at_its_post(program, tmp_path):
    process = program("wait")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(guard_of(tmp_path), number)
    process.kill()
    until(lambda: not processes(tmp_path))


def orphaned(program, folder: Path) -> int:
    """A server whose program and guard are killed, so that neither hears of the other's end; its process."""
    process = program("wait")
    process.send_signal(signal.SIGSTOP)  # it cannot start another guard
    os.kill(guard_of(folder), signal.SIGKILL)
    process.kill()
    process.wait()
    until(lambda: not any(".py" in line and "stand_in" not in line for line in processes(folder).values()))
    server = starts(folder)[-1]
    assert process_group.is_group_alive(server)
    assert len(list((folder / "running").iterdir())) == 1
    return server


@linux
def test_the_next_start_ends_what_a_program_and_guard_left_that_were_killed_at_once(
    program, tmp_path, caplog
):
    old = orphaned(program, tmp_path)

    async def work(server):
        await server.ensure_endpoints()
        assert not process_group.is_group_alive(old)
        assert process_group.is_group_alive(starts(tmp_path)[-1])
        assert len(list((tmp_path / "running").iterdir())) == 1

    use(stand_in_config(tmp_path), tmp_path, work)
    assert f"toy: ending a server that an earlier program left (process group {old})" in caplog.messages
    until(lambda: not processes(tmp_path))
    assert list((tmp_path / "running").iterdir()) == []


@linux
def test_the_next_start_ends_the_children_of_a_server_that_was_killed_too(program, tmp_path):
    old = orphaned(program, tmp_path)
    os.kill(old, signal.SIGKILL)
    until(lambda: process_group.identify_process(old) is None)
    assert process_group.is_group_alive(old)  # its child, which hears no SIGTERM
    use(stand_in_config(tmp_path), tmp_path, lambda server: server.ensure_endpoints())
    assert not process_group.is_group_alive(old)
    until(lambda: not processes(tmp_path))


@linux
def test_a_start_leaves_the_server_of_a_program_that_lives(program, tmp_path):
    program("wait")
    (other,) = starts(tmp_path)
    use(stand_in_config(tmp_path), tmp_path, lambda server: server.ensure_endpoints())
    assert process_group.is_group_alive(other)
    assert len(list((tmp_path / "running").iterdir())) == 1


@linux
@pytest.mark.parametrize("ending", ["success", "failure", "killed"])
def test_no_pid_file_is_left(program, tmp_path, ending):
    process = program("wait" if ending == "killed" else ending)
    if ending == "killed":
        process.kill()
    process.wait(10)
    until(lambda: list((tmp_path / "running").iterdir()) == [])


def test_a_pid_file_that_cannot_be_written_is_a_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(replica_module.secrets, "token_hex", lambda _: "no/folder")
    with pytest.raises(UserError, match=r"cannot write .*no/folder.json: No such file or directory"):
        use(stand_in_config(tmp_path), tmp_path, lambda server: server.ensure_endpoints())
    assert starts(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's end")
def test_nothing_is_left_after_the_workflow_that_runs_the_program_is_killed(program, tmp_path):
    workflow = [sys.executable, "-c", "import subprocess, sys; subprocess.run(sys.argv[1:])"]
    process = program("wait", *workflow)
    process.kill()
    until(lambda: not processes(tmp_path))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's end")
def test_a_program_whose_workflow_is_gone_starts_no_server(program, tmp_path):
    workflow = [sys.executable, "-c", "import subprocess, sys; subprocess.run(sys.argv[1:])"]
    process = program("orphan", *workflow)
    process.kill()
    process.wait()
    process.stdin.close()
    assert "terminated" in process.stderr.read()
    until(lambda: not processes(tmp_path))
    assert starts(tmp_path) == []


# Servers elsewhere


def external(*urls: str, **changes) -> ServerConfig:
    return stand_in_config(Path("unused"), mode="external", base_urls=list(urls), restarts=0, **changes)


def test_external_servers_that_answer_are_given_and_the_others_come_when_they_do(tmp_path, monkeypatch):
    monkeypatch.setattr(ExternalServers, "recheck_s", 0.05)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # nobody's: the loopback is reached without it
    late = find_free_port("127.0.0.1")

    async def work(server):
        before = await server.ensure_endpoints()
        with elsewhere(port=late) as second:
            async with asyncio.timeout(10):
                while len(after := await server.ensure_endpoints()) < 2:
                    await asyncio.sleep(0.02)
        return before, after, second.base_url

    with elsewhere() as first:
        before, after, second = use(
            external(first.base_url + "/", f"http://127.0.0.1:{late}/v1"), tmp_path, work
        )
    assert before == [Endpoint(first.base_url)]
    assert after == [Endpoint(first.base_url), Endpoint(second)]
    assert before[0].api_key == "EMPTY"
    assert list(tmp_path.iterdir()) == []


def test_an_external_server_gets_the_key_of_the_variable(tmp_path, monkeypatch):
    with elsewhere(key="open sesame") as server:
        config = external(server.base_url, api_key_env="TOY_KEY")
        monkeypatch.delenv("TOY_KEY", raising=False)
        with pytest.raises(UserError, match="the variable TOY_KEY of api_key_env is not set"):
            use(config, tmp_path, lambda server: server.ensure_endpoints())
        monkeypatch.setenv("TOY_KEY", "wrong")
        with pytest.raises(UserError, match=r"refuses the key \(401\)"):
            use(config, tmp_path, lambda server: server.ensure_endpoints())
        for no_key in ("two\nlines", "schlüssel"):
            monkeypatch.setenv("TOY_KEY", no_key)
            with pytest.raises(UserError, match="TOY_KEY of api_key_env holds no key") as failure:
                use(config, tmp_path, lambda server: server.ensure_endpoints())
            assert no_key not in str(failure.value)
        monkeypatch.setenv("TOY_KEY", "open sesame")
        (endpoint,) = use(config, tmp_path, lambda server: server.ensure_endpoints())
    assert endpoint.api_key == "open sesame"


def test_no_external_server_that_answers_is_a_failure(tmp_path):
    url = f"http://127.0.0.1:{find_free_port('127.0.0.1')}/v1"
    with pytest.raises(UserError, match=rf"toy: no server answers \({url}: .*refused.*\); start one"):
        use(external(url), tmp_path, lambda server: server.ensure_endpoints())


def test_a_busy_external_server_is_waited_for(tmp_path, monkeypatch, caplog):
    """One that answers the first two looks only when the third comes, in place of within five seconds."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(ExternalServers, "timeout_s", 0.05)
    third, looks = threading.Event(), []

    def busy():
        looks.append(1)
        if len(looks) == 3:
            third.set()
        third.wait(20)

    with elsewhere(wait=busy) as server:
        given = use(external(server.base_url), tmp_path, lambda server: server.ensure_endpoints())
    assert given == [Endpoint(server.base_url)]
    assert len(looks) >= 3
    assert f"toy: waits up to 10 s for a busy server ({server.base_url}: timed out)" in caplog.text


@pytest.mark.parametrize("status", [408, 429, 503, 504])
def test_an_external_server_that_has_too_much_to_do_is_waited_for(tmp_path, monkeypatch, status):
    monkeypatch.setattr(ExternalServers, "timeout_s", 0.05)
    statuses = iter([status, status])
    with elsewhere(wait=lambda: next(statuses, None)) as server:
        assert use(external(server.base_url), tmp_path, lambda server: server.ensure_endpoints()) == [
            Endpoint(server.base_url)
        ]


def test_a_busy_external_server_is_given_up_after_the_request_timeout(tmp_path, monkeypatch):
    """At once then, and though its last answer is still awaited."""
    monkeypatch.setattr(ExternalServers, "timeout_s", 0.05)
    never = threading.Event()
    with elsewhere(wait=lambda: never.wait(60) and None) as server:
        try:
            with pytest.raises(UserError, match=rf"no server answers \({server.base_url}: timed out\)"):
                use(
                    external(server.base_url, request_timeout=0.2),
                    tmp_path,
                    lambda server: server.ensure_endpoints(),
                )
        finally:
            never.set()


def test_a_busy_server_beside_one_that_answers_comes_when_it_answers(tmp_path, monkeypatch):
    monkeypatch.setattr(ExternalServers, "timeout_s", 0.05)
    monkeypatch.setattr(ExternalServers, "recheck_s", 0.05)
    free = threading.Event()

    async def work(server):
        before = await server.ensure_endpoints()
        while True:
            if len(found := await server.ensure_endpoints()) == 2:
                return before, found
            free.set()
            await asyncio.sleep(0.01)

    with elsewhere() as ready, elsewhere(wait=lambda: free.wait(20) and None) as busy:
        before, after = use(external(busy.base_url, ready.base_url), tmp_path, work)
    assert before == [Endpoint(ready.base_url)]
    assert after == [Endpoint(ready.base_url), Endpoint(busy.base_url)]


def test_the_end_of_a_loop_does_not_wait_for_a_look():
    never, looks = threading.Event(), []

    def hang():
        looks.append("begun")
        never.wait(30)
        looks.append("done")

    async def work(url):
        looking = asyncio.create_task(endpoint_module.fetch_json(f"{url}/models", timeout=60))
        while not looks:
            await asyncio.sleep(0.01)
        return looking

    with elsewhere(wait=hang) as server:
        assert asyncio.run(work(server.base_url)).cancelled()
        assert looks == ["begun"]
        never.set()


def test_external_without_base_urls_is_a_failure(tmp_path):
    with pytest.raises(UserError, match="toy: base_urls is empty"):
        use(external(), tmp_path, lambda server: server.ensure_endpoints())


def test_an_external_server_of_another_model_is_a_failure_that_names_it(tmp_path):
    with elsewhere() as good, elsewhere(model="other/model") as other:
        config = external(good.base_url, other.base_url)
        with pytest.raises(UserError, match=f"{other.base_url} does not serve toy/model, but other/model"):
            use(config, tmp_path, lambda server: server.ensure_endpoints())


# Pure parts


def test_command_line_of_a_managed_server(tmp_path):
    config = stand_in_config(tmp_path, launcher=["env", "vllm", "serve"], args=["-tp", "8"])
    assert build_command(config, 8000) == [
        *("env", "vllm", "serve", "toy/model", "--host", "127.0.0.1", "--port", "8000"),
        *("--served-model-name", "toy/model", "--max-model-len", "512", "-tp", "8"),
    ]


def test_command_line_of_the_embedded_server(tmp_path):
    config = stand_in_config(tmp_path, mode="embedded", model="Small", launcher=[], args=[], threads=3)
    assert build_command(config, 8000) == [
        *(sys.executable, str(ROOT / "scripts/embedded_server.py"), "--model", "Small"),
        *("--host", "127.0.0.1", "--port", "8000", "--threads", "3"),
    ]


@pytest.mark.parametrize("flag", ["--host", "--port=1", "--served-model-name", "--api-key=x"])
def test_flags_that_are_decided_at_each_start_are_refused(tmp_path, flag):
    with pytest.raises(UserError, match="args must not hold " + flag.partition("=")[0]):
        build_command(stand_in_config(tmp_path, flag), 8000)


def test_free_port_refuses_one_that_is_listened_on():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with pytest.raises(UserError, match=r"cannot listen on 127\.0\.0\.1"):
            find_free_port("127.0.0.1", listener.getsockname()[1])
        port = find_free_port("127.0.0.1")
    assert port != listener
    assert find_free_port("127.0.0.1", port) == port


@pytest.mark.parametrize(
    ("stat", "group"),
    [
        (b"12 (vllm) S 1 34 34 0 -1", b"34"),
        (b"12 (a name) R 1 9) Z 1 34 34 0 -1", None),
        (b"12 (odd) S 34 (name) S 1 35 34 0 -1", b"35"),
        (b"12 (a) b) (c) R 1 34 34 0 -1", b"34"),
        (b"12 (gone) X 1 34 34 0 -1", None),
    ],
)
def test_the_group_of_a_living_process_is_told_by_its_stat_line(tmp_path, stat, group):
    (tmp_path / "stat").write_bytes(stat)
    fields = process_group._read_stat(tmp_path / "stat")
    assert (fields and fields[2]) == group


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"data": [{"id": "a"}, {"id": "b"}]}, "a, b"),
        ({"data": [{"id": 1}, "x", {}]}, "no model"),
        ({"data": {}}, "no model"),
        ([], "no model"),
        (None, "no model"),
    ],
)
def test_names_of_anything_that_a_server_may_say(body, words):
    assert describe_models(body) == words


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("http://localhost/v1", True),
        ("http://[::1]:80/v1", True),
        ("https://gpu-node:8000/v1", False),
        ("http://10.127.0.1/v1", False),
    ],
)
def test_is_loopback(url, loopback):
    assert is_loopback(url) is loopback


def test_an_answer_that_is_not_http_is_no_answer():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def babble():
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"SSH-2.0 hello\r\n\r\n")

        thread = threading.Thread(target=babble)
        thread.start()
        with pytest.raises(OSError, match="no HTTP answer"):
            endpoint_module.get_json(f"http://127.0.0.1:{listener.getsockname()[1]}/v1/models")
        thread.join()
