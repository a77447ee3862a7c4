"""Fit text to pages: render a whole question on as few pages as it takes, at a legible font size.

`Typesetter.render` parses the markup (prep.rendering.markup), rejects characters that no font has
(prep.rendering.fonts), samples a page style (prep.rendering.style), and searches for the largest font size
at which the text fits: one page that grows with the text up to the pixel budget, or several pages of that
budget. A question reaches the engine (prep.rendering.engine) as data and is never evaluated. A page that
overflows is discarded. A wider page, smaller letters, the tightest style and at last literal text are tried.
"""

import math
import re
import unicodedata
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from typing import TypeVar

from PIL import Image

from prep.records.reason import Reason, Rejection
from prep.rendering import encode, fonts
from prep.rendering.document import NARROWEST, TALLEST, Document
from prep.rendering.engine import CompileError, Engine, Overflow
from prep.rendering.style import PageStyle, header_text, sample_style
from prep.runtime.program import UserError

_LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
_MOST_BLANKS = 400
"""In a row: more are wider than a page, and parsers that look ahead over thousands take seconds."""
_BLANKS = re.compile(rf"[ \t]{{{_MOST_BLANKS},}}")

_MIN_AREA = 0.1
"""In em², a lower bound on a letter's area, by which texts are rejected before they are parsed."""

_MOST_MARKS = 30
"""Of combining marks on one character, as in Unicode's Stream-Safe Text Format (UAX #15): the engine takes
seconds for hundreds."""

_TIGHTEST = {
    "layout": "plain", "face": fonts.SERIF, "chinese_face": fonts.CJK, "weight": 400, "margin": 14,
    "leading": 0.62, "justify": False, "shape": 1.0,
}  # fmt: skip
"""What replaces the sampled style where that cannot hold a text: the narrowest face, and the least gaps."""

_WIDEST = 2.0
"""The greatest width of a page, in sides of a square that has all of the pixels."""

_CERTAIN = 0.8
"""The share of `max_pages` up to which a text surely fits the tightest style, by its estimated height."""


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

    def sample_style(self, seed: int, id: str) -> PageStyle:
        """The style of the pages of the question with this id."""
        return sample_style(seed, id, self.min_font_px, self.max_font_px, self.format, self.looks)


@dataclass(frozen=True)
class Page:
    """One picture: its encoded bytes and its file suffix, `png` or `jpg`."""

    bytes: bytes
    suffix: str


@dataclass(frozen=True)
class Rendering:
    """A question's pages and their style. `detail` names the markup that is shown as literal text, if any."""

    pages: list[Page]
    detail: str | None
    style: PageStyle
    is_all_literal: bool
    """Whether the whole question is shown as literal text."""


Pages = list[Image.Image]
Answer = Pages | Exception
Result = TypeVar("Result")
Tries = Generator[dict, Pages, Result]
"""Yields documents to the engine, receives their pages or the engine's exception, and returns a result."""


