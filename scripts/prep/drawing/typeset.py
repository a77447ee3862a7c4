"""A whole question as one page or several, drawn so that it can be read at the size training keeps.

`Typesetter.draw` reads the text's markup (prep.drawing.markup), looks for characters that no font has
(prep.drawing.fonts), chooses the page's looks from a hash of seed and id, and then the largest size at which
the text fits: one page that grows with the text up to the pixel budget, or more pages of that budget.
The drawing is typst's (prep.drawing.page); a question reaches it as data and is never evaluated. What was
drawn is looked at again: a page with ink in its outer margin has lost something and is not handed out.
"""

import hashlib
import io
import json
import logging
import math
import re
import tempfile
from dataclasses import dataclass

import typst
from PIL import Image

from prep.drawing import fonts
from prep.drawing.document import Document
from prep.drawing.document import is_english as is_english
from prep.drawing.page import TEMPLATE
from prep.reason import Reason

log = logging.getLogger("prep")

PALETTE = (
    ("#ffffff", "#000000"), ("#ffffff", "#1b1b1b"), ("#fdf8ec", "#2a2118"), ("#f4f7fb", "#14233c"),
    ("#f3f8f1", "#16301d"), ("#fbf3f3", "#3a1217"), ("#f2f2f2", "#222222"), ("#eef3f4", "#102a31"),
    ("#fffbe6", "#1d2b53"), ("#f6f1fa", "#2b1644"), ("#1e1f26", "#f2f2ee"), ("#10283a", "#eef6ff"),
)  # fmt: skip
"""Paper and ink; a contrast of at least 7:1 (WCAG 2.2, 1.4.6) leaves room for a texture on the paper."""

TEXTURES = ("plain", "plain", "plain", "dots", "grid", "ruled")

_TEMPLATE = TEMPLATE.encode()
_LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")

_LEAST_AREA = 0.1
"""In em², less than the smallest letter takes with its share of the line; bounds what is read at all."""


@dataclass(frozen=True)
class Style:
    """How pages may look: sizes in pixels; `format` png, jpeg or mixed; `fonts` more files or folders."""

    max_pixels: int
    max_pages: int
    min_font_px: int
    max_font_px: int
    format: str
    fonts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Page:
    """One picture: the encoded file's bytes, and `png` or `jpg`."""

    bytes: bytes
    suffix: str


