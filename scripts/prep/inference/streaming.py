"""Reader of responses and server-sent events, with detection of repetition.

Nothing here knows what carries the pieces: `ResponseReader` is fed with the bytes of a body as they come.

Whether an answer repeats itself depends on its text alone, not on the pieces that it came in or on
whether it was streamed at all. So an answer that stands whole in a journal is judged as it would have been
while it came.
"""

import re
from collections.abc import Iterable
from typing import Any

from prep.inference import errors
from prep.inference.errors import RequestError
from prep.records.reason import Reason

FIELDS = ("content", "reasoning", "reasoning_content")
"""The texts of a message: the thinking may have a field of its own, whose name is older or newer."""
BOM = b"\xef\xbb\xbf"
FIELD_NAMES = (b"data:", b"event:", b"retry:", b"id:", b":")
"""What the first line of a stream of server-sent events begins with."""
DONE = (b"[DONE]", b'"[DONE]"')
COMMENT = re.compile(rb":.*|[A-Za-z][\w .-]*", re.DOTALL)
"""What keeps a connection alive though it comes as data: a comment, or words such as `ping`."""


def find_repetition(text: str, window: int, checked: int = 0) -> int | None:
    """The length at which a text began to repeat itself for good, or None if it does not.

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


class EventReader:
    """The data of server-sent events, by the standard of HTML ("Server-sent events", 9.2.6).

    Lines end in LF, CR or CRLF, an event in an empty line; several data lines of one event are joined by LF.
    Comments and other fields are passed over.
    """

    def __init__(self) -> None:
        self._rest: list[bytes] = []  # a line without its end
        self._data: list[bytes] = []  # of the event that is coming
        self._after_cr = False

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of the events that end in the next bytes of the stream, of which there is one at least."""
        self._rest.append(piece.removeprefix(b"\n") if self._after_cr else piece)
        self._after_cr = piece.endswith(b"\r")
        # A long line is put together once, and not for each of its pieces.
        if b"\n" not in self._rest[-1] and b"\r" not in self._rest[-1]:
            return []
        text = b"".join(self._rest)
        lines = text.splitlines()
        self._rest = [] if text.endswith((b"\n", b"\r")) else [lines.pop()]
        return [data for line in lines if (data := self._take(line)) is not None]

    def close(self) -> list[bytes]:
        """The data of the last event, where the stream ended without the empty line, or the line's end."""
        rest, self._rest = b"".join(self._rest), []
        return [data for data in (self._take(rest), self._take(b"")) if data is not None]

    def _take(self, line: bytes) -> bytes | None:
        """Take one line; gives the data of the event that it ends, if it ends one."""
        if line:
            name, _, value = line.partition(b":")
            if name == b"data":
                self._data.append(value.removeprefix(b" "))
            return None
        data, self._data = self._data, []
        return b"\n".join(data) if data else None


