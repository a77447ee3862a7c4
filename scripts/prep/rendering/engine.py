"""Typesetting engine: a document as plain data in, greyscale pages out.

typst sets the text: it breaks lines by the rules of each language, falls back from font to font by character,
and sets mathematics. PDFium rasterises the PDF, since typst's own PNGs are in full colour and take longer to
compress than the text takes to be set and rasterised. `bench/rendering.py` compares this with Pillow.

A PDF embeds the outlines of its characters, which takes half of a Chinese page's time. Documents that are
compiled together embed them once.

Overflow is found by where lines stand, not by ink: a letter may overhang its advance width, and in some
scripts most do. A page with formulas, or with ink in its outer margin, has its lines looked up in the PDF.
"""

import contextlib
import ctypes
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pypdfium2
import typst
from PIL import Image
from pypdfium2 import raw as pdfium

from prep.rendering.encode import has_clean_margins
from prep.rendering.fonts import Fonts
from prep.rendering.scratch_folder import ScratchFolder
from prep.runtime.program import UserError

TEMPLATE = Path(__file__).with_suffix(".typ")

MAIN = '#import "page.typ": question\n#for document in json("documents.json") { question(document) }'
"""All documents, one after the other. typst compiles the template once, since it is a function in a file of
its own. The data comes as a file, since typst recompiles everything if it comes in any other way, for a third
of the time."""


_TOO_WIDE = re.compile(r"wider than the page: ([\d.]+)")


class CompileError(Exception):
    """typst cannot compile a document; the text is its message."""


class Overflow(Exception):
    """Something is wider or higher than the page, or a letter crosses the page's edge.

    `width` is the least width in pixels inside the margins that it needs, or None where width is no help.
    """

    def __init__(self, line: str, width: float | None = None, is_cut: bool = False) -> None:
        super().__init__(line)
        self.width = width
        self.is_cut = is_cut


class Engine:
    """One typst compiler, which keeps its fonts, and the scratch folder that it compiles."""

    def __init__(self, faces: Fonts) -> None:
        self._folder = ScratchFolder("typeset")
        root = self._folder.path
        self._files = [root / name for name in ("documents.json", "page.typ", "main.typ")]
        self._documents = self._files[0].open("wb", buffering=0)
        shutil.copy(TEMPLATE, self._files[1])
        self._files[2].write_text(MAIN, "utf-8")
        # typst can read nothing outside root and finds no packages.
        self.compiler = typst.Compiler(
            input=root / "main.typ",
            root=root,
            font_paths=faces.engine,
            package_path=root,
            package_cache_path=root,
        )

    def render(self, document: dict) -> list[Image.Image]:
        """Rasterise a document at one pixel a point, from paper (255) to ink (0).

        Raises Overflow for a page that does not hold its text, CompileError, and UserError when the scratch
        folder is gone.
        """
        with contextlib.closing(pypdfium2.PdfDocument(self.compile(document, "pdf"))) as pdf:
            return [_rasterise(page, document["style"]) for page in pdf]

    def render_together(self, documents: list[dict]) -> list[list[Image.Image] | Exception]:
        """Each document's pages as `render` returns them, or what it raises.

        Those of one page, which is as high as its text, are compiled together.
        """
        found = {
            number: _catch(self.render, document)
            for number, document in enumerate(documents)
            if document["style"]["height"]
        }
        left = [number for number in range(len(documents)) if number not in found]
        found |= zip(left, self._render_single_pages([documents[number] for number in left]), strict=True)
        return [found[number] for number in range(len(documents))]

    def _render_single_pages(self, documents: list[dict]) -> list[list[Image.Image] | Exception]:
        """Documents of one page each. Where one of them cannot be compiled, each half is tried."""
        if len(documents) < 2:
            return [_catch(self.render, document) for document in documents]
        with (
            contextlib.suppress(Overflow, CompileError),
            contextlib.closing(pypdfium2.PdfDocument(self._compile(documents, "pdf"))) as pdf,
        ):
            if len(pdf) == len(documents):
                return [_catch(self._rasterise_or_render, *each) for each in zip(pdf, documents, strict=True)]
        half = len(documents) // 2
        return self._render_single_pages(documents[:half]) + self._render_single_pages(documents[half:])

    def _rasterise_or_render(self, page: pypdfium2.PdfPage, document: dict) -> list[Image.Image]:
        """A page among others as it would be alone.

        Where a glyph stands for several texts, such as a ligature's part, typst marks all of them but the
        first. PDFium rounds where the letters of marked text stand by themselves, so that the page would
        depend on the pages before it.
        """
        return self.render(document) if _has_marks(page) else [_rasterise(page, document["style"])]

    def compile(self, document: dict, form: str) -> bytes | list[bytes]:
        """Compile a document to one `pdf`, or to `svg` or `png`: one page, or a list; raises CompileError."""
        return self._compile([document], form)

    def _compile(self, documents: list[dict], form: str) -> bytes | list[bytes]:
        # Overwrite in place: truncating first waits for the disk, longer than a page takes.
        self._documents.seek(0)
        rest = memoryview(json.dumps(documents).encode())
        while rest:  # a disk that is almost full takes a part, and is an error at the next one
            rest = rest[self._documents.write(rest) :]
        self._documents.truncate()
        try:
            return self.compiler.compile(format=form, ppi=72, pdf_tags=False)
        except typst.TypstError as error:
            if not all(map(Path.exists, self._files)):
                raise UserError(
                    f"{self._folder.path} was removed while pages were drawn there; set TMPDIR to a folder"
                    " that nothing clears during a job, and run again"
                ) from error
            if wide := _TOO_WIDE.search(error.message):
                raise Overflow("a formula is wider than the page", float(wide[1])) from error
            if "higher than the page" in error.message:
                raise Overflow("a formula is higher than the page") from error
            raise CompileError(error.message) from error


