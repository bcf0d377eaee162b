import pytest
import torch

from lookcast.encoders.scenes import SCENES
from lookcast.generators.regions import RegionHead, SceneRegions, blur_volume, common_classes, region_shares
from lookcast.generators.statistics import CELLS, NUM_FEATURES, PLACES, PhotoStatistics, with_position
from lookcast.ops.resize import thumbnail_of
from tests.reference import statistics as reference
from tests.samples import rand, randn


def halves():
    """Left and right."""
    mask = torch.zeros(1, 2, PLACES, PLACES, dtype=torch.float64)
    mask[:, 0, :, : PLACES // 2], mask[:, 1, :, PLACES // 2 :] = 1, 1
    return mask


def statistics(places=None, thumbnail=None):
    """Return the statistics of a photo of which only the features of the places or the thumbnail are known."""
    return PhotoStatistics(thumbnail, places, *[None] * (len(PhotoStatistics._fields) - 2))


class TestRegionHead:
    def test_shape(self):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            head = RegionHead(5)
        shares = head(statistics(randn(2, NUM_FEATURES, 8, 8, dtype=torch.float32)))
        assert shares.shape == (2, 5, 8, 8)
        torch.testing.assert_close(shares.sum(1), torch.ones(2, 8, 8))

    def test_matches_reference(self):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            head = RegionHead(5).double()
        scales = torch.linspace(0, 30, NUM_FEATURES, dtype=torch.float64)[:, None, None]  # one channel is flat
        places = 50 + scales * randn(2, NUM_FEATURES, 6, 9)
        expected = head.layers(with_position(places)).softmax(1)
        # Float64: sums of 182 products of the order of 100.
        torch.testing.assert_close(head(statistics(places)), expected, rtol=0, atol=1e-11)

    def test_knows_where_a_place_is(self):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            head = RegionHead(5)
        shares = head(statistics(randn(1, NUM_FEATURES, 1, 1, dtype=torch.float32).expand(1, -1, 4, 4)))[0]
        assert (shares[:, 0, 0] - shares[:, 3, 3]).abs().max() > 0.01

    def test_one_region_is_everything(self):
        places = randn(1, NUM_FEATURES, 4, 4, dtype=torch.float32)
        assert torch.equal(RegionHead(1)(statistics(places)), torch.ones(1, 1, 4, 4))


class TestSceneRegions:
    def test_are_the_classes_of_the_thumbnail_at_the_places(self):
        regions, thumbnail = SceneRegions(), rand(2, 3, 256, 256).float()
        expected = regions.classes(thumbnail_of(thumbnail, 128), PLACES)
        found = regions(statistics(thumbnail=thumbnail))
        assert torch.equal(found, expected)
        assert found.shape == (2, len(SCENES), PLACES, PLACES)

    def test_are_the_same_under_autocast(self):
        regions, photo = SceneRegions(), statistics(thumbnail=rand(1, 3, 128, 128).float())
        with torch.autocast("cpu", torch.bfloat16):
            found = regions(photo)
        assert torch.equal(found, regions(photo))

    def test_are_frozen(self):
        regions = SceneRegions()
        assert not list(regions.parameters())
        assert not regions.state_dict()
        assert not regions(statistics(thumbnail=rand(1, 3, 128, 128).float().requires_grad_())).requires_grad


class TestCommonClasses:
    def test_rare_classes_of_the_style_go_to_the_next_class(self):
        content = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64).view(1, 3, 1, 1).expand(2, 3, 8, 8)
        style = torch.tensor([0.01, 0.49, 0.5], dtype=torch.float64).view(1, 3, 1, 1).expand(1, 3, 8, 8)
        own, other = common_classes(content, style)
        weighed = torch.tensor([0.6 * 0.01, 0.3, 0.1], dtype=torch.float64)  # (.01 / .1) ^ 2 of the first class is left
        torch.testing.assert_close(own, (weighed / weighed.sum()).view(1, 3, 1, 1).expand(2, 3, 8, 8))
        weighed = torch.tensor([0.0001, 0.49, 0.5], dtype=torch.float64)
        torch.testing.assert_close(other, (weighed / weighed.sum()).view(1, 3, 1, 1).expand(1, 3, 8, 8))

    def test_a_place_of_nothing_else_keeps_its_class(self):
        content = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1)
        own, other = common_classes(content, content.flip(1))
        assert torch.equal(own, content)
        assert torch.equal(other, content.flip(1))

    def test_common_classes_stay(self):
        classes = torch.tensor([0.1, 0.4, 0.5], dtype=torch.float64).view(1, 3, 1, 1).expand(1, 3, 8, 8)
        own, other = common_classes(classes.flip(1), classes)
        torch.testing.assert_close(own, classes.flip(1))
        torch.testing.assert_close(other, classes)


