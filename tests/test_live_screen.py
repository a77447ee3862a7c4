"""What stands on the live screen of a run, and how it is drawn."""

import io
import logging
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from conftest import ROOT
from rich.console import Console
from rich.text import Text

from prep.storage.atomic import write_json
from prep.terminal.artifacts import format_artifacts, list_next_steps, read_manifests, repeat_command
from prep.terminal.batches import StatsReader, forecast_rules
from prep.terminal.region import Region
from prep.terminal.run_state import Notice, RunState
from prep.terminal.screen import build_screen, format_end, format_left, format_line, format_notice
from terminal import Screen, Terminal

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def batch(**changed):
    """What a job that asks wrote last."""
    return {
        "server": "qwen3",
        "state": "running",
        "total": 10_000,
        "from_journal": 200,
        "answered": 1000,
        "failed": {"timeout": 3},
        "in_flight": 64,
        "limits": {"http://a": {"limit": 64, "reason": "ceiling"}},
        "requests_per_second": 1.5,
        "completion_tokens_per_second": 812.4,
        "seconds": 700.0,
        "eta_seconds": 5400,
        "updated": "2026-01-01T11:59:58Z",
    } | changed


@pytest.fixture
def state():
    """A run in its midst: 1,900 jobs in all steps, some of which run, and one that failed."""
    clock = iter(range(10_000))
    state = RunState(lambda: float(next(clock)))
    rules = [
        *("list_shards", "fetch_shard", "convert_llava", "read_questions", "probe_qwen3", "answer_text"),
        *("judge_text", "render_text", "assemble_artifact", "verify_artifact", "publish_report"),
    ]
    state.take("run_info", 20, {"stats": {rule: 170 for rule in rules} | {"total": 1870}})
    for number, rule in enumerate(3 * rules):
        about = {"output": [], "wildcards": {"x": f"llavaonevision_converted/ai2d_cauldron_{number}"}}
        state.take("job_info", 20, {"jobid": number, "rule_name": rule, **about})
        if number < 11:
            state.take("job_finished", 20, {"job_id": number})
    state.take("job_error", logging.ERROR, {"jobid": 13, "rule_name": "convert_llava"})
    state.take("progress", 20, {"done": 11, "total": 1870})
    state._kept["convert_llava"], state._rejected["convert_llava"] = 1_203_442, 12_004
    return state


def lines_of(content, width):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(content)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 200])
def test_the_screen_fits_and_says_what_counts(state, width):
    said = {f"answer_text/{number:05}": batch() for number in range(12)}
    lines = lines_of(build_screen(state, said, forecast_rules(said, {}), NOW, width, 24), width)
    assert len(lines) == 24
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert f"1 failed, {'1,203,442' if width == 200 else '1.20M'} kept, 12,004 rejected" in text
    assert "14,400 of 120,000 answered, 36 failed, 9,749 tokens/s, 1 h 30 min to go" in text
    assert "and 6 more" in text
    assert "64 (ceiling)" in text
    assert "1:30:00" in text
    assert ("qwen3" in text) == (width == 200)
    assert "11 of 1,870 jobs · 21 running · 1 failed" in lines[-1]
    assert sum("1/170" in line for line in lines) == 11


def test_on_a_low_window_the_steps_and_the_sum_are_left(state):
    said = {"answer_text/00000": batch()}
    lines = lines_of(build_screen(state, said, {}, NOW, 80, 14), 80)
    assert len(lines) == 14
    assert "of 1,870 jobs" in lines[-1]


def test_a_batch_that_says_nothing_more_is_called_silent(state):
    said = {"answer_text/00000": batch(updated="2026-01-01T10:00:00Z")}
    assert "silent for 2:00:00" in "\n".join(lines_of(build_screen(state, said, {}, NOW, 200, 40), 200))


def test_a_line_of_a_log_says_the_same(state):
    said = {"answer_text/00000": batch()}
    line = format_line(state, said, forecast_rules(said, {}), NOW)
    assert "11 of 1,870 jobs done, 21 running, 1 failed" in line
    assert "convert: 1,203,442 rows kept, 12,004 rejected" in line
    assert "1,200 of 10,000 answered, 3 failed, 812 tokens/s, 1 h 30 min to go" in line
    assert "\n" not in line
    assert format_end(state).startswith("failed: 11 of 1,870 jobs · 1 failed")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, ""), (0.2, "1 s"), (40, "40 s"), (750, "12 min"), (18_600, "5 h 10 min"), (273_600, "3 d 4 h")],
)
def test_time_to_go_is_as_precise_as_it_is_known(seconds, said):
    assert format_left(seconds) == said


def manifest(rows, **rejected):
    return {"rows": rows, "rejected": rejected, "bytes": 4_479_641}


def test_the_table_of_92_artifacts_fits_and_shows_what_kept_nothing_in_red():
    long = "llavaonevision_converted/visual7w_cauldron_llava_format_with_a_long_name"
    manifests = {f"{long}_{number}": manifest(number, text_empty=3) for number in range(92)}
    table = format_artifacts(manifests, width=80, colour=True)
    plain = Text.from_ansi(table).plain.splitlines()
    assert len(plain) == 94
    assert max(map(len, plain)) <= 80
    assert plain[2].split()[-2:] == ["0", "%"]
    assert "long_name_91 " in plain[-1]
    assert plain[-1].split()[-2:] == ["96.8", "%"]
    assert [number for number, line in enumerate(table.splitlines()) if "\x1b[31m" in line] == [2]
    # Elsewhere names are whole, and nothing is coloured.
    assert f"{long}_91 " in format_artifacts(manifests)
    assert "\x1b" not in format_artifacts(manifests)


