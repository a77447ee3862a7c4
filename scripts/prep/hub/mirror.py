"""Mirror of the hub: a local folder `<org>/<name>/<files>` that is used in place of the network."""

from pathlib import Path

from prep.hub.listing import HubFile, matches_any
from prep.runtime.program import UserError
from prep.storage import atomic
from prep.storage.parts import part_prefix, remove_abandoned


class Mirror:
    """A folder in place of the hub; its files have no commit, and their sha256 is taken by reading them."""

    def __init__(self, folder: Path, repo: str) -> None:
        self.repo = repo
        self.root = folder / repo
        if not self.root.is_dir():
            raise UserError(
                f"{repo}: no folder {self.root} in the mirror; check hub.mirror and the name, or leave the"
                " source out: null in place of its entry (onevision: null, sources: {NAME: null})"
            )

    def commit(self, revision: str) -> None:
        """A mirror knows no commits."""

    def files(self, commit: None, patterns: list[str]) -> list[HubFile]:
        found = {path for pattern in patterns for path in self.root.glob(pattern) if not path.is_dir()}
        # A dangling link has no size.
        sizes = {
            path.relative_to(self.root).as_posix(): path.stat().st_size if path.is_file() else None
            for path in found
        }
        for path in sizes:
            if path != path.encode(errors="replace").decode():
                raise UserError(f"{self.root}: the name {path!a} is not UTF-8; rename the file")
        return [
            HubFile(path, size, None) for path, size in sorted(sizes.items()) if matches_any(path, patterns)
        ]

    def sha256(self, commit: None, file: HubFile) -> str:
        return atomic.sha256(self.root / file.path)

    def tail(self, commit: None, file: HubFile, length: int) -> bytes:
        with (self.root / file.path).open("rb") as source:
            source.seek(max(file.bytes - length, 0))
            return source.read()

    def locate(self, commit: None, file: HubFile, most: int) -> Path:
        return self.root / file.path

    def fetch(self, commit: None, file: HubFile, to: Path) -> None:
        """Link the file to `to`; nothing is copied, and the mirror is only read."""
        source = (self.root / file.path).resolve()
        if not source.is_file() or source.stat().st_size != file.bytes:
            raise UserError(f"{self.root / file.path} is gone or changed since it was listed; run again")
        to.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(to, ".link")
        link = to.with_name(f"{part_prefix(to)}link")
        link.symlink_to(source)
        link.replace(to)
