"""Decontamination: what of an evaluation set is found again, and what a file that cannot be read says."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasty import encoded
from prep.deduplication import contamination
from prep.deduplication.contamination import (
    EvaluationPictures,
    EvaluationQuestions,
    read_pictures,
    read_questions,
)
from prep.deduplication.picture_hash import take_fingerprint
from prep.deduplication.text_similarity import list_words, normalize_text
from prep.runtime.program import UserError
from scenery import paint

LONG = "A train leaves the station at nine and travels at sixty miles an hour towards the distant coast."
WORDS = st.lists(st.sampled_from(["a", "b", "c", "天", "地"]), max_size=12)


def found(text: str, *evaluation: str, ngram: int = 13) -> str | None:
    places = ((str(number), each) for number, each in enumerate(evaluation))
    return EvaluationQuestions(places, ngram).find(normalize_text(text))


def test_thirteen_words_in_a_row_are_an_overlap_and_twelve_are_none() -> None:
    words = LONG.split()
    assert found(f"Hello. {' '.join(words[2:15]).upper()}! Why?", LONG) == "0"
    assert found(f"Hello. {' '.join(words[2:14])} and so on", LONG) is None
    assert found(f"Hello. {' '.join(words[2:14])} and so on", LONG, ngram=12) == "0"


def test_of_chinese_thirteen_characters_are_an_overlap() -> None:
    text = "小明有三个苹果，他给了小红一个，还剩几个？"
    assert found(f"请问：{text}谢谢", text) == "0"
    assert found("请问：小明有三个苹果，他给了小", text) is None


def test_a_short_question_overlaps_as_a_whole_alone() -> None:
    assert found("what is IT", "What is it?") == "0"
    assert found("what is it made of", "What is it?") is None
    assert found("...", "...", "") is None


def test_the_first_of_several_evaluation_questions_is_named() -> None:
    assert found(f"{LONG} {LONG[::-1]}", "Something else.", LONG, LONG, f"So: {LONG}") == "1"


def test_what_a_template_repeats_tells_nothing_but_whole_questions_do() -> None:
    numbered = [f"{LONG} Case {number}." for number in range(11)]
    assert found(f"{LONG} What then?", *numbered[:10]) == "0"
    assert found(f"{LONG} What then?", *numbered) is None
    assert found(numbered[7], *numbered) == "7"


@given(WORDS, st.lists(WORDS, max_size=6), st.integers(2, 4))
def test_an_overlap_is_what_a_plain_search_finds(own: list[str], others: list[list[str]], ngram: int) -> None:
    def runs(words: list[str]) -> set[tuple[str, ...]]:
        return {tuple(words[start : start + ngram]) for start in range(len(words) - ngram + 1)}

    expected = [
        str(number)
        for number, other in enumerate(others)
        if own and (own == other or runs(own) & runs(other))
    ]
    place = found(" ".join(own), *(" ".join(other) for other in others), ngram=ngram)
    whole = next((str(number) for number, other in enumerate(others) if own and own == other), None)
    assert place == (whole or next(iter(expected), None))
    assert list_words(normalize_text(" ".join(own))) == own


def test_files_are_read_by_their_endings(tmp_path: Path) -> None:
    pq.write_table(pa.table({"problem": ["p0", None], "question": ["q0", "q1"]}), tmp_path / "a.parquet")
    (tmp_path / "b.jsonl").write_text('{"problem": "p0"}\n{"other": 1}\n{"problem": "p2"}\n')
    (tmp_path / "c.json").write_text('[{"problem": "天"}]')
    (tmp_path / "d.txt").write_bytes(b"\xef\xbb\xbft0\r\n\r\nt2\n")
    files = {path.name: str(path) for path in sorted(tmp_path.iterdir())}
    read = [(place, text.strip()) for place, text in read_questions(files, ["question", "problem"])]
    assert [(place, text) for place, text in read if text] == [
        *(("a.parquet:0", "q0"), ("a.parquet:0", "p0"), ("a.parquet:1", "q1")),
        *(("b.jsonl:0", "p0"), ("b.jsonl:2", "p2"), ("c.json:0", "天"), ("d.txt:0", "t0"), ("d.txt:2", "t2")),
    ]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.parquet", b"no parquet", r"a.parquet: cannot be read \("),
        ("a.jsonl", b'{"question": "q"}\nnonsense\n', "a.jsonl: row 1: not JSON"),
        ("a.json", b'[{"question": "q"', "a.json: the JSON array does not end"),
        ("a.jsonl", b'{"q": "q"}\n', "a.jsonl: no row has a text in question; see decontaminate.columns"),
        ("a.jsonl", b"", "a.jsonl: no row has a text in question"),
        ("a.txt", b"good\n\xff\n", "a.txt: row 1 is not UTF-8"),
        ("a.jsonl", b"version https://git-lfs.github.com/spec/v1\n", "a.jsonl: is a Git LFS pointer"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line_that_names_it(
    name: str, content: bytes, said: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=said) as error:
        list(read_questions({name: str(tmp_path / name)}, ["question"]))
    assert str(error.value).startswith("decontaminate.questions: ")
    assert "\n" not in str(error.value)


def test_a_parquet_file_without_the_columns_says_which_it_has(tmp_path: Path) -> None:
    pq.write_table(pa.table({"q": ["q"], "answer": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"no column question or problem; .*\(it has: q, answer\)"):
        list(read_questions({"a": str(tmp_path / "a.parquet")}, ["question", "problem"]))


def test_pictures_of_a_folder_are_found_again_in_another_format(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name, seed in (("deep/b.PNG", 1), ("a.jpg", 2)):
        paint(seed).save(tmp_path / name)
    (tmp_path / "README.md").write_text("no picture")
    pictures = EvaluationPictures(read_pictures({"eval": str(tmp_path)}))
    again = [encoded(paint(seed).resize((240, 180)), "JPEG") for seed in (1, 2, 3)]
    assert [pictures.find(take_fingerprint(data)) for data in again] == [
        "eval/deep/b.PNG",
        "eval/a.jpg",
        None,
    ]


def test_a_folder_without_pictures_or_with_a_broken_one_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^decontaminate.pictures: .* has no pictures \(.jpg, "):
        list(read_pictures({"eval": str(tmp_path)}))
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"^decontaminate.pictures: eval/a.png is no picture that we read"):
        contamination.open_pictures({"eval": str(tmp_path)})
