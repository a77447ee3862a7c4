"""The embedded server: a real model, real HTTP, real character recognition."""

import base64
import contextlib
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import jsonschema
import openai
import pytest
from conftest import at_most
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from embedded.grammar import BOXED, NO_THINK, THINKING, UnsupportedSchema, build_schema_form
from embedded.reader import Reader, UnreadablePicture
from prep.report.ocr import group_rows

PROGRAM = Path(__file__).resolve().parent.parent / "scripts" / "embedded_server.py"
MODEL = "SmolLM2-135M-Instruct"
KEY = "a-key-for-tests"
SCORE = {"type": "integer", "minimum": 1, "maximum": 5}
VERDICT = {
    "type": "object",
    "properties": {"verdict": {"enum": ["pass", "fail"]}, "score": SCORE, "reason": {"type": "string"}},
    "required": ["verdict", "score", "reason"],
    "additionalProperties": False,
}
LINE = r"[^<>\n]{3,}"
CLASS = r"\[(?:\\.|[^\]\\])+\]"
"""A class of characters in a grammar; Python's regular expressions write it in the same way."""
THOUGHT = re.compile(rf"<think>{LINE}</think>\n\n{LINE}")
EMPTY_THOUGHT = re.compile(rf"<think>\n\n</think>\n\n{LINE}")
BOX = re.compile(rf"<think>{LINE}</think><answer>{LINE}<\|begin_of_box\|>.+<\|end_of_box\|></answer>")


