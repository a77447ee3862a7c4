"""The engine to measure with: throughput, queue, KV cache and preemption as its parameters say."""

import json
import random
import threading
import urllib.error
import urllib.request
from dataclasses import replace

import pytest

from batching_engine import BatchingEngine, EngineServer, Machine, Sequence, answer_length, machine

SMALL = Machine(1, 0.02, 0.001, 10_000, 16, 1e9, 0.0)


def run_all(engine: BatchingEngine) -> float:
    while engine.running:
        engine.advance(engine.next_event())
    return engine.now


def test_a_step_takes_a_and_b_for_each_sequence():
    engine = BatchingEngine(SMALL)
    for _ in range(10):
        engine.submit(Sequence(10, 100), 0.0)
    assert run_all(engine) == pytest.approx(100 * (0.02 + 10 * 0.001), rel=1e-4)
    assert engine.generated == 1000


def test_more_than_max_sequences_wait():
    engine = BatchingEngine(SMALL)
    for _ in range(20):
        engine.submit(Sequence(10, 100), 0.0)
    assert (len(engine.running), len(engine.waiting)) == (16, 4)
    assert run_all(engine) == pytest.approx(100 * 0.036 + 100 * 0.024, rel=1e-4)


def test_a_full_kv_cache_preempts_who_came_last_and_loses_nothing():
    engine, ended = BatchingEngine(replace(SMALL, kv_tokens=500)), []
    for number in range(8):
        engine.submit(Sequence(10, 100, lambda number=number: ended.append(number)), 0.0)
    run_all(engine)
    assert engine.preemptions > 0
    assert sorted(ended) == list(range(8))
    assert ended[0] == 0
    assert engine.generated == 800


@pytest.mark.parametrize("seed", range(20))
def test_whatever_comes_and_goes_the_kv_cache_holds_and_all_ends(seed):
    dice, ended, now = random.Random(seed), [], 0.0
    engine = BatchingEngine(replace(SMALL, kv_tokens=2000, prefill_tokens_per_s=5000))
    sent = []
    for _ in range(200):
        now += dice.expovariate(5)
        one = Sequence(dice.randint(1, 100), dice.randint(1, 400))
        one.done = lambda one=one: ended.append(one)
        sent.append(one)
        engine.submit(one, now)
        assert engine.kv_used <= 2000 + 1e-3
        if dice.random() < 0.1:
            gone = dice.choice(sent)
            if gone not in ended:
                sent.remove(gone)
                engine.abort(gone, now)
    run_all(engine)
    assert set(ended) == set(sent)
    assert len(ended) == len(sent)
    assert not engine.waiting
    assert engine.kv_used == 0


def test_lengths_are_lognormal_by_mode_and_the_same_for_the_same_request():
    def median(**more) -> int:
        return sorted(answer_length({"seed": n, **more}) for n in range(999))[499]

    assert median() == pytest.approx(900, rel=0.15)
    assert median(chat_template_kwargs={"enable_thinking": False}) == pytest.approx(250, rel=0.15)
    assert answer_length({"seed": 1}) == answer_length({"seed": 1, "stream": True})
    assert answer_length({"seed": 1, "max_tokens": 5}) == 5


def test_the_machines_of_the_file():
    assert machine("eight_80gb").replicas == 8
    assert machine("eight_24gb_tensor_parallel").step_base_s > machine("one_80gb").step_base_s


def ask(url: str, **more) -> bytes:
    body = {"model": "model", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 50, **more}
    told = urllib.request.Request(f"{url}/chat/completions", json.dumps(body).encode())
    with urllib.request.urlopen(told, timeout=20) as answer:
        return answer.read()


def test_the_server_answers_whole_and_streamed_alike():
    with EngineServer(SMALL, scale=200) as server:
        whole = json.loads(ask(server.base_urls[0]))
        events = ask(server.base_urls[0], stream=True).decode().split("\n\n")
        pieces = [json.loads(each[6:]) for each in events if each and "[DONE]" not in each]
        text = "".join(each["choices"][0]["delta"]["content"] for each in pieces if each["choices"])
        assert text == whole["choices"][0]["message"]["content"]
        assert pieces[-1]["usage"] == whole["usage"] == {"prompt_tokens": 1, "completion_tokens": 50}


def test_metrics_tell_who_runs_and_who_waits():
    with EngineServer(replace(SMALL, max_sequences=2), scale=1) as server:
        url = server.base_urls[0]
        askers = [threading.Thread(target=ask, args=(url,), kwargs={"seed": n}) for n in range(5)]
        for each in askers:
            each.start()
        said = ""
        while "num_requests_waiting" not in said or 'waiting{model_name="model"} 3' not in said:
            with urllib.request.urlopen(url.removesuffix("/v1") + "/metrics") as answer:
                said = answer.read().decode()
        assert 'vllm:num_requests_running{model_name="model"} 2' in said
        assert "vllm:kv_cache_usage_perc" in said
        assert "vllm:gpu_cache_usage_perc" in said
        for each in askers:
            each.join()


def test_a_server_that_loads_says_503_and_one_without_metrics_404():
    with (
        EngineServer(replace(SMALL, load_s=1e6)) as server,
        pytest.raises(urllib.error.HTTPError, match="503"),
    ):
        ask(server.base_urls[0])
    with (
        EngineServer(SMALL, shows_metrics=False) as server,
        pytest.raises(urllib.error.HTTPError, match="404"),
    ):
        urllib.request.urlopen(server.base_urls[0].removesuffix("/v1") + "/metrics")
