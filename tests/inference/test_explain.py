from itertools import pairwise

import numpy as np
import pytest
import torch

from lookcast.checks import InputError
from lookcast.encoders.scenes import SCENES
from lookcast.generators import FittedGenerator
from lookcast.generators.statistics import CELLS
from lookcast.inference.explain import PREVIEW, explain
from lookcast.inference.stylizer import Stylizer
from lookcast.ops.bilateral.dispatch import apply_grid, apply_grid_to_pixels
from lookcast.ops.bilateral.reference import identity_grid, slice_grid
from lookcast.ops.color import luma
from lookcast.ops.masks import PALETTE
from lookcast.ops.resize import resize_image
from lookcast.photos.photo import Photo
from lookcast.photos.read import write_photo
from lookcast.structures import StyleInput
from tests.looks import ALL_PARTS, MeanColor, Negative, baked_look, look, universal_look
from tests.samples import photo, rand

CONTENT, STYLE = ((photo(name, whole=True)[0].permute(1, 2, 0) * 255).byte().numpy() for name in ("chelsea", "coffee"))


def labels(image, axis):
    """A mask of labels 1 and 4, half and half along an axis."""
    mask = torch.ones(image.shape[:2], dtype=torch.uint8)
    mask.narrow(axis, 0, image.shape[axis] // 2).fill_(4)
    return mask


MASKS = labels(CONTENT, 0), labels(STYLE, 1)


@pytest.fixture(scope="module")
def universal():
    return Stylizer(universal_look(heads=2, **ALL_PARTS), {}, "cpu")


@pytest.fixture(scope="module")
def plain(universal):
    return explain(universal, CONTENT, STYLE)


class TestExplain:
    @pytest.mark.parametrize("masks", [(), MASKS])
    @pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
    def test_the_grid_is_the_one_that_stylize_applies(self, universal, masks, kind):
        levels = 1 if kind == np.float32 else np.iinfo(kind).max
        content = (CONTENT.astype(np.float64) / 255 * levels).astype(kind)
        found = explain(universal, content, STYLE, *masks)
        assert found.masked == bool(masks)
        expected = universal.stylize(content, STYLE, *masks)
        assert np.array_equal(apply_grid_to_pixels(found.grid[0], torch.from_numpy(content)).numpy(), expected)
        assert np.abs(expected.astype(float) - content).mean() > 0.02 * levels

    def test_scenes_have_names(self, universal, plain):
        assert plain.names == SCENES
        assert explain(universal, CONTENT, STYLE, *MASKS).names == ()
        assert explain(Stylizer(universal_look(heads=2), {}, "cpu"), CONTENT, STYLE).names == ()

    def test_what_the_network_reads(self, universal, plain):
        assert plain.thumbnail.shape == plain.style_thumbnail.shape == (1, 3, 128, 128)
        assert explain(universal, CONTENT, STYLE, *MASKS).thumbnail.shape == (1, 3, 256, 256)
        image = torch.from_numpy(CONTENT).permute(2, 0, 1)[None].float() / 255
        expected = resize_image(resize_image(image, 256, 256), 128, 128)
        # The first resize rounds twice by half a level, once for the rows and once for the columns.
        assert (plain.thumbnail - expected).abs().max() < 1.01 / 255

    def test_previews_keep_the_aspect_and_are_bounded(self, universal, plain):
        assert plain.preview.shape == (1, 3, *CONTENT.shape[:2])  # 451 x 300, smaller than the bound
        wide = np.repeat(np.repeat(CONTENT[:30], 20, 1), 2, 0)
        assert explain(universal, wide, STYLE).preview.shape == (1, 3, round(60 * PREVIEW / wide.shape[1]), PREVIEW)
        line = np.repeat(CONTENT[:1], 20, 1)
        assert explain(universal, line, STYLE).preview.shape == (1, 3, 1, PREVIEW)

    def test_regions_of_the_style_are_its_mask(self, universal):
        mask = torch.full(STYLE.shape[:2], 4, dtype=torch.uint8)
        found = explain(universal, CONTENT, STYLE, MASKS[0], mask)
        # The network lets a label that the style lacks look at all of the style. The page shows the mask itself.
        assert found.stages.style_regions[0, 1].min() == 1
        assert found.style_regions[0, 1].max() == 0
        assert found.style_regions[0, 4].min() == 1

    def test_a_style_that_was_set_before(self, plain):
        stylizer = Stylizer(universal_look(heads=2, **ALL_PARTS), {}, "cpu")
        stylizer.set_style(STYLE)
        assert torch.equal(explain(stylizer, CONTENT).grid, plain.grid)

    def test_files(self, universal, tmp_path):
        for name, image, mask in (("content", CONTENT, MASKS[0]), ("style", STYLE, MASKS[1])):
            write_photo(tmp_path / f"{name}.png", Photo(image))
            colors = np.array([rgb for _, rgb in PALETTE], np.uint8)[mask.numpy()]
            write_photo(tmp_path / f"{name}_mask.png", Photo(colors))
        files = [tmp_path / f"{name}.png" for name in ("content", "style", "content_mask", "style_mask")]
        expected = explain(universal, CONTENT, STYLE, *MASKS)
        assert torch.equal(explain(universal, *files).grid, expected.grid)
        assert torch.equal(explain(universal, *map(str, files)).preview, expected.preview)

    def test_a_fixed_style_shows_the_colors_that_it_stores(self):
        style = torch.from_numpy(STYLE).permute(2, 0, 1)[None].float() / 255
        stylizer = Stylizer(baked_look(style), {}, "cpu")
        found = explain(stylizer, CONTENT)
        assert found.style_thumbnail is None
        assert np.array_equal(
            apply_grid_to_pixels(found.grid[0], torch.from_numpy(CONTENT)).numpy(), stylizer.stylize(CONTENT)
        )
        expected = resize_image(style, 256, 256).unfold(2, 4, 4).unfold(3, 4, 4).mean((-2, -1))
        # The opponent basis and its inverse have three digits after the point: 1e-3 of a colour.
        assert (found.style_preview - expected).abs().max() < 3e-3
        assert (found.stages.attention().sum(-1) - 1).abs().max() < 1e-4  # sums of 256 float32 weights

    def test_a_single_look_has_no_stages(self):
        stylizer = Stylizer(look(), {}, "cpu")
        found = explain(stylizer, CONTENT)
        assert (found.stages, found.style_preview, found.style_regions) == (None, None, None)
        assert found.thumbnail.shape == (1, 3, 64, 64)
        assert list(found.steps()) == ["photo", "look"]
        assert np.array_equal(
            apply_grid_to_pixels(found.grid[0], torch.from_numpy(CONTENT)).numpy(), stylizer.stylize(CONTENT)
        )

    def test_a_fitted_grid_reads_no_photo(self):
        grid = identity_grid(1, 2, 3, 4) + 0.1 * rand(1, 12, 2, 3, 4).float()
        found = explain(Stylizer(FittedGenerator.from_grid(grid), {}, "cpu"), CONTENT)
        assert found.thumbnail is None
        assert torch.equal(found.grid, grid)

    @pytest.mark.parametrize(
        ("made", "arguments", "reason"),
        [
            (Negative(), {}, "checkpoint: the negative generator predicts pixels; explain needs one with a grid"),
            (MeanColor(), {"style": STYLE}, "checkpoint: its mean generator has no stages to explain"),
            (look(), {"style": STYLE}, "style: the bilateral generator has a fixed style; it takes no style photo"),
            (look(), {"content_mask": MASKS[0]}, "content_mask: the bilateral generator has a fixed style"),
            (universal_look(), {}, "style: expected one style photo to explain, got 0"),
            (universal_look(), {"style_mask": MASKS[1]}, "style_mask: given without a style photo"),
            (universal_look(), {"style": [STYLE, STYLE]}, "style: expected one style photo to explain, got 2"),
            (universal_look(), {"style": STYLE, "content_mask": MASKS[0]}, "style_mask: missing, but content_mask"),
            (universal_look(), {"style": StyleInput(STYLE, MASKS[1])}, "content_mask: missing, but style_mask"),
            (universal_look(), {"style": STYLE[0, 0]}, "style: "),
            (universal_look(), {"style": STYLE, "content": "no.jpg"}, "no.jpg: no such photo"),
            (universal_look(), {"style": STYLE, "content": 5}, "content: expected "),
            (universal_look(), {"style": STYLE, "content": torch.zeros(2, 3, 8, 8)}, "content: expected one photo to"),
        ],
    )
    def test_rejects(self, made, arguments, reason):
        with pytest.raises(InputError, match=f"^{reason}"):
            explain(Stylizer(made, {}, "cpu"), **{"content": CONTENT} | arguments)


class TestExplanation:
    def test_steps_add_up_to_the_output(self, plain):
        steps = plain.steps()
        assert list(steps) == ["photo", "carried", "shared", "learned", "learned_shared", "toned", "solved", "robust"]
        assert torch.equal(steps["photo"], identity_grid(1, *plain.grid.shape[2:]))
        # Seven sums and differences of float32 coefficients below 8, 2^-22 each.
        assert (steps["robust"] - plain.grid).abs().max() < 1e-5
        images = [apply_grid(grid, plain.preview) for grid in steps.values()]
        assert torch.allclose(images[0], plain.preview, rtol=0, atol=1e-6)
        # The output is linear in the grid: the three products of a colour and the offset add up 1e-5 each.
        assert (images[-1] - apply_grid(plain.grid, plain.preview)).abs().max() < 4e-5
        assert all((b - a).abs().mean() > 1e-5 for a, b in pairwise(images))

    def test_the_transform_of_a_cell_is_the_one_that_slicing_applies(self, plain):
        depth = plain.grid.shape[2]
        for level in range(depth):
            # Three pixels per cell: the middle one is the centre of the cell, where no other cell counts.
            guide = torch.full((1, 1, 3 * CELLS, 3 * CELLS), (level + 0.5) / depth)
            sliced = slice_grid(plain.grid, guide)[0, :, 1::3, 1::3]
            # The position of a centre is rounded by 2^-23 of 16 cells, and coefficients of neighbours differ by < 8.
            assert (sliced - plain.grid[0, :, level]).abs().max() < 1e-4

    def test_cell_colors(self, plain):
        shares, colors = plain.cell_colors()
        assert (shares.sum(0) - 1).abs().max() < 1e-5  # at most 600 float32 values in each mean
        assert shares.shape == (plain.grid.shape[2], CELLS, CELLS)
        # The mean over depths of the colours in a cell is the mean colour of the cell.
        mean = torch.nn.functional.adaptive_avg_pool2d(plain.preview, CELLS)[0]
        assert ((shares[:, None] * colors).sum(0) - mean).abs().max() < 1e-5
        present = (shares > 0.01)[:, None]
        steps = (torch.arange(8) + 0.5).view(-1, 1, 1, 1) / 8
        # A depth takes pixels whose luma is at most one depth away.
        assert ((luma(colors) - steps).abs() * present).max() <= 1 / 8 + 1e-5

    def test_step_colors(self, plain):
        found = plain.step_colors()
        assert list(found) == list(plain.steps())
        mean = torch.nn.functional.adaptive_avg_pool2d(apply_grid(plain.grid, plain.preview).clamp(0, 1), CELLS)[0]
        assert (found["robust"] - mean).abs().max() < 4e-5  # see the sum of the steps
