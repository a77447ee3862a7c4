"""What a run comes to, from Snakemake's log events, and which lines they are worth."""

import json
import logging
import re
from pathlib import Path

import pytest
from conftest import ROOT

from prep.terminal.run_state import OTHER, STEPS, TARGETS, Notice, RunState, count_rows, step_of


class Run(RunState):
    """A state whose clock stands until it is set, fed by name."""

    def __init__(self, **options):
        self.time = 0.0
        super().__init__(lambda: self.time, **options)

    def say(self, event=None, level=logging.INFO, **fields):
        return self.take(event, level, fields)

    def begin(self, number, rule="convert_ocr", **fields):
        about = {"output": [], "log": [], "wildcards": {}, "shellcmd": "true"} | fields
        assert self.say("job_info", jobid=number, rule_name=rule, **about) == []


def test_jobs_are_counted_by_step():
    run = Run()
    run.say("run_info", stats={"all": 1, "list_shards": 2, "convert_ocr": 3, "convert_llava": 4, "total": 10})
    run.begin(1, "list_shards")
    run.begin(2, "convert_llava")
    run.say("job_finished", job_id=1)
    run.say("progress", done=1, total=10)
    steps = run.steps()
    assert list(steps) == ["list", "convert"]
    assert (steps["list"].jobs, steps["list"].done, steps["list"].running) == (2, 1, 0)
    assert (steps["convert"].jobs, steps["convert"].done, steps["convert"].running) == (7, 0, 1)
    assert (run.finished, run.total) == (1, 10)


def test_after_a_checkpoint_the_plan_is_counted_anew():
    run = Run()
    run.say("run_info", stats={"list_shards": 1, "total": 1})
    run.begin(1, "list_shards")
    run.say("job_finished", job_id=1)
    run.take_plan({"fetch_shard": 26, "convert_llava": 26})
    assert run.count_asking() == {}
    assert {name: step.jobs for name, step in run.steps().items()} == {"list": 1, "fetch": 26, "convert": 26}


def test_a_job_that_fails_is_one_line_with_the_end_of_its_log_and_where_that_is(tmp_path):
    log = tmp_path / "x.log"
    log.write_text("much\nerror: shard x: no column text; name it\n")
    run = Run()
    run.begin(7, log=[str(log)], wildcards={"source": "a", "shard": "x"})
    said = run.say(
        "job_error", logging.ERROR, jobid=7, rule_name="convert_ocr", log=[str(log)], rule_msg=None
    )
    assert said == [Notice("failure", f"convert_ocr a/x: shard x: no column text; name it (log: {log})")]
    assert run.steps()["convert"].failed == 1
    # Tried again, it counts as a failure no more.
    run.begin(7, log=[str(log)])
    assert (run.steps()["convert"].failed, run.steps()["convert"].running) == (0, 1)


def test_the_end_of_a_log_that_says_no_error_line_is_shown_if_it_is_wanted(tmp_path):
    log = tmp_path / "x.log"
    log.write_text("".join(f"line {n}\n" for n in range(100)) + "KeyError: 'x'\n")
    about = {"jobid": 7, "rule_name": "convert_ocr", "log": [str(log)], "rule_msg": "SLURM\n status: FAILED"}
    failure, tail = Run(show_logs=True).say("job_error", logging.ERROR, **about)
    assert failure.text == f"convert_ocr: SLURM status: FAILED (log: {log})"
    assert tail.text.splitlines()[0] == "line 81"
    assert tail.text.splitlines()[-1] == "KeyError: 'x'"
    assert Run(show_logs=False).say("job_error", logging.ERROR, **about) == [failure]


def test_what_a_log_holds_is_shown_as_text(tmp_path):
    log = tmp_path / "x.log"
    log.write_text("error: \x1b[2Jbad \x07 \x1b]0;title\x07name\n")
    about = {"jobid": 7, "rule_name": "convert_ocr", "log": [str(log)], "rule_msg": None}
    (failure,) = Run().say("job_error", logging.ERROR, **about)
    assert failure.text == f"convert_ocr: bad \\x07 name (log: {log})"


