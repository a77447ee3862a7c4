"""The workflow on a real Slurm of two nodes: a local run's files, whatever way its jobs and its head end.

`make test-slurm`. A server that counts tells what was asked; each answer but the first few is held until the
test lets go of it, so that a job is ended in the middle of its answers.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from fault_server import Ask, FaultServer, Reply
from running import python_environment
from slurm_cluster import GPUS, SlurmCluster
from stand_in_server import processes, starts, until
from teachers import teach
from workflow import Build

CONCURRENCY = 4
START_S = 240
"""For a job to be submitted, started and planned, on a machine that does other things too."""
QUICK = ("--slurm-init-seconds-before-status-checks", "3", "--latency-wait", "10")
DIFFERS = (
    "work/journal/",
    "work/stats/",
    "work/benchmarks/",
    "work/publish/report.html",
    "work/run.json",
    "data/report.html",
)
"""What tells of times, or is named by them."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    """The cluster, to which every program that a test starts speaks; it leaves nothing running."""
    folder = tmp_path_factory.mktemp("slurm")
    with (
        SlurmCluster(folder) as running,
        pytest.MonkeyPatch.context() as environment,
    ):
        for name, value in running.environment.items():
            environment.setenv(name, value)
        yield running
    until(lambda: not processes(folder), 30)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample corpus."""
    folder = tmp_path_factory.mktemp("corpus") / "hub"
    program = [sys.executable, ROOT / "demo/build_corpus.py", "--hub", folder]
    subprocess.run(program, env=python_environment(), check=True)
    return folder


def settings(hub: Path, base_url: str, **changes: Any) -> dict[str, Any]:
    """One OneVision config, and a few questions in two batches."""
    server = {"mode": "external", "model": "model", "base_urls": [base_url], "concurrency": CONCURRENCY}
    return {
        "hub": {"mirror": str(hub)},
        "onevision": {"configs": ["iiit5k"]},
        "text_reasoning": {"max_questions": 6, "batch_size": 6},
        "image_reasoning": {"samples_per_config": 4, "batch_size": 4},
        "servers": {"qwen3": server, "glm41v": server},
    } | changes


class Cluster(Build):
    """A build through a profile that submits its jobs."""

    profile = "slurm"

    def command(self, *arguments: str) -> list[str]:
        base = super().command()
        cores = base.index("--cores")
        del base[cores : cores + 2]
        options = QUICK if self.profile == "slurm" else QUICK[2:]
        profile = ("--workflow-profile", str(ROOT / "profiles" / self.profile), *options)
        return [*base, *profile, *arguments]


class Generic(Cluster):
    profile = "cluster-generic"


PROFILES = {build.profile: build for build in (Cluster, Generic)}


def files(build: Build) -> dict[str, bytes]:
    """Every file of a build that shall be the same wherever it was built, by its path."""
    found = {}
    for room in ("data", "raw", "work"):
        for file in sorted((build.folder / room).rglob("*")):
            path = file.relative_to(build.folder).as_posix()
            if file.is_file() and not path.startswith(DIFFERS):
                found[path] = file.read_bytes()
    return found


def same_files(one: Build, other: Build) -> None:
    mine, others = files(one), files(other)
    assert mine.keys() == others.keys()
    assert [path for path in mine if mine[path] != others[path]] == []


@pytest.mark.timeout(1800)
def test_every_file_is_that_of_a_local_run(cluster, hub, tmp_path):
    with FaultServer(teach) as server:
        config = settings(hub, server.base_url)
        local, slurm = Build(tmp_path / "local", config), Cluster(tmp_path / "slurm", config)
        done = local.run("all")
        assert done.returncode == 0, done.output[-3000:]
        asked = dict(server.attempts)
        server.attempts.clear()
        done = slurm.run("all")
        assert done.returncode == 0, done.output[-3000:]
        assert dict(server.attempts) == asked
    assert "has been submitted with SLURM jobid" in done.output
    assert cluster.jobs() == {}
    same_files(local, slurm)
    for build in (local, slurm):
        for call in (Build, Cluster, Generic):
            planned = call(build.folder, config).run("-n", "all")
            assert "Nothing to be done" in planned.output, planned.output[-2000:]


