import logging
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from lookcast.checks import InputError
from lookcast.inference.batch import FileOptions, set_up_styles, stylize_file, stylize_files
from lookcast.inference.jobs import Job, plan_jobs
from lookcast.inference.stylizer import Stylizer
from lookcast.photos.color import to_srgb
from lookcast.photos.read import Photo, PhotoError, read_photo, write_photo
from lookcast.segmenters.auto_masks import AutoMasks
from tests.looks import MeanColor, Negative, assert_same_levels, look
from tests.photo_files import ADOBE_RGB, DISPLAY_P3, PROPHOTO, save_photo
from tests.runs import GREEN, save_mask

SIZE = (96, 64)


@pytest.fixture
def universal():
    return Stylizer(MeanColor(), {}, "cpu")


def save_color(path, color, size=(6, 4)):
    Image.new("RGB", size, color).save(path)
    return path


def one_line(error):
    return "\n" not in str(error.value)


class TestSetUpStyles:
    @pytest.fixture
    def files(self, tmp_path):
        return {
            "dark": save_color(tmp_path / "dark.png", (0, 0, 0)),
            "bright": save_color(tmp_path / "bright.png", (200, 100, 40)),
            "mask": save_mask(tmp_path / "mask.png", (6, 4)),
        }

    def test_sets_the_styles(self, universal, files):
        assert set_up_styles([universal], [files["dark"], files["bright"]], weights=[1, 3]) is None
        content = np.zeros((3, 3, 3), np.uint8)
        assert np.array_equal(universal.stylize(content), np.broadcast_to((150, 75, 30), content.shape))

    def test_sets_the_masks(self, universal, files, tmp_path):
        content_mask = tmp_path / "masks"
        assert set_up_styles([universal], [files["bright"]], [files["mask"]], content_mask=content_mask) is None
        with pytest.raises(InputError, match=r"^content_mask: missing, but style_mask is given"):
            universal.stylize(np.zeros((3, 3, 3), np.uint8))

    def test_a_single_look_needs_none(self):
        assert set_up_styles([Stylizer(look(), {}, "cpu")], []) is None

    def test_finds_masks(self, universal, files, tmp_path):
        styles = [files["dark"], files["bright"]]
        masks = set_up_styles([universal], styles, weights=[1, 3], auto_masks="clusters", save_masks=tmp_path / "m")
        assert isinstance(masks, AutoMasks)
        assert (masks.weights, masks.folder) == ([1, 3], tmp_path / "m")
        assert [style[0, 0, 0] for style in masks.styles] == [0, 200]

    @pytest.mark.parametrize(
        ("options", "line"),
        [
            ({"style_masks": ["mask"]}, "--style-mask: needs --style"),
            ({"weights": [1.0]}, "--weights: needs --style"),
            ({"auto_masks": "clusters"}, "--auto-masks: needs --style"),
            ({"content_mask": "mask"}, "--content-mask: needs --style and --style-mask"),
            ({"save_masks": "folder"}, "--save-masks: writes what --auto-masks finds, and needs it"),
            (
                {"styles": ["dark"], "save_masks": "folder"},
                "--save-masks: writes what --auto-masks finds, and needs it",
            ),
            (
                {"styles": ["dark"], "content_mask": "mask"},
                "--style-mask: missing; masks come in pairs, one for the content and one for the style",
            ),
            (
                {"styles": ["dark"], "style_masks": ["mask"]},
                "--content-mask: missing; masks come in pairs, one for the content and one for the style",
            ),
            (
                {"styles": ["dark"], "auto_masks": "clusters", "content_mask": "mask"},
                "--auto-masks: finds masks, so it goes without --content-mask and --style-mask",
            ),
            (
                {"styles": ["dark"], "auto_masks": "clusters", "style_masks": ["mask"]},
                "--auto-masks: finds masks, so it goes without --content-mask and --style-mask",
            ),
            (
                {"styles": ["dark", "bright"], "style_masks": ["mask"], "content_mask": "mask"},
                "--style-mask: 1 for 2 style photos; each needs its own",
            ),
            (
                {"styles": ["dark"], "style_masks": ["mask", "mask"], "content_mask": "mask"},
                "--style-mask: 2 for 1 style photos; each needs its own",
            ),
            ({"styles": ["dark", "bright"], "weights": [1.0]}, "weights: 1 for 2 style photos"),
            ({"styles": ["dark"], "weights": [0.0]}, "weights: expected positive numbers, got 0"),
            (
                {"styles": ["dark"], "weights": [1.0, 2.0], "auto_masks": "clusters"},
                "weights: 2 for 1 style photos",
            ),
        ],
    )
    def test_rejects_what_does_not_go_together(self, universal, files, options, line):
        def placed(value):
            return [files.get(v, v) for v in value] if isinstance(value, list) else files.get(value, value)

        with pytest.raises(InputError) as caught:
            set_up_styles([universal], **{"styles": [], **{key: placed(value) for key, value in options.items()}})
        assert str(caught.value) == line

    def test_rejects_files(self, universal, files, tmp_path):
        (tmp_path / "notes.txt").write_text("no photo")
        for style, reason in ((tmp_path / "no.png", "no such photo"), (tmp_path / "notes.txt", "not a photo")):
            with pytest.raises(PhotoError, match=reason):
                set_up_styles([universal], [style])
            with pytest.raises(PhotoError, match=reason):
                set_up_styles([universal], [files["dark"]], [style], content_mask=files["mask"])

    def test_rejects_a_mask_of_another_aspect(self, universal, files, tmp_path):
        mask = save_mask(tmp_path / "square.png", (60, 60))
        with pytest.raises(InputError, match=r"square\.png: is 60x60 pixels, its photo 6x4: another aspect") as caught:
            set_up_styles([universal], [files["dark"]], [mask], content_mask=files["mask"])
        assert one_line(caught)

    @pytest.mark.parametrize("options", [{}, {"auto_masks": "clusters"}, {"masks": True}])
    def test_rejects_a_style_for_a_single_look(self, files, options):
        if options.pop("masks", False):
            options = {"style_masks": [files["mask"]], "content_mask": files["mask"]}
        with pytest.raises(InputError, match=r"^style: the bilateral generator has a fixed style"):
            set_up_styles([Stylizer(look(), {}, "cpu")], [files["dark"]], **options)


