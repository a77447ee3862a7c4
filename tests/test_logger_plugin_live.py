"""The logger plugin `live` in real runs of Snakemake: on a terminal, elsewhere, interrupted, broken."""

import logging
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest
from conftest import ROOT
from snakemake_interface_logger_plugins.tests import MockOutputSettings, TestLogHandlerBase

from snakemake_logger_plugin_live import LogHandler, LogHandlerSettings
from terminal import Terminal
from workflow import SNAKEMAKE

SNAKEFILE = """
rule all:
    input: expand("out/{n}.txt", n=range(4))

rule convert_ocr:
    output: "out/{n}.txt"
    log: "logs/convert_ocr/{n}.log"
    shell: "echo something > {log}; sleep {config[seconds]}; echo x > {output}"

rule fetch_shard:
    output: "bad.txt"
    log: "logs/fetch_shard/bad.log"
    shell: "(echo something; echo 'error: bad.txt: the hub has no such file') > {log}; exit 1"

rule plan:
    shell: "sleep 2; echo a table of its own | tee plan.txt; printf 'a line that was begun' >&2; sleep 2"
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    return tmp_path


def environment(**changes):
    """The environment of a user who has the plugin, on a terminal with colours."""
    unset = ("NO_COLOR", "COLUMNS", "LINES")
    known = {name: value for name, value in os.environ.items() if name not in unset}
    return known | {"PYTHONPATH": str(ROOT / "scripts"), "TERM": "xterm-256color"} | changes


def command(*arguments, seconds=0):
    flags = ("--cores", "2", "--keep-going", "--show-failed-logs", "--logger=live")
    return [str(word) for word in (SNAKEMAKE, *arguments, *flags, "--config", f"seconds={seconds}")]


def run(folder, *arguments, **changes):
    """A run without a terminal."""
    return start(command(*arguments), folder, **changes)


def start(words, folder, **changes):
    env = environment(**changes)
    return subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=False)


def runs(screen):
    """Whether the screen shows jobs that run."""
    return re.search(r"convert +━+ +\d/4 +\d running", screen.text)


FAILURE = "failed  fetch_shard: bad.txt: the hub has no such file (log: logs/fetch_shard/bad.log)"


def test_on_a_terminal_a_run_is_one_screen_and_leaves_its_end(folder):
    terminal = Terminal(120, 30)
    seen = []
    code = terminal.run(
        command("all", "bad.txt", seconds=2),
        folder,
        environment(),
        until=runs,
        then=lambda terminal: seen.append(terminal.screen.text),
    )
    everything = terminal.screen.everything
    assert code == 1
    assert re.search(r"fetch +━+ +0/1", seen[0]), seen[0]
    assert everything.count("the hub has no such file") == 1
    assert FAILURE in everything
    assert "failed: 5 of 6 jobs · 1 failed" in everything
    assert ".snakemake.log" in everything
    # The screen itself is gone, and Snakemake's own lines never came.
    assert "━" not in everything
    assert "rule convert_ocr" not in everything
    assert "\x1b[" in terminal.raw
    (log,) = (folder / ".snakemake/log").glob("*.log")
    assert "rule convert_ocr" in log.read_text()


def test_without_a_terminal_it_is_a_few_plain_lines(folder):
    done = run(folder, "all", "bad.txt")
    assert done.returncode == 1
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0] == "6 jobs so far: fetch 1, convert 4"
    assert lines.count(FAILURE) == 1
    assert any(line.startswith("failed: 5 of 6 jobs · 1 failed") for line in lines)
    assert len(lines) <= 6
    assert "\x1b" not in done.stderr


def test_a_second_run_says_that_there_is_nothing_to_do(folder):
    assert run(folder).returncode == 0
    done = run(folder)
    assert done.returncode == 0
    assert done.stderr.startswith("Nothing to be done")


def test_no_color_is_respected(folder):
    terminal = Terminal()
    assert terminal.run(command(seconds=2), folder, environment(NO_COLOR="1")) == 0
    assert "━" in terminal.raw
    assert not re.search(r"\x1b\[(?:\d+;)*[349][0-9](?:;\d+)*m", terminal.raw)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_interrupted_leaves_the_terminal_whole(folder, number):
    """The screen fails at any sequence that would have to be undone; Terminal compares its settings."""
    (folder / "Snakefile").write_text(SNAKEFILE + STOP_SIGNALS)
    terminal = Terminal()
    terminal.run(
        command(seconds=3),
        folder,
        environment(),
        until=runs,
        then=lambda terminal: terminal.interrupt(number),
    )
    assert "━" not in terminal.screen.text
    assert "stopped: " in terminal.screen.text


STOP_SIGNALS = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from workflow_lib.stop_signals import end_at_signals, wait_for_locks_at_sigterm
end_at_signals()
onstart:
    wait_for_locks_at_sigterm()
"""  # as Snakefile and rules/common.smk have it


