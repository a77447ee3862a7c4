"""Config normalisation: each converted source as one entry with all its keys."""

import re
from collections.abc import Collection, Iterable
from pathlib import PurePosixPath
from typing import Any

from workflow_lib.config_error import fail, place_of, say_allowed

Entry = dict[str, Any]
"""A source as `sources` in the config describes it, with the defaults of its form."""

REASONED = ("text2image", "image_thinking")
"""What servers help to make: of `text_reasoning.sources`, and of the entries with `image_reasoning`."""
"""The artifacts that teachers answer."""

TAKEN = {
    *("manifest", "rejects", "manifest.json", "dataset_info.json", "legibility.json", "report.html"),
    *("calibration.json", "duplicates.json"),
    *("readme.md", "dataset_card.md", "llamafactory"),
}
"""What stands in data/ beside artifacts, in small letters."""

NAME_CHARACTERS, PART_BYTES = 200, 100
"""The longest name of an artifact, and of a folder or file in it: programs write `.NAME.….part` beside it."""

DEFAULTS = {
    "files": ["data/train-*.parquet"],
    "pictures": None,
    "max_samples": None,
    "max_pixels": None,
    "image_reasoning": False,
    "licence": None,
    "note": None,
}
"""The keys of every form that may be left out."""

SHARED = {"image": "image", "id": None}
"""The columns of every form; one that is None is not read."""

FORMS: dict[str, dict[str, Any]] = {
    "llava": {"columns": SHARED | {"id": "id", "turns": "conversations"}, "missing_tag": "prepend"},
    "messages": {"columns": SHARED | {"turns": "messages"}, "missing_tag": "prepend"},
    "caption": {"columns": SHARED | {"text": "text"}, "prompts": None},
    "qa": {
        "columns": SHARED | {"question": "question", "answer": "answer", "choices": None, "rationale": None},
        "answer_by": "text",
    },
    "ocr": {"columns": SHARED | {"text": "text"}, "prompts": None, "json_path": []},
}
"""The keys of each form beside those of every source, with their defaults; `prompts` must be given."""

CONTAINERS = (".parquet", ".tar", ".jsonl", ".ndjson", ".json")
"""The endings of files of rows; those of JSON come last."""

UNREADABLE = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".7z", ".rar")
"""The endings of archives that cannot be read without unpacking."""

OPTIONAL = ("id", "choices", "rationale")
"""The columns that a source need not have."""


def read_entries(config: dict[str, Any]) -> dict[str, Entry]:
    """The entries of all converted artifacts by name, in order; an error names the entry and the key."""
    found = {name: complete(given, f"sources.{name}") for name, given in config["sources"].items() if given}
    found |= expand_onevision(config, found)
    check_names(found, sharded=config["output"]["shard_bytes"] is not None)
    for name, entry in found.items():
        files = [PurePosixPath(file) for file in entry["files"]]
        places = {(file.parent, file.suffix) for file in files}
        if entry["image_reasoning"] and (len(places) > 1 or re.search(r"[*?[]", str(files[0].parent))):
            fail(f"sources.{name}.image_reasoning: its files must be in one folder, and of one kind")
    return found


def check_name(name: str, where: str) -> None:
    """Fail where a name cannot be that of files, on any file system, or stands for something else."""
    if any(len(part.encode()) > PART_BYTES for part in name.split("/")) or len(name) > NAME_CHARACTERS:
        fail(
            f"{where}: the name is too long for files: at most {NAME_CHARACTERS} characters,"
            f" and {PART_BYTES} bytes between slashes"
        )
    parts = name.casefold().split("/")
    if parts[-1] in REASONED or parts[0] in TAKEN:
        fail(f"{where}: this name is taken; choose another")


def check_names(names: Collection[str], sharded: bool) -> None:
    """Fail where an artifact's name cannot be that of its files, or is another's."""
    known: dict[str, str] = {}
    for name in names:
        where = place_of(["sources", name])
        check_name(name, where)
        if (other := known.setdefault(name.casefold().rpartition("/")[2], name)) != name:
            fail(
                f"{where}: the last part of its name is that of {other}, if case does not count,"
                " and training knows both by it"
            )
        for folder in map(str, PurePosixPath(name).parents) if sharded else ():
            if folder in names:
                fail(f"{where}: output.shard_bytes makes {folder} a folder of files; rename one of the two")


