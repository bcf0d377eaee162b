import pytest
import torch
from torch import nn

from lookcast.checks import InputError
from lookcast.losses.color import ColorLoss
from lookcast.losses.content import ContentLoss
from lookcast.losses.deep_photo import DeepPhotoLoss
from lookcast.losses.flatness import flatness_excess
from lookcast.losses.photorealism import MattingPenalty
from lookcast.losses.smoothness import gamut_excess, grid_smoothness
from lookcast.losses.style import SegmentedStyleLoss
from lookcast.structures import LossTerms, Stylization
from tests.samples import rand, randn

TERMS = [name for name in LossTerms._fields if name != "total"]
WEIGHTS = dict(zip(TERMS, (0.5, 2.0, 0.1, 3.0, 5.0, 7.0, 11.0, 13.0, 17.0), strict=True))


class _Never(nn.Module):
    def forward(self, *args):
        raise AssertionError("a term of weight 0 was computed")


def _loss(weights, modules=None, **options):
    modules = modules or (ContentLoss(["a"]), SegmentedStyleLoss(["a"]), ColorLoss(), MattingPenalty())
    return DeepPhotoLoss(*modules, **{f"{name}_weight": weights.get(name, 0.0) for name in TERMS}, **options)


def _case(batch=2):
    # Nearly flat, so that structure of the output counts.
    image, painted = 0.5 + 0.02 * rand(batch, 3, 8, 9), 1.5 * rand(batch, 3, 8, 9, seed=1) - 0.25
    features = [{"a": randn(b, 4, 8, 9, seed=s)} for s, b in ((2, batch), (3, batch), (4, 1))]
    style = 0.5 * rand(1, 3, 10, 7, seed=6)
    return image, style, Stylization(painted, randn(batch, 12, 2, 3, 4, seed=5)), *features


def _truth(batch=2):
    return rand(batch, 3, 8, 9, seed=7)


