"""The journal: what one process wrote, any other finds, and nothing is misread."""

import hashlib
import json
import logging
import subprocess
import sys

import pytest

from prep.inference import journal as journal_module
from prep.inference.journal import Journal
from prep.runtime.program import UserError
from running import python_environment


def key(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


def test_a_record_is_found_by_its_writer_and_by_any_later_opener(tmp_path):
    record = {"content": "中文 \ud800 \u2028 \0\n", "usage": [1, 2], "none": None}
    with Journal(tmp_path) as journal:
        assert key(1) not in journal
        assert journal.get(key(1)) is None
        journal.append(key(1), record)
        assert journal.get(key(1)) == record
        with Journal(tmp_path) as other:
            assert key(1) in other
            assert other.get(key(1)) == record
            assert len(other) == 1


def test_nothing_is_written_before_the_first_record(tmp_path):
    with Journal(tmp_path / "new"):
        assert list((tmp_path / "new").iterdir()) == []


def test_each_process_has_a_file_of_its_own(tmp_path):
    with Journal(tmp_path) as one, Journal(tmp_path) as two:
        one.append(key(1), {"by": 1})
        two.append(key(2), {"by": 2})
    assert len(list(tmp_path.glob("*.jsonl"))) == 2
    with Journal(tmp_path) as both:
        assert [both.get(key(n)) for n in (1, 2)] == [{"by": 1}, {"by": 2}]


def test_the_line_is_json_with_version_and_key_in_front(tmp_path):
    with Journal(tmp_path) as journal:
        journal.append(key(1), {"a": [1]})
    (path,) = tmp_path.glob("*.jsonl")
    assert path.read_text() == f'{{"v":1,"key":"{key(1)}","record":{{"a":[1]}}}}\n'
    assert json.loads(path.read_text())["record"] == {"a": [1]}


@pytest.mark.parametrize("lost", range(1, 60, 7))
def test_a_torn_last_line_is_left_out_and_said(tmp_path, caplog, lost):
    with Journal(tmp_path) as journal:
        journal.append(key(1), {"whole": True})
        journal.append(key(2), {"torn": True})
    (path,) = tmp_path.glob("*.jsonl")
    path.write_bytes(path.read_bytes()[:-lost])
    caplog.set_level(logging.WARNING)
    with Journal(tmp_path) as journal:
        assert key(1) in journal
        assert key(2) not in journal
        assert f"{path}: its last line is torn" in caplog.text
        journal.append(key(2), {"again": True})
    with Journal(tmp_path) as journal:
        assert journal.get(key(2)) == {"again": True}


def test_a_line_with_a_hole_is_left_out_and_its_neighbours_are_not(tmp_path, caplog):
    with Journal(tmp_path) as journal:
        for n in range(3):
            journal.append(key(n), {"n": n})
    (path,) = tmp_path.glob("*.jsonl")
    first, second, third = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second[:90] + b"\0" * (len(second) - 91) + b"\n" + third)
    with Journal(tmp_path) as journal:
        assert [journal.get(key(n)) for n in range(3)] == [{"n": 0}, None, {"n": 2}]
    assert "a line with a hole is left out" in caplog.text


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (b'{"v":2,"key":"' + b"0" * 64 + b'","record":{}}', "of journal format 2;"),
        (b'{"v": 0, "k": 1}', "of journal format 0;"),
        (b'{"id": "row", "answer": "text"}', "that is not of a journal;"),
        (
            b'{"v":1,"key":"not hexadecimal at all, but as long as a key has to be, which is","record":{}}',
            "not",
        ),
    ],
)
def test_a_line_of_another_format_is_refused_by_name(tmp_path, line, word):
    with Journal(tmp_path) as journal:
        journal.append(key(1), {})
    (path,) = tmp_path.glob("*.jsonl")
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(UserError, match=word) as failure:
        Journal(tmp_path)
    assert str(path) in str(failure.value)
    assert "this program reads format 1" in str(failure.value)


def test_the_line_that_was_written_last_counts(tmp_path):
    with Journal(tmp_path) as journal:
        journal.append(key(1), {"n": 1})
        journal.append(key(1), {"n": 2})
        assert journal.get(key(1)) == {"n": 2}
    (path,) = tmp_path.glob("*.jsonl")
    path.rename(tmp_path / "20000101T000000Z-older.jsonl")
    with Journal(tmp_path) as journal:
        assert journal.get(key(1)) == {"n": 2}
        journal.append(key(1), {"n": 3})
    with Journal(tmp_path) as journal:
        assert journal.get(key(1)) == {"n": 3}


def test_lines_longer_than_what_is_read_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(journal_module, "CHUNK", 1000)
    monkeypatch.setattr(journal_module, "BUFFER", 300)
    records = {key(n): {"text": "x" * (n * 37 % 5000)} for n in range(200)}
    with Journal(tmp_path) as journal:
        for each, record in records.items():
            journal.append(each, record)
    with Journal(tmp_path) as journal:
        assert {each: journal.get(each) for each in records} == records


def test_more_files_than_are_kept_open(tmp_path, monkeypatch):
    monkeypatch.setattr(journal_module, "OPEN_FILES", 3)
    for n in range(10):
        with Journal(tmp_path) as journal:
            journal.append(key(n), {"n": n})
    with Journal(tmp_path) as journal:
        for n in [*range(10), *range(10)]:
            assert journal.get(key(n)) == {"n": n}
            assert len(journal._readers) <= 3


def test_what_a_killed_process_appended_is_there(tmp_path):
    program = (
        "import sys, os, signal\n"
        "from pathlib import Path\n"
        "from prep.inference.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1]))\n"
        f"journal.append({key(1)!r}, {{'text': 'x' * 100000}})\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", program, tmp_path]
    assert subprocess.run(command, env=python_environment(), check=False).returncode == -9
    with Journal(tmp_path) as journal:
        assert journal.get(key(1)) == {"text": "x" * 100000}
