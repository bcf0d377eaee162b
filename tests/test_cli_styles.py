"""`lookcast stylize` with a universal checkpoint: style photos of every sort, masks, mixes, and what is refused."""

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from lookcast import cli
from lookcast.cli.stylize import build_parser
from lookcast.inference.stylizer import Stylizer
from lookcast.photos.masks import read_mask
from lookcast.photos.read import read_photo
from lookcast.segmenters import SEGMENTERS, ClusterSegmenter
from lookcast.segmenters.auto_masks import AutoMasks
from tests.looks import assert_same_levels, save_look, save_universal, universal_look
from tests.photo_files import SRGB, png16, save_photo
from tests.runs import save_mask

COFFEE = skimage.data.coffee()[::5, ::5].copy()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_universal(tmp_path_factory.mktemp("checkpoint") / "all.safetensors")


@pytest.fixture
def photo(tmp_path):
    return save_photo(tmp_path / "photo.png")


@pytest.fixture
def styles(tmp_path):
    """Two style photos."""
    Image.fromarray(COFFEE).save(tmp_path / "coffee.png")
    return [tmp_path / "coffee.png", save_photo(tmp_path / "astronaut.png", "astronaut")]


def pixels(path):
    return np.asarray(Image.open(path))


def stylized(path, styles, *masks, **options):
    """Return the output of the Python interface for files."""
    photos = [read_photo(style).pixels for style in styles]
    return Stylizer(universal_look(), {}, "cpu").stylize(read_photo(path).pixels, photos, *masks, **options)


class TestStyle:
    def test_known_value(self, tmp_path, run, photo, styles):
        out = tmp_path / "out.png"
        assert run(photo, "--style", styles[0], "-o", out) == (0, f"{out}\n", "")
        expected = stylized(photo, styles[:1])
        assert np.array_equal(pixels(out), expected)
        assert np.abs(expected.astype(int) - pixels(photo)).mean() > 5  # the look is there

    def test_its_own_photo_stays(self, tmp_path, run, photo):
        assert run(photo, "--style", photo, "-o", tmp_path / "out.png")[0] == 0
        assert np.array_equal(pixels(tmp_path / "out.png"), pixels(photo))

    def test_strength(self, tmp_path, run, photo, styles):
        for strength in (0, 0.5):
            arguments = ("--style", styles[0], "--strength", strength, "-o", tmp_path / "out.png")
            assert run(photo, *arguments)[0] == 0
            assert np.array_equal(pixels(tmp_path / "out.png"), stylized(photo, styles[:1], strength=strength))

    def test_several_are_mixed(self, tmp_path, run, photo, styles):
        out = tmp_path / "out.png"
        given = ("--style", styles[0], "--style", styles[1], "-o", out)
        assert run(photo, *given)[0] == 0
        alike = pixels(out).copy()
        assert np.array_equal(alike, stylized(photo, styles))
        assert run(photo, *given, "--weights", "1,3")[0] == 0
        weighed = pixels(out)
        assert np.array_equal(weighed, stylized(photo, styles, weights=[1, 3]))
        assert np.abs(weighed.astype(int) - alike).mean() > 1

    def test_folder_of_photos(self, tmp_path, run, styles):
        for name in ("chelsea", "coffee"):
            save_photo(tmp_path / "in" / f"{name}.png", name)
        out = tmp_path / "out"
        assert run(tmp_path / "in", "--style", styles[1], "-o", out) == (0, f"2 of 2 photos written to {out}\n", "")
        for name in ("chelsea", "coffee"):
            assert_same_levels(pixels(out / f"{name}.png"), stylized(tmp_path / "in" / f"{name}.png", styles[1:]))

    def test_max_pixels_holds_for_styles(self, tmp_path, run, photo, styles):
        code, _, err = run(photo, "--style", styles[0], "-o", tmp_path / "out.png", "--max-pixels", 96 * 64)
        assert code == 2
        assert f"{styles[0]}: too large" in err
        assert err.endswith("--max-pixels changes the limit\n")
        assert not (tmp_path / "out.png").exists()


