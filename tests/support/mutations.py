"""Mutations of valid input for property tests: bytes flipped, cut or spliced, JSON values replaced.

Random bytes fail at the first check of a parser. What is valid but for a few places gets behind it.
"""

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

ODD_BYTES = (
    *(b"", b"\0", b"\xff", b"\n", b"\r", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b" "),
    *(
        b"\xff\xff\xff\x7f",
        b"\x00\x00\x00\x80",
        b"\xff" * 8,
        b"\xed\xa0\x80",
        b"\\ud800",
        b"\xc0\x80",
        b"null",
    ),
    *(
        b"NaN",
        b"1e999",
        b"-0",
        b"9" * 30,
        b"../",
        b"\x1b[2J",
        "\u202e\ufeff".encode(),
        b"PAR1",
        b"PK\x03\x04",
    ),
)
"""What a mutation writes over or between the bytes of an input."""

ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 2**31, 2**63, 10**40, 1.5, -0.0, float("nan"), float("inf")),
    *("", " ", "x", "\0", "\ud800", "\x1b]0;x\x07", "../..", "/", "<image>", "{x}", "\u202e", "x" * 5000),
    *([], [[]], [None], {}, {"": None}, {"x": {"x": []}}, ["human", "gpt"]),
)
"""What a mutation puts in the place of a JSON value."""

MOST_MUTATIONS = 4


@st.composite
def mutate_bytes(draw: st.DrawFn, valid: Sequence[bytes], near_end: int = 0) -> bytes:
    """One of the valid inputs after up to MOST_MUTATIONS changes; `near_end`: half of them in the last bytes.

    A change flips a bit, writes odd bytes over a place, puts them in, takes a piece out, doubles one, puts a
    piece of another input in, or cuts the end off.
    """
    data = draw(st.sampled_from(valid))
    for _ in range(draw(st.integers(1, MOST_MUTATIONS))):
        low = max(0, len(data) - near_end) if near_end and draw(st.booleans()) else 0
        at = draw(st.integers(low, max(low, len(data) - 1)))
        size = draw(st.integers(1, 8) | st.integers(1, max(1, len(data) - at)))
        match draw(st.sampled_from(("flip", "write", "insert", "remove", "double", "splice", "cut"))):
            case "flip":
                flipped = bytes(byte ^ (1 << draw(st.integers(0, 7))) for byte in data[at : at + 1])
                data = data[:at] + flipped + data[at + 1 :]
            case "write":
                odd = draw(st.sampled_from(ODD_BYTES))
                data = data[:at] + odd + data[at + len(odd) :]
            case "insert":
                data = data[:at] + draw(st.sampled_from(ODD_BYTES)) + data[at:]
            case "remove":
                data = data[:at] + data[at + size :]
            case "double":
                data = data[: at + size] + data[at:]
            case "splice":
                other = draw(st.sampled_from(valid))
                start = draw(st.integers(0, max(0, len(other) - 1)))
                data = data[:at] + other[start : start + size] + data[at:]
            case "cut":
                data = data[:at]
    return data


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of a JSON value and of all within it, as keys and indices."""
    yield path
    inners = value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else [])
    for key, inner in inners:
        yield from _places(inner, (*path, key))


@st.composite
def mutate_json(draw: st.DrawFn, valid: Sequence[Any]) -> Any:
    """One of the valid values, of which up to MOST_MUTATIONS places are replaced, removed or doubled."""
    value = copy.deepcopy(draw(st.sampled_from(valid)))
    for _ in range(draw(st.integers(1, MOST_MUTATIONS))):
        *path, last = draw(st.sampled_from([*_places(value)])) or (None,)
        if last is None:
            return draw(st.sampled_from(ODD_VALUES))
        holder = value
        for key in path:
            holder = holder[key]
        match draw(st.sampled_from(("replace", "replace", "remove", "rename"))):
            case "replace":
                holder[last] = copy.deepcopy(draw(st.sampled_from(ODD_VALUES)))
            case "remove":
                del holder[last]
            case "rename" if isinstance(holder, dict):
                holder[str(last).upper()] = holder.pop(last)
            case _:
                holder.insert(last, copy.deepcopy(holder[last]))
    return value


def encode_json(value: Any) -> bytes:
    """A value as JSON with all that Python's writer allows: NaN, lone surrogates as escapes."""
    return json.dumps(value).encode()


def cut_in_pieces(data: bytes, places: Sequence[int]) -> list[bytes]:
    """The data in pieces, cut at some places (taken modulo its length)."""
    cuts = sorted({place % (len(data) + 1) for place in places})
    return [data[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def catch(parse: Callable[[], Any], *expected: type[Exception]) -> Any:
    """What a parser gives, or the expected error that it raises."""
    try:
        return parse()
    except expected as error:
        return error
