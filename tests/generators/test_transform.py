import json

import pytest
import torch
from torch import nn

from lookcast.checks import InputError, ShapeError
from lookcast.generators import GENERATORS, TransformGenerator
from tests.samples import CROPS, photo, rand

SMALL = {"channels": 4, "blocks": 2}


def _generator(seed=0, trained=True):
    """A small generator; `trained` moves it off the identity, where all but the last layer have no gradient."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        generator = TransformGenerator(**SMALL)
        if trained:
            for parameter in generator.parameters():
                parameter.data.add_(0.1 * torch.randn_like(parameter))
    return generator


class TestTransformGenerator:
    @pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 2), (15, 16), (17, 18), (31, 33), (5, 61), (64, 48)])
    def test_shape(self, size):
        content = rand(2, 3, *size, dtype=torch.float32)
        output = _generator()(content)
        assert output.image.shape == content.shape
        assert output.grid is None
        assert output.image.isfinite().all()

    @pytest.mark.parametrize("name", CROPS)
    def test_starts_as_the_identity(self, name):
        content = photo(name).float()
        assert torch.equal(_generator(trained=False)(content).image, content)
        assert not torch.equal(_generator()(content).image, content)

    def test_upsamples_without_transposed_convolution(self):
        layers = list(TransformGenerator().modules())
        assert not any(isinstance(layer, nn.modules.conv._ConvTransposeNd) for layer in layers)
        convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
        assert {layer.padding_mode for layer in convolutions} == {"reflect"}
        assert sum(isinstance(layer, nn.Upsample) for layer in layers) == 2

    def test_flat_content_gives_a_flat_output(self):
        # What zero padding would show as a frame, and a transposed convolution as a checkerboard.
        output = _generator().double()(torch.full((1, 3, 40, 48), 0.3, dtype=torch.float64)).image
        # Instance normalisation divides the rounding of a flat plane, 1e-16, by the root of its eps, 3e-3, each of the
        # nine times: nothing else varies.
        assert (output.amax((-2, -1)) - output.amin((-2, -1))).max() < 1e-9

    def test_invariance_to_other_items_of_the_batch(self):
        first, second = (rand(1, 3, 20, 30, seed=s) for s in (1, 2))
        generator = _generator().double()
        together = generator(torch.cat([first, second])).image[1:]
        torch.testing.assert_close(together, generator(second).image, rtol=0, atol=1e-12)

    def test_invariance_to_training_mode(self):
        content, generator = rand(2, 3, 20, 30, dtype=torch.float32), _generator()
        assert torch.equal(generator.train()(content).image, generator.eval()(content).image)

    def test_gradients_reach_every_parameter(self):
        # In float64, so that a parameter without effect shows rounding of 1e-13, not a gradient.
        generator = _generator().double()
        generator(rand(2, 3, 24, 32)).image.square().sum().backward()
        # The offset that ends a residual block is a constant per channel: the next normalisation takes it away again.
        # torch's InstanceNorm2d can't scale without it.
        exempt = {"blocks.0.layers.4.bias", "blocks.1.layers.4.bias"}
        assert {name for name, p in generator.named_parameters() if not p.grad.norm() > 1e-6} == exempt

    def test_gradients_start_at_the_last_layer(self):
        generator = _generator(trained=False)
        generator(rand(2, 3, 24, 32, dtype=torch.float32)).image.square().sum().backward()
        assert generator.head.weight.grad.norm() > 0
        assert generator.head.bias.grad.norm() > 0

    def test_gradcheck(self):
        content, generator = rand(1, 3, 9, 7).requires_grad_(), _generator().double()
        assert torch.autograd.gradcheck(lambda image: generator(image).image, content, fast_mode=True)

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
        with pytest.raises(InputError, match=f"{name}: the transform generator has a fixed style"):
            _generator()(content, **{name: content})

    def test_rejects_what_is_no_image(self):
        with pytest.raises(ShapeError, match="content: expected shape"):
            _generator()(rand(3, 8, 8, dtype=torch.float32))
        with pytest.raises(InputError, match="content: expected floating point"):
            _generator()(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
