"""Config validation: the JSON schema and its defaults, paths, and choices that must fit together."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import jsonschema
import yaml
from snakemake.common.configfile import load_configfile
from snakemake.exceptions import WorkflowError
from snakemake.utils import update_config

TASKS = ("text_reasoning", "image_reasoning")
ROLES = ("teacher", "judge")
PATH_KEYS = (
    ("hub", "mirror"),
    ("text_reasoning", "judge_prompt"),
    ("image_reasoning", "judge_prompt"),
    ("render", "fonts"),
)
"""The config keys that hold a path, or a list of paths; each server's `conda_env` is another."""
FOLDERS = ("raw", "data", "data/rejects", "data/manifest", "work", "work/publish", "logs")
"""The folders of a run that rules write into."""


def fail(line: str) -> NoReturn:
    """Stop before anything runs, with one line that says what, where, and what to do."""
    raise WorkflowError(f"config: {line}")


def read_config(base: Path, files: Iterable[Path]) -> dict[str, Any]:
    """The checked config of the checkout at `base`, with `files` merged over it, as Snakemake reads it."""
    files = list(files)
    config: dict[str, Any] = {}
    for file in (base / "config.yaml", *files):
        if not file.is_file():
            fail(f"no file {file}")
        update_config(config, load_configfile(file))
    check_schema(config, yaml.safe_load((base / "config.schema.yaml").read_text(encoding="utf-8")))
    resolve_paths(config, base, files)
    check_choices(config)
    return config


def check_folders(base: Path) -> None:
    """Fail where Snakemake cannot work: braces in the checkout's path, or a file in a folder's place."""
    if set("{}") & set(str(base)):
        fail(f"the path of this checkout, {base}, has braces, which Snakemake reads as wildcards; move it")
    for folder in FOLDERS:
        if os.path.lexists(folder) and not os.path.isdir(folder):
            fail(f"{Path(folder).absolute()} is not a folder, and the build writes into it; move it away")


def check_schema(config: dict[str, Any], schema: dict[str, Any]) -> None:
    """Validate the config against its schema, and fill in place what the schema has defaults for."""
    # JSON Schema takes 42.0 for an integer; the programs do not.
    types = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: type(value) is int
    )
    checker = jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=types)
    found = checker(schema).iter_errors(config)
    if error := jsonschema.exceptions.best_match(found):
        place = ".".join(map(str, error.absolute_path)) or "top level"
        if place.endswith(".api_key_env"):  # it may hold the key itself, which must not be shown
            fail(f"{place}: is no name of a variable; put the key into a variable, and its name here")
        fail(f"{place}: {error.message}")
    server = schema["$defs"]["server"]["properties"]
    defaults = {key: value["default"] for key, value in server.items() if "default" in value}
    config["servers"] = {name: defaults | given for name, given in config["servers"].items()}


def check_choices(config: dict[str, Any]) -> None:
    """Fail where values that the schema allows do not fit together."""
    servers = config["servers"]
    for task in TASKS:
        for role in ROLES:
            if config[task][role] not in servers:
                fail(f"{task}.{role}: no server {config[task][role]!r} under servers ({', '.join(servers)})")
        check_form(f"{task}.form", config[task]["form"])
    if config["render"]["min_font_px"] > config["render"]["max_font_px"]:
        fail("render.min_font_px: is more than render.max_font_px")
    for name, server in servers.items():
        if server["replicas"] > 1 and server["mode"] != "managed":
            fail(f"servers.{name}.replicas: only managed servers have some")
        for url in server["base_urls"]:
            check_url(f"servers.{name}.base_urls", url)


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


def check_url(key: str, url: str) -> None:
    """Fail where a server's address is not a URL, or holds a password, which logs would show."""
    if "@" in url:
        fail(f"{key}: an address has a name or password in it; see api_key_env")
    try:
        parts = urlsplit(url)
        if not parts.hostname or parts.port == 0 or re.search(r"\s", url):
            raise ValueError("no host")
    except ValueError as error:
        fail(f"{key}: {url} is no address ({error})")


def resolve_paths(config: dict[str, Any], base: Path, files: Iterable[str | Path]) -> None:
    """Make each path in the config absolute, in place.

    A path is relative to the folder of the last config file that sets it; `base`, the checkout, is the folder
    of the first.
    """
    own = base / "config.yaml"
    named = [
        (file.parent, yaml.safe_load(file.read_text(encoding="utf-8")))
        for file in [own, *(Path(file) for file in files if Path(file) != own)]
        if file.is_file()
    ]
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
