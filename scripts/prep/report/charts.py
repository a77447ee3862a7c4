"""Charts of the report: SVG of pygal, inlined, without the scripts and styles that it brings.

The page's own style sheet says fonts and colours by pygal's class names, so that they follow its light and
dark scheme; its policy (CSP) allows no other style. What is drawn is the same for the same figures.
https://www.pygal.org/en/stable/documentation/configuration/index.html
"""

import re
from collections.abc import Iterable, Sequence
from textwrap import shorten
from typing import Any

import pygal
from markupsafe import Markup
from pygal.etree import etree
from pygal.style import Style

from prep.report.distributions import Distribution
from prep.report.formatting import format_interval

FONT_SIZE = 10
"""Pixels; the page's style sheet has it too."""
COLUMN, HEIGHT = 42, 92
"""Pixels of a histogram: a column's width, and the height."""
LINE, RATES_WIDTH, LABEL = 20, 350, 27
"""Of a chart of rates: pixels of a line and, as a phone has them, of the width; characters of a label."""
TAGS = ("g", "rect", "path", "text")
"""The elements that are kept: no script, style or comment; the latter would name the day."""
ATTRIBUTES = ("class", "d", "height", "transform", "viewBox", "width", "x", "y")
CLASSES = ("axis", "ci", "line", "rect", "value", "x", "y")
"""What the style sheet knows elements by; the page stays small without the others."""
UNSEEN = {"background", "titles", "tooltip-overlay"}
"""Classes of elements that show nothing here."""
OPTIONS = {
    "style": Style(label_font_size=FONT_SIZE, major_label_font_size=FONT_SIZE, value_font_size=FONT_SIZE),
    "js": [],
    "explicit_size": True,
    "show_legend": False,
    "margin": 0,
    "margin_bottom": 6,
}


def draw_histogram(chart: Distribution) -> Markup:
    """Draw a histogram: columns with their counts above and their labels below."""
    bars = pygal.Bar(
        **OPTIONS,
        width=COLUMN * len(chart.columns),
        height=HEIGHT,
        margin_top=FONT_SIZE + 4,
        spacing=2,
        truncate_label=-1,
        show_y_labels=False,
        print_values=True,
        print_values_position="top",
        value_formatter=lambda count: f"{count:,}" if count else "",
    )
    bars.x_labels = [label for label, _ in chart.columns]
    bars.add("", [count for _, count in chart.columns])
    said = "; ".join(f"{label}: {count:,}" for label, count in chart.columns)
    return inline(bars, f"{chart.title}: {said}", UNSEEN | {"line"})


def draw_rates(rates: Sequence[tuple[str, float, Sequence[float]]]) -> Markup:
    """Draw rates as bars from 0 to 100 %, each with its label, which may be cut, and its interval."""
    bars = pygal.HorizontalBar(
        **OPTIONS,
        width=RATES_WIDTH,
        height=LINE * (len(rates) + 1),
        margin_right=2 * FONT_SIZE,
        spacing=6,
        range=(0, 1),
        show_y_guides=False,
        value_formatter=lambda rate: f"{100 * rate:.0f} %",
    )
    from_below = rates[::-1]
    bars.x_labels = [shorten(label, LABEL, placeholder=" …") for label, _, _ in from_below]
    bars.y_labels = [0, 0.25, 0.5, 0.75, 1]
    bars.add("", [{"value": rate, "ci": {"low": low, "high": high}} for _, rate, (low, high) in from_below])
    said = "; ".join(
        f"{label}: {100 * rate:.1f} %, {format_interval(interval)}" for label, rate, interval in rates
    )
    return inline(bars, said, UNSEEN)


def inline(chart: pygal.Graph, label: str, unseen: Iterable[str]) -> Markup:
    """A chart as an element of the page, for a screen reader one picture with this label."""
    root, unseen = chart.render_tree(), set(unseen)
    for parent in list(root.iter()):
        for child in list(parent):
            is_unseen = unseen & set(child.get("class", "").split())
            if child.tag not in TAGS or is_unseen or _is_blank(child):
                parent.remove(child)
    for element in root.iter():
        for name, value in list(element.attrib.items()):
            value = re.sub(r"\d+\.\d+", lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), value)
            if name == "class":
                value = " ".join(each for each in value.split() if each in CLASSES)
            if name in ATTRIBUTES and value:
                element.set(name, value)
            else:
                del element.attrib[name]
    root.set("role", "img")
    root.set("aria-label", label)
    return Markup(etree.tostring(root, encoding="unicode"))


def _is_blank(element: Any) -> bool:
    """Whether an element is a text without a word or a bar without a length, which may have no such size."""
    sizes = [float(element.get(name, 0)) for name in ("width", "height")]
    return not element.text if element.tag == "text" else element.tag == "rect" and 0 in sizes
