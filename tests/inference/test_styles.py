import numpy as np
import pytest
import torch

from lookcast.checks import InputError, ShapeError
from lookcast.inference.styles import EncodedStyle, check_mask_fits, list_styles, pair_masks

ONE, TWO = np.zeros((4, 6, 3), np.uint8), np.full((5, 3, 3), 255, np.uint8)


def mask(*size, labels=2):
    return torch.full((1, labels, *size), 1 / labels)


class TestListStyles:
    def test_known_value(self):
        first, second = list_styles([ONE, TWO], [mask(4, 6), mask(5, 3, labels=7)], [1, 4])
        assert (first.pixels.shape, first.weight, first.mask.shape) == ((1, 4, 6, 3), 0.2, (1, 2, 4, 6))
        assert (second.pixels.shape, second.weight, second.mask.shape) == ((1, 5, 3, 3), 0.8, (1, 7, 5, 3))
        assert second.pixels.min() == 255

    @pytest.mark.parametrize("style", [ONE, [ONE], (ONE,), torch.zeros(3, 4, 6), [torch.zeros(1, 3, 4, 6)]])
    def test_one(self, style):
        # An array and a tensor are one photo, not a list of rows.
        (photo,) = list_styles(style, None, None)
        assert torch.equal(photo.pixels.float(), torch.zeros(1, 4, 6, 3))
        assert (photo.weight, photo.mask) == (1, None)

    def test_shares_sum_to_1(self):
        for weights in (None, (1, 1, 1), [1e-9, 2e-9, 3e-9], np.array([5, 1, 1])):
            assert sum(photo.weight for photo in list_styles([ONE, TWO, ONE], None, weights)) == pytest.approx(1)

    def test_rejects_a_batch(self):
        with pytest.raises(InputError, match=r"^style: expected single photos, got a batch of 3;"):
            list_styles(torch.zeros(3, 3, 4, 6), None, None)

    def test_rejects_masks_for_one_of_two(self):
        with pytest.raises(InputError, match=r"^style_mask: 3 for 2 style photos; each needs its own$"):
            list_styles([ONE, TWO], 3 * [mask(4, 6)], None)
        with pytest.raises(InputError, match=r"^style_mask: 0 for 1 style photos"):
            list_styles(ONE, [], None)


class TestPairMasks:
    CONTENT = torch.zeros(2, 40, 60, 3)

    def test_known_value(self):
        there = mask(4, 6)
        looks = [EncodedStyle(None, 0.5, there), EncodedStyle(None, 0.5, there)]
        one = mask(40, 60).expand(2, -1, -1, -1)
        assert [m is one for m in pair_masks(one, looks, self.CONTENT)] == [True, True]
        other = one.clone()
        assert [m is o for m, o in zip(pair_masks([one, other], looks, self.CONTENT), (one, other), strict=True)] == [
            True,
            True,
        ]

    def test_none(self):
        assert pair_masks(None, [EncodedStyle(None, 1.0, None)], self.CONTENT) == [None]
        assert pair_masks(None, [], self.CONTENT) == []

    def test_labels_are_counted_for_each_pair(self):
        looks = [EncodedStyle(None, 0.5, mask(4, 6, labels=2)), EncodedStyle(None, 0.5, mask(4, 6, labels=5))]
        masks = [mask(40, 60, labels=k).expand(2, -1, -1, -1) for k in (2, 5)]
        assert len(pair_masks(masks, looks, self.CONTENT)) == 2
        with pytest.raises(InputError, match=r"^style_mask: has 5 labels, content_mask has 2$"):
            pair_masks(masks[0], looks, self.CONTENT)

    def test_rejects_one_mask_for_a_batch(self):
        with pytest.raises(ShapeError, match=r"^content_mask: expected shape \(2, K, h, w\)"):
            pair_masks(mask(40, 60), [EncodedStyle(None, 1.0, mask(4, 6))], self.CONTENT)


class TestCheckMaskFits:
    PIXELS = torch.zeros(1, 400, 600, 3)

    @pytest.mark.parametrize("size", [(400, 600), (40, 60), (133, 200), (800, 1200), (399, 600), (2, 3)])
    def test_the_same_aspect(self, size):
        check_mask_fits("mask", mask(*size), self.PIXELS)

    @pytest.mark.parametrize("values", [(-1.0, 1.0), (0.0, 255.0), (0.0, float("nan")), (0.0, float("inf"))])
    def test_rejects_what_is_outside_of_0_to_1(self, values):
        wrong = mask(40, 60)
        wrong[0, 0, 0, :2] = torch.tensor(values)
        with pytest.raises(InputError, match=r"^mask: masks are in \[0, 1\], this one goes from"):
            check_mask_fits("mask", wrong, self.PIXELS)

    def test_resized_masks_may_overshoot_by_rounding(self):
        check_mask_fits("mask", mask(40, 60) * 2 + 1e-6, self.PIXELS)
        check_mask_fits("mask", mask(40, 60).half(), self.PIXELS)

    @pytest.mark.parametrize("shape", [(1, 0, 40, 60), (1, 2, 0, 0), (1, 2, 0, 60)])
    def test_rejects_an_empty_mask(self, shape):
        with pytest.raises(InputError, match=r"^mask: has no labels or no pixels, its shape is"):
            check_mask_fits("mask", torch.zeros(shape), self.PIXELS)

    @pytest.mark.parametrize("size", [(600, 400), (400, 590), (40, 70), (1, 10)])
    def test_rejects_another_aspect(self, size):
        with pytest.raises(InputError, match=rf"^mask: is {size[1]}x{size[0]} pixels, its photo 600x400: another"):
            check_mask_fits("mask", mask(*size), self.PIXELS)