class CannotDraw(Exception):
    """The question cannot be drawn whole: a reason of the closed list, and what is at fault."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class _Look:
    """What a hash of seed and id decides."""

    paper: str
    ink: str
    texture: str
    face: str
    size: int
    margin: int
    leading: float
    justify: bool
    shape: float
    """Width by height that a page with much text tends to."""
    jpeg: int | None
    """JPEG quality; None: PNG."""


class _DoesNotFit(Exception):
    """The text needs more pages than there may be, or something in it is wider or higher than a page."""


class Typesetter:
    """Draws questions; the same seed, id, text and fonts give the same bytes, in any order."""

    def __init__(self, style: Style, seed: int) -> None:
        self.style = style
        self.seed = seed
        self.fonts = fonts.Fonts(style.fonts)
        self._root = tempfile.TemporaryDirectory(prefix="typeset-")  # empty: no file can be read from it
        self._compiler = typst.Compiler(
            root=self._root.name,
            font_paths=self.fonts.engine,
            package_path=self._root.name,
            package_cache_path=self._root.name,
        )

    def draw(self, text: str, id: str) -> list[Page]:
        """The whole text on one page or more, each of at most `max_pixels`; raises CannotDraw.

        Control characters, which nothing shows, are left out. Markup whose drawing does not fit (a
        table that is too wide, say) is drawn as it is written.
        """
        text = _CONTROLS.sub("", _LINE_ENDS.sub("\n", text))
        if not any(map(fonts.is_visible, text)):
            raise CannotDraw(Reason.QUESTION_EMPTY, "nothing in it can be seen")
        if len(text) * _LEAST_AREA * self.style.min_font_px**2 > self.style.max_pages * self.style.max_pixels:
            raise CannotDraw(Reason.TOO_LONG_TO_RENDER, f"{len(text)} characters")
        look = self._look(id)
        try:
            if missing := self.fonts.missing(text):
                raise fonts.Missing(missing)
            try:
                pages = self._fit(Document(text, self.fonts), look)
            except _DoesNotFit:
                pages = self._fit(Document(text, self.fonts, is_plain=True), look)
        except fonts.Missing as error:
            raise CannotDraw(Reason.MISSING_GLYPH, str(error)) from None
        except _DoesNotFit as error:
            raise CannotDraw(Reason.TOO_LONG_TO_RENDER, str(error)) from None
        return [_encoded(page, look.jpeg) for page in pages]

    def _look(self, id: str) -> _Look:
        dice = hashlib.sha256(f"{self.seed}\n{id}".encode(errors="surrogatepass")).digest()
        share = [byte / 255 for byte in dice]
        largest, smallest = self.style.max_font_px, self.style.min_font_px
        is_jpeg = self.style.format == "jpeg" or (self.style.format == "mixed" and dice[10] % 2 == 1)
        paper, ink = PALETTE[dice[0] % len(PALETTE)]
        return _Look(
            paper=paper,
            ink=ink,
            texture=TEXTURES[dice[1] % len(TEXTURES)],
            face=fonts.SERIF if dice[2] % 3 == 0 else fonts.SANS,
            size=largest - round(share[3] * (largest - smallest) / 2),
            margin=14 + dice[4] % 19,
            leading=0.62 + 0.2 * share[5],
            justify=dice[6] % 4 == 0,
            shape=0.9 + 0.9 * share[7],
            jpeg=85 + dice[11] % 11 if is_jpeg else None,
        )

    def _fit(self, document: Document, look: _Look) -> list[bytes]:
        """Pages as PNG: one if the text fits at a size that can be read, else as few as it takes."""
        budget = self.style.max_pixels
        smallest = document.smallest(self.style.min_font_px, self.style.max_font_px)
        size = look.size
        while size >= smallest:
            width = document.width(size, look.margin, look.leading, look.shape, budget)
            if not document.suits(size, width, 1.15 * budget / width, look.margin, look.leading):
                size -= 1
                continue
            pages = self._compile(document, look, size, width, None)
            pixels = math.prod(_extent(pages[0]))
            if pixels <= budget:
                return pages
            size = min(size - 1, int(size * math.sqrt(budget / pixels)))
        width = math.isqrt(int(budget * look.shape))
        height = budget // width
        inside = height - 2 * look.margin
        for count in range(2, self.style.max_pages + 1):
            size = look.size
            while size >= smallest:
                if not document.suits(size, width, 1.1 * count * inside, look.margin, look.leading):
                    size -= 1
                    continue
                pages = self._compile(document, look, size, width, height)
                if len(pages) <= count:
                    return [*pages[:-1], _trimmed(pages[-1], look)]
                size = min(size - 1, int(size * math.sqrt(count / len(pages))))
        needed = math.ceil(document.height(smallest, width, look.margin, look.leading) / inside)
        raise _DoesNotFit(f"about {needed} pages with letters of {smallest} pixels")

    def _compile(
        self, document: Document, look: _Look, size: int, width: int, height: int | None
    ) -> list[bytes]:
        """The pages of one try, each looked at; `height` None: one page as high as its text."""
        families = [*self.fonts.families, fonts.MONO, fonts.MATH]
        text = [look.face, *families]
        if document.language != "en":  # then quotation marks and dashes are the Chinese font's
            text = [{"name": look.face, "covers": "latin-in-cjk"}, fonts.CJK, *families]
        style = {
            "paper": look.paper, "ink": look.ink, "texture": look.texture,
            "width": width, "height": height, "margin": look.margin,
            "size": size, "shrink": min(1.0, self.style.min_font_px / size),
            "leading": look.leading, "justify": look.justify and document.surely_fits and width > 26 * size,
            "lang": document.language, "script": document.script,
            "region": {"zh": "cn", "ja": "jp", "ko": "kr"}.get(document.language),
            "fonts": text, "mono": [fonts.MONO, *text], "math": [fonts.MATH, *families],
        }  # fmt: skip
        blocks = document.blocks(limit=(width - 2 * look.margin) / size - 2)
        data = json.dumps({"style": style, "blocks": blocks})
        try:
            pages = self._compiler.compile(input=_TEMPLATE, format="png", ppi=72, sys_inputs={"doc": data})
        except typst.TypstError as error:
            if document.is_plain:
                raise
            log.warning("drawn without its markup, since the typesetter says: %s", error.message)
            raise _DoesNotFit(error.message) from error
        pages = pages if isinstance(pages, list) else [pages]
        if not document.surely_fits:
            for page in pages:
                _look_at_margins(page, look)
        return pages


def _extent(png: bytes) -> tuple[int, int]:
    """Width and height from a PNG's header (IHDR comes first, PNG specification 11.2.2)."""
    return int.from_bytes(png[16:20]), int.from_bytes(png[20:24])


def _look_at_margins(png: bytes, look: _Look) -> None:
    """Raise _DoesNotFit if the outer half of a margin holds ink: what would be cut off lies beyond it."""
    page = Image.open(io.BytesIO(png)).convert("L")
    width, height = page.size
    edge = look.margin // 2
    paper, ink = (_grey(colour) for colour in (look.paper, look.ink))
    sides = [(0, 0, edge, height), (width - edge, 0, width, height), (0, 0, width, edge)]
    for box in (*sides, (0, height - edge, width, height)):
        darkest, lightest = page.crop(box).getextrema()
        if max(abs(darkest - paper), abs(lightest - paper)) > abs(ink - paper) / 2:
            raise _DoesNotFit("a line cannot be broken to fit the page")


def _trimmed(png: bytes, look: _Look) -> bytes:
    """A last page without the empty part under its text."""
    page = Image.open(io.BytesIO(png)).convert("RGB")
    paper, ink = _grey(look.paper), _grey(look.ink)
    text = page.convert("L").point(lambda grey: 255 * (abs(grey - paper) > abs(ink - paper) / 2)).getbbox()
    bottom = text[3] + look.margin if text else page.height
    if bottom >= page.height:
        return png
    buffer = io.BytesIO()
    page.crop((0, 0, page.width, bottom)).save(buffer, "PNG")
    return buffer.getvalue()


def _grey(colour: str) -> int:
    return Image.new("RGB", (1, 1), colour).convert("L").getpixel((0, 0))


def _encoded(png: bytes, quality: int | None) -> Page:
    if quality is None:
        return Page(png, "png")
    buffer = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(buffer, "JPEG", quality=quality, subsampling=0)
    return Page(buffer.getvalue(), "jpg")
