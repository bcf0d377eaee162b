import signal
import subprocess
import sys
import time
from pathlib import Path

from lookcast.web.temporary import delete_abandoned, temporary_folder

HOLD = """
import sys, time
from lookcast.web.temporary import temporary_folder
with temporary_folder(sys.argv[1]) as folder:
    (folder / "visit").mkdir()
    (folder / "visit" / "photo").write_bytes(b"secret")
    print(folder, flush=True)
    time.sleep(100)
"""


def hold(parent):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(parent)], stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


class TestTemporaryFolder:
    def test_is_deleted(self, tmp_path):
        with temporary_folder(tmp_path) as folder:
            (folder / "a").write_text("b")
            assert folder.parent == tmp_path
            assert folder.stat().st_mode & 0o077 == 0
        assert list(tmp_path.iterdir()) == []

    def test_the_folder_of_a_killed_process_is_deleted_by_the_next(self, tmp_path):
        process, folder = hold(tmp_path)
        try:
            with temporary_folder(tmp_path) as own:  # the process lives
                assert (Path(folder) / "visit" / "photo").exists()
                process.send_signal(signal.SIGKILL)
                process.wait()
                with temporary_folder(tmp_path) as second:
                    assert sorted(path for path in tmp_path.iterdir() if path.is_dir()) == sorted([own, second])
        finally:
            process.kill()
            process.wait()
        assert list(tmp_path.iterdir()) == []

    def test_keeps_what_is_not_its_own(self, tmp_path):
        (tmp_path / "lookcast-web-notes").mkdir()
        (tmp_path / "other.lock").touch()
        target = tmp_path / "target"
        target.mkdir()
        (target / "file").touch()
        (tmp_path / "lookcast-web-0").symlink_to(target)
        (tmp_path / "lookcast-web-0.lock").touch()
        assert delete_abandoned(tmp_path) == []
        assert (target / "file").exists()
        assert (tmp_path / "lookcast-web-notes").is_dir()

    def test_many_at_once(self, tmp_path):
        processes = [hold(tmp_path) for _ in range(3)]
        try:
            for _, folder in processes:
                assert (Path(folder) / "visit" / "photo").exists()
        finally:
            for process, _ in processes:
                process.kill()
                process.wait()
        start = time.monotonic()
        assert len(delete_abandoned(tmp_path)) == 3
        assert time.monotonic() - start < 5