def test_a_log_that_is_not_there_is_named():
    about = {"jobid": 7, "rule_name": "convert_ocr", "log": ["logs/none.log"], "rule_msg": None}
    assert Run().say("job_error", logging.ERROR, **about) == [
        Notice("failure", "convert_ocr: it says nothing (log: logs/none.log)")
    ]


def test_rows_are_read_from_the_summaries_of_jobs_that_ended(tmp_path):
    part, broken = tmp_path / "part.json", tmp_path / "broken.json"
    part.write_text(json.dumps({"files": {"shard": {"rows": 24}, "rejects": {"rows": 3}}}))
    broken.write_text("{")
    run = Run()
    for number, path in enumerate([part, broken, tmp_path / "none.json"]):
        run.begin(number, output=["x.parquet", str(path)])
    assert run.steps()["convert"].kept == 0
    for number in range(3):
        run.say("job_finished", job_id=number)
    run.read_rows()
    step = run.steps()["convert"]
    assert (step.done, step.kept, step.rejected) == (3, 24, 3)
    assert count_rows({"files": {}, "kept": 5, "rejected": {"a": 1, "b": 2}}) == (5, 3)


def test_the_time_to_go_is_that_of_jobs_like_those_that_are_done():
    run = Run()
    run.say("run_info", stats={"convert_ocr": 10, "total": 10})
    for number in range(4):
        run.begin(number)
    assert run.steps()["convert"].seconds_left() is None
    run.time = 60
    run.say("job_finished", job_id=0)
    run.say("job_finished", job_id=1)
    assert run.steps()["convert"].seconds_left() == 8 * 60 / 2


@pytest.mark.parametrize(
    ("level", "text", "kinds"),
    [
        (logging.INFO, "Building DAG of jobs...", []),
        (logging.INFO, "Nothing to be done (all requested files are present).", ["message"]),
        (logging.INFO, "Creating conda environment envs/base.yaml...", ["message"]),
        (logging.WARNING, "Falling back to greedy scheduler", ["warning"]),
        (logging.ERROR, "MissingOutputException in rule x:\nno file", ["error"]),
        (logging.ERROR, "Exiting because a job execution failed. Look below", []),
    ],
)
def test_of_messages_only_those_are_shown_that_tell_something(level, text, kinds):
    assert [notice.kind for notice in Run().say(None, level, msg=text)] == kinds


def test_once_jobs_run_only_warnings_and_errors_are_shown():
    run = Run()
    run.say("run_info", stats={"convert_ocr": 1, "total": 1})
    assert run.say(None, logging.INFO, msg="Select jobs to execute...") == []
    assert len(run.say(None, logging.WARNING, msg="beware")) == 1
    run.say(None, logging.INFO, msg="Complete log(s): /x/y.log")
    assert run.log_file == "/x/y.log"
    assert [each.kind for each in run.say(None, logging.INFO, msg="Will exit after finishing")] == ["message"]
    assert run.interrupted
    # Snakemake says so again and again.
    assert run.say(None, logging.INFO, msg="Will exit after finishing") == []


def test_every_rule_has_a_step_or_is_a_target():
    files = [ROOT / "Snakefile", *sorted((ROOT / "rules").glob("*.smk"))]
    named = r"^(?:rule|checkpoint|use rule \w+ as) (\w+)"
    rules = {rule for path in files for rule in re.findall(named, Path(path).read_text(), re.MULTILINE)}
    assert len(rules) > 50
    assert {rule for rule in rules - TARGETS if step_of(rule) == OTHER} == set()
    assert rules >= TARGETS
    assert all(step_of(f"{beginning}x") in STEPS for step in STEPS.values() for beginning in step)


def test_jobs_that_ask_servers_are_counted_with_those_of_further_teachers():
    run = RunState(lambda: 0.0)
    run.take_plan({"answer_text": 10, "answer_text_small": 10, "judge_text": 9, "convert_llava": 3})
    assert run.count_asking() == {"answer_text": 20, "judge_text": 9}
