"""The limit that finds itself: it grows without a queue, holds at one, and tells why."""

import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import asked
from batching_engine import EngineServer, Machine, machine
from busy import Fixed, simulate
from fault_server import FaultServer, Reply
from prep.inference.answer_policy import Answers
from prep.inference.client import Client
from prep.inference.concurrency import INITIAL_LIMIT, AdaptiveLimit, ServerLoad, initial_limit, parse_metrics
from prep.inference.journal import Journal
from prep.serving.endpoint import Endpoint
from prep.storage.atomic import read_json
from running import python_environment
from server_config import server_config

numbers = st.integers(0, 10_000)


def test_both_engines_metrics_are_read():
    vllm = 'vllm:num_requests_running{e="0"} 3.0\nvllm:num_requests_running{e="1"} 4\n'
    vllm += "vllm:num_requests_waiting 2\nvllm:kv_cache_usage_perc 0.5\n"
    assert parse_metrics(vllm) == ServerLoad(7, 2, 0.5)
    sglang = "sglang:num_running_reqs 5\nsglang:num_queue_reqs 1\nsglang:token_usage 0.25\n"
    assert parse_metrics(sglang) == ServerLoad(5, 1, 0.25)
    assert parse_metrics("<html>") is None


def test_it_grows_while_nothing_waits_and_comes_back_to_a_short_queue():
    limit = AdaptiveLimit(4096, 0.0)
    for second in range(1, 60):
        at_once = int(limit.limit)
        limit.record_metrics(ServerLoad(min(at_once, 200), max(0, at_once - 200), 0.5), at_once, second)
    assert 200 <= limit.limit <= 240


def ask_together(jobs: list[AdaptiveLimit], at_once: list[int], seconds: range, left: int = 10_000) -> int:
    """Let jobs ask a server that takes 200, the first of them so much; the most that were in it at once."""
    most = 0
    for now in seconds:
        in_server = sum(at_once)
        most = max(most, in_server)
        load = ServerLoad(min(in_server, 200), max(0, in_server - 200), 0.5)
        for limit, count in zip(jobs, at_once, strict=True):
            limit.record_metrics(load, count, now)
        at_once[:] = [min(int(jobs[0].limit), left), *(int(limit.limit) for limit in jobs[1:])]
    return most


def test_two_jobs_at_one_server_come_back_to_one_short_queue_and_the_second_fills_what_the_first_leaves():
    jobs, at_once = [AdaptiveLimit(4096, 0.0), AdaptiveLimit(4096, 0.0)], [0, 0]
    ask_together(jobs, at_once, range(1, 100))
    assert 200 <= sum(at_once) <= 250
    ask_together(jobs, at_once, range(100, 200), left=10)
    assert 200 <= sum(at_once) <= 250


def test_what_a_job_leaves_is_filled_at_once_by_one_that_began_later():
    jobs, at_once = [AdaptiveLimit(4096, 0.0, initial_limit(place)) for place in range(2)], [0, 0]
    ask_together(jobs, at_once, range(0, 60, 2))
    assert at_once[0] > 2 * at_once[1]
    ask_together(jobs, at_once, range(60, 74, 2), left=0)
    assert at_once[1] >= 180


def test_jobs_that_see_the_same_gap_do_not_overfill_it():
    jobs, at_once = [AdaptiveLimit(4096, 0.0, initial_limit(place)) for place in range(4)], [0, 0, 0, 0]
    ask_together(jobs, at_once, range(0, 120, 2))
    ask_together(jobs, at_once, range(120, 124, 2), left=0)
    most = ask_together(jobs, at_once, range(124, 160, 2), left=0)
    assert sum(at_once) >= 180
    assert most <= 260


