"""Font families by name: those of the requirements, and whether a font file of the config names another.

Reading fonts takes packages that a dry run does not have.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from workflow_lib.config_error import fail, say_allowed

SCRIPTS = (
    *("Arabic", "Armenian", "Bengali", "Devanagari", "Ethiopic", "Georgian", "Gujarati", "Gurmukhi"),
    *("Hebrew", "Kannada", "Khmer", "Lao", "Malayalam", "Myanmar", "Oriya", "Sinhala", "Symbols", "Tamil"),
    *("Telugu", "Thai"),
)
FAMILIES = (
    *("Noto Sans", "Roboto", "Inter", "Atkinson Hyperlegible", "Libertinus Serif", "New Computer Modern"),
    *("EB Garamond", "Lora", "PT Serif", "Source Serif 4", "IBM Plex Serif", "Roboto Slab", "Kalam"),
    *("Caveat", "DejaVu Sans Mono", "New Computer Modern Math", "Noto Emoji", "Noto Serif SC"),
    *(f"Noto Sans CJK {region}" for region in ("HK", "JP", "KR", "SC", "TC")),
    *(f"Noto Sans {script}" for script in SCRIPTS),
)
"""The families of the requirements (prep.rendering.fonts) and those inside typst; a test compares them."""


def check_families(render: dict[str, Any]) -> None:
    """Fail where a face is of no family of the requirements, and no file of `render.fonts` names it."""
    for kind in ("faces", "chinese_faces"):
        for family in render["looks"][kind]:
            if family not in FAMILIES and not is_named(family, map(Path, render["fonts"])):
                line = f"no font of the family {family!r}, whose file belongs in render.fonts"
                fail(f"render.looks.{kind}: {line}; {say_allowed(family, FAMILIES)}")


def is_named(family: str, fonts: Iterable[Path]) -> bool:
    """Whether a font file, perhaps in a folder, holds the name of a family, as its table of names would."""
    spelled = [family.encode(encoding) for encoding in ("utf-16-be", "utf-8")]
    files = (file for path in fonts for file in (path.rglob("*") if os.path.isdir(path) else [path]))
    contents = (file.read_bytes() for file in files if os.path.isfile(file))
    return any(name in content for content in contents for name in spelled)
