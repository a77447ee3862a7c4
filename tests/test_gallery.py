"""What a page shows of a row: its pictures small, its text in pieces; and which rows it shows."""

import base64
import io

import datasets
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from prep.report import gallery
from prep.report.gallery import Limits

PICTURE = Image.linear_gradient("L").resize((900, 600))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(picture: gallery.Picture) -> Image.Image:
    head, _, data = picture.uri.partition(",")
    assert head == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


@given(st.integers(0, 10**7), st.integers(0, 20))
def test_rows_are_picked_from_all_over_the_artifact(rows: int, wanted: int) -> None:
    found = gallery.sample_rows("synthdog_en", rows, wanted)
    assert len(found) == min(rows, wanted)
    assert found == gallery.sample_rows("synthdog_en", rows, wanted)
    for i, number in enumerate(found):
        assert i * rows // len(found) <= number < (i + 1) * rows // len(found)


def test_other_artifacts_show_other_rows() -> None:
    assert gallery.sample_rows("synthdog_en", 10**6, 6) != gallery.sample_rows("synthdog_zh", 10**6, 6)


@given(st.integers(0, 10**5), st.integers(0, 20))
def test_what_is_measured_holds_what_is_shown(rows: int, wanted: int) -> None:
    found = gallery.sample_neighbours("synthdog_en", rows, wanted)
    assert found == sorted(set(found))
    assert set(gallery.sample_rows("synthdog_en", rows, wanted)) <= set(found) <= set(range(rows))
    assert len(found) == min(rows, sum(min(gallery.TOGETHER, each) for each in strata(rows, wanted)))


def strata(rows: int, wanted: int) -> list[int]:
    """The sizes of the parts that rows are taken from."""
    wanted = min(rows, wanted)
    return [(i + 1) * rows // wanted - i * rows // wanted for i in range(wanted)]


def test_a_row_is_told_by_what_it_is_found_by() -> None:
    row = {
        "id": "a:0",
        "messages": [{"content": "Why?", "role": "user"}, {"content": "So.", "role": "assistant"}],
        "images": [{"bytes": encoded(PICTURE, "PNG"), "path": None}],
        **{"mode": "no_thinking", "score": 0, "votes": None, "pass_rate": 1 / 3, "needs_picture": False},
    }
    found = gallery.build_example(row, Limits())
    assert found.values == {"mode": "no_thinking", "score": 0}
    assert found.labels == ["mode no_thinking", "score 0", "pass rate 0.333", "needs picture no"]
    assert [message.role for message in found.messages] == ["user", "assistant"]


def test_a_row_takes_no_more_of_the_page_than_its_limits() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (400, 600, 3), np.uint8))
    data = encoded(noise, "PNG")
    turns = [{"content": "x" * 100, "role": role} for role in ("user", "assistant")] * 50
    row = {"id": "a:0", "messages": turns, "images": [{"bytes": data, "path": None}] * 9}
    found = gallery.build_example(row, Limits(picture_bytes=20_000, characters=250))
    sizes = [len(base64.b64decode(picture.uri.partition(",")[2])) for picture in found.pictures]
    assert sum(sizes) <= 20_000
    assert all(max(decoded(picture).size) > 64 for picture in found.pictures)
    assert (len(sizes), found.pictures_left_out) == (4, 5)
    pieces = [piece for message in found.messages for piece in message.pieces]
    assert sum(len(piece.head) + len(piece.rest) for piece in pieces) == 250
    assert (len(found.messages), found.turns_left_out) == (16, 84)


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (encoded(PICTURE.convert("RGB"), "JPEG"), "JPEG, 900 by 600, RGB"),
        (encoded(PICTURE.convert("CMYK"), "JPEG"), "JPEG, 900 by 600, CMYK"),
        (encoded(PICTURE.convert("LA"), "PNG"), "PNG, 900 by 600, LA"),
        (encoded(PICTURE.convert("1"), "TIFF"), "TIFF, 900 by 600, 1"),
        (encoded(PICTURE.convert("F"), "TIFF"), "TIFF, 900 by 600, F"),
        (encoded(PICTURE.convert("P"), "GIF", save_all=True, append_images=[PICTURE]), "GIF, 900 by 600"),
        (encoded(PICTURE.convert("RGBA"), "WEBP"), "WEBP, 900 by 600"),
        (encoded(PICTURE, "BMP"), "BMP, 900 by 600, L"),
    ],
    ids=["rgb", "cmyk", "alpha", "bits", "float", "animated", "webp", "bmp"],
)
def test_every_format_and_mode_that_is_kept_has_a_thumbnail(data: bytes, note: str) -> None:
    picture = gallery.make_picture(data)
    assert picture.note.startswith(note)
    assert decoded(picture).size == (512, 341)


