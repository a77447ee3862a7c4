"""Interface of the LaTeX parser for its modules of environments and packages."""

from typing import Protocol


class Parser(Protocol):
    """A recursive descent parser at a token of a formula. Its methods raise UnsupportedLatex."""

    tokens: list[str]
    at: int
    is_partly: bool

    def peek(self) -> str | None:
        """The next token, or None at the formula's end; blanks before it are consumed."""

    def next(self) -> str:
        """Consume the next token."""

    def parse_argument(self) -> list:
        """One token, or a group in braces."""

    def parse_group(self) -> str:
        """The raw text of a group in braces, for names and lengths."""

    def parse_option(self) -> list | None:
        """An argument in brackets, or None."""

    def parse_text(self) -> list:
        """A group in braces as text, with any mathematics between dollars."""

    def parse_row(self, *ends: str | None) -> list:
        """Everything up to one of `ends` (None: the formula's end), which is not consumed."""

    def parse_until(self, end: str) -> list:
        """Everything up to `end`, which is consumed."""

    def parse_attach(self, base: list) -> list:
        """Superscripts, subscripts and primes of a base, in any order."""

    def parse_delimiter(self, token: str) -> list:
        """A delimiter's node."""

    def parse_source(self, source: str) -> list:
        """LaTeX that a command was translated to."""

    def end_row(self) -> None:
        """Consume a row's end, with its star and the space that it asks for."""
