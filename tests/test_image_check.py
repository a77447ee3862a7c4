"""Which pictures can be read: every kind there is, by content, and never through a program."""

import io
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFile

import nasty
from prep.convert import image_check
from prep.records.reason import Reason
from prep.runtime import process_pool
from running import python_environment

LIMIT = 89_478_485
PICTURES = nasty.pictures()


@pytest.mark.parametrize("how", ["decode", "header"])
@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_each_picture_has_its_fate(picture: nasty.Picture, how: image_check.Check) -> None:
    found = image_check.find_rejection(picture.data, LIMIT, how)
    assert (found and found[0]) == picture.reason(how)


def test_the_limit_is_the_last_size_that_is_kept() -> None:
    picture = nasty.encoded(nasty.photograph(30, 20), "PNG")
    assert image_check.find_rejection(picture, 600, "decode") is None
    too_large = Reason.IMAGE_TOO_LARGE, "30x20 pixels, limit 599"
    assert image_check.find_rejection(picture, 599, "decode") == too_large


def test_a_detail_says_what_was_found_and_is_the_same_each_time() -> None:
    assert image_check.find_rejection(None, LIMIT, "header") == (Reason.IMAGE_MISSING, "null")
    assert image_check.find_rejection(b"", LIMIT, "header") == (Reason.IMAGE_MISSING, "zero bytes")
    unknown = (Reason.IMAGE_UNREADABLE, "UnidentifiedImageError: cannot identify image file")
    assert image_check.find_rejection(nasty.SVG, LIMIT, "decode") == unknown
    cut = image_check.find_rejection(nasty.plain()[:-30], LIMIT, "decode")
    assert "truncated" in cut[1]


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_at_an_eighth_of_its_scale_shows_the_same_cuts_as_a_whole_one(
    mode: str, progressive: bool
) -> None:
    whole = nasty.encoded(nasty.photograph(123, 77, mode), "JPEG", progressive=progressive)
    cuts = [*range(40), *range(40, len(whole), 211)]
    files = [whole[: len(whole) - cut] for cut in cuts]
    fates = [image_check.find_rejection(file, LIMIT, "decode") is None for file in files]
    assert fates == [_loads(file) for file in files]
    assert fates[0]
    assert not fates[-1]


def _loads(file: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(file)) as picture:
            picture.load()
    except OSError:
        return False
    return True


@given(st.data())
def test_any_bytes_are_kept_or_have_a_reason(data: st.DataObject) -> None:
    base = data.draw(
        st.sampled_from([picture.data for picture in PICTURES if len(picture.data or b"") < 9000])
    )
    spoilt = bytearray(base or b"")
    for position in data.draw(st.lists(st.integers(0, max(0, len(spoilt) - 1)), max_size=5)):
        spoilt[position : position + 1] = data.draw(st.binary(max_size=3))
    found = image_check.find_rejection(bytes(spoilt), 1_000_000, "decode")
    assert found is None or found[0] in (
        Reason.IMAGE_MISSING,
        Reason.IMAGE_UNREADABLE,
        Reason.IMAGE_TOO_LARGE,
    )


def dies(data: bytes) -> Exception | None:
    """What ends a training that reads the picture through `datasets`."""
    try:
        DATASETS.decode_example({"bytes": data, "path": None})
    except Exception as error:
        return error
    return None


DATASETS = datasets.Image()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_sound_metadata_cost_no_picture(orientation: int) -> None:
    for name, data in nasty.with_exif(orientation).items():
        assert image_check.find_rejection(data, LIMIT, "decode") is None, name
        assert dies(data) is None, name


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "I", "F"]
)
def test_every_mode_is_turned(mode: str) -> None:
    picture = Image.new(mode, (24, 16))
    turned = nasty.encoded(picture, "TIFF", exif=nasty.exif(6))
    assert image_check.find_rejection(turned, LIMIT, "decode") is None


