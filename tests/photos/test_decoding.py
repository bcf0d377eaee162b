import numpy as np
import pytest
import tifffile
from PIL import Image

from lookcast.photos.photo import to_8_bits
from lookcast.photos.read import Photo, PhotoError, read_photo, write_photo
from tests.photo_files import BLACK_ONLY_CMYK, BLUE_ONLY_RGB, DISPLAY_P3, LINEAR_GREY, exif, parsed, png16, save_photo

VALUES = np.random.default_rng(0).integers(0, 65536, (4, 6, 3), dtype=np.uint16)
ALPHA = np.random.default_rng(1).integers(0, 65536, (4, 6), dtype=np.uint16)


class TestDecodeAbove8Bits:
    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"compression": "zlib"},
            {"compression": "zlib", "predictor": True},
            {"byteorder": ">"},
            {"tile": (16, 16)},
            {"planarconfig": "separate"},
            {"planarconfig": "separate", "compression": "zlib"},
        ],
        ids=str,
    )
    def test_tiff(self, tmp_path, caplog, options):
        values = VALUES.transpose(2, 0, 1) if "planarconfig" in options else VALUES
        tifffile.imwrite(tmp_path / "photo", np.ascontiguousarray(values), photometric="rgb", **options)
        photo = read_photo(tmp_path / "photo")
        assert photo.pixels.dtype == np.uint16
        assert np.array_equal(photo.pixels, VALUES)
        assert photo.alpha is None
        assert not caplog.records

    @pytest.mark.parametrize(
        ("suffix", "grey", "transparent"),
        [
            *((".png", grey, transparent) for grey in (False, True) for transparent in (False, True)),
            *((".tif", grey, transparent) for grey, transparent in ((False, False), (False, True), (True, False))),
        ],
    )
    def test_modes(self, tmp_path, caplog, suffix, grey, transparent):
        colors = VALUES[..., :1] if grey else VALUES
        values = np.concatenate((colors, ALPHA[..., None]), 2) if transparent else colors
        path = tmp_path / f"photo{suffix}"
        if suffix == ".png":
            path.write_bytes(png16(values, {1: 0, 2: 4, 3: 2, 4: 6}[values.shape[2]]))
        else:
            extra = ["unassalpha"] if transparent else None
            tifffile.imwrite(path, values.squeeze(), photometric="minisblack" if grey else "rgb", extrasamples=extra)
        photo = read_photo(path)
        assert np.array_equal(photo.pixels, np.broadcast_to(colors, VALUES.shape))
        assert np.array_equal(photo.alpha, ALPHA) if transparent else photo.alpha is None
        assert not caplog.records

    def test_premultiplied_alpha_is_divided_out(self, tmp_path):
        half = np.full((4, 6, 4), 32768, np.uint16)
        half[..., :3] = 16384
        tifffile.imwrite(tmp_path / "photo.tif", half, photometric="rgb", extrasamples=["assocalpha"])
        photo = read_photo(tmp_path / "photo.tif")
        assert np.abs(photo.pixels.astype(int) - 32768).max() <= 1
        assert (photo.alpha == 32768).all()

    def test_unspecified_fourth_channel_is_no_alpha(self, tmp_path):
        values = np.dstack((VALUES, ALPHA))
        tifffile.imwrite(tmp_path / "photo.tif", values, photometric="rgb", extrasamples=["unspecified"])
        photo = read_photo(tmp_path / "photo.tif")
        assert np.array_equal(photo.pixels, VALUES)
        assert photo.alpha is None

    def test_white_at_zero(self, tmp_path):
        tifffile.imwrite(tmp_path / "photo.tif", np.full((3, 5), 257, np.uint16), photometric="miniswhite")
        assert np.array_equal(read_photo(tmp_path / "photo.tif").pixels, np.full((3, 5, 3), 65278))

    def test_floats_of_grey(self, tmp_path):
        Image.new("F", (5, 3), 0.2).save(tmp_path / "photo.tif")
        assert np.array_equal(read_photo(tmp_path / "photo.tif").pixels, np.full((3, 5, 3), 13107, np.uint16))

    @pytest.mark.parametrize("suffix", [".png", ".tif"])
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_orientation(self, tmp_path, suffix, orientation):
        path = tmp_path / f"photo{suffix}"
        write_photo(path, Photo(VALUES, ALPHA, exif(orientation, (6, 4))))
        turned = read_photo(path)
        Image.fromarray(to_8_bits(VALUES)).save(tmp_path / "plain.png", exif=exif(orientation, (6, 4)))
        assert np.array_equal(to_8_bits(turned.pixels), read_photo(tmp_path / "plain.png").pixels)
        assert turned.alpha.shape == turned.pixels.shape[:2]

    def test_keeps_an_rgb_profile(self, tmp_path, caplog):
        for name in ("photo.png", "photo.tif"):
            write_photo(tmp_path / name, Photo(VALUES, icc_profile=DISPLAY_P3))
            photo = read_photo(tmp_path / name)
            assert np.array_equal(photo.pixels, VALUES)
            assert photo.icc_profile == DISPLAY_P3
        assert not caplog.records

    def test_grey_goes_through_its_profile(self, tmp_path):
        # 55/255 of the light of white is level 128 in sRGB.
        Image.fromarray(np.full((3, 5), 55 * 257, np.uint16)).save(tmp_path / "photo.tif", icc_profile=LINEAR_GREY)
        photo = read_photo(tmp_path / "photo.tif")
        assert np.abs(photo.pixels / 257 - 128).max() < 0.1
        assert photo.icc_profile is None

    @pytest.mark.parametrize(("profile", "problem"), [(b"nonsense", "can't be read"), (BLACK_ONLY_CMYK, "for CMYK")])
    def test_warns_of_a_useless_profile(self, tmp_path, caplog, profile, problem):
        tifffile.imwrite(tmp_path / "photo.tif", VALUES, photometric="rgb", iccprofile=profile)
        photo = read_photo(tmp_path / "photo.tif")
        assert np.array_equal(photo.pixels, VALUES)
        assert photo.icc_profile is None
        assert [problem in record.getMessage() for record in caplog.records] == [True]

    @pytest.mark.parametrize(
        ("photometric", "profile", "expected"), [("separated", BLACK_ONLY_CMYK, 118), ("rgb", BLUE_ONLY_RGB, 118)]
    )
    def test_tables_keep_16_bits(self, tmp_path, photometric, profile, expected):
        # L* = 100 (1 - 128/255) is level 118 in sRGB, for half of the black ink or half of blue.
        color = (10, 200, 30, 128) if photometric == "separated" else (200, 10, 127)
        values = np.broadcast_to(np.array(color, np.uint16) * 257, (3, 5, len(color)))
        tifffile.imwrite(tmp_path / "photo.tif", values, photometric=photometric, iccprofile=profile)
        photo = read_photo(tmp_path / "photo.tif")
        assert photo.pixels.dtype == np.uint16
        assert np.abs(photo.pixels / 257 - expected).max() < 1
        assert photo.icc_profile is None

    def test_a_file_of_the_same_name_is_read_anew(self, tmp_path):
        for level in (1000, 2000):
            write_photo(tmp_path / "photo.tif", Photo(np.full((4, 6, 3), level, np.uint16)))
            assert (read_photo(tmp_path / "photo.tif").pixels == level).all()
            write_photo(tmp_path / "photo.jpg", Photo(np.full((4, 6, 3), level // 10, np.uint8)))
            assert np.abs(read_photo(tmp_path / "photo.jpg").pixels.astype(int) - level // 10).max() <= 1

    def test_rejects_truncated_by_name(self, tmp_path):
        whole = png16(np.random.default_rng(0).integers(0, 65536, (40, 60, 3), dtype=np.uint16), 2)
        (tmp_path / "photo.png").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(PhotoError, match=r"photo\.png: broken or truncated \([^\n]+\)$"):
            read_photo(tmp_path / "photo.png")

    def test_8_bits_stay_8(self, tmp_path):
        for suffix in (".png", ".tif"):
            assert read_photo(save_photo(tmp_path / f"photo{suffix}")).pixels.dtype == np.uint8


class TestTiffSamples:
    """Samples for which Pillow has no mode."""

    LEVELS = np.linspace(0, 1, 4 * 6 * 3).reshape(4, 6, 3)

    @pytest.mark.parametrize("grey", [False, True])
    @pytest.mark.parametrize("bigtiff", [False, True])
    @pytest.mark.parametrize("byteorder", ["<", ">"])
    @pytest.mark.parametrize(
        ("dtype", "scale"),
        [("uint8", 255), ("uint16", 65535), ("uint32", 2**32 - 1), ("float16", 1), ("float32", 1)],
    )
    def test_whole_range(self, tmp_path, dtype, scale, byteorder, bigtiff, grey):
        levels = self.LEVELS[..., 0] if grey else self.LEVELS
        values = np.rint(levels * scale).astype(dtype) if scale > 1 else levels.astype(dtype)
        path = tmp_path / "photo.tif"
        photometric = "minisblack" if grey else "rgb"
        tifffile.imwrite(path, values, photometric=photometric, bigtiff=bigtiff, byteorder=byteorder)
        if bigtiff and byteorder == ">":
            with pytest.raises(PhotoError, match=r"a BigTIFF in big-endian byte order is not supported$"):
                read_photo(path)
            return
        photo = read_photo(path)
        last = np.iinfo(photo.pixels.dtype).max
        expected = levels[..., None] if grey else levels
        # Half a step of the result, and half a step below 1 of what was written: float16 has 11 bits, float32 24.
        written = {"float16": 2**-12, "float32": 2**-25}.get(dtype, 0.5 / scale)
        tolerance = 0.5 / last + written
        assert np.abs(photo.pixels / last - expected).max() <= tolerance
        for suffix in (".tif", ".jpg", ".png"):
            write_photo(tmp_path / f"out{suffix}", photo)
        assert np.array_equal(read_photo(tmp_path / "out.tif").pixels, photo.pixels)

    @pytest.mark.parametrize("dtype", ["int16", "int32", "uint32"])
    def test_integers_of_16_bits_keep_their_values(self, tmp_path, dtype):
        values = np.rint(self.LEVELS * 32767).astype(dtype)
        tifffile.imwrite(tmp_path / "photo.tif", values, photometric="rgb")
        assert np.array_equal(read_photo(tmp_path / "photo.tif").pixels, values)

    def test_alpha_profile_exif_and_page(self, tmp_path):
        values = np.dstack((self.LEVELS, np.full((4, 6), 0.25))).astype(np.float32)
        tifffile.imwrite(
            tmp_path / "photo.tif",
            values,
            photometric="rgb",
            extrasamples=["unassalpha"],
            iccprofile=DISPLAY_P3,
            compression="zlib",
            resolution=(300, 150),
            resolutionunit="inch",
            extratags=[(271, "s", 0, "Lookcam", True), (274, "H", 1, 6, True)],
        )
        photo = read_photo(tmp_path / "photo.tif")
        assert photo.pixels.shape == (6, 4, 3)
        assert np.array_equal(photo.pixels, np.rint(np.rot90(self.LEVELS, -1) * np.float32(65535)))
        assert np.array_equal(photo.alpha, np.full((6, 4), 16384))
        assert photo.icc_profile == DISPLAY_P3
        assert photo.dpi == (150, 300)
        assert parsed(photo.exif)[271] == "Lookcam"

    @pytest.mark.parametrize(
        ("dtype", "low", "high", "message"),
        [
            ("float32", 0, 1.5, r"a floating point photo has values in \[0, 1\], this one from 0 to 1.5$"),
            ("float32", 0, float("nan"), r"a floating point photo has values in \[0, 1\]"),
            ("int16", -5, 100, "a photo of signed integers has values from 0 to 65535, this one from -5 to 100$"),
            ("int32", 0, 70000, "a photo of signed integers has values from 0 to 65535, this one from 0 to 70000$"),
            ("int8", 0, 100, "signed bytes are not supported, an integer photo has unsigned values$"),
            ("float64", 0, 1, "samples of 64 bits are not supported, expected at most 32$"),
        ],
    )
    @pytest.mark.parametrize("photometric", ["rgb", "minisblack"])
    def test_rejects_samples_of_unknown_range(self, tmp_path, dtype, low, high, message, photometric):
        values = np.full((4, 6, 3) if photometric == "rgb" else (4, 6), low, dtype)
        values[1:] = high
        tifffile.imwrite(tmp_path / "photo.tif", values, photometric=photometric)
        with pytest.raises(PhotoError, match=rf"photo\.tif: {message}"):
            read_photo(tmp_path / "photo.tif")

    def test_rejects_channels_that_are_no_photo(self, tmp_path):
        values = np.zeros((4, 6, 7), np.float32)
        tifffile.imwrite(tmp_path / "photo.tif", values, photometric="minisblack", planarconfig="contig")
        with pytest.raises(PhotoError, match=r"photo\.tif: has 7 channels, expected at most 5$"):
            read_photo(tmp_path / "photo.tif")

    def test_the_limit_holds(self, tmp_path):
        tifffile.imwrite(tmp_path / "photo.tif", self.LEVELS.astype(np.float32), photometric="rgb", bigtiff=True)
        with pytest.raises(PhotoError, match="6x4 = 24 pixels, more than the limit of 23"):
            read_photo(tmp_path / "photo.tif", max_pixels=23)


def test_cmyk_without_a_profile_is_pillows(tmp_path):
    inks = np.random.default_rng(0).integers(0, 256, (40, 60, 4), dtype=np.uint8)
    Image.fromarray(inks, "CMYK").save(tmp_path / "photo.tif")
    expected = np.asarray(Image.fromarray(inks, "CMYK").convert("RGB"))
    assert np.array_equal(read_photo(tmp_path / "photo.tif").pixels, expected)
    tifffile.imwrite(tmp_path / "deep.tif", inks.astype(np.uint16) * 257, photometric="separated")
    assert np.abs(read_photo(tmp_path / "deep.tif").pixels / 257 - expected).max() <= 0.51
