"""What a probe finds out about servers that behave in different ways, and what it cannot work with."""

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import asdict, replace

import pytest
from conftest import ROOT

from asked import CONFIG
from dialects import DIALECTS
from fault_server import FaultServer, Reply
from prep.inference import client
from prep.inference.errors import MAX_ATTEMPTS, RequestError
from prep.records.reason import Reason
from prep.runtime.program import UserError
from prep.serving.endpoint import Endpoint, get_json
from prep.serving.launch import build_command, find_free_port
from prep.serving.replica import Replica
from prep.storage.atomic import write_json
from probe_server import (
    Asker,
    describe,
    find_thinking,
    find_transformers_version,
    obeys_schema,
    probe_endpoint,
    probe_server,
    read_context_length,
)
from server_config import stand_in_config
from stand_in_server import processes, starts, until


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(Replica, "poll_s", 0.05)
    monkeypatch.setattr(client, "FIRST_BACKOFF_S", 0.005)
    monkeypatch.setattr(client, "LONGEST_BACKOFF_S", 0.05)


@pytest.mark.parametrize(
    ("behaviour", "adapted"),
    [
        ([], {"thinking": "content", "schema": True, "empty_think": True, "form": "glm"}),
        (
            ["--thinking", "reasoning", "--schema", "ignored"],
            {"thinking": "reasoning", "schema": False, "empty_think": False, "form": "field"},
        ),
        (
            ["--thinking", "reasoning_content", "--schema", "refused"],
            {"thinking": "reasoning_content", "schema": False, "empty_think": False, "form": "field"},
        ),
        (
            ["--no-block", "--schema", "cut"],
            {"thinking": "content", "schema": True, "empty_think": False, "form": "glm"},
        ),
        (["--thinking", "none"], {"thinking": "none", "schema": True, "empty_think": False, "form": None}),
    ],
)
def test_what_the_client_adapts_to(tmp_path, behaviour, adapted):
    found, _ = asyncio.run(probe_server(stand_in_config(tmp_path, *behaviour), tmp_path))
    assert found == adapted


def run_program(folder, code, *behaviour, **changes):
    """Run the program as it were of some code, with a server that behaves in some way."""
    write_json(folder / "server.json", asdict(stand_in_config(folder, *behaviour, **changes)))
    out = [f"--{name}={folder / name}.json" for name in ("server", "probe", "details")]
    command = [sys.executable, ROOT / "scripts/probe_server.py", "--code", code, *out]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "probe.json").read_text())


def test_the_program_writes_both_files_and_stops_its_server(tmp_path):
    probe = run_program(tmp_path, "code", "--blind")
    assert probe == {"thinking": "content", "schema": True, "empty_think": True, "form": "glm"}
    details = json.loads((tmp_path / "details.json").read_text())
    assert details["model"] == "toy/model"
    assert details["context_length"] == 512
    assert details["server_version"] == "0.0.1"
    assert details["picture"] is False
    assert "no eyes" in details["answers"]["picture"]
    assert all(details["tags"].values())
    until(lambda: not processes(tmp_path))


def test_what_was_asked_before_is_not_asked_again(tmp_path):
    known = run_program(tmp_path, "code", "--no-block")
    assert known["empty_think"] is False
    (tmp_path / "probe.json").unlink()
    assert run_program(tmp_path, "code", launcher=["no-such-launcher"]) == known
    asked = {"samplings": {"text_reasoning.sampling.thinking": {"temperature": 0.5}}}
    assert run_program(tmp_path, "code", **asked)["empty_think"] is True
    assert run_program(tmp_path, "other code", "--no-block", **asked)["empty_think"] is False


def test_a_second_probe_says_the_same(tmp_path):
    first, second = (asyncio.run(probe_server(stand_in_config(tmp_path), tmp_path)) for _ in range(2))
    assert first == second
    assert len(starts(tmp_path)) == 2


@pytest.fixture
def elsewhere(tmp_path):
    """Run a stand-in as an external server with neither key nor /health nor /version; gives its URL."""
    started = []

    def start(*behaviour: str) -> str:
        port = find_free_port("127.0.0.1")
        config = stand_in_config(tmp_path, "--open", "--bare", *behaviour)
        started.append(subprocess.Popen(build_command(config, port), env={**os.environ, "VLLM_API_KEY": "k"}))
        url = f"http://127.0.0.1:{port}/v1"
        until(lambda: _listens(url))
        return url

    yield start
    for process in started:
        process.kill()
        process.wait()


