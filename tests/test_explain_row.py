"""What `make why` says of a row, kept or rejected at any step, where work/ stands and where it is gone."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT
from test_picture_questions import OFF

import nasty
from containers import write_array, write_zip
from explain.answers import list_teachers
from explain.build_folder import BuildFolder
from explain.explanation import Explanation, explain_row
from explain.formatting import COLUMNS, format_text, wrap_text
from explain.row_lookup import Place, find_ids, read_row
from explain.rules import RULES, find_function
from explain.step import Step
from fault_server import Ask, FaultServer, Reply
from prep.inference.journal import Journal
from prep.records import seeding
from prep.records.reason import Reason
from prep.runtime.program import UserError
from running import Done, run
from scenery import paint
from teachers import VERDICT, teach
from workflow import Build, config

ESCAPE = "\x1b[2J\x1b]0;gone\x07"
TEXTS = [
    "Name the three largest rivers of South America and say where each of them meets the sea.",
    "Name the three biggest rivers of South America and say where each of them meets the sea.",
    "What is 6 times 7?",
    "  ",
    "Who FAILS here?",
    "Who is LOW here?",
    "Who is MALFORMED here?",
    f"Who sends ESCAPES {ESCAPE} here?",
    "Which sign is \ue000?",
    "Why is the sky blue?",
]
"""Questions by row: kept, duplicate, contaminated, empty, failed, low, malformed, kept, no glyph, kept."""
SEEN = [(1, "Which PAIR?"), (1, "which PAIR?"), (3, "Which?"), (4, "BLIND?"), (None, "Which?")]
"""Questions about pictures by row: kept, duplicate, contaminated, not needed, without a picture."""
CHATS = [
    ("photograph", ["<image>\nWhat is it?", "A field."]),
    ("photograph", ["<image>\nWhat is it?", "A field.", "And now?", "A field."]),
    (None, ["<image>\nWhat is it?", "Nothing."]),
    ("cut", ["<image>\nWhat is it?", "Half."]),
    ("photograph", ["<image> <image>", "Two."]),
    *[("photograph", [f"<image>\nWhat is number {number}?", "A field."]) for number in range(6)],
]
"""Conversations by row: eligible, several rounds, no picture, a cut one, two tags, six that are eligible."""

ABOUT_PICTURES = ("PAIR", "Which?", "BLIND", "What is it?", "What is number")


def answer(ask: Ask) -> Reply:
    """The stand-in of the teachers and the judge, who do what a question's words say."""
    content = ask.body["messages"][-1]["content"]
    text = content if isinstance(content, str) else content[-1]["text"]
    if "response_format" in ask.body:
        said = {"verdict": "fail", "score": 1} if "FAILS" in text or "a wrong answer" in text else VERDICT
        said = {"verdict": "pass", "score": 2} if "LOW" in text else said
        return Reply(content=json.dumps(said | {"reason": f"because {ESCAPE} of it", "grounded": True}))
    if "MALFORMED" in text:
        return Reply(content="no thought at all")
    is_blind = isinstance(content, str) and any(said in text for said in ABOUT_PICTURES)
    if is_blind and "BLIND" in text:
        return Reply(content="<think>\nhm\n</think>\n\nso")
    if ask.body["model"] == "other" or is_blind:
        return Reply(content="<think>\nhm\n</think>\n\na wrong answer")
    if "ESCAPES" in text and not text.endswith(" /no_think"):
        return Reply(content=f"<think>\nhm\n</think>\n\nred {ESCAPE} end\n" + "line\n" * 20)
    return teach(ask)


