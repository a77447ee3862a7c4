"""LLaVA's layout: ids and conversations of any kind become messages, or a reason."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import converted
import nasty
from converted import FILE, broken_invariants, outputs, raw_summary, spelled
from prep.convert.llava import LLAVA
from prep.convert.shard import Row
from prep.records.reason import Reason
from prep.storage import parquet
from running import run
from workflow import hub

TURNS = [{"from": b"human", "value": b"What?"}, {"from": b"gpt", "value": b"A cat."}]
MESSAGES = [{"content": "<image>\nWhat?", "role": "user"}, {"content": "A cat.", "role": "assistant"}]


def test_a_turn_is_its_speaker_and_text() -> None:
    assert LLAVA.read_turn({"from": b"gpt", "value": "字".encode()}) == ("gpt", "字")
    assert LLAVA.read_turn({"from": None, "value": b""}) == (None, "")
    assert LLAVA.read_turn(None) == (None, None)


def build(turns: list | None, prepend_tag: bool = True, pictures: int | None = None) -> list | tuple:
    return LLAVA.build_messages(Row("a:0", pictures), turns, prepend_tag)


def test_a_conversation_that_breaks_a_rule_gives_its_reason() -> None:
    assert build(TURNS) == MESSAGES
    assert build(TURNS, False) == (Reason.NO_IMAGE_TAG, "")
    assert build(None) == build([]) == (Reason.NO_CONVERSATION, "")


def test_rows_of_a_shard_stay_in_order_and_apart(tmp_path: Path) -> None:
    texts = [
        {"id": b"a", "conversations": TURNS},
        {"id": None, "conversations": None},
        {"id": b"\xff", "conversations": TURNS},
        {"id": b"b", "conversations": TURNS + TURNS[:1]},
        {"id": b"c", "conversations": TURNS},
    ]
    texts.append({"id": b"d", "conversations": [TURNS[0], {"from": b"gpt", "value": b"A\xff"}]})
    reasons = [None, Reason.NO_CONVERSATION, Reason.TEXT_NOT_UTF8, Reason.ODD_TURNS, None]
    reasons.append(Reason.TEXT_NOT_UTF8)
    columns = [parquet.PICTURE, pa.field("id", pa.binary()), LLAVA.column("conversations")]
    kinds = pa.schema(columns)
    rows = [{"image": {"bytes": nasty.plain(), "path": None}} | row for row in texts]
    pq.write_table(pa.Table.from_pylist(rows, kinds), tmp_path / "raw.parquet")
    out = converted.llava(tmp_path / "raw.parquet", tmp_path)
    assert out.fates == spelled(reasons)
    assert [(row["source_id"], row["messages"]) for row in out.rows] == [("a", MESSAGES), ("c", MESSAGES)]
    assert all("0xff" in row["detail"] for row in out.rejected if row["reason"] == Reason.TEXT_NOT_UTF8)


cells = st.none() | st.binary(max_size=8) | st.text(max_size=8).map(lambda text: text.encode())
speakers = st.sampled_from([b"human", b"gpt", b"human ", b"\xff", None])
turns = st.none() | st.fixed_dictionaries({"from": speakers, "value": cells})
fair = st.lists(st.tuples(cells, cells), min_size=1, max_size=2).map(
    lambda rounds: [
        {"from": speaker, "value": value}
        for asked, said in rounds
        for speaker, value in ((b"human", asked), (b"gpt", said))
    ]
)


@given(st.none() | st.lists(turns, max_size=4) | fair, st.booleans(), st.none() | st.integers(1, 3))
def test_any_row_has_messages_or_one_reason(conversation, prepend_tag: bool, pictures: int | None) -> None:
    try:
        found = build(conversation, prepend_tag, pictures)
    except UnicodeDecodeError:
        return
    if isinstance(found, list):
        row = {"messages": found, "images": [{"bytes": b"a picture"}] * (pictures or 1)}
        assert set(broken_invariants(row)) <= ({"one picture", "no tag later"} if pictures else set())
    else:
        assert isinstance(found[0], Reason)


@pytest.mark.parametrize("missing_tag", ["prepend", "reject"])
def test_the_program_converts_a_nasty_shard(missing_tag: str, tmp_path: Path) -> None:
    raw, out = tmp_path / "raw.parquet", outputs(tmp_path / "out")
    table, fates = nasty.whole_llava("decode", missing_tag)
    pq.write_table(table, raw, row_group_size=40)
    done = run(
        *("convert_llava.py", "--raw", raw, "--raw-summary", raw_summary(raw)),
        *("--name", "NAME"),
        *("--columns", '{"image": "image", "id": "id", "turns": "conversations"}'),
        *("--missing-tag", missing_tag, "--check", "decode", "--max-pixels", 89_478_485, "--threads", 2),
        *("--on-bad-shard", "fail", "--shard", out.shard, "--rejects", out.rejects, "--summary", out.summary),
    )
    assert done.returncode == 0, done.stderr
    assert out.fates == spelled(fates)
    kept = fates.count(None)
    assert done.last.endswith(f"{FILE}: read {len(fates)}, kept {kept}, rejected {len(fates) - kept}")


def files() -> list[tuple[str, dict[str, int]]]:
    """The real corpus's files in this layout, and what is rejected of each."""
    onevision = "lmms-lab/LLaVA-OneVision-Data"
    whole = [
        *(f"lmms-lab/LLaVA-ReCap-558K/data/train-0000{n}-of-00002.parquet" for n in range(2)),
        *(f"lmms-lab/LLaVA-ReCap-CC3M/data/train-0000{n}-of-00002.parquet" for n in range(2)),
        *(f"lmms-lab/LLaVA-ReCap-CC12M/data/train-0000{n}-of-00003.parquet" for n in range(3)),
        *(f"{onevision}/scienceqa(cauldron,llava_format)/train-0000{n}-of-00002.parquet" for n in range(2)),
        f"{onevision}/clevr(cauldron,llava_format)/train-00000-of-00001.parquet",
        f"{onevision}/intergps(cauldron,llava_format)/train-00000-of-00001.parquet",
        f"{onevision}/robut_wtq(cauldron,llava_format)/train-00000-of-00001.parquet",
        f"{onevision}/sroie/train-00000-of-00001.parquet",
        f"{onevision}/iiit5k/train-00000-of-00001.parquet",
    ]
    tags, missing = "several_image_tags", "image_missing"
    return [
        *((file, {}) for file in whole),
        (f"{onevision}/ai2d(cauldron,llava_format)/train-00000-of-00001.parquet", {tags: 3}),
        (f"{onevision}/geo170k(qa)/train-00000-of-00001.parquet", {tags: 1, "no_image_tag": 2}),
        (f"{onevision}/magpie_pro(l3_80b_mt)/train-00000-of-00001.parquet", {missing: 44}),
    ]


@pytest.mark.parametrize(("file", "rejected"), files())
def test_a_real_shard_is_accounted_for(file: str, rejected: dict[str, int], tmp_path: Path) -> None:
    raw = hub() / file
    mends = "ReCap" in file or "cauldron" in file
    out = converted.llava(raw, tmp_path, "prepend" if mends else "reject")
    fates = out.fates
    assert {reason: fates.count(reason) for reason in set(fates) - {None}} == rejected
    source = pq.read_table(raw).to_pylist()
    assert len(fates) == len(source)
    kept = [row for row, fate in zip(source, fates, strict=True) if fate is None]
    for row, given_row in zip(out.rows, kept, strict=True):
        assert broken_invariants(row) == []
        assert row["images"] == [given_row["image"]]
        assert row["source_id"] == given_row["id"]
        texts = [turn["value"] for turn in given_row["conversations"]]
        assert [message["content"] for message in row["messages"][1:]] == texts[1:]
        assert row["messages"][0]["content"] in (texts[0], f"<image>\n{texts[0]}")
