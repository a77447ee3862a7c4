"""A face that no font has is told before anything runs, without reading fonts."""

from pathlib import Path
from typing import Any

import pytest
from snakemake.exceptions import WorkflowError
from test_workflow_lib_config import checked

from prep.rendering.fonts import Fonts
from workflow_lib.fonts import FAMILIES


def with_face(face: str, *fonts: Path, kind: str = "faces") -> dict[str, Any]:
    return {"render": {"looks": {kind: {face: 1}}, "fonts": [str(font) for font in fonts]}}


def test_the_families_are_those_of_the_engine() -> None:
    assert sorted(FAMILIES) == sorted(Fonts().engine.families())


@pytest.mark.parametrize("kind", ["faces", "chinese_faces"])
def test_an_unknown_face_is_refused_with_the_closest_first(kind: str) -> None:
    said = f"^config: render.looks.{kind}: no font of the family 'Robotto'.*; allowed: Roboto, "
    with pytest.raises(WorkflowError, match=said):
        checked(with_face("Robotto", kind=kind))


def test_a_face_of_the_users_own_fonts_is_accepted(tmp_path: Path) -> None:
    font = tmp_path / "fonts/mine.ttf"
    font.parent.mkdir()
    font.write_bytes(b"\x00\x01\x00\x00" + "Mine Sans".encode("utf-16-be"))
    for fonts in (font, font.parent):
        checked(with_face("Mine Sans", fonts))
        with pytest.raises(WorkflowError, match="no font of the family 'Yours'"):
            checked(with_face("Yours", fonts))
