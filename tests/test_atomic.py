import os
import stat

import pytest

from lookcast.atomic import atomic_write
from lookcast.checks import InputError


def _names(folder):
    return [path.name for path in folder.iterdir()]


class TestAtomicWrite:
    def test_known_value(self, tmp_path):
        path = tmp_path / "a" / "b" / "photo.png"  # folders are made
        with atomic_write(path) as temporary:
            temporary.write_bytes(b"whole")
            assert not path.exists()
            assert temporary.parent == path.parent  # one file system, so that the rename is atomic
            assert temporary.suffix == ".png"  # image libraries choose the format by it
        assert path.read_bytes() == b"whole"
        assert _names(path.parent) == ["photo.png"]

    def test_accepts_names_as_long_as_a_file_system_does(self, tmp_path):
        path = tmp_path / f"{'long' * 62}.png"
        with atomic_write(str(path)) as temporary:
            temporary.write_bytes(b"whole")
        assert path.read_bytes() == b"whole"

    def test_replaces_a_file(self, tmp_path):
        path = tmp_path / "photo.png"
        path.write_bytes(b"old")
        with atomic_write(path) as temporary:
            temporary.write_bytes(b"new")
            assert path.read_bytes() == b"old"  # nobody ever sees half of the new one
        assert path.read_bytes() == b"new"

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError(28, "No space left on device")])
    def test_failure_leaves_nothing(self, tmp_path, error):
        def write(path):
            with atomic_write(path) as temporary:
                temporary.write_bytes(b"ha")
                raise error

        with pytest.raises(InputError if isinstance(error, OSError) else error):
            write(tmp_path / "photo.png")
        assert _names(tmp_path) == []
        (tmp_path / "photo.png").write_bytes(b"old")
        with pytest.raises(InputError if isinstance(error, OSError) else error):
            write(tmp_path / "photo.png")
        assert _names(tmp_path) == ["photo.png"]
        assert (tmp_path / "photo.png").read_bytes() == b"old"

    def test_full_disk_is_one_clear_line(self, tmp_path):
        path = tmp_path / "photo.png"
        with pytest.raises(InputError) as error, atomic_write(path):
            raise OSError(28, "No space left on device")
        assert str(error.value) == f"{path}: can't be written (No space left on device)"

    def test_permissions_follow_the_umask(self, tmp_path):
        before = os.umask(0o027)
        try:
            with atomic_write(tmp_path / "photo.png") as temporary:
                temporary.write_bytes(b"whole")
            assert os.umask(0o027) == 0o027  # left as it was
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "photo.png").stat().st_mode) == 0o640

    def test_rejects_a_file_in_place_of_the_folder(self, tmp_path):
        (tmp_path / "out").write_bytes(b"a file")
        path = tmp_path / "out" / "photo.png"
        with pytest.raises(InputError, match=r"photo\.png: can't be written \("), atomic_write(path):
            pytest.fail("the block must not run")
        assert _names(tmp_path) == ["out"]

    def test_rejects_a_folder_in_place_of_the_file(self, tmp_path):
        path = tmp_path / "photo.png"
        path.mkdir()
        with pytest.raises(InputError, match=r"photo\.png: can't be written \("), atomic_write(path) as temporary:
            temporary.write_bytes(b"whole")
        assert _names(tmp_path) == ["photo.png"]
        assert _names(path) == []

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_rejects_a_folder_without_permission(self, tmp_path):
        tmp_path.chmod(0o500)
        try:
            with pytest.raises(InputError, match="Permission denied"), atomic_write(tmp_path / "photo.png"):
                pytest.fail("the block must not run")
        finally:
            tmp_path.chmod(0o700)

    def test_rejects_a_folder_on_a_read_only_disk(self, tmp_path, monkeypatch):
        def refuse(*args, **kwargs):
            raise OSError(30, "Read-only file system")

        monkeypatch.setattr("tempfile.mkstemp", refuse)
        path = tmp_path / "photo.png"
        with pytest.raises(InputError) as error, atomic_write(path):
            pytest.fail("the block must not run")
        assert str(error.value) == f"{path}: can't be written (Read-only file system)"
