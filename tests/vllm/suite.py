"""The real vLLM through the managed mode; `make test-vllm` makes its environment and its models.

Each start takes a minute, so tests share them where they can.
"""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
from dataclasses import asdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import ROOT

from batch import question
from prep.inference.transport import STREAM, ChatTransport
from prep.runtime.program import UserError
from prep.serving import replica
from prep.serving.endpoint import Endpoint
from prep.serving.launch import find_free_port
from prep.serving.server import Server
from prep.serving.server_config import ServerConfig
from prep.storage import parquet
from prep.storage.atomic import read_json, write_json
from prep.storage.schema import QUESTIONS
from running import PATH
from server_config import server_config
from stand_in_server import processes, until
from workflow import Build, config

VLLM = (ROOT / ".vllm").resolve()
MODELS = VLLM / "models"
CONTEXT = 16384  # bytes, a token each: some references are long
# A tiny model, two cores, memory that others use too.
ARGS = ["--enforce-eager", "--dtype", "float32", "--gpu-memory-utilization", "0.1"]
# On CPUs this vLLM dies of a request with a seed whose prompt it takes in parts.
ARGS += ["--no-enable-chunked-prefill", "--max-num-batched-tokens", str(CONTEXT)]
# No network, and Python's compiled files kept: without, a start takes twice as long.
SURROUNDINGS = {"HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
SURROUNDINGS |= {"PYTHONDONTWRITEBYTECODE": ""}
START = 400  # seconds; a start takes 50 alone on two cores


@pytest.fixture(autouse=True)
def surroundings(monkeypatch):
    """What the servers inherit."""
    for name, value in SURROUNDINGS.items():
        monkeypatch.setenv(name, value)


def server(model: str | Path, **changes) -> dict:
    """An entry of the configuration's servers."""
    return {
        "mode": "managed",
        "model": str(model),
        "launcher": [str(VLLM / "bin/vllm"), "serve"],
        "args": ARGS,
        "max_model_len": CONTEXT,
        "concurrency": 8,
        "start_timeout": START,
        "restarts": 1,
        "request_timeout": 120,
        "floor_rate": 100,
    } | changes


def tiny_config(model: str | Path, **changes) -> ServerConfig:
    """What a program is told of a server."""
    return server_config("tiny", **server(model) | changes)


async def said(endpoint: Endpoint) -> list[dict]:
    """The same answer in one piece, and read from a stream."""
    body = {"model": str(MODELS / "qwen3"), "messages": [{"role": "user", "content": "2 + 3?"}], "seed": 1}
    wire = ChatTransport(endpoint)
    try:
        return [await wire.post(body | how, 60, 60) for how in ({}, STREAM)]
    finally:
        await wire.close()


async def given(config: ServerConfig, folder: Path) -> list:
    """What a server gives; it is stopped again."""
    with Server(config, folder) as started:
        return await started.ensure_endpoints()


def nothing_is_left() -> None:
    """No process of the servers' environment."""
    until(lambda: not (processes(VLLM) or any(map(loaded, processes("VLLM::")))), 30)


def loaded(pid: int) -> bool:
    """Whether a process, which vLLM has named anew, has loaded what lies in the servers' environment."""
    try:
        return str(VLLM) in Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return False


def test_stage_3_from_questions_and_pictures_to_verdicts(tmp_path):
    reasoning = {
        "onevision": {"configs": ["iiit5k"]},
        "text_reasoning": {"max_questions": 6},
        "image_reasoning": {"samples_per_config": 6},
        # One answers in one piece, which is the default, the other in a stream.
        "servers": {
            "qwen3": server(MODELS / "qwen3"),
            "glm41v": server(MODELS / "glm41v", stall_timeout=60),
        },
    }
    build = Build(tmp_path, config("", **reasoning))
    done = build.run("stage3")
    assert done.returncode == 0, done.output[-4000:]
    nothing_is_left()
    probe = {"thinking": "content", "schema": True, "empty_think": True}
    for name in ("qwen3", "glm41v"):
        details = read_json(tmp_path / f"work/servers/{name}/details.json")
        assert details["context_length"] == CONTEXT
        assert details["server_version"]
        assert details["transformers_version"]
        found = read_json(tmp_path / f"work/servers/{name}/probe.json")
        # One sees and boxes its answers, the other can go without a thought.
        sees = name == "glm41v"
        assert found == probe | {"empty_think": not sees, "form": "glm" if sees else "think"}
        assert (details["picture"], details["tags"]["<answer>"]) == (sees, sees)
    answers = pq.read_table(tmp_path / "work/answer_text/00000.parquet").to_pylist()
    assert {answer["mode"] for answer in answers} == {"thinking", "no_thinking"}
    assert all(answer["reason"] is None for answer in answers)
    seen = pq.read_table(tmp_path / "work/answer_image/00000.parquet").to_pylist()
    assert len(seen) == 6
    assert all(answer["text"].startswith("<think>\nThe picture shows a ") for answer in seen)
    for name, asked in (("text", answers), ("image", seen)):
        verdicts = pq.read_table(tmp_path / f"work/judge_{name}/00000.parquet").to_pylist()
        assert [verdict["id"] for verdict in verdicts] == [answer["id"] for answer in asked]
        assert all(verdict["verdict"] in ("pass", "fail") for verdict in verdicts)
    for name in ("text2image", "image_thinking"):
        manifest = build.manifest(name)
        assert manifest["read"] == manifest["kept"] + sum(manifest["rejected"].values()) > 0
        assert manifest["rejected"].keys() <= {"judge_fail", "low_score"}


def hear_interrupts() -> None:
    """What a shell runs in the background does not, nor do its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Job:
    """A job that asks the text model 600 questions, one after the other or many at once, in streams."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.running: subprocess.Popen | None = None
        rows = [question(number) for number in range(600)]
        parquet.write_rows(folder / "questions.parquet", rows, QUESTIONS)
        write_json(folder / "probe.json", {"thinking": "content", "schema": True, "empty_think": True})

    def start(self, concurrency: int) -> None:
        write_json(
            self.folder / "server.json", asdict(tiny_config(MODELS / "qwen3", concurrency=concurrency))
        )
        files = {
            "--questions": "questions.parquet",
            "--server": "server.json",
            "--probe": "probe.json",
            "--journal": "journal",
            "--progress": "progress.json",
            "--answers": "answers.parquet",
            "--summary": "answers.json",
        }
        sampling = json.dumps({"temperature": 0.6, "top_p": 0.95, "top_k": 20, "min_p": 0})
        command = ["answer_text.py", "--model", str(MODELS / "qwen3"), "--seed", "42", "--samples", "1"]
        command += ["--form", "auto", "--request", '{"thinking": {}}']
        command += ["--max-model-len", str(CONTEXT)]
        command += ["--thinking", sampling, "--no-thinking", sampling, "--no-think-share", "0"]
        # Circles are looked for while an answer comes.
        command += ["--longer-budget", "0", "--repetition", "2000"]
        command += [word for flag, name in files.items() for word in (flag, str(self.folder / name))]
        with (self.folder / "log").open("ab") as log:
            self.running = subprocess.Popen(
                command, env={**os.environ, "PATH": PATH}, stderr=log, preexec_fn=hear_interrupts
            )

    def kill(self) -> None:
        self.running.kill()
        self.running.wait()

    def journaled(self) -> int:
        return sum(len(path.read_bytes().splitlines()) for path in self.folder.glob("journal/*.jsonl"))

    def wait_for(self, count: int) -> None:
        """Until so many answers are journaled."""
        until(lambda: self.journaled() >= count or self.running.poll() is not None, START)
        assert self.running.poll() is None, self.log()[-3000:]

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def process(self, guard: bool) -> int:
        """The process of the server, or of its guard, which names a file in the job's folder."""
        program, other = ("process_group.py guard", self.folder) if guard else ("bin/vllm serve", MODELS)
        return next(pid for pid, line in processes(program).items() if str(other) in line)


@pytest.fixture
def job(tmp_path):
    """The job; with it ends, by its guard, whatever server a failed test leaves."""
    job = Job(tmp_path)
    yield job
    job.kill()


def test_a_batch_goes_on_after_its_server_and_itself_are_killed(job):
    job.start(concurrency=1)
    job.wait_for(20)
    os.kill(job.process(guard=False), signal.SIGKILL)
    job.wait_for(job.journaled() + 40)
    assert "the server died (signal 9)" in job.log()
    assert "it is started again" in job.log()
    job.kill()
    nothing_is_left()
    paid = job.journaled()
    assert paid < 600
    job.start(concurrency=32)
    job.wait_for(paid + 1)
    os.kill(job.process(guard=True), signal.SIGKILL)
    assert job.running.wait(START) == 0, job.log()[-3000:]
    nothing_is_left()
    answers = pq.read_table(job.folder / "answers.parquet").to_pylist()
    assert len(answers) == job.journaled() == 600
    assert all(answer["reason"] is None for answer in answers)
    assert len({answer["text"] for answer in answers}) == 6  # by the requests' seeds


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_a_server_that_starts(job, number):
    """Its engine is a process of its own already; the guard is there for SIGKILL, which none can hear."""
    job.start(concurrency=1)
    until(lambda: any("spawn_main" in line for line in processes(VLLM).values()), START)
    if number != signal.SIGKILL:
        os.kill(job.process(guard=True), signal.SIGKILL)
    job.running.send_signal(number)
    assert job.running.wait(60) == (-number if number == signal.SIGKILL else 128 + number)
    nothing_is_left()
    assert job.journaled() == 0


def test_a_port_that_is_lost_a_model_that_is_not_served_and_a_stream(tmp_path, monkeypatch, caplog):
    model = str(MODELS / "qwen3")
    with socket.create_server(("127.0.0.1", 0)) as thief:
        offers = [thief.getsockname()[1]]

        def offered(host, port=0):
            return offers.pop() if offers else find_free_port(host, port)

        monkeypatch.setattr(replica, "find_free_port", offered)

        async def work():
            with Server(tiny_config(model), tmp_path) as started:
                (endpoint,) = await started.ensure_endpoints()
                lines = "".join(processes("").values())
                other = {"mode": "external", "base_urls": [endpoint.base_url], "api_key_env": "TINY_KEY"}
                monkeypatch.setenv("TINY_KEY", endpoint.api_key)
                with pytest.raises(UserError, match=f"does not serve another/model, but {model}"):
                    await given(tiny_config("another/model", **other), tmp_path)
                monkeypatch.setenv("TINY_KEY", "wrong")
                with pytest.raises(UserError, match=r"refuses the key \(401\)"):
                    await given(tiny_config(model, **other), tmp_path)
                return endpoint, lines, await said(endpoint)

        caplog.set_level("INFO")
        endpoint, lines, (whole, streamed) = asyncio.run(work())
    assert "another program took port" in caplog.text
    assert "bin/vllm serve" in lines
    assert endpoint.api_key not in lines + caplog.text
    # What is put together of a stream has these alone.
    assert (whole["object"], streamed.keys()) == ("chat.completion", {"choices", "usage"})
    (one,), (other,) = whole["choices"], streamed["choices"]
    assert one["message"]["content"] == other["message"]["content"] != ""
    assert one["finish_reason"] == other["finish_reason"] == "stop"
    assert whole["usage"]["completion_tokens"] == streamed["usage"]["completion_tokens"]
    nothing_is_left()


def test_a_corrupt_model_is_one_line_that_ends_in_the_servers_own(tmp_path):
    broken = tmp_path / "models/qwen3"
    shutil.copytree(MODELS / "qwen3", broken)
    (broken / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0not json")
    with pytest.raises(
        UserError, match=r"tiny: the server ended \(exit code 1\) before it was ready; its last output"
    ):
        asyncio.run(given(tiny_config(broken), tmp_path))
    nothing_is_left()


def test_a_model_that_is_nowhere_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"tiny: the server ended \(exit code 1\) before it was ready"):
        asyncio.run(given(tiny_config(tmp_path / "no/model"), tmp_path))
    nothing_is_left()


def test_a_server_that_is_not_ready_in_time_is_ended(tmp_path):
    with pytest.raises(UserError, match=r"tiny: the server was not ready in 6 s \(it does not answer\)"):
        asyncio.run(given(tiny_config(MODELS / "qwen3", start_timeout=6), tmp_path))
    nothing_is_left()