class TestUnusualStyles:
    """Style photos of other modes give the look of the plain photo."""

    @pytest.mark.parametrize(
        ("name", "save", "plain"),
        [
            ("grey.png", lambda p: Image.fromarray(COFFEE).convert("L").save(p), lambda: _grey(COFFEE)),
            ("alpha.png", lambda p: Image.fromarray(np.dstack((COFFEE, COFFEE[..., 0]))).save(p), lambda: COFFEE),
            ("grey_alpha.png", lambda p: Image.fromarray(COFFEE).convert("LA").save(p), lambda: _grey(COFFEE)),
            ("palette.png", lambda p: _palette().save(p), lambda: np.asarray(_palette().convert("RGB"))),
            ("profile.jpg", lambda p: Image.fromarray(COFFEE).save(p, quality=95, icc_profile=SRGB), None),
            ("inks.jpg", lambda p: Image.fromarray(COFFEE).convert("CMYK").save(p, quality=95), None),
            ("one.gif", lambda p: Image.fromarray(COFFEE).quantize(256).save(p), None),
            ("photo.webp", lambda p: Image.fromarray(COFFEE).save(p, quality=95), None),
        ],
    )
    def test_kind(self, tmp_path, run, photo, name, save, plain):
        save(tmp_path / name)
        out = tmp_path / "out.png"
        assert run(photo, "--style", tmp_path / name, "-o", out) == (0, f"{out}\n", "")
        stylizer = Stylizer(universal_look(), {}, "cpu")
        content = read_photo(photo).pixels
        if plain is not None:
            assert np.array_equal(pixels(out), stylizer.stylize(content, plain()))
        else:  # stored with a loss
            difference = np.abs(pixels(out).astype(int) - stylizer.stylize(content, COFFEE))
            assert difference.mean() < 3
            assert np.abs(pixels(out).astype(int) - content).mean() > 4 * difference.mean()

    def test_16_bits(self, tmp_path, run, photo):
        (tmp_path / "deep.png").write_bytes(png16(COFFEE.astype(np.uint16) * 257, 2))
        code, _, err = run(photo, "--style", tmp_path / "deep.png", "-o", tmp_path / "out.png")
        assert code == 0
        assert err.count("\n") <= 1
        expected = Stylizer(universal_look(), {}, "cpu").stylize(read_photo(photo).pixels, COFFEE)
        assert np.array_equal(pixels(tmp_path / "out.png"), expected)

    def test_one_pixel_is_a_photo_of_one_colour(self, tmp_path, run, photo):
        outputs = []
        for size in ((1, 1), (50, 40)):
            Image.new("RGB", size, (200, 120, 40)).save(tmp_path / "style.png")
            assert run(photo, "--style", tmp_path / "style.png", "-o", tmp_path / "out.png")[0] == 0
            outputs.append(pixels(tmp_path / "out.png").astype(int))
        assert np.abs(outputs[0] - outputs[1]).max() <= 1
        # Nearly all colour is the style's, and nearly no contrast is left.
        assert np.abs(outputs[0].mean((0, 1)) - (200, 120, 40)).max() < 25
        assert outputs[0].std((0, 1)).mean() < 0.5 * pixels(photo).std((0, 1)).mean()

    @pytest.mark.parametrize("size", [(4000, 40), (40, 4000)])
    @pytest.mark.parametrize("options", [(), ("--auto-masks", "clusters")])
    def test_a_strip(self, tmp_path, run, photo, size, options):
        Image.fromarray(COFFEE).resize(size).save(tmp_path / "strip.png")
        out = tmp_path / "out.png"
        assert run(photo, "--style", tmp_path / "strip.png", "-o", out, *options) == (0, f"{out}\n", "")
        # A photo is seen as a square: stretched to a strip, it has the same look.
        if not options:
            expected = Stylizer(universal_look(), {}, "cpu").stylize(read_photo(photo).pixels, COFFEE).astype(int)
            assert np.abs(pixels(out) - expected).mean() < 4
        assert run(tmp_path / "strip.png", "--style", photo, "-o", out, *options) == (0, f"{out}\n", "")
        assert Image.open(out).size == size


def _grey(rgb):
    return np.asarray(Image.fromarray(rgb).convert("L").convert("RGB"))


def _palette():
    return Image.fromarray(COFFEE).quantize(200)


