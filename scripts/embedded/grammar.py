"""What the model may write, as grammars in llama.cpp's GBNF.

A model of 135 million parameters holds no form by itself. So a grammar bounds what it writes: whole
sentences that end soon, in as many lines as the form has parts, or JSON that obeys a schema. The tags of
a form are put around the lines afterwards, which spares the model half of the tokens.
The notation: https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md
"""

import json
from dataclasses import dataclass
from typing import Any

# `<` is in no rule: so no text can hold a media tag or a stray think tag. A sentence that reaches its limit
# ends in " ...", which the model takes where it wants a next word; else it would glue words together.
# Digits, signs and wide characters take a token and more each, letters less: hence the different limits.
_LETTERS = r"A-Za-z'\u00C0-\u04FF"
_SIGNS = r"!-&(-+\--9=@\[-`{-~\u00A1-\u00BF\u2010-\u2027\u2030-\u205E\u2070-\u2BFF"
_WIDE = r"\u3041-\uD7FF\uF900-\uFAFF"
_TEXT = rf"""
sentence ::= latin | wide
latin ::= word (gap word){{2,12}} ([.!?] | " ...")
wide ::= [{_WIDE}] [、， 0-9A-Za-z{_WIDE}]{{2,15}} [。！？]
phrase ::= word (gap word){{0,3}} | [{_WIDE}]{{1,12}}
word ::= signs? letters ("-" letters)? signs? | signs
letters ::= [{_LETTERS}]{{1,14}}
signs ::= [{_SIGNS}]{{1,5}}
gap ::= [,;:]? " "
"""

_STRING = 80
"""Characters of a JSON string whose schema sets no limit, or a higher one."""
_ITEMS = 4
"""Items of a JSON array, likewise."""
_RANGE = 1000
"""The longest range of numbers that is spelled out."""
_GRAMMAR = 20_000
"""Characters of the longest grammar that is handed to the model."""


class UnsupportedSchema(ValueError):
    """A JSON schema that is not one of the simple ones that can be obeyed here."""


@dataclass(frozen=True)
class Form:
    """A grammar whose text is one or more lines, and the frame: what stands before, between, after them."""

    grammar: str
    frame: tuple[str, ...]

    def dress(self, text: str, finished: bool) -> str:
        """Put the frame around the lines; a text that was cut is left open where it ends."""
        lines = text.split("\n")
        dressed = "".join(before + line for before, line in zip(self.frame, lines, strict=False))
        return dressed + self.frame[-1] if finished else dressed


THINKING = Form(r'root ::= sentence "\n" sentence' + _TEXT, ("<think>", "</think>\n\n", ""))
"""Qwen3 thinks, then answers."""

NO_THINK = Form("root ::= sentence" + _TEXT, ("<think>\n\n</think>\n\n", ""))
"""Qwen3 after the soft switch ` /no_think`: the block stays and is empty."""

BOXED = Form(
    r'root ::= sentence "\n" sentence "\n" phrase' + _TEXT,
    ("<think>", "</think><answer>", " <|begin_of_box|>", "<|end_of_box|></answer>"),
)
"""GLM-4.1V-Thinking: thoughts, then an answer with its essence in a box."""


def schema_form(schema: Any) -> Form:
    """The form of JSON that obeys `schema`: objects, arrays, strings, numbers, booleans, null, enum, const.

    Every property is written, required or not, in the schema's order; strings are ASCII.
    Raises UnsupportedSchema, naming the place, for any keyword that could not be obeyed.
    """
    grammar = f"root ::= {_rule(schema, '$')}"
    if len(grammar) > _GRAMMAR:
        raise UnsupportedSchema("it is too large")
    try:
        grammar.encode()
    except UnicodeEncodeError:
        raise UnsupportedSchema("it holds half a surrogate pair") from None
    return Form(grammar, ("", ""))


