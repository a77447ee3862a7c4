"""Stages of training: which artifacts each config for the trainer mixes."""

from workflow_lib.names import Names

DESCRIBED = ("caption", "ocr")
"""The forms of sources that say what a picture shows; the others ask and answer."""

CAPTIONS = "LLaVA_ReCap"
"""The prefix of the captions that have the form of conversations."""


def training_stages(names: Names) -> dict[str, list[str]]:
    """The artifacts of each stage of training that has any.

    Stage 2 is two: what pictures show (captions, pages), then instructions.
    """
    stages: dict[str, list[str]] = {"stage1": names.stages["stage1"], "stage2.1": [], "stage2.2": []}
    for name in names.stages["stage2"]:
        described = names.entries[name]["form"] in DESCRIBED or name.startswith(CAPTIONS)
        stages["stage2.1" if described else "stage2.2"].append(name)
    stages["stage3"] = names.stages["stage3"]
    return {stage: artifacts for stage, artifacts in stages.items() if artifacts}
