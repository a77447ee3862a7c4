#!/usr/bin/env python
"""The rendering beside its limits: rates as ratios, what can be read of its pages, and sheets to look at.

The sheets show hard questions, each as Pillow draws its text and as we draw it.
"""

import io
import json
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

from PIL import Image, ImageDraw

import drawings
from measure import measured
from prep.rendering import fonts
from prep.rendering.style import Look, look
from prep.rendering.typeset import Style, Typesetter
from prep.report.ocr import Reading, errors
from prep.runtime.program import parser, run
from prep.storage import parquet
from prep.storage.atomic import write_json
from prep.storage.schema import ANSWERS, QUESTIONS, VERDICTS

ROOT = Path(__file__).resolve().parent.parent
SEED = 42
STYLE = Style(max_pixels=262_144, max_pages=4, min_font_px=14, max_font_px=28, format="mixed")

TOGETHER = {"english": (1, 2, 4), "chinese": (2, 8, 12)}
"""So many ordinary questions make one text; texts are as long as the real sources', 180 characters."""

ROUNDS = 5
"""Each figure is measured so often, in turn with what it is compared with, and the median counts."""

TIMES = 20
"""A batch holds each text so often, each time with another look: to start takes as long for few pages."""

RATE = "render_text, 2 processes: rate / bare engine"
CPU, MISREAD = "{}: rate / Pillow and its PNG, CPU time", "{}: characters read wrongly, %"
LIMITS = {
    RATE: (0.8, "at least"),
    CPU.format("english"): (2.0, "at least"),
    CPU.format("chinese"): (2.0, "at least"),
    MISREAD.format("english"): (2.0, "at most"),
    MISREAD.format("chinese"): (3.0, "at most"),
}


class Recorder:
    """Stands before the engine and keeps the document that it drew last."""

    def __init__(self, typesetter: Typesetter) -> None:
        self.typesetter = typesetter
        self.engine, typesetter.engine = typesetter.engine, self
        self.document: dict = {}

    def draw(self, document: dict) -> list[Image.Image]:
        self.document = document
        return self.engine.draw(document)


def ordinary() -> dict[str, list[str]]:
    """Ordinary questions by language."""
    texts = tomllib.loads((ROOT / "bench/ordinary.toml").read_text("utf-8"))
    return {language: text.strip().split("\n") for language, text in texts.items()}


def hard() -> dict[str, str]:
    """Hard questions by name."""
    return tomllib.loads((ROOT / "bench/hard.toml").read_text("utf-8"))


def texts(language: str) -> list[str]:
    """Ordinary questions alone and together, as many of each."""
    questions = ordinary()[language]
    return [
        "\n".join(questions[(start + i) % len(questions)] for i in range(count))
        for start in range(0, len(questions), 4)
        for count in TOGETHER[language]
    ]


def face(typesetter: Typesetter, text: str, size: int) -> drawings.ImageFont.FreeTypeFont:
    """Pillow's face for a text: ours of the text's script."""
    family = fonts.CJK if any(c >= "\u2e80" for c in text) else fonts.SANS
    upright = (i for i in typesetter.fonts.engine.fonts() if i.family == family and i.style == "normal")
    return drawings.font(min(upright, key=lambda info: abs(info.weight - 400)).path, size)


def looks(id: str, style: Style) -> Look:
    """How a question's pages look."""
    return look(SEED, id, style.min_font_px, style.max_font_px, style.format)


def by_pillow(
    typesetter: Typesetter, text: str, style: dict, chosen: Look, extent: tuple[int, int]
) -> tuple[bytes, float]:
    """A text as Pillow draws it, and the CPU seconds that it took; its lines are broken beforehand."""
    letters = face(typesetter, text, style["size"])
    lines = drawings.wrapped(text, letters, extent[0] - 2 * style["margin"])
    start = time.process_time()
    return drawings.draw_by_pillow(lines, letters, style, chosen, extent), time.process_time() - start


def by_us(typesetter: Typesetter, text: str, id: str) -> tuple[bytes | None, float]:
    """A text as we draw it, None if it takes more than a page, and the CPU seconds that it took."""
    start = time.process_time()
    pages = typesetter.draw(text, id).pages
    took = time.process_time() - start
    return (pages[0].bytes if len(pages) == 1 else None), took