def _listens(url: str) -> bool:
    try:
        return get_json(f"{url}/models")[0] == 200
    except OSError:
        return False


def test_external_servers_need_neither_key_nor_health_nor_version(tmp_path, elsewhere):
    config = stand_in_config(tmp_path, mode="external", base_urls=[elsewhere(), elsewhere("--blind")])
    adapted, details = asyncio.run(probe_server(config, tmp_path))
    assert adapted == {"thinking": "content", "schema": True, "empty_think": True, "form": "glm"}
    assert details["server_version"] is None
    assert details["picture"] is True


def test_external_servers_that_do_not_behave_alike_are_a_failure(tmp_path, elsewhere):
    urls = [elsewhere(), elsewhere("--thinking", "reasoning")]
    with pytest.raises(
        UserError, match=f"do not behave alike: {urls[0]} .*'content'.*{urls[1]} .*'reasoning'"
    ):
        asyncio.run(probe_server(stand_in_config(tmp_path, mode="external", base_urls=urls), tmp_path))


@pytest.mark.parametrize(
    ("content", "reason", "obeyed"),
    [
        ('{"verdict": "pass", "score": 5, "reason": "r"}', "stop", True),
        (' {"score": 1, "verdict": "fail", "reason": ""}\n', "stop", True),
        ('{"verdict": "pass", "score": 5, "reason": "a\ttab"}', "stop", True),
        ('{"verdict": "pass", "score": 5, "reason": "a \x19 and \x1b[1m"}', "stop", True),
        ('{"verdict": "pass", "score": 6, "reason": "r"}', "stop", False),
        ('{"verdict": "maybe", "score": 5, "reason": "r"}', "stop", False),
        ('{"verdict": "pass"}', "stop", False),
        ('The sky is blue. {"verdict": "pass", "score": 5, "reason": "r"}', "stop", False),
        ("[]", "stop", False),
        ("[" * 100_000, "stop", False),
        ("Yes, it is.", "stop", False),
        ("", "stop", False),
        ('{"verdict": "pass", "score": 5, "rea', "stop", False),
        ('{"verdict": "pass", "score": 5, "rea', "length", True),
        ('{"colour": "blue', "length", False),
        ("Yes, it is, and", "length", False),
        ('{"verdict": "PASS", "score": 4, "reason": "right"}', "stop", False),
        ('{"verdict": "pass", "score": "4", "reason": "right"}', "stop", False),
        ('{"verdict": "pass", "score": 4, "reason": "it says </think>"}', "stop", True),
    ],
)
def test_obeys_schema(content, reason, obeyed):
    assert obeys_schema(content, reason) is obeyed


@pytest.mark.parametrize(
    ("content", "fields", "where"),
    [
        ("<think>a</think>b", {}, "content"),
        ("a</think>b", {}, "content"),
        ("<think>a, for ever", {}, "content"),
        ("b", {"reasoning_content": "a"}, "reasoning_content"),
        ("b", {"reasoning": "a", "reasoning_content": "a"}, "reasoning"),
        ("<think>a</think>b", {"reasoning": None}, "content"),
        ("b", {"reasoning": ""}, "none"),
        ("", {}, "none"),
    ],
)
def test_find_thinking(content, fields, where):
    assert find_thinking({"content": content, "fields": fields, "finish_reason": "stop"}) == where


@pytest.mark.parametrize("status", [400, 404, 500])
def test_a_server_that_cannot_chat_is_one_failure(tmp_path, status):
    with pytest.raises(UserError, match=r"does not answer a plain question.*the chat template is broken"):
        asyncio.run(probe_server(stand_in_config(tmp_path, "--refuse-chat", str(status)), tmp_path))


ASKED = {"text_reasoning.sampling.thinking": {"temperature": 0.6, "top_k": 20}}
SEES = {"image_reasoning.sampling.judge": {"temperature": 0.8}}


@pytest.mark.parametrize(
    ("behaviour", "samplings", "words"),
    [
        (
            ["--refuse-key", "top_k"],
            ASKED,
            r"refuses text_reasoning.sampling.thinking .*unknown parameter top_k",
        ),
        (["--thinking", "none"], ASKED, "does not think, as a teacher must, or not .* it says: 'Five.'"),
        (["--blind"], SEES, "accepts no picture, as image_reasoning needs it: .*no eyes"),
        (
            [],
            {"text_reasoning.sampling.judge": {"max_tokens": 512}},
            "has a context of 512 tokens.*max_tokens 512",
        ),
    ],
)
def test_what_the_pipeline_cannot_work_with_is_one_failure(tmp_path, behaviour, samplings, words):
    with pytest.raises(UserError, match=rf"toy: http://\S+ {words}"):
        asyncio.run(probe_server(stand_in_config(tmp_path, *behaviour, samplings=samplings), tmp_path))


