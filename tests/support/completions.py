"""Whatever a server may send where a chat completion, or a chunk of one, is awaited: for property tests."""

from hypothesis import strategies as st

_TEXT = st.text(st.characters(exclude_categories=()))  # with halves of surrogate pairs, as JSON may have
_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=6,
)


def _object(**fields: st.SearchStrategy) -> st.SearchStrategy:
    """Mostly an object with some of these fields, each as it should be or not."""
    wrong = {name: value | _ANYTHING for name, value in fields.items()}
    return st.fixed_dictionaries({}, optional=wrong) | st.fixed_dictionaries(fields) | _ANYTHING


_USAGE = _object(prompt_tokens=st.integers(0), completion_tokens=st.integers(0) | st.just(float("inf")))
_MESSAGE = _object(content=_TEXT, reasoning=st.none() | _TEXT, reasoning_content=st.none() | _TEXT)
_FINISH = st.sampled_from(["stop", "length", "abort", None]) | _TEXT


def _answer(name: str) -> st.SearchStrategy:
    choice = _object(**{name: _MESSAGE, "finish_reason": _FINISH})
    return _object(choices=st.lists(choice, max_size=2), usage=_USAGE)


ANY_COMPLETION = _answer("message")
ANY_CHUNK = _answer("delta")
