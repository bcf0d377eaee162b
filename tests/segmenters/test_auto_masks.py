import numpy as np
import pytest
import torch
from PIL import Image

from lookcast.checks import InputError
from lookcast.inference.stylizer import Stylizer
from lookcast.photos.masks import read_mask
from lookcast.segmenters import ClusterSegmenter, MaskPair, Segmenter
from lookcast.segmenters.auto_masks import MAX_SIDE, AutoMasks
from lookcast.structures import StyleInput
from tests.looks import MeanColor, universal_look
from tests.photo_files import UPRIGHT as PHOTO
from tests.samples import photo


def pixels_of(name, step=4):
    image = photo(name, whole=True)[0, :, ::step, ::step]
    return np.ascontiguousarray((image * 255).round().byte().permute(1, 2, 0).numpy())


COFFEE, ASTRONAUT = pixels_of("coffee"), pixels_of("astronaut")


@pytest.fixture(scope="module")
def segmenter():
    return ClusterSegmenter()


class Halves(Segmenter):
    """Upper and lower half; keeps the sizes of what it is given."""

    def __init__(self):
        self.sizes = []

    def segment_pair(self, content, style):
        self.sizes += [tuple(image.shape[-2:]) for image in (content, style)]
        masks = [torch.zeros(1, 2, *image.shape[-2:]) for image in (content, style)]
        for mask in masks:
            half = mask.shape[-2] // 2
            mask[:, 0, :half], mask[:, 1, half:] = 1, 1
        return MaskPair(*masks, ("upper", "lower"))


def found(options, role, number=0):
    """The mask of the content or of a style in the arguments of `Stylizer.stylize`."""
    return options["content_mask"][number] if role == "content" else options["style"][number].mask


class TestAutoMasks:
    def test_known_value(self, segmenter):
        options = AutoMasks(segmenter, [COFFEE])(PHOTO)
        (style,) = options["style"]
        assert (style.photo is COFFEE, style.weight) == (True, 1)
        tensors = [torch.from_numpy(p).permute(2, 0, 1)[None] / 255 for p in (PHOTO, COFFEE)]
        expected = segmenter.segment_pair(*tensors)
        assert torch.equal(options["content_mask"][0], expected.content)
        assert torch.equal(style.mask, expected.style)
        assert len(expected.labels) > 1

    @pytest.mark.parametrize(
        "kind",
        [
            Image.fromarray,
            lambda p: p / 255,
            lambda p: p.astype(np.uint16) * np.uint16(257),
            lambda p: torch.from_numpy(p).permute(2, 0, 1),
            lambda p: torch.from_numpy(p).permute(2, 0, 1)[None].double() / 255,
            lambda p: np.dstack((p, p[..., 0])),
        ],
        ids=["PIL", "float64", "uint16", "tensor", "batch", "alpha"],
    )
    def test_any_kind_of_photo(self, segmenter, kind):
        expected = AutoMasks(segmenter, [COFFEE])(PHOTO)
        options = AutoMasks(segmenter, [kind(COFFEE)])(kind(PHOTO))
        for role in ("content", "style"):
            mask, other = found(options, role), found(expected, role)
            assert mask.dtype == torch.float32
            assert (mask != other).float().mean() < 1e-3  # 1/257 of rounding at the borders
        output = Stylizer(universal_look(), {}, "cpu").stylize(kind(PHOTO), **options)
        assert type(output) is type(kind(PHOTO))

    def test_a_photo_with_itself_stays(self, segmenter):
        stylizer = Stylizer(universal_look(), {}, "cpu", "float32")
        output = stylizer.stylize(PHOTO / 255, **AutoMasks(segmenter, [PHOTO / 255])(PHOTO / 255))
        assert np.abs(output - PHOTO / 255).max() < 1e-5

    def test_several_styles(self, segmenter):
        options = AutoMasks(segmenter, [StyleInput(COFFEE), StyleInput(ASTRONAUT, weight=3)])(PHOTO)
        assert [style.weight for style in options["style"]] == [1, 3]
        for number, style in enumerate((COFFEE, ASTRONAUT)):
            alone = AutoMasks(segmenter, [style])(PHOTO)
            for role in ("content", "style"):
                assert torch.equal(found(options, role, number), found(alone, role))
        stylizer = Stylizer(universal_look(), {}, "cpu")
        each = [stylizer.stylize(PHOTO / 255, **AutoMasks(segmenter, [s])(PHOTO)) for s in (COFFEE, ASTRONAUT)]
        # The mix is clamped as a whole, so compare where no value was.
        inside = np.all([(output > 0) & (output < 1) for output in each], axis=0)
        mixed = stylizer.stylize(PHOTO / 255, **options)
        np.testing.assert_allclose(mixed[inside], (each[0] / 4 + 3 * each[1] / 4)[inside], atol=1e-5)
        assert inside.mean() > 0.5

    def test_masks_reach_the_generator(self):
        style = np.zeros((96, 6, 3), np.uint8)
        style[48:] = 200
        expected = PHOTO.copy()
        expected[32:] = 200  # MeanColor takes and paints label 1, the lower half
        stylizer = Stylizer(MeanColor(), {}, "cpu")
        assert np.array_equal(stylizer.stylize(PHOTO, **AutoMasks(Halves(), [style])(PHOTO)), expected)

    @pytest.mark.parametrize(
        ("size", "expected"),
        [
            ((64, 96), (64, 96)),
            ((1, 1), (1, 1)),
            ((512, 300), (512, 300)),
            ((1024, 768), (512, 384)),
            ((1200, 1600), (384, 512)),
            ((2, 2048), (1, 1024)),
        ],
    )
    def test_size_of_the_masks(self, size, expected):
        segmenter = Halves()
        AutoMasks(segmenter, [COFFEE])(np.zeros((*size, 3), np.uint8))
        assert segmenter.sizes[0] == expected

    @pytest.mark.parametrize(
        "size", [(1000, 750), (40, 4000), (1000, 83), (3000, 250), (777, 1111), (5, 600), (1, 700)]
    )
    def test_masks_of_any_photo_fit_it(self, size):
        # A panorama too: half a pixel that is rounded away is much of a short side.
        content, style = np.zeros((*size, 3), np.uint8), np.zeros((*size[::-1], 3), np.uint8)
        segmenter = Halves()
        output = Stylizer(MeanColor(), {}, "cpu").stylize(content, **AutoMasks(segmenter, [style])(content))
        assert output.shape == content.shape
        assert all(max(shape) <= 1.1 * MAX_SIDE or min(shape) < 10 for shape in segmenter.sizes)

    def test_clusters_of_unusual_sizes(self, segmenter):
        for size in ((1, 1), (1, 300), (40, 3)):
            content = np.resize(PHOTO, (*size, 3))
            for pair in ((content, COFFEE), (COFFEE, content)):
                options = AutoMasks(segmenter, [pair[1]])(pair[0])
                for role, image in (("content", pair[0]), ("style", pair[1])):
                    mask = found(options, role)
                    assert mask.shape[-2:] == image.shape[:2]
                    assert torch.equal(mask.sum(1), torch.ones(1, *image.shape[:2]))

    def test_rejects_a_batch(self, segmenter):
        with pytest.raises(InputError, match=r"^content: masks are found for one photo at a time, got a batch of 2$"):
            AutoMasks(segmenter, [COFFEE])(torch.zeros(2, 3, 20, 20))

    def test_rejects_a_style_of_another_kind(self, segmenter):
        with pytest.raises(InputError, match=r"^style: expected a path, a PIL image"):
            AutoMasks(segmenter, [3])


