import numpy as np
import pytest
import torch

from lookcast.encoders.compact import CompactEncoder
from lookcast.generators.grounds import Grounds, GroundSharing
from lookcast.generators.regions import region_shares
from lookcast.generators.statistics import CELLS, NUM_FEATURES, PLACES, photo_statistics, with_position
from lookcast.ops.resize import thumbnail_of
from tests.reference import grounds as reference
from tests.samples import photo, rand, randn

ENCODER = CompactEncoder().double()
EXACT = 1e-12
"""Bound of identities in float64: sums of 256 terms of the order of 1, 1.1e-16 each."""
RED, BLUE = (0.8, 0.3, 0.2), (0.1, 0.3, 0.7)


def sharing(trained=False, channels=8):
    """Return the module in float64; `trained` moves all of its parameters."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = GroundSharing(2 * NUM_FEATURES + 2, channels).double()
        for parameter in made.parameters() if trained else ():
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    return made.requires_grad_(False)


def of_colors():
    """A module that ignores the features, so that colours and regions decide."""
    made = sharing()
    made.project.weight.zero_()
    return made


def halves(first, second):
    """Two colours side by side; the border lies between two cells."""
    image = torch.empty(1, 3, PLACES, PLACES, dtype=torch.float64)
    for half, color in ((image[..., :32], first), (image[..., 32:], second)):
        half[:] = torch.tensor(color).view(1, 3, 1, 1)
    return image


def read(image, depth=1, mask=None):
    """Return the statistics of a photo, and the shares of its regions in the cells."""
    thumbnail = thumbnail_of(image, PLACES)
    statistics = photo_statistics(thumbnail, ENCODER(thumbnail), mask, depth)
    own = torch.ones(len(image), 1, PLACES, PLACES).double() if statistics.mask is None else statistics.mask
    return statistics, region_shares(statistics.shares, own)


def found(made, image, depth=1, mask=None, bias=None):
    """Return the grounds of a photo."""
    bias = torch.zeros(len(image), depth, CELLS, CELLS, dtype=torch.float64) if bias is None else bias
    return made(*read(image, depth, mask), bias)


def two_regions():
    mask = torch.zeros(1, 2, PLACES, PLACES, dtype=torch.float64)
    mask[:, 0, :, :20], mask[:, 1, :, 20:] = 1, 1
    return mask


class TestGrounds:
    def test_known_value(self):
        # Four cells at two depths: cell 0 keeps its change, 1 takes half, 2 and 3 take all of their ground.
        weights = torch.tensor([[0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0], [0, 0, 0.25, 0.75], [0, 0, 0.25, 0.75]])
        openness = torch.tensor([0.0, 0.5, 1.0, 1.0]).view(1, 1, 4, 1)
        change = torch.arange(4.0).view(1, 1, 1, 2, 2).expand(1, 12, 2, 2, 2).clone()
        change[:, 5, 1] *= 10
        shared = Grounds(weights.expand(1, 2, 4, 4), openness.expand(1, 2, 4, 1)).share(change)
        expected = torch.tensor([[0.0, 0.75], [2.75, 2.75]])
        assert shared.shape == change.shape
        assert torch.equal(shared[0, 4], expected.expand(2, 2, 2))
        assert torch.equal(shared[0, 5], torch.stack([expected, 10 * expected]))

    @pytest.mark.parametrize("masked", [False, True])
    def test_a_constant_change_stays(self, masked):
        grounds = found(sharing(trained=True), photo("coffee"), 4, two_regions() if masked else None)
        change = randn(1, 12, 4, 1, 1).expand(1, 12, 4, CELLS, CELLS)
        torch.testing.assert_close(grounds.share(change), change, rtol=0, atol=EXACT)

    def test_mixed_precision_costs_nothing(self):
        grounds = Grounds(*(part.float() for part in found(sharing(), photo("coffee"), 2)))
        change = randn(1, 12, 2, CELLS, CELLS, dtype=torch.float32)
        expected = grounds.share(change)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(grounds.share(change), expected)


class TestGroundSharing:
    @pytest.mark.parametrize("masked", [False, True])
    def test_rows_sum_to_one(self, masked):
        images = torch.cat([photo("coffee")[..., :30, :30], photo("chelsea")[..., :30, :30]])
        mask = two_regions().expand(2, -1, -1, -1) if masked else None
        weights, openness = found(sharing(trained=True), images, 3, mask)
        assert weights.shape == (2, 3, CELLS**2, CELLS**2)
        assert openness.shape == (2, 3, CELLS**2, 1)
        assert weights.min() >= 0
        torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, CELLS**2).double(), rtol=0, atol=EXACT)
        assert 0 < openness.min() < openness.max() < 1

    @pytest.mark.parametrize("masked", [False, True])
    def test_matches_reference(self, masked):
        made, bias = sharing(trained=True), randn(1, 2, CELLS, CELLS)
        statistics, regions = read(photo("coffee"), 2, two_regions() if masked else None)
        weights, openness = made(statistics, regions, bias)
        scales = made.color_scale.exp().numpy(), float(made.region_scale[0 if masked else 1].exp()), made.limit.exp()
        features = made.project(with_position(statistics.cells))
        parts = (part[0].numpy() for part in (statistics.shares, statistics.moments, regions, features))
        expected = reference.grounds(*parts, (*scales[:2], float(scales[2])), bias[0].numpy())
        np.testing.assert_allclose(weights[0].numpy(), expected[0], rtol=0, atol=1e-9)
        np.testing.assert_allclose(openness[0, ..., 0].numpy(), expected[1], rtol=0, atol=1e-9)

    def test_averages_each_color_of_a_wall(self):
        grounds = found(of_colors(), halves(RED, BLUE))
        change = randn(1, 12, 1, CELLS, CELLS)
        shared = grounds.share(change)
        # The spread of a flat cell is the root of 1e-8. The blur mixes the two colours in the columns at the border.
        spread = 1e-4 / 0.07
        openness = 1 / (1 + np.exp(-3 * (1 - spread)))
        for columns in (slice(0, 7), slice(9, 16)):
            own = change[..., columns]
            expected = torch.lerp(own, own.mean((-2, -1), keepdim=True), torch.tensor(openness).double())
            # A mixed cell has a spread of 3.8 limits and lies 2.2 scales away, so its weight is exp(-17) of another
            # cell's weight. There are 16 mixed cells for 112 others, and changes are below 4.
            torch.testing.assert_close(shared[..., columns], expected, rtol=0, atol=3e-8)

    def test_a_flat_wall_becomes_one_and_a_texture_keeps_its_own(self):
        change = torch.ones(1, 12, 1, CELLS, CELLS).double()
        change[..., 8:] = -1
        wall = found(sharing(), torch.full((1, 3, PLACES, PLACES), 0.5).double()).share(change)
        texture = found(sharing(), rand(1, 3, PLACES, PLACES)).share(change)
        assert wall.std() < 0.2 * change.std()
        assert (texture - change).abs().max() < 0.02

    def test_regions_divide_a_wall(self):
        made = of_colors()
        made.region_scale[0] = 2.0  # a distance of exp(2) between two regions
        image, mask = torch.full((1, 3, PLACES, PLACES), 0.5).double(), torch.zeros(1, 2, PLACES, PLACES).double()
        mask[:, 0, :, :32], mask[:, 1, :, 32:] = 1, 1
        change = torch.ones(1, 12, 1, CELLS, CELLS).double()
        change[..., 8:] = -1
        # Two columns on either side of the border have shares of both regions.
        divided, whole = found(made, image, 1, mask).share(change), found(made, image).share(change)
        assert (divided - change)[..., [*range(6), *range(10, 16)]].abs().max() < 1e-3
        assert whole.abs().max() < 0.06  # the openness of a flat cell is .95

    def test_bias_opens_and_closes(self):
        image, change = photo("coffee"), randn(1, 12, 2, CELLS, CELLS)
        closed, opened = (torch.full((1, 2, CELLS, CELLS), value, dtype=torch.float64) for value in (-1e4, 1e4))
        assert torch.equal(found(sharing(), image, 2, bias=closed).share(change), change)
        grounds = found(sharing(), image, 2, bias=opened)
        means = (grounds.weights @ change.flatten(3).permute(0, 2, 3, 1)).permute(0, 3, 1, 2).reshape(change.shape)
        torch.testing.assert_close(grounds.share(change), means, rtol=0, atol=EXACT)

    def test_each_kind_of_regions_has_its_own_scale(self):
        for row, mask in enumerate((two_regions(), None)):
            made = sharing(trained=True)
            regions = read(photo("coffee"), 2, two_regions())[1]  # the same in both cases
            statistics = read(photo("coffee"), 2, mask)[0]
            bias = torch.zeros(1, 2, CELLS, CELLS).double()
            before = made(statistics, regions, bias).weights
            made.region_scale[1 - row] += 1
            assert torch.equal(made(statistics, regions, bias).weights, before)
            made.region_scale[row] += 1
            assert not torch.equal(made(statistics, regions, bias).weights, before)

    def test_invariance_to_other_items_of_the_batch(self):
        images = torch.cat([photo("coffee")[..., :30, :30], photo("chelsea")[..., :30, :30]])
        both = found(sharing(trained=True), images, 2)
        for n in range(2):
            one = found(sharing(trained=True), images[n : n + 1], 2)
            for whole, part in zip(both, one, strict=True):
                # Convolutions of the encoder may add in another order, and colours are divided by the limit of .07.
                torch.testing.assert_close(whole[n : n + 1], part, rtol=0, atol=1e-9)

    def test_gradients_reach_every_parameter(self):
        made = sharing(trained=True).requires_grad_(True)
        grounds = found(made, photo("coffee"), 4, two_regions())
        grounds.share(randn(1, 12, 4, CELLS, CELLS)).square().mean().backward()
        for name, parameter in made.named_parameters():
            assert parameter.grad.norm() > 1e-7, name
