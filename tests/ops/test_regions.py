import pytest
import torch

from lookcast.checks import InputError, ShapeError
from lookcast.ops.regions import (
    MIN_SHARE,
    absent_labels,
    check_mask_pair,
    check_mask_pairing,
    fall_back,
    label_shares,
    mean_over_labels,
)
from tests.samples import rand

HALF = MIN_SHARE / 2


class TestCheckMaskPairing:
    def test_both_or_neither_pass(self):
        check_mask_pairing(None, None)
        check_mask_pairing("a.png", torch.zeros(2))  # anything but None is a mask

    @pytest.mark.parametrize(("masks", "missing", "given"), [((None, 1), "a", "b"), ((1, None), "b", "a")])
    def test_rejects_one_without_the_other(self, masks, missing, given):
        with pytest.raises(InputError, match=f"^{missing}: missing, but {given} is given; masks come in pairs$"):
            check_mask_pairing(*masks, names=("a", "b"))


class TestCheckMaskPair:
    def test_masks_that_fit_pass(self):
        check_mask_pair(None, None)
        check_mask_pair(rand(2, 3, 8, 12), rand(1, 3, 5, 7))

    def test_rejects_one_without_the_other(self):
        with pytest.raises(InputError, match=r"^style_mask: missing, but content_mask is given; masks come in pairs$"):
            check_mask_pair(rand(1, 3, 8, 12), None)
        with pytest.raises(InputError, match=r"^content_mask: missing, but style_mask is given; masks come in pairs$"):
            check_mask_pair(None, rand(1, 3, 8, 12))

    def test_rejects_other_labels(self):
        with pytest.raises(InputError, match=r"^style_mask: has 2 labels, content_mask has 3$"):
            check_mask_pair(rand(1, 3, 8, 12), rand(1, 2, 8, 12))

    def test_rejects_integers(self):
        with pytest.raises(InputError, match=r"^style_mask: expected floating point in \[0, 1\], got torch\.int64$"):
            check_mask_pair(rand(1, 3, 8, 12), torch.zeros(1, 3, 8, 12, dtype=torch.int64))

    def test_rejects_another_number_of_dimensions(self):
        with pytest.raises(ShapeError, match=r"^content_mask: expected shape \(B, K, H, W\), got \(3, 8, 12\)$"):
            check_mask_pair(rand(3, 8, 12), rand(1, 3, 8, 12))


class TestLabelShares:
    def test_known_value(self):
        mask = torch.zeros(1, 3, 4, 4)
        mask[:, 0, :1], mask[:, 1, 1:] = 1, 0.5
        assert label_shares(mask).tolist() == [[0.25, 0.375, 0]]


class TestAbsentLabels:
    @pytest.mark.parametrize(
        ("content", "style", "absent"),
        [
            (0.4, 0.0, True),
            (0.4, HALF, True),
            (0.4, MIN_SHARE, False),
            (0.0, 0.0, False),  # in neither photo
            (HALF, HALF, False),  # as rare in both
            (HALF, HALF / 2, True),  # rarer in the style
            (HALF, 0.9, False),
        ],
    )
    def test_known_value(self, content, style, absent):
        assert absent_labels(torch.tensor([[content]]), torch.tensor([[style]])).tolist() == [[absent]]

    def test_a_style_serves_several_contents(self):
        absent = absent_labels(torch.tensor([[0.4, 0.6], [1.0, 0.0]]), torch.tensor([[1.0, 0.0]]))
        assert absent.tolist() == [[False, True], [False, False]]


class TestFallBack:
    @pytest.mark.parametrize("size", [(), (5,), (4, 4)])
    def test_known_value(self, size):
        regions, whole = rand(2, 3, *size), rand(2, 1, *size, seed=1)
        shares = torch.tensor([[1.0, 0.0, MIN_SHARE], [HALF, 0.5, 0.5]])
        replaced = fall_back(regions, whole, shares)
        for item, label in ((0, 1), (1, 0)):
            assert torch.equal(replaced[item, label], whole[item, 0])
        for item, label in ((0, 0), (0, 2), (1, 1), (1, 2)):
            assert torch.equal(replaced[item, label], regions[item, label])

    def test_no_gradient_comes_from_a_replaced_region(self):
        regions = torch.ones(1, 2, dtype=torch.float64, requires_grad=True)
        fall_back(regions, torch.zeros(1, 1).double(), torch.tensor([[1.0, 0.0]])).sum().backward()
        assert regions.grad.tolist() == [[1, 0]]


class TestMeanOverLabels:
    def test_known_value(self):
        values = torch.tensor([[1.0, 3.0, 100.0]])
        assert mean_over_labels(values, torch.tensor([[0.75, 0.25, HALF]])).tolist() == [1.5]
        assert mean_over_labels(values, torch.tensor([[0.0, 0.25, 0.0]])).tolist() == [3.0]

    def test_zero_without_labels(self):
        assert mean_over_labels(torch.ones(1, 2), torch.tensor([[0.0, HALF]])).tolist() == [0]
