import pytest
import torch

from lookcast.generators.regions import region_shares
from lookcast.generators.statistics import PLACES, photo_statistics
from lookcast.generators.tones import ToneTransfer
from lookcast.ops.bilateral.dispatch import apply_grid
from lookcast.ops.bilateral.reference import identity_grid
from lookcast.ops.resize import thumbnail_of
from tests.samples import CROPS, photo, randn

DEPTH = 8
EXACT = 1e-9
"""Bound of identities in float64: rounding of sums of 16,384 terms, 1.1e-16 each, over masses of 1e-6 and more."""
CONTENT, STYLE = (thumbnail_of(photo(name), 128) for name in list(CROPS)[:2])
CHANNELS = 3


def transfer(share=0.0, floor=-40.0):
    """Return a transfer with equal factors `sigmoid(share)` in all cells."""
    made = ToneTransfer(CHANNELS).double()
    made.share.bias.data.fill_(share)
    made.floor.data.fill_(floor)
    return made


def correction(made, content, style, masks=None, grid=None):
    """Return the correction of a grid, which is the identity if none is given."""
    photos = [photo_statistics(image, {"relu1_1": image}, None, DEPTH, 16) for image in (content, style)]
    if masks is None:
        masks = [torch.ones(1, 1, PLACES, PLACES, dtype=torch.float64)] * 2
    grid = identity_grid(1, DEPTH, 16, 16, dtype=torch.float64) if grid is None else grid
    hidden = randn(1, CHANNELS, 16, 16)
    with torch.no_grad():
        return made(grid, photos, masks, region_shares(photos[0].shares, masks[0]), hidden)


def bands(*levels):
    """Return a grey image `(1, 3, 128, 128)` with vertical bands of equal width."""
    rows = torch.tensor(levels, dtype=torch.float64).repeat_interleave(128 // len(levels))
    return rows.expand(1, 3, 128, 128)


def offsets(change):
    """Return the offsets `(3, D, 16, 16)` of a correction."""
    return change.view(3, 4, DEPTH, 16, 16)[:, 3]


class TestToneTransfer:
    def test_known_value(self):
        # The darker half is to become .1 lighter and the lighter half .2 darker; the factor of the cells is .5.
        change = offsets(correction(transfer(), bands(0.2, 0.8), bands(0.3, 0.6)))
        assert (change[:, 1] - 0.05).abs().max() < EXACT  # the step whose centre is .1875
        assert (change[:, 6] + 0.1).abs().max() < EXACT  # .8125

    def test_order_of_the_bands_does_not_matter(self):
        content, style = bands(0.1, 0.5, 0.7, 0.9), bands(0.2, 0.3, 0.35, 0.8)
        moved = bands(0.8, 0.35, 0.3, 0.2)
        change = correction(transfer(), content, style)
        assert change.abs().max() > 0.05
        torch.testing.assert_close(correction(transfer(), content, moved), change, rtol=0, atol=EXACT)

    def test_splits_what_is_wider_in_the_content(self):
        # Half of the content is one grey; half of its pixels are to become .4, the other half .6.
        change = offsets(correction(transfer(share=1e4), bands(0.1, 0.1, 0.8, 0.8), bands(0.1, 0.1, 0.4, 0.6)))
        assert (change[:, 6] - (0.5 - 0.8)).abs().max() < EXACT

    def test_takes_the_tints_of_each_tone(self):
        style = bands(0.2, 0.8).clone()
        style[:, 0, :, :64] += 0.06  # the shadows are warmer
        change = offsets(correction(transfer(share=1e4), bands(0.2, 0.8), style))
        expected = torch.tensor([0.06, 0, 0], dtype=torch.float64).view(3, 1, 1)
        assert (change[:, 1] - expected).abs().max() < EXACT
        assert change[:, 6].abs().max() < EXACT

    def test_adds_a_constant_to_each_step(self):
        change = correction(transfer(), CONTENT, STYLE).view(3, 4, DEPTH, 16, 16)
        assert change[:, :3].abs().max() == 0
        assert change[:, 3].abs().max() > 0.01

    def test_regions_take_the_tones_of_their_own_region(self):
        content, style = bands(0.5, 0.5), bands(0.3, 0.6)
        left = torch.zeros(1, 2, PLACES, PLACES, dtype=torch.float64)
        left[:, 0, :, : PLACES // 2], left[:, 1, :, PLACES // 2 :] = 1, 1
        change = offsets(correction(transfer(share=1e4), content, style, (left, left)))
        step = 3  # .4375 and .5625 hold the pixels of .5
        assert (change[:, step, :, :4] + 0.2).abs().max() < EXACT  # far from the border, which is blurred
        assert (change[:, step, :, 12:] - 0.1).abs().max() < EXACT
        swapped = offsets(correction(transfer(share=1e4), content, style, (left, left.flip(1))))
        assert (swapped[:, step, :, :4] - 0.1).abs().max() < EXACT

    def test_counts_what_the_grid_already_does(self):
        grid = identity_grid(1, DEPTH, 16, 16, dtype=torch.float64)
        grid.view(3, 4, DEPTH, 16, 16)[:, 3] += 0.1
        change = offsets(correction(transfer(share=1e4), bands(0.2, 0.7), bands(0.3, 0.8), grid=grid))
        assert change.abs().max() < EXACT

    def test_moves_the_photo_towards_the_tones_of_the_style(self):
        grid = identity_grid(1, DEPTH, 16, 16, dtype=torch.float64)

        def distance(image):
            """Return the mean distance of the sorted luma values of an image to those of the style."""
            first, second = (x.mean(1).flatten().sort().values for x in (image, STYLE))
            return (first - second).abs().mean()

        plain = distance(CONTENT)
        toned = distance(apply_grid(grid + correction(transfer(share=1e4), CONTENT, STYLE), CONTENT))
        assert toned < 0.25 * plain

    def test_steps_with_few_pixels_hardly_change(self):
        content = bands(0.8, 0.8).clone()
        content[:, :, 0, :16] = 0.2  # 16 of 16,384 pixels
        change = offsets(correction(transfer(share=1e4, floor=-4.0), content, bands(0.5, 0.5)))
        assert (change[:, 6] + 0.3).abs().max() < 0.1 * 0.3
        assert change[:, 1].abs().max() < 0.05 * 0.3

    @pytest.mark.parametrize("labels", [1, 3])
    def test_a_photo_as_its_own_style_stays(self, labels):
        mask = torch.nn.functional.interpolate(6 * randn(1, labels, 3, 3), (PLACES, PLACES)).softmax(1)
        assert correction(transfer(share=1e4), CONTENT, CONTENT, (mask, mask)).abs().max() < EXACT

    def test_a_label_that_nothing_has(self):
        mask = torch.ones(1, 2, PLACES, PLACES, dtype=torch.float64)
        mask[:, 1] = 0
        change = correction(transfer(), CONTENT, STYLE, (mask, mask))
        torch.testing.assert_close(change, correction(transfer(), CONTENT, STYLE), rtol=0, atol=EXACT)
