"""Tests of scripts/prep/rendering/units.py."""

import pytest

from prep.rendering import latex, units


@pytest.mark.parametrize(
    ("unit", "shown"),
    [
        (r"\metre\per\second", r"\mathrm{m}\,\mathrm{s}^{-1}"),
        (r"\kilo\gram\square\metre", r"\mathrm{kg}\,\mathrm{m}^{2}"),
        (r"\m\per\s\squared", r"\mathrm{m}\,\mathrm{s}^{-2}"),
        (r"\cm\cubed", r"\mathrm{cm}^{3}"),
        (r"\um\tothe{4}", r"\mathrm{µm}^{4}"),
        (r"\micro\ohm", r"\mathrm{µΩ}"),
        ("m/s^2", r"\mathrm{m}/\mathrm{s}^2"),
        ("N.m", r"\mathrm{N}\,\mathrm{m}"),
        (r"\percent", r"\mathrm{\%}"),
        (r"\degreeCelsius", r"\mathrm{°C}"),
    ],
)
def test_units(unit: str, shown: str) -> None:
    assert units.format_unit(unit) == shown
    assert latex.parse(shown)


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("12.5", "12.5"),
        ("-3e-7", r"-3\times 10^{-7}"),
        ("e9", "10^{9}"),
        ("1.0 +- 0.2", r"1.0\pm 0.2"),
        ("x", "x"),
    ],
)
def test_numbers(number: str, shown: str) -> None:
    assert units.format_number(number) == shown


def test_an_angle() -> None:
    assert units.format_angle("10;30;15") == "10°30′15″"
