import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lookcast.checks import InputError, ShapeError
from lookcast.ops.resize import _resize_by_products, resize_image, resize_pixels, thumbnail_of
from tests.samples import photo, rand

SIDE = 256


def planes_resized(image, size):
    """Resize each plane alone, in float64."""
    planes = image.double().flatten().view(-1, 1, *image.shape[-2:])
    return F.interpolate(planes, size, mode="bilinear", antialias=True).view(*image.shape[:2], *size)


class TestThumbnailOf:
    @pytest.mark.parametrize("size", [(1, 1), (20, 300), (256, 100), (400, 300)])
    def test_shape(self, size):
        small = thumbnail_of(rand(2, 3, *size), SIDE)
        assert small.shape == (2, 3, SIDE, SIDE)
        assert 0 <= small.min() < small.max() <= 1

    def test_a_thumbnail_is_its_own(self):
        image = rand(1, 3, SIDE, SIDE)
        assert thumbnail_of(image, SIDE) is image

    def test_known_value(self):
        # A ramp keeps its ends' place: pixel x of 256 lies at (x + .5) / 256 of the width.
        ramp = ((torch.arange(1024).double() + 0.5) / 1024).expand(1, 3, 64, -1)
        expected = ((torch.arange(256).double() + 0.5) / 256).expand(1, 3, 256, -1)
        torch.testing.assert_close(thumbnail_of(ramp, SIDE)[..., 2:-2], expected[..., 2:-2], rtol=0, atol=1e-12)


class TestResizeImage:
    @pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.float32, torch.float64])
    @pytest.mark.parametrize("channels", [1, 3, 4])
    @pytest.mark.parametrize(
        ("size", "new"), [((9, 1), (4, 1)), ((9, 1), (4, 6)), ((4, 5), (12, 1)), ((2, 8), (1, 1)), ((1, 5), (1, 1))]
    )
    def test_a_width_of_one(self, size, new, channels, dtype):
        """torch's kernels for channels last and for uint8 are wrong here, so the reference resizes float planes."""
        values = (rand(2, channels, *size) * 8).floor() / 8
        image = (values * 255).floor().to(dtype) if dtype == torch.uint8 else values.to(dtype)
        # Integers and half precision are rounded once; float32 sums up to nine weighted values.
        limit = {torch.uint8: 0.51, torch.float16: 1e-3, torch.float32: 2e-6, torch.float64: 1e-14}[dtype]
        rows = image.permute(2, 3, 1, 0).contiguous().permute(3, 2, 0, 1)  # the layout of a transposed numpy array
        for layout in (image, image.contiguous(memory_format=torch.channels_last), rows, rows[:1].expand_as(rows)):
            expected = planes_resized(layout, new)
            small = resize_image(layout, *new)
            assert small.dtype == dtype
            assert (small.double() - expected).abs().max() <= limit

    @pytest.mark.parametrize(
        ("image", "size", "message"),
        [
            (torch.zeros(3, 4, 5), (2, 2), r"image: expected shape \(B, C, H, W\), got \(3, 4, 5\)"),
            (torch.zeros(1, 3, 0, 5), (2, 2), r"image: expected at least one element, got the shape \(1, 3, 0, 5\)"),
            (torch.zeros(1, 3, 4, 5, dtype=torch.int64), (2, 2), "image: expected floating point, got torch.int64"),
            (torch.zeros(1, 3, 4, 5), (0, 2), "size: expected at least 1 x 1, got 0 x 2"),
        ],
    )
    def test_rejects(self, image, size, message):
        with pytest.raises(InputError, match=f"^{message}$"):
            resize_image(image, *size)


