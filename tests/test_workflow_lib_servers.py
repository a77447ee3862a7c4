"""What jobs that use a server take: environment, cores, GPUs."""

from pathlib import Path
from typing import Any

import pytest

from workflow_lib.servers import ServerSettings, job_priorities


def server(**settings: Any) -> ServerSettings:
    settings = {"mode": "managed", "conda_env": "envs/vllm.yaml", "args": [], "replicas": 1} | settings
    return ServerSettings("qwen3", settings, Path("{checkout}"))


@pytest.mark.parametrize(
    ("args", "replicas", "gpus"),
    [
        ([], 1, 1),
        (["--tensor-parallel-size", "8"], 1, 8),
        (["--tensor_parallel_size=4", "-pp", "2"], 1, 8),
        (["-tp", "2", "--data-parallel-size=3"], 2, 12),
        (["--max-num-seqs", "64"], 4, 4),
    ],
)
def test_gpus_follow_from_flags_and_replicas(args: list[str], replicas: int, gpus: int) -> None:
    managed = server(args=args, replicas=replicas)
    assert managed.gpus == managed.resources["gpu"] == gpus
    assert managed.threads == 1 + 2 * gpus
    assert managed.resources["mem_mb"] == 64000 * replicas
    assert managed.resources["nodes"] == 1


@pytest.mark.parametrize("mode", ["external", "embedded"])
def test_a_job_takes_no_gpu_for_a_server_that_it_does_not_place(mode: str) -> None:
    asked = server(mode=mode, args=["-tp", "8"])
    assert (asked.gpus, asked.threads) == (0, 1)
    assert asked.resources == {"server_qwen3": 1, "mem_mb": 8000, "runtime": 2880}


def test_jobs_run_in_the_servers_environment_only_when_they_start_it() -> None:
    assert server().environment == "{{checkout}}/envs/vllm.yaml"
    assert server(mode="external").environment == "{{checkout}}/envs/base.yaml"
    # None would leave a variant of a rule in the environment of that rule.
    assert server(mode="embedded").environment == ""


def test_a_server_is_started_from_the_environment_that_was_made_for_it(tmp_path: Path) -> None:
    settings = {"conda_env": "envs/vllm-qwen3.yaml", "launcher": ["vllm", "serve"]}
    assert ServerSettings("qwen3", settings, tmp_path).launcher == ["vllm", "serve"]
    made = tmp_path / ".envs/vllm-qwen3/bin/vllm"
    made.parent.mkdir(parents=True)
    made.touch()
    assert ServerSettings("qwen3", settings, tmp_path).launcher == [str(made), "serve"]
    own = settings | {"launcher": ["/opt/bin/vllm", "serve"]}
    assert ServerSettings("qwen3", own, tmp_path).launcher == ["/opt/bin/vllm", "serve"]


def test_a_probe_asks_for_little_more_time_than_a_start() -> None:
    assert server(start_timeout=1801).probe_minutes == 60 + 31
    assert server(mode="external", start_timeout=1801).probe_minutes == 60


def test_jobs_that_share_a_server_take_a_part_of_its_gpus_and_memory_each() -> None:
    shared = server(args=["-tp", "8"]).job_resources(lambda amount, jobs: amount / jobs)
    assert (shared["gpu"], shared["mem_mb"], shared["server_qwen3"]) == (1, 8000, 1)
    external = server(mode="external")
    assert external.job_resources(lambda amount, jobs: amount / jobs) == external.resources


@pytest.mark.parametrize(("gpus", "jobs"), [(1, 4), (4, 4), (6, 6), (8, 8), (16, 8)])
def test_a_server_of_more_gpus_is_asked_by_more_jobs(gpus: int, jobs: int) -> None:
    assert server(args=["-tp", str(gpus)]).jobs_at_once == jobs
    assert server(mode="embedded").jobs_at_once == 4
    assert server(mode="external").jobs_at_once == 8


def order(text: dict[str, Any], image: dict[str, Any]) -> list[str]:
    """The rules and servers of the jobs, those that go first in front."""
    tasks = {"text_reasoning": text, "image_reasoning": image}
    asked = {"form": "auto", "sampling": {}, "request": {}, "pass_rate_server": None}
    found = job_priorities({name: asked | task for name, task in tasks.items()})
    assert all(priority > 0 for priority in found.values())
    return [" ".join(key) for key in sorted(found, key=found.get, reverse=True)]


def test_text_goes_before_pictures_and_a_batch_is_judged_where_it_was_answered() -> None:
    one, other = {"teacher": "a", "judge": "a"}, {"teacher": "b", "judge": "b"}
    assert order(one, other) == ["judge_text a", "answer_text a", "judge_image b", "answer_image b"]


def test_one_server_is_done_before_another_begins() -> None:
    several = {"teacher": "a", "teachers": {"a": {}, "b": {}}, "judge": "a"}
    apart = {"teacher": "b", "judge": "a"}
    asked = ["answer_text a", "answer_text b", "judge_text a", "answer_image b", "judge_image a"]
    assert order(several, apart) == asked