class TestMasks:
    def test_known_value(self, tmp_path, run, photo, styles):
        content_mask = save_mask(tmp_path / "regions.png", (96, 64))
        style_mask = save_mask(tmp_path / "style_regions.png", COFFEE.shape[1::-1])
        out = tmp_path / "out.png"
        masks = ("--content-mask", content_mask, "--style-mask", style_mask)
        assert run(photo, "--style", styles[0], *masks, "-o", out) == (0, f"{out}\n", "")
        expected = stylized(photo, styles[:1], read_mask(content_mask), read_mask(style_mask))
        assert np.array_equal(pixels(out), expected)
        assert np.abs(expected.astype(int) - stylized(photo, styles[:1])).mean() > 1  # masks change it

    def test_for_several_styles(self, tmp_path, run, photo, styles):
        content_mask = save_mask(tmp_path / "regions.png", (96, 64))
        sizes = [COFFEE.shape[1::-1], (96, 64)]
        style_masks = [save_mask(tmp_path / f"mask{n}.png", size) for n, size in enumerate(sizes)]
        given = [word for s, m in zip(styles, style_masks, strict=True) for word in ("--style", s, "--style-mask", m)]
        out = tmp_path / "out.png"
        assert run(photo, *given, "--content-mask", content_mask, "--weights", "2,1", "-o", out) == (0, f"{out}\n", "")
        masks = read_mask(content_mask), [read_mask(mask) for mask in style_masks]
        assert np.array_equal(pixels(out), stylized(photo, styles, *masks, weights=[2, 1]))

    def test_folder_of_photos_with_a_folder_of_masks(self, tmp_path, run, styles):
        for name in ("chelsea", "coffee"):
            save_photo(tmp_path / "in" / f"{name}.png", name)
        save_mask(tmp_path / "masks" / "chelsea.png", (96, 64))
        save_mask(tmp_path / "masks" / "coffee.png", (48, 32), upper=(0, 255, 0), lower=(0, 0, 255))
        style_mask = save_mask(tmp_path / "style_mask.png", COFFEE.shape[1::-1])
        masks = ("--content-mask", tmp_path / "masks", "--style-mask", style_mask)
        out = tmp_path / "out"
        code, stdout, err = run(tmp_path / "in", "--style", styles[0], *masks, "-o", out)
        assert (code, stdout, err) == (0, f"2 of 2 photos written to {out}\n", "")
        for name in ("chelsea", "coffee"):
            source, mask = tmp_path / "in" / f"{name}.png", read_mask(tmp_path / "masks" / f"{name}.png")
            expected = stylized(source, styles[:1], mask, read_mask(style_mask))
            assert_same_levels(pixels(out / f"{name}.png"), expected)
            other = stylized(source, styles[:1], torch.where(mask < 2, 1 - mask, mask), read_mask(style_mask))
            assert np.abs(expected.astype(int) - other).mean() > 1  # each has its own mask

    def test_a_label_that_the_style_lacks_is_named(self, tmp_path, run, photo, styles, caplog):
        content_mask = save_mask(tmp_path / "regions.png", (96, 64), upper=(255, 0, 255))
        style_mask = save_mask(tmp_path / "style_regions.png", COFFEE.shape[1::-1])
        masks = ("--content-mask", content_mask, "--style-mask", style_mask)
        assert run(photo, "--style", styles[0], *masks, "-o", tmp_path / "out.png")[0] == 0
        (record,) = caplog.records
        assert record.getMessage().startswith("purple covers 50 % of the content and is not in the style")


