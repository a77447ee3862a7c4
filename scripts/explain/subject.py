"""The row that is asked about: the parts of an id (see prep.records.ids)."""

import re
from typing import NamedTuple

from prep.records.ids import answer_id

_ID = re.compile(
    r"(([^/\0][^\0]{0,511})/([^/\0]{1,255}):(\d{1,18}))(?:#(\w{1,64})\.(\d{1,9})(?:\.\d{1,9})?)?", re.DOTALL
)
_BLIND = "blind"  # see prep.reasoning.batch, which takes long to import
FORMS = (
    "NAME/FILE:ROW for a row of an artifact or a question (alpaca/train-00000-of-00001:3), and"
    " QUESTION#MODE.SAMPLE for an answer (alpaca/train-00000-of-00001:3#thinking.0)"
)
"""What ids look like."""


class Subject(NamedTuple):
    """A row's id, and its parts.

    `base` is the id of the source's row: of an answer, that of its question. `mode` and `sample` are an
    answer's, else None.
    """

    base: str
    name: str
    stem: str
    row: int
    mode: str | None = None
    sample: int | None = None

    @property
    def answer(self) -> str | None:
        """The id of the answer, where the row is one."""
        return None if self.mode is None else answer_id(self.base, self.mode, self.sample)

    @property
    def answers_range(self) -> tuple[str, str]:
        """Between which ids those of all answers are: "$" follows "#"."""
        return f"{self.base}#", f"{self.base}$"

    @property
    def id(self) -> str:
        """The row's id."""
        return self.answer or self.base


def parse_subject(text: str) -> Subject | None:
    """The parts of an id; None for a text that is none.

    A vote is taken for the answer that it is on, an answer without a picture for its question.
    """
    if not (found := _ID.fullmatch(text)):
        return None
    base, name, stem, row, mode, sample = found.groups()
    about = Subject(base, name, stem, int(row))
    return about if mode in (None, _BLIND) else about._replace(mode=mode, sample=int(sample))
