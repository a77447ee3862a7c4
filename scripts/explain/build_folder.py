"""The files of a build as they stand: JSON, and rows by id. What is gone or broken is noted, and no error."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from explain import journal_lookup
from explain.journal_lookup import Entry
from explain.row_lookup import Place, find_ids
from prep.runtime.program import UserError
from prep.storage.parquet import BadShard

REASONED = ("text2image", "image_thinking")
"""The artifacts that teachers answered."""
SEARCHED_BYTES = 512 * 1024 * 1024
"""A larger journal is not searched: that would take longer than all else."""


class BuildFolder:
    """A folder that the workflow builds into, as make knows it: `notes` tell what could not be read."""

    def __init__(self, root: Path) -> None:
        """Raises UserError where nothing was built."""
        self.root = root
        self.notes: list[str] = []
        self._read: dict[str, Any] = {}
        self._entries: dict[tuple[str, str], list[Entry] | None] = {}
        if not any((root / name).is_dir() for name in ("data", "work")):
            raise UserError(f"{root}: no build, neither data/ nor work/ is there; FOLDER=… says where one is")
        self.plan: dict[str, Any] = self.read_json("work/plan.json") or {}
        if not isinstance(self.plan, dict):
            raise UserError(f"{root}/work/plan.json is none of ours; the next run writes it anew")

    def note(self, line: str) -> None:
        """Note, once, what is missing."""
        if line not in self.notes:
            self.notes.append(line)

    def read_json(self, path: str) -> Any | None:
        """What a JSON file of the build holds; None where it is not there, or broken."""
        if path not in self._read:
            self._read[path] = None
            file = self.root / path
            try:
                self._read[path] = json.loads(file.read_text(encoding="utf-8"))
            except FileNotFoundError:
                pass
            except (OSError, ValueError) as error:
                self.note(f"{file}: cannot be read ({error})")
        return self._read[path]

    def find(self, files: Iterable[Path], first: str, last: str | None = None) -> list[tuple[str, Place]]:
        """The ids from `first` to `last` (left out: `first` alone) in files, of which some may be gone."""
        found: list[tuple[str, Place]] = []
        for file in files:
            try:
                if file.is_file():
                    found += find_ids(file, first, last or first)
            except (BadShard, OSError) as error:
                self.note(str(error))
        return found

    def find_row(self, files: Iterable[Path], id_: str) -> Place | None:
        """Where the row with an id stands in files, of which some may be gone."""
        return next((place for _, place in self.find(files, id_)), None)

    def list_artifact_files(self, name: str) -> list[Path]:
        """The files of an artifact: one, or the shards of its folder; none where it does not stand."""
        folder = self.root / "data" / name
        single = folder.with_name(f"{folder.name}.parquet")
        shards = [path for path in folder.glob("*-of-*.parquet") if path.name.startswith(f"{folder.name}-")]
        return [*([single] if single.is_file() else []), *sorted(shards)]

    def rejects_of(self, name: str) -> Path:
        """The rejects of an artifact."""
        return self.root / "data/rejects" / f"{name}.parquet"

    def list_names(self) -> list[str]:
        """The artifacts and sources that the build knows, as ids begin."""
        listed = [self.root / "data/manifest", self.root / "work/list_shards"]
        names = [_name_of(path, folder) for folder in listed for path in sorted(folder.rglob("*.json"))]
        known = [*self.plan.get("converted", ()), *self.plan.get("questions", ())]
        known += self.plan.get("pictured", ())
        return [
            name
            for name in dict.fromkeys([*known, *names])
            if name not in REASONED and not name.endswith("@pictures")
        ]

    def is_converted(self, name: str) -> bool:
        """Whether a name is that of an artifact of stages 1 and 2."""
        if name in self.plan.get("converted", ()) or self.find_form(name):
            return True
        stands = [*self.list_artifact_files(name), self.rejects_of(name)]
        return name not in REASONED and any(file.is_file() for file in stands)

    def find_form(self, name: str) -> str | None:
        """The rule that converts an artifact; None where its files are gone."""
        return next((path.name for path in self.root.glob("work/convert_*") if (path / name).is_dir()), None)

    def journal(self, server: str, id_prefix: str) -> list[Entry] | None:
        """The lines of a server's journal about rows whose ids begin so; None where it is too large."""
        folder = self.root / "work/journal" / server
        if (server, id_prefix) not in self._entries:
            entries: list[Entry] | None = []
            try:
                if journal_lookup.count_bytes(folder) > SEARCHED_BYTES:
                    entries = None
                else:
                    entries = list(journal_lookup.find_entries(folder, id_prefix))
            except (ValueError, OSError) as error:
                self.note(f"{folder}: cannot be read ({error})")
            self._entries[server, id_prefix] = entries
        return self._entries[server, id_prefix]


def _name_of(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()
