"""Pictures that rows name: found in one of several files, or missing with a reason."""

import zipfile
from pathlib import Path

import pytest

from containers import write_tar, write_zip
from prep.containers import picture_files
from prep.containers.picture_files import PictureFiles
from prep.records.reason import Reason


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    (tmp_path / "loose/train").mkdir(parents=True)
    (tmp_path / "loose/train/3.jpg").write_bytes(b"three")
    return [
        write_zip(tmp_path / "a.zip", {"train/1.jpg": b"one", "val/1.jpg": b"uno", "train/both.jpg": b"1"}),
        write_tar(tmp_path / "b.tar", {"./train/2.jpg": b"two", "train/both.jpg": b"2"}.items()),
        tmp_path / "loose",
    ]


def test_a_name_is_a_path_from_the_folder(files: list[Path]) -> None:
    pictures = PictureFiles(files, "train")
    assert [pictures.read(f"{number}.jpg", 9) for number in (1, 2, 3)] == [b"one", b"two", b"three"]
    assert pictures.read("./1.jpg", 9) == b"one"
    assert PictureFiles(files).read("val/1.jpg", 9) == b"uno"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("4.jpg", "no file train/4.jpg in a.zip, b.tar, loose; there are 5, such as train/1.jpg"),
        ("both.jpg", "several files have the name train/both.jpg"),
        ("../val/1.jpg", "'../val/1.jpg' is no path within"),
        ("/etc/passwd", "'/etc/passwd' is no path within"),
        ("a/../1.jpg", "is no path within"),
        ("1.jpg\0", "is no path within"),
        ("", "'' is no path within"),
        (".", "no file train in"),
    ],
)
def test_a_picture_that_is_not_there(name: str, said: str, files: list[Path]) -> None:
    reason, detail = PictureFiles(files, "train").read(name, 9)
    assert reason == Reason.IMAGE_MISSING
    assert said in detail


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_name_that_one_archive_has_twice_is_no_files(kind: str, tmp_path: Path) -> None:
    members = [("1.jpg", b"one"), ("2.jpg", b"two"), ("./1.jpg", b"uno"), ("2.jpg", b"due"), ("3.jpg", b"3")]
    if kind == "tar":
        path = write_tar(tmp_path / "a.tar", members)
    else:
        path = tmp_path / "a.zip"
        with zipfile.ZipFile(path, "w") as file:
            for name, data in members:
                file.writestr(name, data)
    pictures = PictureFiles([path])
    assert pictures.read("3.jpg", 9) == b"3"
    for name in ("1.jpg", "2.jpg"):
        assert pictures.read(name, 9) == (Reason.IMAGE_MISSING, f"several files have the name {name}")


def test_what_is_found_before_all_is_listed_is_told(files: list[Path]) -> None:
    pictures = PictureFiles(files, "train", lazily=True)
    assert pictures.read("4.jpg", 9)[0] == Reason.IMAGE_MISSING
    assert pictures.read("1.jpg", 9) == b"one"
    assert not pictures.found_early
    pictures = PictureFiles(files, "train", lazily=True)
    assert pictures.read("both.jpg", 9) == b"1"
    assert pictures.read("4.jpg", 9)[0] == pictures.read("both.jpg", 9)[0] == Reason.IMAGE_MISSING
    assert pictures.found_early


def test_the_pictures_of_a_row_stay_within_a_limit(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = PictureFiles(files, "train")
    assert pictures.read_all(["1.jpg", "2.jpg"]) == [(b"one", b"1.jpg"), (b"two", b"2.jpg")]
    monkeypatch.setattr(picture_files, "PICTURES_BYTES", 5)
    assert pictures.read_all(["1.jpg", "2.jpg"]) == (Reason.IMAGE_TOO_LARGE, "3 bytes, limit 2")


def test_another_archive_has_another_digest(files: list[Path], tmp_path: Path) -> None:
    before = PictureFiles(files).sha256
    assert PictureFiles(files).sha256 == before
    write_zip(tmp_path / "a.zip", {"train/1.jpg": b"eno", "val/1.jpg": b"uno", "train/both.jpg": b"1"})
    assert PictureFiles(files).sha256 != before
