"""Constrained decoding: GBNF grammars of the teachers' forms, and JSON schema to GBNF.

A model of 135 million parameters holds no form by itself. A grammar bounds it to short whole sentences, one
line for each part of the form, or to JSON that obeys a schema. The tags of a form are added afterwards, which
saves half of the tokens. llama.cpp's own conversions of schemas do not serve here. That of `json_schema`
hangs on contradictory lengths, and leaves the white space to the model. With llguidance's (the library's
`json_schema_to_grammar`) it answers without constraint, and without an error, where it does not understand a
schema.
The notation: https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md
"""

import json
from dataclasses import dataclass
from typing import Any

# No rule has `<`, so no text can hold a media tag or a stray think tag. A sentence that reaches its limit
# ends in " ..."; without it the model glues words together. The limits differ since digits, signs and wide
# characters take at least a token each, and letters less.
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

_MAX_STRING_CHARS = 80
"""The limit of a JSON string whose schema has none, or a higher one."""
_MAX_ITEMS = 4
"""The limit of a JSON array, likewise."""
_MAX_RANGE = 1000
"""The longest range of integers: each is spelled out."""
_MAX_GRAMMAR_CHARS = 20_000


class UnsupportedSchema(ValueError):
    """A JSON schema outside the supported subset."""


@dataclass(frozen=True)
class Form:
    """A grammar of one or more lines, and the frame: the text before, between and after them."""

    grammar: str
    frame: tuple[str, ...]

    def wrap_lines(self, text: str, finished: bool) -> str:
        """Put the frame around the lines. A truncated text stays open at its end."""
        lines = text.split("\n")
        dressed = "".join(before + line for before, line in zip(self.frame, lines, strict=False))
        return dressed + self.frame[-1] if finished else dressed


THINKING = Form(r'root ::= sentence "\n" sentence' + _TEXT, ("<think>", "</think>\n\n", ""))
"""Qwen3: a thought, then an answer."""

NO_THINK = Form("root ::= sentence" + _TEXT, ("<think>\n\n</think>\n\n", ""))
"""Qwen3 after the soft switch ` /no_think`: the block stays and is empty."""

BOXED = Form(
    r'root ::= sentence "\n" sentence "\n" phrase' + _TEXT,
    ("<think>", "</think><answer>", " <|begin_of_box|>", "<|end_of_box|></answer>"),
)
"""GLM-4.1V-Thinking: a thought, then an answer with a box."""


def build_schema_form(schema: Any) -> Form:
    """Build the form of JSON that obeys `schema`: object, array, string, number, boolean, null, enum, const.

    All properties are written, required or not, in the schema's order. Strings are ASCII. Raises
    UnsupportedSchema, which names the place, for any other keyword.
    """
    grammar = f"root ::= {_convert_schema(schema, '$')}"
    if len(grammar) > _MAX_GRAMMAR_CHARS:
        raise UnsupportedSchema("it is too large")
    try:
        grammar.encode()
    except UnicodeEncodeError:
        raise UnsupportedSchema("it holds half a surrogate pair") from None
    return Form(grammar, ("", ""))


def _convert_schema(schema: Any, place: str) -> str:
    """Convert one schema to a GBNF expression that can stand in a sequence."""
    if not isinstance(schema, dict):
        raise UnsupportedSchema(f"{place} is not an object")
    keys = set(schema) - {"title", "description", "default", "examples", "$schema", "$id", "$comment"}
    if "enum" in keys or "const" in keys:
        _check_keywords(keys, {"enum", "const", "type"}, place)
        values = [schema["const"]] if "const" in keys else schema["enum"]
        if not isinstance(values, list) or not values:
            raise UnsupportedSchema(f"{place}.enum is not a list of values")
        return _join_alternatives(_dump(_dump(value)) for value in values)
    kind = schema.get("type")
    if kind == "object":
        _check_keywords(keys, {"type", "properties", "required", "additionalProperties"}, place)
        return _convert_object(schema, place)
    if kind == "array":
        _check_keywords(keys, {"type", "items", "minItems", "maxItems"}, place)
        least, most = _read_bounds(schema, "minItems", "maxItems", _MAX_ITEMS, place)
        item = _convert_schema(schema.get("items"), f"{place}.items")
        if most == 0:
            return '"[]"'
        some = f'"[" {item} (", " {item}){{{max(least - 1, 0)},{most - 1}}} "]"'
        return f"({some})" if least else f'({some} | "[]")'
    if kind == "string":
        _check_keywords(keys, {"type", "minLength", "maxLength"}, place)
        least, most = _read_bounds(schema, "minLength", "maxLength", _MAX_STRING_CHARS, place)
        return rf'("\"" [ !#-;=-\[\]-~]{{{least},{most}}} "\"")'
    if kind in ("integer", "number"):
        _check_keywords(keys, {"type", "minimum", "maximum"}, place)
        return _convert_number(schema, place)
    if kind in ("boolean", "null"):
        _check_keywords(keys, {"type"}, place)
        return '("true" | "false")' if kind == "boolean" else '"null"'
    raise UnsupportedSchema(f"{place}.type {json.dumps(kind)} is not one simple type")


def _convert_object(schema: dict, place: str) -> str:
    properties = schema.get("properties", {})
    if not isinstance(properties, dict):
        raise UnsupportedSchema(f"{place}.properties is not an object")
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(
        isinstance(name, str) and name in properties for name in required
    ):
        raise UnsupportedSchema(f"{place}.required names what properties has not")
    members = (
        f"{_dump(_dump(name) + ': ')} {_convert_schema(value, f'{place}.{name}')}"
        for name, value in properties.items()
    )
    return f'("{{" {""" ", " """.join(members)} "}}")'


def _convert_number(schema: dict, place: str) -> str:
    """Convert a number: any of up to six digits, or the whole numbers between two bounds."""
    if "minimum" not in schema and "maximum" not in schema:
        fraction = ' ("." [0-9]{1,4})?' if schema["type"] == "number" else ""
        return f'("-"? ("0" | [1-9] [0-9]{{0,5}}){fraction})'
    least, most = schema.get("minimum"), schema.get("maximum")
    if not (type(least) is type(most) is int and 0 <= most - least <= _MAX_RANGE):
        raise UnsupportedSchema(f"{place} needs a whole minimum and maximum, at most {_MAX_RANGE} apart")
    return _join_alternatives(f'"{value}"' for value in range(least, most + 1))


def _read_bounds(schema: dict, lower: str, upper: str, cap: int, place: str) -> tuple[int, int]:
    """Read the two limits of a length, the upper one no higher than `cap`."""
    least, most = schema.get(lower, 0), schema.get(upper, cap)
    if not (type(least) is type(most) is int and 0 <= least <= min(most, cap)):
        raise UnsupportedSchema(f"{place} has no length of at most {cap} between {lower} and {upper}")
    return least, min(most, cap)


def _check_keywords(keys: set[str], known: set[str], place: str) -> None:
    if unknown := sorted(keys - known):
        raise UnsupportedSchema(f"{place} has {unknown[0]!r}, which is not supported")


def _join_alternatives(expressions: Any) -> str:
    return f"({' | '.join(expressions)})"


def _dump(value: Any) -> str:
    """Write JSON. JSON of a JSON text is its literal in GBNF: both escape quotes and backslashes alike."""
    return json.dumps(value, ensure_ascii=False)
