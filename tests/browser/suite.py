"""The report in a real Chromium: what is searched, filtered, folded and followed, on a phone and at a desk.

`make test-browser`. One page is of a few hostile rows, the other of as many artifacts as a whole run has.
"""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from browser import Browser, Page
from prep.report import gallery
from prep.storage.schema import REASONED
from reports import EVIL, add, add_answers, encoded, publish_file, reject, row

DESK, PHONE = 1280, 390
MOST_BYTES = 15_000_000
ROWS_EACH = 48
CONFIGS = 84
"""The OneVision configs with pictures."""
ROWS = "[...document.querySelectorAll('[data-row]')]"
VISIBLE = f"{ROWS}.filter(each => each.checkVisibility())"
"""The rows that are seen, on screen or by scrolling."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a page of hostile rows, answers side by side, and an artifact without a row."""
    root = tmp_path_factory.mktemp("small")
    picture = encoded((320, 240), "JPEG")
    name = "llavaonevision_converted/geo3k"
    rows = [
        row(name, n, picture, answer=f"Answer {n} {EVIL}" if n else "A needle in the hay") for n in range(5)
    ]
    converted = add(root, name, rows, [reject(n, "odd_turns", f"{n} {EVIL}") for n in range(30)])
    lost = add(root, "synthdog_en", [], [reject(n, "text_empty") for n in range(3)])
    ids = [f"alpaca/a:0#thinking.{sample}" for sample in range(3)]
    question = {"id": "alpaca/a:0", "source": "s", "source_file": "a", "row": 0, "question": f"Why? {EVIL}"}
    texts = [f"<think>\nthought {n}\n</think>\n\nanswer {n} {EVIL}" for n in range(3)]
    answers = [
        {"id": ids[n], "question_id": "alpaca/a:0", "mode": "thinking", "sample": n, "text": texts[n]}
        for n in range(3)
    ]
    verdicts = [{"id": ids[0], "verdict": "pass", "score": 3, "votes": 1}]
    verdicts += [{"id": id_, "verdict": "fail", "score": 1, "votes": 0, "detail": EVIL} for id_ in ids[1:]]
    add_answers(root, "text", "00000", [question], answers, verdicts)
    kept = [row("text2image", 0, picture, answer=texts[0], id=ids[0], score=3)]
    kept += [
        row("text2image", n, picture, id=f"alpaca/a:{n}#no_thinking.0", mode="no_thinking") for n in (1, 2)
    ]
    rejects = [reject(0, "judge_fail", "score 1", id=id_) for id_ in ids[1:]]
    reasoned = add(root, "text2image", kept, rejects, REASONED)
    stages = {"stage2.1": ["synthdog_en"], "stage2.2": [name], "stage3": ["text2image"]}
    return publish_file(
        root, converted, lost, reasoned, stages=stages, notice=EVIL.replace("\x01", "")
    ).as_uri()


