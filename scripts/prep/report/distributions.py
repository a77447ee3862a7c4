"""Histograms of sampled training rows: picture sizes, lengths of texts and thoughts, turns, languages.

Lengths are in characters: no tokenizer is needed. Those of teachers' answers are in tokens too, where their
servers counted them.
"""

import io
import re
import statistics
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from prep.records.image_format import FORMATS
from prep.rendering.document import is_english

SIDES = (128, 256, 512, 1024, 2048, 4096)
"""Pixels of a picture's longer side, at most, of each column but the last."""
LENGTHS = (10, 30, 100, 300, 1000, 3000, 10_000)
"""Characters or tokens, at most."""
ROUNDS = (1, 2, 3, 5, 10)
"""Rounds of a question and its answer, at most."""
RATIOS = (0.5, 0.8, 1.25, 2.0)
"""Width by height, at most."""
SHAPES = ("< 1:2", "tall", "square", "wide", "> 2:1")
LANGUAGES = ("en", "zh", "other")
MOST_PICTURES = 16
"""How many pictures of a row are measured."""

_THOUGHT = re.compile("<think>(.*?)</think>", re.DOTALL)
_CHINESE = re.compile("[\u4e00-\u9fff]")


@dataclass(frozen=True)
class Distribution:
    """A histogram: columns of (label, count), and the median and range of what was measured."""

    title: str
    columns: list[tuple[str, int]]
    note: str


class Measures:
    """What is measured of training rows, one by one."""

    def __init__(self) -> None:
        self.rows = 0
        self._sides: list[int] = []
        self._ratios: list[float] = []
        self._asked: list[int] = []
        self._answered: list[int] = []
        self._thought: list[int] = []
        self._rounds: list[int] = []
        self._languages: list[str] = []
        self._tokens: list[int] = []
        self._answer_tokens: list[int] = []
        self._thought_tokens: list[int] = []
        self._is_estimated = False
        self.characters: dict[str, tuple[int, int]] = {}
        """Of each row, by its id, those of the thought and of the answer."""

    def add(self, row: dict) -> None:
        """Measure a training row."""
        self.rows += 1
        for image in row["images"][:MOST_PICTURES]:
            if size := read_size(image["bytes"]):
                self._sides.append(max(size))
                self._ratios.append(size[0] / size[1])
        texts = {"user": "", "assistant": ""}
        for message in row["messages"]:
            texts[message["role"]] += message["content"].replace("<image>", "").strip()
        thoughts = [thought.strip() for thought in _THOUGHT.findall(texts["assistant"])]
        answer = _THOUGHT.sub("", texts["assistant"]).strip()
        self._asked.append(len(texts["user"]))
        self._answered.append(len(answer))
        self._thought += [len(thought) for thought in thoughts if thought]
        self.characters[row["id"]] = sum(map(len, thoughts)), len(answer)
        self._rounds.append(len(row["messages"]) // 2)
        self._languages.append(find_language(answer))

    def add_tokens(self, id_: str, tokens: int, of_thought: int | None) -> None:
        """Count the tokens of a row's answer; those of its thought by its share of characters where None."""
        thought, answer = self.characters[id_]
        if of_thought is None or of_thought > tokens or not thought:
            self._is_estimated |= thought > 0
            of_thought = round(tokens * thought / (thought + answer)) if thought else 0
        self._tokens.append(tokens)
        self._answer_tokens.append(tokens - of_thought)
        self._thought_tokens += [of_thought] if thought else []

    def list_distributions(self) -> list[Distribution]:
        """The histograms of what was found, in the order of the page."""
        by = ", by its share of characters" if self._is_estimated else ""
        found = [
            count_numbers("longer side of pictures, pixels", self._sides, SIDES),
            count_shapes(self._ratios),
            count_numbers("user's text, characters", self._asked, LENGTHS),
            count_numbers("answer, characters", self._answered, LENGTHS),
            count_numbers("thought, characters", self._thought, LENGTHS),
            count_numbers("answer with thought, tokens", self._tokens, LENGTHS),
            count_numbers(f"answer, tokens{by}", self._answer_tokens, LENGTHS),
            count_numbers(f"thought, tokens{by}", self._thought_tokens, LENGTHS),
            count_numbers("rounds of question and answer", self._rounds, ROUNDS),
            count_languages(self._languages),
        ]
        return [each for each in found if each]


def read_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a picture by its header, in pixels; None where Pillow cannot tell."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return image.size if image.height else None
    except Exception:  # decoders raise anything
        return None


def find_language(text: str) -> str:
    """`en` by the rule of questions (prep.rendering.document), else `zh` if there is Chinese, or `other`."""
    return "en" if is_english(text) else "zh" if _CHINESE.search(text) else "other"


def count_numbers(title: str, values: Sequence[int], bounds: Sequence[int]) -> Distribution | None:
    """A histogram of whole numbers; a column holds those up to its bound, and the last one all above."""
    if not values:
        return None
    counts = [0] * (len(bounds) + 1)
    for value in values:
        counts[bisect_left(bounds, value)] += 1
    labels = [*(f"≤ {_short(bound)}" for bound in bounds), f"> {_short(bounds[-1])}"]
    used = [at for at, count in enumerate(counts) if count]
    columns = list(zip(labels, counts, strict=True))[used[0] : used[-1] + 1]
    median = round(statistics.median(values))
    return Distribution(title, columns, f"median {median:,}, {min(values):,} to {max(values):,}")


def count_shapes(ratios: Sequence[float]) -> Distribution | None:
    """A histogram of width by height."""
    if not ratios:
        return None
    counts = [0] * len(SHAPES)
    for ratio in ratios:
        counts[bisect_left(RATIOS, ratio)] += 1
    columns = list(zip(SHAPES, counts, strict=True))
    note = f"median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}"
    return Distribution("width by height of pictures", columns, note)


def count_languages(languages: Sequence[str]) -> Distribution | None:
    """How many answers are in which language."""
    if not languages:
        return None
    columns = [(each, languages.count(each)) for each in LANGUAGES]
    return Distribution("language of answers", columns, "en: at most 5 % of the letters are Chinese")


def _short(number: int) -> str:
    return (
        f"{number // 1000}k" if number >= 10_000 or (number >= 1000 and number % 1000 == 0) else str(number)
    )