def test_a_cluster_without_accounts_is_said_at_the_start(cluster, hub, tmp_path):
    build = Cluster(tmp_path / "run", settings(hub, "http://127.0.0.1:9/v1"))
    done = build.run("--slurm-status-command", "sacct", "plan")
    assert done.returncode == 1
    assert "give --slurm-status-command squeue" in done.output
    assert "Traceback" not in done.output


def test_conversions_go_in_array_jobs_once_the_shards_are_fetched(cluster, hub, tmp_path):
    config = settings(hub, "http://127.0.0.1:9/v1")
    local, slurm = Build(tmp_path / "local", config), Cluster(tmp_path / "slurm", config)
    done = local.run("shards")
    assert done.returncode == 0, done.output[-3000:]
    done = Build(slurm.folder, config).run("raw_shards", "--notemp")
    assert done.returncode == 0, done.output[-3000:]
    arrays = ("--slurm-array-jobs", "convert_llava,convert_ocr", "--jobs", "1000")
    done = slurm.run(*arrays, "shards")
    assert done.returncode == 0, done.output[-3000:]
    converted = list(slurm.folder.glob("work/convert_*/*/*.json"))
    submissions = set(re.findall(r"SLURM job ?id (\d+)", done.output, re.IGNORECASE))
    assert 1 <= len(submissions) <= 2 < len(converted)  # one of each rule
    one, other = files(local), files(slurm)
    assert {path for path in one if path.startswith("work/convert")} <= other.keys()
    assert [path for path in one if other[path] != one[path]] == []


def test_the_fallback_for_other_schedulers_builds_the_same(cluster, hub, tmp_path):
    config = settings(hub, "http://127.0.0.1:9/v1")
    target = "data/manifest/synthdog_en.json"
    local, generic = Build(tmp_path / "local", config), Generic(tmp_path / "generic", config)
    assert local.run(target).returncode == 0
    done = generic.run(target)
    assert done.returncode == 0, done.output[-3000:]
    assert "with external jobid" in done.output
    same_files(local, generic)


class Batches:
    """Batches whose jobs are to be ended while the server holds back its last answers: one, of six questions.

    What comes before them is built on this machine; their jobs alone are submitted.
    """

    def __init__(self, cluster: SlurmCluster, build: Build, server: FaultServer, held: list[bool]):
        self.cluster, self.build, self.server, self.held = cluster, build, server, held
        self.targets = ["work/answer_text/00000.json"]
        self.heads: list[subprocess.Popen] = []
        self.probed = 0
        self.probed = self.journaled()

    def start(self, *arguments: str, programs: Path | None = None) -> subprocess.Popen:
        """Start a head, as from a terminal; it finds the programs of a folder first."""
        command = self.build.command(*self.targets, *arguments)
        environment = dict(os.environ)
        if programs:
            environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
        with (self.build.folder / "head.log").open("ab") as told:
            head = subprocess.Popen(
                command, stdout=told, stderr=told, env=environment, start_new_session=True
            )
        self.heads.append(head)
        return head

    def wait_for_middle(self) -> None:
        """Until there are some answers, and each batch's job waits for others."""
        until(
            lambda: (
                self.journaled() >= 3
                and self.server.inside > 0
                and sorted(self.cluster.jobs().values()) == ["RUNNING"] * len(self.targets)
            ),
            START_S,
        )

    def journaled(self) -> int:
        """How many answers to the batches are journaled; the probe's are none of them."""
        files = list(self.build.folder.glob("work/journal/qwen3/*.jsonl"))
        return sum(file.read_bytes().count(b"\n") for file in files) - self.probed

    def waits_for_lease(self) -> bool:
        """Whether a job waits until another one of its batch ends, as its log says."""
        logs = self.build.folder.glob("logs/answer_text/*.log")
        return any("another job works on this batch" in log.read_text() for log in logs)

    def jobs(self) -> list[str]:
        """The ids of the jobs that wait or run."""
        return list(self.cluster.jobs())

    def release(self) -> None:
        self.held.clear()

    def finish(self, head: subprocess.Popen) -> None:
        """Let the answers go; the run ends well, nothing runs on, and nothing finished was asked again."""
        self.release()
        assert head.wait(START_S) == 0, self.log()[-3000:]
        until(lambda: self.jobs() == [], 60)
        until(lambda: not processes(self.build.folder), 60)
        assert [target for target in self.targets if not (self.build.folder / target).exists()] == []
        again = {prompt: count for prompt, count in self.server.finished.items() if count > 1}
        assert again == {}

    def unlock(self) -> None:
        assert self.build.run("--unlock", *self.targets).returncode == 0

    def log(self) -> str:
        return (self.build.folder / "head.log").read_text()


