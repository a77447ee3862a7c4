"""A whole question as one page or several, drawn so that it can be read at the size training keeps.

`Typesetter.draw` reads the text's markup (prep.rendering.markup), looks for characters that no font has
(prep.rendering.fonts), chooses the page's looks from a hash of seed and id (prep.rendering.style), and then
the largest size at which the text fits: one page that grows with the text up to the pixel budget, or more
pages of that budget. A question reaches the engine (prep.rendering.engine) as data and is never evaluated.
What was drawn is looked at again: a page with ink in its outer margin has lost something and is not handed
out.
"""

import math
import re
from dataclasses import dataclass

from PIL import Image

from prep.records.reason import Reason
from prep.rendering import encode, fonts
from prep.rendering.document import Document
from prep.rendering.document import is_english as is_english
from prep.rendering.engine import Engine, Refused
from prep.rendering.style import Look, look
from prep.runtime.program import Failure

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


@dataclass(frozen=True)
class Drawing:
    """A question's pages, and in `detail` what of its markup is drawn as it is written (None: nothing)."""

    pages: list[Page]
    detail: str | None


class CannotDraw(Exception):
    """The question cannot be drawn whole: a reason of the closed list, and what is at fault."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class _DoesNotFit(Exception):
    """The text needs more pages than there may be, or something in it is wider or higher than a page."""


class Typesetter:
    """Draws questions; the same seed, id, text and fonts give the same bytes, in any order."""

    def __init__(self, style: Style, seed: int) -> None:
        self.style = style
        self.seed = seed
        self.fonts = fonts.Fonts(style.fonts)
        self.engine = Engine(self.fonts)

    def draw(self, text: str, id: str) -> Drawing:
        """The whole text on one page or more, each of at most `max_pixels`; raises CannotDraw.

        Control characters, which nothing shows, are left out. A formula that is not understood is drawn
        as it is written, and so is markup whose drawing does not fit (a table that is too wide, say).
        """
        text = cleaned(text)
        if not any(map(fonts.is_visible, text)):
            raise CannotDraw(Reason.QUESTION_EMPTY, "nothing in it can be seen")
        style = self.style
        if len(text) * _LEAST_AREA * style.min_font_px**2 > style.max_pages * style.max_pixels:
            raise CannotDraw(Reason.TOO_LONG_TO_RENDER, f"{len(text)} characters")
        chosen = look(self.seed, id, style.min_font_px, style.max_font_px, style.format)
        try:
            if missing := self.fonts.missing(text):
                raise fonts.Missing(missing)
            document, pages = self._drawn(text, chosen)
        except fonts.Missing as error:
            raise CannotDraw(Reason.MISSING_GLYPH, str(error)) from None
        except _DoesNotFit as error:
            raise CannotDraw(Reason.TOO_LONG_TO_RENDER, str(error)) from None
        as_written = ", ".join(document.literal)
        suffix = "png" if chosen.jpeg is None else "jpg"
        return Drawing(
            [Page(encode.encoded(page, chosen), suffix) for page in pages],
            f"drawn as written: {as_written}" if as_written else None,
        )

    def _drawn(self, text: str, chosen: Look) -> tuple[Document, list[Image.Image]]:
        """The text with as much of its markup as can be drawn: all, or what can be drawn alone, or none."""
        document = Document(text, self.fonts)
        try:
            return document, self._fit(document, chosen)
        except _DoesNotFit:
            pass
        if document.make_literal(lambda part: self._draws(part, chosen)):
            try:
                return document, self._fit(document, chosen)
            except _DoesNotFit:
                pass
        plain = Document(text, self.fonts, is_plain=True)
        return plain, self._fit(plain, chosen)

    def _fit(self, document: Document, chosen: Look) -> list[Image.Image]:
        """Pages: one if the text fits at a size that can be read, else as few as it takes."""
        budget, margin, leading = self.style.max_pixels, chosen.margin, chosen.leading
        smallest = document.smallest(self.style.min_font_px, self.style.max_font_px)
        size = chosen.size
        while size >= smallest:
            width = document.width(size, margin, leading, chosen.shape, budget)
            height = budget / width * (1.15 if size == smallest else 1)  # then it is worth a try
            if not document.suits(size, width, height, margin, leading):
                size -= 1
                continue
            pages = self._compile(document, chosen, size, width, None)
            pixels = math.prod(pages[0].size)
            if pixels <= budget:
                return pages
            size = min(size - 1, int(size * math.sqrt(budget / pixels)))
        width, height = self._full_page(chosen)
        inside = height - 2 * margin
        for count in range(2, self.style.max_pages + 1):
            size = chosen.size
            while size >= smallest:
                total = count * inside * (1.1 if size == smallest else 0.98)  # no page is full to its end
                if not document.suits(size, width, total, margin, leading):
                    size -= 1
                    continue
                pages = self._compile(document, chosen, size, width, height)
                if len(pages) <= count:
                    return [*pages[:-1], encode.trimmed(pages[-1], chosen.margin)]
                size = min(size - 1, int(size * math.sqrt(count / len(pages))))
        needed = math.ceil(document.height(smallest, width, margin, leading) / inside)
        raise _DoesNotFit(f"about {needed} pages with letters of {smallest} pixels")

    def _full_page(self, chosen: Look) -> tuple[int, int]:
        """Width and height in pixels of a page that takes the whole budget."""
        width = math.isqrt(int(self.style.max_pixels * chosen.shape))
        return width, self.style.max_pixels // width

    def _draws(self, part: Document, chosen: Look) -> bool:
        """Whether a part of a question can be drawn at the smallest size, on full pages of its own."""
        size = part.smallest(self.style.min_font_px, self.style.max_font_px)
        width, height = self._full_page(chosen)
        if not part.suits(size, width, math.inf, chosen.margin, chosen.leading):
            return False
        try:
            self._compile(part, chosen, size, width, height)
        except _DoesNotFit:
            return False
        return True

    def _compile(
        self, document: Document, chosen: Look, size: int, width: int, height: int | None
    ) -> list[Image.Image]:
        """The pages of one try, each looked at; `height` None: one page as high as its text."""
        blocks = document.blocks(limit=(width - 2 * chosen.margin) / size - 2)
        text = [chosen.face, *document.families]
        if document.language != "en":  # then quotation marks and dashes are the Chinese font's
            text = [{"name": chosen.face, "covers": "latin-in-cjk"}, fonts.CJK, *document.families]
        style = {
            "width": width, "height": height, "margin": chosen.margin,
            "size": size, "shrink": min(1.0, self.style.min_font_px / size),
            **document.lines(size, chosen.leading),
            "justify": chosen.justify and document.surely_fits and width > 26 * size,
            "lang": document.language, "script": document.script,
            "region": {"zh": "cn", "ja": "jp", "ko": "kr"}.get(document.language),
            "fonts": text, "mono": [fonts.MONO, *text], "math": [fonts.MATH, *document.families],
        }  # fmt: skip
        try:
            pages = self.engine.draw({"style": style, "blocks": blocks})
        except Refused as error:
            if document.is_plain:
                line = f"a question cannot be drawn: {error} (is it a font of render.fonts?)"
                raise Failure(line) from error
            raise _DoesNotFit(str(error)) from error
        if document.surely_fits or all(encode.has_clean_margins(page, chosen.margin) for page in pages):
            return pages
        raise _DoesNotFit("a line cannot be broken to fit the page")


def cleaned(text: str) -> str:
    """A text with one kind of line end, and without control characters, which nothing shows."""
    return _CONTROLS.sub("", _LINE_ENDS.sub("\n", text))
