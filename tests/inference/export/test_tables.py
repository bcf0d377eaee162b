import subprocess

import imageio_ffmpeg
import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from lookcast.checks import InputError, ShapeError
from lookcast.inference.export.cube import export_cube
from lookcast.inference.export.tables import check_table, resampled, size_to_fit, write_table
from lookcast.inference.stylizer import Stylizer
from lookcast.ops.lut import apply_lut, identity_lut
from lookcast.photos.photo import Photo
from lookcast.photos.read import read_photo
from lookcast.photos.write import write_photo
from tests.looks import look

PHOTO = skimage.data.coffee()[::2, ::2]


def graded(size):
    """A table that maps every channel differently, and mixes channels."""
    lut = identity_lut(size, torch.float64)
    return torch.stack([lut[..., 0] ** 0.7, lut[..., 1] * 0.8 + 0.2 * lut[..., 2], 1 - lut[..., 2]], -1)


class TestHald:
    @pytest.mark.parametrize(("size", "level"), [(36, 6), (64, 8), (144, 12)])
    def test_identity_is_the_known_pattern(self, tmp_path, size, level):
        write_table(tmp_path / "a.png", identity_lut(33, torch.float64), size)
        pixels = read_photo(tmp_path / "a.png").pixels
        assert (pixels.shape, pixels.dtype) == ((level**3, level**3, 3), np.uint16)
        number = np.arange(level**6)  # pixel (x, y) is entry x + y level^3: red fastest, then green, then blue
        entries = np.stack([number % size, number // size % size, number // size**2], 1)
        expected = entries * 65535 / (size - 1)
        # Half a level from rounding to 16 bits. Float64 interpolation adds far less than the other .001 of a level.
        assert np.abs(pixels.reshape(-1, 3) - expected).max() <= 0.501

    def test_holds_the_entries_of_the_table(self, tmp_path):
        lut = graded(64)
        write_table(tmp_path / "a.png", lut, 64)
        levels = read_photo(tmp_path / "a.png").pixels.reshape(64, 64, 64, 3)
        assert np.array_equal(levels, (lut * 65535).round().numpy())

    def test_ffmpeg_reads_it(self, tmp_path):
        write_table(tmp_path / "hald.png", graded(64), 64)
        levels = PHOTO.astype(np.uint16) * 257

        write_photo(tmp_path / "in.png", Photo(levels))
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", "in.png", "-i", "hald.png"]
        command += ["-filter_complex", "[0]format=rgb48[a];[1]format=rgb48[b];[a][b]haldclut=interp=trilinear"]
        subprocess.run([*command, "-pix_fmt", "rgb48be", "-frames:v", "1", "out.png"], cwd=tmp_path, check=True)
        image = torch.from_numpy(PHOTO).permute(2, 0, 1)[None].double() / 255
        expected = apply_lut(graded(64), image)[0].permute(1, 2, 0).numpy() * 65535
        # In 16-bit levels: .5 from the rounding of the entries, 1 because ffmpeg cuts off the fraction of its result,
        # .5 for its float32: seven interpolations, each with a few roundings of 2^-24 x 65536 = .004.
        assert np.abs(read_photo(tmp_path / "out.png").pixels - expected).max() <= 2
        assert np.abs(levels - expected).mean() > 2000

    def test_ffmpeg_reads_it_at_8_bits(self, tmp_path):
        write_table(tmp_path / "hald.png", graded(64), 64)
        Image.fromarray(PHOTO).save(tmp_path / "in.png")
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", "in.png", "-i", "hald.png"]
        command += ["-filter_complex", "haldclut=interp=trilinear", "-frames:v", "1", "-pix_fmt", "rgb24", "out.png"]
        subprocess.run(command, cwd=tmp_path, check=True)
        image = torch.from_numpy(PHOTO).permute(2, 0, 1)[None].double() / 255
        expected = apply_lut(graded(64), image)[0].permute(1, 2, 0).numpy() * 255
        output = np.asarray(Image.open(tmp_path / "out.png")).astype(float)
        # ffmpeg may reduce the entries to 8 bits: at most 1 level by cutting off. Its result is cut off too: 1 level.
        assert np.abs(output - expected).max() <= 2

    def test_title_and_terms(self, tmp_path):
        write_table(tmp_path / "a.png", graded(17), 36, title="Düsseldorf", licence="tests\nonly")
        exif = Image.open(tmp_path / "a.png").getexif()
        assert exif[0x010E] == "D?sseldorf; made by lookcast for colours encoded as sRGB"
        assert exif[0x8298] == "terms: tests only"

    def test_export(self, tmp_path):
        stylizer = Stylizer(look(), {"licence": "tests"}, "cpu")
        loss = export_cube(stylizer, tmp_path / "a.png", [PHOTO], size=36)
        lut = torch.from_numpy(read_photo(tmp_path / "a.png").pixels.reshape(36, 36, 36, 3) / 65535)
        image = torch.from_numpy(PHOTO).permute(2, 0, 1)[None].double() / 255
        output = apply_lut(lut, image)[0].permute(1, 2, 0).numpy()
        # The reported loss is a mean over float32 outputs; the file adds up to half of a 16-bit level = .002 levels.
        levels = np.abs(output - stylizer.stylize(PHOTO / 255)).mean() * 255
        assert loss.levels == pytest.approx(levels, abs=0.01)
        assert loss.levels < loss.look / 3


class TestResampled:
    def test_a_linear_table_stays_linear(self):
        lut = identity_lut(33, torch.float64) * 0.5 + 0.25
        assert (resampled(lut, 64) - (identity_lut(64, torch.float64) * 0.5 + 0.25)).abs().max() < 1e-12

    def test_refining_keeps_the_entries(self):
        lut = graded(17)
        assert (resampled(lut, 33)[::2, ::2, ::2] - lut).abs().max() < 1e-12

    def test_same_size_is_the_table_itself(self):
        lut = graded(17)
        assert resampled(lut, 17) is lut


class TestSizes:
    @pytest.mark.parametrize(("size", "fitted"), [(17, 17), (33, 33), (65, 65), (36, 33), (64, 65), (144, 65)])
    def test_fit_size(self, size, fitted):
        assert size_to_fit(size) == fitted

    def test_default(self):
        assert (check_table("a.cube"), check_table("A.PNG"), check_table("a.png", 36)) == (33, 64, 36)

    @pytest.mark.parametrize(
        ("path", "size", "message"),
        [
            ("a.cube", 64, "^size: expected one of 17, 33, 65 for .cube, got 64$"),
            ("a.png", 65, "^size: expected one of 36, 64, 144 for .png, got 65$"),
            ("a.tif", None, r"^a.tif: a table is written to a file that ends with .cube, or with .png for a HaldCLUT$"),
        ],
    )
    def test_refuses(self, path, size, message):
        with pytest.raises(InputError, match=message):
            check_table(path, size)

    def test_refuses_a_table_of_another_shape(self, tmp_path):
        with pytest.raises(ShapeError, match=r"^lut: expected shape"):
            write_table(tmp_path / "a.cube", torch.zeros(17, 17, 3), 17)
