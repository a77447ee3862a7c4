"""Some rows of an artifact as a page shows them: thumbnails, and messages cut into pieces."""

import base64
import io
import re
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from PIL import Image, ImageOps

from prep.records import seeding
from prep.records.image_format import FORMATS, has_orientation
from prep.report.formatting import size
from prep.storage import parquet

THUMBNAIL = 512
"""Pixels of a thumbnail's longer side."""
DECODED = 50_000_000
"""Pixels that are decoded at most for a thumbnail (a JPEG is decoded at a smaller scale first)."""
HEAD = 320
"""Characters of a text that are seen before it is unfolded."""
SHOWN = 12_000
"""Characters of a text that are on the page at most, so that no row swells it."""


@dataclass(frozen=True)
class Picture:
    """A picture as the page shows it: a data URI, or None; and what the file is, or why it is not shown."""

    uri: str | None
    note: str


@dataclass(frozen=True)
class Piece:
    """A part of a message: `text`, a thought (`think`) or an `<image>` tag (`tag`).

    `head` is seen at once and `rest` once unfolded; `left_out` of its `length` characters are not there.
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
    """A training row; `labels` are what stage 3 says of it."""

    id: str
    source_id: str | None
    labels: list[str]
    pictures: list[Picture]
    messages: list[Message]


def examples(name: str, path: Path, wanted: int) -> list[Example]:
    """Up to `wanted` rows of the artifact `name`, whose file is `path`."""
    rows = pq.read_metadata(path).num_rows
    return [example(row) for row in parquet.read_rows_at(path, pick(name, rows, wanted))]


def pick(name: str, rows: int, wanted: int) -> list[int]:
    """Up to `wanted` row numbers of an artifact, ascending: one from each of so many equal stretches.

    A hash of the artifact's name decides, so that the same artifact always shows the same rows.
    """
    wanted = min(wanted, rows)
    found = []
    for i in range(wanted):
        start, end = i * rows // wanted, (i + 1) * rows // wanted
        found.append(start + seeding.hash_names(0, "example", name, i) % (end - start))
    return found


def example(row: dict) -> Example:
    """A training row as the page shows it."""
    return Example(
        row["id"],
        row["source_id"],
        [f"{key} {row[key]}" for key in ("mode", "score") if row.get(key) is not None],
        [picture(each["bytes"]) for each in row["images"]],
        [Message(message["role"], pieces(message["content"])) for message in row["messages"]],
    )


def picture(data: bytes) -> Picture:
    """A thumbnail of a picture's first frame, turned by its EXIF as `datasets` turns it for a trainer.

    A picture that Pillow cannot read to its end is not fatal: the note says so.
    """
    note = size(len(data))
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            note = f"{image.format}, {image.width} by {image.height}, {image.mode}, {note}"
            image.draft(None, (THUMBNAIL, THUMBNAIL))
            if image.width * image.height > DECODED:
                return Picture(None, f"{note}: too large to be shown here")
            image.load()
            turned = ImageOps.exif_transpose(image) if has_orientation(image) else image
            return Picture(_data_uri(thumbnail(turned)), note)
    except Exception as error:  # decoders raise anything: OSError, SyntaxError, struct.error, zlib.error, …
        return Picture(None, f"{note}: cannot be shown ({type(error).__name__})")


def thumbnail(image: Image.Image) -> Image.Image:
    """The picture at its own size or smaller, in a mode that WebP has; deep greys are stretched to 8 bits."""
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


def pieces(text: str) -> list[Piece]:
    """A message in its parts: thoughts and picture tags apart from the text."""
    found = []
    for part in re.split(r"(<think>.*?</think>|<image>)", text, flags=re.DOTALL):
        if part == "<image>":
            found.append(Piece("tag", part, "", len(part)))
        elif part.startswith("<think>") and part.endswith("</think>"):
            thought = part.removeprefix("<think>").removesuffix("</think>").strip()
            found.append(Piece("think", "", thought[:SHOWN], len(thought)))
        elif part.strip():
            found.append(folded(part.strip("\n")))
    return found


def folded(text: str) -> Piece:
    """A text, folded at a space near its first HEAD characters if it is a good deal longer than that."""
    if len(text) <= 1.5 * HEAD:
        return Piece("text", text, "", len(text))
    near = HEAD * 3 // 4
    at = max(text.rfind(space, near, HEAD) for space in " \n") + 1 or HEAD
    return Piece("text", text[:at], text[at:SHOWN], len(text))
