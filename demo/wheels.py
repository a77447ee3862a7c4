"""Data files of installed wheels."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from prep.runtime.program import UserError


def find_wheel_file(wheel: str, path: str) -> Path:
    """The file `path` of an installed wheel, found without importing any of its code.

    Raises UserError when the wheel is not installed, or has no such file.
    """
    try:
        file = Path(distribution(wheel).locate_file(path))
    except PackageNotFoundError:
        raise UserError(f"the wheel {wheel} is not installed: install requirements.txt") from None
    if not file.is_file():
        raise UserError(f"the wheel {wheel} has no file {path}: install requirements.txt")
    return file
