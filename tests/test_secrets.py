"""What a server or a hub repeats of a key, or says to a terminal, ends in nothing that a program writes."""

import json
import logging
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from test_answer_text import FLAGS

from batch import Batch, question
from fault_server import Ask, FaultServer, Reply
from hub_server import Hub, launch
from prep.runtime.program import UserError
from prep.runtime.sanitize import MASK
from prep.serving.replica import Replica
from prep.storage.atomic import read_json, write_json
from running import python_environment, run
from server_config import stand_in_config

KEY = "sk-live-0123456789abcdefghij"
RED = "\x1b[31mred\x1b[0m"
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


def written(folder: Path) -> bytes:
    """All that stands in a folder's files."""
    return b"\n".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def echo(ask: Ask, status: int) -> Reply:
    """An error that repeats the request's headers, as careless gateways do."""
    headers = {name.lower(): value for name, value in ask.headers.items()}
    said = f"{RED}\u202e bad request with {json.dumps(headers)} (and {headers['authorization']})"
    return Reply(status=status, headers={"retry-after": "0"}, body={"error": {"message": said}})


@pytest.fixture
def key(monkeypatch) -> str:
    monkeypatch.setenv("TEACHER_KEY", KEY)
    return "TEACHER_KEY"


def test_a_row_s_own_error_repeats_no_key(tmp_path, key):
    with FaultServer(lambda ask: echo(ask, 400) if "1" in ask.prompt else Reply(), key=KEY) as server:
        batch = Batch(tmp_path, [question(0), question(1)], server, api_key_env=key)
        done = batch.ask("answer_text.py", *FLAGS, 0.0, "--answers", tmp_path / "a.parquet")
    assert done.returncode == 0, done.stderr
    rejected = batch.rows("a.parquet")[1]
    assert rejected["reason"] == "bad_request"
    assert f"Bearer {MASK}" in rejected["detail"]
    assert "red" in rejected["detail"]
    assert not CONTROL.search(rejected["detail"] + done.stderr)
    assert KEY not in done.stderr + done.stdout
    assert KEY.encode() not in written(tmp_path)


@pytest.mark.parametrize("status", [401, 402, 404, 500])
def test_a_job_s_last_line_and_log_repeat_no_key(tmp_path, key, status):
    with FaultServer(lambda ask: echo(ask, status), key=KEY) as server:
        batch = Batch(tmp_path, [question(0)], server, api_key_env=key, max_failed_share=0.0)
        done = batch.ask("answer_text.py", *FLAGS, 0.0, "--answers", tmp_path / "a.parquet")
    assert done.returncode == 1
    assert "red" in done.last
    assert MASK in done.last
    assert not CONTROL.search(done.stderr)
    assert KEY not in done.stderr
    assert KEY.encode() not in written(tmp_path)


def test_the_details_of_a_probe_repeat_no_key(tmp_path, key):
    def plan(ask: Ask) -> Reply:
        if isinstance(ask.body["messages"][0]["content"], list):
            return echo(ask, 400)
        if "response_format" in ask.body:
            return Reply(content=f'{{"verdict": "pass", "score": 4, "reason": "\x19 {KEY}"}}')
        return Reply(content=f"<think>\x1b[2J{ask.headers['authorization']}</think>5")

    with FaultServer(plan, key=KEY) as server:
        write_json(
            tmp_path / "server.json",
            asdict(
                stand_in_config(
                    tmp_path, mode="external", base_urls=[server.base_url], api_key_env=key, model="model"
                )
            ),
        )
        done = run(
            "probe_server.py",
            *("--server", tmp_path / "server.json", "--code", "c"),
            *("--probe", tmp_path / "probe.json", "--details", tmp_path / "details.json"),
        )
    assert done.returncode == 0, done.stderr
    answers = read_json(tmp_path / "details.json")["answers"]
    assert answers["verdict"]["content"].endswith(rf'"\x19 {MASK}"}}')
    assert read_json(tmp_path / "probe.json")["schema"] is True  # by what the server said, as it said it
    assert f"Bearer {MASK}" in answers["picture"]
    assert answers["thinking"]["content"] == f"<think>Bearer {MASK}</think>5"
    assert KEY.encode() not in written(tmp_path)


