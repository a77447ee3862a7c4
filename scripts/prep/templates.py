"""What the card and the report share: their templates, how numbers look, what reasons mean."""

import ast
import inspect
import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from prep import reason

FOLDER = Path(__file__).resolve().parent.parent / "templates"


def template(name: str) -> jinja2.Template:
    """A template of scripts/templates/, with the filters below and `share()`; HTML is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(count=count, size=size, cell=cell, ticks=ticks, breaks=breaks)
    environment.globals.update(share=share)
    return environment.get_template(name)


def count(number: int) -> str:
    """A number with its thousands apart: 2,000,000."""
    return f"{number:,}"


def size(number: float) -> str:
    """Bytes in decimal units, two or three digits: 4.5 MB, 128 kB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 999.5:
            digits = 1 if unit != "bytes" and number < 99.95 else 0
            return f"{number:.{digits}f} {unit}"
        number /= 1000
    return f"{number:,.1f} TB"


def share(part: int, whole: int) -> str:
    """A share in per cent with one digit, which is 0 or 100 only when that is exact; a dash of none."""
    if not whole:
        return "-"
    percent = f"{100 * part / whole:.1f}"
    if percent == "0.0" and part:
        return "< 0.1 %"
    if percent == "100.0" and part < whole:
        return "> 99.9 %"
    return f"{percent.removesuffix('.0')} %"


def cell(text: str) -> str:
    """A text that stays within one cell of a Markdown table."""
    return " ".join(str(text).split()).replace("|", "\\|")


def ticks(text: str) -> Markup:
    """Text as HTML, in which what stands between backticks is code."""
    return Markup(re.sub("`(.*?)`", r"<code>\1</code>", str(escape(text))))


def breaks(name: str) -> Markup:
    """A name or an id as HTML that may be broken after its slashes and underscores, where it must."""
    return Markup(re.sub("([/_])", r"\1<wbr>", str(escape(name))))


def totals(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    """The sums of several reason counts, the largest first."""
    sums: dict[str, int] = {}
    for each in counts:
        for key, number in each.items():
            sums[key] = sums.get(key, 0) + number
    return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))


def meanings() -> dict[str, str]:
    """What each reason means: the docstring under its member, which only the source holds."""
    body = ast.parse(inspect.getsource(reason.Reason)).body[0].body
    return {
        ast.literal_eval(member.value): " ".join(ast.literal_eval(doc.value).split())
        for member, doc in pairwise(body)
        if isinstance(member, ast.Assign) and isinstance(doc, ast.Expr)
    }