class TestBlur:
    def test_matches_reference(self):
        volume = rand(1, 1, 3, 5, 4)
        expected = torch.from_numpy(reference.blur(volume[0, 0].numpy()))
        torch.testing.assert_close(blur_volume(volume)[0, 0], expected, rtol=0, atol=1e-14)

    @pytest.mark.parametrize("size", [(8, 16, 16), (1, 4, 4), (2, 1, 1)])
    def test_keeps_sums_and_what_is_uniform(self, size):
        volume = rand(2, 3, *size)
        torch.testing.assert_close(blur_volume(volume).sum((2, 3, 4)), volume.sum((2, 3, 4)), rtol=1e-12, atol=0)
        torch.testing.assert_close(blur_volume(torch.ones_like(volume)), torch.ones_like(volume), rtol=0, atol=1e-14)


class TestRegionShares:
    def test_sums_to_one(self):
        shares = rand(2, 4, PLACES, PLACES).softmax(1)
        mask = (3 * randn(2, 3, PLACES, PLACES)).softmax(1)
        out = region_shares(shares, mask)
        assert out.shape == (2, 3, 4, CELLS, CELLS)
        assert out.min() >= 0
        torch.testing.assert_close(out.sum(1), torch.ones(2, 4, CELLS, CELLS).double(), rtol=0, atol=1e-9)

    def test_known_value(self):
        # Two halves, all pixels in step 3 of 8. Three rounds of [1 2 1] / 4 make [1 6 15 20 15 6 1] / 64, along the
        # depth and across the border between columns 7 and 8; then .02 of the unblurred cell is added.
        shares = torch.zeros(1, 8, PLACES, PLACES).double()
        shares[:, 3] = 1
        left = region_shares(shares, halves())[0, 0]
        kernel = torch.tensor([1, 6, 15, 20, 15, 6, 1, 0]).double() / 64
        across = torch.tensor([64] * 5 + [63, 57, 42, 22, 7, 1] + [0] * 5).double() / 64
        here = torch.tensor([1] * 8 + [0] * 8).double()
        expected = (across * kernel[:, None] + 0.02 * here) / (kernel[:, None] + 0.02)
        torch.testing.assert_close(left, expected[:, None].expand(8, CELLS, CELLS), rtol=0, atol=1e-9)

    def test_without_blur(self):
        # Each step keeps its own pixels and .02 of the pixels of the cell.
        shares, mask = torch.zeros(1, 2, PLACES, PLACES).double(), torch.zeros(1, 2, PLACES, PLACES).double()
        shares[:, 0], mask[:, 1] = 1, 1
        shares[..., :2, :4], mask[..., :2, :4] = shares[..., :2, :4].flip(1), mask[..., :2, :4].flip(1)
        out = region_shares(shares, mask, rounds=0)[0, :, :, 0, 0]  # half of the first cell: region 0, step 1
        torch.testing.assert_close(
            out[0], torch.tensor([0.16 / 8.32, 8.16 / 8.32], dtype=torch.float64), rtol=0, atol=1e-9
        )

    def test_unlabelled_is_zero(self):
        mask = halves()
        mask[..., : PLACES // 2, :] = 0
        out = region_shares(rand(1, 3, PLACES, PLACES).softmax(1), mask).sum(1)
        assert not out[:, :, :5].any()  # the blur reaches three cells beyond the labelled half
        torch.testing.assert_close(out[:, :, 5:], torch.ones_like(out[:, :, 5:]), rtol=0, atol=1e-3)

    def test_steps_without_pixels_are_taken_from_the_cell(self):
        shares = torch.zeros(1, 8, PLACES, PLACES).double()
        shares[:, 0] = 1
        out = region_shares(shares, halves())
        torch.testing.assert_close(out[:, :, 4:, :, :], out[:, :, 7:].expand(-1, -1, 4, -1, -1), rtol=0, atol=1e-12)
        torch.testing.assert_close(out[0, 0, 7, 0], torch.tensor([1.0] * 8 + [0.0] * 8).double(), rtol=0, atol=1e-9)

    def test_a_bright_sky_over_a_dark_skyline_keeps_its_share(self):
        # The left half is a bright sky, the right half a dark building, in two regions. In the first cells of the
        # building, the step of the sky belongs to the sky.
        mask = halves()
        shares = torch.zeros(1, 8, PLACES, PLACES).double()
        shares[:, 7], shares[:, 0] = mask[:, 0], mask[:, 1]
        out = region_shares(shares, mask)
        # At the last step, the blur keeps 35 / 64 of the sky, and 22 / 64 and 7 / 64 reach the cells of the building.
        sky = torch.tensor([22, 7]).double() / 64 * 35 / 64
        torch.testing.assert_close(out[0, 0, 7, 3, 8:10], sky / (sky + 0.02), rtol=0, atol=1e-9)
        assert out[0, 0, 7, 3, 8] > 0.9
        torch.testing.assert_close(out[0, 1, 0, 3, 8:], torch.ones(8).double(), rtol=0, atol=1e-9)
