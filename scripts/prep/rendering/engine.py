"""Typesetting engine: a document as plain data in, greyscale pages out.

typst sets the text: it breaks lines by the rules of each language, falls back from font to font by character,
and sets mathematics. PDFium rasterises the PDF, since typst's own PNGs are in full colour and take longer to
compress than the text takes to be set and rasterised. `bench/rendering.py` compares this with Pillow.

Overflow is found by where lines stand, not by ink: a letter may overhang its advance width, and in some
scripts most do. A page with formulas, or with ink in its outer margin, has its lines looked up in the PDF.
"""

import contextlib
import ctypes
import json
import re
import shutil
from pathlib import Path

import pypdfium2
import typst
from PIL import Image
from pypdfium2 import raw as pdfium

from prep.rendering.encode import has_clean_margins
from prep.rendering.fonts import Fonts
from prep.rendering.scratch_folder import ScratchFolder

TEMPLATE = Path(__file__).with_suffix(".typ")

MAIN = '#import "page.typ": question\n#question(json("doc.json"))'
"""The document. typst compiles the template once, since it is a function in a file of its own. The data comes
as a file, since typst recompiles everything if it comes in any other way, for a third of the time."""


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
        self._document = (root / "doc.json").open("wb", buffering=0)
        shutil.copy(TEMPLATE, root / "page.typ")
        (root / "main.typ").write_text(MAIN, "utf-8")
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

        Raises Overflow for a page that does not hold its text, and CompileError.
        """
        pages = []
        margin = document["style"]["margin"]
        has_formulas = document["style"]["has_formulas"]
        with contextlib.closing(pypdfium2.PdfDocument(self.compile(document, "pdf"))) as pdf:
            for page in pdf:
                pages.append(page.render(grayscale=True, draw_annots=False).to_pil())
                is_clean = has_clean_margins(pages[-1], margin)
                if not is_clean or has_formulas:  # the gaps within a formula may lie in the margin
                    _check_lines(page, margin)
                if not is_clean and not has_clean_margins(pages[-1], 2):
                    raise Overflow("a letter crosses the page's edge", is_cut=True)
                page.close()
        return pages

    def compile(self, document: dict, form: str) -> bytes | list[bytes]:
        """Compile a document to one `pdf`, or to `svg` or `png`: one page, or a list; raises CompileError."""
        # Overwrite in place: truncating first waits for the disk, longer than a page takes.
        self._document.seek(0)
        self._document.write(json.dumps(document).encode())
        self._document.truncate()
        try:
            return self.compiler.compile(format=form, ppi=72, pdf_tags=False)
        except typst.TypstError as error:
            if wide := _TOO_WIDE.search(error.message):
                raise Overflow("a formula is wider than the page", float(wide[1])) from error
            if "higher than the page" in error.message:
                raise Overflow("a formula is higher than the page") from error
            raise CompileError(error.message) from error


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
