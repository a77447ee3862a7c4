#!/usr/bin/env python
"""Rendering benchmark: rates beside the bare engine and Pillow, OCR error rates, and contact sheets.

The contact sheets show hard questions, each as Pillow renders its text and as we do.
"""

import io
import json
import shutil
import subprocess
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

import yaml
from PIL import Image, ImageDraw

import drawings
from glyphs import find_faults
from measure import measured
from prep.rendering import fonts
from prep.rendering.camera import photograph
from prep.rendering.parallel import CHUNK
from prep.rendering.style import PageStyle
from prep.rendering.typeset import RenderConfig, Typesetter
from prep.report.ocr import OcrEngine, count_errors, count_unread, drop_exam_header
from prep.runtime.program import parser, run
from prep.storage import parquet
from prep.storage.atomic import write_json
from prep.storage.schema import ANSWERS, QUESTIONS, VERDICTS
from read_pages import PLAIN, STRUCTURED, classify

ROOT = Path(__file__).resolve().parent.parent
SEED = 42
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text("utf-8"))["render"] | {"fonts": ()}
STYLE = RenderConfig(**CONFIG)

SHARP = replace(STYLE, looks={**STYLE.looks, "photographed": 0})
"""The style of pages whose time counts. Camera effects, which no baseline has, are timed beside them."""

MEMORY = 10
"""How many compilations typst remembers; a page that is measured again must be forgotten."""

TOGETHER = {"english": (1, 2, 4), "chinese": (2, 8, 12)}
"""How many ordinary questions make one text, so that texts are as long as the sources', 180 characters."""

ROUNDS = 5
"""How often each figure is measured, in turn with its baseline; the median counts."""

COPIES = 20
"""How often a batch holds each text, in different styles: start-up must not outweigh the pages."""

RATE = "render_text, 2 processes: rate / bare engine"
CPU, MISREAD = "{}: rate / Pillow and its PNG, CPU time", "{}, {}: characters read wrongly by {}, %"
HARD, FAULTS = "hard questions, {}: letters and digits not read, %", "hard questions: faults of characters"
CONDITIONS = {
    "ordinary": STYLE,
    "long and smallest": replace(STYLE, max_font_px=STYLE.min_font_px),
    "photographed": replace(STYLE, looks={**STYLE.looks, "photographed": 1}),
}
"""The settings under which ordinary questions are read; in a long text there are 20."""
BARS = {"english": PLAIN["English"], "chinese": PLAIN["Chinese"]}
LIMITS = {
    RATE: (0.8, "at least"),
    CPU.format("english"): (2.0, "at least"),
    CPU.format("chinese"): (2.0, "at least"),
    **{
        MISREAD.format(language, condition, engine): (bar, "at most")
        for language, bar in BARS.items()
        for condition in CONDITIONS
        for engine in ("rapidocr", "tesseract")
    },
    **{HARD.format(kind): (bar, "at most") for kind, bar in STRUCTURED.items()},
    FAULTS: (0, "at most"),
}


class Recorder:
    """A proxy for the engine that keeps the last document."""

    def __init__(self, typesetter: Typesetter) -> None:
        self.typesetter = typesetter
        self.engine, typesetter.engine = typesetter.engine, self
        self.document: dict = {}

    def render(self, document: dict) -> list[Image.Image]:
        self.document = document
        return self.engine.render(document)


def load_ordinary() -> dict[str, list[str]]:
    """Ordinary questions by language."""
    texts = tomllib.loads((ROOT / "bench/ordinary.toml").read_text("utf-8"))
    return {language: text.strip().split("\n") for language, text in texts.items()}


def load_hard() -> dict[str, str]:
    """Hard questions by name."""
    return tomllib.loads((ROOT / "bench/hard.toml").read_text("utf-8"))


def ordinary_texts(language: str) -> list[str]:
    """Ordinary questions, alone and joined, in equal numbers."""
    questions = load_ordinary()[language]
    return [
        "\n".join(questions[(start + i) % len(questions)] for i in range(count))
        for start in range(0, len(questions), 4)
        for count in TOGETHER[language]
    ]