class TestStylizeFile:
    def test_masks(self, universal, tmp_path):
        photo, mask = save_photo(tmp_path / "a.png"), save_mask(tmp_path / "mask.png", (48, 32))
        style = save_color(tmp_path / "style.png", (200, 100, 40))
        set_up_styles([universal], [style], [save_mask(tmp_path / "style_mask.png", (6, 4))], content_mask=mask)
        stylize_file(universal, Job(photo, tmp_path / "out.png", mask))
        expected = read_photo(photo).pixels
        expected[32:] = (200, 100, 40)  # green, the second colour, is the label that MeanColor paints
        assert np.array_equal(read_photo(tmp_path / "out.png").pixels, expected)

    def test_mask_of_a_turned_photo(self, universal, tmp_path):
        # A mask is painted on the photo as it is seen, whatever way the camera was held.
        tags = Image.Exif()
        tags[274] = 6
        photo = save_photo(tmp_path / "a.png", exif=tags.tobytes())
        mask = save_mask(tmp_path / "mask.png", (64, 96))
        style = save_color(tmp_path / "style.png", (200, 100, 40))
        set_up_styles([universal], [style], [save_mask(tmp_path / "style_mask.png", (6, 4))], content_mask=mask)
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
        with pytest.raises(PhotoError, match=r"limit is 6143; --max-pixels sets another$"):
            stylize_file(stylizer, Job(source, tmp_path / "out.png"), files=FileOptions(max_pixels=96 * 64 - 1))

    def test_rejects_before_the_work(self, universal, tmp_path):
        universal.set_style(np.zeros((2, 2, 3), np.uint8))
        universal.generator.read_photos.clear()
        with pytest.raises(PhotoError, match="can't write photos of this suffix"):
            stylize_file(universal, Job(save_photo(tmp_path / "a.bmp"), tmp_path / "a.gif"))
        assert universal.generator.read_photos == []


