"""Jinja templates and filters of card and report, and the meanings of reasons."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from prep.records.reason import Reason

MEANINGS = {
    Reason.ROW_INVALID: "A row of a JSON file or a tar is no object, or a cell of it is of another kind.",
    Reason.IMAGE_MISSING: "The picture is null, has no bytes, or is in none of the files that have them.",
    Reason.IMAGE_UNREADABLE: (
        "The picture's format is not one that we read, its header is broken, or it does not decode; or its"
        " archive is broken there."
    ),
    Reason.IMAGE_TOO_LARGE: "The picture has more pixels than the limit, or is too large a file.",
    Reason.TEXT_NOT_UTF8: (
        "A text cell is not valid UTF-8, or it, or an answer, cannot be stored as such (a lone surrogate)."
    ),
    Reason.NO_CONVERSATION: "The conversation is null or empty.",
    Reason.SYSTEM_TURN: (
        "The conversation begins with a `system` turn, which a training row has no place for."
    ),
    Reason.ODD_TURNS: "The conversation has an odd number of turns.",
    Reason.WRONG_SPEAKER: "The speakers are not exactly `human` and `gpt` (`user` and `assistant`) in turn.",
    Reason.VALUE_MISSING: "A turn has no text.",
    Reason.NO_IMAGE_TAG: "The first human turn has no `<image>` tag, where the source must have one.",
    Reason.SEVERAL_IMAGE_TAGS: "The first human turn has more than one `<image>` tag for the one picture.",
    Reason.WRONG_IMAGE_TAGS: "The user turns do not have as many `<image>` tags as there are pictures.",
    Reason.MEDIA_TAG_IN_QUESTION: "A human turn holds a media tag that no picture of the row answers to.",
    Reason.MEDIA_TAG_IN_ANSWER: "An answer holds `<image>`, `<audio>` or `<video>`.",
    Reason.THINK_TAG_IN_ANSWER: "A source's answer holds `<think>` or `</think>`.",
    Reason.GROUND_TRUTH_INVALID: (
        "The cell with a page's text is null or no JSON, or has no string at the path that the source names."
    ),
    Reason.CHOICE_INVALID: (
        "The answer names none of the choices, or is a letter or an index without any; or a choice is null."
    ),
    Reason.TEXT_EMPTY: "The text (of a page, a caption, an answer) is empty once stripped.",
    Reason.MEDIA_TAG_IN_TEXT: "The text of a page holds a media tag.",
    Reason.QUESTION_INVALID: (
        "The question's line is not a JSON object, a text column is not a string, or it has several pictures."
    ),
    Reason.QUESTION_EMPTY: "The question is empty once stripped, or shows nothing.",
    Reason.CONTAMINATED: "The question, or its picture, is in an evaluation set of `decontaminate`.",
    Reason.DUPLICATE: "An earlier question is the same, or nearly so, and its picture, if it has one, too.",
    Reason.TRANSPORT: "The connection failed, each time it was tried.",
    Reason.TIMEOUT: "The server did not answer in time, each time it was tried.",
    Reason.RATE_LIMITED: "The server said 429, 503 or 529, that it is overloaded, each time it was tried.",
    Reason.SERVER_ERROR: "The server said 5xx, or broke the answer off, each time it was tried.",
    Reason.CUT_JSON: "What the server sent was no whole JSON, each time it was tried.",
    Reason.MALFORMED: "What the server sent was no chat completion, each time it was tried.",
    Reason.BAD_REQUEST: "The server refused the request as such (4xx).",
    Reason.LENGTH: (
        "The answer was cut at the context's or the budget's end, or the prompt alone fills the context."
    ),
    Reason.REPETITION: "The answer repeated itself.",
    Reason.CONTENT_FILTER: "The server's content filter ended the answer.",
    Reason.NOT_STOPPED: "The answer ended for another reason than `stop` that has no name here.",
    Reason.EMPTY: "The answer has no text at all.",
    Reason.TEMPLATE_TOKEN_IN_ANSWER: (
        "A teacher's answer holds a special token of a chat template, such as `<|im_end|>`."
    ),
    Reason.ANSWER_MALFORMED: "The answer does not have the teacher's form.",
    Reason.REFUSAL: "The answer begins with a phrase of `refusals`, and the reference does not.",
    Reason.PROMPT_QUOTED: "The thought or the answer quotes the system message of its request.",
    Reason.OTHER_LANGUAGE: "The answer is in English and the question in Chinese, or the other way round.",
    Reason.JUDGE_UNCLEAR: "The judge's answer holds no verdict that can be read, or none came.",
    Reason.JUDGE_FAIL: "The judge said `fail`.",
    Reason.LOW_SCORE: "The judge said `pass` with a score under `min_score`.",
    Reason.ANSWER_DISAGREES: "A rule found another answer than the reference, and the judge said `fail`;"
    " with `rules.disagree: reject` the rule alone decides.",
    Reason.PASS_RATE: "Of the question's samples a smaller or larger share passed than `pass_rate` allows.",
    Reason.PICTURE_NOT_NEEDED: "The text teacher answered the question right without its picture.",
    Reason.NOT_BEST: (
        "Another sample of the same question and mode is kept: with a better score, or the same and it came"
        " first; with `keep: first`, the first that passed."
    ),
    Reason.MISSING_GLYPH: "No font has a character of the question.",
    Reason.TOO_LONG_TO_RENDER: (
        "The question does not fit on the pages allowed at a size that can be read, or cannot be typeset; the"
        " detail says which."
    ),
}
"""The meaning of each reason, in the order of the enum. Card and report print it."""

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters but tab, line feed and carriage return; what turns the direction of text around."""


