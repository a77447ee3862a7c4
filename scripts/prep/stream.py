"""An answer that comes in pieces: put together, and looked at for going round in circles.

Whether an answer goes round in circles depends on its text alone, not on the pieces that it came in or on
whether it was streamed at all. So an answer that stands whole in a journal is judged as it would have been
while it came.
"""

from collections.abc import Iterable
from typing import Any

from prep import fault as faults
from prep.fault import Fault
from prep.reason import Reason

FIELDS = ("content", "reasoning", "reasoning_content")
"""The texts of a message: the thinking may have a field of its own, whose name is older or newer."""


def circles(text: str, window: int, checked: int = 0) -> int | None:
    """The length at which a text has gone round in circles, or None if it does not.

    It does when three quarters of its last `window` characters stand in them once more, further to the
    front: then one passage, of at most a quarter of them, makes up these and more, over and over. That is
    looked at each time an eighth of a window is added; up to `checked` characters it was.
    """
    step = _step(window)
    first = max(-(-window // step), checked // step + 1) * step
    for end in range(first, len(text) + 1, step):
        tail = text[end - window : end]
        if tail.find(tail[window // 4 :]) < window // 4:
            return end
    return None


def _step(window: int) -> int:
    """After so many characters a text is looked at again."""
    return max(1, window // 8)


class Gathered:
    """A streamed chat completion as far as it has come; with a `window`, watched for circles."""

    def __init__(self, window: int | None):
        self._window = window
        self._texts: dict[str, list[str]] = {}
        self._lengths = dict.fromkeys(FIELDS, 0)
        self._checked = dict.fromkeys(FIELDS, 0)
        self._finish: str | None = None
        self._usage: Any = None

    def add(self, events: Iterable[bytes]) -> bool:
        """Take the data of some events, in order; True when the answer should be stopped here.

        Raises Fault for what is not a chunk of a chat completion.
        """
        return any(data != b"[DONE]" and self._add(faults.parsed(data)) for data in events)

    def completion(self) -> dict[str, Any]:
        """The chat completion that the pieces make."""
        message = {name: "".join(pieces) for name, pieces in self._texts.items()}
        return {"choices": [{"message": message, "finish_reason": self._finish}], "usage": self._usage}

    def _add(self, chunk: Any) -> bool:
        try:
            if chunk.get("error"):
                raise Fault(Reason.SERVER_ERROR, f"broken off: {faults.message(chunk)}")
            self._usage = chunk.get("usage") or self._usage
            for choice in chunk.get("choices") or []:  # the last chunk has the usage alone
                self._finish = choice.get("finish_reason") or self._finish
                delta = choice.get("delta") or {}
                if any(self._take(name, delta[name]) for name in FIELDS if delta.get(name)):
                    return True
        except (AttributeError, TypeError) as error:
            raise Fault(Reason.MALFORMED, f"not a chunk of a chat completion: {error}") from error
        return False

    def _take(self, name: str, piece: Any) -> bool:
        if not isinstance(piece, str):
            raise TypeError(f"{name} is not a string")
        pieces = self._texts.setdefault(name, [])
        if pieces and "\ud800" <= pieces[-1][-1:] <= "\udbff":  # half of a character; here may be the rest
            half = pieces.pop()
            self._lengths[name] -= len(half)
            piece = (half + piece).encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        pieces.append(piece)
        self._lengths[name] += len(piece)
        return self._window is not None and self._circles(name)

    def _circles(self, name: str) -> bool:
        step = _step(self._window)
        if self._lengths[name] // step == self._checked[name] // step:
            return False
        text = "".join(self._texts[name])
        end = circles(text, self._window, self._checked[name])
        self._texts[name], self._checked[name] = [text[:end]], len(text)
        if end is None:
            return False
        self._finish = Reason.REPETITION
        return True
