import copy

import pytest
import torch
from torch import nn

from lookcast.checks import InputError, ShapeError
from lookcast.encoders.base import Encoder, freeze
from tests.samples import rand, randn


def _network():
    """Return a network with parameters at two depths, one layer without bias, and buffers."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(3, 4, 3, bias=False),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Sequential(nn.Conv2d(4, 2, 1), nn.Dropout()),
        )
        network(torch.randn(8, 3, 6, 6))  # statistics other than the initial ones
    return network


class _Encoder(Encoder):
    def __init__(self):
        super().__init__()
        self.taps, self.strides = ("out",), {"out": 1}
        self.network = freeze(_network())

    def forward(self, image):
        return {"out": self.network(image)}


class TestFreeze:
    def test_known_value(self):
        image, plain = randn(2, 3, 6, 7, dtype=torch.float32), _network().eval()
        with torch.no_grad():
            expected = plain(image)
        frozen = freeze(plain)
        assert frozen is plain
        assert torch.equal(frozen(image), expected)

    def test_leaves_no_parameters_and_an_empty_state(self):
        frozen = freeze(_network())
        assert list(frozen.parameters()) == []
        assert frozen.state_dict() == {}
        assert {name for name, _ in frozen.named_buffers()} >= {"0.weight", "1.weight", "1.running_mean", "3.0.bias"}

    def test_follows_to_dtype(self):
        frozen = freeze(_network()).double()
        assert {b.dtype for name, b in frozen.named_buffers() if "num_batches" not in name} == {torch.float64}
        assert frozen(randn(1, 3, 6, 7)).dtype == torch.float64

    def test_follows_to_device(self):
        assert {b.device.type for b in freeze(_network()).to("meta").buffers()} == {"meta"}

    def test_gradient_flows_to_the_image_only(self):
        image, frozen = randn(1, 3, 6, 7, dtype=torch.float32).requires_grad_(), freeze(_network())
        frozen(image).square().sum().backward()
        assert image.grad.norm() > 0
        assert not any(b.requires_grad for b in frozen.buffers())

    def test_copies_are_frozen_too(self):
        image, frozen = randn(1, 3, 6, 7, dtype=torch.float32), freeze(_network())
        twin = copy.deepcopy(frozen)
        assert torch.equal(twin(image), frozen(image))
        assert twin.state_dict() == {}
        assert list(twin.parameters()) == []

    def test_gradcheck(self):
        assert torch.autograd.gradcheck(freeze(_network()).double(), randn(1, 3, 4, 4).requires_grad_())


class TestEncoder:
    def test_stays_in_evaluation_mode(self):
        outer = nn.Sequential(_Encoder(), nn.Dropout())
        outer.train()
        assert outer[1].training
        assert not any(module.training for module in outer[0].modules())
        image = rand(1, 3, 6, 7, dtype=torch.float32)
        assert torch.equal(outer[0](image)["out"], outer[0](image)["out"])  # dropout is off

    def test_train_returns_the_encoder(self):
        encoder = _Encoder()
        assert encoder.train() is encoder

    def test_stays_out_of_the_state_of_a_module_around_it(self):
        outer = nn.ModuleDict({"encoder": _Encoder(), "head": nn.Linear(2, 1)})
        assert set(outer.state_dict()) == {"head.weight", "head.bias"}
        assert {name for name, _ in outer.named_parameters()} == {"head.weight", "head.bias"}

    def test_select(self):
        assert Encoder.select(None, ("a", "b", "c")) == ("a", "b", "c")
        assert Encoder.select(["c", "a"], ("a", "b", "c")) == ("a", "c")

    def test_rejects_unknown_taps(self):
        with pytest.raises(InputError, match="taps: 'd' is not a tap of this encoder; it has a, b, c"):
            Encoder.select(["a", "d"], ("a", "b", "c"))

    def test_rejects_no_taps(self):
        with pytest.raises(InputError, match="taps: expected at least one of a, b"):
            Encoder.select([], ("a", "b"))

    def test_rejects_small_images(self):
        assert Encoder.check_size(rand(1, 3, 16, 20), 16) is None
        with pytest.raises(ShapeError, match=r"image: expected shape .*H >= 16"):
            Encoder.check_size(rand(1, 3, 20, 15), 16)
        with pytest.raises(ShapeError, match="image: expected shape"):
            Encoder.check_size(rand(3, 20, 20), 16)
