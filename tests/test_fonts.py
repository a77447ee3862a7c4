"""Tests of scripts/prep/rendering/fonts.py."""

import pytest

from prep.rendering import fonts, latex
from prep.runtime.program import UserError


@pytest.fixture(scope="module")
def known() -> fonts.Fonts:
    return fonts.Fonts()


@pytest.mark.parametrize(
    "text",
    [
        "".join(map(chr, range(0x20, 0x7F))),
        "中文，标点。骨直关门 漢字 かな カナ 한국어",
        "Ελληνικά Русский Ünïcödé Việt Nam ǖ",
        "العربية עברית हिन्दी ไทย தமிழ் বাংলা ქართული Հայերեն",
        "←↑→↓⇒⇔ ∑∏∫√∞≤≥≠∈∉⊂∪∩∀∃∂∇ ①②③ ½ ℃ ㎡ ■◆★☆ │┌░",
        "😀👍🏽👨‍👩‍👧❤️🇫🇷 1️⃣",
        "☐✗𝑥𝔸⟨⟩",  # in the engine's own faces alone
        "a\u00a0b\u3000c\u200bd\u00ade\ufefff\u2060g",
    ],
)
def test_known_characters(known: fonts.Fonts, text: str) -> None:
    assert known.find_missing(text) is None


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("ab\u0378c\U0010fffe", "\u0378"),
        ("\U00013000 hieroglyph", "\U00013000"),
        ("private \ue000", "\ue000"),
        ("private \U000f0001", "\U000f0001"),
        ("half a pair \ud800", "\ud800"),
    ],
)
def test_the_first_missing_character_is_named(known: fonts.Fonts, text: str, missing: str) -> None:
    assert known.find_missing(text) == missing


def test_every_symbol_of_formulas_is_known(known: fonts.Fonts) -> None:
    assert known.find_missing("".join(latex.SYMBOLS.values())) is None


def test_the_engine_knows_every_family(known: fonts.Fonts) -> None:
    names = known.engine.families()
    assert {*known.families, fonts.SERIF, fonts.MONO, fonts.MATH} <= set(names)
    assert known.families[:2] == ["Noto Sans", "Noto Sans CJK TC"]


def test_a_cluster_comes_from_one_family(known: fonts.Fonts) -> None:
    assert known.find_family("e\u0301") == "Noto Sans"
    assert known.find_family("מַה") == "Noto Sans Hebrew"
    assert known.find_family("1\ufe0f\u20e3") == "Noto Emoji"
    assert known.find_family("中\u0301\u093f") is None


def test_widths(known: fonts.Fonts) -> None:
    assert known.measure("中") == 1.0
    assert 0 < known.measure("i") < known.measure("M") < 1
    assert known.measure("\u200b") == known.measure("\u0301") == 0


def test_extra_fonts_come_last(known: fonts.Fonts, tmp_path) -> None:
    mono = next(face for face in known.engine.fonts() if face.family == "Noto Sans CJK TC")
    again = fonts.Fonts((mono.path,))
    assert again.families == known.families
    with pytest.raises(UserError, match=r"nothing\.ttf is not a font file"):
        fonts.Fonts((str(tmp_path / "nothing.ttf"),))
    with pytest.raises(UserError, match="is not a font file, nor a folder"):
        fonts.Fonts((str(tmp_path),))
    (tmp_path / "broken.ttf").write_bytes(b"\x00\x01\x00\x00 not a font")
    with pytest.raises(UserError, match=r"broken\.ttf cannot be read as a font"):
        fonts.Fonts((str(tmp_path),))