def load_template(name: str) -> jinja2.Template:
    """Load a template of scripts/templates/ with the filters and functions below; HTML is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        count="{:,}".format,
        size=format_size,
        cell=escape_cell,
        code=format_code_span,
        codes=lambda texts: ", ".join(map(format_code_span, texts)),
        prose=escape_markdown,
        ticks=mark_code,
        breaks=allow_breaks,
        duration=format_duration,
    )
    environment.filters["visible"] = show_controls
    environment.globals.update(share=format_share, interval=format_interval)
    return environment.get_template(name)


def format_size(number: float) -> str:
    """Bytes in decimal units, two or three digits: 4.5 MB, 128 kB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 999.5:
            digits = 1 if unit != "bytes" and number < 99.95 else 0
            return f"{number:.{digits}f} {unit}"
        number /= 1000
    return f"{number:,.1f} TB"


def format_duration(seconds: float) -> str:
    """Seconds in the unit that suits them, with two or three digits: 3.9 s, 12 min, 5.2 h."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.{1 if seconds < 10 * length else 0}f} {unit}"
    return f"{seconds:.1f} s"


def format_share(part: int, whole: int) -> str:
    """A share in per cent with one digit; 0 and 100 only where that is exact; a dash if `whole` is 0."""
    if not whole:
        return "-"
    percent = f"{100 * part / whole:.1f}"
    if percent == "0.0" and part:
        return "< 0.1 %"
    if percent == "100.0" and part < whole:
        return "> 99.9 %"
    return f"{percent.removesuffix('.0')} %"


def format_interval(ends: Sequence[float]) -> str:
    """The two ends of an interval of shares, in per cent with one digit: 0.6 to 4.3 %."""
    low, high = (f"{100 * end:.1f}".removesuffix(".0") for end in ends)
    return f"{low} to {high} %"


def escape_cell(text: str) -> str:
    """Escape a text for a cell of a Markdown table."""
    return " ".join(str(text).split()).replace("|", "\\|")


def format_code_span(text: str) -> str:
    """A text as it is, as code in a line of Markdown.

    More backticks fence it than it has side by side (https://spec.commonmark.org/0.31.2/#code-spans).
    """
    line = " ".join(str(text).splitlines())
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    blank = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{blank}{line}{blank}{fence}"


def escape_markdown(text: str) -> str:
    """A text as it is, in a line of Markdown."""
    return re.sub(r"([\\`*_<>\[\]|&~])", r"\\\1", " ".join(str(text).split()))


def mark_code(text: str) -> Markup:
    """Text as HTML, with `<code>` for backticks."""
    return Markup(re.sub("`(.*?)`", r"<code>\1</code>", str(escape(text))))


def show_controls(text: str) -> Markup:
    """Text as HTML in which control characters are named, so that none hides or turns what is beside it."""
    return Markup(_name_controls(str(escape(text))))


def allow_breaks(name: str) -> Markup:
    """A name or an id as HTML with break opportunities after slashes and underscores."""
    return Markup(_name_controls(re.sub("([/_])", r"\1<wbr>", str(escape(name)))))


def _name_controls(html: str) -> str:
    """HTML with the code point of each control character in its place."""
    return _CONTROL.sub(lambda found: f'<span class="control">U+{ord(found[0]):04X}</span>', html)


def sum_counts(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    """Sum several reason counts; the largest come first."""
    sums = sum(map(Counter, counts), Counter())
    return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))