def test_a_window_that_becomes_narrower_is_drawn_anew(folder):
    terminal = Terminal(200, 30)
    code = terminal.run(
        command(seconds=2),
        folder,
        environment(),
        until=runs,
        then=lambda terminal: terminal.resize(80, 24),
    )
    assert code == 0
    assert "━" not in terminal.screen.everything
    assert terminal.screen.everything.count("done: ") == 1


def test_what_a_job_prints_on_the_terminal_stands_there(folder):
    terminal = Terminal()
    assert terminal.run(command("plan"), folder, environment()) == 0
    lines = terminal.screen.text.splitlines()
    assert lines[:2] == ["a table of its own", "a line that was begun"]
    assert "━" not in terminal.screen.text


@pytest.mark.parametrize("arguments", [("--dry-run",), ("--quiet",), ("--verbose", "--dry-run")])
def test_what_is_to_print_otherwise_prints_as_without_the_plugin(folder, arguments):
    other = shutil.copytree(folder, folder / "other")
    ours = run(folder, "all", *arguments)
    plain = [word for word in command("all", *arguments) if word != "--logger=live"]
    theirs = start(plain, other)
    assert ours.returncode == theirs.returncode == 0
    if "--verbose" not in arguments:
        assert [*map(lasting, (ours.stdout, ours.stderr))] == [*map(lasting, (theirs.stdout, theirs.stderr))]
    else:
        assert "rule convert_ocr" in ours.stdout + ours.stderr


def lasting(text):
    """Lines that do not tell of time, place, the run, or how many jobs began at once, each once and sorted.

    Snakemake takes jobs in the order of a set, and as many as are due at that moment.
    """
    unlike = r"Date:|ID:|\d:\d\d:\d\d|/|command line|Select jobs|Execute \d+ jobs"
    return sorted({line for line in text.splitlines() if not re.search(unlike, line, re.I)})


def test_without_rich_snakemake_prints_as_it_does_without(folder):
    broken = folder / "broken/rich"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('no rich here')\n")
    path = os.pathsep.join([str(folder / "broken"), str(ROOT / "scripts")])
    done = run(folder, PYTHONPATH=path)
    assert done.returncode == 0
    assert "no rich here" in done.stderr
    assert "rule convert_ocr" in done.stderr


class TestHandler(TestLogHandlerBase):
    """The tests that the interface has for every logger plugin."""

    __test__ = True

    def get_log_handler_cls(self):
        return LogHandler

    def get_log_handler_settings(self):
        return LogHandlerSettings()


def test_a_view_that_breaks_leaves_the_run_to_snakemake(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["snakemake"])
    settings = MockOutputSettings()
    settings.printshellcmds = False
    handler = LogHandler(settings, LogHandlerSettings())

    def fail(*_):
        raise ValueError("a bug")

    monkeypatch.setattr(handler.view.state, "take", fail)
    for message in ("one", "two"):
        handler.emit(logging.makeLogRecord({"msg": message, "levelno": 20, "levelname": "INFO"}))
    handler.close()
    said = capsys.readouterr().err.splitlines()
    assert said == ["--logger live failed: ValueError('a bug'); Snakemake prints from here on", "one", "two"]
    assert not handler.shows_failures
