"""The Kai face comes whole out of the package that was chosen, or not at all."""

import hashlib
import http.server
import io
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import fetch_font
from prep.runtime.program import UserError


def build_package() -> bytes:
    """A Debian package of the two fonts and a text: an ar archive, whose members begin at even places."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as files:
        for name in (*fetch_font.FILES, "copyright"):
            about = tarfile.TarInfo(f"./usr/share/{name}")
            about.size = len(name)
            files.addfile(about, io.BytesIO(name.encode()))
    package = b"!<arch>\n"
    for name, content in {"debian-binary": b"2.0\n", "odd": b"x", "data.tar.xz": buffer.getvalue()}.items():
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n"
        package += header.encode() + content + b"\n" * (len(content) % 2)
    return package


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[str]:
    """A mirror of Debian on loopback that has the package."""
    file = tmp_path / "mirror" / fetch_font.PACKAGE
    file.parent.mkdir(parents=True)
    file.write_bytes(build_package())

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(tmp_path / "mirror"))

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_the_fonts_alone_are_unpacked(mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_font, "SHA256", hashlib.sha256(build_package()).hexdigest())
    monkeypatch.setattr("sys.argv", ["fetch_font", "--folder", str(tmp_path / "out"), "--mirror", mirror])
    fetch_font.main()
    found = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert found == {name: name for name in fetch_font.FILES}


def test_another_package_is_refused(mirror: str) -> None:
    with pytest.raises(UserError, match="not the package that was chosen"):
        fetch_font.fetch(mirror)


def test_a_mirror_that_does_not_answer_is_one_line(mirror: str) -> None:
    with pytest.raises(UserError, match="--mirror names another"):
        fetch_font.fetch(f"{mirror}/none")