def load_face(
    typesetter: Typesetter, text: str, style: dict, page_style: PageStyle
) -> drawings.ImageFont.FreeTypeFont:
    """Our font for a text, in our weight, loaded by Pillow; Noto Sans for a face inside typst."""
    wanted = page_style.chinese_face if any(c >= "\u2e80" for c in text) else page_style.face
    upright = [info for info in typesetter.fonts.engine.fonts() if info.path and info.style == "normal"]
    family = wanted if wanted in {info.family for info in upright} else fonts.SANS
    near = (info for info in upright if info.family == family)
    return drawings.load_font(
        min(near, key=lambda info: abs(info.weight - style["weight"])), style["size"], style["weight"]
    )


def render_by_pillow(
    typesetter: Typesetter, text: str, style: dict, page_style: PageStyle, extent: tuple[int, int]
) -> tuple[bytes, float]:
    """A text rendered by Pillow, and the CPU seconds that it took without breaking lines."""
    letters = load_face(typesetter, text, style, page_style)
    lines = drawings.wrap_text(text, letters, extent[0] - 2 * style["margin"])
    start = time.process_time()
    return drawings.render_by_pillow(lines, letters, style, page_style, extent), time.process_time() - start


def measure_cpu(language: str) -> dict[str, float]:
    """CPU milliseconds and bytes a page, ours and Pillow's, over texts that take one page.

    We render them as a batch does, some together. The median over the rounds counts for each of those, and
    for each page of Pillow's.
    """
    typesetter = Typesetter(replace(SHARP, format="png"), SEED)
    recorder = Recorder(typesetter)
    styles: dict[str, tuple[str, dict, PageStyle, tuple[int, int]]] = {}
    size, pixels, effects = {"ours": 0, "pillow": 0}, 0, 0.0
    for number, text in enumerate(ordinary_texts(language)):
        id = f"{language}:{number}"
        pages = typesetter.render(text, id).pages
        if len(pages) == 1:
            page = _decode(pages[0].bytes)
            styles[id] = (text, recorder.document["style"], SHARP.sample_style(SEED, id), page.size)
            size["ours"] += len(pages[0].bytes)
            pixels += page.width * page.height
            effects += time_effects(page.convert("L"), id)
    typesetter.engine = recorder.engine
    questions = [(text, id) for id, (text, *_) in styles.items()]
    seconds: dict[str, dict[object, list[float]]] = {"ours": {}, "pillow": {}}
    for turn in range(ROUNDS):
        for number in range(MEMORY + 1):
            typesetter.render(f"{turn} {number}", "forget")
        for start in range(0, len(questions), CHUNK):
            begun = time.process_time()
            typesetter.render_together(questions[start : start + CHUNK])
            seconds["ours"].setdefault(start, []).append(time.process_time() - begun)
        for id, style in styles.items():
            page, took = render_by_pillow(typesetter, *style)
            seconds["pillow"].setdefault(id, []).append(took)
            if turn == 0:
                size["pillow"] += len(page)
    usual = {name: 1000 * sum(map(median, each.values())) / len(styles) for name, each in seconds.items()}
    usual["effects"] = 1000 * effects / len(styles)
    sizes = {f"{name} bytes": total / len(styles) for name, total in size.items()}
    return {"pages": len(styles), "pixels": pixels / len(styles), **usual, **sizes}


def time_effects(page: Image.Image, id: str) -> float:
    """The CPU seconds that a page's effects take where it is photographed."""
    style = CONDITIONS["photographed"].sample_style(SEED, id)
    start = time.process_time()
    photograph(page, style.effects, style.number, style.margin)
    return time.process_time() - start


