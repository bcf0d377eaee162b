import numpy as np
import pytest
import skimage.data
from PIL import Image

from lookcast.checks import InputError
from lookcast.inference.jobs import Job
from lookcast.inference.photo_files import FileOptions, read_styles, stylize_file
from lookcast.inference.stylizer import Stylizer
from lookcast.photos.color import to_srgb
from lookcast.photos.read import Photo, PhotoError, read_photo, write_photo
from tests.looks import MeanColor, look
from tests.photo_files import ADOBE_RGB, DISPLAY_P3, PROPHOTO, save_photo
from tests.runs import save_mask


@pytest.fixture
def universal():
    return Stylizer(MeanColor(), {}, "cpu")


def save_color(path, color, size=(6, 4)):
    Image.new("RGB", size, color).save(path)
    return path


class TestReadStyles:
    @pytest.fixture
    def files(self, tmp_path):
        return {
            "dark": save_color(tmp_path / "dark.png", (0, 0, 0)),
            "bright": save_color(tmp_path / "bright.png", (200, 100, 40)),
            "mask": save_mask(tmp_path / "mask.png", (6, 4)),
        }

    def test_known_value(self, files):
        dark, bright = read_styles([files["dark"], files["bright"]], [files["mask"]] * 2, [1, 3])
        assert (dark.photo.max(), bright.photo[0, 0].tolist()) == (0, [200, 100, 40])
        assert (dark.weight, bright.weight) == (1, 3)
        assert dark.mask.tolist() == [[0] * 6] * 2 + [[1] * 6] * 2

    def test_without_masks_and_weights(self, files):
        (style,) = read_styles([files["dark"]])
        assert (style.mask, style.weight) == (None, 1)
        assert read_styles([]) == []

    def test_are_styles_of_a_stylizer(self, universal, files):
        universal.set_style(read_styles([files["dark"], files["bright"]], weights=[1, 3]))
        content = np.zeros((3, 3, 3), np.uint8)
        assert np.array_equal(universal.stylize(content), np.broadcast_to((150, 75, 30), content.shape))

    @pytest.mark.parametrize(
        ("options", "line"),
        [
            (
                {"photos": ["dark", "bright"], "masks": ["mask"]},
                "--style-mask: 1 for 2 style photos; each style photo needs one mask",
            ),
            (
                {"photos": ["dark"], "masks": ["mask", "mask"]},
                "--style-mask: 2 for 1 style photos; each style photo needs one mask",
            ),
            ({"photos": ["dark", "bright"], "weights": [1.0]}, "--weights: 1 for 2 style photos"),
        ],
    )
    def test_rejects_other_numbers(self, files, options, line):
        given = {key: [files.get(each, each) for each in value] for key, value in options.items()}
        with pytest.raises(InputError) as caught:
            read_styles(**given)
        assert str(caught.value) == line

    def test_rejects_files(self, files, tmp_path):
        (tmp_path / "notes.txt").write_text("no photo")
        for style, reason in ((tmp_path / "no.png", "no such"), (tmp_path / "notes.txt", "not a photo")):
            with pytest.raises(PhotoError, match=reason):
                read_styles([style])
            with pytest.raises(PhotoError, match=reason):
                read_styles([files["dark"]], [style])

    def test_rejects_a_mask_of_another_aspect_ratio(self, files, tmp_path):
        mask = save_mask(tmp_path / "square.png", (60, 60))
        with pytest.raises(InputError, match=r"square\.png: is 60x60 pixels, its photo 6x4: another aspect"):
            read_styles([files["dark"]], [mask])

    def test_rejects_too_many_pixels(self, files):
        with pytest.raises(PhotoError, match="24 pixels, more than the limit of 23"):
            read_styles([files["dark"]], max_pixels=23)