def test_prompts_that_are_read_hide_no_growth_of_the_kv_cache():
    limit = AdaptiveLimit(4096, 0.0)
    found = []
    for second, kv_use in ((0, 0.0), (2, 0.1), (4, 0.2), (6, 0.2), (8, 0.2)):
        at_once = int(limit.limit)
        limit.record_metrics(ServerLoad(at_once, 0, kv_use), at_once, second)
        found.append(limit.limit)
    assert found[-1] < 1.2 * found[1]


def last_share(limit: AdaptiveLimit, what: Machine, **changes) -> float:
    """The throughput of the last 600 of 3,000 s at a limit over the engine's best at full speed."""
    how = {"metrics": False, "speed": 1.0, "change": 1000.0, "end": 3010.0} | changes
    tokens = simulate(what, limit, **how)
    best = simulate(what, Fixed(160), False, 1.0, 1e9, 1210.0)
    return (tokens(3000) - tokens(2400)) / (best(1200) - best(600))


@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("metrics", [True, False])
def test_it_finds_what_the_engine_takes_and_again_when_its_speed_changes(speed, metrics):
    limit = AdaptiveLimit(4096, 0.0)
    share = last_share(limit, machine("one_80gb"), metrics=metrics, speed=speed)
    assert share > 0.9 * speed
    assert 120 <= limit.limit <= 2 * 160


@pytest.mark.parametrize("seed", range(3))
def test_without_metrics_it_never_runs_away(seed):
    found = []

    class Recorded(AdaptiveLimit):
        def _set(self, limit, why):
            super()._set(limit, why)
            found.append((self.limit, why))

    simulate(machine("one_80gb"), Recorded(4096, 0.0), False, 1.0, 1e9, 6000.0, seed * 100_000)
    assert max(limit for limit, _ in found) <= 2 * 192
    assert found[-1][1] == "throughput rises no more"
    assert len(found) < 10


def test_a_ceiling_is_kept_and_told():
    limit = AdaptiveLimit(100, 0.0)
    simulate(machine("one_80gb"), limit, True, 1.0, 1e9, 100.0)
    assert (limit.limit, limit.reason) == (100, "the ceiling")


def test_trouble_halves_and_answers_raise_it_by_one_up_to_half_of_what_it_was():
    limit = AdaptiveLimit(4096, 0.0)
    for _ in range(7):
        limit.halve()
    assert (limit.limit, limit.reason) == (1, "most requests failed")
    for now in range(1, 100):
        limit.observe(1, now)
        limit.record_answer(10, 1.0, 1.0)
    assert limit.limit == INITIAL_LIMIT / 2


def test_the_limit_comes_back_when_the_trouble_was_the_rows():
    limit = AdaptiveLimit(4096, 0.0)
    limit.halve()
    limit.halve()
    limit.restore()
    assert limit.limit == INITIAL_LIMIT
    limit.restore()
    assert limit.limit == INITIAL_LIMIT


def test_with_too_few_requests_the_limit_stays():
    limit = AdaptiveLimit(4096, 0.0)
    for now in range(1, 1000):
        limit.observe(10, now)
        limit.record_answer(10, 1.0, 10.0)
    assert (limit.limit, limit.reason) == (INITIAL_LIMIT, "fewer are sent")


def test_after_the_last_metrics_answers_decide():
    limit = AdaptiveLimit(4096, 0.0)
    for now in range(10):
        limit.observe(64, now)
        limit.record_metrics(ServerLoad(40, 24, 0.5), 64, now)
    held = limit.limit
    assert limit.reason == "the server queues"
    for now in range(40, 4000):
        limit.observe(int(limit.limit), now)
        limit.record_answer(100, 10.0, 10.0 * int(limit.limit))
    assert (limit.limit, limit.reason) == (held, "throughput rises no more")


