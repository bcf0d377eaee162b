import numpy as np
import pytest
import torch

from lookcast.checks import InputError
from lookcast.inference.stylizer import Stylizer
from tests.looks import look, universal_look
from tests.photo_files import UPRIGHT
from tests.samples import rand

STYLE = np.ascontiguousarray(UPRIGHT[::-1, :, ::-1])


def pixels(dtype):
    """Return a photo `(1, H, W, 3)` of a type."""
    values = torch.from_numpy(UPRIGHT)[None]
    if dtype == torch.uint8:
        return values
    wide = values.double() / 255 + 1e-3 * rand(*values.shape)
    wide = wide.clamp(0, 1)
    return (wide * 65535).round().to(dtype) if dtype == torch.uint16 else wide.to(dtype)


@pytest.fixture(params=["single", "universal"])
def stylizer(request):
    if request.param == "single":
        return Stylizer(look(), {}, "cpu")
    stylizer = Stylizer(universal_look(), {}, "cpu")
    stylizer.set_style(STYLE)
    return stylizer


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32, torch.float64], ids=str)
class TestApplyGrid:
    @pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
    def test_of_a_predicted_grid_equals_stylize_pixels(self, stylizer, dtype, strength):
        photo = pixels(dtype)
        grid = stylizer.predict_grid(photo)
        found = stylizer.apply_grid(grid, photo, strength)
        assert found.dtype == dtype
        assert torch.equal(found, stylizer.stylize_pixels(photo, strength=strength))

    @pytest.mark.parametrize("rows", [(0, 64), (0, 1), (63, 64), (11, 47)])
    @pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
    def test_rows_equal_those_of_the_whole(self, stylizer, dtype, rows, strength):
        photo = pixels(dtype)
        grid = stylizer.predict_grid(photo)
        found = stylizer.apply_grid_to_rows(grid, photo, strength, *rows)
        assert torch.equal(found, stylizer.apply_grid(grid, photo, strength)[:, slice(*rows)])


class TestPredictGrid:
    def test_of_a_mix_with_masks_and_refinement(self):
        stylizer = Stylizer(universal_look(), {}, "cpu")
        mask = torch.zeros(64, 96, dtype=torch.uint8)
        mask[:, 40:] = 1
        stylizer.set_style([STYLE, STYLE[:, ::-1].copy()], [mask, mask.flip(1)], [1, 3])
        photo = pixels(torch.uint8)
        grid = stylizer.predict_grid(photo, mask, refine=3)  # the line search may reject the first steps
        assert grid.shape == (1, 12, 8, 16, 16)
        assert torch.equal(stylizer.apply_grid(grid, photo), stylizer.stylize_pixels(photo, mask, refine=3))
        assert not torch.equal(grid, stylizer.predict_grid(photo, mask))
        assert not torch.equal(grid, stylizer.predict_grid(photo, mask.flip(1), refine=3))

    def test_rejects_a_generator_without_grid(self):
        stylizer = Stylizer(look("transform"), {}, "cpu")
        with pytest.raises(
            InputError, match=r"^checkpoint: a generator 'transform' predicts pixels instead of a grid$"
        ):
            stylizer.predict_grid(pixels(torch.uint8))

    def test_rejects_no_style(self):
        with pytest.raises(InputError, match="needs a style"):
            Stylizer(universal_look(), {}, "cpu").predict_grid(pixels(torch.uint8))