class TestSavedMasks:
    def test_are_read_back_as_they_are(self, tmp_path, segmenter):
        options = AutoMasks(segmenter, [COFFEE], folder=tmp_path / "masks")(PHOTO, "cat")
        written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png")}
        assert written == {"masks/content/cat.png", "masks/style/cat.png"}
        for role, image in (("content", PHOTO), ("style", COFFEE)):
            saved = read_mask(tmp_path / "masks" / role / "cat.png", image.shape[:2])
            assert torch.equal(saved, found(options, role)[0].argmax(0))

    def test_of_several_styles(self, tmp_path, segmenter):
        options = AutoMasks(segmenter, [COFFEE, ASTRONAUT], folder=tmp_path)(PHOTO, "cat")
        names = {f"{role}/cat_{n}.png" for n in (1, 2) for role in ("content", "style")}
        assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png")} == names
        for number in (1, 2):
            for role in ("content", "style"):
                saved = read_mask(tmp_path / role / f"cat_{number}.png")
                assert torch.equal(saved, found(options, role, number - 1)[0].argmax(0))

    def test_give_the_same_photo_again(self, tmp_path, segmenter):
        stylizer = Stylizer(universal_look(), {}, "cpu")
        expected = stylizer.stylize(PHOTO, **AutoMasks(segmenter, [COFFEE], folder=tmp_path)(PHOTO, "cat"))
        masks = [read_mask(tmp_path / role / "cat.png") for role in ("content", "style")]
        # Nine labels instead of as many as were found: another order of sums.
        assert np.abs(stylizer.stylize(PHOTO, COFFEE, *masks).astype(int) - expected).max() <= 1

    def test_nothing_is_written_without_a_folder(self, tmp_path, segmenter, monkeypatch):
        monkeypatch.chdir(tmp_path)
        AutoMasks(segmenter, [COFFEE])(PHOTO)
        assert not list(tmp_path.iterdir())

    def test_rejects_a_folder_that_is_a_file(self, tmp_path, segmenter):
        (tmp_path / "file").write_text("")
        with pytest.raises(InputError, match=r"file.*: can't be written"):
            AutoMasks(segmenter, [COFFEE], folder=tmp_path / "file")(PHOTO)
