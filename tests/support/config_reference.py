"""The config reference, docs/config.md, generated from config.schema.yaml and the defaults of config.yaml.

config_reference.py > docs/config.md    (make reference)
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
INTRODUCTION = """\
# Config reference

Written by `make reference` from `config.schema.yaml` and `config.yaml`: change those, not this page.

A config of your own is merged over `config.yaml`: mappings key by key, lists replaced.
An unknown key, a missing one or a wrong value ends the run in one line before anything is done.
The comments in `config.yaml` say why each default is what it is.
`…` stands for a name of your choice, `[]` for each item of a list, `–` for a key that may be left out.
"""
HEADINGS = {
    "source": "A source (`sources.…`)",
    "server": "A server (`servers.…`)",
    "pictures": "Files of pictures (`pictures`)",
    "sampling": "Sampling parameters (`sampling`)",
    "request": "What requests carry (`request`)",
    "form": "A form of your own (`form`)",
    "judge": "A judge (`judge`)",
    "rules": "Comparison by rule (`rules`)",
    "teachers": "Several teachers (`teachers`)",
    "pass_rate_server": "A server for the pass rate (`pass_rate_server`)",
    "sampling_by_kind": "Sampling of one of several teachers",
    "request_by_kind": "Requests of one of several teachers",
}
"""The definitions with keys of their own, in the order of their sections."""
LONGEST_DEFAULT = 60
"""Characters of a default that stands in a table."""

REQUIRED, ABSENT = object(), object()
"""In a default's place: the key must be there, or may be left out and then has no value."""

Schema = dict[str, Any]


def format_reference(schema: Schema, config: dict[str, Any]) -> str:
    """The page: a table of the keys of each part of the config, with what each may hold and its default."""
    parts = [INTRODUCTION]
    alone = []
    for key, given in schema["properties"].items():
        if "properties" in given:
            parts += _format_section(f"`{key}`", given, schema, config[key], f"{key}.")
        else:
            alone.append((key, given))
    table = [_format_row(key, given, schema, config[key]) for key, given in alone]
    parts.insert(1, "\n".join(["## Keys without a section", "", *_heading(), *table, ""]))
    for name, heading in HEADINGS.items():
        parts += _format_section(heading, schema["$defs"][name], schema, None, "")
    return "\n".join(parts)


def _format_section(title: str, given: Schema, schema: Schema, default: Any, prefix: str) -> list[str]:
    rows = [_format_row(*row) for row in _list_keys(given, schema, default, prefix)]
    return ["\n".join([f"## {title}", "", f"{_sentence(given['description'])}.", "", *_heading(), *rows, ""])]


def _list_keys(
    given: Schema, schema: Schema, default: Any, prefix: str
) -> Iterator[tuple[str, Schema, Schema, Any]]:
    """The keys of an object or of a list of objects, and of the objects in it that are no definition."""
    for part in _objects(given):
        required = set(part.get("required", ()))
        for key, value in part["properties"].items():
            own = default.get(key, ABSENT) if isinstance(default, dict) else ABSENT
            if own is ABSENT:
                own = _resolve(value, schema).get("default", REQUIRED if key in required else ABSENT)
            yield f"{prefix}{key}", value, schema, own
            if "$ref" not in value and "properties" in value:
                yield from _list_keys(value, schema, own, f"{prefix}{key}.")
            elif "$ref" not in value and "properties" in value.get("items", {}):
                yield from _list_keys(value["items"], schema, None, f"{prefix}{key}[].")


def _objects(given: Schema) -> Iterator[Schema]:
    """The objects that a value may be: itself, an item, or a branch of it."""
    if "properties" in given:
        yield given
    for branch in (given.get("items"), given.get("then"), given.get("else"), *given.get("oneOf", ())):
        if isinstance(branch, dict):
            yield from _objects(branch)


def _resolve(given: Schema, schema: Schema) -> Schema:
    """The definition that a value names, with what the value says itself."""
    name = given.get("$ref", "").rpartition("/")[2]
    return schema["$defs"][name] | given if name else given


def _heading() -> list[str]:
    return ["| key | what it is | may hold | default |", "| --- | --- | --- | --- |"]


def _format_row(key: str, given: Schema, schema: Schema, default: Any) -> str:
    name = given.get("$ref", "").rpartition("/")[2]
    full = _resolve(given, schema)
    words = re.sub(r"([<*])", r"\\\1", _sentence(full["description"]))
    if name in HEADINGS:
        words += f" ([keys](#{_anchor(HEADINGS[name])}))"
    if default is False and "off" in full.get("enum", ()):
        default = "off"  # which YAML reads as false
    cells = [f"`{key}`", words, _format_type(full, schema), _format_default(default)]
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _format_type(given: Schema, schema: Schema) -> str:
    """What a value may be, in words."""
    given = _resolve(given, schema)
    if "enum" in given:
        # YAML reads a bare off as false.
        return ", ".join(f"`{value}`" for value in given["enum"] if value is not False)
    if "const" in given:
        return f"`{given['const']}`"
    if "oneOf" in given:
        return " or ".join(dict.fromkeys(_format_type(branch, schema) for branch in given["oneOf"]))
    kinds = given.get("type", "string")
    words = [_format_kind(kind, given, schema) for kind in ([kinds] if isinstance(kinds, str) else kinds)]
    return " or ".join(dict.fromkeys(words))


def _format_kind(kind: str, given: Schema, schema: Schema) -> str:
    if kind == "array":
        return f"list of {_format_type(given['items'], schema)}" if "items" in given else "list"
    if kind == "object":
        return "mapping"
    if kind not in ("integer", "number"):
        return {"null": "`null`", "string": "text", "boolean": "`true`, `false`"}[kind]
    bounds = [
        f"{sign} {given[key]}"
        for key, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"))
        if key in given
    ]
    return " ".join([kind, ", ".join(bounds)]).strip()


def _format_default(default: Any) -> str:
    if default is REQUIRED or default is ABSENT:
        return "required" if default is REQUIRED else "–"
    text = json.dumps(default, ensure_ascii=False)
    if isinstance(default, dict) and default and len(text) > LONGEST_DEFAULT:
        return "its keys"
    return f"`{text}`" if len(text) <= LONGEST_DEFAULT else "`config.yaml`"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] if re.match(r"[a-z]+ ", text) else text


def _anchor(heading: str) -> str:
    """The anchor that Markdown gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def read_yaml(name: str) -> dict[str, Any]:
    """A YAML file of the checkout."""
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


if __name__ == "__main__":
    print(format_reference(read_yaml("config.schema.yaml"), read_yaml("config.yaml")), end="")
