import os

import pytest

from lookcast.checks import InputError
from lookcast.paths import check_file, check_path, shipped, unused_path


class TestShipped:
    def test_known_value(self):
        assert (shipped("conf") / "train.yaml").is_file()
        assert shipped("checkpoints").is_dir()

    def test_rejects_a_missing_folder(self):
        with pytest.raises(FileNotFoundError, match="'recipes' is missing from this installation"):
            shipped("recipes")


class TestCheckFile:
    def test_gives_back_the_path(self, tmp_path):
        file = tmp_path / "photo.jpg"
        file.write_bytes(b"")
        (tmp_path / "link.jpg").symlink_to(file)
        assert check_file(str(file), "photo") == file
        assert check_file(tmp_path / "link.jpg", "photo") == tmp_path / "link.jpg"

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("missing.jpg", "no such photo"),
            ("folder", "is a folder, expected a photo"),
            ("pipe", "is a pipe or a device, expected a photo in a regular file"),
            ("x" * 300, "can't be read (File name too long)"),
            ("a\0b", "can't be read (embedded null byte)"),
        ],
    )
    def test_rejects_what_is_no_regular_file(self, tmp_path, name, expected):
        (tmp_path / "folder").mkdir()
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(InputError) as error:
            check_file(tmp_path / name, "photo")
        assert str(error.value) == f"{tmp_path / name}: {expected}"

    def test_rejects_a_device(self):
        with pytest.raises(InputError, match=r"^/dev/zero: is a pipe or a device"):
            check_file("/dev/zero", "checkpoint")


class TestCheckPath:
    def test_returns_the_path(self, tmp_path):
        (tmp_path / "file").touch()
        for name in (".", "file", "missing", "file/below"):
            assert check_path(str(tmp_path / name), "photos") == tmp_path / name

    def test_rejects_an_empty_text(self):
        with pytest.raises(InputError, match=r"^photos: expected a path, got an empty text$"):
            check_path("", "photos")

    @pytest.mark.parametrize(("name", "reason"), [("x" * 300, "File name too long"), ("a\0b", "embedded null byte")])
    def test_rejects_names_that_the_system_refuses(self, tmp_path, name, reason):
        with pytest.raises(InputError) as error:
            check_path(tmp_path / name, "photos")
        assert str(error.value) == f"photos: {tmp_path / name}: can't be read ({reason})"


class TestUnusedPath:
    def test_known_value(self, tmp_path):
        path = tmp_path / "photo.tar.jpg"
        assert unused_path(path) == path
        path.touch()
        assert unused_path(path) == tmp_path / "photo.tar-2.jpg"
        (tmp_path / "photo.tar-2.jpg").mkdir()
        (tmp_path / "photo.tar-3.jpg").symlink_to(tmp_path / "missing")
        assert unused_path(path) == tmp_path / "photo.tar-4.jpg"
