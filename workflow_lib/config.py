"""Config validation: the JSON schema and its defaults, paths, and choices that must fit together."""

import math
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
from snakemake.utils import update_config

from workflow_lib.config_error import explain, fail, place_of, say_allowed, show
from workflow_lib.config_files import WrittenConfig, read_config_files, read_own
from workflow_lib.evaluation import check_evaluation
from workflow_lib.fonts import check_families
from workflow_lib.teachers import (
    OWN_KEYS,
    askers_of,
    list_entries,
    resolve_pass_rate,
    resolve_teachers,
    teachers_of,
)

TASKS = ("text_reasoning", "image_reasoning")
ROLES = ("teacher", "judge")
PATH_KEYS = (
    ("hub", "mirror"),
    ("text_reasoning", "judge_prompt"),
    ("image_reasoning", "judge_prompt"),
    ("render", "fonts"),
    ("decontaminate", "questions"),
    ("decontaminate", "pictures"),
)
"""The config keys that hold a path, or a list of paths; each server's `conda_env` is another."""
FOLDERS = ("raw", "data", "data/rejects", "data/manifest", "work", "work/publish", "logs")
"""The folders of a run that rules write into."""
DEEPEST = 32
"""How deep lists and mappings may be nested; a YAML alias may lead back to what holds it."""


def read_config(base: Path, files: Iterable[Path]) -> dict[str, Any]:
    """The checked config of the checkout at `base`, with `files` merged over it, as Snakemake reads it."""
    config, written = merge_files(base, files)
    check_schema(config, read_own(base / "config.schema.yaml"))
    check_switched_off(config, written)
    resolve_paths(config, base, written)
    check_choices(config)
    return config


def merge_files(base: Path, files: Iterable[Path]) -> tuple[dict[str, Any], list[WrittenConfig]]:
    """The config of the checkout with `files` merged over it, before it is checked; and what each gives."""
    files = list(files)
    for file in files:
        if not file.is_file():
            fail(f"no file {file}; --configfile or CONFIG= names one that stands")
    written = read_config_files(base, files)
    config: dict[str, Any] = {}
    for file, given in written:
        if not isinstance(given, dict):
            fail(f"{file} has no keys")
        update_config(config, given)
    check_values(config)
    return config, written


def check_folders(base: Path) -> None:
    """Fail where Snakemake cannot work: braces in the checkout's path, or a file in a folder's place."""
    if set("{}") & set(str(base)):
        fail(f"the path of this checkout, {base}, has braces, which Snakemake reads as wildcards; move it")
    for folder in FOLDERS:
        if os.path.lexists(folder) and not os.path.isdir(folder):
            fail(f"{Path(folder).absolute()} is not a folder, and the build writes into it; move it away")


def check_run_folder() -> None:
    """Fail where Snakemake cannot have its own folder: it would end in a traceback before any hook."""
    if not os.access(os.curdir, os.W_OK) and not os.access(".snakemake", os.W_OK):
        fail(f"{Path.cwd()} cannot be written; name another folder by --directory, or mend that")


def check_schema(config: dict[str, Any], schema: dict[str, Any]) -> None:
    """Validate the config against its schema, and fill in place what the schema has defaults for.

    A sampling parameter that is null is left out: files are merged, and a later one cannot remove a key.
    """
    types = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"integer": lambda _, value: is_integer(value), "number": lambda _, value: is_number(value)}
    )
    checker = jsonschema.validators.extend(
        jsonschema.Draft202012Validator, {"pattern": check_pattern}, type_checker=types
    )
    if error := jsonschema.exceptions.best_match(checker(schema).iter_errors(config)):
        fail(explain(error))
    server = schema["$defs"]["server"]["properties"]
    defaults = {key: value["default"] for key, value in server.items() if "default" in value}
    config["servers"] = {name: defaults | given for name, given in config["servers"].items()}
    for key, task in ((key, config[key]) for key in TASKS):
        check_teachers(key, task)
        if task["pass_rate"] and task["pass_rate"][0] > task["pass_rate"][1]:
            fail(f"{key}.pass_rate: the lowest share stands first, and no answer has one in this range")
        resolve_pass_rate(task)
        resolve_teachers(task)
        resolve_judge(task)
        if task.get("blind_check") == "off":  # which YAML reads as false where it has no quotes
            task["blind_check"] = False
        for own in filter(None, (task, *task.get("teachers", {}).values(), task["pass_rate_server"])):
            for kind, given in own["sampling"].items():
                own["sampling"][kind] = {name: value for name, value in given.items() if value is not None}


