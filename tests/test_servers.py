"""Servers as the workflow uses them: started once, ended with the run, and their keys told to nobody."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from prep.storage.atomic import read_json
from stand_in_server import processes, starts, until
from workflow import SNAKEMAKE, Build, config


def managed(folder: Path, *behaviour: str, **changes) -> dict:
    """The run's servers: the stand-in, started by whatever job needs it."""
    server = {
        "mode": "managed",
        "model": "toy/model",
        "launcher": [sys.executable, str(Path(__file__).parent / "support" / "stand_in_server.py")],
        "args": ["--pids", str(folder / "pids"), "--keys", str(folder / "keys"), *behaviour],
        "concurrency": 4,
        "max_model_len": 4096,
        "start_timeout": 60,
    } | changes
    return {"servers": {"qwen3": server, "glm41v": server}}


@pytest.fixture
def build(tmp_path):
    """Make a build whose servers behave so; whatever a failed test leaves is ended."""

    def make(*behaviour: str, **changes) -> Build:
        reasoning = {
            "onevision": {"configs": ["iiit5k"]},
            "text_reasoning": {"max_questions": 2},
            "image_reasoning": {"samples_per_config": 2},
        }
        return Build(tmp_path / "build", config("", **managed(tmp_path, *behaviour, **changes), **reasoning))

    yield make
    for pid in processes(tmp_path):
        os.kill(pid, signal.SIGKILL)


def test_a_stage_starts_each_server_once_leaves_no_process_and_tells_no_key(build, tmp_path):
    built = build(devices="0")
    built.config["servers"]["glm41v"] = built.config["servers"]["qwen3"] | {"devices": "1"}
    done = built.run("stage3")
    assert done.returncode == 0, done.output[-4000:]
    assert built.manifest("text2image")["rows"] > 0
    assert built.manifest("image_thinking")["rows"] == 2
    until(lambda: not processes(tmp_path))
    keys = (tmp_path / "keys").read_text().split()
    assert len(set(keys)) == len(keys) == len(starts(tmp_path)) == 2  # one start of each server
    for file in (path for path in built.folder.rglob("*") if path.is_file()):
        content = file.read_bytes()
        assert not any(key.encode() in content for key in keys), file
    assert not any(key in done.output for key in keys)
    asked = read_json(built.folder / "work/servers/qwen3/server.json")["samplings"]
    assert asked.keys() == {
        f"text_reasoning.sampling.{kind}" for kind in ("thinking", "no_thinking", "judge")
    }


def test_answers_that_are_in_the_journal_start_no_server(build, tmp_path):
    built = build()
    assert built.run("data/text2image.parquet").returncode == 0
    before = starts(tmp_path)
    (built.folder / "data/text2image.parquet").unlink()
    again = built.run("data/text2image.parquet", "--forcerun", "answer_text", "judge_text")
    assert {"answer_text", "judge_text"} <= set(again.jobs)
    assert again.returncode == 0
    assert starts(tmp_path) == before


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_when_snakemake_ends_while_a_server_runs(build, tmp_path, number):
    built = build("--sick", "--stubborn")
    assert built.run("-n", "probe_qwen3").returncode == 0  # writes the configuration
    command = [SNAKEMAKE, "--cores", "2", "--configfile", built.folder / "run.yaml"]
    process = subprocess.Popen(
        [*map(str, command), "--directory", str(built.folder), "--", "probe_qwen3"],
        cwd=built.checkout,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until(lambda: starts(tmp_path), 60)
    if number == signal.SIGKILL:
        process.kill()
    else:  # a terminal, and a batch system, tell the whole group
        os.killpg(process.pid, number)
    process.wait(60)
    until(lambda: not processes(tmp_path), 30)
    assert not (built.folder / "work/servers/qwen3/probe.json").exists()


def test_probe_asks_anew_and_makes_no_answer_stale(build, tmp_path):
    built = build()
    assert built.run("data/text2image.parquet").returncode == 0
    before = len(starts(tmp_path))
    assert built.run("forget_probes").returncode == 0
    asked = built.run("--forceall", "probe")
    assert asked.returncode == 0, asked.output[-3000:]
    assert sorted(asked.jobs) == ["probe", "probe_glm41v", "probe_qwen3"]
    assert len(starts(tmp_path)) == before + 2
    assert re.search(r'^work/servers/qwen3/probe.json: +"thinking": "content"', asked.output, re.MULTILINE)
    assert "Nothing to be done" in built.run("data/text2image.parquet", "-n").output


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"replicas": 2, "mode": "embedded"}, r"servers\.\w+\.replicas: only managed"),
        ({"devices": "0, 1"}, r"servers\.\w+\.devices: .*0, 1"),
    ],
)
def test_servers_that_cannot_be_are_a_line_of_the_config(build, changes, line):
    done = build(**changes).run("--dry-run")
    assert re.search(f"^config: {line}", done.output, re.MULTILINE), done.output


def test_gpus_and_cores_of_a_job_are_its_part_of_what_replicas_and_flags_need(build):
    built = build("--tensor-parallel-size", "2", replicas=2, devices="0,1,2,3")
    planned = built.run("--dry-run", "--quiet", "host", "--cores", "16", "probe_qwen3")
    assert re.search(r"rule probe_qwen3:(?:\n    .*)*threads: 3\n    resources: .*gpu=1", planned.output)


def test_a_job_on_a_cluster_claims_the_whole_of_its_server(build):
    built = build("--tensor-parallel-size", "2", replicas=2, devices="0,1,2,3")
    submit = f"sh -c 'echo {{resources.gpu}} {{threads}} > {built.folder}/claimed; exit 1'"
    cluster = ["--executor", "cluster-generic", "--cluster-generic-submit-cmd", submit]
    built.run("--cores", "16", "--jobs", "1", *cluster, "probe_qwen3")
    assert (built.folder / "claimed").read_text() == "4 9\n"
