"""A server in the foreground: how it is used, its key file, and its end."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import asdict

import pytest
from conftest import ROOT

from prep.serving.endpoint import Endpoint, get_json
from prep.storage.atomic import write_json
from serve_server import describe_usage
from server_config import stand_in_config
from stand_in_server import processes, starts, until


@pytest.fixture
def serve(tmp_path):
    """Start the program over the stand-in; it is killed at the end if it is still there."""
    started = []

    def start(*behaviour: str, **changes) -> subprocess.Popen:
        config = tmp_path / "server.json"
        write_json(config, asdict(stand_in_config(tmp_path, *behaviour, **changes)))
        program = [ROOT / "scripts/serve_server.py", "--server", config, "--key-file", tmp_path / "key"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen([sys.executable, *program], **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen) -> str:
    """What the program prints once it serves."""
    return "".join(iter(process.stdout.readline, "\n"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_serves_with_a_key_that_only_its_owner_reads_until_it_is_told_to_end(serve, tmp_path, number):
    (tmp_path / "key").write_text("left by one that was killed")
    process = serve()
    words = said(process)
    url = re.search(r'at \["(http://127\.0\.0\.1:\d+/v1)"\] until Ctrl-C', words)[1]
    key = (tmp_path / "key").read_text().strip()
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert f'export TOY_API_KEY="$(cat {tmp_path}/key)"' in words
    assert get_json(f"{url}/models", key)[0] == 200
    assert get_json(f"{url}/models")[0] == 401
    assert key not in words + "".join(processes("").values())
    process.send_signal(number)
    _, log = process.communicate(timeout=10)
    assert process.returncode in (128 + number, 128 + signal.SIGTERM)
    assert key not in log
    assert not (tmp_path / "key").exists()
    until(lambda: not processes(tmp_path))


def test_a_server_that_dies_comes_back_at_the_same_address_with_the_same_key(serve, tmp_path):
    process = serve()
    url = re.search(r"http://\S+/v1", said(process))[0]
    key = (tmp_path / "key").read_text().strip()
    os.kill(starts(tmp_path)[0], signal.SIGKILL)
    until(lambda: len(starts(tmp_path)) == 2)
    until(lambda: _status(f"{url}/models", key) == 200)


def test_replicas_are_served_with_one_key(serve, tmp_path):
    process = serve(replicas=2, devices="0,1")
    urls = json.loads(re.search(r"base_urls: (.*)", said(process))[1])
    key = (tmp_path / "key").read_text().strip()
    assert len(set(urls)) == 2
    assert [_status(f"{url}/models", key) for url in urls] == [200, 200]


def _status(url: str, key: str) -> int | None:
    try:
        return get_json(url, key)[0]
    except OSError:
        return None


def test_a_second_one_with_the_same_key_file_is_refused_and_harms_nothing(serve, tmp_path):
    first = serve()
    said(first)
    key = (tmp_path / "key").read_text()
    second = serve()
    assert "is in use: this server is served already" in second.communicate(timeout=10)[1].splitlines()[-1]
    assert second.returncode == 1
    assert (tmp_path / "key").read_text() == key
    assert len(starts(tmp_path)) == 1


def test_a_server_that_does_not_start_ends_in_one_line_and_leaves_no_key(serve, tmp_path):
    process = serve("--die", "3")
    last = process.communicate(timeout=10)[1].splitlines()[-1]
    assert re.match(r"error: toy: the server ended \(exit code 3\).*the model folder is corrupt", last)
    assert process.returncode == 1
    assert not (tmp_path / "key").exists()


def test_an_external_server_cannot_be_served(serve):
    process = serve(mode="external")
    assert "it runs elsewhere" in process.communicate(timeout=10)[1].splitlines()[-1]
    assert process.returncode == 1


@pytest.mark.parametrize(
    ("host", "name"),
    [("127.0.0.1", "//127.0.0.1:80/"), ("0.0.0.0", f"//{os.uname().nodename}:80/")],
)
def test_usage_names_the_machine_where_others_can_reach_it(tmp_path, host, name):
    words = describe_usage(
        stand_in_config(tmp_path, host=host), [Endpoint("http://127.0.0.1:80/v1", "k3y")], tmp_path / "key"
    )
    assert f'base_urls: ["http:{name}v1"]' in words
    assert "k3y" not in words