def test_a_model_s_answer_is_left_as_it_is(tmp_path, key):
    """No request holds a key in its text; an answer is the user's data, and journals must not change it."""
    said = f"<think>\x1b[1m</think>{KEY}"
    with FaultServer(lambda ask: Reply(content=said), key=KEY) as server:
        batch = Batch(tmp_path, [question(0)], server, api_key_env=key)
        batch.ask("answer_text.py", *FLAGS, 0.0, "--answers", tmp_path / "a.parquet")
    assert batch.rows("a.parquet")[0]["text"] == f"<think>\n\x1b[1m\n</think>\n\n{KEY}"


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
@pytest.mark.parametrize("place", ["body", "header"])
def test_a_hub_s_error_repeats_no_token(tmp_path, status, place):
    said = f"{RED} no such token: {KEY}"
    body = json.dumps({"error": said if place == "body" else "see the headers"}).encode()
    headers = {"Retry-After": "0"} | (
        {} if place == "body" else {"X-Error-Message": said.replace("\x1b", "\x9b")}
    )
    with Hub(tmp_path) as hub:
        hub.fault("", times=100, status=status, headers=headers, body=body)
        write_json(tmp_path / "hub.json", {"mirror": None, "endpoint": hub.endpoint, "keep": False})
        program = launch(
            tmp_path,
            "resolve_revision.py",
            *("--hub", tmp_path / "hub.json", "--repo", "org/set", "--revision", "main"),
            *("--resolved", tmp_path / "resolved.json"),
            HF_TOKEN=KEY,
        )
        _, stderr = program.communicate(timeout=60)
    assert program.returncode == 1
    assert stderr.splitlines()[-1].startswith("error: ")
    assert KEY in {made.token for made in hub.requests}
    assert KEY not in stderr
    assert not CONTROL.search(stderr)


SERVER = """
import os, sys
key = os.environ["VLLM_API_KEY"]
print("\\x1b[32mINFO\\x1b[0m serving with", key, flush=True)
print("ValueError: \\x1b[1mbad key\\x1b[0m", key, os.environ["HF_TOKEN"], flush=True)
sys.exit(3)
"""


def test_a_managed_server_s_words_are_sanitized_in_log_and_failure(tmp_path, monkeypatch):
    (tmp_path / "server.py").write_text(SERVER)
    monkeypatch.setenv("HF_TOKEN", KEY)
    config = stand_in_config(tmp_path, launcher=[sys.executable, str(tmp_path / "server.py")])
    write_json(tmp_path / "server.json", asdict(config))
    done = run(
        "probe_server.py",
        *("--server", tmp_path / "server.json", "--code", "c"),
        *("--probe", tmp_path / "probe.json", "--details", tmp_path / "details.json"),
    )
    assert done.returncode == 1
    assert f"INFO serving with {MASK}" in done.stderr
    assert f"ValueError: bad key {MASK} {MASK}" in done.last
    assert KEY not in done.stderr
    assert not CONTROL.search(done.stderr)


def test_a_server_s_line_about_a_request_that_went_well_is_left_out_in_colours_too(caplog, tmp_path):
    caplog.set_level(logging.INFO)
    replica = Replica("toy", stand_in_config(tmp_path), tmp_path, devices=None, port=None, key=None)
    replica._log_line('\x1b[32mINFO\x1b[0m "POST /v1/chat/completions HTTP/1.1\x1b[0m" \x1b[32m200 OK\x1b[0m')
    replica._log_line('\x1b[32mINFO\x1b[0m "POST / HTTP/1.1" \x1b[32m404 Not Found\x1b[0m')
    assert caplog.messages == ['toy | INFO "POST / HTTP/1.1" 404 Not Found']


def test_a_failure_says_no_secret_however_it_is_shown(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", KEY)
    code = f"""
from prep.runtime.program import run
def main(): raise ValueError("a bug with {KEY} \\x1b[31m")
run(main)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=python_environment(), check=False
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert f"ValueError: a bug with {MASK} \n" in done.stderr
    assert KEY not in done.stderr
    assert str(UserError("a \x1b[31mline")) == "a line"