def write_batch(folder: Path) -> tuple[list[object], list[object]]:
    """Write a batch; the command lines of render_text over it and of the bare engine over its documents."""
    every = [text for _ in range(COPIES) for language in load_ordinary() for text in ordinary_texts(language)]
    every += load_hard().values()
    typesetter = Typesetter(SHARP, SEED)
    recorder = Recorder(typesetter)
    rows, documents = [], []
    for number, text in enumerate(every):
        id = f"bench/file:{number}"
        typesetter.render(text, f"{id}#thinking.0")
        documents.append(json.dumps([recorder.document, vars(SHARP.sample_style(SEED, f"{id}#thinking.0"))]))
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
    settings = {"min_score": 3, "disagree": "ask", "keep": "best", "keep_failed": False, "pass_rate": [0, 1]}
    settings |= {"render": vars(SHARP), "seed": SEED, "drawing": "bench"}
    command += ["--settings", json.dumps(settings), "--threads", drawings.PROCESSES]
    for name in ("shard", "rejects", "summary"):
        command += [f"--{name}", folder / f"rendered.{name}"]
    bare = [sys.executable, ROOT / "bench/drawings.py", folder / "documents.jsonl"]
    return [sys.executable, *command], bare


def measure_rate(folder: Path) -> dict[str, float]:
    """Seconds of render_text and of the bare engine for the same pages, with two processes each."""
    ours, bare = write_batch(folder)
    seconds: dict[str, list[float]] = {"ours": [], "bare": []}
    for _ in range(ROUNDS):
        for name, command in (("ours", ours), ("bare", bare)):
            (folder / "rendered.shard").unlink(missing_ok=True)  # or its pages would be taken over
            seconds[name].append(measured(command, folder / "log.txt").seconds)
            print_progress(f"{name}: {seconds[name][-1]:.1f} s")
    return {name: median(each) for name, each in seconds.items()}


def measure_misread(
    language: str, condition: str, read_page: Callable[[bytes], str], insertion: int
) -> float:
    """Per cent of the characters of ordinary questions that OCR reads wrongly, as count_errors counts."""
    typesetter = Typesetter(CONDITIONS[condition], SEED)
    texts = load_ordinary()[language]
    if condition.startswith("long"):
        texts = ["\n".join(texts[start : start + 20]) for start in range(0, len(texts), 20)]
    wrong = total = 0
    for number, text in enumerate(texts):
        pages = typesetter.render(text, f"read:{language}:{number}").pages
        found = count_errors(text, "".join(read_page(page.bytes) for page in pages), insertion)
        wrong, total = wrong + found[0], total + found[1]
    return 100 * wrong / total


def measure_hard(read_page: Callable[[bytes], str]) -> dict[str, float]:
    """Per cent of the letters of hard questions that OCR does not read, by kind; and faults of characters."""
    recorder = Recorder(Typesetter(STYLE, SEED))
    counts = {kind: Counter(wrong=0, total=0) for kind in STRUCTURED}
    faults = 0
    for name, text in load_hard().items():
        pages = recorder.typesetter.render(text, name).pages
        faults += len(find_faults(recorder.engine.compile(recorder.document, "pdf"), STYLE.min_font_px)[0])
        kind, shown = classify(text, recorder.typesetter.fonts)
        if kind in STRUCTURED:
            wrong, total = count_unread(shown, "\n".join(read_page(page.bytes) for page in pages))
            counts[kind].update(wrong=wrong, total=total)
    rates = {HARD.format(kind): 100 * found["wrong"] / found["total"] for kind, found in counts.items()}
    return rates | {FAULTS: faults}


def read_by_tesseract(page: bytes) -> str:
    """The text of an encoded page, read by tesseract, which knows English; no exam's header."""
    command = ["tesseract", "stdin", "stdout", "-l", "eng", "--psm", "6"]
    done = subprocess.run(command, input=page, capture_output=True, check=True)
    return drop_exam_header(done.stdout.decode())


