import pytest
import torch

from lookcast.checks import InputError, ShapeError
from lookcast.inference.masks import open_mask, place_masks
from lookcast.inference.styles import EncodedStyle
from lookcast.ops.masks import UNLABELLED

CPU = torch.device("cpu")
PHOTO = torch.zeros(1, 400, 600, 3)
CONTENT = torch.zeros(2, 40, 60, 3)


def mask(*size, labels=2):
    return torch.full((1, labels, *size), 1 / labels)


def opened(given, photo=PHOTO, side=256):
    return open_mask("mask", given, photo, CPU, side)


class TestOpenMask:
    def test_labels_become_shares(self):
        labels = torch.tensor([[0, 0, 8, 8], [0, 1, 8, UNLABELLED]], dtype=torch.uint8)
        expected = torch.zeros(1, 9, 2, 2)  # each pixel is the mean of two
        expected[0, 0], expected[0, 1, 1, 0] = torch.tensor([[1, 0], [0.5, 0]]), 0.5
        expected[0, 8, :, 1] = torch.tensor([1, 0.5])
        assert torch.equal(open_mask("mask", labels, torch.zeros(1, 2, 4, 3), CPU, 2), expected)

    def test_labels_of_a_batch(self):
        labels = torch.randint(0, 9, (2, 40, 60), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
        one_hot = torch.nn.functional.one_hot(labels.long(), 9).permute(0, 3, 1, 2).float()
        assert torch.equal(opened(labels, CONTENT), one_hot)

    def test_labels_are_as_small_as_they_are_used(self):
        assert opened(torch.zeros(400, 600, dtype=torch.uint8)).shape == (1, 9, 256, 256)
        assert opened(torch.zeros(40, 60, dtype=torch.uint8)).shape == (1, 9, 40, 60)

    def test_soft_masks_stay(self):
        given = mask(40, 60)
        assert torch.equal(opened(given), given)
        assert opened(given.half()).dtype == torch.float32

    def test_resized_masks_may_overshoot_by_rounding(self):
        assert opened(mask(40, 60) * 2 + 1e-6).shape == (1, 2, 40, 60)

    @pytest.mark.parametrize("size", [(400, 600), (40, 60), (133, 200), (800, 1200), (399, 600), (2, 3)])
    def test_the_same_aspect_ratio(self, size):
        assert opened(mask(*size)).shape == (1, 2, *size)
        assert opened(torch.zeros(size, dtype=torch.uint8)).any()

    @pytest.mark.parametrize("size", [(600, 400), (400, 590), (40, 70), (1, 10)])
    def test_rejects_another_aspect_ratio(self, size):
        for given in (mask(*size), torch.zeros(size, dtype=torch.uint8)):
            with pytest.raises(InputError, match=rf"^mask: is {size[1]}x{size[0]} pixels, its photo 600x400: another"):
                opened(given)

    @pytest.mark.parametrize("values", [(-1.0, 1.0), (0.0, 255.0), (0.0, float("nan")), (0.0, float("inf"))])
    def test_rejects_values_outside_0_to_1(self, values):
        wrong = mask(40, 60)
        wrong[0, 0, 0, :2] = torch.tensor(values)
        with pytest.raises(InputError, match=r"^mask: masks are in \[0, 1\], this one goes from"):
            opened(wrong)

    def test_rejects_unknown_labels(self):
        with pytest.raises(InputError, match=r"^mask: labels are 0 to 8, or 255 for none; got 9$"):
            opened(torch.full((40, 60), 9, dtype=torch.uint8))

    @pytest.mark.parametrize("given", [torch.zeros(1, 9, 40, 60), torch.full((40, 60), UNLABELLED, dtype=torch.uint8)])
    def test_rejects_a_mask_without_labels(self, given):
        with pytest.raises(InputError, match=r"^mask: labels no pixel, all of its values are (0|255)$"):
            opened(given)

    @pytest.mark.parametrize("shape", [(1, 0, 40, 60), (1, 2, 0, 0), (1, 2, 0, 60)])
    def test_rejects_an_empty_mask(self, shape):
        with pytest.raises(InputError, match=r"^mask: has no labels or no pixels, its shape is"):
            opened(torch.zeros(shape))

    @pytest.mark.parametrize(
        ("given", "reason"),
        [
            ("mask.png", "expected a path, a PIL image, an array or a tensor, got str"),
            (
                torch.zeros(1, 2, 40, 60, dtype=torch.int64),
                "expected uint8 labels or .*, got torch.int64",
            ),
            (torch.zeros(1, 2, 40, 60, device="meta"), "expected a tensor with values, got one on the meta device"),
            (torch.zeros(1, 2, 40, 60).to_sparse(), "expected a dense tensor, got one of layout torch.sparse_coo"),
        ],
    )
    def test_rejects_other_kinds(self, given, reason):
        with pytest.raises(InputError, match=f"^mask: {reason}$"):
            opened(given)

    def test_rejects_other_shapes(self):
        with pytest.raises(ShapeError, match=r"^mask: expected shape \(1, K, h, w\)"):
            opened(torch.zeros(2, 40, 60))
        with pytest.raises(ShapeError, match=r"^mask: expected shape \(1, h, w\)"):
            opened(torch.zeros(2, 40, 60, dtype=torch.uint8))


class TestPlaceMasks:
    def placed(self, masks, styles):
        return place_masks(masks, styles, CONTENT, CPU, 256)

    def test_one_for_all_is_placed_once(self):
        styles = [EncodedStyle(None, mask(4, 6), 0.5)] * 2
        first, second = self.placed(mask(40, 60).expand(2, -1, -1, -1), styles)
        assert first is second

    def test_one_for_each(self):
        styles = [EncodedStyle(None, mask(4, 6), 0.5)] * 2
        given = [mask(40, 60).expand(2, -1, -1, -1), mask(20, 30).expand(2, -1, -1, -1)]
        assert all(torch.equal(*pair) for pair in zip(self.placed(given, styles), given, strict=True))

    def test_none(self):
        assert self.placed(None, [EncodedStyle(None, None, 1.0)]) == [None]
        assert self.placed(None, []) == []

    def test_labels_are_counted_for_each_pair(self):
        styles = [EncodedStyle(None, mask(4, 6, labels=k), 0.5) for k in (2, 5)]
        masks = [mask(40, 60, labels=k).expand(2, -1, -1, -1) for k in (2, 5)]
        assert [found.shape[1] for found in self.placed(masks, styles)] == [2, 5]
        with pytest.raises(InputError, match=r"^style_mask: has 5 labels, content_mask has 2$"):
            self.placed(masks[0], styles)

    def test_rejects_one_mask_for_a_batch(self):
        with pytest.raises(ShapeError, match=r"^content_mask: expected shape \(2, K, h, w\)"):
            self.placed(mask(40, 60), [EncodedStyle(None, mask(4, 6), 1.0)])
