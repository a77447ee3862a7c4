"""Decontamination: n-gram overlap with evaluation questions, and perceptual hashes of evaluation pictures."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from prep.containers.rows import find_value
from prep.deduplication import picture_hash
from prep.deduplication.text_similarity import list_words, normalize_text
from prep.records import json_rows
from prep.runtime.program import UserError
from prep.storage import parquet
from prep.storage.parquet import BadShard

PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
"""The files of a folder of pictures that are read; others, such as a README, are passed over."""
MAX_SHARED = 10
"""An n-gram of more evaluation questions than these is one of a template, and tells nothing."""
MIXER = np.uint64(0x9E3779B97F4A7C15)
"""An odd number that mixes the hashes of words into one of their order (2**64 over the golden ratio)."""


class EvaluationQuestions:
    """The n-grams of evaluation questions, and the questions whole; 12 bytes of memory for each n-gram."""

    def __init__(self, texts: Iterable[tuple[str, str]], ngram: int) -> None:
        """`texts` are pairs of where a question is, and its text."""
        self._ngram, self._places, self._whole = ngram, [], {}
        hashes: list[np.ndarray] = []
        for place, text in texts:
            words = list_words(normalize_text(text))
            whole = hash_words(words)
            if not words or whole in self._whole:
                continue
            self._whole[whole] = len(self._places)
            self._places.append(place)
            hashes.append(np.unique(hash_ngrams(words, ngram)))
        counts = [len(own) for own in hashes]
        numbers = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        joined = np.concatenate(hashes) if hashes else np.empty(0, np.uint64)
        found, first, shared = np.unique(joined, return_index=True, return_counts=True)
        tell = shared <= MAX_SHARED
        self._hashes, self._numbers = found[tell], numbers[first[tell]]

    def find(self, text: str) -> str | None:
        """Where the first evaluation question is that a normalized text overlaps with; None: there is none.

        Texts overlap where their words are the same, or an n-gram of them.
        """
        words = list_words(text)
        if not words:
            return None
        if (whole := self._whole.get(hash_words(words))) is not None:
            return self._places[whole]
        own = hash_ngrams(words, self._ngram)
        at = np.searchsorted(self._hashes, own)
        at[at == len(self._hashes)] = 0
        shared = self._hashes[at] == own if len(self._hashes) else np.zeros(len(own), bool)
        return self._places[self._numbers[at[shared]].min()] if shared.any() else None


class EvaluationPictures:
    """The fingerprints of evaluation pictures: 3 kB of memory for each."""

    def __init__(self, pictures: Iterable[tuple[str, bytes]]) -> None:
        """`pictures` are pairs of where a picture is, and its bytes."""
        self._places: list[str] = []
        self._copies: list[bytes] = []
        hashes = []
        for place, data in pictures:
            try:
                own = picture_hash.take_fingerprint(data)
            except MemoryError:
                raise
            except Exception as error:  # decoders raise anything
                line = f"decontaminate.pictures: {place} is no picture that we read ({error})"
                raise UserError(line) from error
            self._places.append(place)
            self._copies.append(own.copy)
            hashes.append(own.hash)
        self._hashes = np.array(hashes, np.uint64).reshape(-1, picture_hash.WORDS).T.copy()

    def find(self, own: picture_hash.Fingerprint) -> str | None:
        """Where the first evaluation picture is that is the same; None: there is none."""
        near = picture_hash.find_near(self._hashes, own.hash)
        alike = (self._places[at] for at in near if picture_hash.are_alike(own.copy, self._copies[at]))
        return next(alike, None)


@lru_cache(maxsize=200_000)
def hash_word(word: str) -> int:
    """A digest of 64 bits, the same in every process."""
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")


def hash_words(words: Sequence[str]) -> int:
    """The hash of a text's words in their order."""
    return hash_word(" ".join(words))


