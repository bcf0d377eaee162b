import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter

from lookcast.encoders.compact import CompactEncoder
from lookcast.generators.statistics import (
    CELLS,
    NUM_FEATURES,
    PLACES,
    TAP_CHANNELS,
    cell_sums,
    depth_shares,
    photo_statistics,
    with_position,
)
from lookcast.ops.bilateral.reference import slice_grid
from lookcast.ops.color import luma
from lookcast.ops.resize import thumbnail_of
from lookcast.ops.transport import color_moments
from tests.reference import statistics as reference
from tests.samples import photo, rand, randn


def halves(width=PLACES, height=PLACES):
    """Left and right."""
    mask = torch.zeros(1, 2, height, width, dtype=torch.float64)
    mask[:, 0, :, : width // 2], mask[:, 1, :, width // 2 :] = 1, 1
    return mask


class TestConstants:
    def test_are_those_of_the_compact_encoder(self):
        features = CompactEncoder()(rand(1, 3, 32, 32, dtype=torch.float32))
        assert tuple(tap.shape[1] for tap in features.values()) == TAP_CHANNELS


class TestDepthShares:
    @pytest.mark.parametrize("depth", [1, 2, 8])
    def test_sums_to_one(self, depth):
        shares = depth_shares(rand(2, 1, 9, 11), depth)
        assert shares.shape == (2, depth, 9, 11)
        assert shares.min() >= 0
        torch.testing.assert_close(shares.sum(1), torch.ones(2, 9, 11).double(), rtol=0, atol=1e-14)

    def test_known_value(self):
        # The centres of two steps lie at .25 and .75.
        guide = torch.tensor([0.0, 0.25, 0.5, 0.625, 0.75, 1.0]).view(1, 1, 1, 6)
        assert depth_shares(guide, 2)[0, 1, 0].tolist() == [0, 0, 0.5, 0.75, 1, 1]

    @pytest.mark.parametrize("depth", [1, 3, 8])
    def test_agrees_with_slicing(self, depth):
        # A grid that holds in step d a 1 in channel d: slicing reads the share of each step.
        grid = torch.eye(depth, dtype=torch.float64).view(1, depth, depth, 1, 1)
        guide = torch.cat([rand(1, 1, 20, 20), torch.tensor([0.0, 1.0]).double().repeat(10).view(1, 1, 1, 20)], 2)
        torch.testing.assert_close(depth_shares(guide, depth), slice_grid(grid, guide), rtol=0, atol=1e-12)


class TestCellSums:
    def test_matches_reference(self):
        weights, values = rand(2, 3, PLACES, PLACES), randn(2, 2, PLACES, PLACES)
        pairs = zip(weights, values, strict=True)
        expected = np.stack([reference.cell_sums(w.numpy(), v.numpy()) for w, v in pairs])
        torch.testing.assert_close(cell_sums(weights, values), torch.from_numpy(expected), rtol=0, atol=1e-12)

    def test_known_value(self):
        # 16 places a cell; the second region holds the lower right one of them all.
        mask = torch.zeros(1, 2, PLACES, PLACES)
        mask[:, 0], mask[:, 1, -1, -1] = 1, 1
        sums = cell_sums(mask, torch.full((1, 1, PLACES, PLACES), 3.0))
        assert sums.shape == (1, CELLS**2, 2, 1)
        assert torch.equal(sums[0, :, 0, 0], torch.full((CELLS**2,), 48.0))
        assert sums[0, :, 1, 0].tolist() == [0] * (CELLS**2 - 1) + [3]


class TestReadPhoto:
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls):
        thumbnail = thumbnail_of(torch.cat([photo("coffee"), photo("coffee").flip(-1)]).float(), 256)
        features = CompactEncoder()(thumbnail)
        mask = halves(40, 30).float().expand(2, -1, -1, -1)
        return thumbnail, features, mask, photo_statistics(thumbnail, features, mask, 5)

    def test_shape(self, case):
        reading = case[3]
        assert reading.places.shape == (2, NUM_FEATURES, PLACES, PLACES)
        assert reading.cells.shape == (2, NUM_FEATURES, CELLS, CELLS)
        assert reading.statistics.shape == (2, CELLS**2, 2 * NUM_FEATURES + 5)
        assert reading.moments.shape == (2, 10, PLACES, PLACES)
        assert reading.shares.shape == (2, 5, PLACES, PLACES)
        assert reading.mask.shape == (2, 2, PLACES, PLACES)
        assert photo_statistics(*case[:2], None, 5).mask is None

    def test_known_value(self, case):
        thumbnail, features, _, reading = case
        # Float32: means of 16 to 256 values of the order of 1, 6e-8 each.
        # The first tap stands at full resolution, 4 x 4 pixels a place; the third at that of the places.
        place = features["relu1_1"][1, :, 20:24, 8:12].mean((-2, -1))
        torch.testing.assert_close(reading.places[1, :10, 5, 2], place, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(reading.places[:, 25:63], features["relu3_1"])
        shown = thumbnail[1:, :, 20:24, 8:12]
        torch.testing.assert_close(reading.moments[1, :, 5, 2], color_moments(shown)[0].mean((-2, -1)))
        torch.testing.assert_close(reading.shares[1, :, 5, 2], depth_shares(luma(shown), 5)[0].mean((-2, -1)))

    def test_cells_are_means_of_their_places(self, case):
        reading = case[3]
        cell = reading.places[0, :, 12:16, 20:24]
        torch.testing.assert_close(reading.cells[0, :, 3, 5], cell.mean((-2, -1)), rtol=1e-4, atol=1e-5)
        shares = reading.shares[0, :, 12:16, 20:24].mean((-2, -1))
        expected = torch.cat([cell.mean((-2, -1)), cell.square().mean((-2, -1)), shares])
        torch.testing.assert_close(reading.statistics[0, 3 * CELLS + 5], expected, rtol=1e-4, atol=1e-5)

    def test_mask_keeps_its_shares(self, case):
        _, _, mask, reading = case
        torch.testing.assert_close(reading.mask.sum(1), torch.ones(2, PLACES, PLACES))
        torch.testing.assert_close(reading.mask.mean((-2, -1)), mask.mean((-2, -1)), rtol=0, atol=0.01)
        assert torch.equal(reading.mask[0, 0, :, :31], torch.ones(PLACES, 31))

    @pytest.mark.parametrize("radius", [1, 2, 12])
    def test_the_blur_of_masks_matches_reference(self, case, radius):
        thumbnail, features, _, _ = case
        mask = rand(2, 3, PLACES, PLACES).float()
        found = photo_statistics(thumbnail, features, mask, 5, mask_blur=radius).mask.numpy()
        expected = uniform_filter(mask.double().numpy(), (0, 0, 2 * radius + 1, 2 * radius + 1), mode="nearest")
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)  # float32: sums of up to 625 values


class TestWithPosition:
    def test_known_value(self):
        features = randn(2, 3, 4, 5)
        out = with_position(features)
        assert out.shape == (2, 8, 4, 5)
        assert torch.equal(out[:, :3], features)
        mean, spread = features[1, 2].mean(), features[1, 2].std()
        torch.testing.assert_close(out[1, 5], (features[1, 2] - mean) / (spread + 0.1))
        down, across = torch.linspace(-1, 1, 4).double(), torch.linspace(-1, 1, 5).double()
        torch.testing.assert_close(out[1, 6], down[:, None].expand(4, 5))
        torch.testing.assert_close(out[1, 7], across.expand(4, 5))

    def test_invariance_of_the_relative_half(self):
        # Night equals day: a shift or a scale that all places of a photo share cancels.
        features, shift = randn(1, 3, 6, 6), randn(1, 3, 1, 1, seed=1)
        torch.testing.assert_close(with_position(features + shift)[:, 3:], with_position(features)[:, 3:])
        scaled = with_position(40 * features)[:, 3:6] / with_position(20 * features)[:, 3:6]
        torch.testing.assert_close(scaled, torch.ones_like(scaled), rtol=0, atol=0.01)