@pytest.fixture(scope="module")
def prepared(hub, tmp_path_factory) -> Build:
    """What comes before the batch, built on this machine."""
    with FaultServer(teach) as server:
        build = Build(tmp_path_factory.mktemp("prepared"), settings(hub, server.base_url))
        done = build.run("batch_questions", "work/servers/qwen3/probe.json")
    assert done.returncode == 0, done.output[-3000:]
    return build


@pytest.fixture
def batches(cluster, hub, prepared, tmp_path) -> Iterator[Batches]:
    held = [True]

    def plan(ask: Ask) -> Reply:
        reply = teach(ask)
        number = len(server.attempts)
        return reply if number <= 3 else Reply(**vars(reply) | {"hold": lambda: not held})

    with FaultServer(plan) as server:
        shutil.copytree(prepared.folder, tmp_path / "run", symlinks=True)
        build = Cluster(tmp_path / "run", settings(hub, server.base_url))
        made = Batches(cluster, build, server, held)
        yield made
        held.clear()
        for head in made.heads:
            if head.poll() is None:
                os.killpg(head.pid, signal.SIGKILL)
                head.wait()
        if ids := made.jobs():
            cluster.run(f"scancel {' '.join(ids)}")
            until(lambda: made.jobs() == [], 60)


def test_a_job_that_is_cancelled_is_submitted_again(batches):
    head = batches.start()
    batches.wait_for_middle()
    (job,) = batches.jobs()
    batches.cluster.run(f"scancel {job}")
    until(lambda: batches.jobs() not in ([], [job]), START_S)
    batches.finish(head)


def test_all_jobs_that_are_cancelled_are_submitted_again(batches):
    """Eight questions in two batches: no batch ends before the answers are let go."""
    batches.build.config["text_reasoning"] = {"max_questions": 8, "batch_size": 4}
    cut = Build(batches.build.folder, batches.build.config).run("batch_questions")
    assert cut.returncode == 0, cut.output[-3000:]
    batches.targets = [f"work/answer_text/0000{number}.json" for number in range(2)]
    head = batches.start()
    batches.wait_for_middle()
    first = set(batches.jobs())
    batches.cluster.run(f"scancel --user {os.environ.get('USER', 'root')}")
    until(lambda: len(set(batches.jobs()) - first) == len(first), START_S)
    batches.finish(head)


def test_a_job_over_its_time_limit_is_submitted_again(batches):
    head = batches.start("--set-resources", "answer_text:runtime=1")
    batches.wait_for_middle()
    (job,) = batches.jobs()
    until(lambda: batches.jobs() not in ([], [job]), START_S)
    batches.finish(head)


def test_a_job_whose_node_goes_down_runs_on_the_other(batches):
    head = batches.start()
    batches.wait_for_middle()
    (job,) = batches.jobs()
    node = batches.cluster.run(f"squeue --noheader --format=%N --jobs={job}").strip()
    batches.cluster.fail_node(node)
    batches.cluster.recover_node(node)
    batches.finish(head)