def teaching(task: str, form: str, *kinds: str) -> dict:
    return {task: {"form": form, "max_malformed_share": 0.5, "kinds": ["thinking", *kinds]}}


@pytest.mark.parametrize(
    ("behaviour", "task", "form", "words"),
    [
        ([], "text_reasoning", "close_only", r"Set text_reasoning.form: glm \(it is close_only\), or auto"),
        ([], "image_reasoning", "kimi", r"<think>2 and 3</think><answer>.* Set image_reasoning.form: glm"),
        (["--thinking", "reasoning"], "text_reasoning", "think", r"with reasoning '2 and 3'. Set .*: field"),
    ],
)
def test_answers_that_would_be_rejected_are_one_failure_with_the_form_to_set(
    tmp_path, behaviour, task, form, words
):
    config = stand_in_config(tmp_path, *behaviour, teaches=teaching(task, form))
    with pytest.raises(UserError, match=rf"toy: http://\S+ answers what {task} would reject .*{words}"):
        asyncio.run(probe_server(config, tmp_path))
    asyncio.run(probe_server(replace(config, teaches=teaching(task, "auto")), tmp_path))


def probe_teacher(message: dict[str, str], task: str, form: str | dict) -> tuple[dict, str]:
    """What the probe finds out, and tells, about a teacher that answers everything with one message."""
    config = replace(CONFIG, samplings=ASKED, teaches=teaching(task, form))
    with FaultServer(lambda ask: Reply(message=message)) as server:
        found, details = asyncio.run(probe_endpoint(Endpoint(server.base_url), config))
    return found, describe(found, details, config)


@pytest.mark.parametrize("task", ["text_reasoning", "image_reasoning"])
@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_a_teacher_of_each_dialect_is_of_use(dialect, task):
    for form in ("auto", dialect.form):
        assert probe_teacher(dialect.message("2 and 3", "Five."), task, form)[0]["form"] == dialect.form


@pytest.mark.parametrize("task", ["text_reasoning", "image_reasoning"])
def test_a_teacher_of_a_form_of_the_users_own_is_of_use_and_else_the_line_says_to_set_one(task):
    message = {"content": "REASONING: 2 and 3 ANSWER: Five.[END]"}
    own = {"pattern": "REASONING:(?P<thought>.*?)ANSWER:(?P<text>.*)", "cut": ["[END]"]}
    assert "its answers are in the form of your own" in probe_teacher(message, task, own)[1]
    words = rf"not in a form that has a name; it says: 'REASONING: .* set {task}\.form \(docs/teachers.md\)"
    with pytest.raises(UserError, match=words):
        probe_teacher(message, task, "auto")


def test_a_thought_without_thinking_is_no_matter_of_form():
    config = replace(CONFIG, teaches=teaching("text_reasoning", "auto", "no_thinking"))
    with (
        FaultServer(lambda ask: Reply()) as server,
        pytest.raises(UserError, match=r"It thinks where it must not: see text_reasoning.no_think_share"),
    ):
        asyncio.run(probe_endpoint(Endpoint(server.base_url), config))


def test_the_terminal_tells_what_was_found_in_words(tmp_path):
    config = stand_in_config(tmp_path, "--thinking", "reasoning", "--schema", "ignored", "--blind")
    found = asyncio.run(probe_server(config, tmp_path))
    assert describe(*found, config) == (
        "toy: its answers are the thought in a field of its own (reasoning) (form field);"
        " it does not obey a JSON schema and does not accept pictures"
    )


@pytest.mark.parametrize(
    ("behaviour", "samplings"),
    [
        ([], ASKED | SEES),
        (["--thinking", "none"], SEES),
        (["--blind"], ASKED),
        (["--refuse-key", "top_k"], SEES),
    ],
)
def test_what_is_not_asked_of_a_server_it_need_not_do(tmp_path, behaviour, samplings):
    asyncio.run(probe_server(stand_in_config(tmp_path, *behaviour, samplings=samplings), tmp_path))


