"""Typesetting engine: a document as plain data in, greyscale pages out.

typst sets the text: it breaks lines by the rules of each language, falls back from font to font by character,
and sets mathematics. PDFium rasterises the PDF, since typst's own PNGs are in full colour and take longer to
compress than the text takes to be set and rasterised. `bench/rendering.py` compares this with Pillow.
"""

import contextlib
import json
import shutil
from pathlib import Path

import pypdfium2
import typst
from PIL import Image

from prep.rendering.fonts import Fonts
from prep.rendering.scratch_folder import ScratchFolder

TEMPLATE = Path(__file__).with_suffix(".typ")

MAIN = '#import "page.typ": question\n#question(json("doc.json"))'
"""The document. typst compiles the template once, since it is a function in a file of its own. The data comes
as a file, since typst recompiles everything if it comes in any other way, for a third of the time."""


class CompileError(Exception):
    """typst cannot compile a document; the text is its message."""


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
        """Rasterise a document at one pixel a point, from paper (255) to ink (0); raises CompileError."""
        pages = []
        with contextlib.closing(pypdfium2.PdfDocument(self.compile(document, "pdf"))) as pdf:
            for page in pdf:
                pages.append(page.render(grayscale=True, draw_annots=False).to_pil())
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
            raise CompileError(error.message) from error
