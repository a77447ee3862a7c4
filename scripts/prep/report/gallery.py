"""Rows of an artifact for the report: which ones, their thumbnails, and messages split into pieces."""

import base64
import io
import re
from dataclasses import dataclass

from PIL import Image, ImageOps

from prep.records import seeding
from prep.records.image_format import FORMATS, has_orientation
from prep.report.formatting import format_size

THUMBNAIL, SMALLEST = 512, 64
"""Pixels of a thumbnail's longer side: at most, and where it may still not take the bytes that it has."""
PLAIN = 0.04
"""Bytes of WebP that a pixel of a plain drawing takes; of a photograph five times as many."""
MAX_DECODED_PIXELS = 50_000_000
"""The most pixels that are decoded for a thumbnail; a JPEG is first decoded at a smaller scale."""
THUMBNAIL_BYTES = 48_000
"""The most bytes of the thumbnails of a row."""
HEAD = 320
"""How many characters of a text are shown before it is unfolded."""
SHOWN = 12_000
"""The most characters of a row's texts on the page, so that no row bloats it."""
MOST_PICTURES, MOST_TURNS, MOST_PARTS = 4, 16, 24
"""Of a row, how many pictures and turns are shown; of a turn, how many tags and thoughts are told apart."""
TOGETHER = 32
"""How many rows are sampled beside each that is shown: they are in one row group, or in two."""
LABELS = ("mode", "score", "rule", "votes", "pass_rate", "needs_picture", "teacher")
"""The columns of a training row of stage 3 that its labels tell."""


@dataclass(frozen=True)
class Limits:
    """What a row may take on the page: bytes of its thumbnails (encoded), characters (ASCII) of its texts."""

    picture_bytes: int = THUMBNAIL_BYTES
    characters: int = SHOWN


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
    """A training row. `values` are what it is found by (stage 3), `labels` what is said of it.

    So many `pictures_left_out` and `turns_left_out` are not on the page.
    """

    id: str
    values: dict[str, object]
    labels: list[str]
    pictures: list[Picture]
    pictures_left_out: int
    messages: list[Message]
    turns_left_out: int


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


def sample_neighbours(name: str, rows: int, wanted: int) -> list[int]:
    """The positions of `sample_rows`, each with up to TOGETHER rows of its stratum that begin there.

    They are ascending, and few row groups hold them, whatever the artifact's size.
    """
    wanted = min(wanted, rows)
    found: list[int] = []
    for i, shown in enumerate(sample_rows(name, rows, wanted)):
        start, end = i * rows // wanted, (i + 1) * rows // wanted
        first = max(start, min(shown, end - TOGETHER))
        found.extend(range(first, min(first + TOGETHER, end)))
    return found


def build_example(row: dict, limits: Limits) -> Example:
    """Prepare a training row for the page."""
    images, messages = row["images"][:MOST_PICTURES], row["messages"][:MOST_TURNS]
    return Example(
        row["id"],
        {key: row[key] for key in ("mode", "score") if row.get(key) is not None},
        [f"{key.replace('_', ' ')} {format_value(row[key])}" for key in LABELS if row.get(key) is not None],
        [make_picture(each["bytes"], limits.picture_bytes // len(images)) for each in images],
        len(row["images"]) - len(images),
        split_messages(messages, limits.characters),
        len(row["messages"]) - len(messages),
    )


def format_value(value: object) -> str:
    """A column's value: a share with two digits at most, yes and no for a truth."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def make_picture(data: bytes, most_bytes: int = THUMBNAIL_BYTES) -> Picture:
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
            return Picture(_data_uri(encode_thumbnail(convert_mode(turned), most_bytes)), note)
    except Exception as error:  # decoders raise anything: OSError, SyntaxError, struct.error, zlib.error, …
        return Picture(None, f"{note}: cannot be shown ({type(error).__name__})")


def convert_mode(image: Image.Image) -> Image.Image:
    """A picture in a mode of WebP; greyscale of more than 8 bits is stretched to 8."""
    if image.mode.startswith(("I", "F")):
        image = image.convert("F")
        low, high = image.getextrema()
        scale = 255 / ((high - low) or 1)
        image = image.point(lambda value: value * scale - low * scale).convert("L")
    if image.mode not in ("RGB", "RGBA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image


def encode_thumbnail(image: Image.Image, most_bytes: int) -> bytes:
    """A picture, scaled down to THUMBNAIL pixels and as far as it takes no more bytes, as WebP."""
    side = min(THUMBNAIL, int((most_bytes / PLAIN) ** 0.5))
    while True:
        image.thumbnail((side, side))
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=75)
        size = buffer.tell()
        if size <= most_bytes or max(image.size) <= SMALLEST:
            return buffer.getvalue()
        side = max(SMALLEST, int(max(image.size) * min(0.9, (most_bytes / size) ** 0.5)))


def _data_uri(webp: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(webp).decode()}"


def split_messages(messages: list[dict], characters: int) -> list[Message]:
    """Messages in pieces; of all together so many characters are shown, of Chinese a third."""
    found = []
    for message in messages:
        fitting = fit_characters(message["content"], characters)
        found.append(Message(message["role"], split_message(message["content"], fitting)))
        characters -= sum(len(f"{piece.head}{piece.rest}".encode()) for piece in found[-1].pieces)
    return found


def fit_characters(text: str, characters: int) -> int:
    """How many characters of a text take as many bytes of UTF-8 as so many of ASCII, about."""
    head = text[: max(0, characters)]
    return characters * len(head) // (len(head.encode()) or 1) if head else characters


def split_message(text: str, characters: int = SHOWN) -> list[Piece]:
    """Split a message into thoughts, picture tags and text; so many characters of it are shown.

    Tags and thoughts beyond MOST_PARTS are left in the text.
    """
    found: list[Piece] = []
    for part in re.split(r"(<think>.*?</think>|<image>)", text, maxsplit=MOST_PARTS, flags=re.DOTALL):
        if part == "<image>":
            found.append(Piece("tag", part, "", len(part)))
        elif part.startswith("<think>") and part.endswith("</think>"):
            thought = part.removeprefix("<think>").removesuffix("</think>").strip()
            found.append(Piece("think", "", thought[:characters], len(thought)))
        elif part.strip():
            found.append(fold_text(part.strip("\n"), characters))
        else:
            continue
        characters = max(0, characters - len(found[-1].head) - len(found[-1].rest))
    return found


def fold_text(text: str, characters: int = SHOWN) -> Piece:
    """Fold a text at a space near HEAD characters, unless it is hardly longer; so many are shown."""
    shown = text[: max(0, characters)]
    if len(shown) <= 1.5 * HEAD:
        return Piece("text", shown, "", len(text))
    near = HEAD * 3 // 4
    at = max(shown.rfind(space, near, HEAD) for space in " \n") + 1 or HEAD
    return Piece("text", shown[:at], shown[at:], len(text))