class _TooLong(Exception):
    """The text needs too many pages."""


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
        markup that does not fit, such as a table that is too wide. The text alone decides whether it is drawn
        and what is literal: a text that its sampled style cannot hold is set in the tightest style.
        """
        return self._finish(self._render_question(text, id))

    def render_together(self, questions: Sequence[tuple[str, str]]) -> list[Rendering | Rejection]:
        """Render each text with its id as `render` does, in half of the time.

        The first tries of all are compiled together, then the second ones of those that need them, and so on.
        """
        tries = [self._render_question(text, id) for text, id in questions]
        found: dict[int, Rendering | Rejection] = {}
        answers: dict[int, Answer | None] = dict.fromkeys(range(len(tries)))
        while answers:
            documents = {}
            for number, answer in answers.items():
                try:
                    documents[number] = _resume(tries[number], answer)
                except StopIteration as end:
                    found[number] = end.value
            pages = self.engine.render_together(list(documents.values()))
            answers = dict(zip(documents, pages, strict=True))
        return [found[number] for number in range(len(tries))]

    def _finish(self, tries: Tries[Result]) -> Result:
        """The result of tries that are compiled one by one."""
        answer: Answer | None = None
        while True:
            try:
                document = _resume(tries, answer)
            except StopIteration as end:
                return end.value
            try:
                answer = self.engine.render(document)
            except (Overflow, CompileError) as error:
                answer = error

    def _render_question(self, text: str, id: str) -> Tries[Rendering | Rejection]:
        text = clean(text)
        if not any(map(fonts.is_visible, text)):
            return Reason.QUESTION_EMPTY, "nothing in it can be seen"
        config = self.config
        if len(text) * _MIN_AREA * config.min_font_px**2 > config.max_pages * config.max_pixels:
            return Reason.TOO_LONG_TO_RENDER, f"{len(text)} characters"
        if (marks := count_marks(text)) > _MOST_MARKS:
            return (
                Reason.TOO_LONG_TO_RENDER,
                f"{marks} combining marks on one letter (at most {_MOST_MARKS})",
            )
        style = config.sample_style(self.seed, id)
        try:
            if missing := self.fonts.find_missing(text):
                raise fonts.MissingGlyph(missing)
            document, style, pages = yield from self._render(text, style)
            if document.is_blank:
                return Reason.QUESTION_EMPTY, "nothing in it can be seen"
        except fonts.MissingGlyph as error:
            return Reason.MISSING_GLYPH, str(error)
        except (_TooLong, Overflow, CompileError) as error:
            return Reason.TOO_LONG_TO_RENDER, str(error)
        as_written = ", ".join(document.literal_markup)
        suffix = "png" if style.jpeg is None else "jpg"
        return Rendering(
            [Page(encode.encode_page(page, style), suffix) for page in pages],
            f"drawn as written: {as_written}" if as_written else None,
            style,
            document.is_plain or document.literal_markup == [text.strip()],
        )

    def _render(self, text: str, style: PageStyle) -> Tries[tuple[Document, PageStyle, Pages]]:
        """Render with all markup, else with the markup that can be rendered alone, else with none."""
        styles = (style, replace(style, **_TIGHTEST))
        with suppress(RecursionError):
            document = Document(text, self.fonts)
            with suppress(Overflow, CompileError):
                return document, *(yield from self._render_in_first(document, styles))
            # Parts may hold on pages of different widths alone, and together on one of the usual shape.
            for widest in (_WIDEST, 0.0):
                if document.simplify(partial(self._can_render, style=styles[1], widest=widest)):
                    with suppress(Overflow, CompileError):
                        return document, *(yield from self._render_in_first(document, styles))
        plain = Document(text, self.fonts, is_plain=True)
        try:
            return plain, *(yield from self._render_in_first(plain, styles))
        except CompileError as error:
            if "font" not in str(error):
                raise
            line = f"a question cannot be drawn: {error} (is it a font of render.fonts?)"
            raise UserError(line) from error

    def _render_in_first(
        self, document: Document, styles: tuple[PageStyle, PageStyle]
    ) -> Tries[tuple[PageStyle, Pages]]:
        """Render in the sampled style, else in the tightest one.

        Where the text may be too long, the tightest style decides, whichever style is sampled.
        """
        sampled, tightest = styles
        smallest = self._smallest_size(document)
        width, height = self._usual_page_size(document, tightest, smallest)
        needed = document.estimate_height(smallest, width, tightest) / (height - 2 * tightest.margin)
        if needed > _CERTAIN * self.config.max_pages:
            pages = yield from self._render_to_fit(document, tightest)
            with suppress(_TooLong, Overflow, CompileError):
                return sampled, (yield from self._render_to_fit(document, sampled))
            return tightest, pages
        with suppress(_TooLong, Overflow, CompileError):
            return sampled, (yield from self._render_to_fit(document, sampled))
        return tightest, (yield from self._render_to_fit(document, tightest))

    def _render_to_fit(
        self, document: Document, style: PageStyle, fewest: int = 1, widest: float = _WIDEST
    ) -> Tries[Pages]:
        """Choose number of pages, font size and page size: one page if the text is legible so, else more.

        Short lines have narrow pages, and still narrower ones where the most pages do not hold them.
        What overflows a page gets a wider one, up to `widest`, and then smaller letters.
        """
        smallest = self._smallest_size(document)
        unbroken = 0.0  # in em: the widest part that overflowed
        overflow: Exception | None = None
        counts: list[tuple[int, int | None]] = [
            (count, None) for count in range(fewest, self.config.max_pages + 1)
        ]
        narrow, usual = (
            self._usual_page_size(document, style, smallest, least) for least in (NARROWEST, None)
        )
        if narrow != usual:
            counts.append((self.config.max_pages, NARROWEST))
        for count, narrowest in counts:
            size = style.size
            while size >= smallest:
                try:
                    width, height = self._choose_page_size(
                        document, style, size, count, unbroken, narrowest, widest
                    )
                    if not self._may_fit(document, style, size, count, width):
                        size -= 1
                        continue
                    pages = yield from self._render_pages(document, style, size, width, height)
                except (Overflow, CompileError) as error:
                    overflow = error
                    needed = (getattr(error, "width", None) or 0.0) / size
                    if needed > unbroken:
                        unbroken = needed * 1.005
                    else:
                        size -= 1
                    continue
                room = self._find_room(pages, count)
                if room >= 1:
                    return pages if count == 1 else [*pages[:-1], encode.trim_end(pages[-1], style.margin)]
                smaller = min(size - 1, int(size * math.sqrt(room)))
                is_last_count = count == self.config.max_pages
                full = math.floor(widest * math.sqrt(self.config.max_pixels) - 2 * style.margin) / size
                if is_last_count and size == smallest and document.least_width and unbroken < full:
                    unbroken = full  # with wider columns a table's rows are lower
                    continue
                size = max(smaller, smallest) if is_last_count and size > smallest else smaller
        raise overflow or self._too_long(document, style)

    def _choose_page_size(
        self,
        document: Document,
        style: PageStyle,
        size: int,
        count: int,
        unbroken: float,
        narrowest: int | None,
        widest: float,
    ) -> tuple[int, int | None]:
        """Width and height of a page that holds a part `unbroken` em wide; one page is as high as its text.

        Raises Overflow if it is wider than `widest`.
        """
        if count == 1:
            width, height = document.page_width(size, style, self.config.max_pixels), None
        else:
            width, height = self._usual_page_size(document, style, size, narrowest)
            unbroken = max(unbroken, document.least_width)
        least = math.ceil(unbroken * size) + 2 * style.margin
        if least <= width:
            return width, height
        if least > max(widest * math.sqrt(self.config.max_pixels), self._full_page_size(style)[0]):
            raise Overflow("something is wider than a page")
        return least, height and self.config.max_pixels // least

    def _may_fit(self, document: Document, style: PageStyle, size: int, count: int, width: int) -> bool:
        """Whether the text may fit by its estimated height; with the smallest letters, also if it is near."""
        budget = self.config.max_pixels
        inside = budget / width if count == 1 else budget // width - 2 * style.margin
        if size > self._smallest_size(document):
            slack = 1.0 if count == 1 else 0.98  # no page of several is filled to its end
        elif count < self.config.max_pages:
            slack = 1.15 if count == 1 else 1.1
        else:
            slack = 2.0
        return document.may_fit(size, width, count * inside * slack, style)

    def _find_room(self, pages: list[Image.Image], count: int) -> float:
        """The room that there is, divided by what the pages take."""
        return self.config.max_pixels / math.prod(pages[0].size) if count == 1 else count / len(pages)

    def _too_long(self, document: Document, style: PageStyle) -> _TooLong:
        smallest = self._smallest_size(document)
        width, height = self._usual_page_size(document, style, smallest)
        needed = math.ceil(document.estimate_height(smallest, width, style) / (height - 2 * style.margin))
        needed = max(needed, self.config.max_pages + 1)  # it was tried on fewer
        return _TooLong(f"about {needed} pages with letters of {smallest} pixels")

    def _smallest_size(self, document: Document) -> int:
        return document.smallest_size(self.config.min_font_px, self.config.max_font_px)

    def _choose_weight(self, style: PageStyle, language: str) -> int:
        """The weight near the style's that the Latin face has and, for Chinese, the Chinese face too."""
        weight = style.weight
        if language == "zh":
            weight = self.fonts.find_weight(style.chinese_face, weight)
        return self.fonts.find_weight(style.face, weight)

    def _full_page_size(self, style: PageStyle) -> tuple[int, int]:
        """Width and height in pixels of a page of the whole budget."""
        width = math.isqrt(int(self.config.max_pixels * style.shape))
        return width, self.config.max_pixels // width

    def _usual_page_size(
        self, document: Document, style: PageStyle, size: int, narrowest: int | None = None
    ) -> tuple[int, int]:
        """Width and height in pixels of each of several pages: of the style's shape, no wider than the lines.

        `narrowest` is the least width; None: a page is not higher than TALLEST times its width.
        """
        budget = self.config.max_pixels
        least = max(document.natural_width(size, style), narrowest or math.sqrt(budget / TALLEST))
        width = min(self._full_page_size(style)[0], math.ceil(least))
        return width, budget // width

    def _can_render(self, part: Document, style: PageStyle, widest: float) -> bool:
        """Whether a part of a question can be rendered alone, on pages of the full height."""
        style = replace(style, size=self._smallest_size(part))
        with suppress(_TooLong, Overflow, CompileError):
            return bool(self._finish(self._render_to_fit(part, style, self.config.max_pages, widest)))
        return False

    def _render_pages(
        self, document: Document, style: PageStyle, size: int, width: int, height: int | None
    ) -> Tries[Pages]:
        """Render at a fixed size; `height` None: one page as high as its text.

        Where letters cross the page's edge, as vowel signs above the first line may, its margins grow.
        """
        blocks = document.build_blocks(limit=(width - 2 * style.margin) / size - 2)
        text = [style.face, *document.families]
        if document.language != "en":  # quotation marks and dashes are the CJK font's
            chinese = [style.chinese_face] if document.language == "zh" else []
            latin = {"name": style.face, "covers": "latin"}
            text = [latin, *chinese, fonts.CJK, *document.families]
        setup = {
            "width": width, "height": height, "margin": style.margin,
            "tallest": height or self._full_page_size(style)[1],
            "size": size, "shrink": min(1.0, self.config.min_font_px / size),
            **document.line_metrics(size, style.leading),
            "justify": style.justify and document.is_plain_text and width > 26 * size,
            "has_formulas": document.has_formulas,
            "lang": document.language, "script": document.script,
            "region": {"zh": "cn", "ja": "jp", "ko": "kr"}.get(document.language),
            "weight": self._choose_weight(style, document.language),
            "header": header_text(style, document.header_language),
            "fonts": text, "bold": [font for font in text if font != fonts.CHINESE_SERIF],
            "mono": [fonts.MONO, *text], "math": [fonts.MATH, *document.families],
        }  # fmt: skip
        for room in (0, size // 2, size):
            grown = setup | {"margin": style.margin + room, "width": width + 2 * room}
            try:
                return (yield {"style": grown, "blocks": blocks})
            except Overflow as error:
                if not error.is_cut or room == size:
                    raise
        raise AssertionError("the last try returns or raises")


def _resume(tries: Generator[dict, Pages, object], answer: Answer | None) -> dict:
    """Hand over the answer to the last document, None at first; the next document, or StopIteration."""
    return tries.throw(answer) if isinstance(answer, Exception) else tries.send(answer)


def clean(text: str) -> str:
    """Normalise line ends, drop control characters, and cut what is blank for longer than any line."""
    return _BLANKS.sub(lambda blanks: blanks[0][:_MOST_BLANKS], _CONTROLS.sub("", _LINE_ENDS.sub("\n", text)))


def count_marks(text: str) -> int:
    """The most combining marks that follow one another."""
    runs = groupby(text, lambda letter: unicodedata.combining(letter) > 0)
    return max((sum(1 for _ in run) for is_mark, run in runs if is_mark), default=0)