def expand_onevision(config: dict[str, Any], others: dict[str, Entry]) -> dict[str, Entry]:
    """An entry for each config of `onevision`, all of one repository."""
    given = config["onevision"]
    if not given:
        return {}
    shared = {key: value for key, value in given.items() if key != "configs"}
    found: dict[str, Entry] = {}
    for name in given["configs"]:
        own = {"files": [f"{name}/train-*.parquet"], "missing_tag": missing_tag(name)}
        fixed = {"stage": 2, "form": "llava", "image_reasoning": True}
        artifact = artifact_of(name)
        if artifact in found:
            fail("onevision.configs: two of them give the same artifact name; leave one out")
        if artifact in others:
            fail(f"onevision.configs: {name} is under sources too, as {artifact}; leave one out")
        found[artifact] = complete(fixed | shared | own, "onevision")
    return found


def complete(given: Entry, where: str) -> Entry:
    """An entry with the defaults of its form; fails where it has a key or a column that the form has not."""
    form = FORMS[given["form"]]
    allowed = {"repo", "revision", "stage", "form", *DEFAULTS, *form}
    for key in given:
        if key not in allowed:
            left = say_allowed(key, sorted(allowed))
            fail(f"{where}.{key}: the form {given['form']} has no such key; {left}")
    for role, column in (given.get("columns") or {}).items():
        if role not in form["columns"]:
            fail(f"{where}.columns.{role}: the form {given['form']} has {', '.join(form['columns'])}")
        if column is None and role not in OPTIONAL:
            fail(f"{where}.columns.{role}: is null, and the form {given['form']} needs it")
    entry = DEFAULTS | form | given | {"columns": form["columns"] | (given.get("columns") or {})}
    check_containers(entry, where)
    if "prompts" in form and not entry["prompts"]:
        fail(f"{where}.prompts: the form {given['form']} needs one at least")
    if entry.get("answer_by") in ("letter", "index") and entry["columns"]["choices"] is None:
        fail(f"{where}.answer_by: names a choice, and columns.choices names no column of choices")
    return entry


def name_questions(given: dict[str, Any]) -> str:
    """The name of a source of questions: its own, or else the last part of its repo."""
    return given.get("name") or PurePosixPath(given["repo"]).name


def check_questions(asked: list[dict[str, Any]], artifacts: Iterable[str]) -> None:
    """Fail where a source of questions has keys that need another one, or a name that is not its alone."""
    names = [name.casefold() for name in [*map(name_questions, asked), *artifacts]]
    for number, given in enumerate(asked):
        where, name = f"text_reasoning.sources.{number}", name_questions(given)
        if "name" in given:
            check_name(name, f"{where}.name")
        if names.count(name.casefold()) > 1:
            fail(
                f"{where}: another source or artifact has the name {name}, if case does not count; set `name`"
            )
        if given.get("answer_by") in ("letter", "index") and not given.get("choices"):
            fail(f"{where}.answer_by: names a choice, and `choices` names no column of choices")
        if given.get("pictures") and not given.get("image"):
            fail(f"{where}.pictures: holds pictures, and `image` names no column of their names")


def check_containers(entry: Entry, where: str) -> None:
    """Fail where rows name no files of pictures and cannot hold any, or files cannot be read in place."""
    json = [file for file in entry["files"] if PurePosixPath(file).suffix in CONTAINERS[2:]]
    if json and not entry["pictures"]:
        fail(f"{where}.pictures: JSON holds no pictures; name the files in which {json[0]} has them")
    for file in (entry["pictures"] or {}).get("files", []):
        if file.endswith(UNREADABLE):
            fail(f"{where}.pictures.files: {file} cannot be read in place; zip and tar can")


def form_of(entry: Entry) -> dict[str, Any]:
    """What a converting program is told of an entry: its columns, and the other keys of its form."""
    columns = {role: column for role, column in entry["columns"].items() if column is not None}
    own = {key: entry[key] for key in FORMS[entry["form"]] if key != "columns"}
    return own | {"columns": columns}


def content_of(entry: Entry) -> Entry:
    """What of an entry decides the artifact's rows."""
    return {key: value for key, value in entry.items() if key not in ("stage", "licence", "note")}


def artifact_of(onevision_config: str) -> str:
    """A OneVision config's artifact: `ai2d(cauldron,llava_format)` is …/ai2d_cauldron_llava_format."""
    name = re.sub(r"[(), -]", "_", onevision_config).rstrip("_")
    return f"llavaonevision_converted/{name}"


def missing_tag(onevision_config: str) -> str:
    """What to do with a first turn without `<image>`: put one in front where the source leaves it out."""
    repaired = ("cauldron", "llava_format")
    return "prepend" if any(word in onevision_config for word in repaired) else "reject"
