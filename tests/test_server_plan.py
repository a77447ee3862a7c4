"""The plan's lines on servers: hours with start and tail, batch size, replicas, nodes."""

from prep.inference.forecast import RequestKind, Server
from prep.inference.server_plan import (
    Batches,
    Load,
    round_up,
    say_batch_size,
    say_hours,
    say_nodes,
    say_replicas,
)

SERVER = Server(8, 16_000.0, load_s=240, prompt_weight=0.25, alone=40, beside=10, replicas=8)
KINDS = [RequestKind(16_000, 0, 3600)]


def load(**changes) -> Load:
    return Load(
        **{
            "name": "teacher",
            "server": SERVER,
            "kinds": KINDS,
            "throughput": 16_000.0,
            "most": 7200.0,
            "starts": 1,
            "basis": "as assumed under plan",
        }
        | changes
    )


def test_hours_are_those_of_answering_a_start_and_the_last_answers():
    assert load().seconds == 3600 + 240 + 3600 / 40
    assert say_hours(load()) == (
        "teacher: 1.1 h on 8 GPUs, 8.7 GPU-hours, at 16,000 tokens/s; 8.4% of it for 1 start and the last"
        " answers (as assumed under plan)"
    )
    assert say_hours(load(kinds=[RequestKind(0, 0, 3600)])) == "teacher: nothing to ask"


def test_a_batch_is_large_enough_where_a_start_is_little_of_it():
    said = say_batch_size("text_reasoning", 1000, Batches(16, load(), [RequestKind(1000, 0, 3600)]))
    assert "1,000 keep teacher busy for 0.1 h" in said
    assert "each loses 6 min (59%)" in said
    assert "5% from 28,000 on" in said
    assert round_up(27_866.7) == 28_000


def test_replicas_go_before_tensor_parallelism_where_weights_leave_room():
    one = Server(8, 16_000.0)
    assert "on 2 GPUs of 80 GB: take 4 replicas of 2 in place of 1 of 8" in say_replicas(
        "teacher", "Qwen/Qwen3-32B", one, 80
    )
    assert "take 8 replicas of 1" in say_replicas("teacher", "Qwen/Qwen3-32B-FP8", one, 80)
    assert say_replicas("teacher", "own", one, 80) == ""
    assert "1 x 1 GPUs will do" in say_replicas("teacher", "GLM-4.1V-9B-Thinking", Server(1, 6000.0), 80)


def test_nodes_share_whole_batches():
    said = say_nodes([Batches(10, load(), [RequestKind(16_000, 0, 3600)])])
    hours = (3600 + 240 + 90) / 3600
    assert f"1 node in {10 * hours:,.1f} h, 2 nodes in {5 * hours:,.1f} h" in said
    assert f"4 nodes in {3 * hours:,.1f} h, 8 nodes in {2 * hours:,.1f} h" in said
    assert f"{10 * hours * 8:,.1f} GPU-hours" in said