class Running:
    """A server in a process of its own, and what its log says."""

    def __init__(self, threads: int = 1) -> None:
        flags = ["--model", MODEL, "--host", "127.0.0.1", "--port", "0", "--threads", str(threads)]
        self.process = subprocess.Popen(
            [sys.executable, PROGRAM, *flags],
            env=os.environ | {"VLLM_API_KEY": KEY},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        for line in self.process.stderr:
            self.lines.append(line)
            if found := re.search(r"http://127\.0\.0\.1:(\d+)/v1", line):
                self.port = int(found[1])
                break
        else:
            raise AssertionError(f"the server did not start: {self.lines}")
        self._drain = threading.Thread(target=lambda: self.lines.extend(self.process.stderr), daemon=True)
        self._drain.start()
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self.client = openai.OpenAI(base_url=self.url, api_key=KEY, max_retries=0, timeout=120)

    def stop(self) -> int:
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(10)
        self._drain.join(10)
        return code

    def ask(self, content: str | list, **fields: object):
        """The completion of one user turn, cool enough to be quick and varied enough to follow seeds."""
        fields = {"seed": 1, "temperature": 0.7, "extra_body": {"top_k": 20, "min_p": 0.0}} | fields
        messages = [{"role": "user", "content": content}]
        return self.client.chat.completions.create(model=MODEL, messages=messages, **fields)

    def text(self, content: str | list, **fields: object) -> str:
        choice = self.ask(content, **fields).choices[0]
        assert choice.finish_reason == "stop"
        return choice.message.content

    def json(self, schema: object, content: str = "Is grass green?", **fields: object):
        wanted = {"type": "json_schema", "json_schema": {"name": "verdict", "schema": schema}}
        return json.loads(self.text(content, response_format=wanted, **fields))

    def raw(self, sent: bytes) -> tuple[int, dict]:
        """The status and JSON that some bytes get, on a connection that the client then closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            received = b"".join(iter(lambda: connection.recv(65536), b""))
        head, _, body = received.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(body)

    def post(self, body: bytes, key: str = KEY, path: str = "/v1/chat/completions") -> tuple[int, dict]:
        head = f"POST {path} HTTP/1.1\r\nAuthorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n"
        return self.raw(head.encode() + body)


@pytest.fixture(scope="module")
def server():
    running = Running()
    yield running
    assert running.stop() == 0
    log = "".join(running.lines)
    assert "POST /v1/chat/completions " in log
    assert KEY not in log
    assert "lighthouse" not in log
    assert "Traceback" not in log


def page(*lines: str) -> bytes:
    """A PNG of some lines of text, black on white."""
    picture = Image.new("RGB", (700, 80 + 50 * len(lines)), "white")
    draw = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        draw.text((20, 30 + 50 * number), line, font=_font(), fill="black")
    return _png(picture)


def _font() -> ImageFont.FreeTypeFont:
    import cvttf_NotoSansCJK_Regular

    folder = Path(cvttf_NotoSansCJK_Regular.__path__[0])
    return ImageFont.truetype(next(folder.glob("*.otf")), 26)


def _png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def data_url(picture: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(picture).decode()


def with_picture(url: str, text: str) -> list[dict]:
    return [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": text}]


# ---------------------------------------------------------------- forms


@pytest.mark.parametrize("question", ["Write <image> and <think>.", "中国的首都是哪里？"])
def test_thinking_form(server, question):
    assert THOUGHT.fullmatch(server.text(question))


@pytest.mark.parametrize("question", ["Name three fruits.", "小明有十二个苹果，吃了三个，现在有几个？"])
def test_no_think_form(server, question):
    assert EMPTY_THOUGHT.fullmatch(server.text(f"{question} /no_think"))


def test_the_soft_switch_is_not_shown_to_the_model(server):
    plain = server.ask("Name three fruits.", max_tokens=1)
    switched = server.ask("Name three fruits. /no_think", max_tokens=1)
    assert switched.usage.prompt_tokens == plain.usage.prompt_tokens


def test_the_switch_counts_only_at_the_end_of_the_last_user_turn(server):
    messages = [
        {"role": "user", "content": "Name three fruits. /no_think"},
        {"role": "assistant", "content": "Pear, plum, fig."},
        {"role": "user", "content": "What does /no_think mean?"},
    ]
    answer = server.client.chat.completions.create(model=MODEL, messages=messages, max_tokens=2)
    assert re.fullmatch(r"<think>[^<]+", answer.choices[0].message.content)


def test_picture_form_and_what_is_read_reaches_the_model(server):
    read = server.ask(with_picture(data_url(page("Total revenue 1,234", "Year 2021")), "What year?"))
    assert read.choices[0].finish_reason == "stop"
    assert BOX.fullmatch(read.choices[0].message.content)
    white = data_url(_png(Image.new("RGB", (300, 200), "white")))
    blank = server.ask(with_picture(white, "What year?"), max_tokens=1)
    assert read.usage.prompt_tokens > blank.usage.prompt_tokens + 5


def test_verdict_schema(server):
    for question in ("Is grass green?", "草是绿色的吗？ /no_think"):
        jsonschema.validate(server.json(VERDICT, question), VERDICT)


def test_a_judge_with_a_picture_answers_in_json(server):
    content = with_picture(data_url(page("Green grass")), "Judge: the picture says green.")
    jsonschema.validate(server.json(VERDICT, content), VERDICT)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 3},
        {
            "type": "object",
            "title": "Nested",
            "properties": {
                'a "quoted\\ name': {"type": "boolean"},
                "值": {"type": "object", "properties": {"x": {"const": '数\n"\\'}}, "required": ["x"]},
                "word": {"type": "string", "minLength": 3, "maxLength": 12},
                "nothing": {"type": "null"},
                "low": {"type": "integer", "minimum": -3, "maximum": -2},
                "none": {"type": "array", "items": {"type": "string"}, "maxItems": 0},
            },
            "required": ["值", "word"],
            "additionalProperties": False,
        },
    ],
)
def test_other_schemas_are_obeyed(server, schema):
    value = server.json(schema)
    jsonschema.validate(value, schema)
    if schema["type"] == "object":
        assert list(value) == list(schema["properties"])


def test_strings_without_a_limit_end(server):
    text = server.json({"type": "string"}, "Tell me a very long story.", temperature=0)
    assert 0 < len(text) <= 80


@pytest.mark.parametrize(
    ("schema", "word"),
    [
        ({"type": "strin"}, "strin"),
        ({"type": "string", "pattern": "a+"}, "pattern"),
        ({"type": "string", "minLength": 5, "maxLength": 2}, "minLength"),
        ({"type": "string", "minLength": 10**9}, "minLength"),
        ({"type": "integer", "minimum": 1}, "maximum"),
        ({"type": "object", "properties": {"a": {"$ref": "#/x"}}}, "$.a"),
        ({"type": "object", "properties": {}, "required": ["b"]}, "required"),
        ({"type": "array"}, "items"),
        ({"enum": []}, "enum"),
        ({"enum": ["\ud800"]}, "surrogate"),
        ({"enum": ["x" * 30_000]}, "large"),
        (True, "object"),
    ],
)
def test_schemas_that_cannot_be_obeyed_are_refused(schema, word):
    with pytest.raises(UnsupportedSchema, match=re.escape(word)):
        build_schema_form(schema)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYWORDS = [
    "type", "enum", "const", "properties", "required", "items", "minItems", "maxItems",
    "minLength", "maxLength", "minimum", "maximum", "title",
]  # fmt: skip
TYPES = st.sampled_from(["object", "array", "string", "integer", "number", "boolean", "null"])


@given(st.dictionaries(st.sampled_from(KEYWORDS), JSON | TYPES, max_size=4))
def test_any_schema_is_obeyed_or_refused(schema):
    with contextlib.suppress(UnsupportedSchema):
        assert build_schema_form(schema).grammar.startswith("root ::= ")


def test_a_cut_answer_is_left_open_and_says_so(server):
    answer = server.ask("Tell me about the sea.", max_tokens=4)
    assert answer.choices[0].finish_reason == "length"
    assert re.fullmatch(rf"<think>{LINE}", answer.choices[0].message.content)
    assert answer.usage.completion_tokens == 4
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 4


def test_dressing_stops_where_the_text_does():
    assert THINKING.wrap_lines("a thou", finished=False) == "<think>a thou"
    assert THINKING.wrap_lines("a thought\nan ans", finished=False) == "<think>a thought</think>\n\nan ans"
    assert (
        THINKING.wrap_lines("a thought\nan answer", finished=True) == "<think>a thought</think>\n\nan answer"
    )


@pytest.mark.parametrize("form", [THINKING, NO_THINK, BOXED, build_schema_form(VERDICT)])
def test_no_rule_can_write_a_tag_or_a_control_character(form):
    literals = re.findall(r'"(?:\\.|[^"\\])*"', re.sub(CLASS, "", form.grammar))
    assert literals
    assert not any("<" in literal for literal in literals)
    classes = re.findall(CLASS, form.grammar)
    assert classes
    for characters in classes:
        assert re.search(characters, "a1.,。中")
        assert not re.search(characters, "<\n\t\0\x7f\u2028\ufffd")


# ---------------------------------------------------------------- sampling


HOT = {"temperature": 2.0, "top_p": 1.0, "max_tokens": 8, "extra_body": {"top_k": 0, "min_p": 0.0}}
"""So hot that the last bit of a probability shows in the text."""


def written(server: Running, *args: object, **fields: object) -> str:
    return server.ask(*args, **fields).choices[0].message.content


def test_seeds_decide(server):
    texts = [written(server, "Invent a name for a boat.", seed=seed, **HOT) for seed in (7, 8, 2**63 + 7, 7)]
    assert texts[0] == texts[3]
    assert len(set(texts)) == 3


def test_same_text_whatever_came_before_and_after_a_restart(server):
    story = "The keeper of the lighthouse lit the lamp. " * 3
    questions = [story + word for word in ("Write on.", "Why?")]
    texts = [written(server, question, **HOT) for question in questions for _ in range(2)]
    assert texts[0] == texts[1] != texts[2] == texts[3]
    other = Running(threads=2)
    try:
        assert written(other, questions[0], **HOT) == texts[0]
    finally:
        assert other.stop() == 0


def test_a_stream_says_what_one_piece_says(server):
    whole = server.ask("What floats?")
    chunks = list(server.ask("What floats?", stream=True, stream_options={"include_usage": True}))
    (choice,) = (choice for chunk in chunks for choice in chunk.choices)
    assert choice.delta.content == whole.choices[0].message.content
    assert (choice.finish_reason, chunks[-1].usage) == (whole.choices[0].finish_reason, whole.usage)


def test_greedy_needs_no_seed(server):
    greedy = {"temperature": 0, "max_tokens": 6}
    assert len({written(server, "Tell me a joke.", seed=seed, **greedy) for seed in (1, 2, 3)}) == 1


@pytest.mark.parametrize(
    "field", [{"top_p": 0.0}, {"extra_body": {"top_k": 1}}, {"extra_body": {"min_p": 1.0}}]
)
def test_each_sampling_field_reaches_the_model(server, field):
    """Each of these, at its limit, leaves the likeliest token alone, however hot."""
    greedy = written(server, "Tell me a joke.", temperature=0, max_tokens=6)
    hot = {"temperature": 2.0, "max_tokens": 6, **field}
    assert written(server, "Tell me a joke.", **hot) == greedy


def test_parallel_requests_get_what_serial_ones_get(server):
    questions = [f"What is {number} plus {number}?" for number in range(3)]

    def hot(question: str) -> str:
        return written(server, question, **HOT)

    serial = [hot(question) for question in questions]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(hot, questions)) == serial


# ---------------------------------------------------------------- what else is answered, and what is refused


def test_models_health_version(server):
    (model,) = server.client.models.list().data
    assert (model.id, model.max_model_len) == (MODEL, 8192)
    assert server.raw(b"GET /health HTTP/1.1\r\n\r\n") == (200, {"status": "ok"})
    status, body = server.raw(b"GET /version HTTP/1.1\r\n\r\n")
    assert status == 200
    assert re.fullmatch(r"xllamacpp \S+, SmolLM2-135M-Instruct\.Q4_1\.gguf", body["version"])


@pytest.mark.parametrize("head", ["", "Authorization: Bearer wrong\r\n", f"Authorization: {KEY}\r\n"])
def test_v1_wants_the_key(server, head):
    status, body = server.raw(f"GET /v1/models HTTP/1.1\r\n{head}\r\n".encode())
    assert (status, body["error"]["code"]) == (401, "invalid_api_key")


def test_a_wrong_key_is_told_before_the_body_is_looked_at(server):
    assert server.post(b"not JSON", key="wrong")[0] == 401


def test_unknown_models_paths_and_methods(server):
    with pytest.raises(openai.NotFoundError, match=MODEL) as caught:
        server.client.chat.completions.create(model="other", messages=[{"role": "user", "content": "Hi"}])
    assert caught.value.code == "model_not_found"
    assert server.post(b"{}", path="/v1/embeddings")[0] == 404
    assert server.post(b"{}", path="/v1/models")[0] == 405
    assert server.raw(b"PUT /health HTTP/1.1\r\n\r\n")[0] == 501


TURN = {"role": "user", "content": "Hi"}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": None}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": ["Hi"]}, "messages"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, "messages"),
        ({"messages": [{"role": "user", "content": None}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages"),
        ({"messages": [{"role": "user", "content": "half \ud800"}]}, "messages"),
        ({"messages": [TURN, {"role": "assistant", "content": "Hello"}]}, "messages"),
        ({"messages": [{"role": "user", "content": "word " * 9000}]}, "messages"),
        ({"stream": "yes"}, "stream"),
        ({"n": 2}, "n"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": 10**400}, "temperature"),
        ({"top_p": 1.5}, "top_p"),
        ({"top_k": 0.5}, "top_k"),
        ({"min_p": True}, "min_p"),
        ({"seed": 1.5}, "seed"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"response_format": "json"}, "response_format"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "strin"}}}},
            "response_format",
        ),
    ],
)
def test_bad_requests(server, change, param):
    status, body = server.post(json.dumps({"model": MODEL, "messages": [TURN], **change}).encode())
    assert (status, body["error"]["param"], body["error"]["type"]) == (400, param, "invalid_request_error")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"seed": ' + b"9" * 5000 + b"}"]
)
def test_bad_json(server, body):
    status, answer = server.post(body)
    assert status == 400
    assert "JSON" in answer["error"]["message"]


@given(messages=JSON, extra=st.dictionaries(st.sampled_from(["seed", "top_p", "response_format"]), JSON))
@at_most(40)
def test_no_request_is_a_fault_of_the_server(server, messages, extra):
    request = {"model": MODEL, "messages": messages, "max_tokens": 1, **extra}
    assert server.post(json.dumps(request).encode())[0] == 400


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/x.png",
        "data:text/plain;base64,aGk=",
        "data:image/png;base64,@@@",
        "data:image/png;base64,aGk=",
        data_url(page("A page that is cut."))[:-400],
        data_url(_png(Image.new("1", (10_000, 9_000)))),
        "",
    ],
)
def test_bad_pictures(server, url):
    with pytest.raises(openai.BadRequestError, match="picture") as caught:
        server.ask(with_picture(url, "What is this?"))
    assert caught.value.param == "messages"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /health HTTP/9.9\r\n\r\n", 505),
        (b"POST /v1/chat/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: -5\r\n\r\n", 411),
        (b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", 413),
    ],
)
def test_malformed_http(server, sent, status):
    got, body = server.raw(sent)
    assert got == status
    assert body["error"]["message"]


def test_a_connection_lives_through_an_error(server):
    connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.connect()
    first = connection.sock
    for method, path, body, status in (
        ("GET", "/nothing", None, 404),
        ("POST", "/v1/chat/completions", b"{}" * 50_000, 401),
        ("GET", "/health", None, 200),
    ):
        connection.request(method, path, body)
        response = connection.getresponse()
        assert (response.status, bool(json.loads(response.read()))) == (status, True)
    assert connection.sock is first
    connection.close()


# ---------------------------------------------------------------- reading pictures


@pytest.fixture(scope="module")
def reader():
    return Reader(threads=1)


def test_english_and_chinese_are_read_in_rows(reader):
    text = reader.read(data_url(page("Total revenue        1,234.50", "一个农场有鸡和兔    2021")))
    first, second = text.split("\n")
    assert first.replace(" ", "") == "Totalrevenue1,234.50"
    assert second.replace(" ", "") == "一个农场有鸡和兔2021"


def test_small_and_transparent_pictures_are_read(reader):
    word = Image.new("RGBA", (90, 40), (0, 0, 0, 0))
    ImageDraw.Draw(word).text((6, 0), "HOTEL", font=_font(), fill=(0, 0, 0, 255))
    assert reader.read(data_url(_png(word))) == "HOTEL"


def test_what_is_read_is_bounded(reader):
    text = reader.read(data_url(page(*["the quick brown fox jumps over the dog"] * 16)))
    assert text.endswith("…")
    assert 350 < len(text) <= 401


@pytest.mark.parametrize("size", [(1, 1), (3, 5000)])
def test_odd_sizes_are_read_as_nothing(reader, size):
    assert reader.read(data_url(_png(Image.new("L", size, 255)))) == ""


def test_other_formats_are_not_decoded(reader):
    file = io.BytesIO()
    Image.new("RGB", (30, 30)).save(file, "PPM")
    with pytest.raises(UnreadablePicture, match="JPEG, PNG"):
        reader.read(data_url(file.getvalue()))


def test_rows_from_the_top_each_from_the_left():
    def box(left: int, top: int) -> list[list[float]]:
        return [[left, top], [left + 50, top], [left + 50, top + 20], [left, top + 20]]

    found = [(box(200, 4), "b"), (box(0, 40), "c"), (box(0, 0), "a"), (box(100, 44), "d"), (box(0, 55), "e")]
    assert group_rows(found) == ["a b", "c d", "e"]
    assert group_rows([]) == []


# ---------------------------------------------------------------- start and end


def run(env: dict[str, str], **flags: object) -> tuple[int, str]:
    """The exit code and log of a server that should not start."""
    flags = {"model": MODEL, "host": "127.0.0.1", "port": 0, "threads": 1} | flags
    command = [
        sys.executable,
        PROGRAM,
        *(part for key, value in flags.items() for part in (f"--{key}", str(value))),
    ]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


def test_each_failure_to_start_is_one_line(server, tmp_path):
    plain = {name: value for name, value in os.environ.items() if name != "VLLM_API_KEY"}
    keyed = plain | {"VLLM_API_KEY": KEY}
    # A libgomp that cannot be loaded stands for one that is not there.
    (tmp_path / "libgomp.so.1").touch()
    for env, flags, word in (
        (plain, {}, "VLLM_API_KEY"),
        (plain | {"VLLM_API_KEY": ""}, {}, "VLLM_API_KEY"),
        (keyed, {"port": server.port}, f"127.0.0.1:{server.port}"),
        (keyed, {"port": 99999}, "99999"),
        (keyed, {"threads": 0}, "--threads"),
        (keyed | {"LD_LIBRARY_PATH": str(tmp_path)}, {}, "libgomp1"),
    ):
        code, log = run(env, **flags)
        assert code == 1
        assert re.fullmatch(rf"error: .*{re.escape(word)}.*\n", log)


def test_sigterm_ends_it_at_once_in_the_middle_of_an_answer():
    running = Running()
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "word " * 8000}]}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nAuthorization: Bearer {KEY}\r\n"
    with socket.create_connection(("127.0.0.1", running.port), timeout=60) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert running.raw(b"GET /health HTTP/1.1\r\n\r\n")[0] == 200
        assert running.stop() == 0
        # The long prompt was not answered: the end did not wait for it.
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(100) == b""
