"""Registration: our entries are in, and every byte of what others wrote stays."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from prep.report import registration
from prep.runtime.program import UserError

NAMES = ["LLaVA_ReCap_558K", "llavaonevision_converted/GeoQA+_MathV360K", "text2image"]
OURS = registration.build_entries(NAMES, sharded=False)


def run(folder: Path, *names: str) -> subprocess.CompletedProcess:
    command = [sys.executable, ROOT / "scripts" / "publish_registration.py", "--names", *names]
    command += ["--publish", "work/publish/dataset_info.json", "--data", "data"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_a_sharded_artifact_is_registered_as_its_folder() -> None:
    sharded = registration.build_entries(NAMES, sharded=True)
    assert sharded["GeoQA+_MathV360K"]["file_name"] == "llavaonevision_converted/GeoQA+_MathV360K"


def test_an_entry_is_what_llama_factory_reads() -> None:
    assert list(OURS) == ["LLaVA_ReCap_558K", "GeoQA+_MathV360K", "text2image"]
    assert OURS["GeoQA+_MathV360K"] == {
        "file_name": "llavaonevision_converted/GeoQA+_MathV360K.parquet",
        "formatting": "sharegpt",
        "columns": {"messages": "messages", "images": "images"},
        "tags": {
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
        },
    }


def test_two_artifacts_with_one_key_fail() -> None:
    with pytest.raises(UserError, match=r"text2image\.parquet and .*/text2image\.parquet .*'text2image'"):
        registration.build_entries(["text2image", "llavaonevision_converted/text2image"], sharded=False)


# JSON texts whose space, escapes and order are drawn, so that nothing but the bytes can be relied upon.

SPACES = st.text(" \t\n\r", max_size=4) | st.sampled_from(["", "\n  ", "\r\n\t", "\n\n    ", " "])


def encoded(text: str, ascii_only: bool) -> str:
    return json.dumps(text, ensure_ascii=ascii_only)


@st.composite
def json_texts(draw: st.DrawFn, depth: int = 2) -> str:
    kind = draw(st.sampled_from(["leaf", "leaf", "array", "object"] if depth else ["leaf"]))
    if kind == "array":
        items = draw(st.lists(json_texts(depth=depth - 1), max_size=3))
        return "[" + ",".join(draw(SPACES) + item + draw(SPACES) for item in items) + "]"
    if kind == "object":
        items = draw(st.lists(members(depth=depth - 1), max_size=3))
        return "{" + ",".join(before + value for before, value in items) + draw(SPACES) + "}"
    leaf = st.none() | st.booleans() | st.integers(-1000, 1000) | st.floats(allow_nan=False, width=32)
    return draw(
        st.builds(json.dumps, leaf)
        | st.builds(encoded, st.text(st.characters(exclude_categories=["Cs"])), st.booleans())
        | st.sampled_from(['"\\/\\u00e9"', '"}, {"', '"\\"a\\": 1"', "1E+2"])
    )


@st.composite
def members(draw: st.DrawFn, depth: int = 2) -> tuple[str, str]:
    """A member's text, as all that comes before its value, and the value."""
    keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
    key = draw(st.builds(encoded, keys | st.sampled_from(["text2image", "}"]), st.booleans()))
    return draw(SPACES) + key + draw(SPACES) + ":" + draw(SPACES), draw(json_texts(depth=depth))


def key_of(member: tuple[str, str]) -> str:
    """The key in a member's text."""
    return json.loads(member[0].rpartition(":")[0])


@st.composite
def objects(draw: st.DrawFn) -> tuple[str, list[tuple[str, str]], str]:
    """An object's text: what stands before its first member, its members, what stands after the last."""
    found = draw(st.lists(members(), max_size=5, unique_by=key_of))
    taken = {key_of(member) for member in found}
    for name in draw(st.sets(st.sampled_from(sorted(OURS)))) - taken:  # from an earlier run, in any layout
        value = json.dumps(OURS[name], indent=draw(st.sampled_from([None, 2, "\t"])))
        found.insert(draw(st.integers(0, len(found))), (f"{draw(SPACES)}{json.dumps(name)}:", value))
    return draw(SPACES) + "{", found, draw(SPACES) + "}" + draw(SPACES)


