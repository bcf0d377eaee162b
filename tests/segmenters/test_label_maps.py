import pytest
import torch

from lookcast.checks import ShapeError
from lookcast.segmenters.label_maps import label_map, merge_smallest, one_hot_pair, shares, thumbnail
from tests.samples import photo, rand


class TestThumbnail:
    @pytest.mark.parametrize(
        ("size", "options", "expected"),
        [
            ((300, 400), {"max_side": 200}, (150, 200)),
            ((37, 61), {"max_side": 200}, (37, 61)),  # only enlarged to the minimum size
            ((37, 61), {"max_side": 200, "multiple": 8}, (40, 64)),
            ((1, 300), {"max_side": 200}, (16, 200)),
            ((5, 4), {"max_side": 200, "min_side": 20, "multiple": 8}, (24, 24)),
        ],
    )
    def test_shape(self, size, options, expected):
        small = thumbnail(rand(2, 3, *size), **options)
        assert small.shape == (2, 3, *expected)
        assert small.dtype == torch.float32

    def test_known_value(self):
        # Antialiased: stripes of one pixel become their mean.
        stripes = torch.tensor([0.0, 1.0]).repeat(64).expand(1, 3, 128, 128)
        assert (thumbnail(stripes, 32)[..., 2:-2] - 0.5).abs().max() < 0.01

    def test_same_size_is_the_same_photo(self):
        image = photo("coffee").float()
        torch.testing.assert_close(thumbnail(image, 200), image)


class TestLabelMap:
    def test_matches_reference(self):
        soft = rand(1, 5, 6, 7).softmax(1)
        expected = torch.nn.functional.interpolate(soft, (23, 40), mode="bilinear", antialias=True).argmax(1)
        assert torch.equal(label_map(soft, (23, 40)).long(), expected)

    def test_known_value(self):
        soft = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).view(1, 2, 1, 2)
        assert label_map(soft, (1, 8)).tolist() == [[[0, 0, 0, 0, 1, 1, 1, 1]]]
        assert label_map(torch.full((1, 3, 1, 1), 1 / 3), (2, 2)).tolist() == [[[0, 0], [0, 0]]]

    def test_rejects_several_photos(self):
        with pytest.raises(ShapeError, match="soft: expected shape"):
            label_map(rand(2, 3, 4, 4), (8, 8))


class TestShares:
    def test_known_value(self):
        labels = torch.tensor([[[0, 2, 2, 2]]], dtype=torch.uint8)
        assert shares(labels, 4).tolist() == [0.25, 0, 0.75, 0]


class TestMergeSmallest:
    def test_nine_are_kept(self):
        assert merge_smallest(torch.full((9,), 0.2), rest=3).tolist() == list(range(9))
        total = torch.tensor([0.0, 0.1, 0.0] * 9)  # 9 of 27 are present
        assert merge_smallest(total, rest=0).tolist() == list(range(27))

    def test_the_smallest_are_merged_into_the_rest(self):
        total = torch.tensor([0.5, 0.01, 0.2, 0.3, 0.3, 0.02, 0.3, 0.3, 0.3, 0.3, 0.3])
        expected = list(range(11))
        expected[1] = expected[5] = 2
        assert merge_smallest(total, rest=2).tolist() == expected

    def test_the_rest_is_kept_however_small(self):
        total = torch.arange(1, 12) / 10
        expected = [0, 0, 0, *range(3, 11)]
        assert merge_smallest(total, rest=0).tolist() == expected

    def test_without_a_rest_they_are_merged_into_the_most_common(self):
        total = torch.tensor([0.0, 0.1, 0.2, 0.3, 0.4, 0.9, 0.8, 0.7, 0.6, 0.55, 0.5])
        expected = list(range(11))
        expected[1] = 5
        assert merge_smallest(total, rest=0).tolist() == expected


class TestOneHotPair:
    def test_known_value(self):
        content = torch.tensor([[[0, 1], [1, 3]]], dtype=torch.uint8)
        style = torch.tensor([[[3, 4, 0]]], dtype=torch.uint8)
        masks, kept = one_hot_pair(content, style, torch.tensor([0, 3, 2, 3, 4]))
        assert kept == [0, 3, 4]
        assert masks[0].tolist() == [[[[1, 0], [0, 0]], [[0, 1], [1, 1]], [[0, 0], [0, 0]]]]
        assert masks[1].tolist() == [[[[0, 0, 1]], [[1, 0, 0]], [[0, 1, 0]]]]