def write_hub(hub: Path) -> None:
    """A mirror with questions as texts and about pictures, and two sources of pictures."""
    write_array(hub / "org/one/data/train-0.json", [{"q": text, "a": "so"} for text in TEXTS])
    rows = [{"q": text, "a": "so", "picture": f"{row}.png"} for row, (_, text) in enumerate(SEEN)]
    write_array(hub / "org/seen/data/train-0.json", rows)
    pictures = {f"{row}.png": nasty.encoded(paint(seed), "PNG") for row, (seed, _) in enumerate(SEEN) if seed}
    write_zip(hub / "org/seen/images.zip", pictures)
    whole = nasty.encoded(nasty.photograph(30, 20), "PNG")
    data = {"photograph": whole, "cut": whole[: len(whole) // 2], None: None}
    turns = [
        (data[kind], [(("human", "gpt")[at % 2], text) for at, text in enumerate(texts)])
        for kind, texts in CHATS
    ]
    for shard in range(2):
        path = hub / f"org/chats/data/train-0000{shard}-of-00002.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(nasty.llava(turns), path, row_group_size=4)
    named = [{"pic": f"{row}.png", "txt": "A field."} for row in range(2)]
    write_array(hub / "org/named/data/train.json", named)
    write_zip(hub / "org/named/images.zip", {"0.png": whole})


def configure(folder: Path, base_url: str) -> dict[str, Any]:
    """The config of all that `write_hub` writes."""
    about = {"revision": "main", "stage": 2}
    chats = {"repo": "org/chats", "form": "llava", "max_samples": len(CHATS), "image_reasoning": True}
    named = {"repo": "org/named", "form": "caption", "prompts": ["Describe it."], "files": ["data/*.json"]}
    named |= {"columns": {"image": "pic", "text": "txt"}, "pictures": {"files": ["images.zip"]}}
    asked = {"revision": "main", "question": ["q"], "reference": "a"}
    seen = asked | {"repo": "org/seen", "image": "picture", "pictures": {"files": ["images.zip"]}}
    own = config(
        base_url,
        hub={"mirror": str(folder / "hub")},
        onevision=None,
        sources=dict.fromkeys(OFF) | {"my/chats": about | chats, "named": about | named},
        text_reasoning={
            "sources": [asked | {"repo": "org/one"}, seen],
            "duplicates": "near",
            "samples": 2,
            "no_think_share": 0.5,
            "judge": {"server": "qwen3", "votes": 3},
        },
        image_reasoning={
            "duplicates": "near",
            "blind_check": "filter",
            "teachers": ["glm41v", "second"],
            "quotas": {"my/chats": 3},
            "keep_failed": False,
        },
        decontaminate={"questions": ["eval/sums.jsonl"], "pictures": ["eval/pictures"]},
        max_failed_share=1,
    )
    own["servers"]["second"] = own["servers"]["qwen3"] | {"model": "other"}
    (folder / "build/eval/pictures").mkdir(parents=True)
    paint(3).resize((240, 180)).save(folder / "build/eval/pictures/a.jpg")
    (folder / "build/eval/sums.jsonl").write_text(json.dumps({"question": "what is 6 times 7"}) + "\n")
    return own


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Build]:
    """Everything, built once."""
    folder = tmp_path_factory.mktemp("explained")
    write_hub(folder / "hub")
    with FaultServer(answer, slots=16, models=("model", "other")) as server:
        build = Build(folder / "build", configure(folder, server.base_url))
        done = build.run("stage2", "stage3", "--quiet", "progress")
        assert done.returncode == 0, done.output[-4000:]
        yield build


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """One artifact of a run that went no further, as a folder of small files."""
    folder = tmp_path_factory.mktemp("sharded")
    write_hub(folder / "hub")
    build = Build(folder / "build", configure(folder, "http://127.0.0.1:9/v1"))
    build.config["output"] = {"shard_bytes": 8000}
    done = build.run("data/manifest/my/chats.json", "--quiet", "progress")
    assert done.returncode == 0, done.output[-4000:]
    return build


def explain(build: Build, id_: str) -> Explanation:
    return explain_row(BuildFolder(build.folder), id_)


def steps_of(found: Explanation) -> dict[str, Step]:
    return {step.name: step for step in found.steps}


def outcomes(found: Explanation) -> dict[str, str]:
    return {step.name: step.outcome for step in found.steps}


def why(folder: Path, id_: str, *more: object) -> Done:
    return run("explain_row.py", "--id", id_, "--folder", folder, *more)


def every_row(build: Build) -> list[tuple[str, str, str | None]]:
    """Each row of data/: its artifact, its id, and the reason of one that was rejected."""
    found = []
    for name in ("my/chats", "named", "text2image", "image_thinking"):
        kept = pq.read_table(build.folder / f"data/{name}.parquet", columns=["id"]).column("id").to_pylist()
        rejects = pq.read_table(build.folder / f"data/rejects/{name}.parquet").to_pylist()
        found += [(name, id_, None) for id_ in kept]
        found += [(name, row["id"], row["reason"]) for row in rejects]
    return found


def test_the_build_has_rows_of_every_kind(built: Build) -> None:
    kinds = {(name, reason) for name, _, reason in every_row(built)}
    assert kinds == {
        *((name, None) for name in ("my/chats", "named", "text2image", "image_thinking")),
        *(("my/chats", each) for each in ("image_missing", "image_unreadable", "several_image_tags")),
        ("named", "image_missing"),
        *(("text2image", each) for each in ("duplicate", "contaminated", "question_empty", "judge_fail")),
        *(("text2image", each) for each in ("low_score", "answer_malformed", "missing_glyph", "not_best")),
        *(("image_thinking", each) for each in ("duplicate", "contaminated", "image_missing")),
        *(("image_thinking", each) for each in ("judge_fail", "picture_not_needed")),
    }


def test_every_row_is_where_it_is_said_to_be_and_was_decided_where_it_is_said(built: Build) -> None:
    for name, id_, reason in every_row(built):
        found = explain(built, id_)
        [fate] = [each for each in found.fates if (each.id, each.artifact) == (id_, name)]
        assert fate.reason == reason
        assert read_row(fate.facts["at"], ["id"]) == {"id": id_}
        assert found.absence is None
        assert not found.notes
        # Each place holds the row, or its question, or its answer as its teacher was asked.
        places = [step.facts["at"] for step in found.steps if isinstance(step.facts.get("at"), Place)]
        question = id_.partition("#")[0]
        assert places
        assert {read_row(place, ["id"])["id"].partition("#")[0] for place in places} == {question}
        ends = [step for step in found.steps if step.outcome.startswith("rejected")]
        if reason is None:
            ends = [step for step in ends if f"#{step.facts.get('mode')}" in id_]
            assert not [step for step in ends if step.facts.get("answer", id_) == id_ and "#" in id_]
        else:
            assert ends[-1].outcome in (f"rejected: {reason}", "rejected: judge_unclear")
            assert ends[-1].facts["decided by"] == find_function(
                ends[-1].name.removesuffix("_second"), reason
            )


def test_a_kept_row_of_a_source(built: Build) -> None:
    found = explain(built, "my/chats/train-00000-of-00002:0")
    fate, raw = found.fates[0], built.folder.parent / "hub/org/chats/data/train-00000-of-00002.parquet"
    picture = pq.read_table(raw).column("image").to_pylist()[0]["bytes"]
    assert fate.facts["pictures"] == [
        f"PNG 30x20, {len(picture) / 1000:.1f} kB, a.jpg, sha256 {hashlib.sha256(picture).hexdigest()}"
    ]
    assert (fate.facts["turns"], fate.facts["assistant"]) == (2, ["A field."])
    assert found.origin["repository"] == "org/chats, main"
    assert found.origin["commit"] == "none: from a mirror"
    assert found.origin["file"] == "data/train-00000-of-00002.parquet"
    assert found.origin["row"] == f"0 of {len(CHATS)}"
    assert found.origin["file sha256"] == hashlib.sha256(raw.read_bytes()).hexdigest()
    assert list(outcomes(found))[:3] == ["list_shards", "fetch_shard", "convert_llava"]
    assert steps_of(found)["convert_llava"].facts["rule"] == (
        "convert_llava in rules/convert.smk: scripts/convert_llava.py"
    )


def test_a_rejected_row_of_a_source_shows_its_picture(built: Build) -> None:
    cut = explain(built, "my/chats/train-00000-of-00002:3")
    [fate] = cut.fates
    assert fate.reason == "image_unreadable"
    assert fate.facts["decided by"] == "convert_llava: prep.convert.shard.find_pictures_rejection"
    assert list(outcomes(cut)) == ["list_shards", "fetch_shard", "convert_llava", "assemble_artifact"]
    [picture] = steps_of(cut)["convert_llava"].facts["pictures"]
    assert "sha256 " in picture
    null = steps_of(explain(built, "my/chats/train-00000-of-00002:2"))["convert_llava"]
    assert null.facts["pictures"] == ["null"]
    gone = steps_of(explain(built, "named/train:1"))["convert_caption"]
    assert gone.outcome == "rejected: image_missing"
    assert "1.png" in gone.facts["detail"]


def test_what_is_drawn_for_the_teacher_of_pictures(built: Build) -> None:
    said = {row: explain(built, f"my/chats/train-00000-of-00002:{row}") for row in (0, 1, *range(5, 11))}
    drawn = {row for row, found in said.items() if outcomes(found)["sample_images"] == "drawn"}
    samples = pq.read_table(built.folder / "work/sample_images/my/chats.parquet").column("id").to_pylist()
    assert drawn == {int(id_.rpartition(":")[2]) for id_ in samples}
    assert len(drawn) == 3
    others = {outcomes(found)["sample_images"] for row, found in said.items() if row not in drawn}
    assert all(outcome.startswith("not drawn: ") for outcome in others)
    hashes = {row: seeding.hash_names(42, "sample", f"my/chats/train-00000-of-00002:{row}") for row in said}
    is_small = hashes[1] < max(hashes[row] for row in drawn)
    assert ("several rounds" in outcomes(said[1])["sample_images"]) == is_small
    for row in drawn:
        answers = [fate for fate in said[row].fates if fate.artifact == "image_thinking"]
        assert {fate.id.rpartition(".")[2] for fate in answers} == {"0", "1"}
        assert {fate.reason for fate in answers} == {None, "judge_fail"}


def test_a_question_that_is_rejected_before_it_is_asked(built: Build) -> None:
    twin = explain(built, "one/train-0:1")
    assert twin.fates[0].reason == "duplicate"
    assert steps_of(twin)["filter_text"].facts["twin"] == "one/train-0:0"
    assert f"make why ID=one/train-0:0 FOLDER={built.folder}" in twin.commands
    assert list(outcomes(twin))[-2:] == ["filter_text", "assemble_artifact"]
    leaked = steps_of(explain(built, "one/train-0:2"))["filter_text"]
    assert leaked.outcome == "rejected: contaminated"
    assert leaked.facts["evaluation set"].endswith("eval/sums.jsonl")
    seen = steps_of(explain(built, "seen/train-0:2"))["filter_image"]
    assert seen.facts["evaluation set"].endswith("eval/pictures")
    empty = explain(built, "one/train-0:3")
    assert outcomes(empty)["read_questions"] == "rejected: question_empty"
    assert empty.origin["file"] == "data/train-0.json"


def test_an_answer_tells_its_request_and_where_its_journal_has_it(built: Build) -> None:
    found = explain(built, "one/train-0:9#thinking.1")
    asked = steps_of(found)["answer_text"].facts
    assert (asked["teacher"], asked["mode"], asked["sample"]) == ("qwen3, model model", "thinking", 1)
    assert asked["finish"] == "stop"
    [line] = asked["journal"]
    file, offset, key = re.fullmatch(r"(.*), byte (\d+), key ([0-9a-f]{64})", line).groups()
    with Path(file).open("rb") as opened:
        opened.seek(int(offset))
        record = json.loads(opened.readline())
    assert record["key"] == key
    assert (record["record"]["id"], record["record"]["asked"]["seed"]) == (found.id, asked["seed"])
    with Journal(built.folder / "work/journal/qwen3") as journal:
        assert journal.get(key) == record["record"]
    judged = steps_of(found)["judge_text"].facts
    assert len(judged["journal"]) == 3
    assert judged["votes"] == "3 of 3 pass"
    assert judged["judge's reason"].startswith("because ")
    assert steps_of(found)["batch_questions"].outcome == "in batch 00000"


def test_an_answer_that_another_sample_beat(built: Build) -> None:
    found = explain(built, "one/train-0:9#thinking.1")
    assert found.fates[0].reason == "not_best"
    selected = steps_of(found)["render_text"].facts
    assert selected["kept instead"] == "one/train-0:9#thinking.0"
    assert f"make why ID='one/train-0:9#thinking.0' FOLDER={built.folder}" in found.commands


def test_a_page_tells_its_look(built: Build) -> None:
    found = explain(built, "one/train-0:9#thinking.0")
    look = steps_of(found)["render_text"].facts["look"]
    [command] = [line for line in found.commands if line.startswith("make pages")]
    done = subprocess.run(
        f"{command} FOLDER={built.folder.parent / 'pages'}",
        shell=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"; {look}; " in done.stdout


@pytest.mark.parametrize(
    ("row", "last", "outcome", "function"),
    [
        (4, "judge_text", "fail, score 1", None),
        (5, "render_text", "rejected: low_score", "prep.reasoning.samples.select_answers"),
        (6, "answer_text", "rejected: answer_malformed", "prep.reasoning.answer_format.parse_answer"),
        (8, "render_text", "rejected: missing_glyph", "prep.rendering.typeset.Typesetter.render"),
    ],
)
def test_an_answer_that_is_rejected(
    built: Build, row: int, last: str, outcome: str, function: str | None
) -> None:
    found = explain(built, f"one/train-0:{row}#thinking.0")
    step = steps_of(found)[last]
    assert step.outcome == outcome
    assert function in (None, step.facts["decided by"])
    if row == 6:  # what the teacher said is in the journal alone
        assert step.facts["text"] == ["no thought at all"]
        assert "judge_text" not in outcomes(found)


def test_answers_of_further_teachers_are_found_by_the_numbers_of_training_rows(built: Build) -> None:
    found = explain(built, "seen/train-0:0#thinking.1")
    assert found.fates[0].reason == "judge_fail"
    asked = steps_of(found)["answer_image_second"]
    assert (asked.facts["teacher"], asked.facts["sample"]) == ("second, model other", 0)
    assert asked.facts["rule"] == "answer_image_second in rules/teachers.smk: scripts/answer_image.py"
    assert asked.facts["at"].file.name == "00000.second.parquet"
    assert steps_of(found)["judge_image_second"].outcome == "fail, score 1"
    assert steps_of(found)["judge_image_second"].facts["grounded"] is True
    assert len(steps_of(found)["judge_image_second"].facts["journal"]) == 1


def test_a_server_whose_pass_rate_alone_counts_is_no_teacher(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    folder = BuildFolder(tmp_path)
    asked = {"teachers": {"one": {}, "rated": {}}, "samples": 2, "mix": "all"}
    folder.plan = {"text": asked | {"pass_rate_server": {"server": "rated"}}, "image": asked}
    assert [teacher.name for teacher in list_teachers(folder, "text")] == ["one"]
    assert [teacher[1:] for teacher in list_teachers(folder, "image")] == [("", 0), (".rated", 2)]


def test_the_check_without_the_picture(built: Build) -> None:
    found = explain(built, "seen/train-0:3#thinking.0")
    assert found.fates[0].reason == "picture_not_needed"
    assert steps_of(found)["answer_blind"].facts["mode"] == "blind"
    assert steps_of(found)["answer_blind"].facts["journal"][0].startswith(str(built.folder))
    assert steps_of(found)["select_image"].facts["decided by"] == "prep.reasoning.blind_check.find_needs"


def test_a_question_tells_of_all_its_answers(built: Build) -> None:
    found = explain(built, "one/train-0:9")
    assert {fate.id.partition("#")[0] for fate in found.fates} == {"one/train-0:9"}
    assert {fate.reason for fate in found.fates} == {None, "not_best"}
    asked = [step for step in found.steps if step.name == "answer_text"]
    assert [step.facts["answer"] for step in asked] == [
        f"one/train-0:9#{mode}.{sample}"
        for mode in dict.fromkeys(step.facts["mode"] for step in asked)
        for sample in range(2)
    ]


def test_rows_that_were_never_read_or_asked(built: Build) -> None:
    found = explain(built, "my/chats/train-00001-of-00002:4")
    assert (found.fates, found.absence) == ([], f"list_shards: {outcomes(found)['list_shards']}")
    assert found.absence.startswith("list_shards: not read: it is beyond the rows")
    assert "counted from 0" in explain(built, "one/train-0:9#thinking.2").absence
    plain = {row for row in range(10) if not explain_fates(built, f"one/train-0:{row}#no_thinking.0")}
    unasked = [
        explain(built, f"one/train-0:{row}#no_thinking.0").absence for row in sorted(plain - {1, 2, 3})
    ]
    assert unasked
    assert all("no_think_share 0.5" in absence for absence in unasked)
    assert explain(built, "one/train-0:1#thinking.0").absence == "filter_text: rejected: duplicate"


def explain_fates(build: Build, id_: str) -> list[Any]:
    return explain(build, id_).fates


def test_an_artifact_of_shards_and_a_run_that_went_no_further(sharded: Build) -> None:
    files = sorted((sharded.folder / "data/my/chats").glob("*.parquet"))
    assert len(files) > 2
    for file in files:
        for row, id_ in enumerate(pq.read_table(file, columns=["id"]).column("id").to_pylist()):
            found = explain(sharded, id_)
            assert [fate.facts["at"] for fate in found.fates] == [Place(file, row)]
            assert outcomes(found)["sample_images"] == "not known"
            assert "(not built, or deleted)" in steps_of(found)["answer_image"].facts["missing"]
    with pytest.raises(UserError, match=r"one/train-0:4: no row or question of .* has this id"):
        explain(sharded, "one/train-0:4")


@pytest.mark.parametrize("gone", ["work", "data", "work/plan.json", "raw", "work/answer_text", "logs"])
def test_what_is_gone_is_said_and_the_rest_is_told(built: Build, tmp_path: Path, gone: str) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(built.folder, folder, symlinks=True, ignore=shutil.ignore_patterns(".snakemake"))
    there = folder / gone
    shutil.rmtree(there) if there.is_dir() else there.unlink()
    kept, answered, failed = (
        why(folder, id_)
        for id_ in ("my/chats/train-00000-of-00002:0", "one/train-0:9#thinking.0", "one/train-0:4#thinking.0")
    )
    for done in (kept, answered, failed):
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
    if gone != "data":
        assert "kept in my/chats" in kept.stdout
        assert "kept in text2image" in answered.stdout
        assert "rejected from text2image: judge_fail" in failed.stdout
        assert "The judge said `fail`." in failed.stdout
    else:
        assert "not in data/" in answered.stdout
        assert "fail, score 1" in failed.stdout
    if gone.startswith("work"):
        assert "not there" in answered.stdout or "(not built, or deleted)" in answered.stdout
    if gone == "work/plan.json":
        assert re.search(r"teacher +qwen3$", answered.stdout, re.MULTILINE)
        assert not re.search("^    seed ", answered.stdout, re.MULTILINE)


def test_a_broken_file_is_named_and_the_rest_is_told(built: Build, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(built.folder, folder, symlinks=True, ignore=shutil.ignore_patterns(".snakemake"))
    (folder / "work/compare_text/00000.parquet").write_bytes(b"PAR1 torn")
    (folder / "work/plan.json").write_text("{")
    done = why(folder, "one/train-0:9#thinking.0")
    assert done.returncode == 0, done.stderr
    assert "kept in text2image" in done.stdout
    broken = done.stdout.partition("what could not be read")[2]
    assert "work/compare_text/00000.parquet: cannot be read" in broken
    assert "work/plan.json: cannot be read" in broken


def test_lines_fit_a_terminal_and_escapes_are_shown_as_text(built: Build) -> None:
    done = why(built.folder, "one/train-0:7#thinking.0")
    assert done.returncode == 0, done.stderr
    assert "red  end" in done.stdout
    assert re.search(r"… \(\d+ more lines\)", done.stdout)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", done.stdout)
    wide = [line for line in done.stdout.splitlines() if len(line) > COLUMNS]
    assert all(str(built.folder) in line for line in wide)


def test_json_is_the_same(built: Build) -> None:
    id_ = "seen/train-0:0#thinking.0"
    told = json.loads(why(built.folder, id_, "--json").stdout)
    found = explain(built, id_)
    assert told["id"] == id_
    assert [step["step"] for step in told["steps"]] == [step.name for step in found.steps]
    at = found.fates[0].facts["at"]
    assert told["fates"][0]["at"] == {
        "file": str(built.folder / "data/image_thinking.parquet"),
        "row": at.row,
    }
    assert [step["sample"] for step in told["steps"] if step["step"] == "answer_image"] == [0]
    assert "\x1b" not in json.dumps(told)


@pytest.mark.parametrize(
    ("id_", "line"),
    [
        ("", "which row? ID=… says it, such as alpaca/train-00000-of-00001:3"),
        ("what", "what: is no id: NAME/FILE:ROW for a row of an artifact or a question"),
        ("chats/train-00000-of-00002:3", "has this id; near it: my/chats/train-00000-of-00002:3"),
        ("my/chat/train-00000-of-00002:99", "near it: my/chats/train-00000-of-00002:10"),
        ("my/chats/train-00000-of-00003:3", "near it: my/chats/train-0000"),
        ("my/chats/train-00000-of-00002:11", "data/train-00000-of-00002.parquet has 11 rows, counted from 0"),
        ("one/train-0:10#thinking.0", "data/train-0.json has 10 rows, counted from 0"),
        (f"x{ESCAPE}/y:1", "x/y:1: no row or question of"),
        ("../../etc/passwd:1", "no row or question of"),
        ("//x:1", "//x:1: is no id: NAME/FILE:ROW"),
        ("x/y:" + "9" * 5000, ": is no id: NAME/FILE:ROW"),
        ("x/y:1#thinking." + "9" * 5000, ": is no id: NAME/FILE:ROW"),
        ("x/" + "y" * 300 + ":1", ": is no id: NAME/FILE:ROW"),
    ],
)
def test_an_id_that_does_not_exist_is_one_line(built: Build, id_: str, line: str) -> None:
    done = why(built.folder, id_)
    assert (done.returncode, done.stdout) == (1, "")
    [told] = done.stderr.splitlines()
    assert told.startswith("error: ")
    assert line in told


def test_a_folder_without_a_build_is_one_line(tmp_path: Path) -> None:
    done = why(tmp_path, "a/b:1")
    assert done.returncode == 1
    assert done.stderr == (
        f"error: {tmp_path}: no build, neither data/ nor work/ is there; FOLDER=… says where one is\n"
    )


def test_make_takes_the_id_and_the_folder(built: Build) -> None:
    words = ["ID=one/train-0:4#thinking.0", f"FOLDER={built.folder}", "JSON=1"]
    done = subprocess.run(
        ["make", "--silent", "why", *words],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["fates"][0]["reason"] == "judge_fail"


def test_a_large_journal_is_not_searched_and_the_command_is_told(
    built: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("explain.build_folder.SEARCHED_BYTES", 10)
    found = explain(built, "one/train-0:9#thinking.0")
    _, command = steps_of(found)["answer_text"].facts["journal"]
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    [line, *_] = [line for line in done.stdout.splitlines() if '"mode":"thinking"' in line]
    assert json.loads(line.partition(".jsonl:")[2])["record"]["id"] == "one/train-0:9#thinking.0"


def test_every_rule_and_function_that_is_named_is_there() -> None:
    rules = {path: path.read_text(encoding="utf-8") for path in ROOT.glob("rules/*.smk")}
    functions = {rule.function for rule in RULES.values()}
    functions |= {find_function(rule, reason) for rule in RULES for reason in Reason}
    for name, rule in RULES.items():
        text = rules[ROOT / rule.file]
        assert re.search(rf"^ *(?:rule|checkpoint) {name}:| as {name} with:", text, re.MULTILINE), name
        assert (ROOT / "scripts" / rule.program).is_file()
    for function in functions:
        assert resolve_name(function), function


def test_chinese_letters_take_two_columns() -> None:
    assert wrap_text("问题" * 6, 10) == ["问题问题问", "题问题问题", "问题"]
    assert wrap_text("one two  three", 8) == ["one two", "three"]
    assert wrap_text("", 8) == [""]


def test_a_text_has_a_line_for_each_fact() -> None:
    found = Explanation(
        "a/b:1", [], "it is not there", {"row": 1}, [Step("s", "kept", {"x": None, "y": [1.5]})]
    )
    assert format_text(found).splitlines() == [
        *("a/b:1", "", "not in data/: it is not there", "", "where it is from", f"    {'row':<18}1"),
        *("", "what each step decided", "  s: kept", f"    {'y':<18}1.5"),
    ]


def test_rows_are_found_where_statistics_are_lacking(tmp_path: Path) -> None:
    ids = [f"a/b:{number}" for number in range(1000)]
    table = pa.table({"messages": [[{"content": "c"}]] * 1000, "id": ids})
    for statistics in (True, False):
        file = tmp_path / f"{statistics}.parquet"
        pq.write_table(table, file, row_group_size=100, write_statistics=statistics)
        assert list(find_ids(file, "a/b:512", "a/b:512")) == [("a/b:512", Place(file, 512))]
        assert [place.row for _, place in find_ids(file, "a/b:99", "a/b:991")] == [99, 990, 991]
        assert read_row(Place(file, 731))["id"] == "a/b:731"
    assert read_row(Place(file, 731))["a column of later versions"] is None
