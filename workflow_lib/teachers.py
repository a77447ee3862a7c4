"""The teachers of a task: one, or several with a server, form, sampling and requests of their own."""

from typing import Any

OWN_KEYS = ("form", "sampling", "request")
"""What an entry of `teachers` may say for itself, the latter two by mode; else the task's own stands."""
RATE_SAMPLES = 4
"""How often a pass-rate server is asked each question, where its entry does not say."""


def resolve_teachers(task: dict[str, Any]) -> None:
    """Bring a task's `teachers` into one form, in place: what each is asked with, by its server's name.

    The first is also `teacher`, with the task's own form, sampling and request. A list of one is as if
    `teacher` named it: neither `teachers` nor `mix` is left.
    """
    listed, mix = task.pop("teachers", None), task.pop("mix", "all")
    if not listed:
        return
    entries = list_entries(listed)
    first = entries[0]
    kinds = {key: task[key] for key in ("sampling", "request")}
    resolved = {entry["server"]: own_settings(task, entry) for entry in entries}
    task |= {"teacher": first["server"]} | resolved[first["server"]]
    for key, before in kinds.items():
        task[key] = before | task[key]  # with what the judge is asked with
    if len(entries) > 1:
        task |= {"teachers": resolved, "mix": mix}


def resolve_pass_rate(task: dict[str, Any]) -> None:
    """Bring a task's `pass_rate_server` into one form, in place: None, or its samples, form, …"""
    if given := task["pass_rate_server"]:
        (entry,) = list_entries([given])
        told = {"server": entry["server"], "samples": entry.get("samples", RATE_SAMPLES)}
        task["pass_rate_server"] = told | own_settings(task, entry)


def list_entries(listed: list[str | dict[str, Any]]) -> list[dict[str, Any]]:
    """The entries of `teachers` as mappings: a name alone is that of a server."""
    return [{"server": each} if isinstance(each, str) else each for each in listed]


def own_settings(task: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    """The form, and by mode the sampling and what requests carry, of an entry of `teachers`."""
    by_mode = {
        key: {kind: values for kind, values in task[key].items() if kind != "judge"} | entry.get(key, {})
        for key in ("sampling", "request")
    }
    return {"form": entry.get("form", task["form"])} | by_mode


def teachers_of(config: dict[str, Any], task: str) -> dict[str, dict[str, Any]]:
    """The teachers of a task by their servers' names, in order, each with form, sampling and request."""
    given = config[task]
    return given.get("teachers") or {given["teacher"]: {key: given[key] for key in OWN_KEYS}}


def askers_of(config: dict[str, Any], task: str) -> dict[str, dict[str, Any]]:
    """Who is asked a task's questions: its teachers, and last the server whose pass rate counts, if any does.

    The latter's answers are kept nowhere.
    """
    rated = config[task]["pass_rate_server"]
    return teachers_of(config, task) | ({rated["server"]: rated} if rated else {})