def _halves(height, width):
    mask = torch.zeros(1, 2, height, width).double()
    mask[:, 0, : height // 2], mask[:, 1, height // 2 :] = 1, 1
    return mask


class TestDeepPhotoLoss:
    def test_shape(self):
        terms = _loss(WEIGHTS)(*_case())
        assert isinstance(terms, LossTerms)
        assert all(term.shape == () for term in terms)

    def test_known_value(self):
        image, style, output, image_features, output_features, style_features = _case()
        painted = output.image
        torch.manual_seed(0)  # the colour term draws its directions
        color = ColorLoss()(painted.clamp(0, 1), style)
        rows, columns = painted.diff(dim=-2).abs().mean(), painted.diff(dim=-1).abs().mean()
        expected = {
            "content": ContentLoss(["a"])(output_features, image_features),
            "style": SegmentedStyleLoss(["a"])(output_features, style_features),
            "color": color,
            "photorealism": MattingPenalty()(image, painted),
            "smoothness": grid_smoothness(output.grid),
            "variation": rows + columns,
            "gamut": gamut_excess(painted),
            "truth": ((painted - _truth()) ** 2 + 1e-4).sqrt().mean(),
            "flatness": flatness_excess(image, painted.clamp(0, 1)),
        }
        torch.manual_seed(0)
        terms = _loss(WEIGHTS)(*_case(), truth=_truth())
        for name, value in expected.items():
            torch.testing.assert_close(getattr(terms, name), value, msg=lambda text, name=name: f"{name}: {text}")
            assert value > 0
        torch.testing.assert_close(terms.total, sum(WEIGHTS[name] * value for name, value in expected.items()))

    @pytest.mark.parametrize("name", TERMS)
    def test_total_is_the_weighted_sum(self, name):
        terms = _loss({name: 3.0})(*_case(), truth=_truth())
        torch.testing.assert_close(terms.total, (3 * getattr(terms, name)).double())
        assert terms.total > 0
        assert [other for other in TERMS if getattr(terms, other) != 0] == [name]

    def test_terms_of_weight_zero_are_not_computed(self):
        terms = _loss({"gamut": 1.0}, [_Never()] * 4)(*_case())
        assert terms.total == terms.gamut > 0

    def test_without_penalty_and_without_grid(self):
        loss = _loss(WEIGHTS, [ContentLoss(["a"]), SegmentedStyleLoss(["a"]), ColorLoss(), None])
        image, style, output, *features = _case()
        terms = loss(image, style, output._replace(grid=None), *features)
        assert terms.photorealism == terms.smoothness == 0
        kept = ("content", "style", "color", "variation", "gamut", "flatness")
        torch.testing.assert_close(terms.total, sum(WEIGHTS[name] * getattr(terms, name) for name in kept))

    def test_masks_reach_the_style_term(self):
        image, style, output, *features = _case()
        masks = _halves(8, 9).repeat(2, 1, 1, 1), _halves(8, 9).flip(1)
        loss = _loss({"style": 1.0})
        expected = SegmentedStyleLoss(["a"])(features[1], features[2], *masks)
        torch.testing.assert_close(loss(image, style, output, *features, *masks).style, expected)
        assert loss(image, style, output, *features).style != expected

    def test_masks_reach_the_color_term(self):
        image, style, output, *features = _case()
        style[..., 5:, :] += 0.5
        masks = _halves(8, 9).repeat(2, 1, 1, 1), _halves(10, 7)
        values = []
        for given in (masks, (masks[0], masks[1].flip(1)), ()):
            torch.manual_seed(0)
            values.append(float(_loss({"color": 1.0})(image, style, output, *features, *given).color))
            torch.manual_seed(0)
            assert values[-1] == pytest.approx(float(ColorLoss()(output.image.clamp(0, 1), style, *given)))
        assert min(abs(a - b) for a, b in zip(values, [*values[1:], values[0]], strict=True)) > 0.1

    def test_color_is_that_of_what_is_shown(self):
        # Values outside [0, 1] cost gamut, not colour.
        image, style, output, *features = _case()
        loss, clamped = _loss({"color": 1.0}), output._replace(image=output.image.clamp(0, 1))
        torch.manual_seed(0)
        expected = loss(image, style, clamped, *features).color
        torch.manual_seed(0)
        assert loss(image, style, output, *features).color == expected

    def test_only_the_total_carries_a_gradient(self):
        image, style, output, image_features, output_features, style_features = _case()
        painted, grid = output.image.requires_grad_(), output.grid.requires_grad_()
        output_features["a"].requires_grad_()
        output = Stylization(painted, grid)
        terms = _loss(WEIGHTS)(image, style, output, image_features, output_features, style_features)
        assert [name for name in LossTerms._fields if getattr(terms, name).requires_grad] == ["total"]
        terms.total.backward()
        for tensor in (painted, grid, output_features["a"]):
            assert tensor.grad.abs().sum() > 0

    def test_color_alone_moves_the_output(self):
        image, style, output, *features = _case()
        painted = output.image.requires_grad_()
        _loss({"color": 1.0})(image, style, output, *features).total.backward()
        inside = (painted > 0) & (painted < 1)
        assert (painted.grad[inside] != 0).float().mean() > 0.9
        assert not painted.grad[~inside].any()

    def test_gradcheck(self):
        image, style, output, image_features, output_features, style_features = _case(batch=1)
        loss = _loss({**WEIGHTS, "color": 0.0})  # new directions at each call, and in float32

        def total(painted, grid, features):
            output = Stylization(painted, grid)
            truth = _truth(1)
            return loss(image, style, output, image_features, {"a": features}, style_features, truth=truth).total

        inputs = [t.requires_grad_() for t in (output.image, output.grid, output_features["a"])]
        assert torch.autograd.gradcheck(total, inputs, fast_mode=True)

    def test_truth_of_a_known_distance(self):
        image, style, output, *features = _case()
        terms = _loss({"truth": 2.0})(image, style, output, *features, truth=output.image - 0.3)
        assert float(terms.truth) == pytest.approx((0.3**2 + 1e-4) ** 0.5, rel=1e-12)
        assert float(terms.total) == pytest.approx(2 * float(terms.truth), rel=1e-12)
        # Equal photos cost the root of 1e-4, the smallest value.
        assert float(_loss({"truth": 1.0})(image, style, output, *features, truth=output.image).truth) == 0.01

    def test_an_unknown_truth_costs_nothing(self):
        assert _loss({"truth": 2.0})(*_case()).total == 0

    @pytest.mark.parametrize("share", [0.0, 0.25, 1.0, 2.0])
    def test_share_of_style_and_color_with_truth(self, share):
        loss, totals = _loss(WEIGHTS, style_share_with_truth=share), {}
        for name, given in (("known", _truth()), ("unknown", None)):
            torch.manual_seed(0)
            terms = loss(*_case(), truth=given)
            factors = {"style": share, "color": share} if given is not None else {}
            expected = sum(factors.get(term, 1) * WEIGHTS[term] * getattr(terms, term) for term in TERMS)
            torch.testing.assert_close(terms.total, expected)
            totals[name] = terms
        assert (totals["known"].style > 0) == (totals["known"].color > 0) == (share > 0)  # else not computed
        assert totals["unknown"].style > 0
        assert totals["unknown"].color > 0
        assert totals["known"].content == totals["unknown"].content

    def test_targets_serve_many_outputs(self):
        loss = _loss(WEIGHTS)
        image, style, output, image_features, output_features, style_features = _case()
        masks = _halves(8, 9).repeat(2, 1, 1, 1), _halves(10, 7)
        torch.manual_seed(0)
        targets = loss.targets(style, style_features, masks[1])
        for factor in (1.0, 0.5):
            changed = output._replace(image=factor * output.image), {"a": factor * output_features["a"]}
            compared = image_features, changed[1]
            torch.manual_seed(0)
            expected = loss(image, style, changed[0], *compared, style_features, *masks, truth=_truth())
            assert loss.compare(image, changed[0], *compared, targets, masks[0], _truth()) == expected
        assert expected.style > 0
        assert expected.color > 0

    def test_targets_of_weight_zero_are_not_computed(self):
        _, style, _, _, _, features = _case()
        assert _loss({"gamut": 1.0}).targets(style, features) == (None, None)
        loss = _loss(WEIGHTS, style_share_with_truth=0.0)
        assert loss.targets(style, features, truth_known=True) == (None, None)
        assert None not in loss.targets(style, features)

    @pytest.mark.parametrize("share", [-0.1, float("nan")])
    def test_rejects_a_negative_share(self, share):
        with pytest.raises(InputError, match=f"^style_share_with_truth: expected at least 0, got {share:g}$"):
            _loss(WEIGHTS, style_share_with_truth=share)

    @pytest.mark.parametrize("name", TERMS)
    @pytest.mark.parametrize("weight", [-1.0, float("nan")])
    def test_rejects_negative_weights(self, name, weight):
        with pytest.raises(InputError, match=f"{name}_weight: expected at least 0"):
            _loss({name: weight})
