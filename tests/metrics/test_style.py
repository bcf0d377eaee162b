import numpy as np
import pytest
import torch
from skimage.color import rgb2lab

from lookcast.checks import InputError, ShapeError
from lookcast.metrics import style as style_metrics
from lookcast.metrics.style import feature_distance, gram_distance, lab, sliced_wasserstein
from tests.reference import style_metrics as reference
from tests.samples import photo, rand, randn, recolor

MASKS = ("content_mask", "style_mask")


def features(seed=0, batch=1, sizes=((8, 10), (4, 5))):
    return {f"tap{i}": randn(batch, 3 + i, *size, seed=seed + i) for i, size in enumerate(sizes)}


def halves(height, width, at=0.5, labels=3):
    """Left and right; the third label is nowhere."""
    mask = torch.zeros(1, labels, height, width).double()
    mask[:, 0, :, : int(at * width)] = 1
    mask[:, 1] = 1 - mask[:, 0]
    return mask


def arrays(maps):
    return [tensor[0].numpy() for tensor in maps.values()]


class TestGramDistance:
    def test_shape(self):
        assert gram_distance(features(batch=3), features(seed=9)).shape == (3,)

    def test_matches_reference(self):
        output, style = features(), features(seed=9, sizes=((6, 6), (3, 3)))
        masks = halves(16, 20, 0.35), halves(12, 12, 0.7)
        expected = reference.gram_distance(arrays(output), arrays(style), *(mask[0].numpy() for mask in masks))
        assert abs(float(gram_distance(output, style, *masks)) - expected) < 1e-9

    def test_matches_reference_where_a_label_is_in_one_photo_only(self):
        output, style = features(), features(seed=9)
        masks = halves(16, 20, 0.35), halves(16, 20, 1.0)
        expected = reference.gram_distance(arrays(output), arrays(style), *(mask[0].numpy() for mask in masks))
        assert abs(float(gram_distance(output, style, *masks)) - expected) < 1e-9

    def test_without_masks_is_one_region(self):
        output, style, whole = features(), features(seed=9), torch.ones(1, 1, 8, 10).double()
        torch.testing.assert_close(gram_distance(output, style), gram_distance(output, style, whole, whole))

    def test_known_value(self):
        # Features of 1 against 3: G = [[1, 1], [1, 1]], T = [[9, 3], [3, 1]].
        output, style = torch.ones(1, 1, 4, 4).double(), torch.full((1, 1, 4, 4), 3.0).double()
        torch.testing.assert_close(float(gram_distance({"a": output}, {"a": style})), (72 / 100) ** 0.5)

    def test_nothing_for_the_style_itself(self):
        assert float(gram_distance(features(), features(), halves(16, 20), halves(16, 20))) < 1e-5

    def test_invariance_to_where_things_lie(self):
        output, style = features(), features(seed=9)
        flipped = {tap: maps.flip(3) for tap, maps in output.items()}
        torch.testing.assert_close(gram_distance(flipped, style), gram_distance(output, style))

    def test_no_figure_without_a_common_label(self):
        masks = halves(16, 20, 1.0), halves(16, 20, 0.0)
        assert gram_distance(features(), features(seed=9), *masks).isnan().all()

    @pytest.mark.parametrize("missing", [0, 1])
    def test_rejects_one_mask(self, missing):
        masks = [halves(16, 20), halves(16, 20)]
        masks[missing] = None
        with pytest.raises(InputError, match=f"^{MASKS[missing]}: missing, but {MASKS[1 - missing]} is given"):
            gram_distance(features(), features(), *masks)

    def test_rejects_other_labels_and_taps(self):
        with pytest.raises(InputError, match="style_mask: has 4 labels, content_mask has 3"):
            gram_distance(features(), features(), halves(16, 20), halves(16, 20, labels=4))
        with pytest.raises(InputError, match="features: expected the same taps for both images, got"):
            gram_distance(features(), {"tap0": features()["tap0"]})


