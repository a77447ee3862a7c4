"""Config errors: one line that names the key and says what is wrong there and what may stand there."""

import argparse
import contextlib
import difflib
import sys
from collections.abc import Iterable, Iterator
from typing import NoReturn

from jsonschema import ValidationError
from snakemake.exceptions import WorkflowError

SHOWN = 100
"""Characters of a wrong value that are shown."""


def fail(line: str) -> NoReturn:
    """Stop before anything runs, with one line that says what, where, and what to do."""
    printable = "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)
    raise WorkflowError(f"config: {printable}")


@contextlib.contextmanager
def exit_in_one_line() -> Iterator[None]:
    """End a program that make calls in one `error:` line, for a wrong config, flag or path."""
    try:
        yield
    except (WorkflowError, argparse.ArgumentError, OSError) as error:
        sys.exit(f"error: {error}")


def place_of(path: Iterable[str | int]) -> str:
    """A place in the config as its keys, joined by dots; long ones are cut."""
    return ".".join(cut(str(key)) for key in path) or "top level"


def closest_first(name: str, allowed: Iterable[str]) -> list[str]:
    """The words that may stand in a wrong one's place: those much like it, then the others in their order."""
    words = list(dict.fromkeys(allowed))
    close = difflib.get_close_matches(name, words)
    return [*close, *(word for word in words if word not in close)]


def say_allowed(name: str, allowed: Iterable[str]) -> str:
    """The words that may stand in a wrong one's place, as the rest of a line."""
    return f"allowed: {', '.join(closest_first(name, allowed))}"


def show(value: object) -> str:
    """A wrong value as Python spells it, cut where it is long."""
    return cut(repr(value))


def cut(said: str) -> str:
    """The first SHOWN characters."""
    return said if len(said) <= SHOWN else f"{said[:SHOWN]}…"


def explain(error: ValidationError) -> str:
    """The place of a schema error, what is wrong there, and what the schema allows."""
    path, value, rule = [*error.absolute_path], error.instance, error.validator
    if "propertyNames" in error.absolute_schema_path:
        path.append(value)
    place = place_of(path)
    message = error.message.replace(repr(value), show(value))
    # What may be a secret is not shown.
    if path[-1:] == ["api_key_env"]:
        return f"{place}: is no name of a variable; put the key into a variable, and its name here"
    if "base_urls" in path and "@" in str(value):
        return f"{place}: an address has a name or password in it; see api_key_env"
    if rule == "additionalProperties":
        allowed = error.schema["properties"]
        unknown = next(key for key in value if key not in allowed)
        return f"{place}: {message}; {say_allowed(unknown, allowed)}"
    if rule == "enum" and all(isinstance(word, str) for word in [value, *error.schema["enum"]]):
        words = closest_first(value, error.schema["enum"])
        return f"{place}: {show(value)} is not one of: {', '.join(words)}"
    if rule == "pattern" and "description" in error.schema:
        return f"{place}: {message} ({error.schema['description']})"
    if rule == "type":
        return f"{place}: {message}{advise_on_type(value, error.schema['type'])}"
    if rule == "not":
        return f"{place}: the build sets it, and it cannot be given here"
    return f"{place}: {message}"


def advise_on_type(value: object, wanted: str | list[str]) -> str:
    """What to do about a value of another type, as the rest of a line; empty where its type says enough."""
    if type(value) is int and wanted in ("integer", ["integer", "null"]):
        return ": it has more than 64 bits"
    if "string" in wanted and value is not None and not isinstance(value, dict | list):
        return "; put it in quotes"
    return ""