class TestAutoMasks:
    def test_choices_are_the_segmenters(self):
        actions = {action.dest: action for action in build_parser()._actions}
        assert set(actions["auto_masks"].choices) == set(SEGMENTERS)

    @pytest.mark.parametrize("count", [1, 2])
    def test_known_value(self, tmp_path, run, photo, styles, count):
        out, folder = tmp_path / "out.png", tmp_path / "masks"
        given = [word for style in styles[:count] for word in ("--style", style)]
        options = ("--auto-masks", "clusters", "--save-masks", folder)
        assert run(photo, *given, *options, "-o", out) == (0, f"{out}\n", "")
        content = read_photo(photo).pixels
        masks = AutoMasks(ClusterSegmenter(), [read_photo(style).pixels for style in styles[:count]])
        expected = Stylizer(universal_look(), {}, "cpu").stylize(content, **masks(content))
        assert np.array_equal(pixels(out), expected)
        stems = ["photo"] if count == 1 else ["photo_1", "photo_2"]
        names = {f"{role}/{stem}.png" for stem in stems for role in ("content", "style")}
        assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")} == names

    def test_saved_masks_may_be_given(self, tmp_path, run, photo, styles):
        found, given, folder = tmp_path / "found.png", tmp_path / "given.png", tmp_path / "masks"
        options = ("--auto-masks", "clusters", "--save-masks", folder)
        assert run(photo, "--style", styles[0], *options, "-o", found)[0] == 0
        masks = [
            word
            for role in ("content", "style")
            for word in (f"--{role}-mask", folder / role / "photo.png")
        ]  # fmt: skip
        assert run(photo, "--style", styles[0], *masks, "-o", given)[0] == 0
        # Nine labels instead of as many as were found: another order of sums.
        assert np.abs(pixels(found).astype(int) - pixels(given)).max() <= 1

    def test_folder_of_photos(self, tmp_path, run, styles):
        for name in ("chelsea", "coffee"):
            save_photo(tmp_path / "in" / f"{name}.png", name)
        options = ("--auto-masks", "clusters", "--save-masks", tmp_path / "masks")
        code, stdout, _ = run(tmp_path / "in", "--style", styles[1], *options, "-o", tmp_path / "out")
        assert (code, stdout) == (0, f"2 of 2 photos written to {tmp_path / 'out'}\n")
        masks = tmp_path / "masks"
        names = {f"{role}/{name}.png" for name in ("chelsea", "coffee") for role in ("content", "style")}
        assert {path.relative_to(masks).as_posix() for path in masks.rglob("*.png")} == names

    def test_rejects_photos_that_would_share_a_mask(self, tmp_path, run, styles):
        for name in ("a.png", "a.jpg"):
            save_photo(tmp_path / "in" / name, "chelsea")
        options = ("--style", styles[1], "--auto-masks", "clusters", "--save-masks", tmp_path / "masks")
        code, _, err = run(tmp_path / "in", *options, "-o", tmp_path / "out")
        assert code == 2
        assert err.endswith("would share the mask a.png\n")
        assert not (tmp_path / "out").exists()

    def test_options_may_stand_between_photos(self, tmp_path, run, styles):
        photos = [save_photo(tmp_path / f"{name}.png", name) for name in ("chelsea", "coffee")]
        out = tmp_path / "out"
        assert run(photos[0], "--style", styles[0], "-o", out, photos[1])[0] == 0
        assert {path.name for path in out.iterdir()} == {"chelsea.png", "coffee.png"}