class TestStylizeFiles:
    def test_a_bad_mask_of_many_is_skipped(self, universal, tmp_path, capsys):
        photos = [save_photo(tmp_path / "in" / f"{name}.png") for name in "abcd"]
        for name, size in (("a", SIZE), ("b", (60, 60)), ("d", SIZE)):
            save_mask(tmp_path / "masks" / f"{name}.png", size)
        (tmp_path / "masks" / "c.png").write_bytes(b"no photo")
        style_mask = save_mask(tmp_path / "style_mask.png", (6, 4))
        style = save_color(tmp_path / "style.png", (200, 100, 40))
        set_up_styles([universal], [style], [style_mask], content_mask=tmp_path / "masks")
        jobs = plan_jobs(photos, tmp_path / "out", masks=tmp_path / "masks")
        failures = stylize_files([universal], jobs)
        assert [path.name for path in sorted((tmp_path / "out").iterdir())] == ["a.png", "d.png"]
        first, second = map(str, failures)
        assert first == (
            f"{photos[1]}: {tmp_path / 'masks' / 'b.png'}: is 60x60 pixels, its photo 96x64: "
            "another aspect ratio, so it can't be resized to fit"
        )
        assert second.startswith(f"{tmp_path / 'masks' / 'c.png'}: not a photo")
        assert capsys.readouterr().err.count("lookcast: skipped: ") == 2

    def test_a_missing_label_is_logged_for_each_photo(self, universal, tmp_path, caplog):
        photos = [save_photo(tmp_path / "in" / f"{name}.png") for name in "ab"]
        for name in "ab":
            save_mask(tmp_path / "masks" / f"{name}.png", SIZE, upper=(255, 0, 0))
        style_mask = save_mask(tmp_path / "style_mask.png", (6, 4), upper=GREEN)
        style = save_color(tmp_path / "style.png", (200, 100, 40))
        set_up_styles([universal], [style], [style_mask], content_mask=tmp_path / "masks")
        with caplog.at_level(logging.WARNING):
            assert stylize_files([universal], plan_jobs(photos, tmp_path / "out", masks=tmp_path / "masks")) == []
        assert [r.getMessage()[:30] for r in caplog.records] == 2 * ["red covers 50 % of the content"]

    @pytest.mark.parametrize("workers", [1, 2, 5])
    def test_photos_at_a_time(self, tmp_path, workers):
        photos = [
            save_photo(tmp_path / "in" / f"{i}.png", name)
            for i, name in enumerate(4 * ["chelsea", "coffee", "astronaut"])
        ]
        stylizer = Stylizer(look(), {}, "cpu")
        threads = torch.get_num_threads()
        assert stylize_files([stylizer], plan_jobs(photos, tmp_path / "out"), workers=workers) == []
        with ThreadPoolExecutor(1) as pool:  # what a worker sets would hold for threads that are made later
            assert pool.submit(torch.get_num_threads).result() == torch.get_num_threads() == threads
        for photo in photos:
            expected = stylizer.stylize(read_photo(photo).pixels)
            assert_same_levels(read_photo(tmp_path / "out" / photo.name).pixels, expected)

    def test_devices_take_turns(self, tmp_path):
        stylizers = [Stylizer(MeanColor(), {}, "cpu") for _ in range(3)]
        style = save_color(tmp_path / "style.png", (200, 100, 40))
        set_up_styles(stylizers, [style])
        photos = [save_photo(tmp_path / "in" / f"{i}.png") for i in range(6)]
        assert stylize_files(stylizers, plan_jobs(photos, tmp_path / "out"), workers=2) == []
        assert [len(stylizer.generator.read_photos) for stylizer in stylizers] == [3, 3, 3]  # the style, two photos

    def test_failures_come_in_the_order_of_the_jobs(self, tmp_path, capsys):
        photos = [save_photo(tmp_path / "in" / f"{i}.png") for i in range(9)]
        for photo in photos[::2]:
            photo.write_bytes(photo.read_bytes()[:100])
        failures = stylize_files([Stylizer(look(), {}, "cpu")], plan_jobs(photos, tmp_path / "out"), workers=3)
        assert [str(failure).split(":")[0] for failure in failures] == [str(photo) for photo in photos[::2]]
        assert len(list((tmp_path / "out").iterdir())) == 4
        assert capsys.readouterr().err.count("lookcast: skipped: ") == 5

    def test_what_the_next_photo_would_fail_on_ends_the_run(self, tmp_path):
        photos = [save_photo(tmp_path / "in" / f"{i}.png") for i in range(200)]
        (tmp_path / "out").write_text("no folder")
        jobs = plan_jobs(photos, tmp_path / "elsewhere")
        jobs = [job._replace(target=tmp_path / "out" / job.target.name) for job in jobs]
        stylizer = Counting(Negative(), {}, "cpu")
        with pytest.raises(InputError, match=r"can't be written"):
            stylize_files([stylizer], jobs, workers=2)
        assert stylizer.count < 20

    @pytest.mark.parametrize("workers", [0, -2])
    def test_rejects_no_worker(self, universal, workers):
        with pytest.raises(InputError, match=rf"^--jobs: expected at least 1 photo at a time, got {workers}$"):
            stylize_files([universal], [], workers=workers)


class Counting(Stylizer):
    count = 0

    def stylize(self, *arguments, **options):
        self.count += 1
        return super().stylize(*arguments, **options)
