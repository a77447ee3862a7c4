"""Names of artifacts, sources, stages and targets, and the wildcard constraints that admit them."""

import re
from collections.abc import Iterable
from typing import Any, NoReturn

from workflow_lib.config import fail
from workflow_lib.config_error import closest_first
from workflow_lib.entries import REASONED, check_questions, name_questions, read_entries


class Names:
    """What a config names: artifacts by stage and kind, and the sources of questions."""

    def __init__(self, config: dict[str, Any]) -> None:
        asked = config["text_reasoning"]["sources"]
        self.sharded = config["output"]["shard_bytes"] is not None
        self.entries = read_entries(config)
        self.sampled = [name for name, entry in self.entries.items() if entry["image_reasoning"]]
        self.asked: dict[str, dict[str, Any]] = {name_questions(each): each for each in asked}
        # Those with a picture are asked as image_thinking's are, all others as text2image's.
        self.pictured = [name for name, given in self.asked.items() if given.get("image")]
        self.questions = [name for name in self.asked if name not in self.pictured]
        # How many rows of each are drawn for the teacher of pictures.
        self.quotas = read_quotas(config["image_reasoning"], [*self.sampled, *self.pictured])
        # The sources of the files that rows name: no entry can be called so.
        given = self.entries | self.asked
        self.pictures = {name: f"{name}@pictures" for name in given if given[name].get("pictures")}
        self.stages = {f"stage{stage}": self.of(stage=stage) for stage in (1, 2, 3)}
        self.converted = [name for names in self.stages.values() for name in names]
        given = dict(zip(REASONED, (self.questions, self.sampled + self.pictured), strict=True))
        self.reasoned = [name for name in REASONED if given[name]]
        self.stages["stage3"] += self.reasoned
        self.artifacts = [*self.converted, *self.reasoned]
        check_questions(asked, self.artifacts)

    def path_of(self, name: str) -> str:
        """An artifact's file, or its folder where it is sharded; `{name}` gives the pattern of all."""
        return f"data/{name}" if self.sharded else f"data/{name}.parquet"

    def other_form_of(self, name: str) -> str:
        """Where an artifact would be if `output.shard_bytes` asked for the other form."""
        return f"data/{name}.parquet" if self.sharded else f"data/{name}"

    def refuse_other_form(self, name: str) -> NoReturn:
        """Fail for an artifact that is named in the form which `output.shard_bytes` does not ask for."""
        why = "is set" if self.sharded else "is null"
        fail(f"output.shard_bytes {why}: name {self.path_of(name)} in place of {self.other_form_of(name)}")

    def of(self, **key: Any) -> list[str]:
        """The converted artifacts whose entry has this value of a key: `of(form="ocr")`."""
        return [name for name, entry in self.entries.items() if key.items() <= entry.items()]

    def sources_of(self, name: str) -> list[str]:
        """The sources that an artifact's manifest lists."""
        if name == "text2image":
            return list(self.questions)
        named = [*self.sampled, *self.pictured] if name == "image_thinking" else [name]
        return [*named, *(self.pictures[each] for each in named if each in self.pictures)]


def read_quotas(task: dict[str, Any], names: list[str]) -> dict[str, int]:
    """How many rows are drawn of each artifact, or source of questions about pictures, by name."""
    given = {name: rows for name, rows in task["quotas"].items() if rows is not None}
    for name in given:
        if not names:
            fail("image_reasoning.quotas: no pictures are reasoned over; leave it out")
        if name not in names:
            ends_so = [each for each in names if each.endswith(f"/{name}")]
            close = ", ".join(ends_so or closest_first(name, names)[:3])
            fail(f"image_reasoning.quotas: no pictures are drawn from {name!r}; write a name whole: {close}")
    return {name: given.get(name, task["samples_per_config"]) for name in names}


def cut_batches(rows: dict[str, int], size: int) -> dict[str, list[str]]:
    """Names in order, as many a batch as `size` has room for their rows, and at least one.

    They are by the batch's number in five digits.
    """
    batches: list[list[str]] = []
    room = -1
    for name, count in rows.items():
        room -= count
        if room < 0:
            batches.append([])
            room = size - count
        batches[-1].append(name)
    return {f"{number:05d}": names for number, names in enumerate(batches)}


def one_of(names: Iterable[str]) -> str:
    """A wildcard constraint that admits exactly these names; short, since every path is matched by it."""
    folders: dict[str, list[str]] = {}
    for name in names:
        folder, slash, last = name.rpartition("/")
        folders.setdefault(folder + slash, []).append(re.escape(last))
    found = [f"{re.escape(folder)}(?:{'|'.join(lasts)})" for folder, lasts in folders.items()]
    return "|".join(found) or "(?!)"


def count_artifacts(count: int) -> str:
    return f"{count} artifact{'s' * (count != 1)}"


def target_lines(names: Names, servers: dict[str, Any]) -> list[str]:
    """A line for each target: stages, artifacts, servers, and what shows without building."""
    targets = {
        "all": "everything",
        **{stage: count_artifacts(len(artifacts)) for stage, artifacts in names.stages.items()},
        "plan": "what a run will fetch, write and ask",
        "publish_built": "manifest, card and report of the artifacts that stand",
        "count_duplicates": "how many rows of stages 1 and 2 repeat others",
        "judge_calibration": "how often the judge errs, on planted answers",
        "verify": "whether every artifact is whole, by reading all again",
        "refresh": "what branches name now",
        **{names.path_of(name): stage for stage, artifacts in names.stages.items() for name in artifacts},
        "probe": "every server that is asked",
        **{f"{does}_{name}": servers[name]["model"] for does in ("probe", "serve") for name in servers},
    }
    return [f"{target:<72} {what}" for target, what in targets.items()]