def vary_row(number: int) -> dict:
    """Cells of a row; the next one's sizes and lengths are in another column of each chart."""
    long, tall = (100 * 2 ** (number % 7), 8), (100, int(100 / (0.4, 0.7, 1, 1.5, 3)[number % 5]))
    picture = encoded(long if number % 2 else tall, "PNG")
    rounds = (1, 2, 3, 5, 8, 12)[number % 6]
    length = 8 * 3 ** (number % 8) // rounds
    said = {"user": "a" * length, "assistant": f"<think>{'b' * length}</think>{'中c'[number % 2] * length}"}
    messages = [{"role": role, "content": said[role]} for _ in range(rounds) for role in said]
    messages[0]["content"] = f"<image>\n{said['user']}"
    return {"messages": messages, "images": [{"bytes": picture, "path": None}]}


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of 92 artifacts, of pictures that compress badly, long texts, and many reasons; raw is kept.

    Beside the long rows that are shown, others fill all columns of the charts.
    """
    root = tmp_path_factory.mktemp("large")
    random = np.random.default_rng(0)
    smooth = Image.fromarray(random.integers(0, 255, (24, 32, 3), np.uint8)).resize((320, 240))
    grain = Image.fromarray(random.integers(0, 255, (240, 320, 3), np.uint8))
    buffer = io.BytesIO()
    Image.blend(smooth, grain, 0.1).save(buffer, "JPEG")
    configs = [f"llavaonevision_converted/config_{n}" for n in range(CONFIGS)]
    others = [
        "LLaVA_ReCap_558K",
        "LLaVA_ReCap_CC3M",
        "LLaVA_ReCap_CC12M",
        "synthdog_en",
        "synthdog_zh",
        "own",
    ]
    words = " ".join(f"word{n}" for n in range(600))
    reasons = ("odd_turns", "image_missing", "image_unreadable", "no_image_tag", "think_tag_in_answer")
    raw = root / "raw/s.parquet"
    raw.parent.mkdir()
    pq.write_table(pa.table({"image": [buffer.getvalue()] * 12}), raw)
    manifests = []
    others_of = [vary_row(n) for n in range(ROWS_EACH)]
    for number, name in enumerate([*configs, *others]):
        shown = gallery.sample_rows(name, ROWS_EACH, 6)
        rows = [row(name, n, **others_of[n]) for n in range(ROWS_EACH)]
        for n in shown:
            rows[n] = row(name, n, buffer.getvalue(), answer=f"{number} {n} {words}")
        about = [{"id": f"{name}/s:{n}", "source_file": raw.name} for n in range(12)]
        rejects = [reject(n, reason, words, **about[n]) for reason in reasons for n in range(12)]
        (raw.parent / name).mkdir(parents=True)
        (raw.parent / name / raw.name).hardlink_to(raw)
        manifests.append(add(root, name, rows, rejects))
    for name in ("text2image", "image_thinking"):
        thought = f"<think>\n{words * 5}\n</think>\n\n{words}"
        rows = [row(name, n, buffer.getvalue(), answer=thought, score=1 + n % 5) for n in range(60)]
        manifests.append(add(root, name, rows, [reject(n, "judge_fail", words) for n in range(40)], REASONED))
    stages = {"stage2.1": others, "stage2.2": configs, "stage3": ["text2image", "image_thinking"]}
    return publish_file(root, *manifests, stages=stages)


def search(page: Page, text: str = "", **chosen: str) -> int:
    """Fill in the search as a user does; how many rows are left to see."""
    page.evaluate("document.getElementById('find-clear').click()")
    for key, value in chosen.items():
        page.evaluate(
            f"(() => {{ const found = document.getElementById('find-{key}'); found.value = {value!r};"
            " found.dispatchEvent(new Event('change')); })()"
        )
    if text:
        page.evaluate("document.getElementById('find-text').focus()")
        page.type(text)
    page.evaluate("new Promise(done => setTimeout(done, 400))")  # it waits until nobody types
    return page.evaluate(f"{VISIBLE}.length")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_the_page_is_quiet_asks_for_nothing_and_fits_its_width(
    browser: Browser, small: str, width: int, scheme: str
) -> None:
    page = browser.open(small, width, scheme=scheme)
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    assert page.errors() == []
    assert page.requests() == [small]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.querySelectorAll('script, style').length") == 2
    assert page.evaluate("[...document.images].every(each => each.src.startsWith('data:'))")
    red, green, blue = page.evaluate(
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    )
    assert (red + green + blue < 200) == (scheme == "dark")


def test_rows_are_found_by_text_and_id(browser: Browser, small: str) -> None:
    page = browser.open(small)
    assert search(page, "NEEDLE in  the") == 1
    assert page.evaluate("document.getElementById('found').textContent") == "1 of 26 rows on this page"
    assert search(page, "alpaca/a:0#thinking.2") == 2  # side by side, and among the rejected
    assert search(page, "<script>alert(1)</script>") == page.evaluate(
        f"{ROWS}.filter(each => each.textContent.includes('alert(1)')).length"
    )
    assert search(page, "no such words") == 0
    assert page.errors() == []


def test_rows_are_filtered_by_what_they_are(browser: Browser, small: str) -> None:
    page = browser.open(small)
    assert search(page, reason="odd_turns") == 10
    assert search(page, reason="judge_fail") == 4
    assert search(page, score="3") == 2
    assert search(page, mode="no_thinking") == 2
    assert search(page, artifact="llavaonevision_converted/geo3k") == 15
    assert search(page, artifact="llavaonevision_converted/geo3k", outcome="kept") == 5
    assert search(page, "answer 3", artifact="llavaonevision_converted/geo3k", outcome="kept") == 1


def test_a_search_that_ends_leaves_the_page_as_it_was(browser: Browser, small: str) -> None:
    page = browser.open(small)
    state = (
        "[...document.querySelectorAll('details, article')].map(each => `${each.open} ${each.hidden}`).join()"
    )
    page.evaluate("document.querySelector('.artifact').open = true")
    before = page.evaluate(state)
    assert search(page, "needle") == 1
    assert page.evaluate(state) != before
    page.press("Escape")
    assert page.evaluate(state) == before
    assert page.evaluate("document.getElementById('find-text').value") == ""


def test_the_keyboard_reaches_all(browser: Browser, small: str) -> None:
    page = browser.open(small)
    page.press("/")
    assert page.evaluate("document.activeElement.id") == "find-text"
    page.evaluate("document.querySelector('.artifact > summary').focus()")
    page.press("Enter")
    assert page.evaluate("document.querySelector('.artifact').open")
    page.press("Enter")
    assert not page.evaluate("document.querySelector('.artifact').open")


def test_links_lead_into_what_is_folded_and_back(browser: Browser, small: str) -> None:
    page = browser.open(small, PHONE)
    artifact = "document.getElementById('synthdog_en')"
    assert not page.evaluate(f"{artifact}.open")
    page.evaluate("document.querySelector('.alerts a').click()")
    page.evaluate("new Promise(done => setTimeout(done, 100))")
    assert page.evaluate(f"{artifact}.open")
    bar = page.evaluate("document.querySelector('.bar-top').getBoundingClientRect().bottom")
    assert page.evaluate(f"{artifact}.getBoundingClientRect().top") >= bar - 1
    page.evaluate("document.querySelector('.links a').click()")
    page.evaluate("new Promise(done => setTimeout(done, 100))")
    assert page.evaluate("scrollY") == 0
    deep = browser.open(f"{small}#text2image/side-by-side")
    assert deep.evaluate("document.getElementById('text2image').open")


def test_without_scripts_all_is_there_but_the_search(browser: Browser, small: str) -> None:
    page = browser.open("about:blank")
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    page.events.clear()
    page.call("Page.navigate", url=small)
    page.wait_for("Page.loadEventFired")
    page.call("Emulation.setScriptExecutionDisabled", value=False)
    assert page.evaluate("document.getElementById('find').hidden")
    assert page.evaluate("document.querySelectorAll('[data-row]').length") == 26


def test_a_page_of_a_whole_run_is_small_short_and_quick_to_search(browser: Browser, large: Path) -> None:
    assert large.stat().st_size < MOST_BYTES
    page = browser.open(large.as_uri())
    assert page.errors() == []
    assert page.evaluate("document.querySelectorAll('.artifact').length") == CONFIGS + 8
    assert page.evaluate("document.documentElement.scrollHeight") < 4000
    charts = "document.querySelectorAll('[data-artifact$=config_0] .chart svg[role=img]').length"
    assert page.evaluate(charts) == 7
    assert search(page, artifact="llavaonevision_converted/config_83", outcome="kept") == 6
    assert search(page, "83 ", artifact="llavaonevision_converted/config_83", outcome="kept") == 6
    assert search(page, reason="judge_fail") > 10
    phone = browser.open(large.as_uri(), PHONE)
    assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE
