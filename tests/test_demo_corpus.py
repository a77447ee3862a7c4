"""The sample corpus: the same bytes every time, in the hub's layouts, good and bad rows as it says."""

import ast
import io
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFont

import build_corpus
import fonts
import pages
import photographs
import rows
import wheels
from prep.convert import image_check, ocr
from prep.records import conversation
from prep.records.reason import Reason
from prep.runtime.program import UserError
from running import python_environment

DEMO = Path(build_corpus.__file__).parent

COUNTS = {
    "lmms-lab/LLaVA-ReCap-558K": [20],
    "lmms-lab/LLaVA-ReCap-CC3M": [20],
    "lmms-lab/LLaVA-ReCap-CC12M": [10, 10],
    "naver-clova-ix/synthdog-en": [20, 2],
    "naver-clova-ix/synthdog-zh": [20, 2],
    "lmms-lab/LLaVA-OneVision-Data": [6, 6, 6, 6],
    "tatsu-lab/alpaca": [11],
    "Congliu/Chinese-DeepSeek-R1-Distill-data-110k": [10],
}


@pytest.fixture(scope="module")
def shards() -> list[rows.Shard]:
    return rows.all_shards()


@pytest.fixture(scope="module")
def files(shards: list[rows.Shard]) -> dict[str, bytes]:
    """The corpus, built in this process."""
    return build_corpus.build_files(shards)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus, built by the program in a process of its own."""
    hub = tmp_path_factory.mktemp("demo") / "hub"
    done = run_program(hub)
    assert done.returncode == 0, done.stderr
    return hub


def run_program(hub: Path) -> subprocess.CompletedProcess:
    program = [sys.executable, str(DEMO / "build_corpus.py"), "--hub", str(hub)]
    environment = python_environment() | {"PYTHONHASHSEED": "7"}
    return subprocess.run(program, capture_output=True, text=True, env=environment)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_two_builds_are_alike_to_the_byte(hub: Path, files: dict[str, bytes]) -> None:
    assert contents(hub) == files
    assert 1_000_000 < sum(map(len, files.values())) < 6_000_000


def test_a_corpus_that_stands_is_left_alone(tmp_path: Path, files: dict[str, bytes]) -> None:
    hub = tmp_path / "hub"
    assert build_corpus.write_corpus(files, hub)
    before = {path: path.stat().st_ino for path in hub.rglob("*")}
    assert not build_corpus.write_corpus(files, hub)
    assert {path: path.stat().st_ino for path in hub.rglob("*")} == before


def test_a_corpus_that_was_damaged_is_mended(tmp_path: Path, files: dict[str, bytes]) -> None:
    hub = tmp_path / "hub"
    build_corpus.write_corpus(files, hub)
    (hub / "tatsu-lab" / "alpaca" / "data" / "train-00001-of-00002.parquet").write_bytes(b"stray")
    (hub / "tatsu-lab" / "alpaca" / "README.md").unlink()
    assert build_corpus.write_corpus(files, hub)
    assert contents(hub) == files
    assert list(tmp_path.iterdir()) == [hub]


def test_a_build_that_fails_leaves_what_was_there(tmp_path: Path, files: dict[str, bytes]) -> None:
    hub = tmp_path / "hub"
    build_corpus.write_corpus(files, hub)
    with pytest.raises(OSError, match="README"):
        build_corpus.write_corpus({**files, "tatsu-lab/alpaca/README.md/below-a-file": b""}, hub)
    assert contents(hub) == files
    assert list(tmp_path.iterdir()) == [hub]


def test_a_folder_of_someone_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "MANIFEST.md").write_text("# Another corpus\n")
    done = run_program(tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"error: {tmp_path} holds something else")
    assert contents(tmp_path) == {"MANIFEST.md": b"# Another corpus\n"}


def test_row_counts_and_columns(hub: Path) -> None:
    for repo, counts in COUNTS.items():
        found = [pq.ParquetFile(path) for path in sorted((hub / repo).rglob("*.parquet"))]
        if found:
            assert [file.metadata.num_rows for file in found] == counts
        for file in found:
            metadata = json.loads(file.schema_arrow.metadata[b"huggingface"])
            assert list(metadata["info"]["features"]) == file.schema_arrow.names
    lines = (hub / "Congliu/Chinese-DeepSeek-R1-Distill-data-110k/distill_r1_110k.jsonl").read_text("utf-8")
    keys = [list(json.loads(line)) for line in lines.splitlines()]
    assert keys == [["input", "reasoning_content", "content", "repo_name", "score"]] * 10


@pytest.mark.parametrize(
    ("repo", "pattern", "expected"),
    [
        ("lmms-lab/LLaVA-ReCap-CC12M", "data/train-*", 20),
        ("lmms-lab/LLaVA-OneVision-Data", "chartqa(cauldron,llava_format)/train-*", 6),
        ("naver-clova-ix/synthdog-zh", "data/train-*", 20),
        ("tatsu-lab/alpaca", "data/*", 11),
    ],
)
def test_datasets_reads_the_parquet_files(
    hub: Path, tmp_path: Path, repo: str, pattern: str, expected: int
) -> None:
    datasets = pytest.importorskip("datasets")
    paths = sorted(map(str, (hub / repo).glob(pattern)))
    loaded = datasets.load_dataset("parquet", data_files=paths, split="train", cache_dir=str(tmp_path))
    assert loaded.num_rows == expected
    if "image" in loaded.features:
        assert isinstance(loaded.features["image"], datasets.Image)
        assert loaded[0]["image"].width > 0


def test_cards_name_configs_and_splits(hub: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    onevision, pages_en = hub / "lmms-lab/LLaVA-OneVision-Data", hub / "naver-clova-ix/synthdog-en"
    configs = ["chartqa(cauldron,llava_format)", "robut_wtq(cauldron,llava_format)", "geo3k", "iiit5k"]
    assert sorted(datasets.get_dataset_config_names(str(onevision))) == sorted(configs)
    assert datasets.load_dataset(str(onevision), "geo3k", cache_dir=str(tmp_path)).num_rows == {"train": 6}
    loaded = datasets.load_dataset(str(pages_en), cache_dir=str(tmp_path))
    assert loaded.num_rows == {"train": 20, "validation": 2}


def test_rows_are_rejected_for_the_reasons_given_and_no_others(shards: list[rows.Shard]) -> None:
    found = {(shard.repo, shard.path): [reason_of(shard, row) for row in shard.rows] for shard in shards}
    assert found == {(shard.repo, shard.path): shard.reasons for shard in shards}
    bad = [reason for reasons in found.values() for reason in reasons if reason]
    assert len(bad) == 9
    assert set(bad) == {
        Reason.IMAGE_UNREADABLE,
        Reason.IMAGE_MISSING,
        Reason.THINK_TAG_IN_ANSWER,
        Reason.SEVERAL_IMAGE_TAGS,
        Reason.ODD_TURNS,
        Reason.TEXT_EMPTY,
        Reason.GROUND_TRUTH_INVALID,
        Reason.NO_IMAGE_TAG,
        Reason.QUESTION_EMPTY,
    }


def reason_of(shard: rows.Shard, row: rows.Row) -> str | None:
    """Why the build's own rules reject the row, None if they keep it."""
    if "image" not in row:
        question = row["instruction"] + row["input"] if "instruction" in row else row["input"]
        return None if question.strip() else Reason.QUESTION_EMPTY
    if rejection := image_check.find_rejection(row["image"] and row["image"]["bytes"], 50_000_000, "decode"):
        return rejection[0]
    if "ground_truth" in row:
        text = ocr.parse_text(row["ground_truth"], ["gt_parse", "text_sequence"])
        return None if isinstance(text, str) else text[0]
    turns = [(turn["from"], turn["value"]) for turn in row["conversations"]]
    kept = conversation.build_messages(turns, shard.config not in ("geo3k", "iiit5k"))
    return kept if isinstance(kept, Reason) else None


