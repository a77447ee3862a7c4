"""Members of archives: read in place, byte for byte, within a limit; broken and hostile ones are told."""

import io
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from containers import write_tar, write_zip
from prep.containers import archives
from prep.records.reason import Reason
from prep.storage.parquet import BadShard

FILES = {"a/1.jpg": b"one", "a/字.png": bytes(range(256)) * 9, "empty": b""}


def made(kind: str, folder: Path) -> Path:
    if kind == "zip":
        return write_zip(folder / "x.zip", FILES)
    if kind == "tar":
        return write_tar(folder / "x.tar", FILES.items())
    for name, data in FILES.items():
        (folder / "x" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "x" / name).write_bytes(data)
    return folder / "x"


@pytest.mark.parametrize("kind", ["zip", "tar", "folder"])
def test_members_come_out_as_they_went_in(kind: str, tmp_path: Path) -> None:
    archive = archives.open_archive(made(kind, tmp_path))
    assert {name: archive.read(place, 10_000) for name, place in archive.list_members()} == FILES
    assert len(archive.sha256) == 64


@pytest.mark.parametrize("kind", ["zip", "tar", "folder"])
def test_a_member_above_the_limit_is_not_read(kind: str, tmp_path: Path) -> None:
    archive = archives.open_archive(made(kind, tmp_path))
    places = dict(archive.list_members())
    assert archive.read(places["a/字.png"], 2303) == (Reason.IMAGE_TOO_LARGE, "2304 bytes, limit 2303")
    assert archive.read(places["a/1.jpg"], 3) == b"one"


def read_only(path: Path, limit: int = 10_000) -> object:
    archive = archives.open_archive(path)
    [(_, place)] = archive.list_members()
    return archive.read(place, limit)


def test_a_zip_bomb_that_lies_about_its_size_gives_no_more_than_it_declares(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", {"a": bytes(50_000_000)})
    data = path.read_bytes()
    lie = data.replace(struct.pack("<L", 50_000_000), struct.pack("<L", 1000))
    path.write_bytes(lie)
    reason, detail = read_only(path)
    assert reason == Reason.IMAGE_UNREADABLE
    assert "CRC" in detail


def test_a_broken_member_of_a_zip_is_told(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", {"a": b"picture" * 9}, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"picture", b"Picture", 1))
    assert read_only(path)[0] == Reason.IMAGE_UNREADABLE
    path = write_zip(tmp_path / "y.zip", {"a": b"picture"}, zipfile.ZIP_LZMA)
    assert read_only(path) == (Reason.IMAGE_UNREADABLE, "method 14 of zip is not read")


def test_an_encrypted_member_of_a_zip_is_told(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", {"a": b"picture"}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    path.write_bytes(data)
    assert read_only(path) == (Reason.IMAGE_UNREADABLE, "encrypted in its zip")


@pytest.mark.parametrize("cut", [100, 512, 700, 1500])
def test_a_tar_that_is_cut_is_a_bad_file(cut: int, tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", {"a": b"1" * 600, "b": b"2" * 600}.items())
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(BadShard):
        archives.open_archive(path)


def test_a_broken_header_in_the_middle_does_not_end_a_tar_silently(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", {"a": b"1" * 600, "b": b"2" * 600}.items())
    data = bytearray(path.read_bytes())
    data[512 + 1024] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(BadShard, match="is cut or broken at byte 1536"):
        archives.open_archive(path)


def test_a_tar_without_its_end_mark_is_whole(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", {"a": b"1" * 600}.items())
    path.write_bytes(path.read_bytes()[: 512 + 1024])
    assert read_only(path) == b"1" * 600


def test_a_huge_header_of_a_tar_is_not_read(tmp_path: Path) -> None:
    about = tarfile.TarInfo("a" * 2_000_000)
    (tmp_path / "x.tar").write_bytes(about.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(BadShard, match="has a header of"):
        archives.open_archive(tmp_path / "x.tar")


def test_links_and_devices_of_a_tar_are_no_members(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as file:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE):
            about = tarfile.TarInfo(f"a{kind.decode()}")
            about.type, about.linkname = kind, "/etc/passwd"
            file.addfile(about)
        about = tarfile.TarInfo("b")
        about.size = 1
        file.addfile(about, io.BytesIO(b"1"))
    archive = archives.open_archive(tmp_path / "x.tar")
    assert [name for name, _ in archive.list_members()] == ["b"]


@pytest.mark.parametrize(
    ("name", "said"),
    [("x.tar", "is no tar, or a compressed one"), ("x.zip", "cannot be opened"), ("x.rar", "none of .zip")],
)
def test_what_cannot_be_read_in_place_is_one_line(name: str, said: str, tmp_path: Path) -> None:
    path = write_tar(tmp_path / name, {"a": b"1"}.items(), "w:gz")
    with pytest.raises(BadShard, match=said):
        archives.open_archive(path)