def test_a_small_picture_keeps_its_size() -> None:
    assert decoded(gallery.make_picture(encoded(PICTURE.resize((67, 26)), "PNG"))).size == (67, 26)


def test_deep_greys_are_seen_in_full() -> None:
    """Pillow clips 16 bits to 8, which would show a white square."""
    deep = Image.linear_gradient("L").convert("I").point(lambda value: value * 200).convert("I;16")
    shown = decoded(gallery.make_picture(encoded(deep, "PNG"))).convert("L")
    low, high = shown.getextrema()
    assert low < 10
    assert high > 245


def test_a_picture_is_turned_as_datasets_turns_it() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    wide = encoded(PICTURE.convert("RGB"), "JPEG", exif=exif)
    assert datasets.Image().decode_example({"bytes": wide, "path": None}).size == (600, 900)
    assert decoded(gallery.make_picture(wide)).size == (341, 512)
    assert decoded(gallery.make_picture(encoded(PICTURE.convert("RGB"), "JPEG"))).size == (512, 341)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "0 bytes: cannot be shown (UnidentifiedImageError)"),
        (b"\x89PNG\r\n\x1a\nbroken", "14 bytes: cannot be shown (UnidentifiedImageError)"),
        (encoded(PICTURE.convert("RGB"), "JPEG")[:2000], "JPEG, 900 by 600, RGB, 2.0 kB: cannot be shown"),
        (encoded(PICTURE.convert("RGB"), "PPM"), "cannot be shown (UnidentifiedImageError)"),
        (encoded(PICTURE.convert("RGB"), "EPS"), "cannot be shown (UnidentifiedImageError)"),
        (encoded(Image.new("1", (10_000, 5_001)), "PNG"), "PNG, 10000 by 5001, 1, "),
    ],
    ids=["empty", "broken", "cut", "format", "program", "large"],
)
def test_what_cannot_be_shown_is_said(data: bytes, words: str) -> None:
    picture = gallery.make_picture(data)
    assert picture.uri is None
    assert words in picture.note


def test_a_large_jpeg_is_decoded_small() -> None:
    data = encoded(Image.new("L", (10_000, 5_001)), "JPEG")
    assert decoded(gallery.make_picture(data)).size == (512, 256)


def test_a_message_is_cut_into_thoughts_tags_and_text() -> None:
    text = "<image>\n<image>\nWhy?<think>\nOne.\n\nTwo.\n</think>\n\nSo.<think></think><think>open"
    assert [(piece.kind, piece.head, piece.rest) for piece in gallery.split_message(text)] == [
        ("tag", "<image>", ""),
        ("tag", "<image>", ""),
        ("text", "Why?", ""),
        ("think", "", "One.\n\nTwo."),
        ("text", "So.", ""),
        ("think", "", ""),
        ("text", "<think>open", ""),
    ]


@pytest.mark.parametrize(
    ("text", "head"),
    [
        ("x" * 480, "x" * 480),
        ("x" * 481, "x" * 320),
        ("x" * 299 + " " + "y" * 300, "x" * 299 + " "),
        ("x" * 299 + "\n" + "y" * 300, "x" * 299 + "\n"),
        ("x" * 100 + " " + "y" * 500, "x" * 100 + " " + "y" * 219),
    ],
)
def test_a_long_text_is_folded_near_a_space(text: str, head: str) -> None:
    piece = gallery.fold_text(text)
    assert piece.head == head
    assert piece.head + piece.rest == text
    assert (piece.length, piece.left_out) == (len(text), 0)


def test_what_is_too_long_for_the_page_is_counted() -> None:
    text, thought = "x" * 12_345, "y" * 2_345
    think, said = gallery.split_message(f"<think>{thought}</think>{text}")
    assert (think.length, think.left_out) == (2_345, 0)
    assert len(said.head + said.rest) == 12_000 - 2_345
    assert (said.length, said.left_out) == (12_345, 2_690)
    (short,) = gallery.split_message(text, 10)
    assert (short.head, short.rest, short.left_out) == ("x" * 10, "", 12_335)


def test_chinese_takes_no_more_bytes_of_the_page() -> None:
    turns = [{"content": "中" * 10_000, "role": role} for role in ("user", "assistant")]
    (piece,), (rest,) = (message.pieces for message in gallery.split_messages(turns, 3000))
    assert rest.left_out == 10_000
    assert len(piece.head + piece.rest) == 1000
    assert gallery.fit_characters("x" * 10, 3000) == 3000
    assert gallery.fit_characters("", 0) == 0


def test_many_tags_are_not_as_many_pieces() -> None:
    pieces = gallery.split_message("<think></think>" * 10_000)
    assert len(pieces) <= gallery.MOST_PARTS + 1