def test_some_missing_tags_are_there_to_be_put_back(shards: list[rows.Shard]) -> None:
    first = [
        (shard.config, row["conversations"][0]["value"])
        for shard in shards
        for row in shard.rows
        if "conversations" in row
    ]
    untagged = [config for config, text in first if "<image>" not in text]
    assert untagged.count("default") == 5
    assert untagged.count("chartqa(cauldron,llava_format)") == 1


def test_every_photograph_is_free_by_the_word_of_its_loader() -> None:
    loaders = ast.parse(
        wheels.find_wheel_file("scikit-image", "skimage/data/_fetchers.py").read_text("utf-8")
    )
    functions = [node for node in loaders.body if isinstance(node, ast.FunctionDef)]
    for name, terms in photographs.TERMS.items():
        (loader,) = [node for node in functions if f"data/{name}" in strings(node)]
        words = " ".join(ast.get_docstring(loader).replace("\n", " ").split()).lower()
        assert ("cc0" if terms.startswith("CC0") else "public domain") in words, name


def strings(function: ast.FunctionDef) -> set[str]:
    return {node.value for node in ast.walk(function) if isinstance(node, ast.Constant)}


def test_terms_are_listed_for_the_photographs_used_and_for_no_others(files: dict[str, bytes]) -> None:
    entries = tomllib.loads((DEMO / "texts/recap.toml").read_text("utf-8")).values()
    used = {entry["photo"] for of_set in entries for entry in of_set if "photo" in entry}
    used |= {desk[0] for desk in pages.DESKS}
    assert used == set(photographs.TERMS)
    manifest = files["MANIFEST.md"].decode()
    for name, terms in photographs.TERMS.items():
        assert f"| `{name}` | {terms} |" in manifest
    with pytest.raises(KeyError):
        photographs.load_photograph("coins.png")