def _rule(schema: Any, place: str) -> str:
    """The GBNF expression for one schema, safe to stand in a sequence."""
    if not isinstance(schema, dict):
        raise UnsupportedSchema(f"{place} is not an object")
    keys = set(schema) - {"title", "description", "default", "examples", "$schema", "$id", "$comment"}
    if "enum" in keys or "const" in keys:
        _only(keys, {"enum", "const", "type"}, place)
        values = [schema["const"]] if "const" in keys else schema["enum"]
        if not isinstance(values, list) or not values:
            raise UnsupportedSchema(f"{place}.enum is not a list of values")
        return _either(_literal(json.dumps(value, ensure_ascii=False)) for value in values)
    kind = schema.get("type")
    if kind == "object":
        _only(keys, {"type", "properties", "required", "additionalProperties"}, place)
        return _object(schema, place)
    if kind == "array":
        _only(keys, {"type", "items", "minItems", "maxItems"}, place)
        least, most = _bounds(schema, "minItems", "maxItems", _ITEMS, place)
        item = _rule(schema.get("items"), f"{place}.items")
        if most == 0:
            return '"[]"'
        some = f'"[" {item} (", " {item}){{{max(least - 1, 0)},{most - 1}}} "]"'
        return f"({some})" if least else f'({some} | "[]")'
    if kind == "string":
        _only(keys, {"type", "minLength", "maxLength"}, place)
        least, most = _bounds(schema, "minLength", "maxLength", _STRING, place)
        return rf'("\"" [ !#-;=-\[\]-~]{{{least},{most}}} "\"")'
    if kind in ("integer", "number"):
        _only(keys, {"type", "minimum", "maximum"}, place)
        return _number(schema, place)
    if kind in ("boolean", "null"):
        _only(keys, {"type"}, place)
        return '("true" | "false")' if kind == "boolean" else '"null"'
    raise UnsupportedSchema(f"{place}.type {json.dumps(kind)} is not one simple type")


def _object(schema: dict, place: str) -> str:
    properties = schema.get("properties", {})
    if not isinstance(properties, dict):
        raise UnsupportedSchema(f"{place}.properties is not an object")
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(
        isinstance(name, str) and name in properties for name in required
    ):
        raise UnsupportedSchema(f"{place}.required names what properties has not")
    members = (
        f"{_literal(json.dumps(name, ensure_ascii=False) + ': ')} {_rule(value, f'{place}.{name}')}"
        for name, value in properties.items()
    )
    return f'("{{" {""" ", " """.join(members)} "}}")'


def _number(schema: dict, place: str) -> str:
    """Any number of up to six digits, or, between two bounds, the whole numbers."""
    if "minimum" not in schema and "maximum" not in schema:
        fraction = ' ("." [0-9]{1,4})?' if schema["type"] == "number" else ""
        return f'("-"? ("0" | [1-9] [0-9]{{0,5}}){fraction})'
    least, most = schema.get("minimum"), schema.get("maximum")
    if not (_whole(least) and _whole(most) and 0 <= most - least <= _RANGE):
        raise UnsupportedSchema(f"{place} needs a whole minimum and maximum, at most {_RANGE} apart")
    return _either(f'"{value}"' for value in range(least, most + 1))


def _bounds(schema: dict, lower: str, upper: str, cap: int, place: str) -> tuple[int, int]:
    """The two limits of a length, the upper one no higher than `cap`."""
    least, most = schema.get(lower, 0), schema.get(upper, cap)
    if not (_whole(least) and _whole(most) and 0 <= least <= min(most, cap)):
        raise UnsupportedSchema(f"{place} has no length of at most {cap} between {lower} and {upper}")
    return least, min(most, cap)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _only(keys: set[str], known: set[str], place: str) -> None:
    if unknown := sorted(keys - known):
        raise UnsupportedSchema(f"{place} has {unknown[0]!r}, which is not supported")


def _either(expressions: Any) -> str:
    return f"({' | '.join(expressions)})"


def _literal(text: str) -> str:
    """A GBNF literal; `text` is JSON, so it holds no control characters."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
