import io
import struct
import zlib

import numpy as np
import pytest
import skimage.data
import tifffile
import torch
from PIL import ExifTags, Image, ImageCms, JpegImagePlugin

from lookcast.checks import InputError, ShapeError
from lookcast.inference.photo_io import (
    PHOTO_SUFFIXES,
    Photo,
    PhotoError,
    read_mask,
    read_photo,
    to_pixels,
    to_tensor,
    write_photo,
)
from lookcast.ops.masks import PALETTE
from tests.looks import BLACK_ONLY_CMYK, LINEAR_GREY, save_photo

UPRIGHT = skimage.data.chelsea()[60:124, 100:196]
SRGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
SRGB = SRGB_PROFILE.tobytes()

# How the camera stored the upright photo, by EXIF orientation (TIFF 6.0: where row 0 and column 0 lie).
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


def exif(orientation=1, size=(96, 64)):
    """EXIF as a phone writes it: camera, time, size of the stored picture, place."""
    tags = Image.Exif()
    tags[ExifTags.Base.Make] = "Lookcam"
    tags[ExifTags.Base.Orientation] = orientation
    details = tags.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.DateTimeOriginal] = "2024:05:06 07:08:09"
    details[ExifTags.Base.ExifImageWidth], details[ExifTags.Base.ExifImageHeight] = size
    tags.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (52.0, 31.0, 12.0)
    return tags.tobytes()


def parsed(data):
    tags = Image.Exif()
    tags.load(data)
    return tags


