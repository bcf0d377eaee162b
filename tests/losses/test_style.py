import numpy as np
import pytest
import torch

from lookcast.checks import InputError
from lookcast.losses.style import PaperStyleLoss, SegmentedStyleLoss, style_targets
from lookcast.ops.gram import gram_matrix, relative_distance
from lookcast.ops.regions import MIN_SHARE
from tests.reference import gram as reference
from tests.samples import randn

TAPS = ("shallow", "deep")
LOSSES = pytest.mark.parametrize("kind", [SegmentedStyleLoss, PaperStyleLoss])


def _features(seed, batch=1, height=8, width=12):
    return {
        "shallow": randn(batch, 3, height, width, seed=seed),
        "deep": randn(batch, 5, height // 2, width // 2, seed=seed + 1) + 1,
    }


def _stripes(*labels, num_labels=3, height=8, width=12):
    """Mask of vertical stripes of equal width, one for each label; -1 leaves a stripe without a label."""
    mask = torch.zeros(1, num_labels, height, width, dtype=torch.float64)
    for i, label in enumerate(labels):
        if label >= 0:
            mask[:, label, :, i * width // len(labels) : (i + 1) * width // len(labels)] = 1
    return mask


def _reference_loss(kind, output, style, content_mask, style_mask):
    """Both losses by numpy, from the reference's Gram matrices, label by label; batch 1."""
    total = 0.0
    for tap in TAPS:
        grams = reference.gram_matrix(output[tap][0].numpy(), content_mask[0].numpy())
        targets = reference.gram_matrix(style[tap][0].numpy(), style_mask[0].numpy())
        whole = reference.gram_matrix(style[tap][0].numpy())[0]
        sum_of_terms, sum_of_shares = 0.0, 0.0
        for k in range(content_mask.shape[1]):
            share = content_mask[0, k].mean().item()
            if share == 0:
                continue
            target = targets[k] if style_mask[0, k].any() else whole
            difference = grams[k] - target
            if kind is PaperStyleLoss:  # eq. 3: 1 / (2 N^2), without the constant channel
                channels = len(target) - 1
                sum_of_terms += np.sum(difference[:channels, :channels] ** 2) / (2 * channels**2)
                sum_of_shares = 1
            else:
                sum_of_terms += share * np.linalg.norm(difference) / np.linalg.norm(target)
                sum_of_shares += share
        total += sum_of_terms / sum_of_shares / len(TAPS)
    return total


class TestStyleTargets:
    def test_shape(self):
        targets = style_targets(_features(0, batch=2), _stripes(0, 1, 2).repeat(2, 1, 1, 1), TAPS)
        assert {tap: tuple(t.shape) for tap, t in targets.items()} == {"shallow": (2, 3, 4, 4), "deep": (2, 3, 6, 6)}
        assert style_targets(_features(0), None, ["deep"])["deep"].shape == (1, 1, 6, 6)

    def test_known_value(self):
        features, mask = _features(0), _stripes(0, 2)
        targets = style_targets(features, mask, ["deep"])["deep"][0]
        torch.testing.assert_close(targets[0], gram_matrix(features["deep"][..., :3])[0, 0])
        torch.testing.assert_close(targets[2], gram_matrix(features["deep"][..., 3:])[0, 0])

    def test_absent_label_falls_back_to_the_whole_photo(self):
        features, mask = _features(0), _stripes(0, 2)
        targets = style_targets(features, mask, TAPS)
        for tap in TAPS:
            torch.testing.assert_close(targets[tap][0, 1], gram_matrix(features[tap])[0, 0])

    def test_label_on_a_sliver_counts_as_absent(self):
        features, mask = _features(0, height=20, width=20), _stripes(0, height=20, width=20)
        mask[:, 1, 0, 0], mask[:, 0, 0, 0] = 1, 0  # 1 of 400 pixels is less than MIN_SHARE
        mask[:, 2, 1, :2], mask[:, 0, 1, :2] = 1, 0  # 2 of 400 is just as much
        assert MIN_SHARE == 2 / 400
        targets = style_targets(features, mask, ["shallow"])["shallow"][0]
        torch.testing.assert_close(targets[1], gram_matrix(features["shallow"])[0, 0])
        torch.testing.assert_close(targets[2], gram_matrix(features["shallow"][..., 1:2, :2])[0, 0])


@LOSSES
class TestSegmentedStyleLoss:
    def test_shape(self, kind):
        masks = _stripes(0, 1, 2).repeat(2, 1, 1, 1), _stripes(1, 0, 2)
        assert kind(TAPS)(_features(0, batch=2), _features(5), *masks).shape == ()

    @pytest.mark.parametrize(
        ("content_labels", "style_labels"),
        [((0, 1, 2), (2, 1, 0)), ((0, 0, 1), (1, 2, 2, 2)), ((0, 2), (1,)), ((1, -1, 2), (-1, 1, 0))],
    )
    def test_matches_reference(self, kind, content_labels, style_labels):
        output, style = _features(0), _features(5, height=10, width=16)
        masks = _stripes(*content_labels), _stripes(*style_labels, height=10, width=16)
        expected = _reference_loss(kind, output, style, *masks)
        assert kind(TAPS)(output, style, *masks).item() == pytest.approx(expected, rel=1e-10)

    def test_matches_reference_without_masks(self, kind):
        output, style = _features(0), _features(5, height=10, width=16)
        masks = _stripes(0, num_labels=1), _stripes(0, num_labels=1, height=10, width=16)
        expected = _reference_loss(kind, output, style, *masks)
        assert kind(TAPS)(output, style).item() == pytest.approx(expected, rel=1e-10)

    def test_one_label_equals_no_mask(self, kind):
        output, style = _features(0), _features(5)
        one, loss = _stripes(1), kind(TAPS)
        torch.testing.assert_close(loss(output, style, one, one), loss(output, style))

    def test_same_regions_cost_nothing(self, kind):
        # Content and style hold the same two regions side by side, in the other order.
        features = _features(0)
        swapped = {tap: f.roll(f.shape[-1] // 2, -1) for tap, f in features.items()}
        loss = kind(TAPS)
        assert loss(features, swapped, _stripes(0, 1), _stripes(1, 0)).item() < 1e-6
        assert loss(features, swapped, _stripes(0, 1), _stripes(0, 1)).item() > 0.01

    def test_absent_label_is_no_zero_target(self, kind):
        output, style = _features(0), _features(5)
        loss = kind(TAPS)
        absent = loss(output, style, _stripes(1), _stripes(0))
        torch.testing.assert_close(absent, loss(output, style))
        # A target of zeros would be nearest to an output of zeros.
        black = {tap: torch.zeros_like(f) for tap, f in output.items()}
        assert loss(style, style, _stripes(1), _stripes(0)) < 1e-6
        assert loss(black, style, _stripes(1), _stripes(0)) > 0.1

    def test_unlabelled_pixels_take_no_part(self, kind):
        output, style = _features(0), _features(5)
        masks, loss = (_stripes(0, -1, 2), _stripes(0, 2, -1)), kind(TAPS)
        before = loss(output, style, *masks)
        outside = {tap: f.clone().requires_grad_() for tap, f in output.items()}
        for feature in outside.values():
            third = feature.shape[-1] // 3
            feature.data[..., third : 2 * third] = 50
        after = loss(outside, style, *masks)
        torch.testing.assert_close(after.detach(), before, rtol=1e-12, atol=0)
        after.backward()
        for feature in outside.values():
            third = feature.shape[-1] // 3
            assert not feature.grad[..., third : 2 * third].any()
            assert feature.grad[..., :third].any()
        # Neither do those of the style, for a label that both have.
        for tap, feature in style.items():
            third = feature.shape[-1] // 3
            style[tap] = torch.cat([feature[..., :-third], feature[..., :third]], -1)
        torch.testing.assert_close(loss(output, style, *masks), before, rtol=1e-12, atol=0)

    def test_nothing_labelled_costs_nothing(self, kind):
        output = {tap: f.requires_grad_() for tap, f in _features(0).items()}
        loss = kind(TAPS)(output, _features(5), _stripes(-1), _stripes(0))
        loss.backward()
        assert loss.item() == 0
        assert not any(f.grad.any() for f in output.values())

    def test_content_label_on_a_sliver_takes_no_part(self, kind):
        output, style = _features(0, height=20, width=20), _features(5, height=20, width=20)
        full = _stripes(0, height=20, width=20)
        sliver = full.clone()
        sliver[:, 0, 0, 0], sliver[:, 1, 0, 0] = 0, 1
        hole = full.clone()
        hole[:, 0, 0, 0] = 0
        masks = _stripes(0, 1, height=20, width=20)
        loss = kind(TAPS)
        torch.testing.assert_close(loss(output, style, sliver, masks), loss(output, style, hole, masks))

    def test_one_style_serves_a_batch(self, kind):
        output, style, masks = _features(0, batch=3), _features(5), (_stripes(0, 1), _stripes(1, 1, 0))
        loss = kind(TAPS)
        content_mask = masks[0].repeat(3, 1, 1, 1)
        many = {tap: f.repeat(3, 1, 1, 1) for tap, f in style.items()}
        expected = loss(output, many, content_mask, masks[1].repeat(3, 1, 1, 1))
        torch.testing.assert_close(loss(output, style, content_mask, masks[1]), expected)
        singles = [loss({t: f[i : i + 1] for t, f in output.items()}, style, *masks) for i in range(3)]
        torch.testing.assert_close(expected, torch.stack(singles).mean())

    def test_gradcheck(self, kind):
        style = {"a": randn(1, 2, 3, 4, seed=3)}
        masks = _stripes(0, 1, height=3, width=4), _stripes(1, 2, height=3, width=4)
        loss = kind(["a"])
        assert torch.autograd.gradcheck(lambda f: loss({"a": f}, style, *masks), randn(1, 2, 3, 4).requires_grad_())

    def test_rejects_one_mask_without_the_other(self, kind):
        for name, masks in {"content_mask": (_stripes(0), None), "style_mask": (None, _stripes(0))}.items():
            with pytest.raises(InputError, match=f"but {name} is given; masks come in pairs$"):
                kind(TAPS)(_features(0), _features(5), *masks)

    def test_rejects_masks_with_other_labels(self, kind):
        with pytest.raises(InputError, match="style_mask: has 2 labels, content_mask has 3"):
            kind(TAPS)(_features(0), _features(5), _stripes(0), _stripes(0, num_labels=2))


class TestDistances:
    def test_module_equals_function(self):
        output, style = _features(0), _features(5)
        expected = relative_distance(gram_matrix(output["deep"]), gram_matrix(style["deep"])).mean()
        torch.testing.assert_close(SegmentedStyleLoss(["deep"])(output, style), expected)

    def test_relative_loss_weighs_labels_by_area(self):
        # Label 0 fits on three quarters, label 1 is off by its whole target's norm: G = 0 but for the constant channel.
        output = {"a": torch.full((1, 1, 4, 4), 3.0).double()}
        output["a"][..., 3:] = 0
        style = {"a": torch.full((1, 1, 4, 4), 3.0).double()}
        mask = torch.zeros(1, 2, 4, 4).double()
        mask[:, 0, :, :3], mask[:, 1, :, 3:] = 1, 1
        off = np.linalg.norm([[9, 3], [3, 0]]) / np.linalg.norm([[9, 3], [3, 1]])
        assert SegmentedStyleLoss(["a"])(output, style, mask, mask).item() == pytest.approx(off / 4, rel=1e-6)
        # The paper counts every label alike: (0 - 9)^2 / 2.
        assert PaperStyleLoss(["a"])(output, style, mask, mask).item() == pytest.approx(40.5)

    def test_invariance_of_the_relative_loss_to_scale(self):
        output, style = _features(0), _features(5)
        loss = SegmentedStyleLoss(["deep"])
        # Only the second moments scale; without the constant channel's row the invariance is exact.
        expected = loss(output, style).item()
        scaled = loss({"deep": 100 * output["deep"]}, {"deep": 100 * style["deep"]}).item()
        assert scaled == pytest.approx(expected, rel=0.1)
        paper = PaperStyleLoss(["deep"])
        ratio = paper({"deep": 10 * output["deep"]}, {"deep": 10 * style["deep"]}) / paper(output, style)
        assert ratio.item() == pytest.approx(1e4)


class TestMostCells:
    """The loss reads every n-th cell of each axis in taps with more than `max_cells` cells."""

    @LOSSES
    def test_known_value(self, kind):
        output, style = _features(0), _features(5)  # 8 x 12 and 4 x 6 cells
        masks = _stripes(0, 1, 2), _stripes(1, 1, 0)
        # 96 cells are four times 24: every second in each direction; the 24 of the deep tap are read as they are.
        thinned = [{"shallow": f["shallow"][..., ::2, ::2], "deep": f["deep"]} for f in (output, style)]
        actual = kind(TAPS, max_cells=24)(output, style, *masks)
        torch.testing.assert_close(actual, kind(TAPS)(*thinned, *masks), rtol=0, atol=0)
        assert abs(actual - kind(TAPS)(output, style, *masks)) > 1e-4

    def test_step_is_rounded_up(self):
        output, style = _features(0), _features(5)
        # 96 / 20 is 4.8: a step of 3 leaves 3 x 4 cells of 96, one of 2 would leave 24.
        expected = SegmentedStyleLoss(["shallow"])(*({"shallow": f["shallow"][..., ::3, ::3]} for f in (output, style)))
        assert SegmentedStyleLoss(["shallow"], max_cells=20)(output, style) == expected

    @pytest.mark.parametrize("max_cells", [None, 96, 1000])
    def test_enough_cells_are_all_read(self, max_cells):
        output, style = _features(0), _features(5)
        assert SegmentedStyleLoss(TAPS, max_cells)(output, style) == SegmentedStyleLoss(TAPS)(output, style)
