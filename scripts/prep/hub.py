"""Datasets of the Hugging Face hub, from the hub itself or from a mirror folder, behind one face.

A mirror is a folder `<org>/<name>/<files>` that is used in place of the network. The environment's
`HF_ENDPOINT` and `HF_TOKEN` are honoured by huggingface_hub; a token is never stored or printed.
"""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO

import huggingface_hub
from huggingface_hub import errors
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from prep import files
from prep.program import Failure


@dataclass(frozen=True)
class HubFile:
    """A file of a dataset repository: its path there, its bytes, and its sha256 where the hub tells it."""

    path: str
    bytes: int
    sha256: str | None


def matches(path: str, pattern: str) -> bool:
    """Whether a path is of a glob pattern, part by part (`*` stays within a folder)."""
    parts, globs = PurePosixPath(path).parts, PurePosixPath(pattern).parts
    return len(parts) == len(globs) and all(map(fnmatchcase, parts, globs))


def folder_of(patterns: list[str]) -> str:
    """The one folder that all patterns are in, so that no more of a repository is listed; "" is the root."""
    folders = {str(PurePosixPath(pattern).parent) for pattern in patterns}
    return folders.pop().removeprefix(".") if len(folders) == 1 else ""


class Mirror:
    """A folder in place of the hub; its files have no commit, and their sha256 is taken by reading them."""

    def __init__(self, folder: Path, repo: str) -> None:
        self.root = folder / repo
        if not self.root.is_dir():
            raise Failure(
                f"{repo}: no folder {self.root} in the mirror; check hub.mirror and the name"
            )

    def commit(self, revision: str) -> None:
        """A mirror knows no commits."""

    def files(self, commit: None, patterns: list[str]) -> list[HubFile]:
        """The files of the patterns, by path."""
        found = (path for path in self.root.rglob("*") if path.is_file())
        paths = {path.relative_to(self.root).as_posix(): path.stat().st_size for path in found}
        return [
            HubFile(path, size, None)
            for path, size in sorted(paths.items())
            if any(matches(path, pattern) for pattern in patterns)
        ]

    def sha256(self, commit: None, path: str) -> str:
        """The hex sha256 of a file."""
        return files.sha256(self.root / path)

    def open(self, commit: None, path: str) -> IO[bytes]:
        """A file, to read parts of."""
        return (self.root / path).open("rb")

    def fetch(self, commit: None, path: str, sha256: str, to: Path) -> None:
        """Link the file to `to`; nothing is copied."""
        if not (self.root / path).is_file():
            raise Failure(f"{self.root / path} is gone from the mirror since it was listed; run again")
        with files.whole(to) as part:
            part.unlink()
            part.symlink_to((self.root / path).resolve())


class Remote:
    """A dataset on the hub (or on what `endpoint` or HF_ENDPOINT names)."""

    def __init__(self, endpoint: str | None, repo: str) -> None:
        self.api = huggingface_hub.HfApi(endpoint=endpoint)
        self.repo = repo

    def commit(self, revision: str) -> str:
        """The 40 hex digits of the commit that a revision names; one that is such already is taken as is."""
        if re.fullmatch(r"[0-9a-f]{40}", revision):
            return revision
        with self._explained(revision):
            info = _patiently(self.api.repo_info, self.repo, revision=revision, repo_type="dataset")
        return info.sha

    def files(self, commit: str, patterns: list[str]) -> list[HubFile]:
        """The files of the patterns, by path."""
        folder = folder_of(patterns)
        with self._explained(folder):
            tree = self.api.list_repo_tree(
                self.repo, folder or None, recursive=True, revision=commit, repo_type="dataset"
            )
            found = [item for item in tree if isinstance(item, huggingface_hub.hf_api.RepoFile)]
        return [
            HubFile(item.path, item.size, item.lfs.sha256 if item.lfs else None)
            for item in sorted(found, key=lambda item: item.path)
            if any(matches(item.path, pattern) for pattern in patterns)
        ]

    def sha256(self, commit: str, path: str) -> str:
        """The hex sha256 of a small file that the hub keeps in git, and so has no sha256 for."""
        with self._explained(path), self.open(commit, path) as file:
            return files.digest(file)

    @contextlib.contextmanager
    def open(self, commit: str, path: str) -> Iterator[IO[bytes]]:
        """A file, to read parts of by range requests."""
        system = huggingface_hub.HfFileSystem(endpoint=self.api.endpoint)
        url = f"datasets/{self.repo}@{commit}/{path}"
        with self._explained(path), _patiently(system.open, url, "rb", block_size=256 * 1024) as file:
            yield file

    def fetch(self, commit: str, path: str, sha256: str, to: Path) -> None:
        """Download the file to `to`, going on where an earlier try was cut, and check its sha256."""
        partial = to.parent / ".partial"
        with self._explained(path):
            _patiently(
                huggingface_hub.hf_hub_download,
                self.repo,
                path,
                repo_type="dataset",
                revision=commit,
                local_dir=partial,
                endpoint=self.api.endpoint,
            )
        found = files.sha256(partial / path)
        if found != sha256:
            (partial / path).unlink()
            raise Failure(f"{self.repo}/{path}: sha256 is {found}, the hub lists {sha256}; run again")
        (partial / path).replace(to)

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Turn the hub client's errors into the one line that says what to do."""
        where = f"{self.repo} ({what}) at {self.api.endpoint}"
        try:
            yield
        except errors.GatedRepoError as error:
            line = f"{where} is gated: accept its terms on its page, then set HF_TOKEN"
            raise Failure(line) from error
        except errors.RevisionNotFoundError as error:
            raise Failure(f"{where}: no such revision; check the source's revision") from error
        except errors.RepositoryNotFoundError as error:
            line = f"{where}: no such dataset, or a private one; check the repo's name, or set HF_TOKEN"
            raise Failure(line) from error
        except errors.EntryNotFoundError as error:
            raise Failure(f"{where}: no such file or folder in this revision") from error
        except errors.LocalEntryNotFoundError as error:
            raise Failure(f"{where} cannot be reached: {error.__cause__ or error}") from error
        except errors.HfHubHTTPError as error:
            status = getattr(error.response, "status_code", None)
            hint = "; set HF_TOKEN to a token that may read it" if status in (401, 403) else ""
            raise Failure(f"{where}: {str(error).splitlines()[0]}{hint}") from error
        except errors.HTTPError as error:
            line = f"{where} cannot be reached ({error}); check the network, HF_ENDPOINT, or set hub.mirror"
            raise Failure(line) from error


def dataset(repo: str, mirror: str | None, endpoint: str | None) -> Mirror | Remote:
    """A dataset repository, from the mirror where there is one."""
    return Mirror(Path(mirror), repo) if mirror else Remote(endpoint, repo)


def _transient(error: BaseException) -> bool:
    """What may pass by itself: the connection, too many requests, the server's own errors."""
    if isinstance(error, errors.HfHubHTTPError):
        status = getattr(error.response, "status_code", None)
        return status in (408, 429) or (status or 500) >= 500
    return isinstance(error, errors.HTTPError | ConnectionError | TimeoutError)


def _patiently(call, *args, **kwargs):
    """Call, and again with growing pauses while the error is one that may pass."""
    for attempt in Retrying(
        retry=retry_if_exception(_transient),
        wait=wait_random_exponential(multiplier=1, max=20),
        stop=stop_after_attempt(6),
        reraise=True,
    ):
        with attempt:
            return call(*args, **kwargs)
