"""Chat completions API: validate a request, and build the response in the teacher's form."""

import json
import math
from typing import Any

from embedded.grammar import BOXED, NO_THINK, THINKING, Form, UnsupportedSchema, build_schema_form
from embedded.model import Model, Refused
from embedded.reader import Reader, UnreadablePicture
from prep.records import tags

_MAX_TOKENS = 400
"""Of an answer; the grammars end each well before."""
_SYSTEM = {"role": "system", "content": "Answer briefly."}
"""The default system turn. With the model's own default it talks about itself."""
_SAMPLING_RANGES = {"temperature": (0.0, 2.0), "top_p": (0.0, 1.0), "top_k": (-1, 10**6), "min_p": (0.0, 1.0)}
"""The range of each sampling parameter; llama.cpp has the defaults."""
_SUPPORTED_VALUES = {"n": (1,), "tools": ([],), "logprobs": (False,)}
"""The supported values of fields that would change the kind of the answer."""


class ApiError(Exception):
    """An error for the client: an HTTP status and OpenAI's error object."""

    def __init__(self, status: int, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        kind = "server_error" if status >= 500 else "invalid_request_error"
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}


class Chat:
    """The model under its served name, with OCR for pictures."""

    def __init__(self, name: str, model: Model, reader: Reader) -> None:
        self._name = name
        self._model = model
        self._reader = reader

    def complete(self, body: bytes) -> dict[str, Any]:
        """Answer the body of a chat completion request; a stream is one chunk. Raises ApiError."""
        request = _parse_body(body)
        if not isinstance(request.get("model"), str):
            raise ApiError(400, "model is missing", "model")
        if request["model"] != self._name:
            raise ApiError(404, f"there is no model but {self._name}", "model", "model_not_found")
        for field, inert in _SUPPORTED_VALUES.items():
            if request.get(field) not in (None, *inert):
                raise ApiError(400, f"{field} is not supported by this server", field)
        if not isinstance(streamed := request.get("stream") or False, bool):
            raise ApiError(400, "stream is neither true nor false", "stream")
        sampling = _read_sampling(request)
        schema = _read_schema(request.get("response_format"))
        messages, pictures = self._read_messages(request.get("messages"))
        form = _choose_form(schema, messages, pictures)
        try:
            answer = self._model.complete(sampling | {"messages": messages, "grammar": form.grammar})
        except Refused as error:
            raise ApiError(400, str(error), "messages") from error
        return self._build_response(answer, form, streamed)

    def _read_messages(self, messages: Any) -> tuple[list[dict[str, str]], int]:
        """Return the messages with OCR text in place of pictures, and the number of pictures."""
        if not isinstance(messages, list) or not messages:
            raise ApiError(400, "messages is not a list of messages", "messages")
        read, pictures = [], 0
        for number, message in enumerate(messages):
            place = f"messages[{number}]"
            if not isinstance(message, dict) or message.get("role") not in ("system", "user", "assistant"):
                raise ApiError(400, f"{place} has no role of system, user, assistant", "messages")
            content = message.get("content")
            parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
            if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
                raise ApiError(400, f"{place}.content is neither a string nor a list of parts", "messages")
            pictures += sum(part.get("type") == "image_url" for part in parts)
            text = "\n".join(self._read_part(part, place) for part in parts)
            read.append({"role": message["role"], "content": text})
        if read[-1]["role"] != "user":
            raise ApiError(400, "the last message is not the user's", "messages")
        if all(message["role"] != "system" for message in read):
            read.insert(0, _SYSTEM)
        return read, pictures

    def _read_part(self, part: dict, place: str) -> str:
        """Return a part's text: its own, or what OCR reads in its picture."""
        if part.get("type") == "text" and isinstance(part.get("text"), str):
            try:
                part["text"].encode()
            except UnicodeEncodeError:
                raise ApiError(400, f"{place} holds half a surrogate pair", "messages") from None
            return part["text"]
        url = part.get("image_url", {}).get("url") if isinstance(part.get("image_url"), dict) else None
        if part.get("type") != "image_url" or not isinstance(url, str):
            raise ApiError(400, f"{place}.content has a part that is neither text nor image_url", "messages")
        try:
            text = self._reader.read(url)
        except UnreadablePicture as error:
            raise ApiError(400, f"the picture of {place} cannot be read: {error}", "messages") from error
        except ImportError as error:
            raise ApiError(400, f"this server cannot read pictures: {error}", "messages") from error
        return f"This was read in the picture:\n{text}" if text else "Nothing could be read in the picture."

    def _build_response(self, answer: dict, form: Form, streamed: bool) -> dict[str, Any]:
        (choice,), usage = answer["choices"], answer["usage"]
        finish = choice["finish_reason"]
        content = form.wrap_lines(choice["message"]["content"], finished=finish == "stop")
        message = {"delta" if streamed else "message": {"role": "assistant", "content": content}}
        return {
            "id": answer["id"],
            "object": "chat.completion.chunk" if streamed else "chat.completion",
            "created": answer["created"],
            "model": self._name,
            "choices": [{"index": 0, **message, "logprobs": None, "finish_reason": finish}],
            "usage": {key: usage[key] for key in ("prompt_tokens", "completion_tokens", "total_tokens")},
        }