class TestInputsAreKept:
    """No file that is read is written over, whatever its role and the way to it; `--overwrite` allows it."""

    def arguments(self, role, tmp_path, photo, styles, checkpoint):
        """Words of the command line, and the file that would be lost."""
        content_mask = save_mask(tmp_path / "mask" / "photo.png", (96, 64))
        style_mask = save_mask(tmp_path / "style_mask.png", (96, 64))
        style = tmp_path / "style" / "photo.png"
        style.parent.mkdir()
        style.write_bytes(styles[1].read_bytes())
        given = ("--style", style, "--content-mask", content_mask, "--style-mask", style_mask)
        found = ("--style", style, "--auto-masks", "clusters", "--save-masks")
        hard = tmp_path / "hard.png"
        if role == "style by a hard link":
            hard.hardlink_to(style)
        return {
            "style": ((*given, "-o", style), style),
            "style by its folder": ((*given, "-o", style.parent), style),
            "style by a hard link": ((*given, "-o", hard), style),
            "content mask": ((*given, "-o", content_mask), content_mask),
            "content mask by its folder": ((*given, "-o", content_mask.parent), content_mask),
            "style mask": ((*given, "-o", style_mask), style_mask),
            "saved mask": ((*found, tmp_path / "found", "-o", tmp_path / "out.png"), style),
        }[role]

    @pytest.mark.parametrize(
        ("role", "line"),
        [
            ("style", "is a style photo"),
            ("style by its folder", "is a style photo"),
            ("style by a hard link", "is a style photo"),
            ("content mask", "is the mask of one of the photos"),
            ("content mask by its folder", "is the mask of one of the photos"),
            ("style mask", "is the mask of a style photo"),
            ("saved mask", "is a style photo"),
        ],
    )
    def test_known_value(self, tmp_path, run, photo, styles, checkpoint, role, line):
        words, lost = self.arguments(role, tmp_path, photo, styles, checkpoint)
        if role == "saved mask":
            (tmp_path / "found" / "content").mkdir(parents=True)
            (tmp_path / "found" / "content" / "photo.png").symlink_to(lost)
        before = lost.read_bytes()
        code, out, err = run(photo, *words)
        assert (code, out) == (2, "")
        assert err.endswith(f": {line}; --overwrite allows writing over it\n")
        assert err.count("\n") == 1
        assert lost.read_bytes() == before
        if role == "style by its folder":
            assert run(photo, *words, "--overwrite")[0] == 0
            assert lost.read_bytes() != before

    def test_checkpoint(self, tmp_path, run, photo, styles, checkpoint):
        (tmp_path / "out.png").hardlink_to(checkpoint)
        before = checkpoint.read_bytes()
        code, _, err = run(photo, "--style", styles[0], "-o", tmp_path / "out.png")
        assert (code, err.endswith("out.png: is the checkpoint; --overwrite allows writing over it\n")) == (2, True)
        assert checkpoint.read_bytes() == before

    def test_a_saved_mask_and_a_photo_for_one_file(self, tmp_path, run, photo, styles):
        words = ("--style", styles[0], "--auto-masks", "clusters", "--save-masks", tmp_path / "m")
        code, _, err = run(photo, *words, "-o", tmp_path / "m" / "content")
        assert code == 2
        assert err.endswith(f"would both be written to {tmp_path / 'm' / 'content' / 'photo.png'}\n")
        assert not (tmp_path / "m").exists()