class ResponseReader:
    """The chat completion in a body of status 200 as it comes, in one piece or as a stream of chunks.

    Which of both it is shows at its first bytes, whatever the server calls it. `[DONE]` ends a stream, and so
    does whatever goes wrong once a finish_reason has come. With a `window`, a stream ends once it repeats
    itself. `url`: of the server, for what it says of an error.
    """

    def __init__(self, window: int | None = None, url: str = "the server"):
        self._window, self._url = window, url
        self._body = bytearray()  # of an answer in one piece, and until it shows
        self._events = EventReader()
        self._texts: dict[str, list[str]] = {}
        self._lengths = dict.fromkeys(FIELDS, 0)
        self._checked = dict.fromkeys(FIELDS, 0)  # so many characters do not repeat themselves
        self._finish: str | None = None
        self._usage: Any = None
        self.streams: bool | None = None
        self.done = False  # whether a stream has said that this was all

    @property
    def finished(self) -> bool:
        """Whether a stream has said how the answer ended; what may still come are counts of tokens."""
        return self.done or self._finish is not None

    def feed(self, piece: bytes) -> bool:
        """Take the next bytes; True when no more are needed. Raises RequestError for what is no answer."""
        if not self.streams:
            self._body += piece
        if self.streams is None:
            # A server may send blanks, for minutes, until it answers.
            self._body = self._body.removeprefix(BOM).lstrip()
            piece = bytes(self._body)
            if len(piece) < max(map(len, FIELD_NAMES)):
                return False
            self.streams = piece.startswith(FIELD_NAMES)
        return self.streams and self._add_events(self._events.feed(piece))

    def completion(self) -> Any:
        """What came, as the JSON of one chat completion. Raises RequestError when it is none."""
        if not self.streams:
            return errors.parse_json(self._body)
        if not self.done:
            self._add_events(self._events.close())
        message = {name: _join(pieces) for name, pieces in self._texts.items()}
        # A server that ends its streams in good order, but never says how, would not the next time either.
        ended = errors.NO_REASON if self.done and any(message.values()) else None
        return {
            "choices": [{"message": message, "finish_reason": self._finish or ended}],
            "usage": self._usage,
        }

    def rescued(self) -> Any:
        """The chat completion, if all of it had come when the connection broke; else None."""
        try:
            came = self.completion()
        except RequestError:
            return None
        return came if self.finished or not self.streams else None

    def _add_events(self, events: Iterable[bytes]) -> bool:
        """Take the data of some events, in order; True when no more are needed, or should be."""
        try:
            return any(self.done or self._add_event(data.strip()) for data in events)
        except RequestError:
            if self._finish is None:
                raise
            self.done = True
            return True

    def _add_event(self, data: bytes) -> bool:
        self.done = data in DONE
        if self.done:
            return True
        if not data or COMMENT.fullmatch(data):
            return False
        try:
            chunk = errors.parse_json(data)
        except RequestError:
            if b"\n" not in data:
                raise
            # A server that leaves no line between its events.
            return any(self._add_event(line.strip()) for line in data.split(b"\n"))
        return chunk not in ("", None) and self._add_chunk(chunk)

    def _add_chunk(self, chunk: Any) -> bool:
        try:
            self._check_error(chunk)
            self._usage = chunk.get("usage") or self._usage
            for choice in chunk.get("choices") or []:  # the last chunk has the usage alone
                self._check_error(choice)
                delta = choice.get("delta") or {}
                texts = [(name, errors.text_of(delta.get(name))) for name in FIELDS]
                texts.append(("reasoning", errors.thoughts(delta.get("content"))))
                if any(self._add_text(name, text) for name, text in texts if text):
                    return True
                self._finish = errors.finish_reason(choice.get("finish_reason")) or self._finish
        except (AttributeError, TypeError) as error:
            raise RequestError(Reason.MALFORMED, f"not a chunk of a chat completion: {error}") from error
        return False

    def _check_error(self, part: dict[str, Any]) -> None:
        """Raise the error that an error object in a chunk or a choice tells of."""
        if part.get("error") or "error" in (part.get("object"), part.get("type")):
            told = errors.error_of_body(part, self._url)
            raise told or RequestError(Reason.SERVER_ERROR, f"broken off: {errors.message(part)}")

    def _add_text(self, name: str, piece: str) -> bool:
        """Take a piece of a text; True when the text repeats itself, and is cut where it began to."""
        pieces = self._texts.setdefault(name, [])
        pieces.append(piece)
        self._lengths[name] += len(piece)
        step = self._window and _step(self._window)
        if not step or self._lengths[name] // step == self._checked[name] // step:
            return False
        text = _join(pieces)
        end = find_repetition(text, self._window, self._checked[name])
        pieces[:] = [text[:end]]
        self._lengths[name] = self._checked[name] = len(text)
        if end is not None:
            self._finish = Reason.REPETITION
        return end is not None


def _join(pieces: list[str]) -> str:
    """The text of some pieces, which may have cut a character in two (a surrogate pair of JSON)."""
    return "".join(pieces).encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