def _parse_body(body: bytes) -> dict[str, Any]:
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "the body is not JSON") from error
    if not isinstance(request, dict):
        raise ApiError(400, "the body is not a JSON object")
    return request


def _read_sampling(request: dict) -> dict[str, Any]:
    """Check the request's sampling; return it in llama.cpp's terms."""
    sampling = {}
    for field, (least, most) in _SAMPLING_RANGES.items():
        value = request.get(field)
        if value is None:
            continue
        if not _is_number(value, type(least)) or not least <= value <= most:
            raise ApiError(400, f"{field} is not a number from {least} to {most}", field)
        sampling[field] = value
    seed = request.get("seed")
    if seed is not None:
        if not _is_number(seed, int):
            raise ApiError(400, "seed is not a whole number", "seed")
        # llama.cpp has 32-bit seeds; the last one means a random seed.
        sampling["seed"] = seed % (2**32 - 1)
    budgets = [_MAX_TOKENS]
    for field in ("max_tokens", "max_completion_tokens"):
        budget = request.get(field)
        if budget is None:
            continue
        if not _is_number(budget, int) or budget < 1:
            raise ApiError(400, f"{field} is not a positive whole number", field)
        budgets.append(budget)
    return sampling | {"max_tokens": min(budgets)}


def _is_number(value: Any, kind: type) -> bool:
    """Whether it is a finite number, a whole one if `kind` is int."""
    return type(value) is int or (kind is type(value) is float and math.isfinite(value))


def _read_schema(response_format: Any) -> Form | None:
    """Return the form that `response_format` asks for, or None."""
    if response_format in (None, {"type": "text"}):
        return None
    try:
        if response_format["type"] != "json_schema":
            raise ApiError(400, "response_format must be of type json_schema", "response_format")
        return build_schema_form(response_format["json_schema"]["schema"])
    except (KeyError, TypeError) as error:
        raise ApiError(400, "response_format has no json_schema.schema", "response_format") from error
    except (UnsupportedSchema, RecursionError) as error:
        raise ApiError(400, f"the schema cannot be obeyed here: {error}", "response_format") from error


def _choose_form(schema: Form | None, messages: list[dict[str, str]], pictures: int) -> Form:
    """Choose the form of the answer. Remove the soft switch from the last turn: this model has none."""
    last = messages[-1]
    switched = last["content"].endswith(tags.NO_THINK)
    last["content"] = last["content"].removesuffix(tags.NO_THINK)
    if schema:
        return schema
    if switched:
        return NO_THINK
    return BOXED if pictures else THINKING
