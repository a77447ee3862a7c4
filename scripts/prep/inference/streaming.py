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
    A byte order mark at the start, comments and other fields are passed over.
    """

    def __init__(self) -> None:
        self._rest = b""  # a line without its end
        self._data: list[bytes] = []  # of the event that is coming
        self._began = self._after_cr = False

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of the events that end in the next bytes of the stream."""
        if self._after_cr and piece:
            piece, self._after_cr = piece.removeprefix(b"\n"), False
        if not piece:
            return []
        self._after_cr = piece.endswith(b"\r")
        text = self._rest + piece
        if not self._began:
            if len(text) < len(BOM):
                self._rest = text
                return []
            text, self._began = text.removeprefix(BOM), True
        lines = text.splitlines()
        self._rest = b"" if text.endswith((b"\n", b"\r")) or not lines else lines.pop()
        return [data for line in lines if (data := self._take(line)) is not None]

    def close(self) -> list[bytes]:
        """The data of the last event, where the stream ended without the empty line, or the line's end."""
        rest, self._rest = self._rest, b""
        found = [self._take(rest.removeprefix(BOM)), self._take(b"")]
        return [data for data in found if data is not None]

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
    """The body of an answer of status 200 as it comes: a chat completion, in one piece or as a stream.

    Which of both it is shows at its first bytes, whatever the server calls it. `url`: of the server, for what
    it says of an error.
    """

    def __init__(self, window: int | None = None, url: str = "the server"):
        self._begin = b""  # until it shows
        self._pieces: list[bytes] = []  # of an answer in one piece
        self._events = EventReader()
        self._gathered = StreamedCompletion(window, url)
        self.streams: bool | None = None

    @property
    def done(self) -> bool:
        """Whether a stream has said that this was all."""
        return self._gathered.done

    @property
    def finished(self) -> bool:
        """Whether a stream has said how the answer ended; what may still come are counts of tokens."""
        return self._gathered.finished

    def feed(self, piece: bytes) -> bool:
        """Take the next bytes; True when no more are needed. Raises RequestError for what is no answer."""
        if self.streams is None:
            self._begin += piece
            begin = self._begin.removeprefix(BOM).lstrip()
            if len(begin) < max(map(len, FIELD_NAMES)):
                return False
            self.streams = begin.startswith(FIELD_NAMES)
            piece, self._begin = self._begin, b""
        if self.streams:
            return self._gathered.add(self._events.feed(piece))
        self._pieces.append(piece)
        return False

    def completion(self) -> Any:
        """What came, as the JSON of one chat completion. Raises RequestError when it is none."""
        if not self.streams:
            return errors.parse_json(b"".join([self._begin, *self._pieces]))
        if not self.done:
            self._gathered.add(self._events.close())
        return self._gathered.completion()

    def rescued(self) -> Any:
        """The chat completion, if all of it had come when the connection broke; else None."""
        try:
            came = self.completion()
        except RequestError:
            return None
        return came if self.finished or not self.streams else None


class StreamedCompletion:
    """A streamed chat completion as far as it has come; with a `window`, watched for repetition.

    `[DONE]` ends it, and so does whatever goes wrong once a finish_reason has come.
    """

    def __init__(self, window: int | None, url: str = "the server"):
        self._window = window
        self._url = url
        self._texts: dict[str, list[str]] = {}
        self._lengths = dict.fromkeys(FIELDS, 0)
        self._checked = dict.fromkeys(FIELDS, 0)
        self._finish: str | None = None
        self._usage: Any = None
        self.done = False

    @property
    def finished(self) -> bool:
        """Whether it is whole: it has said how it ended, or that it did."""
        return self.done or self._finish is not None

    def add(self, events: Iterable[bytes]) -> bool:
        """Take the data of some events, in order; True when no more are needed, or should be.

        Raises RequestError for what is not a chunk of a chat completion.
        """
        try:
            return any(self.done or self._event(data.strip()) for data in events)
        except RequestError:
            if self._finish is None:
                raise
            self.done = True
            return True

    def completion(self) -> dict[str, Any]:
        """The chat completion that the pieces make."""
        message = {name: "".join(pieces) for name, pieces in self._texts.items()}
        # A server that ends its streams in good order, but never says how, would not the next time either.
        ended = errors.NO_REASON if self.done and any(message.values()) else None
        return {
            "choices": [{"message": message, "finish_reason": self._finish or ended}],
            "usage": self._usage,
        }

    def _event(self, data: bytes) -> bool:
        """Take the data of an event; True when the answer ends or should be stopped here."""
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
            return any(self._event(line.strip()) for line in data.split(b"\n"))
        return chunk not in ("", None) and self._add(chunk)

    def _add(self, chunk: Any) -> bool:
        try:
            self._check_error(chunk)
            self._usage = chunk.get("usage") or self._usage
            for choice in chunk.get("choices") or []:  # the last chunk has the usage alone
                self._check_error(choice)
                delta = choice.get("delta") or {}
                if any(self._take(name, errors.text_of(delta[name])) for name in FIELDS if delta.get(name)):
                    return True
                if (thoughts := errors.thoughts(delta.get("content"))) and self._take("reasoning", thoughts):
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

    def _take(self, name: str, piece: str) -> bool:
        pieces = self._texts.setdefault(name, [])
        if pieces and "\ud800" <= pieces[-1][-1:] <= "\udbff":  # half of a character; here may be the rest
            half = pieces.pop()
            self._lengths[name] -= len(half)
            piece = (half + piece).encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        pieces.append(piece)
        self._lengths[name] += len(piece)
        return self._window is not None and self._repeats(name)

    def _repeats(self, name: str) -> bool:
        step = _step(self._window)
        if self._lengths[name] // step == self._checked[name] // step:
            return False
        text = "".join(self._texts[name])
        end = find_repetition(text, self._window, self._checked[name])
        self._texts[name], self._checked[name] = [text[:end]], len(text)
        if end is None:
            return False
        self._finish = Reason.REPETITION
        return True
