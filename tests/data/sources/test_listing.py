import logging
import os
import pickle
import shutil
import time
import tracemalloc
from pathlib import Path

import pytest

from lookcast.data.sources import listing
from lookcast.data.sources.listing import PathList, default_cache, list_folder

LONG_AGO = time.time_ns() - 3600 * 10**9


def save_names(root, *names):
    """Save empty files: listing opens none."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def age(root):
    """Set the time of change of all folders to an hour ago."""
    for folder, _, _ in os.walk(root):
        os.utime(folder, ns=(LONG_AGO, LONG_AGO))
    return root


def walked(root):
    """Return the result of a plain walk, sorted within each folder."""
    found = [path for path in root.rglob("*") if path.suffix.lower() == ".jpg" and path.is_file()]
    return sorted(found, key=lambda path: [os.fsencode(part) for part in path.relative_to(root).parts])


class TestPathList:
    NAMES = (b"a.jpg", b"b/c.jpg", b"", b"b/\xff\n.jpg")

    def test_known_value(self):
        photos = PathList.of(Path("root"), self.NAMES)
        expected = [Path("root") / os.fsdecode(name) for name in self.NAMES]
        assert list(photos) == expected
        assert [photos[number] for number in range(-4, 0)] == expected
        assert len(photos) == 4

    def test_is_a_sequence(self):
        photos = PathList.of(Path("root"), self.NAMES)
        assert Path("root/b/c.jpg") in photos
        assert photos.index(Path("root/b/c.jpg")) == 1
        assert next(reversed(photos)) == photos[3]
        for number in (4, -5):
            with pytest.raises(IndexError):
                photos[number]

    def test_empty(self):
        photos = PathList.of(Path("root"), [])
        assert (len(photos), list(photos)) == (0, [])
        with pytest.raises(IndexError):
            photos[0]

    def test_memory(self):
        # For names of 43 bytes, the list takes little more, also while it is built.
        number = 50_000
        tracemalloc.start()
        photos = PathList.of(
            Path("root"), (b"folder%03d/a_photo_of_usual_name_%07d.jpg" % (n % 7, n) for n in range(number))
        )
        held, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(photos) == number
        assert photos.names.nbytes == number * 44
        assert held < number * 60
        assert peak < number * 110

    def test_pickles(self):
        photos = PathList.of(Path("root"), self.NAMES)
        stored = pickle.dumps(photos)
        assert list(pickle.loads(stored)) == list(photos)
        many = PathList.of(Path("root"), [b"photo.jpg"] * 10_000)
        assert len(pickle.dumps(many)) < 10_000 * 20


class TestListFolder:
    @pytest.fixture(autouse=True)
    def _cache(self, tmp_path, monkeypatch):
        monkeypatch.setenv("LOOKCAST_CACHE", str(tmp_path / "cache"))

    def test_matches_reference(self, tmp_path):
        root = save_names(
            tmp_path / "photos",
            "b.jpg",
            "a.jpg",
            "B.JPG",
            "a/z.jpg",
            "a/b/c.jpg",
            "a.b/c.jpg",
            "aa.jpg",
            "ä.jpg",
            "z.txt",
        )
        assert list(list_folder(root)) == walked(root)
        assert len(walked(root)) == 8

    def test_every_suffix(self, tmp_path):
        root = save_names(tmp_path / "photos", "a.PNG", "b.webp", "c.tif", "d.jpeg", "e.gif", "f.txt", "jpg")
        (root / "folder.png").mkdir()
        assert [path.name for path in list_folder(root)] == ["a.PNG", "b.webp", "c.tif", "d.jpeg"]

    def test_hidden_files_are_left_out(self, tmp_path):
        root = save_names(tmp_path / "photos", "a.jpg", "._a.jpg", ".trash/b.jpg", "c/.d.jpg", "c/e.jpg")
        assert list(list_folder(root)) == [root / "a.jpg", root / "c/e.jpg"]

    def test_the_root_may_be_hidden(self, tmp_path):
        root = save_names(tmp_path / ".photos", "a.jpg")
        assert list(list_folder(root)) == [root / "a.jpg"]

    def test_names_of_any_bytes(self, tmp_path):
        names = [b"\xff\xfe.jpg", b"line\nbreak.jpg", b" space .jpg", b"f\xe4lder/\xe9.jpg"]
        root = save_names(tmp_path / "photos", *map(os.fsdecode, names))
        photos = list_folder(root)
        assert list(photos) == [root / os.fsdecode(name) for name in sorted(names)]
        assert all(path.is_file() for path in photos)

    def test_links_are_followed(self, tmp_path):
        root, other = save_names(tmp_path / "photos", "a.jpg"), save_names(tmp_path / "other", "b.jpg")
        (root / "linked").symlink_to(other)
        (root / "c.jpg").symlink_to(other / "b.jpg")
        assert list(list_folder(root)) == [root / "a.jpg", root / "c.jpg", root / "linked/b.jpg"]

    def test_links_to_a_parent_do_not_loop(self, tmp_path):
        root = save_names(tmp_path / "photos", "a.jpg", "b/c.jpg")
        (root / "b" / "up").symlink_to(root)
        (root / "b" / "same").symlink_to(root / "b")
        assert list(list_folder(root)) == [root / "a.jpg", root / "b/c.jpg"]

    def test_broken_links_are_no_photos(self, tmp_path):
        root = save_names(tmp_path / "photos", "a.jpg")
        (root / "gone.jpg").symlink_to(root / "not_there.jpg")
        (root / "circle.jpg").symlink_to(root / "circle.jpg")
        (root / "in_a_file.jpg").symlink_to(root / "a.jpg" / "b.jpg")
        assert list(list_folder(root)) == [root / "a.jpg"]


class TestCache:
    """Long lists are cached and used again."""

    @pytest.fixture
    def cache(self, tmp_path):
        return tmp_path / "cache"

    @pytest.fixture
    def root(self, tmp_path, monkeypatch):
        monkeypatch.setattr(listing, "MIN_CACHED", 4)
        return age(save_names(tmp_path / "photos", "a.jpg", "b/c.jpg", "b/d/e.jpg", "f/\udcff\n.jpg"))

    @pytest.fixture
    def walks(self, monkeypatch):
        """Record the roots of folders that are listed again."""
        seen, walk = [], listing._walk
        monkeypatch.setattr(listing, "_walk", lambda root, *rest: seen.append(root) or walk(root, *rest))
        return seen

    def test_is_used_until_a_folder_changes(self, root, cache, walks):
        first = list_folder(root, cache)
        again = list_folder(root, cache)
        assert list(again) == list(first) == walked(root)
        assert walks == [root] * 4  # each of the four folders once

    @pytest.mark.parametrize("folder", [".", "b", "b/d", "f"])
    def test_notices_a_new_and_a_deleted_photo(self, root, cache, folder):
        list_folder(root, cache)
        save_names(root / folder, "new.jpg")
        assert list(list_folder(root, cache)) == walked(root)
        age(root)
        os.utime(root / folder, ns=(LONG_AGO + 1, LONG_AGO + 1))
        assert len(list_folder(root, cache)) == 5
        (root / folder / "new.jpg").unlink()
        assert list(list_folder(root, cache)) == walked(root)
        assert len(walked(root)) == 4

    def test_notices_a_deleted_folder(self, root, cache):
        list_folder(root, cache)
        shutil.rmtree(root / "b" / "d")
        os.utime(root / "b", ns=(LONG_AGO, LONG_AGO))  # as if its parent had not changed
        assert list(list_folder(root, cache)) == walked(root)

    def test_short_lists_are_not_cached(self, root, cache, monkeypatch):
        monkeypatch.setattr(listing, "MIN_CACHED", 5)
        assert len(list_folder(root, cache)) == 4
        assert not cache.exists()

    @pytest.mark.parametrize("folder", [".", "b/d"])
    def test_lists_of_recently_changed_folders_are_not_cached(self, root, cache, folder):
        # Another change within the resolution of the time stamp would not be noticed.
        os.utime(root / folder)
        list_folder(root, cache)
        assert not cache.exists()

    def test_another_version(self, root, cache, walks, monkeypatch):
        list_folder(root, cache)
        monkeypatch.setattr(listing, "_VERSION", listing._VERSION + 1)
        walks.clear()
        assert list(list_folder(root, cache)) == walked(root)
        assert walks

    def test_folders_have_separate_lists(self, root, cache, tmp_path):
        other = age(save_names(tmp_path / "other", *(f"{n}.jpg" for n in range(6))))
        for _ in range(2):
            assert len(list_folder(root, cache)) == 4
            assert len(list_folder(other, cache)) == 6
        assert len(list(cache.iterdir())) == 2

    def test_another_spelling_of_the_folder(self, root, cache, walks, monkeypatch):
        list_folder(root, cache)
        walks.clear()
        monkeypatch.chdir(root.parent)
        assert list(list_folder(Path("photos"), cache)) == [path.relative_to(root.parent) for path in walked(root)]
        assert not walks

    def test_pickles(self, root, cache):
        list_folder(root, cache)
        assert list(pickle.loads(pickle.dumps(list_folder(root, cache)))) == walked(root)

    def test_a_cache_that_cannot_be_written(self, root, cache, caplog):
        cache.write_text("a file where the folder should be")
        with caplog.at_level(logging.WARNING):
            assert list(list_folder(root, cache)) == walked(root)
        assert caplog.messages[0].startswith(f"the list of 4 photos is not cached for the next run: {cache}")

    def test_writes_one_small_file(self, root, cache):
        list_folder(root, cache)
        (path,) = cache.iterdir()
        assert path.suffix == ".photos"
        assert path.stat().st_size < 400


class TestDefaultCache:
    def test_known_values(self, monkeypatch):
        monkeypatch.setenv("HOME", "/home/anna")
        monkeypatch.delenv("LOOKCAST_CACHE", raising=False)
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        assert default_cache() == Path("/home/anna/.cache/lookcast")
        monkeypatch.setenv("XDG_CACHE_HOME", "/scratch")
        assert default_cache() == Path("/scratch/lookcast")
        monkeypatch.setenv("LOOKCAST_CACHE", "/lists")
        assert default_cache() == Path("/lists")
