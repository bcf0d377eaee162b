import pytest
import torch

from lookcast.checks import InputError
from lookcast.generators import FixedStyleGenerator
from lookcast.generators.regions import THUMBNAIL
from tests.looks import UNIVERSAL, baked_look, universal_look
from tests.samples import CROPS, photo

CONTENT, STYLE, OTHER = (photo(name).float() for name in CROPS)


@torch.no_grad()
def stylize(generator, content, *given):
    return generator(content, *given).image


class TestBake:
    @pytest.mark.parametrize("seed", [0, 1])
    def test_equals_the_universal_generator_with_that_style(self, seed):
        baked = baked_look(STYLE, seed)
        for content in (CONTENT, OTHER, STYLE):
            universal = universal_look(seed)
            universal.free_thumbnail = THUMBNAIL
            expected = universal(content, STYLE)
            output = baked(content)
            # But for the order of sums: what was read lies in memory in another way.
            assert (output.image - expected.image).abs().max() < 1e-5
            assert (output.grid - expected.grid).abs().max() < 3e-5
        assert (stylize(baked, CONTENT) - CONTENT).abs().mean() > 0.02

    def test_its_own_photo_stays(self):
        assert (stylize(baked_look(STYLE), STYLE) - STYLE).abs().max() < 1e-5

    def test_another_style_is_another_look(self):
        difference = stylize(baked_look(STYLE), CONTENT) - stylize(baked_look(OTHER), CONTENT)
        assert difference.abs().mean() > 0.02

    def test_shares_no_weight_with_the_universal_generator(self):
        universal = universal_look()
        before = stylize(universal, CONTENT, STYLE)
        baked = FixedStyleGenerator.bake(universal, STYLE)
        baked_before = stylize(baked, CONTENT)
        with torch.no_grad():
            for tensor in baked.state_dict().values():
                tensor.add_(0.1)
        assert torch.equal(stylize(universal, CONTENT, STYLE), before)
        assert (stylize(baked, CONTENT) - baked_before).abs().mean() > 1e-3

    def test_keeps_nothing_of_the_photo_itself(self):
        style = STYLE.clone()
        baked = FixedStyleGenerator.bake(universal_look(), style)
        before = stylize(baked, CONTENT)
        style.zero_()
        assert torch.equal(stylize(baked, CONTENT), before)


class TestBakedGenerator:
    def test_arguments_rebuild_it(self):
        baked = baked_look(STYLE)
        assert baked.arguments == {"universal": UNIVERSAL}
        again = FixedStyleGenerator(baked.universal.encoder, **baked.arguments)
        again.load_state_dict(baked.state_dict())
        assert torch.equal(stylize(again, CONTENT), stylize(baked, CONTENT))

    def test_state_is_the_weights_and_the_reading(self):
        baked = baked_look(STYLE)
        names = {name for name in baked.state_dict() if not name.startswith("universal.")}
        assert names == {"places", "cells", "statistics", "moments", "shares"}
        universal = {name.removeprefix("universal.") for name in baked.state_dict()} - names
        assert universal == set(universal_look().state_dict())
        assert {name for name, _ in baked.named_parameters()} == {
            f"universal.{name}" for name, _ in universal_look().named_parameters()
        }

    def test_each_photo_of_a_batch_alone(self):
        baked = baked_look(STYLE)
        batch = torch.cat([CONTENT, CONTENT.flip(1)])
        output = stylize(baked, batch)
        for number in range(2):
            alone = stylize(baked, batch[number : number + 1])
            assert (output[number] - alone[0]).abs().max() < 1e-5

    def test_gradients_reach_every_weight(self):
        baked = baked_look(STYLE)
        baked(CONTENT).image.sub(OTHER.mean((2, 3), keepdim=True)).square().mean().backward()
        assert [name for name, p in baked.named_parameters() if not p.grad.abs().max() > 1e-7] == []
        # No masks, so no sharpness for them.
        sharpness = baked.universal.sharpness.grad
        assert sharpness[0].abs().max() == 0 < sharpness[1].abs().max()

    def test_a_step_along_the_gradient_leads_where_it_says(self):
        # Finite differences along the gradient: the loss falls by step x |gradient|^2. Without what is learned: the
        # draft that it corrects has no gradient, on purpose.
        baked = baked_look(STYLE)
        torch.nn.init.zeros_(baked.universal.residual.weight)

        def loss():
            return baked(CONTENT).image.sub(0.25).square().mean()

        before = loss()
        before.backward()
        weights = list(baked.parameters())
        length = sum(p.grad.double().square().sum() for p in weights)
        step = 1e-3 * float(before.detach()) / float(length)
        with torch.no_grad():
            for weight in weights:
                weight.sub_(step * weight.grad)
            fallen = float(before.double() - loss().double())
        assert fallen == pytest.approx(step * float(length), rel=0.05)

    def test_rejects_style_and_masks(self):
        baked, mask = baked_look(STYLE), torch.ones(1, 1, 4, 4)
        for name, given in (("style", (STYLE,)), ("content_mask", (None, mask)), ("style_mask", (None, None, mask))):
            with pytest.raises(InputError, match=rf"^{name}: this baked generator has a single look baked in"):
                baked(CONTENT, *given)

    @pytest.mark.parametrize("arguments", [{"heads": 0}, {"regions": -1}])
    def test_rejects_what_a_universal_generator_refuses(self, arguments):
        with pytest.raises(InputError, match="expected a positive number, got"):
            FixedStyleGenerator(universal_look().encoder, UNIVERSAL | arguments)
