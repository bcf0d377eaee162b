import numpy as np
import pytest
import skimage.data
import torch

import lookcast
from lookcast.checks import InputError
from lookcast.fitting.look_fit import LookFit
from lookcast.fitting.losses import grid_loss
from lookcast.fitting.pair_loss import fit_size
from lookcast.generators.regions import common_classes
from lookcast.inference.refine import open_refine, refine_grid
from lookcast.inference.stylizer import Stylizer
from lookcast.ops.bilateral.reference import identity_grid
from lookcast.ops.resize import resize_pixels
from lookcast.structures import StyleInput
from tests.looks import look, save_universal, universal_look

CONTENT, STYLE = skimage.data.astronaut()[::6, ::6].copy(), skimage.data.coffee()[::5, ::5].copy()

GRID = (8, 16, 16)
FIT = LookFit(steps=3, max_side=128, loss=grid_loss(color_weight=1.0))


@pytest.fixture(scope="module")
def stylizer():
    return Stylizer(universal_look(), {}, "cpu", "float32")


def labels(image):
    """Label 0 on the left half, 1 on the right."""
    result = torch.zeros(image.shape[:2], dtype=torch.uint8)
    result[:, image.shape[1] // 2 :] = 1
    return result


class TestOpenRefine:
    def test_zero_steps_is_no_fit(self):
        assert open_refine(0) is None

    def test_steps(self):
        assert open_refine(7).steps == 7
        assert open_refine(7).tolerance == 0  # N steps are N steps

    @pytest.mark.parametrize(("steps", "factor"), [(1, 2), (5, 2), (10, 2), (16, 1.25), (20, 1), (60, 1)])
    def test_few_steps_weigh_the_style_more(self, steps, factor):
        expected = grid_loss().weights
        expected = expected._replace(style=factor * expected.style, color=factor * expected.color)
        assert open_refine(steps).loss.weights == expected

    def test_a_fit_stays(self):
        made = LookFit(steps=3)
        assert open_refine(made) is made

    @pytest.mark.parametrize("value", [-1, 2.5, "5", True, False, None, 10_001])
    def test_rejects_others(self, value):
        with pytest.raises(InputError, match="refine: expected an integer from 0 to 10000"):
            open_refine(value)


class TestRefineGrid:
    def refined(self, generator, photos, content_mask=None, style_mask=None):
        made = Stylizer(generator, {}, "cpu", "float32")
        made.set_style(STYLE, style_mask)
        grid = identity_grid(len(photos), *GRID)
        return refine_grid(FIT, generator, grid, torch.from_numpy(photos), content_mask, made.styles)

    def fitted(self, generator, photo, content_mask=None, style_mask=None):
        images = [
            resize_pixels(torch.from_numpy(x.copy()), fit_size(*x.shape[:2], FIT.max_side)) for x in (photo, STYLE)
        ]
        style = StyleInput(images[1], style_mask)
        return FIT.fit(generator.encoder, images[0], [style], [content_mask], identity_grid(1, *GRID)).grid

    def classes(self, generator, photo):
        return generator.read(resize_pixels(torch.from_numpy(photo.copy()), (256, 256))).classes

    def test_compares_the_scenes_of_each_photo(self):
        generator = universal_look(scenes=1)
        photos = np.stack([CONTENT, CONTENT[:, ::-1]])
        found = self.refined(generator, photos)
        for grid, photo in zip(found, photos, strict=True):
            masks = common_classes(self.classes(generator, photo), self.classes(generator, STYLE))
            assert torch.equal(grid[None], self.fitted(generator, photo, *masks))
            assert (grid - self.fitted(generator, photo)[0]).abs().mean() > 1e-3

    def test_compares_whole_photos_without_scenes(self):
        generator = universal_look()
        assert torch.equal(self.refined(generator, CONTENT[None]), self.fitted(generator, CONTENT))

    def test_masks_come_first(self):
        scenes, plain = (
            self.refined(generator, CONTENT[None], labels(CONTENT), labels(STYLE))
            for generator in (universal_look(scenes=1), universal_look())
        )
        assert torch.equal(scenes, plain)


class TestStylize:
    def test_lowers_the_loss(self, stylizer):
        terms = []
        made = LookFit(steps=15, on_step=lambda step: terms.append(step.terms))
        stylizer.stylize(CONTENT, STYLE, refine=made)
        assert float(terms[-1].total) < 0.8 * float(terms[0].total)

    def test_keeps_type_and_size(self, stylizer):
        plain, refined = (stylizer.stylize(CONTENT, STYLE, refine=steps) for steps in (0, 3))
        assert (refined.dtype, refined.shape) == (plain.dtype, plain.shape)
        assert np.abs(refined.astype(int) - plain).mean() > 1

    def test_style_set_before(self, stylizer):
        expected = stylizer.stylize(CONTENT, STYLE, refine=2)
        other = Stylizer(stylizer.generator, {}, "cpu", "float32")
        other.set_style(STYLE)
        assert np.array_equal(other.stylize(CONTENT, refine=2), expected)

    def test_masks_count(self, stylizer):
        # From the identity, so that only the fit depends on the masks.
        made = LookFit(steps=4, start="identity", loss=grid_loss(color_weight=1.0))
        pair = {"content_mask": labels(CONTENT), "style_mask": labels(STYLE)}
        swapped = {**pair, "style_mask": 1 - labels(STYLE)}
        one, other = (stylizer.stylize(CONTENT, STYLE, refine=made, **masks) for masks in (pair, swapped))
        assert np.abs(one.astype(int) - other).mean() > 1

    def test_a_batch_equals_its_photos(self, stylizer):
        photos = torch.from_numpy(np.stack([CONTENT, CONTENT[:, ::-1]])).permute(0, 3, 1, 2)
        plain, both = (stylizer.stylize(photos, STYLE, refine=steps) for steps in (0, 1))
        each = [stylizer.stylize(photo[None], STYLE, refine=1) for photo in photos]
        # The network predicts the two grids as a batch, which may round differently, and every step amplifies rounding.
        assert (both.int() - torch.cat(each).int()).abs().float().mean() < 0.2
        assert (both.int() - plain.int()).abs().float().mean((1, 2, 3)).min() > 2
        assert (both[0].int() - both[1].flip(-1).int()).abs().float().mean() > 1

    def test_strength_blends_the_refined_look(self, stylizer):
        assert np.array_equal(stylizer.stylize(CONTENT, STYLE, strength=0, refine=2), CONTENT)
        half, full = (stylizer.stylize(CONTENT, STYLE, strength=strength, refine=2) for strength in (0.5, 1))
        unclipped = (full > 0) & (full < 255)
        blend = 0.5 * CONTENT + 0.5 * full
        # Rounding: half a level of the full look, halved, and half a level of the output.
        assert np.abs(half - blend)[unclipped].max() <= 0.76

    def test_in_inference_mode(self, tmp_path):
        path = save_universal(tmp_path / "all.safetensors")
        expected = lookcast.load(path, "cpu").stylize(CONTENT, STYLE, refine=2)
        with torch.inference_mode():
            assert np.array_equal(lookcast.load(path, "cpu").stylize(CONTENT, STYLE, refine=2), expected)

    def test_needs_a_style(self):
        with pytest.raises(InputError, match="refine: needs a checkpoint that takes a style photo"):
            Stylizer(look(), {}, "cpu").stylize(CONTENT, refine=5)