class TestStylizeFile:
    def test_masks(self, universal, tmp_path):
        photo, mask = save_photo(tmp_path / "a.png"), save_mask(tmp_path / "mask.png", (48, 32))
        style = save_color(tmp_path / "style.png", (200, 100, 40))
        universal.set_style(read_styles([style], [save_mask(tmp_path / "style_mask.png", (6, 4))]))
        stylize_file(universal, Job(photo, tmp_path / "out.png", mask))
        expected = read_photo(photo).pixels
        expected[32:] = (200, 100, 40)  # green, the second colour, is the label that MeanColor paints
        assert np.array_equal(read_photo(tmp_path / "out.png").pixels, expected)

    def test_mask_of_a_turned_photo(self, universal, tmp_path):
        # A mask refers to the upright photo, however the camera was held.
        tags = Image.Exif()
        tags[274] = 6
        photo = save_photo(tmp_path / "a.png", exif=tags.tobytes())
        mask = save_mask(tmp_path / "mask.png", (64, 96))
        style = save_color(tmp_path / "style.png", (200, 100, 40))
        universal.set_style(read_styles([style], [save_mask(tmp_path / "style_mask.png", (6, 4))]))
        stylize_file(universal, Job(photo, tmp_path / "out.png", mask))
        output = read_photo(tmp_path / "out.png").pixels
        assert output.shape == (96, 64, 3)
        assert np.array_equal(output[48:], np.broadcast_to((200, 100, 40), (48, 64, 3)))

    @pytest.mark.parametrize("profile", [DISPLAY_P3, ADOBE_RGB, PROPHOTO], ids=["P3", "Adobe RGB", "ProPhoto"])
    def test_wide_colours_are_stylized_as_srgb_shows_them(self, tmp_path, profile):
        source, out = tmp_path / "wide.png", tmp_path / "out.png"
        photo = skimage.data.coffee()[:200, :300].astype(float)
        grey = photo.mean(2, keepdims=True)  # pale, so that most of it is inside sRGB
        values = np.rint(grey + 0.4 * (photo - grey)).astype(np.uint8)
        Image.fromarray(values).save(source, icc_profile=profile)
        stylizer = Stylizer(look(), {}, "cpu")
        stylize_file(stylizer, Job(source, out))
        written = read_photo(out)
        assert written.icc_profile == profile  # in its own space, and labelled so
        srgb = to_srgb(values, profile)
        expected, actual = stylizer.stylize(srgb), to_srgb(written.pixels, profile)
        inside = ((srgb > 0) & (srgb < 65535)).all(2) & ((expected > 0) & (expected < 65535)).all(2)
        assert inside.mean() > 0.3
        # A level of 8 bits in the photo's own space is up to a few of sRGB.
        assert np.abs(expected.astype(int) - actual)[inside].mean() < 257
        mislabelled = stylizer.stylize(values).astype(int) * 257
        assert np.abs(mislabelled - actual)[inside].mean() > 2 * 257
        stylize_file(stylizer, Job(source, out), strength=0)
        assert np.array_equal(read_photo(out).pixels, values)

    @pytest.mark.parametrize("suffix", [".png", ".tif"])
    def test_16_bits_stay(self, tmp_path, suffix):
        ramp = np.linspace(20000, 24000, 300).astype(np.uint16)
        values = np.repeat(np.repeat(ramp[None, :, None], 200, 0), 3, 2)
        source, out = tmp_path / f"deep{suffix}", tmp_path / f"out{suffix}"
        write_photo(source, Photo(values))
        stylize_file(Stylizer(look(), {}, "cpu"), Job(source, out))
        written = read_photo(out).pixels
        assert written.dtype == np.uint16
        assert len(np.unique(written[100, :, 1])) > 200  # at 8 bits a smooth sky of 16 levels would show bands
        assert np.array_equal(written, Stylizer(look(), {}, "cpu").stylize(values))

    def test_options_of_files(self, tmp_path):
        source = save_photo(tmp_path / "a.png")
        stylizer = Stylizer(look(), {}, "cpu")
        sizes = []
        for quality, subsampling in ((95, "4:4:4"), (60, "4:4:4"), (60, "4:2:0")):
            out = tmp_path / "out.jpg"
            stylize_file(stylizer, Job(source, out), files=FileOptions(quality, subsampling))
            sizes.append(out.stat().st_size)
        assert sizes[0] > sizes[1] > sizes[2]
        with pytest.raises(PhotoError, match=r"limit of 6143; --max-pixels changes the limit$"):
            stylize_file(stylizer, Job(source, tmp_path / "out.png"), files=FileOptions(max_pixels=96 * 64 - 1))

    def test_rejects_before_the_work(self, universal, tmp_path):
        universal.set_style(np.zeros((2, 2, 3), np.uint8))
        universal.generator.read_photos.clear()
        with pytest.raises(PhotoError, match="can't write photos of this suffix"):
            stylize_file(universal, Job(save_photo(tmp_path / "a.bmp"), tmp_path / "a.gif"))
        assert universal.generator.read_photos == []
