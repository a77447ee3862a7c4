"""Capacity plan of a server in plain lines: hours to come, batch size, replicas, and nodes."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from prep.inference.forecast import RequestKind, Server, forecast_seconds

NODES = (1, 2, 4, 8)
LOST_SHARE = 0.05  # of a batch, at most, for its start and its tail
WEIGHTS_SHARE = 0.6  # of a GPU's memory, at most, for weights: the rest holds the answers' keys and values
BYTES_A_WEIGHT = {"fp8": 1.0, "int8": 1.0, "w8a8": 1.0, "awq": 0.5, "gptq": 0.5, "int4": 0.5, "fp4": 0.5}
"""By words in a model's name; else 2."""


@dataclass(frozen=True)
class Load:
    """What a server is to do, and how fast; `kinds` are all requests to come of tasks that ask it.

    `basis` says where its numbers are from; with `starts` 0 it is running already.
    """

    name: str
    server: Server
    kinds: Sequence[RequestKind]
    throughput: float
    most: float  # tokens of an answer
    starts: int
    basis: str

    @property
    def tail_s(self) -> float:
        """Seconds that the last answers of all lose."""
        asked = [kind for kind in self.kinds if kind.to_come]
        return self.server.tail_s(max((kind.answer for kind in asked), default=0.0), self.most)

    @property
    def seconds(self) -> float:
        """Seconds to come, of one start."""
        if not any(kind.to_come for kind in self.kinds):
            return 0.0
        weight = self.server.prompt_weight
        asking = forecast_seconds(self.kinds, self.throughput, weight, self.tail_s)
        return self.starts * self.server.load_s + asking


@dataclass(frozen=True)
class Batches:
    """The jobs of a task that ask one server: how many, and what each asks."""

    count: int
    load: Load
    kinds: Sequence[RequestKind]

    @property
    def lost_s(self) -> float:
        """Seconds of a job's own start and tail."""
        return self.load.server.load_s + self.load.tail_s

    @property
    def busy_s(self) -> float:
        """Seconds in which its requests keep the server busy."""
        return forecast_seconds(self.kinds, self.load.throughput, self.load.server.prompt_weight, 0.0)


def say_hours(load: Load) -> str:
    """When a server is through, on its GPUs, and what of it is not answering."""
    if not (seconds := load.seconds):
        return f"{load.name}: nothing to ask"
    hours, gpus = seconds / 3600, load.server.gpus
    lost = (load.starts * load.server.load_s + load.tail_s) / seconds
    return (
        f"{load.name}: {hours:,.1f} h on {count(gpus, 'GPU')}, {hours * gpus:,.1f} GPU-hours, at"
        f" {load.throughput:,.0f} tokens/s; {lost:.1%} of it for {count(load.starts, 'start')} and the last"
        f" answers ({load.basis})"
    )


def say_batch_size(task: str, size: int, batches: Batches) -> str:
    """What a batch loses where each starts its server, and from which size on that is little."""
    busy, lost = batches.busy_s, batches.lost_s
    enough = round_up(size * lost * (1 / LOST_SHARE - 1) / busy) if busy else size
    name = batches.load.name
    return (
        f"{task}.batch_size: {size:,} keep {name} busy for {busy / 3600:,.1f} h. On a cluster each loses"
        f" {lost / 60:.0f} min ({lost / (busy + lost):.0%}) for its start and its last answers: at most"
        f" {LOST_SHARE:.0%} from {enough:,} on. On one machine a run loses them once"
    )


def say_replicas(name: str, model: str, server: Server, gpu_gb: float) -> str:
    """Whether a server's GPUs should be more replicas or tensor-parallel; "" for a model of unknown size."""
    found = re.search(r"(?<![\d.])(\d+(?:\.\d+)?)B(?![a-z])", model)
    if found is None or not server.gpus:
        return ""
    size = next((size for word, size in BYTES_A_WEIGHT.items() if word in model.lower()), 2.0)
    weights = float(found[1]) * size
    each, least = server.gpus // server.replicas, 1
    while weights > WEIGHTS_SHARE * gpu_gb * least:
        least *= 2
    said = f"{name}.replicas: {weights:.0f} GB of weights leave room for answers on {count(least, 'GPU')}"
    said += f" of {gpu_gb:g} GB"
    if least >= server.gpus or least == each:
        return f"{said}; {server.replicas} x {each} GPUs will do"
    return f"{said}: take {server.gpus // least} replicas of {least} in place of {server.replicas} of {each}"


def say_nodes(jobs: Sequence[Batches]) -> str:
    """When so many nodes finish, each with a server of its own and a start for each batch."""
    hours = {
        nodes: sum(math.ceil(each.count / nodes) * (each.busy_s + each.lost_s) for each in jobs) / 3600
        for nodes in NODES
    }
    gpu_hours = sum(each.count * (each.busy_s + each.lost_s) * each.load.server.gpus for each in jobs) / 3600
    said = ", ".join(f"{count(nodes, 'node')} in {each:,.1f} h" for nodes, each in hours.items())
    return f"On a cluster, with a start for each batch, {gpu_hours:,.1f} GPU-hours: {said}"


def count(number: int, noun: str) -> str:
    """A number and its noun."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def round_up(number: float) -> int:
    """A number with two digits that count."""
    step = 10 ** max(0, math.floor(math.log10(max(1.0, number))) - 1)
    return math.ceil(number / step) * step
