import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lookcast.atomic import atomic_write, remove_stale
from lookcast.checks import InputError


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


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
            assert path.read_bytes() == b"old"  # no reader ever sees half of the new file
        assert path.read_bytes() == b"new"

    def test_without_replace_a_file_that_appears_meanwhile_is_kept(self, tmp_path):
        path = tmp_path / "photo.png"
        with atomic_write(path, replace=False) as temporary:
            temporary.write_bytes(b"first")
        assert (path.read_bytes(), _names(tmp_path)) == (b"first", ["photo.png"])
        path.unlink()

        def write_late():
            with atomic_write(path, replace=False) as temporary:
                temporary.write_bytes(b"late")
                path.write_bytes(b"other")

        with pytest.raises(InputError, match=r"photo\.png: can't be written \(File exists\)$"):
            write_late()
        assert (path.read_bytes(), _names(tmp_path)) == (b"other", ["photo.png"])

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

    @pytest.mark.skipif(getattr(os, "geteuid", int)() == 0, reason="root and Windows ignore the mode of a folder")
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

    @pytest.mark.parametrize("name", ["x" * 256, "é" * 128, "x" * 252 + ".png"])
    def test_rejects_a_name_that_is_too_long(self, tmp_path, name):
        with (
            pytest.raises(InputError, match=r"can't be written \(File name too long\)$"),
            atomic_write(tmp_path / name),
        ):
            pytest.fail("the block must not run")
        assert _names(tmp_path) == []

    @pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "x" * 251 + ".png", "a." + "x" * 253])
    def test_writes_the_longest_names(self, tmp_path, name):
        with atomic_write(tmp_path / name) as temporary:
            temporary.write_bytes(b"whole")
        assert _names(tmp_path) == [name]

    @pytest.mark.parametrize("below", ["photo.png", "a/b/photo.png"])
    def test_names_the_file_in_place_of_a_folder(self, tmp_path, below):
        file = tmp_path / "out.jpg"
        file.write_bytes(b"a file")
        with pytest.raises(InputError) as error, atomic_write(file / below):
            pytest.fail("the block must not run")
        assert str(error.value) == f"{file / below}: can't be written ({file} is not a folder)"

    def test_rejects_a_null_byte(self, tmp_path):
        with (
            pytest.raises(InputError, match=r"can't be written \(embedded null byte\)$"),
            atomic_write(f"{tmp_path}/\0"),
        ):
            pytest.fail("the block must not run")

    def test_threads_leave_the_umask(self, tmp_path):
        def write(number):
            with atomic_write(tmp_path / f"{number}.png") as temporary:
                temporary.write_bytes(b"whole")

        before = os.umask(0o027)
        try:
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(write, range(200)))
            assert os.umask(0o027) == 0o027
        finally:
            os.umask(before)
        assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o640}


CODE = """
import sys, time
from lookcast.atomic import atomic_write, remove_stale
with atomic_write(sys.argv[1]) as temporary:
    temporary.write_bytes(b"in part")
    print(temporary, flush=True)
    time.sleep(60)
"""


class TestRemoveStale:
    @pytest.fixture
    def begin(self):
        """Start a process that writes a file and does not finish."""
        running = []

        def start(path):
            process = subprocess.Popen([sys.executable, "-c", CODE, path], stdout=subprocess.PIPE, text=True)
            running.append(process)
            return process, Path(process.stdout.readline().rstrip("\n"))

        yield start
        for process in running:
            process.kill()
            process.wait()

    def test_removes_those_of_killed_processes_only(self, tmp_path, begin):
        killed, stale = begin(tmp_path / "a.png")
        _, alive = begin(tmp_path / "b.png")
        killed.kill()
        killed.wait()
        others = [".a.png", ".a.lookcast-00000000-1-abcdefgh.png", "a.lookcast-backup.png", stale.name[1:]]
        for name in others:  # files of users, and one of another machine
            (tmp_path / name).write_bytes(b"keep")
        (tmp_path / "below").mkdir()
        (tmp_path / "below" / stale.name).write_bytes(b"keep")
        assert remove_stale(tmp_path) == [stale]
        assert _names(tmp_path) == sorted([*others, alive.name, "below"])
        assert _names(tmp_path / "below") == [stale.name]
        assert remove_stale(tmp_path) == []

    def test_a_zombie_is_dead(self, tmp_path, begin):
        killed, stale = begin(tmp_path / "a.png")
        killed.kill()
        os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays in the table of processes
        os.kill(killed.pid, 0)
        assert remove_stale(tmp_path) == [stale]

    def test_a_process_with_the_id_of_this_one(self, tmp_path):
        """A restarted container gives its processes the ids of the processes that it replaces."""
        with atomic_write(tmp_path / "a.png") as alive:
            alive.write_bytes(b"in part")
            before = alive.name.removesuffix(".png")
            stale = tmp_path / f"{before[:-16]}01234567{before[-8:]}.png"
            stale.write_bytes(b"in part")
            assert remove_stale(tmp_path) == [stale]
            assert alive.exists()

    def test_a_process_id_that_no_system_gives(self, tmp_path, begin):
        killed, stale = begin(tmp_path / "a.png")
        impossible = stale.with_name(stale.name.replace(f"-{killed.pid}-", "-9999999999-"))
        impossible.write_bytes(b"in part")
        assert remove_stale(tmp_path) == [impossible]

    def test_the_first_write_into_a_folder_removes_them(self, tmp_path, begin):
        killed, stale = begin(tmp_path / "a.png")
        killed.kill()
        killed.wait()
        assert stale.exists()
        with atomic_write(tmp_path / "c.png") as temporary:
            assert temporary.suffix == ".png"
            temporary.write_bytes(b"whole")
        assert _names(tmp_path) == ["c.png"]

    def test_a_folder_that_is_not_there_has_none(self, tmp_path):
        assert remove_stale(tmp_path / "nowhere") == []