@settings(deadline=None)
@given(objects())
def test_merging_keeps_every_foreign_byte(standing: tuple[str, list[tuple[str, str]], str]) -> None:
    head, found, tail = standing
    text = head + ",".join(before + value for before, value in found) + tail
    merged = registration.merge(text, OURS)
    assert list(json.loads(merged).items()) == list((json.loads(text) | OURS).items())
    assert registration.merge(merged, OURS) == merged

    # Only a value of ours that differed may be another, and only at the end may something have come.
    stays = [key_of(m) not in OURS or OURS[key_of(m)] == json.loads(m[1]) for m in found]
    kept = ",".join(
        re.escape(before + value if same else before) + ("" if same else ".*")
        for (before, value), same in zip(found, stays, strict=True)
    )
    missing = OURS.keys() - {key_of(member) for member in found}
    if not found:
        tail = tail.lstrip(" \t\n\r")  # there was nothing in it; its space gives way to ours
    pattern = re.escape(head) + kept + (".*" if missing else "") + re.escape(tail)
    assert re.fullmatch(pattern, merged, re.DOTALL)
    if all(stays) and not missing:
        assert merged == text


@pytest.mark.parametrize(
    ("standing", "merged"),
    [
        ("{}", '{\n  "a": {\n    "k": "v"\n  }\n}'),
        (" { \n } \n", ' {\n  "a": {\n    "k": "v"\n  }\n} \n'),
        ('{"b": 1}', '{"b": 1, "a": {"k": "v"}}'),
        ('{"b":1,"c":[]}\n', '{"b":1,"c":[], "a": {"k": "v"}}\n'),
        ('{\n\t"b": 1\n}', '{\n\t"b": 1,\n\t"a": {\n\t\t"k": "v"\n\t}\n}'),
        ('{\r\n "b": 1\r\n}\r\n', '{\r\n "b": 1,\r\n "a": {\r\n  "k": "v"\r\n }\r\n}\r\n'),
        ('{\n    "b": 1\n\n\n}', '{\n    "b": 1,\n    "a": {\n        "k": "v"\n    }\n\n\n}'),
        ('{\n  "a": [2],\n\n  "b":1}', '{\n  "a": {\n    "k": "v"\n  },\n\n  "b":1}'),
        ('{"\\u0061" :{ "k":"v" } }', '{"\\u0061" :{ "k":"v" } }'),
        ('{"a": 1, "a": {"k": "v"}}', '{"a": {"k": "v"}, "a": {"k": "v"}}'),
    ],
)
def test_entries_follow_the_files_own_layout(standing: str, merged: str) -> None:
    assert registration.merge(standing, {"a": {"k": "v"}}) == merged


def test_two_runs_install_beside_foreign_entries_and_the_second_changes_nothing(tmp_path: Path) -> None:
    foreign = b'{\n  "identity": {\n    "file_name": "identity.json"\n  },\n  "caf\xc3\xa9":{"x":[1,2]}\n}'
    standing = tmp_path / "data" / "dataset_info.json"
    standing.parent.mkdir()
    standing.write_bytes(foreign)
    first = run(tmp_path, *NAMES)
    assert first.returncode == 0, first.stderr
    content = standing.read_bytes()
    assert content.startswith(foreign.removesuffix(b"\n}"))
    assert json.loads(content) == json.loads(foreign) | OURS
    assert json.loads((tmp_path / "work/publish/dataset_info.json").read_text()) == OURS

    os.utime(standing, (1, 1))
    assert run(tmp_path, *NAMES).returncode == 0
    assert standing.read_bytes() == content
    assert standing.stat().st_mtime == 1


def test_a_first_run_writes_our_entries_alone(tmp_path: Path) -> None:
    assert run(tmp_path, *NAMES).returncode == 0
    written = (tmp_path / "data/dataset_info.json").read_bytes()
    assert written == (tmp_path / "work/publish/dataset_info.json").read_bytes()
    assert json.loads(written) == OURS


def test_an_entry_of_ours_that_differs_is_replaced_and_named(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/dataset_info.json").write_text('{"text2image": {"file_name": "old.parquet"}, "b": 1}')
    done = run(tmp_path, "text2image")
    assert json.loads((tmp_path / "data/dataset_info.json").read_text()) == {
        "text2image": OURS["text2image"],
        "b": 1,
    }
    assert "'text2image' that stood there is replaced" in done.stderr


@pytest.mark.parametrize(
    "standing",
    [b"", b"[]", b'{"a": 1', b'{"a": 1,}', b'{"caf\xe9": 1}', b"\xef\xbb\xbf{}", b"[" * 100_000, b"null"],
    ids=["empty", "array", "cut", "comma", "latin-1", "bom", "deep", "null"],
)
def test_a_standing_file_that_is_no_json_object_fails_and_is_untouched(
    tmp_path: Path, standing: bytes
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/dataset_info.json").write_bytes(standing)
    done = run(tmp_path, *NAMES)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: data/dataset_info.json is not a JSON object (")
    assert "Traceback" not in done.stderr
    assert (tmp_path / "data/dataset_info.json").read_bytes() == standing
    assert not (tmp_path / "work").exists()