@pytest.mark.parametrize(
    ("profile", "number"),
    [
        *(("slurm", number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)),
        *(("cluster-generic", number) for number in (signal.SIGINT, signal.SIGKILL)),
    ],
)
def test_a_run_whose_head_ends_goes_on_where_it_was(batches, profile, number):
    """The head alone is told, as the closed window of a terminal or a login node's administrator does it."""
    batches.build = PROFILES[profile](batches.build.folder, batches.build.config)
    head = batches.start()
    batches.wait_for_middle()
    until(lambda: batches.server.inside == CONCURRENCY, START_S)  # no more are sent
    first, asked = set(batches.jobs()), batches.server.attempts.total()
    os.kill(head.pid, number)
    if number == signal.SIGTERM:
        # It waits for its jobs, submits no others, and says that not all is done.
        batches.release()
    head.wait(START_S)
    if number == signal.SIGKILL:
        batches.unlock()
    following = batches.start()
    if number == signal.SIGKILL:
        # Its job runs on. That of the second head waits for the batch's lease, and asks nothing beside it.
        until(lambda: batches.waits_for_lease(), START_S)
        assert first < set(batches.jobs())
        assert batches.server.attempts.total() == asked
    elif number != signal.SIGTERM:
        until(lambda: batches.server.attempts.total() > asked, START_S)
    batches.finish(following)


@pytest.mark.parametrize("profile", ["slurm", "cluster-generic"])
@pytest.mark.parametrize("times", [1, 2])
def test_jobs_that_are_being_asked_about_are_cancelled_too(batches, tmp_path, profile, times):
    """The executor holds no list of its jobs while the scheduler has not answered."""
    batches.build = PROFILES[profile](batches.build.folder, batches.build.config)
    programs, asked, answer = (tmp_path / name for name in ("programs", "asked", "answer"))
    programs.mkdir()
    slow = programs / "squeue"
    wait = f"touch {asked}; until [ -e {answer} ]; do sleep 0.1; done"
    slow.write_text(f'#!/bin/sh\n{wait}\nexec {shutil.which("squeue")} "$@"\n')
    slow.chmod(0o755)
    head = batches.start(programs=programs)
    batches.wait_for_middle()
    until(asked.exists, START_S)
    os.kill(head.pid, signal.SIGINT)
    until(lambda: "Terminating processes on user request" in batches.log(), 60)
    if times == 1:
        answer.touch()
    else:
        os.kill(head.pid, signal.SIGINT)
    assert head.wait(60) != 0
    until(lambda: batches.jobs() == [], 60)
    until(lambda: not processes(batches.build.folder), 60)
    answer.touch()


def test_the_gpus_of_a_server_are_of_one_node(cluster, hub, tmp_path):
    stand_in = [sys.executable, str(ROOT / "tests/support/stand_in_server.py")]
    server = {
        "mode": "managed",
        "model": "model",
        "launcher": stand_in,
        "args": ["--pids", str(tmp_path / "pids"), "--tensor-parallel-size", str(GPUS)],
    }
    config = settings(hub, "", servers={"qwen3": server, "glm41v": server})
    build = Cluster(tmp_path / "run", config)
    target = "work/servers/qwen3/probe.json"
    # A GPU of each node is taken: as many as the server needs are free, on two nodes.
    fill = "sbatch --parsable --gpus=1 --nodelist={} --output=/dev/null --wrap='sleep 600'"
    fillers = [cluster.run(fill.format(node)).strip() for node in cluster.nodes]
    until(lambda: [cluster.jobs().get(job) for job in fillers] == ["RUNNING"] * len(fillers), START_S)
    with (tmp_path / "head.log").open("wb") as told:
        head = subprocess.Popen(build.command(target), stdout=told, stderr=told, start_new_session=True)
    try:
        until(lambda: set(cluster.jobs()) - set(fillers), START_S)
        (job,) = set(cluster.jobs()) - set(fillers)
        why = f"squeue --noheader --format=%r --jobs={job}"
        until(lambda: cluster.run(why).strip() == "Resources", START_S)
        cluster.run(f"scancel {fillers[0]}")
        assert head.wait(START_S) == 0, (tmp_path / "head.log").read_text()[-3000:]
        assert len(starts(tmp_path)) == 1
    finally:
        if head.poll() is None:
            os.killpg(head.pid, signal.SIGKILL)
            head.wait()
        cluster.run(f"scancel --user {os.environ.get('USER', 'root')}")