def _catch(render: Callable[..., list[Image.Image]], *args: object) -> list[Image.Image] | Exception:
    """What a function returns, or what it raises of a document."""
    try:
        return render(*args)
    except (Overflow, CompileError) as error:
        return error


def _has_marks(page: pypdfium2.PdfPage) -> bool:
    """Whether something on a page is marked content."""
    parts = (pdfium.FPDFPage_GetObject(page, at) for at in range(pdfium.FPDFPage_CountObjects(page)))
    return any(pdfium.FPDFPageObj_CountMarks(part) > 0 for part in parts)


def _rasterise(page: pypdfium2.PdfPage, style: dict) -> Image.Image:
    """A page in greyscale; raises Overflow."""
    margin = style["margin"]
    bitmap = page.render(grayscale=True, draw_annots=False)
    shades = bitmap.to_numpy()
    is_clean = has_clean_margins(shades, margin)
    if not is_clean or style["has_formulas"]:  # the gaps within a formula may lie in the margin
        _check_lines(page, margin)
    if not is_clean and not has_clean_margins(shades, 2):
        raise Overflow("a letter crosses the page's edge", is_cut=True)
    page.close()
    return bitmap.to_pil()


def _check_lines(page: pypdfium2.PdfPage, margin: int) -> None:
    """Raise Overflow if a line of text or a rule reaches the outer half of the margins.

    PDFium bounds a text by its advance widths to the sides, and its baseline tells where it stands.
    """
    width, height = page.get_size()
    edge = margin // 2
    needed, is_high = 0.0, False
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    matrix = pdfium.FS_MATRIX()
    for number in range(pdfium.FPDFPage_CountObjects(page)):
        part = pdfium.FPDFPage_GetObject(page, number)
        pdfium.FPDFPageObj_GetBounds(part, left, bottom, right, top)
        if pdfium.FPDFPageObj_GetType(part) == pdfium.FPDF_PAGEOBJ_TEXT:
            pdfium.FPDFPageObj_GetMatrix(part, matrix)
            bottom.value = top.value = matrix.f
        if left.value < edge or right.value > width - edge:
            needed = max(needed, right.value - margin, width - margin - left.value)
        is_high = is_high or bottom.value < edge or top.value > height - edge
    if needed:
        raise Overflow("a line cannot be broken to fit the page", needed)
    if is_high:
        raise Overflow("something is higher than a page")