@given(st.lists(st.tuples(numbers, numbers, st.floats(0, 1), numbers)), st.integers(1, 4096))
def test_whatever_is_said_the_limit_stays_between_one_and_the_ceiling(said, ceiling):
    limit = AdaptiveLimit(ceiling, 0.0)
    for now, (running, waiting, used, in_flight) in enumerate(said, 1):
        limit.observe(in_flight, now)
        limit.record_answer(waiting, running / 10, limit.request_seconds)
        if used > 0.95:
            limit.halve()
        elif used > 0.9:
            limit.restore()
        elif used > 0.3:
            limit.record_metrics(ServerLoad(running, waiting, used), in_flight, now)
        assert 1 <= limit.limit <= ceiling


RUNNING, WAITING = "vllm:num_requests_running 3\n", "vllm:num_requests_waiting 2\n"


@pytest.mark.parametrize(
    ("text", "load"),
    [
        (RUNNING + WAITING, ServerLoad(3, 2, 0.0)),
        (RUNNING, None),
        (WAITING, None),
        (RUNNING + WAITING.replace("2", "1.2.3"), None),
        (RUNNING.replace("3", "3e1 1700000000000") + WAITING.replace("2", "+2"), ServerLoad(30, 2, 0.0)),
        (f"# {RUNNING}{RUNNING}{WAITING}vllm:other 5\n", ServerLoad(3, 2, 0.0)),
        (
            f"{RUNNING}{WAITING}"
            'vllm:gpu_cache_usage_perc{e="0"} 0.25\nvllm:gpu_cache_usage_perc{e="1"} 0.5\n'
            'vllm:generation_tokens_total{e="0"} 5\nvllm:generation_tokens_total{e="1"} 7\n',
            ServerLoad(3, 2, 0.5, 12),
        ),
    ],
)
def test_metrics_of_several_engines_are_one_load(text, load):
    assert parse_metrics(text) == load


def test_each_job_begins_with_a_quarter_of_the_one_before():
    assert [initial_limit(earlier) for earlier in range(5)] == [64, 16, 4, 1, 1]
    assert AdaptiveLimit(10, 0.0).limit == 10
    assert AdaptiveLimit(100, 0.0, 7).limit == 7


def read_metrics(limit: AdaptiveLimit, *loads: ServerLoad, in_flight: int = 64) -> list[tuple[float, str]]:
    """Record a load a second; the limit and its reason after each."""
    found = []
    for second, load in enumerate(loads, 1):
        limit.record_metrics(load, in_flight, second)
        found.append((pytest.approx(limit.limit), limit.reason))
    return found


GROWS, QUEUES = "grows", "the server queues"


@pytest.mark.parametrize(
    ("loads", "expected"),
    [
        # It doubles, and stops where the server queues twice: at what runs, a tenth of it, and one.
        (
            [(64, 0, 0.0), (64, 0, 0.0)],
            [(129, GROWS), (129, GROWS)],  # of 129 only 64 are in flight
        ),
        ([(50, 14, 0.0), (50, 14, 0.0)], [(64, GROWS), (57, QUEUES)]),
        ([(30, 34, 0.0), (30, 34, 0.0)], [(64, GROWS), (47, QUEUES)]),
        ([(58, 6, 0.0), (58, 6, 0.0)], [(64, GROWS), (64, GROWS)]),
        ([(60, 3, 0.0)], [(129, GROWS)]),
        ([(60, 4, 0.0)], [(64, GROWS)]),
        ([(50, 14, 0.0), (64, 0, 0.0), (50, 14, 0.0)], [(64, GROWS), (129, GROWS), (129, GROWS)]),
        # After it has stopped once it grows by a twentieth.
        ([(50, 14, 0.0), (50, 14, 0.0), (64, 0, 0.0)], [(64, GROWS), (57, QUEUES), (60.85, GROWS)]),
        # The KV cache
        ([(64, 0, 0.92)], [(129, GROWS)]),
        ([(64, 0, 0.93)], [(64, "the KV cache is full")]),
        ([(64, 0, 0.93), (64, 0, 0.5)], [(64, "the KV cache is full"), (68.2, GROWS)]),
        ([(50, 14, 0.1), (64, 0, 0.5)], [(64, GROWS), (64, "the KV cache fills")]),
        ([(50, 14, 0.1), (64, 0, 0.13)], [(64, GROWS), (64 * 0.87 / 0.6 + 1, GROWS)]),
        ([(50, 14, 0.1), (64, 0, 0.12)], [(64, GROWS), (129, GROWS)]),
        # The pace is remembered, and becomes less.
        (
            [(50, 14, 0.1), (50, 14, 0.2), (64, 0, 0.2)],
            [(64, GROWS), (57, QUEUES), (57, "the KV cache fills")],
        ),
        (
            [(50, 14, 0.1), (64, 0, 0.13), (50, 14, 0.13)],
            [(64, GROWS), (64 * 0.87 / 0.6 + 1, GROWS), (64 * 0.87 / 0.6 + 1, GROWS)],
        ),
    ],
)
def test_what_the_server_says_of_itself_decides(loads, expected):
    assert read_metrics(AdaptiveLimit(4096, 0.0), *(ServerLoad(*load) for load in loads)) == expected


