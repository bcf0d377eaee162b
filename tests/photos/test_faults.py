"""Faults that photographers meet: truncated files, odd sizes, wrong names, full and read-only disks."""

import errno
import os

import numpy as np
import pytest
import skimage.data
from PIL import Image

from lookcast.checks import InputError
from lookcast.photos.read import PHOTO_SUFFIXES, Photo, PhotoError, read_photo, write_photo
from tests.photo_files import SRGB, UPRIGHT, XMP, exif, png16

LARGE = skimage.data.chelsea()  # 451 x 300: more than one block, tile and strip of every format


def photo_file(path, kind, pixels=LARGE):
    """Write a file with Pillow, in the way of cameras and editors."""
    image, options = Image.fromarray(pixels), {"exif": exif(), "icc_profile": SRGB}
    if kind == "png16":
        path.write_bytes(png16(pixels.astype(np.uint16) * 257, 2))
    elif kind in ("tif16", "heic10"):
        made = path.with_suffix(".tif" if kind == "tif16" else ".heic")
        write_photo(made, Photo(pixels.astype(np.uint16) * 257, None, exif(), SRGB, XMP))
        made.rename(path)
    elif kind == "progressive":
        image.save(path, "JPEG", progressive=True, **options)
    elif kind == "deflate":
        image.save(path, "TIFF", compression="tiff_adobe_deflate")
    else:
        image.save(path, kind, **options)
    return path


def pixels_or_message(path):
    try:
        return read_photo(path).pixels
    except PhotoError as error:
        return str(error)


KINDS = ("JPEG", "progressive", "MPO", "PNG", "png16", "TIFF", "deflate", "tif16", "WEBP", "HEIF", "heic10")


class TestTruncatedFiles:
    @pytest.mark.parametrize("kind", KINDS)
    def test_error_or_the_whole_photo(self, tmp_path, kind):
        whole = photo_file(tmp_path / "whole", kind)
        expected, data = read_photo(whole).pixels, whole.read_bytes()
        cut = tmp_path / "cut"
        lengths = [len(data) * tenth // 10 for tenth in range(10)] + [len(data) - few for few in (1, 2, 5, 13, 40, 200)]
        errors = 0
        for length in lengths:
            cut.write_bytes(data[:length])
            outcome = pixels_or_message(cut)
            if isinstance(outcome, str):
                errors += 1
                assert outcome.startswith(f"{cut}: ")
                assert "\n" not in outcome
            else:
                assert np.array_equal(outcome, expected), length
        assert errors >= 9  # of ten, all but perhaps the last

    @pytest.mark.parametrize("kind", KINDS)
    def test_noise_in_the_middle_is_no_crash(self, tmp_path, kind):
        data = bytearray(photo_file(tmp_path / "whole", kind).read_bytes())
        random = np.random.default_rng(0)
        for _ in range(8):
            broken = bytearray(data)
            for place in random.integers(0, len(data), 20):
                broken[place] = random.integers(256)
            (tmp_path / "broken").write_bytes(broken)
            outcome = pixels_or_message(tmp_path / "broken")
            assert "\n" not in outcome if isinstance(outcome, str) else outcome.ndim == 3


class TestOddSizes:
    @pytest.mark.parametrize("size", [(1, 1), (1, 20000), (20000, 1)], ids=str)
    @pytest.mark.parametrize("suffix", PHOTO_SUFFIXES)
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_there_and_back(self, tmp_path, suffix, size, dtype):
        pixels = np.full((*size, 3), 40 if dtype == np.uint8 else 10280, dtype)
        path = tmp_path / f"photo{suffix}"
        if suffix in (".webp", ".heic", ".heif") and max(size) > 16383:
            with pytest.raises(PhotoError, match=f"can't hold this photo of {size[1]}x{size[0]} pixels"):
                write_photo(path, Photo(pixels))
            return
        write_photo(path, Photo(pixels))
        read = read_photo(path).pixels
        assert read.shape == (*size, 3)
        assert np.abs(read.astype(float) / np.iinfo(read.dtype).max - 40 / 255).max() < 0.02


class TestNames:
    @pytest.mark.parametrize(
        "name",
        [
            "two words",
            "日本 ëß",
            "line\nbreak",
            "a[1]",
            "b[access=random]",
            "-o",
            "%d",
            "'\"",
            os.fsdecode(b"\xff\xfe"),
        ],
    )
    @pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ""])
    def test_any(self, tmp_path, name, suffix):
        deep = UPRIGHT.astype(np.uint16) * 257
        path = tmp_path / f"{name}{suffix}"
        write_photo(tmp_path / f"photo{suffix or '.png'}", Photo(deep))
        (tmp_path / f"photo{suffix or '.png'}").rename(path)
        assert read_photo(path).pixels.shape == (64, 96, 3)
        if suffix:
            write_photo(path, read_photo(path))
            assert [file.name for file in tmp_path.iterdir()] == [path.name]

    @pytest.mark.parametrize("kind", KINDS)
    def test_content_decides(self, tmp_path, kind):
        expected = read_photo(photo_file(tmp_path / "photo", kind, UPRIGHT)).pixels
        for suffix in (*PHOTO_SUFFIXES, ".txt"):
            path = (tmp_path / "photo").rename(tmp_path / f"photo{suffix}")
            assert np.array_equal(read_photo(path).pixels, expected)
            path.rename(tmp_path / "photo")

    @pytest.mark.parametrize("suffix", PHOTO_SUFFIXES)
    def test_an_empty_file(self, tmp_path, suffix):
        (tmp_path / f"photo{suffix}").touch()
        with pytest.raises(PhotoError, match=r"photo\.\w+: not a photo"):
            read_photo(tmp_path / f"photo{suffix}")


@pytest.mark.parametrize("suffix", PHOTO_SUFFIXES)
@pytest.mark.parametrize("old", [None, b"what was there"], ids=["new", "over another"])
class TestDisks:
    def check_untouched(self, path, old):
        files = list(path.parent.iterdir())
        assert files == ([] if old is None else [path])
        assert old is None or path.read_bytes() == old

    @pytest.fixture
    def path(self, tmp_path, suffix, old):
        path = tmp_path / f"photo{suffix}"
        if old is not None:
            path.write_bytes(old)
        return path

    def test_full(self, path, old):
        resource = pytest.importorskip("resource")
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # a file that grows no further
        try:
            with pytest.raises(InputError) as error:
                write_photo(path, Photo(UPRIGHT))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert str(error.value) == f"{path}: can't be written ({os.strerror(errno.EFBIG)})"
        self.check_untouched(path, old)

    def test_read_only(self, path, old, monkeypatch):
        def refuse(*args, **kwargs):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        monkeypatch.setattr("tempfile.mkstemp", refuse)
        with pytest.raises(InputError) as error:
            write_photo(path, Photo(UPRIGHT))
        assert str(error.value) == f"{path}: can't be written ({os.strerror(errno.EROFS)})"
        self.check_untouched(path, old)


def test_every_format_is_refused_by_its_header_when_too_large(tmp_path):
    for kind in KINDS:
        path = photo_file(tmp_path / kind, kind)
        with pytest.raises(
            PhotoError, match=r"too large, 451x300 = 135300 pixels, more than the limit of 1000; --max-pixels"
        ):
            read_photo(path, max_pixels=1000)