def png16(values, color_type):
    """A PNG of 16 bits, which Pillow can't write in colour."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">2I5B", values.shape[1], values.shape[0], 16, color_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class TestReadPhoto:
    def test_known_value(self, tmp_path):
        photo = read_photo(save_photo(tmp_path / "photo.png"))
        assert photo.pixels.dtype == np.uint8
        assert np.array_equal(photo.pixels, UPRIGHT)
        assert (photo.alpha, photo.exif, photo.icc_profile) == (None, None, None)

    @pytest.mark.parametrize("orientation", STORED)
    @pytest.mark.parametrize("suffix", [".png", ".tif"])
    def test_orientation(self, tmp_path, orientation, suffix):
        stored = np.ascontiguousarray(STORED[orientation](UPRIGHT))
        tags = exif(orientation, (stored.shape[1], stored.shape[0]))
        Image.fromarray(stored).save(tmp_path / f"photo{suffix}", exif=tags)
        photo = read_photo(tmp_path / f"photo{suffix}")
        assert np.array_equal(photo.pixels, UPRIGHT)
        kept = parsed(photo.exif)
        assert ExifTags.Base.Orientation not in kept
        details = kept.get_ifd(ExifTags.IFD.Exif)
        assert (details[ExifTags.Base.ExifImageWidth], details[ExifTags.Base.ExifImageHeight]) == (96, 64)

    @pytest.mark.parametrize("suffix", PHOTO_SUFFIXES)
    def test_keeps_exif_and_profile(self, tmp_path, suffix):
        photo = read_photo(save_photo(tmp_path / f"photo{suffix}", exif=exif(), icc_profile=SRGB))
        kept = parsed(photo.exif)
        assert kept[ExifTags.Base.Make] == "Lookcam"
        assert kept.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] == "2024:05:06 07:08:09"
        assert kept.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] == (52.0, 31.0, 12.0)
        assert photo.icc_profile == SRGB

    @pytest.mark.parametrize(
        ("mode", "suffix", "color", "expected"),
        [
            ("1", ".png", 1, (255, 255, 255)),
            ("L", ".jpg", 100, (100, 100, 100)),
            ("LA", ".png", (100, 7), (100, 100, 100)),
            ("PA", ".tif", (30, 9), (30, 30, 30)),
            ("RGBA", ".webp", (10, 10, 10, 0), (10, 10, 10)),
            ("RGBX", ".tif", (1, 2, 3, 4), (1, 2, 3)),
            ("CMYK", ".tif", (255, 0, 0, 0), (0, 255, 255)),
            ("CMYK", ".tif", (0, 0, 0, 255), (0, 0, 0)),
            ("YCbCr", ".tif", (76, 85, 255), (254, 0, 0)),
            ("I;16", ".png", 65535, (255, 255, 255)),
            ("I;16", ".png", 32768, (128, 128, 128)),
            ("I;16", ".tif", 257, (1, 1, 1)),
            ("I;16B", ".tif", 51400, (200, 200, 200)),
            ("I", ".tif", 514, (2, 2, 2)),
            ("F", ".tif", 0.2, (51, 51, 51)),
        ],
    )
    def test_mode(self, tmp_path, mode, suffix, color, expected):
        image = Image.new(mode, (5, 3), color)
        if mode == "PA":
            image.putpalette([level for level in range(256) for _ in range(3)])
        image.save(tmp_path / f"photo{suffix}", **({"lossless": True, "exact": True} if suffix == ".webp" else {}))
        pixels = read_photo(tmp_path / f"photo{suffix}").pixels
        assert pixels.shape == (3, 5, 3)
        assert np.array_equal(pixels, np.broadcast_to(expected, (3, 5, 3)))

    def test_16_bit_grey_is_scaled(self, tmp_path):
        values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
        Image.fromarray(values).save(tmp_path / "ramp.png")
        expected = np.rint(values / 257).astype(np.uint8)
        assert np.array_equal(read_photo(tmp_path / "ramp.png").pixels[..., 1], expected)

    def test_16_bit_grey_with_white_at_zero(self, tmp_path):
        tifffile.imwrite(tmp_path / "photo.tif", np.full((3, 5), 257, np.uint16), photometric="miniswhite")
        assert np.array_equal(read_photo(tmp_path / "photo.tif").pixels, np.full((3, 5, 3), 254))

    @pytest.mark.parametrize("kind", ["png", "png with alpha", "tif", "compressed tif", "compressed planes"])
    def test_warns_of_16_bit_color(self, tmp_path, caplog, kind):
        path = tmp_path / "photo"
        values = np.random.default_rng(0).integers(0, 65536, (4, 6, 3), dtype=np.uint16)
        if kind == "png":
            path.write_bytes(png16(values, 2))
        elif kind == "png with alpha":
            path.write_bytes(png16(np.concatenate((values, values[..., :1]), 2), 6))
        elif kind == "compressed planes":
            planes = np.ascontiguousarray(values.transpose(2, 0, 1))
            tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate", compression="zlib")
        else:
            tifffile.imwrite(path, values, photometric="rgb", compression="zlib" if "compressed" in kind else None)
        assert np.array_equal(read_photo(path).pixels, values >> 8)
        assert [record.getMessage() for record in caplog.records] == [f"{path}: has 16 bits per colour, read at 8 bits"]

    def test_8_bits_are_read_without_a_warning(self, tmp_path, caplog):
        for suffix in PHOTO_SUFFIXES:
            read_photo(save_photo(tmp_path / f"photo{suffix}"))
        assert not caplog.records

    @pytest.mark.parametrize(
        ("mode", "color", "transparency", "expected"),
        [
            ("P", 3, 3, (30, 31, 32)),
            ("RGB", (1, 2, 3), (1, 2, 3), (1, 2, 3)),
            ("L", 9, 9, (9, 9, 9)),
            ("1", 0, 0, (0, 0, 0)),
        ],
    )
    def test_one_transparent_color_is_alpha(self, tmp_path, mode, color, transparency, expected):
        image = Image.new(mode, (5, 3), color)
        if mode == "P":
            image.putpalette([10 * index + channel for index in range(20) for channel in range(3)])
        image.putpixel((4, 2), (200, 0, 0) if mode == "RGB" else 1)
        image.save(tmp_path / "photo.png", transparency=transparency)
        photo = read_photo(tmp_path / "photo.png")
        assert np.array_equal(photo.alpha, np.pad([[255]], ((2, 0), (4, 0))))
        assert photo.pixels[0, 0].tolist() == list(expected)

    def test_lab(self, tmp_path, caplog):
        lab = ImageCms.profileToProfile(
            Image.fromarray(UPRIGHT), SRGB_PROFILE, ImageCms.createProfile("LAB"), outputMode="LAB"
        )
        lab.save(tmp_path / "photo.tif")
        photo = read_photo(tmp_path / "photo.tif")
        # The file has 8 bits of Lab: single dark pixels are off by some levels of sRGB, not the picture.
        assert np.abs(photo.pixels.astype(int) - UPRIGHT).mean() < 1
        assert photo.icc_profile is None
        assert not caplog.records

    def test_alpha_turns_with_the_photo(self, tmp_path):
        alpha = np.arange(96 * 64, dtype=np.uint8).reshape(64, 96)
        stored = np.ascontiguousarray(np.rot90(np.dstack((UPRIGHT, alpha)), 1))
        Image.fromarray(stored).save(tmp_path / "photo.png", exif=exif(6))
        photo = read_photo(tmp_path / "photo.png")
        assert np.array_equal(photo.pixels, UPRIGHT)
        assert np.array_equal(photo.alpha, alpha)

    @pytest.mark.parametrize(
        ("mode", "color", "profile", "expected"),
        [("L", 55, LINEAR_GREY, 128), ("CMYK", (10, 200, 30, 128), BLACK_ONLY_CMYK, 118)],
    )
    def test_grey_and_cmyk_go_through_their_profile(self, tmp_path, mode, color, profile, expected):
        # 55/255 of the light of white is level 128 in sRGB; L* = 100 (1 - 128/255) is level 118.
        Image.new(mode, (5, 3), color).save(tmp_path / "photo.tif", icc_profile=profile)
        photo = read_photo(tmp_path / "photo.tif")
        assert np.array_equal(photo.pixels, np.full((3, 5, 3), expected))
        assert photo.icc_profile is None

    @pytest.mark.parametrize(("profile", "problem"), [(b"nonsense", "can't be read"), (BLACK_ONLY_CMYK, "for CMYK")])
    def test_warns_of_a_useless_profile(self, tmp_path, caplog, profile, problem):
        photo = read_photo(save_photo(tmp_path / "photo.tif", icc_profile=profile))
        assert np.array_equal(photo.pixels, UPRIGHT)
        assert photo.icc_profile is None
        assert [problem in record.getMessage() for record in caplog.records] == [True]

    def test_warns_of_further_pages(self, tmp_path, caplog):
        second = Image.new("RGB", (5, 3))
        save_photo(tmp_path / "pages.tif", save_all=True, append_images=[second])
        assert np.array_equal(read_photo(tmp_path / "pages.tif").pixels, UPRIGHT)
        assert ["several pictures" in record.getMessage() for record in caplog.records] == [True]

    def test_a_phones_preview_is_no_further_page(self, tmp_path, caplog):
        save_photo(tmp_path / "phone.jpg", format="MPO", save_all=True, append_images=[Image.new("RGB", (5, 3))])
        assert read_photo(tmp_path / "phone.jpg").pixels.shape == (64, 96, 3)
        assert not caplog.records

    def test_reads_a_photo_with_broken_exif(self, tmp_path, caplog):
        broken = exif(6).replace(b"MM\0*", b"MM\0\xff").replace(b"II*\0", b"II\xff\0")
        photo = read_photo(save_photo(tmp_path / "photo.webp", exif=broken, lossless=True))
        assert np.array_equal(photo.pixels, UPRIGHT)
        assert photo.exif is None
        assert ["EXIF is broken" in record.getMessage() for record in caplog.records] == [True]

    def test_rejects_missing_file(self, tmp_path):
        with pytest.raises(PhotoError, match=r"nothing\.jpg: no such photo$"):
            read_photo(tmp_path / "nothing.jpg")

    def test_rejects_folder(self, tmp_path):
        with pytest.raises(PhotoError, match="is a folder"):
            read_photo(tmp_path)

    @pytest.mark.parametrize("content", [b"", b"A text, not a photo.\n", b"\x89PNG\r\n\x1a\n"])
    def test_rejects_what_is_no_photo(self, tmp_path, content):
        (tmp_path / "photo.png").write_bytes(content)
        with pytest.raises(PhotoError, match=r"photo\.png: not a photo, or of an unknown format$"):
            read_photo(tmp_path / "photo.png")

    @pytest.mark.parametrize("suffix", PHOTO_SUFFIXES)
    def test_rejects_truncated(self, tmp_path, suffix):
        whole = save_photo(tmp_path / f"whole{suffix}", exif=exif(), icc_profile=SRGB).read_bytes()
        cut = tmp_path / f"cut{suffix}"
        for tenth in range(1, 10):
            cut.write_bytes(whole[: len(whole) * tenth // 10])
            with pytest.raises(PhotoError, match=r"^[^\n]*cut\.\w+: (broken or truncated|not a photo)[^\n]*$"):
                read_photo(cut)

    def test_rejects_decompression_bomb(self, tmp_path):
        data = bytearray(png16(np.zeros((1, 1, 3)), 2))
        data[16:24] = struct.pack(">2I", 60000, 60000)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
        (tmp_path / "bomb.png").write_bytes(data)
        with pytest.raises(PhotoError, match=r"bomb\.png: too large \(.*3600000000 pixels"):
            read_photo(tmp_path / "bomb.png")

    @pytest.mark.parametrize("value", [1.5, -0.1, float("nan")])
    def test_rejects_floats_of_unknown_range(self, tmp_path, value):
        Image.new("F", (5, 3), value).save(tmp_path / "photo.tif")
        with pytest.raises(PhotoError, match=r"photo\.tif: a floating point photo has values in \[0, 1\]"):
            read_photo(tmp_path / "photo.tif")

    @pytest.mark.parametrize("value", [70000, -1])
    def test_rejects_integers_of_unknown_range(self, tmp_path, value):
        Image.new("I", (5, 3), value).save(tmp_path / "photo.tif")
        with pytest.raises(PhotoError, match="at most 16 bits"):
            read_photo(tmp_path / "photo.tif")

    def test_rejects_uncompressed_16_bit_planes(self, tmp_path):
        # Pillow reads these without a word, and wrongly.
        planes = np.zeros((3, 5, 4), np.uint16)
        tifffile.imwrite(tmp_path / "photo.tif", planes, photometric="rgb", planarconfig="separate")
        with pytest.raises(PhotoError, match="separate colour planes"):
            read_photo(tmp_path / "photo.tif")


class TestWritePhoto:
    @pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".PNG"])
    def test_lossless(self, tmp_path, suffix):
        path = tmp_path / f"photo{suffix}"
        write_photo(path, Photo(UPRIGHT))
        assert np.array_equal(np.asarray(Image.open(path)), UPRIGHT)

    @pytest.mark.parametrize("suffix", [".jpg", ".jpeg"])
    def test_jpeg_quality(self, tmp_path, suffix):
        write_photo(tmp_path / f"photo{suffix}", Photo(UPRIGHT))
        written = Image.open(tmp_path / f"photo{suffix}")
        assert JpegImagePlugin.get_sampling(written) == 0  # 4:4:4
        subsampled = Image.open(save_photo(tmp_path / "subsampled.jpg", quality=95))
        assert written.quantization == subsampled.quantization

        def distance(image):
            return np.abs(np.asarray(image).astype(int) - UPRIGHT).mean()

        assert distance(written) < distance(subsampled) < 3

    def test_webp_quality(self, tmp_path):
        write_photo(tmp_path / "photo.webp", Photo(UPRIGHT))
        written = np.asarray(Image.open(tmp_path / "photo.webp")).astype(int)
        assert np.abs(written - UPRIGHT).mean() < 2  # lossy WebP halves the chroma resolution

    @pytest.mark.parametrize("suffix", PHOTO_SUFFIXES)
    @pytest.mark.parametrize("source", [".jpg", ".tif", ".webp"])
    def test_keeps_exif_and_profile(self, tmp_path, source, suffix):
        photo = read_photo(save_photo(tmp_path / f"in{source}", exif=exif(3), icc_profile=SRGB))
        write_photo(tmp_path / f"out{suffix}", photo)
        written = Image.open(tmp_path / f"out{suffix}")
        assert written.info["icc_profile"] == SRGB
        kept = written.getexif()
        assert kept[ExifTags.Base.Make] == "Lookcam"
        assert kept.get(ExifTags.Base.Orientation, 1) == 1
        assert kept.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] == "2024:05:06 07:08:09"
        assert kept.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] == (52.0, 31.0, 12.0)
        assert written.size == (96, 64)

    def test_the_preview_of_the_old_look_is_left_out(self, tmp_path):
        tags = Image.Exif()
        tags[ExifTags.Base.Make] = "Lookcam"
        preview = b"\xff\xd8 the old look \xff\xd9"
        # IFD0 with one entry, then IFD1, which holds the preview.
        base = tags.tobytes()
        ifd0_end = base.index(b"Exif\0\0") + 6 + 8 + 2 + 12
        order = "<" if base[6:8] == b"II" else ">"
        ifd1 = struct.pack(f"{order}H2HII2HIII", 2, 513, 4, 1, 200, 514, 4, 1, len(preview), 0)
        data = bytearray(base.ljust(6 + 150, b"\0") + ifd1.ljust(50, b"\0") + preview)
        data[ifd0_end : ifd0_end + 4] = struct.pack(f"{order}I", 150)
        photo = read_photo(save_photo(tmp_path / "in.jpg", exif=bytes(data)))
        assert Image.open(tmp_path / "in.jpg").getexif().get_ifd(ExifTags.IFD.IFD1)[514] == len(preview)
        write_photo(tmp_path / "out.jpg", photo)
        assert Image.open(tmp_path / "out.jpg").getexif()[ExifTags.Base.Make] == "Lookcam"
        assert b"the old look" not in (tmp_path / "out.jpg").read_bytes()

    @pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
    def test_keeps_alpha(self, tmp_path, caplog, suffix):
        alpha = np.arange(96 * 64, dtype=np.uint8).reshape(64, 96)
        write_photo(tmp_path / f"photo{suffix}", Photo(UPRIGHT, alpha))
        assert np.array_equal(read_photo(tmp_path / f"photo{suffix}").alpha, alpha)
        assert not caplog.records

    def test_says_that_jpeg_drops_alpha(self, tmp_path, caplog):
        write_photo(tmp_path / "photo.jpg", Photo(UPRIGHT, np.zeros((64, 96), np.uint8)))
        assert Image.open(tmp_path / "photo.jpg").mode == "RGB"
        assert ["alpha channel is left out" in record.getMessage() for record in caplog.records] == [True]

    def test_says_that_jpeg_drops_too_much_exif(self, tmp_path, caplog):
        tags = Image.Exif()
        tags[ExifTags.Base.ImageDescription] = "x" * 70000
        write_photo(tmp_path / "photo.jpg", Photo(UPRIGHT, exif=tags.tobytes()))
        assert "exif" not in Image.open(tmp_path / "photo.jpg").info
        assert ["more than JPEG holds" in record.getMessage() for record in caplog.records] == [True]

    @pytest.mark.parametrize("name", ["photo.bmp", "photo", "photo.cube"])
    def test_rejects_unknown_suffix(self, tmp_path, name):
        with pytest.raises(PhotoError, match=r"known are \.jpg, \.jpeg, \.png, \.webp, \.tif, \.tiff$"):
            write_photo(tmp_path / name, Photo(UPRIGHT))
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(("suffix", "width"), [(".webp", 16384), (".jpg", 65501)])
    def test_rejects_what_the_format_can_not_hold(self, tmp_path, suffix, width):
        target = tmp_path / f"wide{suffix}"
        target.write_bytes(b"what was there")
        with pytest.raises(PhotoError, match=f"can't hold this photo of {width}x1 pixels"):
            write_photo(target, Photo(np.zeros((1, width, 3), np.uint8)))
        assert target.read_bytes() == b"what was there"
        assert list(tmp_path.iterdir()) == [target]

    def test_rejects_a_folder_that_is_a_file(self, tmp_path):
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(InputError, match="can't be written") as caught:
            write_photo(tmp_path / "file" / "photo.png", Photo(UPRIGHT))
        assert not isinstance(caught.value, PhotoError)  # the next photo would fail as well


class TestReadMask:
    LABELS = np.arange(9).repeat(4)[None].repeat(12, 0)  # nine stripes, 36 x 12

    @pytest.fixture
    def mask(self, tmp_path):
        colors = np.array([rgb for _, rgb in PALETTE], np.uint8)[self.LABELS]
        Image.fromarray(colors).save(tmp_path / "mask.png")
        return tmp_path / "mask.png"

    def test_known_value(self, mask):
        read = read_mask(mask)
        assert read.shape == (1, 9, 12, 36)
        assert read.dtype == torch.float32
        assert np.array_equal(read[0].argmax(0).numpy(), self.LABELS)
        assert torch.equal(read.sum(1), torch.ones(1, 12, 36))

    def test_palette_file(self, mask):
        Image.open(mask).convert("P", palette=Image.Palette.ADAPTIVE).save(mask)
        assert np.array_equal(read_mask(mask)[0].argmax(0).numpy(), self.LABELS)

    def test_resizes_to_the_photo_without_new_labels(self, mask):
        read = read_mask(mask, (24, 72))
        assert np.array_equal(read[0].argmax(0).numpy(), self.LABELS.repeat(2, 0).repeat(2, 1))
        assert set(read.unique().tolist()) == {0.0, 1.0}

    def test_tall_mask_is_read_whole(self, tmp_path):
        colors = np.zeros((700, 2, 3), np.uint8)
        colors[600:] = 255
        Image.fromarray(colors).save(tmp_path / "mask.png")
        labels = read_mask(tmp_path / "mask.png")[0].argmax(0)
        black, white = (index for index, (name, _) in enumerate(PALETTE) if name in ("black", "white"))
        assert torch.equal(labels[:, 0], torch.tensor([black] * 600 + [white] * 100))

    def test_one_label_only(self, tmp_path):
        Image.new("RGB", (6, 4), (255, 0, 0)).save(tmp_path / "mask.png")
        read = read_mask(tmp_path / "mask.png", (8, 12))
        assert read.shape == (1, 9, 8, 12)
        assert torch.equal(read.argmax(1), torch.full((1, 8, 12), [name for name, _ in PALETTE].index("red")))

    def test_rejects_another_aspect_ratio(self, mask):
        with pytest.raises(InputError, match=r"mask\.png: is 36x12 pixels, its photo 36x24"):
            read_mask(mask, (24, 36))

    def test_rejects_missing_file(self, tmp_path):
        with pytest.raises(PhotoError, match="no such photo"):
            read_mask(tmp_path / "mask.png")


class TestToTensor:
    def test_known_value(self):
        tensor = to_tensor(np.array([[[0, 51, 255], [1, 2, 3]]], np.uint8))
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, torch.tensor([[0, 51, 255], [1, 2, 3]]).T.reshape(1, 3, 1, 2) / 255)
        assert tensor.is_contiguous()

    @pytest.mark.parametrize("pixels", [np.zeros((2, 2, 4), np.uint8), np.zeros((2, 2)), np.zeros((2, 2, 3))])
    def test_rejects_other_arrays(self, pixels):
        with pytest.raises(InputError, match=r"pixels: expected \(H, W, 3\) of uint8"):
            to_tensor(pixels)


class TestToPixels:
    def test_undoes_to_tensor(self):
        pixels = np.arange(256 * 3, dtype=np.uint8).reshape(16, 16, 3)
        assert np.array_equal(to_pixels(to_tensor(pixels)), pixels)

    def test_rounds_and_clamps(self):
        image = torch.tensor([-0.5, 1.5, 10.4 / 255, 10.6 / 255, 0.0, 1.0]).view(1, 3, 1, 2)
        assert to_pixels(image).transpose(2, 0, 1).ravel().tolist() == [0, 255, 10, 11, 0, 255]

    def test_rejects_a_batch(self):
        with pytest.raises(ShapeError, match="image"):
            to_pixels(torch.zeros(2, 3, 4, 4))


class TestPhotoSuffixes:
    @pytest.mark.parametrize("suffix", PHOTO_SUFFIXES)
    def test_each_is_what_it_says(self, tmp_path, suffix):
        write_photo(tmp_path / f"photo{suffix}", Photo(UPRIGHT))
        written = Image.open(io.BytesIO((tmp_path / f"photo{suffix}").read_bytes()))
        assert written.format == Image.registered_extensions()[suffix]
