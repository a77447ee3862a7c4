"""The typesetting engine behind one function: a document as plain data in, pages out.

The engine is typst, since it draws faster than Pillow, breaks lines as each language does, falls back from
font to font by character, and sets mathematics; `bench/rendering.py` measures and shows both.
"""

import json
import tempfile
from pathlib import Path

import typst

from prep.drawing.fonts import Fonts
from prep.drawing.page import FILES


class Refused(Exception):
    """The engine cannot draw a document; the text is what it says."""


class Engine:
    """One compiler, which keeps its fonts, over a folder that holds the page's files and nothing else."""

    def __init__(self, faces: Fonts) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="typeset-")
        root = Path(self._folder.name)
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

    def draw(self, document: dict, form: str = "png") -> list[bytes]:
        """A document's pages at one pixel to the point: `png`, or `svg`; raises Refused."""
        # Written over, since a file that is emptied first waits for the disk, longer than a page takes.
        self._document.seek(0)
        self._document.write(json.dumps(document).encode())
        self._document.truncate()
        try:
            pages = self.compiler.compile(format=form, ppi=72)
        except typst.TypstError as error:
            raise Refused(error.message) from error
        return pages if isinstance(pages, list) else [pages]
