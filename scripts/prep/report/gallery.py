"""Sample rows of an artifact for the report: thumbnails, and messages split into pieces."""

import base64
import io
import re
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from prep.records import seeding
from prep.records.image_format import FORMATS, has_orientation
from prep.report.formatting import format_size
from prep.storage import parquet

THUMBNAIL = 512
"""Pixels of a thumbnail's longer side."""
MAX_DECODED_PIXELS = 50_000_000
"""The most pixels that are decoded for a thumbnail; a JPEG is first decoded at a smaller scale."""
HEAD = 320
"""How many characters of a text are shown before it is unfolded."""
SHOWN = 12_000
"""The most characters of a text on the page, so that no row bloats it."""


@dataclass(frozen=True)
class Picture:
    """A picture on the page: a data URI or None, and a note on the file or on why it is not shown."""

    uri: str | None
    note: str


@dataclass(frozen=True)
class Piece:
    """A part of a message: `text`, a thought (`think`) or an `<image>` tag (`tag`).

    `head` is shown at once, `rest` when unfolded; `left_out` of the `length` characters are not on the page.
    """

    kind: str
    head: str
    rest: str
    length: int

    @property
    def left_out(self) -> int:
        return self.length - len(self.head) - len(self.rest)


@dataclass(frozen=True)
class Message:
    """A turn, in pieces."""

    role: str
    pieces: list[Piece]


@dataclass(frozen=True)
class Example:
    """A training row; `labels` are its mode and score in stage 3."""

    id: str
    labels: list[str]
    pictures: list[Picture]
    messages: list[Message]


def sample_examples(name: str, path: Path, wanted: int) -> list[Example]:
    """Up to `wanted` rows of the artifact `name`, whose file or folder is `path`."""
    rows = parquet.count_rows(path)
    return [build_example(row) for row in parquet.read_rows_at(path, sample_rows(name, rows, wanted))]


def sample_rows(name: str, rows: int, wanted: int) -> list[int]:
    """Up to `wanted` ascending row positions of an artifact: one from each of as many equal strata.

    A hash of the artifact's name decides, so that an artifact always shows the same rows.
    """
    wanted = min(wanted, rows)
    found = []
    for i in range(wanted):
        start, end = i * rows // wanted, (i + 1) * rows // wanted
        found.append(start + seeding.hash_names(0, "example", name, i) % (end - start))
    return found


def build_example(row: dict) -> Example:
    """Prepare a training row for the page."""
    return Example(
        row["id"],
        [f"{key} {row[key]}" for key in ("mode", "score") if row.get(key) is not None],
        [make_picture(each["bytes"]) for each in row["images"]],
        [Message(message["role"], split_message(message["content"])) for message in row["messages"]],
    )


def make_picture(data: bytes) -> Picture:
    """A thumbnail of a picture's first frame, with its EXIF orientation applied as `datasets` does.

    A picture that Pillow cannot decode is not fatal; the note says so.
    """
    note = format_size(len(data))
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            note = f"{image.format}, {image.width} by {image.height}, {image.mode}, {note}"
            image.draft(None, (THUMBNAIL, THUMBNAIL))
            if image.width * image.height > MAX_DECODED_PIXELS:
                return Picture(None, f"{note}: too large to be shown here")
            image.load()
            turned = ImageOps.exif_transpose(image) if has_orientation(image) else image
            return Picture(_data_uri(make_thumbnail(turned)), note)
    except Exception as error:  # decoders raise anything: OSError, SyntaxError, struct.error, zlib.error, …
        return Picture(None, f"{note}: cannot be shown ({type(error).__name__})")


def make_thumbnail(image: Image.Image) -> Image.Image:
    """Scale a picture down, in a mode of WebP; greyscale of more than 8 bits is stretched to 8."""
    if image.mode.startswith(("I", "F")):
        image = image.convert("F")
        low, high = image.getextrema()
        scale = 255 / ((high - low) or 1)
        image = image.point(lambda value: value * scale - low * scale).convert("L")
    if image.mode not in ("RGB", "RGBA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    return image


def _data_uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=75)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def split_message(text: str) -> list[Piece]:
    """Split a message into thoughts, picture tags and text."""
    found = []
    for part in re.split(r"(<think>.*?</think>|<image>)", text, flags=re.DOTALL):
        if part == "<image>":
            found.append(Piece("tag", part, "", len(part)))
        elif part.startswith("<think>") and part.endswith("</think>"):
            thought = part.removeprefix("<think>").removesuffix("</think>").strip()
            found.append(Piece("think", "", thought[:SHOWN], len(thought)))
        elif part.strip():
            found.append(fold_text(part.strip("\n")))
    return found


def fold_text(text: str) -> Piece:
    """Fold a text at a space near HEAD characters, unless it is hardly longer."""
    if len(text) <= 1.5 * HEAD:
        return Piece("text", text, "", len(text))
    near = HEAD * 3 // 4
    at = max(text.rfind(space, near, HEAD) for space in " \n") + 1 or HEAD
    return Piece("text", text[:at], text[at:SHOWN], len(text))
