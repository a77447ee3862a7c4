"""Pages with their text, such as SynthDoG's: what a page says, taken from JSON that is never evaluated."""

import json
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_workflow_lib_config import checked

import converted
import nasty
from converted import PROMPTS, broken_invariants, outputs, raw_summary
from prep.convert.ocr import build_messages, parse_text
from prep.convert.shard import Row
from prep.records.reason import Reason
from running import run
from workflow import hub
from workflow_lib.entries import read_entries

PAGES = nasty.pages()


PATH = ["gt_parse", "text_sequence"]


def parse_page_text(ground_truth: str | bytes | None) -> str | tuple[Reason, str]:
    """A page's text, from its ground truth as a shard has it."""
    try:
        return parse_text(ground_truth.decode() if isinstance(ground_truth, bytes) else ground_truth, PATH)
    except UnicodeDecodeError as error:
        return Reason.TEXT_NOT_UTF8, str(error)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_page_has_its_text_or_reason(
    page: nasty.Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = parse_page_text(page.ground_truth)
    assert (found if isinstance(found, str) else found[0]) == page.found
    assert list(tmp_path.iterdir()) == []


def test_every_reason_is_met() -> None:
    assert {page.found for page in PAGES if isinstance(page.found, Reason)} == {
        Reason.GROUND_TRUTH_INVALID,
        Reason.TEXT_EMPTY,
        Reason.TEXT_NOT_UTF8,
        Reason.MEDIA_TAG_IN_TEXT,
    }


@pytest.mark.parametrize(
    ("ground_truth", "detail"),
    [
        (None, "null"),
        ("{", "not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("{}", "no gt_parse.text_sequence"),
        ('{"gt_parse": {"text_sequence": [1]}}', "gt_parse.text_sequence is not a string but [1]"),
        ('{"gt_parse": {"text_sequence": "\\ud800"}}', "surrogates not allowed"),
        ('{"gt_parse": {"text_sequence": "a <Video>"}}', "<Video>"),
    ],
)
def test_a_detail_says_what_was_found(ground_truth: str | None, detail: str) -> None:
    assert parse_page_text(ground_truth)[1] == detail


def test_the_prompts_are_these() -> None:
    """config.yaml has them."""
    for language, prompt in PROMPTS.items():
        assert read_entries(checked({}))[f"synthdog_{language}"]["prompts"] == [prompt]


def build(cell: bytes | None, path: list[str] = PATH) -> list | tuple:
    return build_messages(Row("a:0", None), cell, path, ["Read."], None)


def test_a_page_is_one_question_and_its_text() -> None:
    assert build(b'{"gt_parse": {"text_sequence": " A. "}}') == [
        {"content": "<image>\nRead.", "role": "user"},
        {"content": "A.", "role": "assistant"},
    ]
    assert build(None) == (Reason.GROUND_TRUTH_INVALID, "null")
    assert build(b" A. ", path=[])[1]["content"] == "A."
    assert build(b" \n", path=[]) == (Reason.TEXT_EMPTY, "")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
holding = st.builds(lambda text: {"gt_parse": {"text_sequence": text}}, json_values | st.text())


@given(st.text() | (json_values | holding).map(json.dumps) | holding.map(str))
def test_any_ground_truth_has_a_text_that_can_be_stored_or_a_reason(ground_truth: str) -> None:
    found = parse_page_text(ground_truth)
    if isinstance(found, str):
        assert found == json.loads(ground_truth)["gt_parse"]["text_sequence"].strip()
        assert found.encode().decode() == found != ""
        row = {
            "messages": build(ground_truth.encode()),
            "images": [{"bytes": b"a"}],
        }
        assert set(broken_invariants(row)) <= {"no thought"}
    else:
        assert isinstance(found[0], Reason)


@pytest.mark.parametrize("check", ["decode", "header"])
def test_every_nasty_cell_has_its_fate_in_every_shape(check: str, tmp_path: Path) -> None:
    table, found = nasty.whole_synthdog(check)
    pictures = pc.struct_field(table.column("image"), "bytes").to_pylist()
    raw = tmp_path / "raw.parquet"
    shapes = nasty.shapes(table) if check == "header" else {"as it is": table}
    for name, shaped in shapes.items():
        pq.write_table(shaped, raw, row_group_size=30)
        out = converted.synthdog(raw, tmp_path / name, check=check)
        assert out.fates == [one.value if isinstance(one, Reason) else None for one in found], name
        kept = [row for row, one in enumerate(found) if not isinstance(one, Reason)]
        rows = out.rows
        assert [row["id"] for row in rows] == [f"NAME/train-00000-of-00001:{row}" for row in kept]
        assert {row["source_id"] for row in rows} == {None}
        assert [row["images"][0]["bytes"] for row in rows] == [pictures[row] for row in kept]
        assert [row["messages"][1]["content"] for row in rows] == [found[row] for row in kept]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_program_converts_a_nasty_shard_and_evaluates_nothing(
    language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, out = tmp_path / "raw.parquet", outputs(tmp_path / "out")
    table, found = nasty.whole_synthdog("decode")
    pq.write_table(table, raw, row_group_size=40)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    done = run(
        *("convert_ocr.py", "--raw", raw, "--raw-summary", raw_summary(raw)),
        *("--name", "NAME"),
        *("--columns", '{"image": "image", "text": "ground_truth"}', "--json-path", *PATH),
        *("--prompts", PROMPTS[language], "--check", "decode", "--max-pixels", 50_000_000, "--threads", 2),
        *("--on-bad-shard", "fail", "--shard", out.shard, "--rejects", out.rejects, "--summary", out.summary),
    )
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "here").iterdir()) == []
    assert out.fates == [one.value if isinstance(one, Reason) else None for one in found]
    assert {row["messages"][0]["content"] for row in out.rows} == {f"<image>\n{PROMPTS[language]}"}


@pytest.mark.parametrize("name", nasty.BAD_SHARDS)
def test_a_bad_shard_can_be_left_out_whole(name: str, tmp_path: Path) -> None:
    raw = tmp_path / "raw.parquet"
    nasty.BAD_SHARDS[name](raw, nasty.synthdog([(nasty.plain(), PAGES[0].ground_truth)] * 10))
    out = converted.synthdog(raw, tmp_path / "out", on_bad_shard="reject")
    assert (out.rows, out.rejected, out.state["state"]) == ([], [], "bad")


@pytest.mark.parametrize(("language", "rows"), [("en", [24, 23, 3]), ("zh", [30, 30, 3])])
def test_a_real_shard_is_accounted_for(language: str, rows: list[int], tmp_path: Path) -> None:
    raws = sorted((hub() / f"naver-clova-ix/synthdog-{language}/data").glob("*.parquet"))
    for raw, count in zip(raws, rows, strict=True):
        out = converted.synthdog(raw, tmp_path, language)
        assert out.fates == [None] * count
        source = pq.read_table(raw).to_pylist()
        assert [row["images"] for row in out.rows] == [[row["image"]] for row in source]
        texts = [json.loads(row["ground_truth"])["gt_parse"]["text_sequence"].strip() for row in source]
        assert [row["messages"][1]["content"] for row in out.rows] == texts
