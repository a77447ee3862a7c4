"""Structural validation of JSON: whether a value has the types that its reader counts on.

A shape is a type; a list of one shape; `{str: shape}` for an object whose keys are data; an object of shapes
by key, where `key?` may be left out, and further keys may stand; or a tuple of shapes, any of which will do.
"""

from typing import Any

LARGEST = 1e15
"""Of numbers: none of ours is larger, and what is cannot be told from infinity in sums and times."""


def fits(value: Any, shape: Any) -> bool:
    """Whether a value of JSON has a shape. `float` takes whole numbers too, and nothing takes NaN."""
    match shape:
        case list():
            return isinstance(value, list) and all(fits(each, shape[0]) for each in value)
        case dict():
            return isinstance(value, dict) and _fits_object(value, shape)
        case tuple():
            return any(fits(value, each) for each in shape)
    if isinstance(value, bool):
        return shape is bool
    if isinstance(value, int | float):
        return shape in (float, type(value)) and abs(value) <= LARGEST
    return value is None if shape is None else isinstance(value, shape)


def _fits_object(value: dict[str, Any], shape: dict[Any, Any]) -> bool:
    if str in shape:
        return all(fits(each, shape[str]) for each in value.values())
    return all(
        fits(value[name], each) if name in value else key.endswith("?")
        for key, each in shape.items()
        for name in [key.removesuffix("?")]
    )
