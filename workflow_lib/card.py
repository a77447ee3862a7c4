"""What the dataset card says that no manifest does: licences, teachers, and a notice of small models."""

from typing import Any

from workflow_lib.config import ROLES

# Licences as the sources' own cards name them.
LICENCES = {
    "tatsu-lab/alpaca": {"licence": "CC-BY-NC-4.0", "note": "non-commercial use only"},
    "lmms-lab/LLaVA-OneVision-Data": {
        "licence": "Apache-2.0",
        "note": "each config has terms of its own source",
    },
    "lmms-lab/LLaVA-ReCap-558K": {"licence": "none named", "note": ""},
    "lmms-lab/LLaVA-ReCap-CC3M": {"licence": "none named", "note": ""},
    "lmms-lab/LLaVA-ReCap-CC12M": {"licence": "none named", "note": ""},
}
TASK_OF = {"text2image": "text_reasoning", "image_thinking": "image_reasoning"}
"""The config key of each artifact that servers help to make."""


def servers_of(config: dict[str, Any], name: str) -> dict[str, dict[str, Any]]:
    """The servers that help to make an artifact, by role."""
    task = TASK_OF.get(name)
    return {role: config["servers"][config[task][role]] for role in ROLES} if task else {}


def notice_of(config: dict[str, Any], name: str) -> str:
    """What a file that an embedded model helped to make must say; empty when there was none."""
    used = servers_of(config, name).values()
    small = sorted({server["model"] for server in used if server["mode"] == "embedded"})
    if not small:
        return ""
    return (
        f"Made with the small embedded model {', '.join(small)}, which cannot see, reason or judge:"
        " good for trying the build, not for training."
    )


def card_settings(config: dict[str, Any]) -> dict[str, Any]:
    """What publish_card takes besides the manifest."""
    return {
        "notice": next(filter(None, (notice_of(config, name) for name in TASK_OF)), None),
        "licences": LICENCES,
        "teachers": {
            name: {role: server["model"] for role, server in servers_of(config, name).items()}
            for name in TASK_OF
        },
    }