def cpu(language: str) -> dict[str, float]:
    """CPU milliseconds a page, and its bytes, ours and Pillow's, over texts that take one page.

    They draw all pages in turn, as in a batch; for each page the median of its rounds counts.
    """
    typesetter = Typesetter(replace(STYLE, format="png"), SEED)
    recorder = Recorder(typesetter)
    seconds: dict[str, dict[str, list[float]]] = {"ours": {}, "pillow": {}}
    size, pixels = {"ours": 0, "pillow": 0}, 0
    styles = {}
    for turn in range(ROUNDS):
        for number, text in enumerate(texts(language)):
            id = f"{language}:{number}"
            page, took = by_us(typesetter, text, id)
            if page is None:
                continue
            seconds["ours"].setdefault(id, []).append(took)
            if turn == 0:
                extent = _picture(page).size
                styles[id] = (text, recorder.document["style"], looks(id, typesetter.style), extent)
                size["ours"] += len(page)
                pixels += extent[0] * extent[1]
        for id, style in styles.items():
            page, took = by_pillow(typesetter, *style)
            seconds["pillow"].setdefault(id, []).append(took)
            if turn == 0:
                size["pillow"] += len(page)
    usual = {name: 1000 * sum(map(median, each.values())) / len(styles) for name, each in seconds.items()}
    sizes = {f"{name} bytes": total / len(styles) for name, total in size.items()}
    return {"pages": len(styles), "pixels": pixels / len(styles), **usual, **sizes}


def batch(folder: Path) -> tuple[list[object], list[object]]:
    """The command line of render_text over a batch, and of the bare engine over the same documents."""
    every = [text for _ in range(TIMES) for language in ordinary() for text in texts(language)]
    every += hard().values()
    typesetter = Typesetter(STYLE, SEED)
    recorder = Recorder(typesetter)
    rows, documents = [], []
    for number, text in enumerate(every):
        id = f"bench/file:{number}"
        typesetter.draw(text, f"{id}#thinking.0")
        documents.append(json.dumps([recorder.document, vars(looks(f"{id}#thinking.0", STYLE))]))
        origin = {"source": "bench", "source_id": None, "source_file": "file", "row": number}
        rows.append({"id": id, **origin, "question": text, "reference": "", "image": None})
    (folder / "documents.jsonl").write_text("\n".join(documents), "utf-8")
    ids = [{"id": f"{row['id']}#thinking.0"} for row in rows]
    answers = [
        {**name, "question_id": row["id"], "mode": "thinking", "sample": 0, "text": "", "reason": None}
        for name, row in zip(ids, rows, strict=True)
    ]
    given = {"questions": (rows, QUESTIONS), "answers": (answers, ANSWERS)}
    given["verdicts"] = ([{**name, "verdict": "pass", "score": 5} for name in ids], VERDICTS)
    command: list[object] = [ROOT / "scripts/render_text.py"]
    for name, (table, schema) in given.items():
        blank = dict.fromkeys(schema.names)
        parquet.write_rows(folder / f"{name}.parquet", [blank | row for row in table], schema)
        command += [f"--{name}", folder / f"{name}.parquet"]
    command += [
        "--min-score",
        3,
        "--style",
        json.dumps(vars(STYLE)),
        "--seed",
        SEED,
        "--threads",
        drawings.PROCESSES,
    ]
    for name in ("shard", "rejects", "summary"):
        command += [f"--{name}", folder / f"rendered.{name}"]
    bare = [sys.executable, ROOT / "bench/drawings.py", folder / "documents.jsonl"]
    return [sys.executable, *command], bare


def rate(folder: Path) -> dict[str, float]:
    """Seconds of render_text and of the bare engine for the same pages, two processes each."""
    ours, bare = batch(folder)
    seconds: dict[str, list[float]] = {"ours": [], "bare": []}
    for _ in range(ROUNDS):
        for name, command in (("ours", ours), ("bare", bare)):
            seconds[name].append(measured(command, folder / "log.txt").seconds)
            say(f"{name}: {seconds[name][-1]:.1f} s")
    return {name: median(each) for name, each in seconds.items()}