class TestRefuses:
    """One line on stderr, exit code 2, nothing written."""

    @pytest.fixture
    def refuse(self, tmp_path, run, photo):
        def check(*arguments, reason):
            code, out, err = run(photo, *arguments, "-o", tmp_path / "out")
            assert (code, out) == (2, "")
            assert err.startswith(f"lookcast: error: {reason}")
            assert err.count("\n") == 1
            assert not (tmp_path / "out").exists()

        return check

    def test_no_style(self, refuse):
        refuse(reason="style: the universal generator needs a style photo")

    def test_style_files(self, tmp_path, refuse, styles):
        (tmp_path / "notes.txt").write_text("no photo")
        refuse("--style", tmp_path / "no.png", reason=f"{tmp_path / 'no.png'}: no such photo")
        refuse("--style", tmp_path / "notes.txt", reason=f"{tmp_path / 'notes.txt'}: not a photo")
        refuse("--style", tmp_path, reason=f"{tmp_path}: is a folder, expected a photo")
        refuse("--style", styles[0], "--style", tmp_path / "no.png", reason=f"{tmp_path / 'no.png'}: no such photo")

    def test_weights(self, refuse, styles):
        two = ("--style", styles[0], "--style", styles[1])
        refuse("--weights", 1, reason="--weights: needs --style")
        refuse(*two, "--weights", 1, reason="--weights: 1 for 2 style photos")
        refuse(*two, "--weights", "1,0", reason="weights: expected positive numbers, got 1.0, 0.0")
        refuse(*two, "--weights", "1,nan", reason="weights: expected positive numbers, got 1.0, nan")
        refuse(*two, "--weights", "1e308,1e308", reason="weights: their sum is beyond the largest number, 1e+308")

    def test_masks(self, tmp_path, refuse, styles):
        mask, square = save_mask(tmp_path / "mask.png", (96, 64)), save_mask(tmp_path / "square.png", (64, 64))
        style, of_content, of_style = ("--style", styles[1]), ("--content-mask", mask), ("--style-mask", mask)
        refuse(*of_content, reason="--content-mask: needs --style and --style-mask")
        refuse(*of_style, reason="--style-mask: needs --style")
        refuse(*style, *of_content, reason="--style-mask: missing, but --content-mask is given; masks come in pairs")
        refuse(*style, *of_style, reason="--content-mask: missing, but --style-mask is given; masks come in pairs")
        refuse(*style, *of_content, *of_style, *of_style, reason="--style-mask: 2 for 1 style photos")
        refuse(
            *style, *of_content, "--style-mask", square, reason=f"{square}: is 64x64 pixels, its photo 96x64: another"
        )
        refuse(
            *style, *of_style, "--content-mask", square, reason=f"{tmp_path / 'photo.png'}: {square}: is 64x64 pixels"
        )
        refuse(*style, *of_style, "--content-mask", tmp_path / "no.png", reason=f"{tmp_path / 'no.png'}: no such photo")
        (tmp_path / "masks").mkdir()
        mask = tmp_path / "masks" / "photo.png"
        missing = f"content-mask: {tmp_path / 'photo.png'} has no mask, {mask} does not exist"
        refuse(*style, *of_style, "--content-mask", tmp_path / "masks", reason=missing)

    def test_masks_for_several_photos(self, tmp_path, refuse, styles):
        mask = save_mask(tmp_path / "mask.png", (96, 64))
        given = ("--style", styles[1], "--content-mask", mask, "--style-mask", mask)
        refuse(styles[0], *given, reason=f"content-mask: {mask} is one file; several photos need a folder of masks")

    def test_auto_masks(self, tmp_path, refuse, styles):
        mask, style = save_mask(tmp_path / "mask.png", (96, 64)), ("--style", styles[1])
        auto = ("--auto-masks", "clusters")
        refuse(*auto, reason="--auto-masks: needs --style")
        refuse(*style, *auto, "--content-mask", mask, reason="--auto-masks: finds masks, so it excludes")
        refuse(*style, *auto, "--style-mask", mask, reason="--auto-masks: finds masks, so it excludes")
        refuse(*style, "--save-masks", tmp_path / "m", reason="--save-masks: needs --auto-masks")
        (tmp_path / "file").write_text("")
        below = tmp_path / "file" / "content" / "photo.png"
        line = f"{below}: can't be written, because {tmp_path / 'file'} is no folder"
        refuse(*style, *auto, "--save-masks", tmp_path / "file", reason=line)

    def test_segmenter_weights(self, tmp_path, refuse, styles):
        style, weights = ("--style", styles[1]), ("--segmenter-weights", tmp_path / "no.pth")
        refuse(*style, *weights, reason="--segmenter-weights: needs --auto-masks")
        refuse(*style, "--auto-masks", "clusters", *weights, reason="segmenter weights: the segmenter clusters takes")
        refuse(*style, "--auto-masks", "torchvision", *weights, reason=f"{tmp_path / 'no.pth'}: no such")

    def test_a_photo_as_mask(self, tmp_path, refuse, styles):
        mask, style = save_mask(tmp_path / "mask.png", (96, 64)), ("--style", styles[1])
        line = f"{styles[1]}: 5"  # pixels of 6144
        refuse(*style, "--style-mask", styles[1], "--content-mask", mask, reason=line)
        refuse(*style, "--style-mask", mask, "--content-mask", styles[1], reason=line)

    def test_a_style_for_a_single_look(self, tmp_path, refuse, styles):
        path = save_look(tmp_path / "look.safetensors")
        reason = "style: the bilateral generator has a fixed style; it takes no style photo and no masks"
        refuse("--style", styles[0], "--checkpoint", path, reason=reason)
        refuse("--style", styles[0], "--auto-masks", "clusters", "--checkpoint", path, reason=reason)

    @pytest.mark.parametrize(
        "options",
        [
            ("--auto-masks", "magic"),
            ("--weights", "much"),
            ("--weights", "1,"),
            ("--weights", ""),
            ("--style",),
            ("--style", ""),
            ("--weights",),
            ("--style-mask", ""),
            ("--content-mask", ""),
            ("--save-masks", ""),
            ("--segmenter-weights", ""),
        ],
    )
    def test_usage(self, tmp_path, photo, capsys, options):
        with pytest.raises(SystemExit) as caught:
            cli.main(["stylize", str(photo), "-o", str(tmp_path / "out"), *options])
        assert caught.value.code == 2
        assert f"lookcast stylize: error: argument {options[0]}: " in capsys.readouterr().err
