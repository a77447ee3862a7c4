"""Names of artifacts, sources, stages and targets, and the wildcard constraints that admit them."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from workflow_lib.config import fail


class Names:
    """What a config names: artifacts by stage and kind, and the sources of questions."""

    def __init__(self, config: dict[str, Any]) -> None:
        sources, configs = list(config["sources"]), config["onevision"]["configs"]
        asked = config["text_reasoning"]["sources"]
        self.sharded = config["output"]["shard_bytes"] is not None
        self.recap = [name for name in sources if name.startswith("LLaVA_ReCap")]
        self.synthdog = [name for name in sources if name.startswith("synthdog")]
        self.onevision: dict[str, str] = {artifact_of(each): each for each in configs}
        self.questions: dict[str, dict[str, Any]] = {Path(each["repo"]).name: each for each in asked}
        self.stages = {
            "stage1": ["LLaVA_ReCap_558K"],
            "stage2": [
                *(name for name in self.recap if name != "LLaVA_ReCap_558K"),
                *self.synthdog,
                *self.onevision,
            ],
            "stage3": ["text2image", "image_thinking"],
        }
        self.converted = self.stages["stage1"] + self.stages["stage2"]
        self.artifacts = self.converted + self.stages["stage3"]
        if len(self.onevision) < len(configs):
            fail("onevision.configs: two of them give the same artifact name; leave one out")
        if len(self.questions) < len(asked) or set(self.questions) & set(self.artifacts):
            given = "text_reasoning.sources"
            fail(f"{given}: the last parts of the repos must differ, and not be an artifact's name")

    def path_of(self, name: str) -> str:
        """An artifact's file, or its folder where it is sharded; `{name}` gives the pattern of all."""
        return f"data/{name}" if self.sharded else f"data/{name}.parquet"

    def sources_of(self, name: str) -> list[str]:
        """The sources that an artifact's manifest lists."""
        if name == "text2image":
            return list(self.questions)
        return list(self.onevision) if name == "image_thinking" else [name]


def cut_batches(names: list[str], size: int) -> dict[str, list[str]]:
    """Names in order, as many a batch as fit, and at least one; by the batch's number in five digits."""
    starts = range(0, len(names), max(1, size))
    return {f"{number:05d}": names[start : start + max(1, size)] for number, start in enumerate(starts)}


def artifact_of(onevision_config: str) -> str:
    """A OneVision config's artifact: `ai2d(cauldron,llava_format)` is …/ai2d_cauldron_llava_format."""
    name = re.sub(r"[(), -]", "_", onevision_config).rstrip("_")
    return f"llavaonevision_converted/{name}"


def one_of(names: Iterable[str]) -> str:
    """A wildcard constraint that admits exactly these names; short, since every path is matched by it."""
    folders: dict[str, list[str]] = {}
    for name in names:
        folder, slash, last = name.rpartition("/")
        folders.setdefault(folder + slash, []).append(re.escape(last))
    found = [f"{re.escape(folder)}(?:{'|'.join(lasts)})" for folder, lasts in folders.items()]
    return "|".join(found) or "(?!)"


def target_lines(names: Names, servers: dict[str, Any]) -> list[str]:
    """A line for each target: stages, artifacts, servers, and what shows without building."""
    targets = {
        "all": "everything",
        **{stage: f"{len(artifacts)} artifacts" for stage, artifacts in names.stages.items()},
        "plan": "what a run will fetch, write and ask",
        "publish_built": "manifest, card and report of the artifacts that stand",
        "verify": "whether every artifact is whole, by reading all again",
        "refresh": "what branches name now",
        **{names.path_of(name): stage for stage, artifacts in names.stages.items() for name in artifacts},
        "probe": "every server",
        **{f"{does}_{name}": servers[name]["model"] for does in ("probe", "serve") for name in servers},
    }
    return [f"{target:<72} {what}" for target, what in targets.items()]
