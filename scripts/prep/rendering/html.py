"""The HTML that questions hold: entities, line breaks, emphasis, scripts, code, and tables as rows of cells.

A text that has other HTML, or speaks of it, is a question about HTML, and all of it stays as written.
"""

import re
from html import unescape
from html.entities import html5
from html.parser import HTMLParser
from typing import NamedTuple

_TAG = re.compile(
    r"</?([A-Za-z][A-Za-z0-9]*)(?:\s+[\w-]+\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*'|[^\s<>\"']+))*\s*/?>"
)
_ENTITY = re.compile(r"&(?:[A-Za-z][A-Za-z0-9]{1,30}|#[0-9]{2,7}|#[xX][0-9A-Fa-f]{2,6});")
_TABLE = {"table", "thead", "tbody", "tfoot", "tr", "td", "th"}
_TABLE_TAG = re.compile(rf"</?(?:{'|'.join(_TABLE)})\b[^>]*>?", re.IGNORECASE)
_CERTAIN = {"br", "sub", "sup", "table", "p"}
_MARKED = re.compile(r"<(u|b|i|em|strong|code)>[^<>\n]+</\1>", re.IGNORECASE)
_OTHER = re.compile(
    "a|abbr|article|aside|audio|body|button|canvas|center|dd|del|div|dl|dt|footer|font|form|frame|h[1-6]|head"
    "|header|hr|html|iframe|img|input|ins|label|li|link|main|meta|nav|ol|option|pre|script|section|select|small"
    "|span|strike|style|svg|textarea|title|ul|video"
)
_ABOUT = re.compile(r"<!|<\?|\b(?:html|xml|css|tags?|entit(?:y|ies))\b|标签|标记|实体", re.IGNORECASE)


class Cell(NamedTuple):
    """A cell of a table, with the columns and rows that it takes, and its own alignment if it has one."""

    text: str
    across: int = 1
    down: int = 1
    side: str = ""


def is_simple(text: str) -> bool:
    """Whether a text is written with simple HTML or entities, and holds and names no other."""
    if "<" not in text and "&" not in text:
        return False
    names = {match[1].lower() for match in _TAG.finditer(text)}
    if any(map(_OTHER.fullmatch, names)) or _ABOUT.search(text):
        return False
    if not read_entities(_TAG.sub("", text)).strip():
        return False  # nothing would be seen
    return bool(names & _CERTAIN or _MARKED.search(text)) or any(map(_read_entity, _ENTITY.findall(text)))


def read_entities(text: str) -> str:
    """The text with the character of each entity in its place."""
    return _ENTITY.sub(lambda match: _read_entity(match[0]) or match[0], text)


def _read_entity(entity: str) -> str | None:
    """The visible character or blank that an entity names, or None."""
    if entity[1] != "#" and entity[1:] not in html5:
        return None
    text = unescape(entity)
    return text if text != "\ufffd" and (text.isprintable() or text.isspace()) else None


def read_table(source: str) -> tuple[list[list[Cell]], bool] | None:
    """The rows of `<table>…</table>`, and whether the first is a head; None for what is no simple table."""
    if not all(map(_TAG.fullmatch, _TABLE_TAG.findall(source))):
        return None  # a tag with text in it
    reader = _TableReader()
    reader.feed(source)
    reader.close()
    rows = [row for row in reader.rows if row]
    return (rows, reader.has_head) if rows and not reader.is_broken else None


class _TableReader(HTMLParser):
    """Reads cells with the source of what is within them."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.rows: list[list[Cell]] = []
        self.has_head = False
        self.is_broken = False
        self.is_inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
            self.is_inside = False
        elif tag in ("td", "th"):
            named = dict(attrs)
            spans = [_read_span(named.get(name)) for name in ("colspan", "rowspan")]
            side = named.get("align") or ""
            if not self.rows:
                self.rows.append([])
            self.rows[-1].append(Cell("", *spans, side if side in ("left", "center", "right") else ""))
            self.has_head |= tag == "th" and len(self.rows) == 1
            self.is_inside = True
        elif tag not in _TABLE:
            self.add(self.get_starttag_text() or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.add(self.get_starttag_text() or "")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "tr"):
            self.is_inside = False
        elif tag not in _TABLE:
            self.add(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self.add(data)

    def handle_entityref(self, name: str) -> None:
        self.add(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.add(f"&#{name};")

    def add(self, text: str) -> None:
        """Add source to the cell; outside of one there is none in a simple table."""
        if self.is_inside:
            cell = self.rows[-1][-1]
            self.rows[-1][-1] = cell._replace(text=cell.text + text)
        elif text.strip():
            self.is_broken = True


def _read_span(value: str | None) -> int:
    return min(int(value), 30) if value and value.isdecimal() and int(value) else 1