def compose_strip(typesetter: Typesetter, recorder: Recorder, name: str, text: str) -> Image.Image:
    """A question rendered by Pillow and by us, side by side below its name."""
    rendered = typesetter.render(text, name)
    ours = [_decode(page.bytes) for page in rendered.pages]
    style, page_style = recorder.document["style"], STYLE.sample_style(SEED, name)
    letters = load_face(typesetter, text, style, page_style)
    lines = len(drawings.wrap_text(text, letters, style["width"] - 2 * style["margin"]))
    height = lines * (style["rise"] + style["leading"]) + 2 * style["margin"]
    extent = (style["width"], height)
    pages = [
        _decode(render_by_pillow(typesetter, text, style, page_style, extent)[0]),
        *ours,
    ]
    strip = Image.new(
        "RGB", (sum(page.width + 12 for page in pages), max(p.height for p in pages) + 28), "#888"
    )
    ImageDraw.Draw(strip).text((4, 4), f"{name}    {rendered.detail or ''}"[:160], fill="white", font_size=16)
    left = 0
    for page in pages:
        strip.paste(page, (left, 24))
        left += page.width + 12
    return strip


def _decode(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def write_sheets(folder: Path) -> Iterator[Path]:
    """Write the contact sheets, four questions on each."""
    typesetter = Typesetter(STYLE, SEED)
    recorder = Recorder(typesetter)
    strips = [compose_strip(typesetter, recorder, *item) for item in load_hard().items()]
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(0, len(strips), 4):
        group = strips[number : number + 4]
        page = Image.new("RGB", (max(s.width for s in group), sum(s.height for s in group)), "#888")
        for index, strip in enumerate(group):
            page.paste(strip, (0, sum(s.height for s in group[:index])))
        path = folder / f"sheet_{number // 4 + 1:02}.png"
        page.save(path)
        yield path


def print_progress(line: str) -> None:
    """Print progress to standard error."""
    print(line, file=sys.stderr)


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--folder", type=Path, required=True, help="for pages and figures")
    flags.add_argument("--only", choices=["rate", "cpu", "misread", "sheets"], help="this part alone")
    args = flags.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    parts = [args.only] if args.only else ["rate", "cpu", "misread", "sheets"]
    figures, pages = {}, {}
    if "rate" in parts:
        seconds = measure_rate(args.folder)
        figures[RATE] = seconds["bare"] / seconds["ours"]
    for language in load_ordinary():
        if "cpu" in parts:
            print_progress(f"{language}: ours and Pillow's in turn")
            pages[language] = measure_cpu(language)
            figures[CPU.format(language)] = pages[language]["pillow"] / pages[language]["ours"]
    if "misread" in parts:
        figures |= measure_legibility()
    if "sheets" in parts:
        print_progress(f"sheets: {', '.join(path.name for path in write_sheets(args.folder / 'sheets'))}")
    write_json(args.folder / "rendering.json", {"figures": figures, "pages": pages})
    if figures:
        print_tables(figures, pages)


def measure_legibility() -> dict[str, float]:
    """All that is read by OCR. Tesseract takes ornaments of a layout for letters, which are not counted."""
    read_page = partial(OcrEngine(threads=2).read_page, max_pixels=STYLE.max_pixels)
    wanted = [(language, "rapidocr", read_page, 1) for language in load_ordinary()]
    if shutil.which("tesseract"):
        wanted.append(("english", "tesseract", read_by_tesseract, 0))
    else:
        print_progress("tesseract is not installed, and reads nothing")
    figures = {}
    for language, engine, read, insertion in wanted:
        for condition in CONDITIONS:
            name = MISREAD.format(language, condition, engine)
            figures[name] = measure_misread(language, condition, read, insertion)
            print_progress(f"{name}: {figures[name]:.2f}")
    return figures | measure_hard(read_page)


def print_tables(figures: dict[str, float], pages: dict[str, dict[str, float]]) -> None:
    """Print both tables."""
    import pandas as pd

    if pages:
        units = {"pages": "pages", "pixels": "pixels", "ours": "ours, ms", "pillow": "Pillow, ms"}
        units["effects"] = "effects, ms"
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
