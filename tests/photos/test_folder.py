import os
import shutil

import pytest

from lookcast.checks import InputError
from lookcast.photos.folder import FolderEntry, list_photos, scan_folder


@pytest.fixture
def folder(tmp_path):
    for name in ("b.JPG", "a.png", "é.tiff", "notes.txt", ".hidden.jpg", "c.jpg.part"):
        (tmp_path / name).touch()
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "d.jpg").touch()
    (tmp_path / ".trash").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "not_there.jpg")
    (tmp_path / "circle.jpg").symlink_to(tmp_path / "circle.jpg")
    (tmp_path / "in_a_file.jpg").symlink_to(tmp_path / "a.png" / "b.jpg")
    (tmp_path / "linked.webp").symlink_to(tmp_path / "a.png")
    return tmp_path


class TestScanFolder:
    @pytest.mark.parametrize("spelled", [str, os.fsencode, lambda path: path])
    def test_known_value(self, folder, spelled):
        assert scan_folder(spelled(folder)) == [
            FolderEntry(b"a.png", False),
            FolderEntry(b"b.JPG", False),
            FolderEntry(b"below", True),
            FolderEntry(b"linked.webp", False),
            FolderEntry("é.tiff".encode(), False),
        ]

    def test_names_of_any_bytes(self, tmp_path):
        (tmp_path / os.fsdecode(b"\xff\n.jpg")).touch()
        assert scan_folder(tmp_path) == [FolderEntry(b"\xff\n.jpg", False)]


class TestListPhotos:
    def test_known_value(self, folder):
        assert list_photos(folder) == [folder / name for name in ("a.png", "b.JPG", "linked.webp", "é.tiff")]
        assert list_photos(str(folder / "below")) == [folder / "below" / "d.jpg"]

    def test_rejects_what_is_no_folder(self, folder):
        with pytest.raises(InputError, match=r"a\.png: can't be read \(Not a directory\)$"):
            list_photos(folder / "a.png")
        shutil.rmtree(folder / "below")
        with pytest.raises(InputError, match=r"below: can't be read \(No such file or directory\)$"):
            list_photos(folder / "below")
