import pytest
import torch

from lookcast.checks import InputError
from lookcast.generators import FixedStyleGenerator
from tests.looks import UNIVERSAL, baked_look, universal_look
from tests.samples import CROPS, photo

EXACT = 1e-9
"""Bound of identities in float64, see `test_universal`."""

CONTENT, STYLE, OTHER = (photo(name).float() for name in CROPS)


@torch.no_grad()
def stylize(generator, content, *given):
    return generator(content, *given).image


class TestFromUniversal:
    @pytest.mark.parametrize("scenes", [0, 1])
    def test_equals_the_universal_generator_with_that_style(self, scenes):
        universal, style = universal_look(scenes=scenes).double(), STYLE.double()
        universal.unmasked_thumbnail = universal.thumbnail
        fixed = FixedStyleGenerator.from_universal(universal, style).eval()
        stored = fixed.state_dict()
        assert ("classes" in stored) == bool(scenes)
        fixed = FixedStyleGenerator(universal.encoder, fixed.arguments["universal"]).double().eval()
        fixed.load_state_dict(stored)
        with torch.no_grad():
            for content in (CONTENT.double(), style):
                expected, output = universal(content, style), fixed(content)
                # Equal but for the order of sums: the stored statistics have another memory layout.
                assert (output.image - expected.image).abs().max() < EXACT
                assert (output.grid - expected.grid).abs().max() < EXACT
        assert (output.image - content).abs().max() < EXACT  # the style photo stays
        assert (stylize(fixed, CONTENT.double()) - CONTENT).abs().mean() > 0.02

    def test_another_style_is_another_look(self):
        difference = stylize(baked_look(STYLE), CONTENT) - stylize(baked_look(OTHER), CONTENT)
        assert difference.abs().mean() > 0.02

    def test_shares_no_weight_with_the_universal_generator(self):
        universal = universal_look()
        before = stylize(universal, CONTENT, STYLE)
        fixed = FixedStyleGenerator.from_universal(universal, STYLE)
        fixed_before = stylize(fixed, CONTENT)
        with torch.no_grad():
            for tensor in fixed.state_dict().values():
                tensor.add_(0.1)
        assert torch.equal(stylize(universal, CONTENT, STYLE), before)
        assert (stylize(fixed, CONTENT) - fixed_before).abs().mean() > 1e-3

    def test_keeps_nothing_of_the_photo_itself(self):
        style = STYLE.clone()
        fixed = FixedStyleGenerator.from_universal(universal_look(), style)
        before = stylize(fixed, CONTENT)
        style.zero_()
        assert torch.equal(stylize(fixed, CONTENT), before)


class TestFixedStyleGenerator:
    def test_arguments_rebuild_it(self):
        fixed = baked_look(STYLE)
        assert fixed.arguments == {"universal": UNIVERSAL}
        again = FixedStyleGenerator(fixed.universal.encoder, **fixed.arguments)
        again.load_state_dict(fixed.state_dict())
        assert torch.equal(stylize(again, CONTENT), stylize(fixed, CONTENT))

    def test_state_is_the_weights_and_the_statistics(self):
        fixed = baked_look(STYLE)
        names = {name for name in fixed.state_dict() if not name.startswith("universal.")}
        assert names == {"places", "cells", "statistics", "moments", "shares"}
        universal = {name.removeprefix("universal.") for name in fixed.state_dict()} - names
        assert universal == set(universal_look().state_dict())
        assert {name for name, _ in fixed.named_parameters()} == {
            f"universal.{name}" for name, _ in universal_look().named_parameters()
        }

    def test_each_photo_of_a_batch_alone(self):
        fixed = baked_look(STYLE).double()
        batch = torch.cat([CONTENT, CONTENT.flip(1)]).double()
        output = stylize(fixed, batch)
        for number in range(2):
            alone = stylize(fixed, batch[number : number + 1])
            assert (output[number] - alone[0]).abs().max() < EXACT

    def test_gradients_reach_every_weight(self):
        fixed = baked_look(STYLE)
        fixed(CONTENT).image.sub(OTHER.mean((2, 3), keepdim=True)).square().mean().backward()
        assert [name for name, p in fixed.named_parameters() if not p.grad.abs().max() > 1e-7] == []
        # No masks, so no sharpness for them.
        sharpness = fixed.universal.sharpness.grad
        assert sharpness[0].abs().max() == 0 < sharpness[1].abs().max()

    def test_a_step_along_the_gradient_leads_where_it_says(self):
        # Finite differences along the gradient: the loss falls by step x |gradient|^2. Without what is learned: the
        # draft that it corrects has no gradient, on purpose.
        fixed = baked_look(STYLE)
        torch.nn.init.zeros_(fixed.universal.residual.weight)

        def loss():
            return fixed(CONTENT).image.sub(0.25).square().mean()

        before = loss()
        before.backward()
        weights = list(fixed.parameters())
        length = sum(p.grad.double().square().sum() for p in weights)
        step = 1e-3 * float(before.detach()) / float(length)
        with torch.no_grad():
            for weight in weights:
                weight.sub_(step * weight.grad)
            fallen = float(before.double() - loss().double())
        assert fallen == pytest.approx(step * float(length), rel=0.05)

    def test_rejects_style_and_masks(self):
        fixed, mask = baked_look(STYLE), torch.ones(1, 1, 4, 4)
        for name, given in (("style", (STYLE,)), ("content_mask", (None, mask)), ("style_mask", (None, None, mask))):
            with pytest.raises(InputError, match=rf"^{name}: the baked generator has a fixed style"):
                fixed(CONTENT, *given)

    @pytest.mark.parametrize("arguments", [{"heads": 0}, {"regions": -1}])
    def test_rejects_what_a_universal_generator_refuses(self, arguments):
        with pytest.raises(InputError, match="expected an integer from 1 to 64, got"):
            FixedStyleGenerator(universal_look().encoder, UNIVERSAL | arguments)
