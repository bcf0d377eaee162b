import numpy as np
import pytest
import torch
import torch.nn.functional as F
from kornia.color import lab_to_rgb
from skimage.color import rgb2lab

from lookcast.checks import InputError
from lookcast.losses.color import ColorLoss
from lookcast.ops.regions import MIN_SHARE
from tests.reference import color as reference
from tests.samples import photo, rand

SIDE = 12
"""Side of photos that the loss reads at every pixel: 144 pixels, and 144 levels read each of them."""
EXACT = ColorLoss(directions=4, levels=SIDE**2, side=SIDE)
OUTPUT, STYLE = (photo(name).float()[..., :SIDE, :SIDE] for name in ("astronaut", "coffee"))


def value(output, style, *masks, loss=EXACT, seed=0):
    torch.manual_seed(seed)
    return loss(output, style, *masks)


def directions(count=4, seed=0):
    """Return the directions that the loss draws."""
    torch.manual_seed(seed)
    return F.normalize(torch.randn(count, 3), dim=1).numpy().astype(np.float64)


def stripes(*labels, num_labels=3, side=SIDE):
    """Vertical stripes of equal width; -1 leaves one without a label."""
    mask = torch.zeros(1, num_labels, side, side)
    for i, label in enumerate(labels):
        if label >= 0:
            mask[:, label, :, i * side // len(labels) : (i + 1) * side // len(labels)] = 1
    return mask


def of_lab(*lab):
    """A flat photo of a CIELAB colour."""
    return lab_to_rgb(torch.tensor(lab).view(1, 3, 1, 1).expand(1, 3, SIDE, SIDE).contiguous())


class TestColorLoss:
    def test_shape(self):
        assert value(OUTPUT.expand(2, -1, -1, -1), STYLE).shape == ()

    def test_equal_photos_cost_nothing(self):
        assert value(OUTPUT, OUTPUT) == 0
        masks = stripes(0, 1, 2), stripes(0, 1, 2)
        assert value(OUTPUT, OUTPUT, *masks) == 0
        assert value(OUTPUT, STYLE) > 1

    def test_matches_reference(self):
        # As many levels as pixels: the quantiles are the sorted values.
        colors = [rgb2lab(image[0].permute(1, 2, 0).double().numpy()).reshape(-1, 3) for image in (OUTPUT, STYLE)]
        expected = np.mean([reference.wasserstein(*(color @ d for color in colors)) for d in directions()])
        assert value(OUTPUT, STYLE).item() == pytest.approx(expected, rel=2e-3)

    @pytest.mark.parametrize(
        ("content_labels", "style_labels"),
        [((0, 1, 2), (2, 1, 0)), ((0, 0, 1), (1, 2, 2, 0)), ((0, 2), (1,)), ((1, -1, 2), (-1, 1, 0))],
    )
    def test_matches_reference_with_masks(self, content_labels, style_labels):
        # Labels on other areas, labels that one photo lacks, and unlabelled pixels.
        masks, loss = (stripes(*content_labels), stripes(*style_labels)), ColorLoss(4, 16, SIDE)
        images = [image[0].double().numpy() for image in (OUTPUT, STYLE)]
        expected = reference.sliced_distance(*images, [m[0].double().numpy() for m in masks], directions(), 16)
        assert value(OUTPUT, STYLE, *masks, loss=loss).item() == pytest.approx(expected, rel=2e-3)

    def test_known_value_of_flat_colors(self):
        # Along a direction d the distance is |d . difference|; half of the difference's length in the mean.
        output, style = of_lab(60.0, 10.0, -20.0), of_lab(50.0, 0.0, 5.0)
        difference = np.array([10, 10, -25])
        expected = np.abs(directions() @ difference).mean()
        assert value(output, style).item() == pytest.approx(expected, abs=0.02)
        many = value(output, style, loss=ColorLoss(20000, 4, 2)).item()
        assert many == pytest.approx(np.linalg.norm(difference) / 2, rel=0.02)

    def test_known_value_of_a_shift(self):
        # All colours moved alike: each quantile moves by as much.
        lab = torch.tensor([55.0, 5.0, 5.0]).view(1, 3, 1, 1) + 12 * rand(1, 3, SIDE, SIDE).float()
        shift = torch.tensor([-8.0, 6.0, 4.0])
        images = lab_to_rgb(lab), lab_to_rgb(lab + shift.view(1, 3, 1, 1))
        expected = np.abs(directions() @ shift.numpy()).mean()
        assert value(*images).item() == pytest.approx(expected, abs=0.02)

    def test_holds_more_than_means_and_covariances(self):
        # Two greys, each half of the pixels, and the ramp of the same mean and variance.
        ramp = torch.linspace(-1, 1, SIDE**2)
        greys = (ramp.sign() * ramp.std(correction=0), ramp)
        lab = [torch.stack([60 + 20 * g, 0 * g, 0 * g]).view(1, 3, SIDE, SIDE) for g in greys]
        assert torch.allclose(lab[0].mean(), lab[1].mean(), atol=1e-3)
        assert torch.allclose(lab[0].std(), lab[1].std(), atol=1e-2)
        expected = np.abs(np.sort(20 * greys[0].numpy()) - 20 * ramp.numpy()).mean() * np.abs(directions()[:, 0]).mean()
        assert value(*map(lab_to_rgb, lab)).item() == pytest.approx(expected, rel=0.02)

    def test_same_regions_cost_nothing(self):
        output = OUTPUT.double()
        swapped = output.roll(SIDE // 2, -1)
        assert value(output, swapped, stripes(0, 1), stripes(1, 0)) < 1e-12
        assert value(output, swapped, stripes(0, 1), stripes(0, 1)) > 0.5

    def test_one_label_equals_no_mask(self):
        assert value(OUTPUT, STYLE, stripes(1), stripes(1)) == value(OUTPUT, STYLE)

    def test_absent_label_falls_back_to_the_whole_photo(self):
        assert value(OUTPUT, STYLE, stripes(1), stripes(0)) == value(OUTPUT, STYLE)
        sliver = stripes(0, side=48)
        sliver[:, 1, 0, :11], sliver[:, 0, 0, :11] = 1, 0
        assert sliver[:, 1].mean() < MIN_SHARE
        assert value(OUTPUT, STYLE, stripes(1), sliver) == value(OUTPUT, STYLE)

    def test_unlabelled_pixels_take_no_part(self):
        masks = stripes(0, -1, 2), stripes(0, 2, -1)
        expected = value(OUTPUT, STYLE, *masks)
        changed = [image.clone() for image in (OUTPUT, STYLE)]
        changed[0][..., 4:8], changed[1][..., 8:] = 0.9, 0.1
        assert value(*changed, *masks) == expected
        assert value(*changed) != value(OUTPUT, STYLE)

    def test_nothing_labelled_costs_nothing(self):
        output = OUTPUT.clone().requires_grad_()
        loss = value(output, STYLE, stripes(-1), stripes(0))
        loss.backward()
        assert loss == 0
        assert not output.grad.any()

    def test_invariance_to_where_pixels_lie(self):
        order = torch.randperm(SIDE**2, generator=torch.Generator().manual_seed(1))
        output, style = OUTPUT.double(), STYLE.double()
        shuffled = output.flatten(2)[..., order].view_as(output)
        torch.testing.assert_close(value(shuffled, style), value(output, style), rtol=1e-12, atol=0)
        assert value(shuffled, output) < 1e-12

    def test_invariance_to_resolution(self):
        large = OUTPUT.repeat_interleave(5, -1).repeat_interleave(3, -2)
        masks = stripes(0, 1), stripes(1, 0)
        assert value(large, STYLE) == value(OUTPUT, STYLE)
        enlarged = masks[0].repeat_interleave(5, -1).repeat_interleave(3, -2)
        assert value(large, STYLE, enlarged, masks[1]) == value(OUTPUT, STYLE, *masks)

    def test_is_symmetric(self):
        assert value(OUTPUT, STYLE) == value(STYLE, OUTPUT)

    def test_one_style_serves_a_batch(self):
        outputs = torch.cat([OUTPUT, OUTPUT.flip(1), STYLE])
        content_mask, style_mask = stripes(0, 1).expand(3, -1, -1, -1), stripes(1, 1, 0)
        actual = value(outputs, STYLE, content_mask, style_mask)
        many = value(outputs, STYLE.expand(3, -1, -1, -1), content_mask, style_mask.expand(3, -1, -1, -1))
        assert actual == many
        singles = [value(outputs[n : n + 1], STYLE, content_mask[:1], style_mask) for n in range(3)]
        torch.testing.assert_close(actual, torch.stack(singles).mean())

    def test_directions_are_drawn_anew(self):
        torch.manual_seed(0)
        first, second = EXACT(OUTPUT, STYLE), EXACT(OUTPUT, STYLE)
        assert first != second
        assert value(OUTPUT, STYLE) == first

    def test_autocast_and_half_precision_are_computed_in_float32(self):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert value(OUTPUT, STYLE) == value(OUTPUT, STYLE)
            mixed = value(OUTPUT.bfloat16(), STYLE.bfloat16())
        assert mixed.dtype == torch.float32
        assert mixed == value(OUTPUT.bfloat16().float(), STYLE.bfloat16().float())


class TestGradient:
    def test_matches_finite_differences(self):
        # Along the gradient itself: anywhere else most of the terms cancel, and kinks are what is left.
        loss, step = ColorLoss(3, SIDE**2, SIDE), 1e-3
        base = (OUTPUT + 0.02 * rand(1, 3, SIDE, SIDE)).float()  # no two colours alike
        output = base.clone().requires_grad_()
        value(output, STYLE, loss=loss).backward()
        way = output.grad / output.grad.abs().max()
        slope = (value(base + step * way, STYLE, loss=loss) - value(base - step * way, STYLE, loss=loss)) / (2 * step)
        assert float((output.grad * way).sum()) == pytest.approx(float(slope), rel=0.02)

    def test_points_towards_the_style(self):
        # A grey photo becomes brighter, and bluer, for a style that is.
        output = torch.full((1, 3, SIDE, SIDE), 0.4, requires_grad=True)
        style = torch.tensor([0.5, 0.55, 0.8]).view(1, 3, 1, 1).expand(1, 3, SIDE, SIDE)
        value(output, style, loss=ColorLoss(200, 16, SIDE)).backward()
        red, green, blue = (-output.grad.sum((0, 2, 3))).tolist()
        assert blue > 0
        assert blue > max(red, green)

    def test_leads_to_the_colors_of_the_style(self):
        output = OUTPUT.clone().requires_grad_()
        optimizer = torch.optim.Adam([output], 0.02)
        first = value(output, STYLE, loss=ColorLoss(64, 64, SIDE)).item()
        for step in range(60):
            optimizer.zero_grad()
            value(output, STYLE, loss=ColorLoss(side=SIDE), seed=step).backward()
            optimizer.step()
        assert value(output, STYLE, loss=ColorLoss(64, 64, SIDE)).item() < 0.2 * first

    def test_stays_inside_its_region(self):
        output = OUTPUT.clone().requires_grad_()
        value(output, STYLE, stripes(0, -1), stripes(0)).backward()
        assert (output.grad[..., : SIDE // 2] != 0).all()
        assert not output.grad[..., SIDE // 2 :].any()


class TestRejects:
    def test_rejects_one_mask_without_the_other(self):
        for name, masks in {"content_mask": (stripes(0), None), "style_mask": (None, stripes(0))}.items():
            with pytest.raises(InputError, match=f"but {name} is given; masks come in pairs$"):
                EXACT(OUTPUT, STYLE, *masks)

    def test_rejects_masks_with_other_labels(self):
        with pytest.raises(InputError, match="style_mask: has 2 labels, content_mask has 3"):
            EXACT(OUTPUT, STYLE, stripes(0), stripes(0, num_labels=2))