def test_what_comes_next_names_the_files_of_the_build(tmp_path):
    data = tmp_path / "a b/data"
    for name in ("manifest/x.json", "report.html", "llamafactory/stage1.yaml", "llamafactory/stage3.yaml"):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text('{"rows": 1}')
    manifests = read_manifests(data, ["x", "not_built"])
    assert manifests == {"x": {"rows": 1}}
    steps = list_next_steps(data, manifests, "snakemake --cores 8")
    assert list(steps) == ["look", "verify", "upload", "train"]
    assert steps["look"] == f"{data}/report.html (in a browser)"
    assert steps["upload"].startswith("hf upload ORG/NAME '")
    assert steps["verify"] == "snakemake verify --cores 8"
    assert "stage1.yaml   (then stage3.yaml)" in steps["train"]
    # What the demo's model made is not to be trained on.
    assert list(list_next_steps(data, {"x": {"notice": "demo"}}, "snakemake")) == ["look", "verify"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("stage1 --cores 8 --logger live --configfile a.yaml b.yaml --notemp --directory=x",
         "--cores 8 --configfile a.yaml b.yaml --directory=x"),
        ("--cores 8 stage3 --logger live", "--cores 8"),
        ("-c8 -call -j 4 stage3 -d x -n", "-c8 -call -j 4 -d x"),
        ("stage3 -k --configfile a.yaml -C seed=1 b=2 --notemp", "--configfile a.yaml -C seed=1 b=2"),
        ("--sdm conda apptainer --keep-going all", "--sdm conda apptainer"),
    ],
)  # fmt: skip
def test_the_command_for_later_has_the_flags_that_say_which_build_is_meant(given, kept):
    assert repeat_command(".venv/bin/snakemake", given.split()) == f".venv/bin/snakemake {kept}"


def test_statistics_of_earlier_runs_are_left_out_and_files_read_once(tmp_path):
    (tmp_path / "answer_text").mkdir()
    path = tmp_path / "answer_text/00000.json"
    write_json(path, batch())
    assert StatsReader(tmp_path, since=path.stat().st_mtime + 1).read() == {}
    reader = StatsReader(tmp_path)
    (said,) = reader.read().values()
    assert said == batch()
    assert reader.read()["answer_text/00000"] is said


class Stream(io.StringIO):
    """A terminal of a given size; Region reads its size from a file descriptor otherwise."""

    encoding = "utf-8"

    def __init__(self, screen):
        super().__init__()
        self.screen = screen

    def write(self, text):
        self.screen.write(text.replace("\n", "\r\n"))
        return len(text)


@pytest.fixture
def drawn(monkeypatch):
    """A screen of 40 columns and 8 lines, and a region on it."""
    screen = Screen(40, 8)
    monkeypatch.setattr("os.get_terminal_size", lambda _: (screen.columns, screen.lines))
    monkeypatch.setattr(Stream, "fileno", lambda _: 2, raising=False)
    monkeypatch.setattr(Region, "_is_in_foreground", lambda _: True)
    return screen, Region(Stream(screen))


def test_lasting_lines_stand_above_the_region_and_it_goes_without_a_trace(drawn):
    screen, region = drawn
    screen.write("$ make\r\n")
    region.draw(Text("one\ntwo\nthree"))
    region.draw(Text("ONE\nTWO"))
    region.print(Text("failed: x"))
    assert screen.text == "$ make\nfailed: x\nONE\nTWO"
    region.clear()
    assert screen.text == "$ make\nfailed: x"


WRITES = """
import subprocess, sys, time
from prep.terminal.run_state import RunState
from prep.terminal.view import open_view
view = open_view(sys.stderr, RunState(time.monotonic), False, arguments=[])
view.take("run_info", 20, {"stats": {"probe_a": 1, "total": 1}})
subprocess.run("echo one line; printf begun >&2", shell=True)
time.sleep(1.5)
print("and another")
view.end()
print("after")
"""


def test_what_jobs_and_snakemake_write_stands_above_the_screen(tmp_path):
    terminal = Terminal()
    env = os.environ | {"PYTHONPATH": str(ROOT / "scripts"), "TERM": "xterm"}
    assert terminal.run([sys.executable, "-c", WRITES], tmp_path, env) == 0
    assert "probe" in terminal.raw
    lines = terminal.screen.text.splitlines()
    assert lines[:3] == ["one line", "begun", "and another"]
    assert lines[-2].startswith("done: 0 of 1 jobs")
    assert lines[-1] == "after"


def test_a_region_is_never_higher_than_the_window(drawn):
    screen, region = drawn
    for number in range(3):
        region.draw(Text("\n".join(f"line {line} of {number}" for line in range(20))))
    assert screen.scrolled == []
    region.clear()
    assert screen.text == ""


def test_a_window_that_becomes_narrower_leaves_no_lines_behind(drawn):
    screen, region = drawn
    for number in range(3):
        region.print(Text(f"failed: job {number}"))
    region.draw(Text("-" * 39 + "\n" + "=" * 39))
    screen.resize(20, 8)
    region.draw(Text("narrow\nregion"))
    assert screen.text == "failed: job 0\nfailed: job 1\nfailed: job 2\nnarrow\nregion"


def test_a_failure_is_one_line_of_text_however_long_and_whatever_is_in_it(drawn):
    screen, region = drawn
    region.print(format_notice(Notice("failure", "convert [red]x[/red] :smile: " + "y" * 60)))
    assert screen.text.replace("\n", "") == "failed  convert [red]x[/red] :smile: " + "y" * 60


def test_where_no_file_of_statistics_is_nothing_is_said(tmp_path):
    assert StatsReader(Path("nowhere")).read() == {}
