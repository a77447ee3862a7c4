"""Usage of the model servers, summed from the statistics of jobs: requests, tokens, and GPU-hours."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from prep.storage.atomic import read_json

log = logging.getLogger(__name__)

FIGURES = {
    "asked": "asked",
    "answered": "answered",
    "from_journal": "from the journal",
    "retries": "tried again",
    "prompt_tokens": "prompt tokens",
    "completion_tokens": "answer tokens",
    "seconds": "seconds",
}
"""The figures of a job's statistics that are summed by rule, and their headings."""
KINDS = {
    "answer_text": {"thinking": "text_thinking", "no_thinking": "text_no_thinking"},
    "answer_image": {"thinking": "image_thinking"},
    "answer_blind": {"thinking": "text_thinking"},
    "judge_text": {"judge": "text_judge"},
    "judge_image": {"judge": "image_judge"},
    "judge_blind": {"judge": "image_judge"},
}
"""The kind of request by rule and mode, as `plan.tokens` of the config names it."""


@dataclass
class Work:
    """The requests of one rule's jobs in their last runs; `failures` are counted by name."""

    rule: str
    jobs: int = 0
    figures: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class GpuTime:
    """GPU-hours of a server in the last runs of its jobs, and those that `plan` assumes for as many answers.

    `measured` is the time in which a job asked it, whether one or several did, times its GPUs. `answers` came
    in these runs, of `total`; `planned` is None where the plan has no rate.
    """

    server: str
    model: str
    gpus: int
    answers: int
    total: int
    measured: float
    planned: float | None


def read_statistics(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The statistics below `folder` (`<rule>/….json`), each with its rule.

    They are no part of the data, so missing, unknown and unreadable files are skipped.
    """
    for path in sorted(folder.rglob("*.json")):
        try:
            said = read_json(path)
        except ValueError:
            log.warning("%s: no JSON, passed over", path)
            continue
        if isinstance(said, dict):
            yield path.relative_to(folder).with_suffix("").parts[0], said


def sum_work(folder: Path) -> list[Work]:
    """The statistics below `folder`, summed by rule."""
    found: dict[str, Work] = {}
    for rule, said in read_statistics(folder):
        work = found.setdefault(rule, Work(rule))
        work.jobs += 1
        work.figures.update({key: sum(to_numbers(said.get(key)).values()) for key in FIGURES if key in said})
        work.failures.update(to_numbers(said.get("failed")))
    return list(found.values())


def sum_tokens(folder: Path) -> dict[tuple[str, str], Counter[str]]:
    """By model and mode, the answers that the artifacts are made of and the tokens that they took.

    Answers of all runs count. Attempts that failed do not.
    """
    found: dict[tuple[str, str], Counter[str]] = {}
    for _, said in read_statistics(folder):
        for mode, counts in _read_modes(said):
            found.setdefault((str(said.get("model")), mode), Counter()).update(counts)
    return dict(sorted(found.items()))


def measure_gpu_time(stats: Path, work: Path) -> list[GpuTime]:
    """GPU-hours by server, of those that have GPUs; none without the plan's settings.

    `work` holds what a run writes at its start: plan.json, and each server's own file, which says whether
    it is `embedded` and so has no GPU.
    """
    plan = _read_object(work / "plan.json")
    rates, servers = plan.get("rates"), plan.get("servers")
    if not isinstance(rates, dict) or not isinstance(servers, dict):
        return []
    spans: dict[str, list[tuple[float, float]]] = {}
    counts: dict[str, Counter[str]] = {}
    planned: Counter[str] = Counter()
    for rule, said in read_statistics(stats):
        name, span = str(said.get("server")), _read_span(said)
        gpus = to_numbers((servers.get(name) or {}).get("gpus"))
        mode = _read_object(work / "servers" / name / "server.json").get("mode")
        if not gpus or mode == "embedded" or span is None or rule not in KINDS:
            continue
        answers, journal = (sum(to_numbers(said.get(key)).values()) for key in ("answered", "from_journal"))
        own = counts.setdefault(name, Counter())
        own.update(answers=answers, total=answers + journal, gpus=max(0, gpus["all"] - own["gpus"]))
        spans.setdefault(name, []).append(span)
        new = answers / (answers + journal) if answers else 0.0
        for kind, about in _read_modes(said):
            a_request = to_numbers(rates.get("tokens")).get(KINDS[rule].get(kind, ""), 0.0)
            planned[name] += about.get("answers", 0.0) * new * a_request
    found = []
    for name, own in sorted(counts.items()):
        rate = to_numbers(rates.get("tokens_per_gpu_second")).get(name)
        hours = planned[name] / rate / 3600 if rate else None
        measured = sum_spans(spans[name]) * own["gpus"] / 3600
        model = str((plan.get("models") or {}).get(name, name))
        sums = int(own["gpus"]), round(own["answers"]), round(own["total"])
        found.append(GpuTime(name, model, *sums, measured, hours))
    return found


def sum_spans(spans: Iterable[tuple[float, float]]) -> float:
    """The length of the union of some (start, end)."""
    total, until = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


def _read_span(said: dict[str, Any]) -> tuple[float, float] | None:
    """When a job's last run asked, as seconds since 1970."""
    try:
        end = datetime.fromisoformat(said["updated"]).timestamp()
        return end - float(said["seconds"]), end
    except (KeyError, TypeError, ValueError):
        return None


def _read_modes(said: dict[str, Any]) -> Iterator[tuple[str, dict[str, float]]]:
    modes = said.get("modes")
    for mode, counts in modes.items() if isinstance(modes, dict) else ():
        yield mode, to_numbers(counts)


def _read_object(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none."""
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def to_numbers(value: Any) -> dict[str, float]:
    """The numbers of a mapping, or a lone number under the key `all`; nothing of anything else."""
    found = value.items() if isinstance(value, dict) else [("all", value)]
    return {str(key): n for key, n in found if isinstance(n, int | float) and not isinstance(n, bool)}