def check_teachers(key: str, task: dict[str, Any]) -> None:
    """Fail where the servers that answer a task (`key` in the config) do not fit together."""
    entries = list_entries(task.get("teachers", []))
    teachers = [entry["server"] for entry in entries] or [task["teacher"]]
    if len(set(teachers)) < len(teachers):
        fail(f"{key}.teachers: a server is named twice")
    rated = list_entries([task["pass_rate_server"]] if task["pass_rate_server"] else [])
    for entry in rated:
        if entry["server"] in teachers:
            fail(f"{key}.pass_rate_server: {entry['server']} is a teacher, whose pass rate null counts")
    for name, listed in (("teachers", entries), ("pass_rate_server", rated)):
        kinds = (kind for entry in listed for own in OWN_KEYS[1:] for kind in entry.get(own, {}))
        if any(kind not in task["sampling"] for kind in kinds):
            fail(f"{key}.{name}: {key} has no mode no_thinking")


def resolve_judge(task: dict[str, Any]) -> None:
    """Bring a task's `judge` into one form, in place: `judge`, its server, and `judge_…` for the rest."""
    judge = task["judge"]
    given = judge if isinstance(judge, dict) else {"server": judge}
    told = {"judge_when": given.get("when", "always"), "judge_votes": given.get("votes", 1)}
    task |= {"judge": given["server"]} | told


def is_integer(value: Any) -> bool:
    """Whether a value is an integer of 64 bits; JSON Schema takes 42.0 for one, and the programs do not."""
    return type(value) is int and -(2**63) <= value < 2**63


def is_number(value: Any) -> bool:
    """Whether a value is a finite number; comparisons with `.nan` would all pass or fail."""
    return is_integer(value) or (isinstance(value, float) and math.isfinite(value))


def check_pattern(
    _validator: Any, pattern: str, value: Any, _schema: Any
) -> Iterator[jsonschema.ValidationError]:
    """Yield an error for a text that a pattern does not match.

    `$` is the end, as JSON Schema has it; in Python it is also the place before a last line break.
    """
    if isinstance(value, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), value):
        yield jsonschema.ValidationError(f"{value!r} does not match {pattern!r}")


def check_values(value: Any, path: tuple[str | int, ...] = ()) -> None:
    """Fail for a key that is no text, and a value that JSON has not: programs are given settings as JSON."""
    place = place_of(path)
    if len(path) > DEEPEST:
        fail(f"{place_of(path[:3])}: lists and mappings are nested more than {DEEPEST} deep")
    if isinstance(value, dict):
        for key, each in value.items():
            if not isinstance(key, str):
                fail(f"{place}: the key {show(key)} is not a text; put it in quotes")
            check_text(f"{place}: the key {show(key)}", key)
            check_values(each, (*path, key))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            check_values(each, (*path, number))
    elif isinstance(value, str):
        check_text(place, value)
    elif isinstance(value, float):
        if not math.isfinite(value):
            fail(f"{place}: {value} is not a finite number")
    elif value is not None and not isinstance(value, int):
        fail(f"{place}: {value} is read as a {type(value).__name__}; put it in quotes")


def check_text(what: str, text: str) -> None:
    """Fail for a text that no file, command or request can hold."""
    if "\0" in text:
        fail(f"{what}: has a NUL character")
    if not text.isascii() and re.search("[\ud800-\udfff]", text):
        fail(f"{what}: has half a surrogate pair, which is no UTF-8")


def check_switched_off(config: dict[str, Any], written: list[WrittenConfig]) -> None:
    """Fail for a source that is null and that no config file describes: its name is misspelled."""
    known = [name for _, given in written for name in sources_given(given)]
    for name, entry in config["sources"].items():
        if entry is None and name not in known:
            left = say_allowed(name, known)
            fail(f"{place_of(['sources', name])}: is null, and there is no such source to leave out; {left}")


