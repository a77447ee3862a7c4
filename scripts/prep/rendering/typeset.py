"""Fit text to pages: render a whole question on as few pages as it takes, at a legible font size.

`Typesetter.render` parses the markup (prep.rendering.markup), rejects characters that no font has
(prep.rendering.fonts), samples a page style (prep.rendering.style), and searches for the largest font size
at which the text fits: one page that grows with the text up to the pixel budget, or several pages of that
budget. A question reaches the engine (prep.rendering.engine) as data and is never evaluated. A rendered page
with ink in its outer margin has lost text and is discarded.
"""

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from PIL import Image

from prep.records.reason import Reason, Rejection
from prep.rendering import encode, fonts
from prep.rendering.document import Document
from prep.rendering.engine import CompileError, Engine
from prep.rendering.style import PageStyle, header_text, sample_style
from prep.runtime.program import UserError

_LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")

_MIN_AREA = 0.1
"""In em², a lower bound on a letter's area, by which texts are rejected before they are parsed."""


@dataclass(frozen=True)
class RenderConfig:
    """The `render` settings: sizes in pixels; `format` png, jpeg or mixed; `fonts` more files or folders.

    `looks` are the shares by which a style is sampled.
    """

    max_pixels: int
    max_pages: int
    min_font_px: int
    max_font_px: int
    format: str
    looks: Mapping[str, object] = field(hash=False)
    fonts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Page:
    """One picture: its encoded bytes and its file suffix, `png` or `jpg`."""

    bytes: bytes
    suffix: str


@dataclass(frozen=True)
class Rendering:
    """A question's pages. `detail` names the markup that is shown as literal text, if any."""

    pages: list[Page]
    detail: str | None


class _DoesNotFit(Exception):
    """The text needs too many pages, or something in it is wider or higher than a page."""


