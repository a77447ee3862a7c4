"""Input of the dataset card that no manifest has: licences, teachers, and a warning about small models."""

import json
from itertools import chain
from typing import Any

from workflow_lib.names import Names
from workflow_lib.prompts import describe_prompt
from workflow_lib.teachers import askers_of, teachers_of

# Licences of sources of questions as their own cards name them; others stand in their entries.
LICENCES = {"tatsu-lab/alpaca": {"licence": "CC-BY-NC-4.0", "note": "non-commercial use only"}}
TASK_OF = {"text2image": "text_reasoning", "image_thinking": "image_reasoning"}
"""The config key of each artifact that servers help to make."""


def servers_of(config: dict[str, Any], name: str) -> dict[str, list[dict[str, Any]]]:
    """The servers that help to make an artifact, by role, such as teacher and judge."""
    task = TASK_OF.get(name)
    if not task:
        return {}
    names = {"teacher": list(teachers_of(config, task)), "judge": [config[task]["judge"]]}
    if rated := config[task]["pass_rate_server"]:
        names["pass_rate"] = [rated["server"]]
    if config[task].get("blind_check"):
        names["blind"] = [config["text_reasoning"]["teacher"]]
    return {role: [config["servers"][each] for each in servers] for role, servers in names.items()}


def notice_of(config: dict[str, Any], name: str) -> str:
    """What a file that an embedded model helped to make must say; empty when there was none."""
    used = chain.from_iterable(servers_of(config, name).values())
    small = sorted({server["model"] for server in used if server["mode"] == "embedded"})
    if not small:
        return ""
    return (
        f"Made with the small embedded model {', '.join(small)}, which cannot see, reason or judge:"
        " good for trying the build, not for training."
    )


def list_requests(config: dict[str, Any], task: str) -> list[dict[str, str | None]]:
    """What a task's requests carry besides a question: by kind, and by `model` where several are asked."""
    asked = askers_of(config, task)
    given: list[tuple[str | None, dict[str, Any]]] = [(None, config[task]["request"])]
    if len(asked) > 1:
        given = [(config["servers"][name]["model"], own["request"]) for name, own in asked.items()]
        given.append((None, {"judge": config[task]["request"]["judge"]}))
    return [
        {"model": model, "kind": kind, "carried": json.dumps(carried)}
        for model, kinds in given
        for kind, about in kinds.items()
        if (carried := {key: value for key, value in about.items() if value})
    ]


def licences_of(names: Names) -> dict[str, dict[str, str]]:
    """The licence of each repository and a note, by the first entry that has one."""
    found = dict(LICENCES)
    for entry in (*names.entries.values(), *names.asked.values()):
        if entry.get("licence"):
            about = {"licence": entry["licence"], "note": entry.get("note") or ""}
            found.setdefault(entry["repo"], about)
    return found


def card_settings(config: dict[str, Any], names: Names) -> dict[str, Any]:
    """What publish_card takes besides the manifest."""
    return {
        "notice": next(filter(None, (notice_of(config, name) for name in TASK_OF)), None),
        "licences": licences_of(names),
        "forms": {name: entry["form"] for name, entry in names.entries.items()},
        "teachers": {
            name: {
                role: [server["model"] for server in servers]
                for role, servers in servers_of(config, name).items()
            }
            | {"requests": list_requests(config, task), "prompt": describe_prompt(config, task)}
            | ({"several": True} if "teachers" in config[task] else {})
            for name, task in TASK_OF.items()
        },
    }