FAULTS = [
    Reply(kind="cut"),
    Reply(kind="cut_json"),
    Reply(kind="reset"),
    Reply(kind="garbage"),
    Reply(kind="hang"),
    Reply(status=408),
    Reply(status=429, headers={"Retry-After": "0.01"}),
    Reply(status=503),
    Reply(body={"choices": []}),
    Reply(body={"error": {"message": "overloaded"}}),
    Reply(body={"error": {"message": "overloaded", "code": 503}}),
    Reply(finish_reason="abort"),
    Reply(finish_reason=None),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda reply: f"{reply.kind}-{reply.status}-{reply.body}")
def test_a_fault_that_passes_costs_the_probe_one_more_request_and_no_more(fault):
    """Of whichever kind: the probe tries again what the client does."""
    config = replace(CONFIG, samplings=ASKED, request_timeout=0.5)

    def found(server: FaultServer) -> dict:
        return asyncio.run(probe_endpoint(Endpoint(server.base_url), config))[0]

    with FaultServer() as server:
        undisturbed, asked = found(server), server.attempts
    with FaultServer(lambda ask: fault if ask.attempt == 1 else Reply()) as server:
        assert found(server) == undisturbed
        assert server.attempts == {prompt: count + 1 for prompt, count in asked.items()}


@pytest.mark.parametrize("fault", [Reply(kind="cut_json"), Reply(kind="reset"), Reply(status=429)])
def test_the_probe_gives_up_when_the_client_would(fault):
    with FaultServer(lambda ask: fault) as server:
        with pytest.raises(UserError, match="does not answer a plain question"):
            asyncio.run(probe_endpoint(Endpoint(server.base_url), CONFIG))
        reason = {"cut_json": Reason.CUT_JSON, "reset": Reason.TRANSPORT}.get(fault.kind, Reason.RATE_LIMITED)
        assert server.attempts.total() == MAX_ATTEMPTS[reason]


@pytest.mark.parametrize("status", [403, 404, 405])
def test_a_server_that_refuses_pictures_alone_is_one_without_eyes(status):
    def plan(ask):
        return Reply(status=status if isinstance(ask.body["messages"][0]["content"], list) else 200)

    with FaultServer(plan) as server:
        _, details = asyncio.run(probe_endpoint(Endpoint(server.base_url), replace(CONFIG, samplings=ASKED)))
    assert details["picture"] is False
    assert f"HTTP {status}" in details["answers"]["picture"]


def test_the_transformers_version_is_that_beside_the_launcher(tmp_path):
    launcher = tmp_path / "env/bin/vllm"
    launcher.parent.mkdir(parents=True)
    launcher.write_text("#!/bin/sh\n")
    launcher.chmod(0o755)
    config = stand_in_config(tmp_path, launcher=[str(launcher), "serve"])
    assert find_transformers_version(config) is None
    (tmp_path / "env/lib/python3.11/site-packages/transformers-4.52.3.dist-info").mkdir(parents=True)
    assert find_transformers_version(config) == "4.52.3"
    assert find_transformers_version(replace(config, mode="external")) is None


@pytest.mark.parametrize(
    ("told", "found"), [(8192, 8192), (None, None), ("8192", None), ([1], None), (0, None), (-1, None)]
)
def test_a_context_is_a_number_of_tokens(told, found):
    body = {"data": [{"id": "other", "max_model_len": 1}, {"id": "model", "max_model_len": told}]}
    assert read_context_length(body, "model") == found
    assert read_context_length({"data": [{"id": "model"}]}, "model") is None


def test_an_answer_that_is_no_text_is_a_fault_and_half_a_character_is_none(tmp_path):
    said = [{"content": ["x"]}, {"content": 5}, {"content": "x", "reasoning": ["y"]}, {"content": "\ud83d."}]

    async def ask(server: FaultServer) -> list[str]:
        found = []
        async with Asker(Endpoint(server.base_url), CONFIG, 10) as asker:
            for number in range(len(said)):
                try:
                    found.append((await asker.ask(str(number), {}))["content"])
                except RequestError as fault:
                    found.append(fault.reason)
        return found

    def plan(seen):
        choice = {"message": said[int(seen.prompt)], "finish_reason": "stop"}
        return Reply(body={"choices": [choice]})

    with FaultServer(plan) as server:
        assert asyncio.run(ask(server)) == ["malformed"] * 3 + ["?."]