class Typesetter:
    """Renders questions. The same settings, seed, id and text give the same bytes, in any order."""

    def __init__(self, config: RenderConfig, seed: int) -> None:
        self.config = config
        self.seed = seed
        self.fonts = fonts.Fonts(config.fonts)
        self.fonts.check_families([*config.looks["faces"], *config.looks["chinese_faces"]])
        self.engine = Engine(self.fonts)

    def render(self, text: str, id: str) -> Rendering | Rejection:
        """Render the whole text on one page or more, each of at most `max_pixels`, or reject it.

        Control characters are left out. A formula that cannot be parsed is shown as literal text, and so is
        markup that does not fit, such as a table that is too wide.
        """
        text = clean(text)
        if not any(map(fonts.is_visible, text)):
            return Reason.QUESTION_EMPTY, "nothing in it can be seen"
        config = self.config
        if len(text) * _MIN_AREA * config.min_font_px**2 > config.max_pages * config.max_pixels:
            return Reason.TOO_LONG_TO_RENDER, f"{len(text)} characters"
        style = sample_style(
            self.seed, id, config.min_font_px, config.max_font_px, config.format, config.looks
        )
        try:
            if missing := self.fonts.find_missing(text):
                raise fonts.MissingGlyph(missing)
            document, pages = self._render(text, style)
        except fonts.MissingGlyph as error:
            return Reason.MISSING_GLYPH, str(error)
        except _DoesNotFit as error:
            return Reason.TOO_LONG_TO_RENDER, str(error)
        as_written = ", ".join(document.literal_markup)
        suffix = "png" if style.jpeg is None else "jpg"
        return Rendering(
            [Page(encode.encode_page(page, style), suffix) for page in pages],
            f"drawn as written: {as_written}" if as_written else None,
        )

    def _render(self, text: str, style: PageStyle) -> tuple[Document, list[Image.Image]]:
        """Render with all markup, else with the markup that can be rendered alone, else with none."""
        document = Document(text, self.fonts)
        with suppress(_DoesNotFit):
            return document, self._render_to_fit(document, style)
        if document.make_literal(lambda part: self._can_render(part, style)):
            with suppress(_DoesNotFit):
                return document, self._render_to_fit(document, style)
        plain = Document(text, self.fonts, is_plain=True)
        return plain, self._render_to_fit(plain, style)

    def _render_to_fit(self, document: Document, style: PageStyle) -> list[Image.Image]:
        """Choose number of pages, font size and page size: one page if the text is legible so, else more."""
        budget = self.config.max_pixels
        smallest = document.smallest_size(self.config.min_font_px, self.config.max_font_px)
        full_width, full_height = self._full_page_size(style)
        inside = full_height - 2 * style.margin
        for count in range(1, self.config.max_pages + 1):
            size = style.size
            while size >= smallest:
                # The height is an estimate, and no page of several is filled to its end.
                if count == 1:
                    width, height = document.page_width(size, style, budget), None
                    allowed = budget / width * (1.15 if size == smallest else 1)
                else:
                    width, height = full_width, full_height
                    allowed = count * inside * (1.1 if size == smallest else 0.98)
                if not document.may_fit(size, width, allowed, style):
                    size -= 1
                    continue
                pages = self._render_pages(document, style, size, width, height)
                room = budget / math.prod(pages[0].size) if count == 1 else count / len(pages)
                if room >= 1:
                    return pages if count == 1 else [*pages[:-1], encode.trim_end(pages[-1], style.margin)]
                size = min(size - 1, int(size * math.sqrt(room)))
        needed = math.ceil(document.estimate_height(smallest, full_width, style) / inside)
        raise _DoesNotFit(f"about {needed} pages with letters of {smallest} pixels")

    def _full_page_size(self, style: PageStyle) -> tuple[int, int]:
        """Width and height in pixels of a page of the whole budget."""
        width = math.isqrt(int(self.config.max_pixels * style.shape))
        return width, self.config.max_pixels // width

    def _can_render(self, part: Document, style: PageStyle) -> bool:
        """Whether a part of a question can be rendered alone, at the smallest size."""
        size = part.smallest_size(self.config.min_font_px, self.config.max_font_px)
        width, height = self._full_page_size(style)
        with suppress(_DoesNotFit):
            return part.may_fit(size, width, math.inf, style) and bool(
                self._render_pages(part, style, size, width, height)
            )
        return False

    def _render_pages(
        self, document: Document, style: PageStyle, size: int, width: int, height: int | None
    ) -> list[Image.Image]:
        """Render at a fixed size and check the margins; `height` None: one page as high as its text."""
        blocks = document.build_blocks(limit=(width - 2 * style.margin) / size - 2)
        text = [style.face, *document.families]
        if document.language != "en":  # quotation marks and dashes are the CJK font's
            chinese = [style.chinese_face] if document.language == "zh" else []
            latin = {"name": style.face, "covers": "latin-in-cjk"}
            text = [latin, *chinese, fonts.CJK, *document.families]
        setup = {
            "width": width, "height": height, "margin": style.margin,
            "size": size, "shrink": min(1.0, self.config.min_font_px / size),
            **document.line_metrics(size, style.leading),
            "justify": style.justify and document.is_plain_text and width > 26 * size,
            "lang": document.language, "script": document.script,
            "region": {"zh": "cn", "ja": "jp", "ko": "kr"}.get(document.language),
            "weight": style.weight, "header": header_text(style, document.header_language),
            "fonts": text, "bold": [font for font in text if font != fonts.CHINESE_SERIF],
            "mono": [fonts.MONO, *text], "math": [fonts.MATH, *document.families],
        }  # fmt: skip
        try:
            pages = self.engine.render({"style": setup, "blocks": blocks})
        except CompileError as error:
            if document.is_plain:
                line = f"a question cannot be drawn: {error} (is it a font of render.fonts?)"
                raise UserError(line) from error
            raise _DoesNotFit(str(error)) from error
        if document.is_plain_text or all(encode.has_clean_margins(page, style.margin) for page in pages):
            return pages
        raise _DoesNotFit("a line cannot be broken to fit the page")


def clean(text: str) -> str:
    """Normalise line ends and drop control characters."""
    return _CONTROLS.sub("", _LINE_ENDS.sub("\n", text))
