"""Tests of scripts/prep/rendering/chemistry.py."""

import pytest

from prep.rendering import chemistry, latex


@pytest.mark.parametrize(
    ("source", "translated"),
    [
        ("H2O", r"\mathrm{H}_{2}\mathrm{O}"),
        ("2H2 + O2", r"2\,\mathrm{H}_{2} + \mathrm{O}_{2}"),
        ("SO4^2-", r"\mathrm{SO}_{4}^{\mathrm{2-}}"),
        ("Na+", r"\mathrm{Na}^{+}"),
        ("Fe^{3+} OH-", r"\mathrm{Fe}^{\mathrm{3+}} \mathrm{OH}^{-}"),
        ("Ca(OH)2 v", r"\mathrm{Ca}(\mathrm{OH})_{2} \downarrow "),
        ("CO2 ^", r"\mathrm{CO}_{2} \uparrow "),
        ("H+(aq) + OH-(aq)", r"\mathrm{H}^{+}(\mathrm{aq}) + \mathrm{OH}^{-}(\mathrm{aq})"),
        ("A -> B", r"\mathrm{A} \xrightarrow[]{} \mathrm{B}"),
        ("A ->[H2O][$t$] B", r"\mathrm{A} \xrightarrow[{t}]{\mathrm{H}_{2}\mathrm{O}} \mathrm{B}"),
        ("A <=>[加热] B", r"\mathrm{A} \xrightleftharpoons[]{加热} \mathrm{B}"),
        ("CuSO4.5H2O", r"\mathrm{CuSO}_{4}\cdot 5\,\mathrm{H}_{2}\mathrm{O}"),
        ("^{227}_{90}Th+", r"{}^{\mathrm{227}}_{\mathrm{90}}\mathrm{Th}^{+}"),
        ("1/2 O2 = C#C", r"\frac{1}{2}\, \mathrm{O}_{2} = \mathrm{C}\equiv \mathrm{C}"),
        (r"\Delta H (aq)", r"\Delta \mathrm{H} (\mathrm{aq})"),
    ],
)
def test_chemistry_becomes_mathematics(source: str, translated: str) -> None:
    assert chemistry.translate(source) == translated
    assert latex.parse(r"\ce{" + source + "}")