def test_of_a_server_that_others_ask_too_our_part_counts():
    alone, shared = AdaptiveLimit(4096, 0.0), AdaptiveLimit(4096, 0.0)
    load = ServerLoad(50, 21, 0.0)  # 64 of 71 are nine tenths
    assert read_metrics(alone, load, load) == [(64, GROWS), (56, QUEUES)]
    load = ServerLoad(100, 28, 0.0)  # half of it is ours
    assert read_metrics(shared, load, load) == [(64, GROWS), (57, QUEUES)]


def answer_round(limit: AdaptiveLimit, now: float, rate: float, at_once: float | None = None) -> float:
    """A round of answers of 10 s each, in which the endpoint writes `rate` tokens/s; when it ends."""
    at_once = limit.limit if at_once is None else at_once
    limit.observe(0, now + 10)
    reason, before = limit.reason, limit.limit
    for _ in range(max(16, -(-3 * int(limit.limit) // 4)) - 1):
        limit.record_answer(rate * 10 / at_once, 10.0, 10.0 * at_once)
        assert (limit.limit, limit.reason) == (before, reason)  # not before its last answer
    limit.record_answer(rate * 10 / at_once, 10.0, 10.0 * at_once)
    return now + 10


SATURATED, CHANGED = "throughput rises no more", "the server's speed changed"


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ([640, 1280, 2560], [(128, GROWS), (256, GROWS), (512, GROWS)]),
        ([640, 960], [(128, GROWS), (128 * (1 + math.log2(1.5)), GROWS)]),
        ([640, 700], [(128, GROWS), (192, GROWS)]),  # half as much again at least
        ([640, 640], [(128, GROWS), (64, SATURATED)]),
        ([640, 670], [(128, GROWS), (128, SATURATED)]),
        ([640, 650], [(128, GROWS), (64, SATURATED)]),  # with 98 % of the best the smaller limit is enough
        ([640, 320], [(128, GROWS), (64, SATURATED)]),
        ([640, 1280, 1280], [(128, GROWS), (256, GROWS), (128, SATURATED)]),
        # The search begins again where the speed has changed by 1.3.
        ([640, 640, 830, 500], [(128, GROWS), (64, SATURATED), (64, SATURATED), (64, SATURATED)]),
        ([640, 640, 835, 900], [(128, GROWS), (64, SATURATED), (32, CHANGED), (64, GROWS)]),
        ([640, 640, 490, 490], [(128, GROWS), (64, SATURATED), (32, CHANGED), (64, GROWS)]),
    ],
)
def test_without_metrics_the_throughput_of_rounds_decides(rates, expected):
    limit, now, found = AdaptiveLimit(4096, 0.0), 0.0, []
    for rate in rates:
        now = answer_round(limit, now, rate)
        found.append((pytest.approx(limit.limit), limit.reason))
    assert found == expected


def test_a_round_with_few_in_flight_tells_nothing():
    limit = AdaptiveLimit(4096, 0.0)
    now = answer_round(limit, 0.0, 640, at_once=51)
    assert (limit.limit, limit.reason) == (64, "fewer are sent")
    answer_round(limit, now, 640, at_once=52)
    assert (limit.limit, limit.reason) == (104, GROWS)  # twice what was in flight


def test_answers_that_were_sent_before_a_round_do_not_count_in_it():
    limit = AdaptiveLimit(4096, 0.0)
    limit.observe(0, 9.0)
    for _ in range(100):
        limit.record_answer(100, 10.0, 640.0)
        limit.record_answer(100, 0.0, 640.0)
    assert limit.limit == 64
    answer_round(limit, 0.0, 640)
    assert limit.limit == 128


def test_requests_in_flight_are_summed_over_time():
    limit = AdaptiveLimit(4096, 5.0)
    limit.observe(3, 7.0)
    limit.observe(2, 10.0)
    assert limit.request_seconds == 3 * 2 + 2 * 3


@pytest.mark.parametrize("metrics", [True, False])
def test_the_client_finds_it_for_each_endpoint_and_tells(tmp_path, metrics):
    small = Machine(2, 0.02, 0.0005, 40_000, 96, 1e6, 0.0)
    with EngineServer(small, scale=200, shows_metrics=metrics) as server:

        class Endpoints:
            async def ensure_endpoints(self):
                return [Endpoint(url) for url in server.base_urls]

        urls = server.base_urls
        config = server_config("teacher", "external", "model", concurrency="auto")
        journal = Journal(tmp_path / "journal")
        client = Client(config, Endpoints(), Answers(journal, "model", 8192), tmp_path / "progress.json")
        came = list(client.ask(lambda _: (asked.request(n) for n in range(300)), 0.0))
    assert len(came) == 300
    assert all(response.failure is None for _, response in came)
    assert set(read_json(tmp_path / "progress.json")["limits"]) == set(urls)


def test_auto_loses_nothing_and_asks_nothing_twice_under_faults(tmp_path, monkeypatch):
    monkeypatch.setattr("prep.inference.client.FIRST_BACKOFF_S", 0.005)
    monkeypatch.setattr("prep.inference.endpoint_pool.FIRST_COOLDOWN_S", 0.02)
    monkeypatch.setattr("prep.inference.endpoint_pool.LONGEST_COOLDOWN_S", 0.1)
    faults = (
        Reply(status=503),
        Reply("reset"),
        Reply("cut_json"),
        Reply(status=429, headers={"Retry-After": "0"}),
    )

    def plan(ask):
        number = int(ask.prompt.split()[-1])
        return faults[number % 7 % 4] if number % 7 < 4 and ask.attempt == 1 else Reply(delay=0.002)

    config = server_config("teacher", "external", "model", concurrency="auto")
    with FaultServer(plan, slots=100) as one, FaultServer(plan, slots=10) as two:
        with Journal(tmp_path / "journal") as journal:
            client = Client(
                config, asked.Endpoints(one, two), Answers(journal, "model", 8192), tmp_path / "progress.json"
            )
            came = list(client.ask(lambda _: (asked.request(n) for n in range(500)), 0.0))
        answered = one.finished + two.finished
    assert [id_ for id_, _ in came] == [asked.request(n).id for n in range(500)]
    assert all(response.failure is None for _, response in came)
    assert set(answered.values()) == {1}
    assert len(answered) == 500


def test_as_many_files_as_connections_may_be_open():
    program = "from prep.inference.transport import raise_file_limit; print(raise_file_limit(4096))"
    for hard, expected in ((8192, 4096), (1024, 768)):
        limited = f"ulimit -Sn 512 && ulimit -Hn {hard} && exec {sys.executable} -c '{program}'"
        said = subprocess.check_output(["sh", "-c", limited], env=python_environment(), text=True)
        assert said == f"{expected}\n"
