"""The engines behind one function: a document as plain data in, pages in shades of grey out.

typst sets the text, since it breaks lines as each language does, falls back from font to font by
character, and sets mathematics; PDFium draws its PDF, since typst's own pages are PNGs in full colour,
which take longer to compress than the text takes to be set and drawn. `bench/rendering.py` shows what they
do beside what Pillow does.
"""

import contextlib
import json

import pypdfium2
import typst
from PIL import Image

from prep.rendering.fonts import Fonts
from prep.rendering.page import FILES
from prep.rendering.scratch_folder import ScratchFolder


class Refused(Exception):
    """The engine cannot draw a document; the text is what it says."""


class Engine:
    """One compiler, which keeps its fonts, over a folder that holds the page's files and a lock."""

    def __init__(self, faces: Fonts) -> None:
        self._folder = ScratchFolder("typeset")
        root = self._folder.path
        self._document = (root / "doc.json").open("wb", buffering=0)
        for name, text in FILES.items():
            (root / name).write_text(text, "utf-8")
        # Nothing outside root can be read, and there is no package to be had.
        self.compiler = typst.Compiler(
            input=root / "main.typ",
            root=root,
            font_paths=faces.engine,
            package_path=root,
            package_cache_path=root,
        )

    def draw(self, document: dict) -> list[Image.Image]:
        """A document's pages at one pixel to the point, from paper (255) to ink (0); raises Refused."""
        pages = []
        with contextlib.closing(pypdfium2.PdfDocument(self.typeset(document, "pdf"))) as pdf:
            for page in pdf:
                pages.append(page.render(grayscale=True, draw_annots=False).to_pil())
                page.close()
        return pages

    def typeset(self, document: dict, form: str) -> bytes | list[bytes]:
        """A document as typst's `pdf`, or its pages as `svg` or `png`: one, or a list; raises Refused."""
        # Written over, since a file that is emptied first waits for the disk, longer than a page takes.
        self._document.seek(0)
        self._document.write(json.dumps(document).encode())
        self._document.truncate()
        try:
            return self.compiler.compile(format=form, ppi=72, pdf_tags=False)
        except typst.TypstError as error:
            raise Refused(error.message) from error
