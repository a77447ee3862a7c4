"""Small files that grow when they are read: refused with a reason, by the real program, in bounded memory.

Each bomb goes through a convert program in a process of its own, whose peak of resident memory is measured.
"""

import io
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, PngImagePlugin

import nasty
from containers import write_lines, write_zip
from measured import Measured, run_measured
from prep.storage.atomic import read_json
from prep.storage.summary import write_summary

PICTURE_MB = 1000
"""The most that a process of a program may hold, its libraries among it."""
GIGABYTE = 2**30


def convert(folder: Path, raw: Path, pictures: Path | None = None, on_bad_shard: str = "fail") -> Measured:
    """Convert a file of captions with the real program."""
    summaries = []
    for path in filter(None, (raw, pictures)):
        summaries.append(path.with_name(f"{path.name}.json"))
        about = {"path": "data/train.parquet", "bytes": path.stat().st_size, "sha256": "0" * 64}
        write_summary(summaries[-1], {"raw": about})
    archive = ["--pictures", pictures, "--picture-summaries", summaries[1]] if pictures else []
    return run_measured(
        folder,
        "convert_caption.py",
        *("--raw", raw, "--raw-summary", summaries[0], *archive, "--name", "NAME"),
        *("--check", "decode", "--max-pixels", 89_478_485, "--on-bad-shard", on_bad_shard),
        *("--columns", json.dumps({"image": "image", "text": "text"}), "--prompts", "Describe it."),
        *("--threads", 1, "--shard", folder / "out.parquet", "--rejects", folder / "out.rejects.parquet"),
        *("--summary", folder / "out.json"),
    )


def fates(folder: Path) -> list[str]:
    """What became of the rows: those that are kept, then the reasons of the others."""
    kept = pq.read_table(folder / "out.parquet").num_rows
    return ["kept"] * kept + pq.read_table(folder / "out.rejects.parquet")["reason"].to_pylist()


def blank(form: str, width: int, height: int, **how: object) -> bytes:
    return nasty.encoded(Image.new("1" if form == "TIFF" else "RGB", (width, height)), form, **how)


def text_bomb() -> bytes:
    """A PNG with 64 chunks of text, each of two kilobytes that grow to two megabytes."""
    about = PngImagePlugin.PngInfo()
    for number in range(64):
        about.add(b"zTXt", b"Raw profile type exif%d\0\0" % number + zlib.compress(bytes(2**21)))
    return nasty.encoded(nasty.photograph(), "PNG", pnginfo=about)


def profile_bomb() -> bytes:
    """A PNG with a colour profile of 200 MB."""
    return nasty.encoded(nasty.photograph(), "PNG", icc_profile=bytes(200 * 2**20))


def frames(form: str, count: int) -> bytes:
    """An animation of many large frames, of one colour each."""
    pictures = [Image.new("P", (2000, 2000), number % 255) for number in range(count)]
    file = io.BytesIO()
    pictures[0].save(file, form, save_all=True, append_images=pictures[1:])
    return file.getvalue()


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "png of 3.6 gigapixels": (lambda: nasty.png(60_000, 60_000), "image_too_large"),
    "png of 100 megapixels, whole": (lambda: nasty.blank_png(20_000, 5_000), "image_too_large"),
    "webp of 90 megapixels": (
        lambda: blank("WEBP", 10_000, 9_000, quality=1, method=0),
        "image_too_large",
    ),
    "tiff of 100 megapixels": (
        lambda: blank("TIFF", 10_000, 10_000, compression="group4"),
        "image_too_large",
    ),
    "gif of many frames": (lambda: frames("GIF", 60), "kept"),
    "png with texts that grow": (text_bomb, "image_unreadable"),
    "png with a profile that grows": (profile_bomb, "image_unreadable"),
}


def test_no_picture_takes_more_memory_than_the_largest_sound_one(tmp_path: Path) -> None:
    made = [make() for make, _ in BOMBS.values()]
    assert all(len(data) < 2 * 2**20 for data in made)
    table = pa.table({"image": nasty.image_column(made), "text": ["A cat."] * len(made)})
    pq.write_table(table, tmp_path / "raw.parquet")
    done = convert(tmp_path, tmp_path / "raw.parquet")
    assert done.returncode == 0, done.last
    assert sorted(fates(tmp_path)) == sorted(fate for _, fate in BOMBS.values())
    assert done.peak_mb < PICTURE_MB


def test_a_member_of_a_zip_that_grows_is_not_read(tmp_path: Path) -> None:
    bomb = write_zip(tmp_path / "a.zip", {"1.png": bytes(GIGABYTE), "2.png": nasty.plain()})
    assert bomb.stat().st_size < 2 * 2**20
    rows = [{"image": name, "text": "A cat."} for name in ("1.png", "2.png")]
    done = convert(tmp_path, write_lines(tmp_path / "train.jsonl", rows), bomb)
    assert done.returncode == 0, done.last
    assert fates(tmp_path) == ["kept", "image_too_large"]
    assert done.peak_mb < PICTURE_MB


@pytest.mark.parametrize("on_bad_shard", ["fail", "reject"])
def test_a_column_of_parquet_that_grows_is_not_read(on_bad_shard: str, tmp_path: Path) -> None:
    texts = pa.array([bytes(GIGABYTE // 2)], pa.binary()).cast(pa.string())
    table = pa.table({"image": nasty.image_column([nasty.plain()]), "text": texts})
    raw = tmp_path / "raw.parquet"
    pq.write_table(table, raw, compression="zstd", use_dictionary=False, write_statistics=False)
    assert raw.stat().st_size < 2**20
    done = convert(tmp_path, raw, on_bad_shard=on_bad_shard)
    assert done.peak_mb < PICTURE_MB
    if on_bad_shard == "fail":
        assert "row group 0 cannot be read: it takes 5368" in done.last
    else:
        assert read_json(tmp_path / "out.json")["sources"]["NAME"]["data/train.parquet"]["state"] == "bad"
