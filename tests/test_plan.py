"""The plan counts what is listed, what is due, and what a journal holds already."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import plan
from asked import CONFIG
from prep.inference.journal import Journal
from prep.inference.progress import Progress
from prep.inference.request import request_kind
from prep.reasoning.verdict import build_empty_prompt
from prep.records import ids, seeding
from prep.storage import parquet
from prep.storage.atomic import write_json
from prep.storage.schema import ANSWERS, QUESTIONS, VERDICTS
from running import run

PROMPT = "Is {answer} right? {question} {reference}"
PICTURES = "llavaonevision_converted/words"


def file(name: str, rows: int | None, take: int | None = None, size: int = 4_000_000_000) -> dict:
    return {"file": f"data/{name}", "bytes": size, "sha256": "0" * 64, "rows": rows, "take": take}


def listing(
    folder: Path,
    source: str,
    *files: dict,
    repo: str = "some/repo",
    commit: str | None = "c" * 40,
    missing: tuple[str, ...] = (),
) -> Path:
    path = folder / f"work/list_shards/{source}.json"
    head = {"source": source, "repo": repo, "revision": "main", "commit": commit}
    write_json(path, head | {"files": files, "missing": missing})
    return path


def about(**changes) -> dict:
    return {
        "converted": ["captions", PICTURES],
        "sampled": [PICTURES],
        "quotas": {PICTURES: 30},
        "questions": {"alpaca": None, "lines": 40},
        "text": {
            "teacher": "qwen3",
            "judge": "qwen3",
            "judge_votes": 1,
            "samples": 2,
            "no_think_share": 0.5,
            "sampling": {
                "thinking": {"temperature": 0.6},
                "no_thinking": {"top_k": 20},
                "judge": {"top_k": 2},
            },
            "request": {
                "thinking": {},
                "no_thinking": {"suffix": " /no_think"},
                "judge": {"suffix": " /no_think"},
            },
            "prompt": PROMPT,
        },
        "image": {
            "teacher": "glm41v",
            "judge": "glm41v",
            "judge_votes": 1,
            "samples": 1,
            "sampling": {"thinking": {}, "judge": {}},
            "request": {"thinking": {}, "judge": {}},
            "prompt": PROMPT,
        },
        "seed": 42,
        "models": {"qwen3": "Qwen", "glm41v": "GLM"},
        "rates": {
            "tokens": {
                "text_thinking": 100,
                "text_no_thinking": 10,
                "text_judge": 20,
                "image_thinking": 50,
                "image_judge": 5,
            },
            "tokens_per_gpu_second": {"qwen3": 1, "glm41v": 1},
            "picture_bytes": {"text2image": 1e6, "image_thinking": 1e6},
            "rows": {"some/lines": 400},
        },
    } | changes


def planned(folder: Path, **changes) -> tuple[dict[str, list[str]], list[list[str]]]:
    """The lines of the first table by artifact, and those of the second."""
    listings = [
        listing(
            folder, "captions", file("a.parquet", 100), file("b.parquet", 100, 50), file("c.parquet", None, 0)
        ),
        listing(folder, PICTURES, file("d.parquet", 25)),
        listing(folder, "alpaca", file("e.parquet", 10)),
        listing(folder, "lines", file("f.jsonl", None), repo="some/lines"),
    ]
    write_json(folder / "work/plan.json", about(**changes))
    done = run("plan.py", "--about", folder / "work/plan.json", "--listings", *listings, "--folder", folder)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.split("Requests;")
    tables = [[line.split() for line in text.splitlines()] for text in (first, second)]
    return {line[0]: line[1:] for line in tables[0] if line}, [line for line in tables[1] if line]


def test_what_is_fetched_written_and_asked(tmp_path):
    artifacts, requests = planned(tmp_path)
    # Two shards of 4 GB are fetched; of the second, half is read; the texts of converting come on top.
    assert artifacts["captions"] == ["2", "8", "150", "14.18"]
    assert artifacts[PICTURES] == ["1", "4", "25", "8.12"]
    assert artifacts["text2image"][1] == "75"
    counted = {(line[0], line[1]): line[3:] for line in requests if line[0] in ("text", "image")}
    assert counted["text", "thinking"] == ["100", "Qwen", "0", "100", "10,000", "2.78", "100"]
    assert counted["text", "no_thinking"][0] == "50"
    assert counted["text", "judge"][0] == "150"
    assert counted["image", "judge"][0] == "25"


def test_an_api_takes_tokens_and_no_gpus(tmp_path):
    rates = about()["rates"] | {"tokens_per_gpu_second": {"glm41v": 1}}
    _, requests = planned(tmp_path, rates=rates)
    lines = {(line[0], line[1]): line[3:] for line in requests if line[0] in ("text", "image")}
    assert lines["text", "thinking"] == ["100", "Qwen", "0", "100", "10,000", "100"]
    assert len(lines["image", "thinking"]) == 7


def test_what_requests_carry_besides_is_told(tmp_path):
    asked = about()["text"]
    asked["request"] = asked["request"] | {"thinking": {"system": "Think first."}}
    _, requests = planned(tmp_path, text=asked)
    assert [" ".join(line) for line in requests if "carries" in line] == [
        'text thinking carries besides: {"system": "Think first."}'
    ]


def test_each_of_several_teachers_is_asked_and_judged(tmp_path):
    text = about()["text"]
    own = {key: text[key] for key in ("sampling", "request")}
    several = {"text": text | {"teachers": {"qwen3": own, "glm41v": own}}}
    _, requests = planned(tmp_path, **several)
    asked = [line for line in requests if line[0] == "text"]
    assert [line[:4] for line in asked] == [
        [*("text", kind, server), count]
        for teacher in ("qwen3", "glm41v")
        for kind, server, count in (
            ("thinking", teacher, "100"),
            ("no_thinking", teacher, "50"),
            ("judge", "qwen3", "150"),
        )
    ]
    several["text"]["mix"] = "hash"
    _, requests = planned(tmp_path, **several)
    assert [line[3] for line in requests if line[0] == "text"] == ["50", "26", "76"] * 2


@pytest.mark.parametrize("mix", ["all", "hash"])
def test_the_server_whose_pass_rate_counts_is_asked_every_question_as_often_as_it_says(tmp_path, mix):
    text = about()["text"] | {"mix": mix}
    own = {key: text[key] for key in ("sampling", "request")}
    small = {"server": "small", "samples": 4}
    asked = text | {"teachers": {"qwen3": own, "small": own | small}, "pass_rate_server": small}
    models = about()["models"] | {"small": "Small"}
    _, requests = planned(tmp_path, text=asked, models=models)
    assert [line[2:4] for line in requests if line[0] == "text"] == [
        *(["qwen3", "100"], ["qwen3", "50"], ["qwen3", "150"]),
        # Two samples are asked of the teacher, and four of the other.
        *(["small", "200"], ["small", "100"], ["qwen3", "300"]),
    ]


def paid(journal: Journal, id_: str, mode: str, tokens: int, **changes) -> None:
    """Journal an answer, as is planned but for some changes."""
    sampling = about()["text"]["sampling"][mode]
    template = build_empty_prompt(PROMPT) if mode == "judge" else None
    answer, vote = ids.parse_vote_id(id_)
    of = (answer, "judge", vote) if mode == "judge" else ids.parse_answer_id(id_)
    asked = request_kind(mode, "Qwen", sampling, template) | {"seed": seeding.request_seed(42, *of)}
    record = {"id": id_, "asked": asked | changes, "tokens": [10, tokens]}
    journal.append(f"{len(journal):064x}", record)


def test_what_is_fetched_or_in_a_journal_is_taken_off(tmp_path):
    raw = tmp_path / "raw/captions/a.parquet"
    raw.parent.mkdir(parents=True)
    raw.touch()
    with Journal(tmp_path / "work/journal/qwen3") as journal:
        paid(journal, "q:1#thinking.0", "thinking", 30)
        paid(journal, "q:1#thinking.0", "judge", 31)
        paid(journal, "q:1#no_thinking.0", "no_thinking", 32)
        journal.append("f" * 64, {"id": "q:2#thinking.0", "tokens": [10, 30]})  # as lines were at first
    artifacts, requests = planned(tmp_path)
    assert artifacts["captions"][1] == "4"
    counted = {(line[0], line[1]): line[5:] for line in requests if line[0] == "text"}
    assert counted["text", "thinking"] == ["1", "99", "9,900", "2.75", "100", "40"]
    assert counted["text", "no_thinking"] == ["1", "49", "490", "0.14", "10", "42"]
    assert counted["text", "judge"] == ["1", "149", "2,980", "0.83", "20", "41"]


@pytest.mark.parametrize(
    ("votes", "to_ask"),
    [
        (3, 0),  # what failed, and what a rule spared, is not asked again
        (5, 2 * 3),  # two votes more on each answer that the judge was asked about
        (1, 0),
    ],
)
def test_votes_that_are_to_come_are_told_from_those_that_failed(votes, to_ask):
    ids = [f"q:{number}#thinking.0" for number in range(4)]
    batch = dict(zip(ids, ["answered", "answered", "rejected", "spared"], strict=True))
    paid = {ids[0]: {0, 1, 2}, ids[1]: {1, 2}, ids[2]: set()}  # the first vote on one failed, all on another
    paid = {id_: {vote for vote in held if vote < votes} for id_, held in paid.items()}
    settled = plan.count_settled_votes(batch, paid, votes)
    assert len(ids) * votes - sum(map(len, paid.values())) - settled == to_ask


def test_each_vote_of_the_judge_counts(tmp_path):
    with Journal(tmp_path / "work/journal/qwen3") as journal:
        paid(journal, "q:1#thinking.0", "thinking", 30)
        for id_ in ("q:1#thinking.0", "q:1#thinking.0.1", "q:2#thinking.0.2"):  # the last has no answer
            paid(journal, id_, "judge", 31)
    _, requests = planned(tmp_path, text=about()["text"] | {"judge_votes": 3})
    [judged] = [line for line in requests if line[:2] == ["text", "judge"]]
    assert [judged[3], *judged[5:7]] == ["450", "2", "448"]


@pytest.mark.parametrize(
    ("summary", "rows", "most", "count"),
    [
        (None, 50, 30, 30),
        (None, None, 30, 30),
        ({"rows": 12, "wanted": 20}, 50, 30, 12),  # no more can be drawn
        ({"rows": 12, "wanted": 20}, 50, 5, 5),
        ({"rows": 20, "wanted": 20}, 50, 30, 30),
        ({"rows": 20, "wanted": 20}, 25, 30, 25),
    ],
)
def test_samples_are_counted_as_the_config_asks_for_them(tmp_path, summary, rows, most, count):
    if summary:
        write_json(tmp_path / "a.json", {"files": {"samples": summary}, "wanted": summary["wanted"]})
    assert plan.count_pictures("a", rows, [tmp_path], most) == count


def test_what_a_million_questions_would_take_by_the_means_of_what_was_asked(tmp_path):
    line = {"what": "text", "server": "qwen3", "model": "Qwen"}
    lines = [
        line | {"kind": "thinking", "requests": 20, "tokens a request so far": 36.0},
        line | {"kind": "judge", "requests": 15, "tokens a request so far": None},
        line | {"what": "image", "kind": "thinking", "requests": 0, "tokens a request so far": 5.0},
        line | {"kind": "judge", "server": "api", "requests": 15, "tokens a request so far": 4.0},
    ]
    thinking, judge = plan.estimate_million(lines, about(), {"text": 20, "image": 0})
    assert (thinking["requests"], thinking["tokens"], thinking["GPU-hours"]) == (1_000_000, 36e6, 1e4)
    assert (judge["requests"], judge["tokens"], judge["GPU-hours"]) == (750_000, 3e6, None)
    artifacts = [{"artifact": "text2image", "rows so far": 17}, {"artifact": "captions", "rows so far": 3}]
    [said] = plan.say_kept(artifacts, {"text": 20, "image": 0})
    assert said == "text2image: 17 rows of 20 questions so far; a million would give about 850,000\n"


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ({"seed": 43}, (0, 0, 0)),
        ({"models": {"qwen3": "Qwen-next", "glm41v": "GLM"}}, (0, 0, 0)),
        ({"sampling": {"temperature": 0.1}}, (0, 1, 0)),  # the verdict was on the answer before
        ({"prompt": "Be strict. {question}"}, (1, 1, 0)),
    ],
)
def test_what_was_asked_in_another_way_is_asked_anew(tmp_path, change, left):
    with Journal(tmp_path / "work/journal/qwen3") as journal:
        paid(journal, "q:1#thinking.0", "thinking", 30)
        paid(journal, "q:1#thinking.0", "judge", 31)
        paid(journal, "q:1#no_thinking.0", "no_thinking", 32)
    text = about()["text"]
    if "sampling" in change:
        change = {"text": text | {"sampling": text["sampling"] | {"thinking": change["sampling"]}}}
    elif "prompt" in change:
        change = {"text": text | change}
    _, requests = planned(tmp_path, **change)
    found = {line[1]: int(line[5]) for line in requests if line[0] == "text"}
    assert (found["thinking"], found["no_thinking"], found["judge"]) == left


def test_a_finished_run_leaves_nothing_to_ask(tmp_path):
    """Rows that failed for good and answers that were rejected are neither asked again nor judged."""
    text = about()["text"] | {"samples": 1}
    ids = ["q:1#thinking.0", "q:1#no_thinking.0", "q:2#thinking.0"]
    chosen = {"q:1": True, "q:2": False}
    seed = next(s for s in range(99) if all(seeding.is_chosen(s, q, 0.5) == chosen[q] for q in chosen))
    questions = [dict.fromkeys(QUESTIONS.names) | {"id": q, "question": "?"} for q in ("q:1", "q:2")]
    parquet.write_rows(tmp_path / "work/read_questions/alpaca.parquet", questions, QUESTIONS)
    rejected = ["length", None, "bad_request"]  # a journaled answer without its form, a text, and no answer
    rows = [
        dict.fromkeys(ANSWERS.names) | {"id": id_, "text": None if reason else "text", "reason": reason}
        for id_, reason in zip(ids, rejected, strict=True)
    ]
    parquet.write_rows(tmp_path / "work/answer_text/00000.parquet", rows, ANSWERS)
    verdict = dict.fromkeys(VERDICTS.names) | {"id": ids[1], "verdict": "pass", "score": 4}
    parquet.write_rows(tmp_path / "work/judge_text/00000.parquet", [verdict], VERDICTS)
    with Journal(tmp_path / "work/journal/qwen3") as journal:
        paid(journal, ids[0], "thinking", 30, seed=seeding.request_seed(seed, "q:1", "thinking", 0))
        paid(journal, ids[1], "no_thinking", 30, seed=seeding.request_seed(seed, "q:1", "no_thinking", 0))
        paid(journal, ids[1], "judge", 30, seed=seeding.request_seed(seed, ids[1], "judge", 0))
    _, requests = planned(tmp_path, text=text, seed=seed, questions={"alpaca": None})
    counted = {line[1]: line[3:] for line in requests if line[0] == "text"}
    asked = {kind: (cells[0], cells[2], cells[3]) for kind, cells in counted.items()}
    assert asked == {"thinking": ("2", "1", "0"), "no_thinking": ("1", "1", "0"), "judge": ("1", "1", "0")}


def test_a_batch_whose_answers_were_all_rejected_is_not_judged(tmp_path):
    rows = [
        dict.fromkeys(ANSWERS.names) | {"id": f"q:{n}#thinking.0", "reason": "answer_malformed"}
        for n in (1, 2)
    ]
    parquet.write_rows(tmp_path / "00000.parquet", rows, ANSWERS)
    ids = {row["id"] for row in rows}
    assert list(plan.find_settled_batches(tmp_path, ids)) == [dict.fromkeys(ids, "rejected")]
    # Other answers were asked for in another way.
    assert list(plan.find_settled_batches(tmp_path, {"q:3#thinking.0"})) == []


def test_what_was_built_stands_beside_what_was_expected(tmp_path):
    write_json(tmp_path / "data/manifest/captions.json", {"rows": 140, "bytes": 5_500_000_000})
    artifacts, _ = planned(tmp_path)
    assert artifacts["captions"][-2:] == ["140", "5.50"]


def test_a_mirror_is_only_linked(tmp_path):
    path = listing(tmp_path, "captions", file("a.parquet", 100), commit=None)
    line = plan.plan_converted("captions", json.loads(path.read_text()), tmp_path / "data", tmp_path / "raw")
    assert (line["to fetch GB"], round(line["disk at the peak GB"], 2)) == (0, 4.12)


def test_files_of_pictures_that_rows_name_are_counted(tmp_path):
    rows = json.loads(listing(tmp_path, "captions", file("a.json", 100)).read_text())
    pictures = json.loads(listing(tmp_path, "captions@pictures", file("a.zip", 100)).read_text())
    alone = plan.plan_converted("captions", rows, tmp_path / "data", tmp_path / "raw")
    both = plan.plan_converted("captions", rows, tmp_path / "data", tmp_path / "raw", pictures)
    size = pictures["files"][0]["bytes"] / 1e9
    assert both["to fetch GB"] - alone["to fetch GB"] == pytest.approx(size)
    assert both["disk at the peak GB"] - alone["disk at the peak GB"] == pytest.approx(2 * size)


def test_rows_that_nothing_tells_are_one_line(tmp_path):
    with pytest.raises(plan.program.UserError, match=r"some/lines: .*plan\.rows"):
        plan.count_questions(
            "lines",
            json.loads(listing(tmp_path, "lines", file("f.jsonl", None), repo="some/lines").read_text()),
            [tmp_path],
            about(rates={"rows": {}}),
        )


def test_missing_files_are_named(tmp_path):
    names = tuple(f"data/train-{number:05}-of-00009.parquet" for number in range(1, 8))
    path = listing(tmp_path, "captions", file("a.parquet", 10), missing=names)
    (line,) = plan.list_missing_files([json.loads(path.read_text())])
    assert line.startswith(f"captions: files are missing: {names[0]}, ")
    assert line.endswith("and 2 more")


def test_what_servers_will_take_is_measured_once_enough_was_answered(tmp_path):
    servers = {"concurrency": "auto", "replicas": 1, "max_model_len": 8192, "gpus": 1, "starts": True}
    changes = {"servers": {"qwen3": servers, "glm41v": servers}, "questions": {"lines": None}}
    run_says = [line for line in planned(tmp_path, **changes)[1] if line[0] == "qwen3:"]
    assert " ".join(run_says[0]).endswith("(as assumed under plan)")
    with Journal(tmp_path / "work/journal/qwen3") as journal:
        for number in range(120):
            id_ = f"lines/{number}#thinking.0"
            kind = request_kind("thinking", "Qwen", about()["text"]["sampling"]["thinking"], None)
            seed = seeding.request_seed(42, f"lines/{number}", "thinking", 0)
            record = {"id": id_, "asked": kind | {"seed": seed}, "tokens": [10, 40]}
            journal.append(f"{number:064x}", record)
    throughputs = {"http://a/v1": {"tokens_per_second": 8.0, "is_counted": True}}
    said = Progress(replace(CONFIG, name="qwen3"), 60).snapshot()
    said |= {"throughputs": throughputs, "unfinished": {"thinking": {"20.0": 60}}}
    for batch in ("00000", "00001"):  # both see the whole server
        write_json(tmp_path / f"work/stats/answer_text/{batch}.json", said)
    (measured,) = [line for line in planned(tmp_path, **changes)[1] if line[0] == "qwen3:"]
    measured = " ".join(measured)
    assert "as measured on 120 answers; 120 in flight count as unfinished" in measured
    assert "at 10 tokens/s" in measured  # 8 written, and prompts of 10 beside answers of 40
    assert "0 starts" in measured


@pytest.mark.parametrize(("batch_size", "is_advised"), [(400, False), (100, True)])
def test_a_task_without_requests_has_no_line_and_one_batch_no_advice(tmp_path, batch_size, is_advised):
    server = {"concurrency": "auto", "replicas": 1, "max_model_len": 8192, "gpus": 1, "starts": True}
    text = about()["text"] | {"batch_size": batch_size}
    changes = {"servers": {"qwen3": server}, "questions": {"lines": None}, "sampled": [], "text": text}
    said = planned(tmp_path, **changes)[1]
    assert not [line for line in said if line[0] == "image"]
    assert [line[0] for line in said if line[0] == "qwen3:"] == ["qwen3:"]
    assert ("text_reasoning.batch_size:" in {line[0] for line in said}) == is_advised
    assert (["On", "a", "cluster,"] in [line[:3] for line in said]) == is_advised


def test_a_sum_of_what_is_not_known_is_empty():
    lines = [{"server": name, "requests": 5, "GPU-hours": None} for name in ("a", "b")]
    last = plan.format_table("T", lines, "in all", ["requests", "GPU-hours"]).splitlines()[-1]
    assert last.split() == ["in", "all", "10"]