class TestResizePixels:
    @staticmethod
    def pixels(kind, size):
        image = torch.nn.functional.interpolate(photo("coffee").float(), size, mode="bilinear")[0].permute(1, 2, 0)
        if kind.is_floating_point:
            return image
        levels = torch.iinfo(kind).max
        return torch.from_numpy((image * levels).round().numpy().astype({255: np.uint8, 65535: np.uint16}[levels]))

    @pytest.mark.parametrize("size", [(1, 1), (20, 300), (700, 1000)])
    @pytest.mark.parametrize(
        ("kind", "tolerance"), [(torch.uint8, 1.01 / 255), (torch.uint16, 1e-6), (torch.float32, 1e-6)], ids=str
    )
    def test_matches_the_whole_image_in_floating_point(self, kind, tolerance, size):
        pixels = self.pixels(kind, size)
        # Averages of values in [0, 1] with positive weights: rounding of the weights and the sums, some units of 6e-8.
        levels = 1 if kind.is_floating_point else torch.iinfo(kind).max
        expected = thumbnail_of(pixels.permute(2, 0, 1)[None].double() / levels, SIDE).float()
        actual = resize_pixels(pixels, (SIDE, SIDE))
        assert actual.dtype == torch.float32
        torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance)

    def test_integers_are_off_by_chance(self):
        pixels = self.pixels(torch.uint8, (700, 1000))
        expected = thumbnail_of(pixels.permute(2, 0, 1)[None].double() / 255, SIDE).float()
        assert (resize_pixels(pixels, (SIDE, SIDE)) - expected).mean().abs() < 0.01 / 255

    def test_of_no_square(self):
        pixels = self.pixels(torch.float32, (40, 60))
        whole = pixels.permute(2, 0, 1)[None]
        expected = torch.nn.functional.interpolate(whole, (20, 24), mode="bilinear", antialias=True)
        torch.testing.assert_close(resize_pixels(pixels, (20, 24)), expected, rtol=0, atol=1e-6)

    @pytest.mark.parametrize("kind", [torch.uint8, torch.uint16], ids=str)
    def test_any_memory_layout(self, kind):
        pixels = self.pixels(kind, (40, 60))
        planar = torch.stack([pixels[..., c].clone() for c in range(3)]).permute(1, 2, 0)
        assert torch.equal(resize_pixels(planar, (SIDE, SIDE)), resize_pixels(pixels, (SIDE, SIDE)))

    def test_rejects_what_are_no_pixels(self):
        with pytest.raises(ShapeError, match=r"^pixels: expected shape \(H, W, 3\)"):
            resize_pixels(torch.zeros(3, 4, 5), (2, 2))


class TestResizeByProducts:
    """What a GPU computes, on the CPU."""

    @pytest.mark.parametrize("kind", [torch.uint8, torch.uint16, torch.float32])
    @pytest.mark.parametrize(("old", "new"), [((3000, 40), (256, 20)), ((281, 300), (256, 256)), ((1, 5), (7, 3))])
    def test_equals_the_resized_planes(self, kind, old, new):
        pixels, white = rand(*old, 3), 1 if kind.is_floating_point else torch.iinfo(kind).max
        pixels = (pixels * white if white == 1 else (pixels * white).round()).to(kind)
        expected = planes_resized(pixels.double().permute(2, 0, 1)[None] / white, new)
        small = _resize_by_products(pixels, new)
        assert small.dtype == torch.float32
        assert 0 <= small.min() <= small.max() <= 1
        assert (small - expected).abs().max() <= (0.15 / 255 if kind == torch.uint8 else 1e-5)

    @pytest.mark.parametrize("height", [281, 256, 1000])
    def test_white_stays_white(self, height):
        small = _resize_by_products(torch.full((height, 300, 3), 255, dtype=torch.uint8), (256, 256))
        assert 1 - 0.15 / 255 <= small.min() <= small.max() <= 1

    @pytest.mark.parametrize(("shape", "size"), [((0, 4, 3), (2, 2)), ((4, 0, 3), (2, 2)), ((4, 4, 3), (0, 2))])
    def test_rejects(self, shape, size):
        with pytest.raises(InputError, match=r"^pixels, size: expected at least 1 x 1, got"):
            _resize_by_products(torch.zeros(shape), size)