def test_no_picture_that_is_kept_ends_a_training() -> None:
    """5,000 pictures with bytes altered in their metadata: those that `datasets` reads are those we keep."""
    wrong, kept, unreadable = [], set(), set()
    for seed in range(5000):
        name, data = nasty.altered_metadata(seed)
        found = image_check.find_rejection(data, 1_000_000, "decode")
        if found and found[0] == Reason.IMAGE_TOO_LARGE:
            continue
        error = dies(data)
        if (found is None) != (error is None):
            wrong.append((seed, name, found, error))
        (kept if found is None else unreadable).add(name)
    assert not wrong, wrong[:10]
    assert kept == set(nasty.with_exif(1))
    assert unreadable >= {"JPEG", "PNG", "WEBP", "TIFF", "MPO", "PNG, EXIF as text"}


def test_pictures_whose_metadata_end_a_training_are_not_kept() -> None:
    folder = ROOT.parent / "shared/cases/hub/lmms-lab/LLaVA-OneVision-Data/exif"
    cells = pq.read_table(folder / "train-00000-of-00001.parquet").column("image").to_pylist()
    found = [image_check.find_rejection(cell["bytes"], LIMIT, "decode") for cell in cells]
    assert [rejection and rejection[0] for rejection in found] == [
        Reason.IMAGE_UNREADABLE if dies(cell["bytes"]) else None for cell in cells
    ]
    assert sum(rejection is not None for rejection in found) >= 5
    assert all(image_check.find_rejection(cell["bytes"], LIMIT, "header") is None for cell in cells)


def test_too_little_memory_is_not_the_pictures_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_picture: Image.Image) -> None:
        raise MemoryError

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    with pytest.raises(MemoryError):
        image_check.find_rejection(nasty.encoded(nasty.photograph(), "BMP"), LIMIT, "decode")


def test_many_threads_find_what_one_finds() -> None:
    files = [picture.data for picture in PICTURES] * 3
    check = partial(image_check.find_rejection, max_pixels=LIMIT, how="decode")
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(check, files)) == [check(file) for file in files]


def test_large_pictures_are_decoded_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small one gets through while a large one holds the place; the other large one waits for it."""
    monkeypatch.setattr(image_check, "LARGE", 1000)
    small, large = (nasty.encoded(nasty.photograph(*size), "PNG") for size in ((40, 25), (40, 26)))
    done = threading.Event()

    def check_large() -> None:
        assert image_check.find_rejection(large, LIMIT, "decode") is None
        done.set()

    with process_pool.memory_lock:
        assert image_check.find_rejection(small, LIMIT, "decode") is None
        waiting = threading.Thread(target=check_large)
        waiting.start()
        assert not done.wait(0.2)
    assert done.wait(30)
    waiting.join()


GHOSTSCRIPT = "#!/bin/sh\ntouch {called}\nexit 1\n"
READ = """
import io, sys
from PIL import Image
from prep.convert import image_check
data = open({file!r}, "rb").read()
if sys.argv[1] == "check":
    print(image_check.find_rejection(data, 10**8, "decode")[0])
else:
    try:
        Image.open(io.BytesIO(data)).load()
    except Exception as error:
        print(error)
"""


@pytest.mark.parametrize("how", ["check", "plain Pillow"])
def test_eps_never_calls_ghostscript(how: str, tmp_path: Path) -> None:
    """Plain Pillow calls it, which shows that this test would notice."""
    called, program, file = tmp_path / "called", tmp_path / "bin/gs", tmp_path / "a.eps"
    program.parent.mkdir()
    program.write_text(GHOSTSCRIPT.format(called=called))
    program.chmod(0o755)
    file.write_bytes(nasty.EPS)
    code = READ.format(file=str(file))
    path = os.pathsep.join([str(program.parent), os.environ["PATH"]])
    done = subprocess.run(
        [sys.executable, "-c", code, how],
        env=python_environment() | {"PATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert called.exists() == (how == "plain Pillow")
    if how == "check":
        assert done.stdout.strip() == "image_unreadable"