def hash_ngrams(words: Sequence[str], ngram: int) -> np.ndarray:
    """The hash of each run of `ngram` words; none where there are fewer words."""
    own = np.array([hash_word(word) for word in words], np.uint64)
    count = max(0, len(words) - ngram + 1)
    found = np.zeros(count, np.uint64)
    for start in range(ngram if count else 0):
        found = found * MIXER + own[start : start + count]
    return found


def read_questions(files: Mapping[str, str], columns: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each text of some evaluation files, by name, with where it is: `NAME:ROW`, rows counted from 0.

    A row has as many as columns that hold one. Raises UserError for a file that cannot be read.
    """
    for name, path in files.items():
        try:
            found = False
            for row, texts in enumerate(read_rows(Path(path), columns)):
                for text in texts:
                    found = True
                    yield f"{name}:{row}", text
            if not found:
                raise BadShard(
                    Path(path), f"no row has a text in {', '.join(columns)}; see decontaminate.columns"
                )
        except BadShard as bad:
            raise UserError(f"decontaminate.questions: {bad}") from bad


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[list[str]]:
    """The texts of each row of an evaluation file; of a .txt each line is one."""
    if path.suffix == ".txt":
        with path.open("rb") as file:
            for number, line in enumerate(file):
                yield [decode_text(path, number, line)]
    elif path.suffix == ".parquet":
        yield from read_parquet(path, columns)
    else:
        for number, row in enumerate(json_rows.read_rows(path)):
            if not isinstance(row, dict):
                raise BadShard(path, f"row {number}: {row[1] or row[0]}")
            values = (find_value(row, column) for column in columns)
            yield [value for value in values if isinstance(value, str)]


def read_parquet(path: Path, columns: Sequence[str]) -> Iterator[list[str]]:
    """The texts of each row of those columns that a parquet file has; raises BadShard where it has none."""
    with parquet.explain_broken(path, lambda: "cannot be read"):
        names = pq.read_schema(path).names
    there = [column for column in columns if column in names]
    if not there:
        line = f"no column {' or '.join(columns)}; see decontaminate.columns"
        raise BadShard(path, line, f"it has: {', '.join(names):.300}")
    number = 0
    for batch in parquet.Reader(path, [pa.field(column, parquet.RAW_TEXT) for column in there]).batches():
        for cells in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            yield [decode_text(path, number, cell) for cell in cells if cell is not None]
            number += 1


def decode_text(path: Path, row: int, data: bytes) -> str:
    """A text that must be UTF-8; raises BadShard that names the row."""
    try:
        return data.decode("utf-8-sig" if row == 0 else "utf-8")
    except UnicodeDecodeError as error:
        raise BadShard(path, f"row {row} is not UTF-8", str(error)[-100:]) from error


def read_pictures(folders: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    """Each picture of some folders, by name, and of the folders in them, with where it is: `NAME/FILE`.

    Raises UserError for a folder that has none.
    """
    for name, folder in folders.items():
        files = [path for path in list_files(Path(folder)) if path.suffix.lower() in PICTURE_ENDINGS]
        if not files:
            raise UserError(
                f"decontaminate.pictures: {folder} has no pictures ({', '.join(PICTURE_ENDINGS)})"
            )
        for path in files:
            yield f"{name}/{path.relative_to(folder).as_posix()}", path.read_bytes()


def list_files(folder: Path) -> list[Path]:
    """The files of a folder and of those in it, in an order that no file system decides."""
    return sorted((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.as_posix())


def open_questions(files: Mapping[str, str], about: Mapping[str, Any]) -> EvaluationQuestions | None:
    """The evaluation questions of some files; None without any."""
    return EvaluationQuestions(read_questions(files, about["columns"]), about["ngram"]) if files else None


def open_pictures(folders: Mapping[str, str]) -> EvaluationPictures | None:
    """The evaluation pictures of some folders; None without any."""
    return EvaluationPictures(read_pictures(folders)) if folders else None