def sources_given(given: Any) -> list[str]:
    """The sources that a config file describes."""
    named = value_of(given, ["sources"])
    return [name for name, entry in named.items() if entry] if isinstance(named, dict) else []


def check_choices(config: dict[str, Any]) -> None:
    """Fail where values that the schema allows do not fit together."""
    servers = config["servers"]
    for task in TASKS:
        for role in ROLES:
            if config[task][role] not in servers:
                fail(f"{task}.{role}: no server {config[task][role]!r} under servers ({', '.join(servers)})")
        for name, own in askers_of(config, task).items():
            if name not in servers:
                key = "teachers" if name in teachers_of(config, task) else "pass_rate_server"
                fail(f"{task}.{key}: no server {name!r} under servers ({', '.join(servers)})")
            check_form(f"{task}.form", own["form"])
    if endpoint := config["hub"]["endpoint"]:
        check_url("hub.endpoint", endpoint, "HF_TOKEN")
    if config["render"]["min_font_px"] > config["render"]["max_font_px"]:
        fail("render.min_font_px: is more than render.max_font_px")
    for kind in ("faces", "chinese_faces", "layouts"):
        if not any(config["render"]["looks"][kind].values()):
            fail(f"render.looks.{kind}: every weight is 0, and a page has one of them")
    check_families(config["render"])
    check_evaluation(config)
    for name, server in servers.items():
        if server["mode"] == "external" and not server["base_urls"]:
            fail(f"servers.{name}.base_urls: is empty, and an external server has an address")
        if server["replicas"] > 1 and server["mode"] != "managed":
            fail(f"servers.{name}.replicas: only managed servers have some")
        for url in server["base_urls"]:
            check_url(f"servers.{name}.base_urls", url)
        if len({url.rstrip("/") for url in server["base_urls"]}) < len(server["base_urls"]):
            fail(f"servers.{name}.base_urls: an address is there twice")


def check_form(key: str, form: str | dict[str, Any]) -> None:
    """Fail where a form of the user's own is no pattern, or lacks a group."""
    if not isinstance(form, dict):
        return
    try:
        groups = re.compile(form["pattern"]).groupindex
    except re.error as error:
        fail(f"{key}.pattern: is no regular expression: {error}")
    if missing := {"thought", "text"} - groups.keys():
        fail(f"{key}.pattern: has no group {', '.join(sorted(missing))}, such as (?P<thought>.*?)")


def check_url(key: str, url: str, instead: str = "api_key_env") -> None:
    """Fail where a server's address is not a URL, or holds a password, which logs would show.

    `instead` is where a key belongs.
    """
    if "@" in url:
        fail(f"{key}: an address has a name or password in it; see {instead}")
    try:
        parts = urlsplit(url)
        if not parts.hostname or parts.port == 0 or re.search(r"\s", url):
            raise ValueError("no host")
    except ValueError as error:
        fail(f"{key}: {url} is no address ({error})")


def resolve_paths(config: dict[str, Any], base: Path, written: list[WrittenConfig]) -> None:
    """Make each path in the config absolute, in place.

    A path is relative to the folder of the last config file that sets it; `base`, the checkout, is the folder
    of the first.
    """
    named = [(file.absolute().parent, given) for file, given in written]
    for keys in [*PATH_KEYS, *(("servers", name, "conda_env") for name in config["servers"])]:
        folder = [base, *(folder for folder, given in named if value_of(given, keys) is not None)][-1]
        holder, value = value_of(config, keys[:-1]), value_of(config, keys)
        if isinstance(value, list):
            holder[keys[-1]] = [os.path.normpath(folder / each) for each in value]
        elif value:
            holder[keys[-1]] = os.path.normpath(folder / value)


def value_of(node: Any, keys: Iterable[str]) -> Any:
    """The value of a nested key; None where a config file does not give it."""
    for key in keys:
        node = node.get(key) if isinstance(node, dict) else None
    return node
