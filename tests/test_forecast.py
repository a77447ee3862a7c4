"""The forecast: unfinished answers count as censored, and written tokens follow the server's counter."""

import heapq
import math
import random
import tracemalloc

import pytest

from prep.inference.forecast import (
    AUTO_SHARE,
    AnswersInFlight,
    RequestKind,
    Server,
    estimate_mean,
    forecast_seconds,
    weigh_prompts,
)


def test_without_unfinished_it_is_the_mean():
    assert estimate_mean([1, 2, 6], []) == 3


def test_an_unfinished_answer_is_at_least_as_long_as_it_is():
    # The one of 2 outlives the first, and is then as those that went on: 1/3 x 1 + 2/3 x 6.
    assert estimate_mean([1, 6], [2]) == pytest.approx(1 / 3 + 2 / 3 * 6)


def test_beyond_what_was_seen_the_hazard_goes_on_and_nothing_exceeds_the_most():
    assert math.isnan(estimate_mean([], [5]))
    assert estimate_mean([10] * 50, [10] * 50, most=10) == 10
    assert 10 < estimate_mean([10] * 50, [10] * 50, most=30) < 30


@pytest.mark.parametrize("seed", range(5))
def test_the_mean_after_one_round_is_right_where_that_of_the_finished_is_a_quarter_too_low(seed):
    draw = random.Random(seed)

    def length() -> float:
        return min(2000.0, 900 * math.exp(0.7 * draw.gauss(0, 1)))

    true = sum(length() for _ in range(20_000)) / 20_000
    ends = [(length(), 0.0) for _ in range(1200)]
    heapq.heapify(ends)
    finished = []
    while len(finished) < 1620:
        now, began = ends[0]
        finished.append(now - began)
        heapq.heapreplace(ends, (now + length(), now))
    assert sum(finished) / len(finished) < 0.8 * true
    assert estimate_mean(finished, [now - began for _, began in ends], 2000) == pytest.approx(true, rel=0.05)


def test_those_sent_first_run_and_get_their_part_of_the_counter():
    answers = AnswersInFlight()
    answers.record_counter(1000, 0, 0, 0.0)
    first, _, _ = (answers.begin(mode, 0.0) for mode in ("thinking", "no_thinking", "thinking"))
    answers.record_counter(1000, 2, 1, 0.0)
    answers.record_counter(1040, 2, 1, 2.0)
    assert answers.written(2.0) == {"thinking": [20.0, 0.0], "no_thinking": [20.0]}
    assert answers.throughput(2.0) == 20
    answers.end(first, 21, 2.1)
    assert answers.written(2.1) == {"no_thinking": [20.0], "thinking": [0.0]}


def test_without_a_counter_time_tells():
    answers = AnswersInFlight()
    numbers = [answers.begin("thinking", 0.0) for _ in range(3)]
    answers.end(numbers[0], 50, 5.0)
    assert answers.written(6.0) == {"thinking": [60.0, 60.0]}
    assert answers.throughput(6.0) == answers.own_throughput(6.0) == 20


def test_the_speed_is_of_the_last_two_minutes_and_takes_no_memory_for_each_answer():
    answers = AnswersInFlight()
    tracemalloc.start()
    try:
        for tokens, begin in ((10, 0.0), (40, 130.0)):
            for number in range(20_000):
                now = begin + number / 200
                answers.end(answers.begin("thinking", now), tokens, now + 1.0)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    answers.begin("thinking", 230.0)
    assert answers.own_throughput(240.0) == pytest.approx(40, rel=0.1)
    assert kept < 100_000


def test_what_is_to_come_is_prompts_by_their_weight_and_answers_less_what_is_written():
    kinds = [RequestKind(10, 100, 40, written=50), RequestKind(10, 0, 5)]
    assert forecast_seconds(kinds, 5, 0.25, tail_s=7) == (10 * 65 - 50 + 50) / 5 + 7
    assert forecast_seconds([RequestKind(0, 100, 40)], 5, 0.25, tail_s=7) == 0
    assert weigh_prompts([RequestKind(3, 100, 50)], 0.25) == 1.5


def test_a_fixed_limit_has_its_share_and_a_tail_ends_with_the_longest():
    full = Server(8, 8 * 2000.0, alone=40, beside=10, replicas=8)
    assert full.share == AUTO_SHARE
    few = Server(8, 8 * 2000.0, alone=40, beside=10, replicas=8, limit=64)
    assert few.share == pytest.approx(64 / (1 / 40 + 64 * (1 / 10 - 1 / 40) / 1600) / 16_000)
    assert full.tail_s(1000, 2000) == 1000 / 40
    assert Server(8, 2000.0).tail_s(1000, 2000) == 0