def test_a_missing_wheel_or_file_is_named() -> None:
    with pytest.raises(UserError, match="no-such-wheel is not installed"):
        wheels.find_wheel_file("no-such-wheel", "x")
    with pytest.raises(UserError, match=r"scikit-image has no file skimage/data/x\.png"):
        wheels.find_wheel_file("scikit-image", "skimage/data/x.png")


def test_fonts_have_every_character_of_the_pages_and_figures() -> None:
    for name in ("pages", "figures"):
        text = (DEMO / f"texts/{name}.toml").read_text("utf-8")
        latin = set(filter(str.isascii, text)) | {"°"}
        for face, characters in (
            (fonts.load_font(20), latin),
            (fonts.load_font(20, chinese=True), set(text) - latin),
        ):
            unknown = glyph(face, "\u0378")
            assert not [c for c in characters if not c.isspace() and c != "π" and glyph(face, c) == unknown]


def glyph(face: ImageFont.FreeTypeFont, character: str) -> tuple[tuple[int, int], bytes]:
    mask = face.getmask(character)
    return mask.size, bytes(mask)


@settings(deadline=None)
@given(st.text(alphabet="ab ，。“”（）春夏秋冬12", max_size=60), st.integers(40, 200))
def test_wrapping_keeps_every_character_and_the_width(text: str, width: int) -> None:
    face = fonts.load_font(20, chinese=True)
    lines = pages.wrap_text(text, face, width)
    assert "".join("".join(lines).split()) == "".join(text.split())
    for line in lines:
        assert face.getlength(line) <= width or len(pages.split_text(line.strip())) == 1
        assert line[:1] not in "，。”）" or line.strip() == "" or text.lstrip().startswith(line[:1])


def test_pages_show_ink_where_there_is_text() -> None:
    blank, written = pages.draw_page(0, "", ""), pages.draw_page(0, "Heading", "Some words.")
    assert blank.size == written.size
    assert dark_share(written) > dark_share(blank) + 0.005


def dark_share(image: Image.Image) -> float:
    """The share of nearly black pixels."""
    histogram = image.convert("L").histogram()
    return sum(histogram[:48]) / sum(histogram)


def test_pictures_carry_no_metadata_of_their_sources(shards: list[rows.Shard]) -> None:
    for shard in shards:
        for row in shard.rows:
            if row.get("image"):
                with Image.open(io.BytesIO(row["image"]["bytes"])) as image:
                    assert not {"exif", "icc_profile", "xmp", "comment"} & set(image.info), row.get("id")
