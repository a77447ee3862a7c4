"""What real sources contain and nobody hopes for, each cell with what must become of it."""

import io
import json
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import ExifTags, Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from prep.records.reason import Reason


@dataclass(frozen=True)
class Picture:
    """A picture's bytes (None: null), and why it is rejected when it is decoded, and when only opened."""

    name: str
    data: bytes | None
    decode: Reason | None = None
    header: Reason | None = None

    def reason(self, check: str) -> Reason | None:
        return self.decode if check == "decode" else self.header


def photograph(width: int = 60, height: int = 40, mode: str = "RGB") -> Image.Image:
    """A small picture with some life in it, the same each time."""
    noise = random.Random(width * height).randbytes(width * height * 3)
    picture = Image.frombytes("RGB", (width, height), noise)
    ImageDraw.Draw(picture).ellipse((0, 0, width // 2, height // 2), fill=(200, 30, 90))
    return picture.convert(mode)


def encoded(picture: Image.Image, form: str, **how: Any) -> bytes:
    """The picture as a file."""
    file = io.BytesIO()
    picture.save(file, form, **how)
    return file.getvalue()


def plain() -> bytes:
    """A picture with which nothing is wrong."""
    return encoded(photograph(), "JPEG")


def png(width: int, height: int, scanlines: bytes = b"") -> bytes:
    """A PNG of 1-bit grey that declares a size, whatever its data hold."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    parts = (b"IHDR", head), (b"IDAT", zlib.compress(scanlines)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def blank_png(width: int, height: int) -> bytes:
    """A whole PNG of one colour: a few kilobytes, however many pixels."""
    return png(width, height, bytes(1 + (width + 7) // 8) * height)


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\n%%EndComments\n40 40 moveto\nshowpage\n%%EOF\n"
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect/></svg>'


def pictures() -> list[Picture]:
    """Every kind of picture, good and bad, for a limit of 89,478,485 pixels."""
    jpeg, tall_png = plain(), encoded(photograph(200, 200), "PNG")
    noise = random.Random(0).randbytes(2000)
    rotated = Image.Exif()
    rotated[0x0112] = 6
    unreadable, missing, too_large = Reason.IMAGE_UNREADABLE, Reason.IMAGE_MISSING, Reason.IMAGE_TOO_LARGE

    def animated(form: str) -> bytes:
        return encoded(
            photograph(30, 20), form, save_all=True, append_images=[photograph(30, 20).rotate(180)]
        )

    good = {
        "jpeg": jpeg,
        "progressive jpeg": encoded(photograph(), "JPEG", progressive=True),
        "grey jpeg": encoded(photograph(mode="L"), "JPEG"),
        "cmyk jpeg": encoded(photograph(mode="CMYK"), "JPEG"),
        "exif-rotated jpeg": encoded(photograph(), "JPEG", exif=rotated),
        "jpeg with trailing bytes": jpeg + noise,
        "two-picture jpeg (mpo)": animated("MPO"),
        "png": encoded(photograph(), "PNG"),
        "16-bit png": encoded(photograph(mode="L").convert("I;16"), "PNG"),
        "palette png with alpha": encoded(photograph(mode="P"), "PNG", transparency=3),
        "grey png with alpha": encoded(photograph(mode="LA"), "PNG"),
        "1-bit png": encoded(photograph(mode="1"), "PNG"),
        "animated png": animated("PNG"),
        "gif": encoded(photograph(mode="P"), "GIF"),
        "animated gif": animated("GIF"),
        "webp": encoded(photograph(), "WEBP"),
        "animated webp": animated("WEBP"),
        "tiff": encoded(photograph(), "TIFF"),
        "compressed tiff": encoded(photograph(), "TIFF", compression="tiff_lzw"),
        "multi-page tiff": animated("TIFF"),
        "bmp": encoded(photograph(), "BMP"),
        "1x1": encoded(photograph(1, 1), "PNG"),
        "1x1 jpeg": encoded(photograph(1, 1), "JPEG"),
        "3000x2": encoded(photograph(3000, 2), "JPEG"),
        "50 million pixels and some": blank_png(10_000, 5_001),
    }
    no_picture = {
        "svg": SVG,
        "eps": EPS,
        "eps with a binary head": b"\xc5\xd0\xd3\xc6" + struct.pack("<II", 32, len(EPS)) + bytes(20) + EPS,
        "pdf": b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\n%%EOF\n",
        "ppm": encoded(photograph(), "PPM"),
        "ico": encoded(photograph(32, 32), "ICO"),
        "jpeg 2000": encoded(photograph(64, 64), "JPEG2000"),
        "avif's head": b"\x00\x00\x00\x20ftypavif" + noise,
        "html": b"<!DOCTYPE html><title>404</title>",
        "random bytes": noise,
        "one byte": b"\xff",
        "jpeg's head alone": jpeg[:20],
        "png's head alone": tall_png[:12],
        "tiff cut before its directory": encoded(photograph(), "TIFF", compression="tiff_lzw")[:-2000],
    }
    cut = {
        "jpeg cut at a half": jpeg[: len(jpeg) // 2],
        "jpeg cut in its last rows": jpeg[:-60],
        "progressive jpeg cut": encoded(photograph(), "JPEG", progressive=True)[:-800],
        "png cut at a half": tall_png[: len(tall_png) // 2],
        "png cut in its last rows": tall_png[:-400],
        "random bytes after a png's head": tall_png[:33] + b"\x00\x00\x07\xd0IDAT" + noise + b"abcd",
        "gif cut": encoded(photograph(mode="P"), "GIF")[:-900],
        "bmp cut": encoded(photograph(), "BMP")[:-900],
    }
    return [
        Picture("null", None, missing, missing),
        Picture("zero bytes", b"", missing, missing),
        Picture("bomb", png(60_000, 60_000), too_large, too_large),
        Picture("bomb with all its data", blank_png(20_000, 5_000), too_large, too_large),
        *(Picture(name, data) for name, data in good.items()),
        *(Picture(name, data, unreadable, unreadable) for name, data in no_picture.items()),
        *(Picture(name, data, unreadable, None) for name, data in cut.items()),
    ]


Turns = list[tuple[Any, Any] | None]


@dataclass(frozen=True)
class Conversation:
    """A conversation (texts as str, or as bytes that are not UTF-8), and what must become of it.

    `prepend` is the reason where a missing tag is put in front, `reject` where it is not.
    """

    name: str
    turns: Turns | None
    prepend: Reason | None = None
    reject: Reason | None = None


def conversations() -> list[Conversation]:
    """Every kind of conversation, good and bad."""
    asked = ("human", "<image>\nWhat is it?")

    def good(name: str, *turns: tuple) -> Conversation:
        return Conversation(name, list(turns))

    def bad(name: str, reason: Reason, *turns: tuple | None) -> Conversation:
        return Conversation(name, list(turns), reason, reason)

    def untagged(name: str, *turns: tuple) -> Conversation:
        return Conversation(name, list(turns), None, Reason.NO_IMAGE_TAG)

    in_question, in_answer = Reason.MEDIA_TAG_IN_QUESTION, Reason.MEDIA_TAG_IN_ANSWER
    return [
        good("plain", asked, ("gpt", "A cat.")),
        good("several rounds", asked, ("gpt", "A cat."), ("human", "Whose?"), ("gpt", "Ours.")),
        good("tag at the end", ("human", "What?<image>"), ("gpt", "A cat.")),
        good("tag alone", ("human", "<image>"), ("gpt", "A cat.")),
        good("empty texts", ("human", "<image>"), ("gpt", "")),
        good("nul in a text", ("human", "<image>\x00?"), ("gpt", "A\x00cat\x1b[31m")),
        good("300 kB answer", asked, ("gpt", "字" * 100_000)),
        good("no tag but like one", asked, ("gpt", "<images> < image > <video/> <thinking> image>")),
        good(
            "odd characters", ("human", "<image>\u202e\u200b\ufeff𝒳👩‍👩‍👧"), ("gpt", "\ud7ff\ue000\U0010ffff")
        ),
        good("think tag in a question", ("human", "<image><think>"), ("gpt", "A cat.")),
        untagged("no tag", ("human", "What is it?"), ("gpt", "A cat.")),
        untagged("empty question", ("human", ""), ("gpt", "A cat.")),
        untagged("tag in capitals", ("human", "<IMAGE>\nWhat?"), ("gpt", "A cat.")),
        untagged("numbered tag", ("human", "<image1> What?"), ("gpt", "A cat.")),
        bad("empty", Reason.NO_CONVERSATION),
        Conversation("null", None, Reason.NO_CONVERSATION, Reason.NO_CONVERSATION),
        bad("one turn", Reason.ODD_TURNS, asked),
        bad("three turns", Reason.ODD_TURNS, asked, ("gpt", "A cat."), ("human", "Whose?")),
        bad("roles swapped", Reason.WRONG_SPEAKER, ("gpt", "A cat."), asked),
        bad("two human turns", Reason.WRONG_SPEAKER, asked, asked),
        bad("system turn", Reason.SYSTEM_TURN, ("system", "Be kind."), asked, ("gpt", "A cat.")),
        bad("system turn for a question", Reason.SYSTEM_TURN, ("system", "Be kind."), ("gpt", "A cat.")),
        bad("later system turn", Reason.WRONG_SPEAKER, asked, ("system", "Be kind.")),
        bad("other role names", Reason.WRONG_SPEAKER, ("user", "<image>"), ("assistant", "A cat.")),
        bad("capital in a role", Reason.WRONG_SPEAKER, ("Human", "<image>"), ("gpt", "A cat.")),
        bad("null speaker", Reason.WRONG_SPEAKER, (None, "<image>"), ("gpt", "A cat.")),
        bad("null turn", Reason.WRONG_SPEAKER, asked, None),
        bad("null question", Reason.VALUE_MISSING, ("human", None), ("gpt", "A cat.")),
        bad("null answer", Reason.VALUE_MISSING, asked, ("gpt", None)),
        bad("two tags", Reason.SEVERAL_IMAGE_TAGS, ("human", "<image><image>"), ("gpt", "Cats.")),
        bad("five tags", Reason.SEVERAL_IMAGE_TAGS, ("human", "<image> " * 5), ("gpt", "Cats.")),
        bad("video", in_question, ("human", "<image><video>"), ("gpt", "A cat.")),
        bad("audio in capitals", in_question, ("human", "<image><Audio>"), ("gpt", "A cat.")),
        bad("later tag", in_question, asked, ("gpt", "A cat."), ("human", "<IMAGE>?"), ("gpt", "Ours.")),
        bad("later video", in_question, asked, ("gpt", "A cat."), ("human", "<video>"), ("gpt", "Ours.")),
        bad("tag in an answer", in_answer, asked, ("gpt", "<image>")),
        bad("audio in an answer", in_answer, asked, ("gpt", "I hear <AUDIO>")),
        bad("think tag", Reason.THINK_TAG_IN_ANSWER, asked, ("gpt", "<think>Hm.</think>A cat.")),
        bad("end of a thought", Reason.THINK_TAG_IN_ANSWER, asked, ("gpt", "Hm.</THINK>A cat.")),
        bad("invalid utf-8", Reason.TEXT_NOT_UTF8, asked, ("gpt", b"A cat\xff")),
        bad("lone surrogate", Reason.TEXT_NOT_UTF8, ("human", b"<image>\xed\xa0\x80"), ("gpt", "A cat.")),
        bad("invalid utf-8 in a role", Reason.TEXT_NOT_UTF8, asked, (b"gpt\x80", "A cat.")),
        bad("cut character", Reason.TEXT_NOT_UTF8, asked, ("gpt", "猫".encode()[:2])),
    ]


@dataclass(frozen=True)
class Page:
    """A page's `ground_truth` (str, bytes that are not UTF-8, or null), and its text or why it has none."""

    name: str
    ground_truth: str | bytes | None
    found: str | Reason


def pages() -> list[Page]:
    """Every kind of ground truth, good and bad."""

    def holding(text: Any) -> str:
        return json.dumps({"gt_parse": {"text_sequence": text}})

    invalid = Reason.GROUND_TRUTH_INVALID
    deep = "[" * 100_000 + "]" * 100_000
    return [
        Page("plain", holding("A page."), "A page."),
        Page("to be stripped", holding(" \n A page.\t\u3000"), "A page."),
        Page("chinese, not escaped", '{"gt_parse": {"text_sequence": "一页文字"}}', "一页文字"),
        Page("escaped pair", '{"gt_parse": {"text_sequence": "\\ud83d\\ude00"}}', "😀"),
        Page("nul", holding("a\x00b"), "a\x00b"),
        Page("300 kB", holding("字" * 100_000), "字" * 100_000),
        Page("true and null", '{"a": true, "b": null, "gt_parse": {"text_sequence": "A."}}', "A."),
        Page("other keys", '{"gt_parse": {"text_sequence": "A.", "x": [1]}, "meta": {}}', "A."),
        Page("quotes and braces", holding("{\"a\": 'b'}"), "{\"a\": 'b'}"),
        Page("think tag", holding("<think>"), "<think>"),
        Page("null", None, invalid),
        Page("empty", "", invalid),
        Page("cut", '{"gt_parse": {"text_seq', invalid),
        Page("python literal", "{'gt_parse': {'text_sequence': 'A page.'}}", invalid),
        Page("python constants", '{"a": True, "gt_parse": {"text_sequence": "A."}}', invalid),
        Page("code", "__import__('pathlib').Path('evaluated').touch()", invalid),
        Page("code in an f-string", "f\"{open('evaluated', 'w')}\"", invalid),
        Page("deep nesting", deep, invalid),
        Page(
            "deep nesting beside the text", f'{{"a": {deep}, "gt_parse": {{"text_sequence": "A."}}}}', invalid
        ),
        Page("not an object", '["gt_parse"]', invalid),
        Page("a string", '"gt_parse"', invalid),
        Page("null at the top", "null", invalid),
        Page("no gt_parse", '{"text_sequence": "A."}', invalid),
        Page("gt_parse is a list", '{"gt_parse": ["text_sequence"]}', invalid),
        Page("no text_sequence", '{"gt_parse": {}}', invalid),
        Page("a number as text", holding(7), invalid),
        Page("null as text", holding(None), invalid),
        Page("a list as text", holding(["\ud800"]), invalid),
        Page("no text", holding(""), Reason.TEXT_EMPTY),
        Page("blanks alone", holding(" \n\u3000\u00a0"), Reason.TEXT_EMPTY),
        Page("lone surrogate", '{"gt_parse": {"text_sequence": "a\\ud800b"}}', Reason.TEXT_NOT_UTF8),
        Page("invalid utf-8", b'{"gt_parse": {"text_sequence": "\xff"}}', Reason.TEXT_NOT_UTF8),
        Page("image tag", holding("See <Image>."), Reason.MEDIA_TAG_IN_TEXT),
        Page("video tag", holding("<video>"), Reason.MEDIA_TAG_IN_TEXT),
        Page("audio tag", holding("a<AUDIO>"), Reason.MEDIA_TAG_IN_TEXT),
    ]


def text(cells: list[str | bytes | None]) -> pa.StringArray:
    """A string column, of cells that need not be UTF-8."""
    raw = [cell.encode() if isinstance(cell, str) else cell for cell in cells]
    return pa.array(raw, pa.binary()).cast(pa.string(), safe=False)


def image_column(cells: list[Any]) -> pa.StructArray:
    """A column of pictures: bytes, or a whole struct as {bytes, path}, or None for a null struct."""
    rows = [
        cell if cell is None or isinstance(cell, dict) else {"bytes": cell, "path": "a.jpg"} for cell in cells
    ]
    fields = [
        pa.array([row and row["bytes"] for row in rows], pa.binary()),
        text([row and row["path"] for row in rows]),
    ]
    nulls = pa.array([row is None for row in rows], pa.bool_())
    return pa.StructArray.from_arrays(fields, ["bytes", "path"], mask=nulls)


def conversation_column(cells: list[Turns | None]) -> pa.ListArray:
    """A column of conversations, of turns that may be null and texts that need not be UTF-8."""
    turns = [turn for cell in cells if cell for turn in cell]
    fields = [text([turn and turn[i] for turn in turns]) for i in (0, 1)]
    structs = pa.StructArray.from_arrays(
        fields, ["from", "value"], mask=pa.array([t is None for t in turns], pa.bool_())
    )
    offsets, end = [], 0
    for cell in cells:
        offsets.append(None if cell is None else end)
        end += len(cell or ())
    return pa.ListArray.from_arrays(pa.array([*offsets, end], pa.int32()), structs)


def llava(cells: list[tuple[Any, Turns | None]], ids: list[Any] | None = None) -> pa.Table:
    """A table in LLaVA's layout, of (picture, conversation) pairs."""
    return pa.table(
        {
            "id": text([f"{n:09d}" for n in range(len(cells))] if ids is None else ids),
            "image": image_column([picture for picture, _ in cells]),
            "conversations": conversation_column([turns for _, turns in cells]),
            "data_source": text(["nasty"] * len(cells)),
        }
    )


def synthdog(cells: list[tuple[Any, str | bytes | None]]) -> pa.Table:
    """A table in SynthDoG's layout, of (picture, ground truth) pairs."""
    return pa.table(
        {
            "image": image_column([cell[0] for cell in cells]),
            "ground_truth": text([cell[1] for cell in cells]),
        }
    )


def whole_llava(check: str, missing_tag: str) -> tuple[pa.Table, list[Reason | None]]:
    """Each picture with a plain conversation, the other way round, and what becomes of each row."""
    good = [("human", "<image>\nWhat?"), ("gpt", "A cat.")]
    cells = [(picture.data, good) for picture in pictures()]
    fates = [picture.reason(check) for picture in pictures()]
    cells += [(plain(), conversation.turns) for conversation in conversations()]
    fates += [getattr(conversation, missing_tag) for conversation in conversations()]
    cells += [
        (None, good),
        ({"bytes": None, "path": "a.jpg"}, good),
        ({"bytes": plain(), "path": b"\xff.jpg"}, good),
    ]
    fates += [Reason.IMAGE_MISSING, Reason.IMAGE_MISSING, Reason.TEXT_NOT_UTF8]
    cells += [({"bytes": plain(), "path": None}, good), (b"no picture", [])]
    fates += [None, Reason.IMAGE_UNREADABLE]
    ids = [f"{n:09d}" for n in range(len(cells))]
    cells += [(plain(), good)] * 4
    fates += [None, None, None, Reason.TEXT_NOT_UTF8]
    return llava(cells, [*ids, "twice", "twice", None, b"\xff"]), fates


def whole_synthdog(check: str) -> tuple[pa.Table, list[str | Reason]]:
    """Every picture with a plain text and every text with a plain picture, and each's text or reason."""
    plain_page = pages()[0]
    cells = [(picture.data, plain_page.ground_truth) for picture in pictures()]
    found: list[str | Reason] = [picture.reason(check) or plain_page.found for picture in pictures()]
    found[[p.name for p in pictures()].index("50 million pixels and some")] = Reason.IMAGE_TOO_LARGE
    cells += [(plain(), page.ground_truth) for page in pages()]
    found += [page.found for page in pages()]
    return synthdog(cells), found


def shapes(table: pa.Table) -> dict[str, pa.Table]:
    """The same rows as other writers would have laid them down."""

    def cast(kind: pa.DataType) -> pa.DataType:
        if pa.types.is_string(kind):
            return pa.large_string()
        if pa.types.is_binary(kind):
            return pa.large_binary()
        if pa.types.is_list(kind):
            return pa.large_list(cast(kind.value_type))
        if pa.types.is_struct(kind):
            return pa.struct([(field.name, cast(field.type)) for field in reversed(list(kind))])
        return kind

    def list_views(kind: type) -> pa.Table:
        for at, field in enumerate(table.schema):
            if pa.types.is_list(field.type):
                lists = table.column(at).combine_chunks()
                sizes = pc.fill_null(pc.list_value_length(lists), 0)
                views = kind.from_arrays(lists.offsets[:-1], sizes, lists.values, mask=lists.is_null())
                return table.set_column(at, field.name, views)
        return table

    names = table.column_names
    at = next(i for i, field in enumerate(table.schema) if pa.types.is_string(field.type))
    first_text = table.column(at)
    large = pa.schema([(field.name, cast(field.type)) for field in table.schema])
    return {
        "plain": table,
        "reordered": table.select(names[::-1]),
        "extra columns": table.append_column("extra", pa.array(range(len(table)))).select(["extra", *names]),
        "large and nested in another order": table.cast(large, safe=False),
        "list views": list_views(pa.ListViewArray),
        "large list views": list_views(pa.LargeListViewArray),
        "with metadata": table.replace_schema_metadata({"huggingface": "{", "pandas": "none"}),
        "views": table.set_column(at, names[at], first_text.cast(pa.string_view(), safe=False)),
        "dictionary": table.set_column(at, names[at], first_text.dictionary_encode()),
    }


def _replaced(table: pa.Table, name: str, cell: Any, kind: pa.DataType) -> pa.Table:
    """The table with another column of that name, the same cell in each row."""
    return table.set_column(table.column_names.index(name), name, pa.array([cell] * len(table), kind))


def _bad_name(path: Path, table: pa.Table) -> None:
    """A file with one more column, whose name is not UTF-8."""
    pq.write_table(table.append_column("not_utf8", pa.array(range(len(table)))), path, store_schema=False)
    path.write_bytes(path.read_bytes().replace(b"not_utf8", b"not_\xfftf8"))


def _cut(path: Path, table: pa.Table) -> None:
    pq.write_table(table, path)
    path.write_bytes(path.read_bytes()[:-200])


def _broken_group(path: Path, table: pa.Table) -> None:
    """A file whose last row group's first page has a head of nonsense; the footer is whole."""
    pq.write_table(table, path, row_group_size=max(1, len(table) // 2), compression="none")
    about = pq.read_metadata(path)
    group = about.row_group(about.num_row_groups - 1)
    names = [group.column(i).path_in_schema for i in range(group.num_columns)]
    column = group.column(names.index("image.bytes"))
    with path.open("rb+") as file:
        file.seek(column.dictionary_page_offset or column.data_page_offset)
        file.write(b"\xff" * 64)


BAD_SHARDS: dict[str, Callable[[Path, pa.Table], Any]] = {
    "no footer": _cut,
    "empty file": lambda path, _: path.write_bytes(b""),
    "not parquet": lambda path, _: path.write_text("<!DOCTYPE html><title>404</title>"),
    "no such column": lambda path, table: pq.write_table(table.drop_columns("image"), path),
    "no such field": lambda path, table: pq.write_table(
        table.set_column(
            table.column_names.index("image"),
            "image",
            pa.array([{"path": "a.jpg"}] * len(table), pa.struct([("path", pa.string())])),
        ),
        path,
    ),
    "column of another type": lambda path, table: pq.write_table(
        table.set_column(table.column_names.index("image"), "image", pa.array(["a.png"] * len(table))), path
    ),
    "image a number": lambda path, table: pq.write_table(_replaced(table, "image", 7, pa.int64()), path),
    "bytes a list": lambda path, table: pq.write_table(
        _replaced(
            table,
            "image",
            {"bytes": [1], "path": "a"},
            pa.struct({"bytes": pa.list_(pa.int8()), "path": pa.string()}),
        ),
        path,
    ),
    "bytes a number": lambda path, table: pq.write_table(
        _replaced(
            table, "image", {"bytes": 1, "path": "a"}, pa.struct({"bytes": pa.int8(), "path": pa.string()})
        ),
        path,
    ),
    "name not utf-8": _bad_name,
    "column twice": lambda path, table: pq.write_table(
        table.append_column("image", table.column("image")), path
    ),
    "broken row group": _broken_group,
}
"""Whole files that are at fault, each written for a table in a source's layout."""


def exif(orientation: int) -> Image.Exif:
    """EXIF as a camera writes it: texts, fractions, and the two directories within."""
    found = Image.Exif()
    found.update({0x010F: "Maker", 0x0110: "Model", 0x0112: orientation, 0x011A: 72.0})
    found.get_ifd(ExifTags.IFD.Exif).update({0x9000: b"0230", 0x9003: "2024:05:17 10:00:00", 0x829A: 0.01})
    found.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (1.0, 2.0, 3.5)})
    return found


@cache
def with_exif(orientation: int) -> dict[str, bytes]:
    """A sound picture with sound EXIF, as each format and each way to store it has it."""
    picture, plain_exif = photograph(24, 16), exif(orientation).tobytes()
    xmp = f'<x:xmpmeta><rdf:Description tiff:Orientation="{orientation}"/></x:xmpmeta>'
    text, itxt = PngInfo(), PngInfo()
    text.add_text("Raw profile type exif", f"\nexif\n{len(plain_exif):8}\n{plain_exif.hex()}\n")
    itxt.add_itxt("XML:com.adobe.xmp", xmp)
    return {
        **{form: encoded(picture, form, exif=exif(orientation)) for form in ("JPEG", "PNG", "WEBP", "TIFF")},
        "MPO": encoded(picture, "MPO", save_all=True, append_images=[picture], exif=exif(orientation)),
        "LZW TIFF": encoded(picture, "TIFF", exif=exif(orientation), compression="tiff_lzw"),
        "PNG, EXIF as text": encoded(picture, "PNG", pnginfo=text),
        "PNG, EXIF behind the pixels": _exif_last(encoded(picture, "PNG", exif=exif(orientation))),
        "PNG, XMP": encoded(picture, "PNG", pnginfo=itxt),
        "JPEG, XMP": encoded(picture, "JPEG", xmp=xmp.encode()),
        "WEBP, XMP": encoded(picture, "WEBP", xmp=xmp.encode()),
        "GIF, XMP": _gif_with_xmp(encoded(picture.convert("P"), "GIF"), xmp.encode()),
        "BMP": encoded(picture, "BMP"),
    }


def _chunks(png_file: bytes) -> list[bytes]:
    """A PNG's chunks, whole."""
    chunks, at = [], 8
    while at < len(png_file):
        end = at + 12 + int.from_bytes(png_file[at : at + 4], "big")
        chunks.append(png_file[at:end])
        at = end
    return chunks


def _exif_last(png_file: bytes) -> bytes:
    chunks = sorted(_chunks(png_file)[:-1], key=lambda chunk: chunk[4:8] == b"eXIf")
    return png_file[:8] + b"".join([*chunks, _chunks(png_file)[-1]])


def _gif_with_xmp(gif: bytes, xmp: bytes) -> bytes:
    """XMP in an application extension, before the first frame (XMP specification, part 3, 1.1.2)."""
    trailer = b"\x01" + bytes(range(255, -1, -1)) + b"\x00"
    at = 13 + 3 * 2 ** ((gif[10] & 7) + 1)
    return gif[:at] + b"\x21\xff\x0bXMP DataXMP" + xmp + trailer + gif[at:]


def altered_metadata(seed: int) -> tuple[str, bytes]:
    """A sound picture with up to six bytes altered in and about its metadata; a PNG's checksums hold."""
    chance = random.Random(seed)
    name, file = chance.choice(list(with_exif(chance.randint(1, 8)).items()))
    spoilt = bytearray(file)
    marks = [b"Maker", b"Exif\0", b"II*\0", b"MM\0*", b"eXIf", b"Orientation", b"zTXt", b"tEXt", b"iTXt"]
    found = [at for at in map(file.find, marks) if at >= 0] or [0]
    around = chance.choice(found)
    for _ in range(chance.randint(1, 6)):
        at = min(len(file) - 1, max(8, around + chance.randint(-20, 260)))
        spoilt[at] = chance.choice((0, 255, chance.randrange(256)))
    if "PNG" in name:
        at = 8
        for chunk in _chunks(file):
            body = slice(at + 4, at + len(chunk) - 4)
            spoilt[body.stop : body.stop + 4] = struct.pack(">I", zlib.crc32(spoilt[body]))
            at += len(chunk)
    return name, bytes(spoilt)
