import numpy as np
import pytest
import torch

from lookcast.checks import ShapeError
from lookcast.ops.resize import resize_pixels, thumbnail_of
from tests.samples import photo, rand

SIDE = 256


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
