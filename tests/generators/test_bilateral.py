import json

import pytest
import torch

from lookcast.checks import InputError, ShapeError
from lookcast.generators import GENERATORS, BilateralGenerator
from lookcast.ops.bilateral.reference import slice_apply
from lookcast.ops.color import luma
from tests.samples import CROPS, photo, rand

SMALL = {"depth": 4, "height": 4, "width": 4, "channels": 8, "blocks": 2, "thumbnail": 32}


def _generator(seed=0, trained=True, **arguments):
    """A small generator; `trained` moves it off the identity, where all but the last layer have no gradient."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        generator = BilateralGenerator(**SMALL | arguments)
        if trained:
            for parameter in generator.parameters():
                parameter.data.add_(0.1 * torch.randn_like(parameter))
    return generator


class TestBilateralGenerator:
    @pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 2), (31, 33), (32, 32), (5, 301), (64, 48)])
    def test_shape(self, size):
        content = rand(2, 3, *size, dtype=torch.float32)
        output = _generator()(content)
        assert output.image.shape == content.shape
        assert output.grid.shape == (2, 12, 4, 4, 4)
        assert output.image.isfinite().all()

    def test_shape_of_the_default(self):
        output = BilateralGenerator()(photo("coffee").float())
        assert output.grid.shape == (1, 12, 8, 16, 16)

    @pytest.mark.parametrize(("height", "width"), [(2, 8), (16, 4), (5, 3)])
    def test_shape_of_grids_that_are_no_square(self, height, width):
        assert _generator(height=height, width=width)(photo("coffee").float()).grid.shape == (1, 12, 4, height, width)

    @pytest.mark.parametrize("name", CROPS)
    def test_starts_as_the_identity(self, name):
        content = photo(name)
        torch.testing.assert_close(BilateralGenerator().double()(content).image, content, rtol=0, atol=1e-14)

    def test_starts_as_the_identity_under_autocast(self):
        content = photo("chelsea").float()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = BilateralGenerator()(content)
        torch.testing.assert_close(output.image, content, rtol=0, atol=1e-6)

    def test_image_is_the_grid_sliced_by_luma(self):
        content, generator = photo("astronaut").float(), _generator()
        output = generator(content)
        torch.testing.assert_close(output.image, slice_apply(output.grid, luma(content), content))
        torch.testing.assert_close(output.grid, generator.predict_grid(content))
        assert (output.image - content).abs().mean() > 0.01

    def test_invariance_to_other_items_of_the_batch(self):
        first, second = (rand(1, 3, 20, 30, seed=s) for s in (1, 2))
        generator = _generator().double()
        together = generator(torch.cat([first, second])).image[1:]
        torch.testing.assert_close(together, generator(second).image, rtol=0, atol=1e-12)

    def test_invariance_of_the_grid_to_resolution(self):
        # The grid is predicted from a thumbnail: four times the pixels change what antialiasing changes.
        small, generator = photo("coffee").float()[..., :32, :48], _generator()
        large = torch.nn.functional.interpolate(small, scale_factor=4, mode="bilinear")
        moved = (generator.predict_grid(large) - generator.predict_grid(small)).abs().mean()
        spread = (generator.predict_grid(small) - generator.predict_grid(small.flip(-1))).abs().mean()
        assert moved < 0.3 * spread

    def test_gradients_reach_every_parameter(self):
        generator = _generator().double()
        generator(rand(2, 3, 40, 50)).image.square().sum().backward()
        assert [name for name, p in generator.named_parameters() if not p.grad.norm() > 1e-6] == []

    def test_gradients_start_at_the_last_layer(self):
        generator = _generator(trained=False)
        generator(rand(2, 3, 40, 50, dtype=torch.float32)).image.square().sum().backward()
        assert generator.head.weight.grad.norm() > 0
        assert generator.head.bias.grad.norm() > 0

    def test_gradcheck(self):
        content, generator = rand(1, 3, 9, 7), _generator().double()
        weight = generator.head.weight.detach().clone().requires_grad_()

        def image(weight):
            return torch.func.functional_call(generator, {"head.weight": weight}, (content,)).image

        assert torch.autograd.gradcheck(image, weight, fast_mode=True)

    def test_learns_a_global_look(self):
        content, generator = rand(2, 3, 24, 24, dtype=torch.float32), _generator(trained=False)
        wanted = 0.6 * content.flip(1) + 0.2
        optimizer = torch.optim.Adam(generator.parameters(), 0.02)
        start = (generator(content).image - wanted).square().mean().item()
        for _ in range(40):
            loss = (generator(content).image - wanted).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert loss.item() < 0.05 * start

    def test_arguments_rebuild_it(self):
        generator, content = _generator(), photo("coffee").float()
        arguments = json.loads(json.dumps(generator.arguments))
        assert arguments == SMALL
        rebuilt = GENERATORS[generator.name](**arguments)
        rebuilt.load_state_dict(generator.state_dict())
        assert torch.equal(rebuilt(content).image, generator(content).image)

    @pytest.mark.parametrize("name", ["style", "content_mask", "style_mask"])
    def test_rejects_style_and_masks(self, name):
        content = rand(1, 3, 8, 8, dtype=torch.float32)
        with pytest.raises(InputError, match=f"{name}: the bilateral generator has a fixed style"):
            _generator()(content, **{name: content})

    def test_rejects_what_is_no_image(self):
        with pytest.raises(ShapeError, match="content: expected shape"):
            _generator()(rand(3, 8, 8, dtype=torch.float32))
        with pytest.raises(InputError, match="content: expected floating point"):
            _generator()(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
