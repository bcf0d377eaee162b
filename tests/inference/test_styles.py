import numpy as np
import pytest
import torch

from lookcast.checks import InputError
from lookcast.inference.styles import check_strength, open_style, style_inputs
from lookcast.structures import StyleInput

ONE, TWO = np.zeros((4, 6, 3), np.uint8), np.full((5, 3, 3), 255, np.uint8)
MASK = torch.zeros(4, 6, dtype=torch.uint8)


class TestStyleInputs:
    def test_known_value(self):
        first, second = style_inputs([ONE, TWO], [MASK, None], [1, 4])
        assert (first.photo is ONE, first.mask is MASK, first.weight) == (True, True, 0.2)
        assert (second.photo is TWO, second.mask, second.weight) == (True, None, 0.8)

    @pytest.mark.parametrize("style", [ONE, [ONE], (ONE,), torch.zeros(3, 4, 6), StyleInput(ONE), [StyleInput(ONE)]])
    def test_one(self, style):
        # An array, a tensor and a StyleInput are one photo, not a list of rows or fields.
        (found,) = style_inputs(style)
        photo = style[0] if isinstance(style, list | tuple) and not isinstance(style, StyleInput) else style
        assert found.photo is (photo.photo if isinstance(photo, StyleInput) else photo)
        assert (found.mask, found.weight) == (None, 1)

    def test_inputs_equal_parallel_lists(self):
        given = [StyleInput(ONE, MASK, 1), StyleInput(TWO, None, 4)]
        assert style_inputs(given) == style_inputs([ONE, TWO], [MASK, None], [1, 4])

    @pytest.mark.parametrize(
        "weights", [None, (1, 1, 1), [1e-9, 2e-9, 3e-9], np.array([5, 1, 1]), [np.float32(1)] * 3, torch.ones(3)]
    )
    def test_shares_sum_to_1(self, weights):
        assert sum(style.weight for style in style_inputs([ONE, TWO, ONE], None, weights)) == pytest.approx(1)

    @pytest.mark.parametrize(
        ("weights", "line"),
        [
            (5, "weights: expected a list of numbers, got int"),
            ("12", "weights: expected a list of numbers, got str"),
            (["1", "2"], "weights: expected positive numbers, got 1, 2"),
            ([1, None], "weights: expected positive numbers, got 1, None"),
            ([1, 0], "weights: expected positive numbers, got 1, 0"),
            ([1, float("nan")], "weights: expected positive numbers, got 1, nan"),
            ([1, float("inf")], "weights: expected positive numbers, got 1, inf"),
            ([1e308, 1e308], "weights: their sum is beyond the largest number, 1e+308, 1e+308"),
            ([1], "weights: 1 for 2 style photos"),
        ],
    )
    def test_rejects_weights(self, weights, line):
        with pytest.raises(InputError) as caught:
            style_inputs([ONE, TWO], None, weights)
        assert str(caught.value) == line

    def test_rejects_other_numbers_of_masks(self):
        with pytest.raises(InputError, match=r"^style_mask: 3 for 2 style photos; each style photo needs one mask$"):
            style_inputs([ONE, TWO], 3 * [MASK])
        with pytest.raises(InputError, match=r"^style_mask: 0 for 1 style photos"):
            style_inputs(ONE, [])
        with pytest.raises(InputError, match=r"^style_mask: 1 for 2 style photos"):
            style_inputs([ONE, TWO], MASK)

    def test_rejects_an_empty_list(self):
        with pytest.raises(InputError, match=r"^style: the list is empty$"):
            style_inputs([])

    def test_rejects_what_a_style_input_has(self):
        with pytest.raises(InputError, match=r"^style_mask: given twice, also in a StyleInput$"):
            style_inputs(StyleInput(ONE), MASK)
        with pytest.raises(InputError, match=r"^weights: given twice, also in a StyleInput$"):
            style_inputs([StyleInput(ONE)], None, [1])


class TestOpenStyle:
    def test_known_value(self):
        assert open_style(TWO).shape == (1, 5, 3, 3)
        assert open_style(TWO).min() == 255

    def test_rejects_a_batch(self):
        with pytest.raises(InputError, match=r"^style: expected single photos, got a batch of 3;"):
            open_style(torch.zeros(3, 3, 4, 6))


class TestCheckStrength:
    @pytest.mark.parametrize("strength", [0, 1, 0.5, True, np.float32(0.5), torch.tensor(0.5), np.array(0.5)])
    def test_numbers(self, strength):
        assert check_strength(strength) == float(strength)

    @pytest.mark.parametrize(
        "strength", [-0.1, 1.1, float("nan"), "0.5", None, [0.5], 1j, np.zeros(2), torch.empty((), device="meta")]
    )
    def test_rejects(self, strength):
        with pytest.raises(InputError, match=r"^strength: expected a number in \[0, 1\], got "):
            check_strength(strength)