class TestSlicedWasserstein:
    @pytest.fixture
    def directions(self):
        drawn = torch.randn(32, 3, generator=torch.Generator().manual_seed(0))
        return (drawn / drawn.norm(dim=1, keepdim=True)).double().numpy()

    def test_shape(self):
        assert sliced_wasserstein(rand(3, 3, 20, 30), rand(1, 3, 12, 13, seed=1)).shape == (3,)
        assert sliced_wasserstein(rand(2, 3, 20, 30), rand(2, 3, 12, 13, seed=1)).shape == (2,)

    @pytest.mark.parametrize("shares", [(0.4, 0.7), (0.4, 1.0), (1.0, 1.0)])
    def test_matches_reference(self, directions, shares):
        output, style = photo("chelsea"), photo("coffee")
        masks = [halves(*i.shape[-2:], share) for i, share in zip((output, style), shares, strict=True)]
        expected = reference.sliced_wasserstein(directions, *(x[0].numpy() for x in (output, style, *masks)))
        assert abs(float(sliced_wasserstein(output, style, *masks)) - expected) < 1e-5

    def test_thinning_keeps_the_figure(self, monkeypatch):
        output, style = photo("chelsea", whole=True).float(), photo("coffee", whole=True).float()
        thinned = float(sliced_wasserstein(output, style))
        monkeypatch.setattr(style_metrics, "MAX_SAMPLES", 200_000)
        assert abs(float(sliced_wasserstein(output, style)) - thinned) < 0.05

    def test_known_value(self):
        # Two flat greys differ in L alone: the distance is that of L times the mean of the directions' first component.
        directions = torch.randn(32, 3, generator=torch.Generator().manual_seed(0))
        along = (directions[:, 0] / directions.norm(dim=1)).abs().mean()
        dark, bright = torch.full((1, 3, 4, 4), 0.2), torch.full((1, 3, 4, 4), 0.8)
        expected = along * (lab(bright) - lab(dark))[0, 0, 0, 0]
        torch.testing.assert_close(float(sliced_wasserstein(dark, bright)), float(expected), rtol=0, atol=1e-2)

    def test_nothing_for_the_same_colours_elsewhere(self):
        image = photo("astronaut")
        assert float(sliced_wasserstein(image.flip(3), image)) < 1e-9

    def test_invariance_to_other_items_of_the_batch(self):
        output, style = rand(3, 3, 20, 30), rand(1, 3, 12, 13, seed=1)
        torch.testing.assert_close(sliced_wasserstein(output, style)[1:2], sliced_wasserstein(output[1:2], style))

    def test_no_figure_without_a_common_label(self):
        masks = halves(20, 30, 1.0), halves(20, 30, 0.0)
        assert sliced_wasserstein(rand(1, 3, 20, 30), rand(1, 3, 20, 30), *masks).isnan().all()

    def test_rejects_masks_of_another_size(self):
        with pytest.raises(ShapeError, match="content_mask: expected shape"):
            sliced_wasserstein(rand(1, 3, 20, 30), rand(1, 3, 20, 30), halves(20, 31), halves(20, 30))
        with pytest.raises(InputError, match=r"^style_mask: missing, but content_mask is given"):
            sliced_wasserstein(rand(1, 3, 20, 30), rand(1, 3, 20, 30), halves(20, 30))


class TestFeatureDistance:
    def test_matches_reference(self):
        output, content = features(), features(seed=9)
        expected = reference.feature_distance(arrays(output), arrays(content))
        torch.testing.assert_close(float(feature_distance(output, content)), expected)

    def test_known_value(self):
        # Opposite directions are 2 apart, right angles the root of 2; lengths do not count.
        ones = torch.ones(1, 1, 4, 4)
        assert float(feature_distance({"a": ones}, {"a": -3 * ones})) == 4
        first, second = torch.cat([ones, 0 * ones], 1), torch.cat([0 * ones, 5 * ones], 1)
        assert float(feature_distance({"a": first}, {"a": second})) == 2

    def test_invariance_to_the_lengths_and_to_other_items_of_the_batch(self):
        output, content = features(batch=2), features(seed=9, batch=2)
        longer = {tap: 7 * maps for tap, maps in output.items()}
        expected = feature_distance(output, content)
        torch.testing.assert_close(feature_distance(longer, content), expected)
        torch.testing.assert_close(feature_distance(*({t: m[1:] for t, m in f.items()} for f in (output, content))), expected[1:])  # fmt: skip # noqa: E501

    def test_rejects_other_shapes(self):
        with pytest.raises(ShapeError, match=r"content\['tap0'\]: expected shape"):
            feature_distance(features(), features(batch=2))


class TestLab:
    def test_matches_reference(self):
        image = recolor(photo("chelsea")).clamp(0, 1)
        expected = np.array([reference.lab(color) for color in image[0].flatten(1).T.numpy()])
        torch.testing.assert_close(lab(image)[0].flatten(1).T, torch.from_numpy(expected), rtol=0, atol=1e-9)

    def test_matches_scikit_image(self):
        # Whose constants have six digits.
        image = photo("astronaut")
        expected = torch.from_numpy(rgb2lab(image[0].permute(1, 2, 0).numpy())).permute(2, 0, 1)
        torch.testing.assert_close(lab(image)[0], expected, rtol=0, atol=0.02)

    @pytest.mark.parametrize(
        ("rgb", "expected"), [((1, 1, 1), (100, 0, 0)), ((0, 0, 0), (0, 0, 0)), ((1, 0, 0), (53.24, 80.09, 67.20))]
    )
    def test_known_value(self, rgb, expected):
        actual = lab(torch.tensor(rgb).double().view(1, 3, 1, 1))
        torch.testing.assert_close(actual.flatten(), torch.tensor(expected).double(), rtol=0, atol=0.01)

    def test_half_precision_is_converted_in_float32(self):
        assert lab(photo("coffee").bfloat16()).dtype == torch.float32