def misread(language: str) -> float:
    """Per cent of the characters of ordinary questions that OCR reads wrongly in every file format."""
    typesetter = Typesetter(STYLE, SEED)
    engine = Reading(threads=2)
    wrong = total = 0
    for number, text in enumerate(ordinary()[language]):
        pages = typesetter.draw(text, f"read:{language}:{number}").pages
        found = errors(text, "".join(engine.page(page.bytes) for page in pages))
        wrong, total = wrong + found[0], total + found[1]
    return 100 * wrong / total


def side_by_side(typesetter: Typesetter, recorder: Recorder, name: str, text: str) -> Image.Image:
    """A question as Pillow draws its text, and as we draw it, below its name."""
    drawing = typesetter.draw(text, name)
    ours = [_picture(page.bytes) for page in drawing.pages]
    style = recorder.document["style"]
    lines = len(
        drawings.wrapped(text, face(typesetter, text, style["size"]), style["width"] - 2 * style["margin"])
    )
    height = lines * (style["rise"] + style["leading"]) + 2 * style["margin"]
    extent = (style["width"], height)
    pages = [_picture(by_pillow(typesetter, text, style, looks(name, STYLE), extent)[0]), *ours]
    strip = Image.new(
        "RGB", (sum(page.width + 12 for page in pages), max(p.height for p in pages) + 28), "#888"
    )
    ImageDraw.Draw(strip).text((4, 4), f"{name}    {drawing.detail or ''}"[:160], fill="white", font_size=16)
    left = 0
    for page in pages:
        strip.paste(page, (left, 24))
        left += page.width + 12
    return strip


def _picture(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def sheets(folder: Path) -> Iterator[Path]:
    """Write the sheets, four questions on each."""
    typesetter = Typesetter(STYLE, SEED)
    recorder = Recorder(typesetter)
    strips = [side_by_side(typesetter, recorder, *item) for item in hard().items()]
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(0, len(strips), 4):
        group = strips[number : number + 4]
        page = Image.new("RGB", (max(s.width for s in group), sum(s.height for s in group)), "#888")
        for index, strip in enumerate(group):
            page.paste(strip, (0, sum(s.height for s in group[:index])))
        path = folder / f"sheet_{number // 4 + 1:02}.png"
        page.save(path)
        yield path


def say(line: str) -> None:
    """Tell how far it is, beside the tables."""
    print(line, file=sys.stderr)


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--folder", type=Path, required=True, help="for what is drawn and found")
    flags.add_argument("--only", choices=["rate", "cpu", "misread", "sheets"], help="this part alone")
    args = flags.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    parts = [args.only] if args.only else ["rate", "cpu", "misread", "sheets"]
    figures, pages = {}, {}
    if "rate" in parts:
        seconds = rate(args.folder)
        figures[RATE] = seconds["bare"] / seconds["ours"]
    for language in ordinary():
        if "cpu" in parts:
            say(f"{language}: ours and Pillow's in turn")
            pages[language] = cpu(language)
            figures[CPU.format(language)] = pages[language]["pillow"] / pages[language]["ours"]
        if "misread" in parts:
            say(f"{language}: read by OCR")
            figures[MISREAD.format(language)] = misread(language)
    if "sheets" in parts:
        say(f"sheets: {', '.join(path.name for path in sheets(args.folder / 'sheets'))}")
    write_json(args.folder / "rendering.json", {"figures": figures, "pages": pages})
    show(figures, pages)


def show(figures: dict[str, float], pages: dict[str, dict[str, float]]) -> None:
    """Print both tables."""
    import pandas as pd

    if pages:
        units = {"pages": "pages", "pixels": "pixels", "ours": "ours, ms", "pillow": "Pillow, ms"}
        print(pd.DataFrame(pages).rename(index=units).T.to_string(float_format="%.1f"))
        print()
    rows = [
        {
            "figure": name,
            "found": found,
            "wanted": f"{LIMITS[name][1]} {LIMITS[name][0]}",
            "": "met" if (found <= LIMITS[name][0]) == (LIMITS[name][1] == "at most") else "MISSED",
        }
        for name, found in figures.items()
    ]
    print(pd.DataFrame(rows).to_string(index=False, float_format="%.2f"))


if __name__ == "__main__":
    run(main)
