import pytest
import torch

from lookcast.checks import InputError, ShapeError
from lookcast.encoders.compact import MIN_SIDE, STRIDES, TAPS, CompactEncoder, CompactNetwork
from lookcast.paths import shipped
from lookcast.weights import CheckpointError, read_weights, save_weights
from tests.samples import CROPS, photo, rand

WIDTHS, OUTPUTS = [3, 4, 5, 6], [2, 3, 4, 5]


def _network(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return CompactNetwork(WIDTHS, OUTPUTS)


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "encoder.safetensors"
    save_weights(path, "encoder", _network().state_dict(), {"widths": WIDTHS, "outputs": OUTPUTS})
    return path


class TestCompactEncoder:
    @pytest.mark.parametrize("size", [(16, 16), (33, 50), (17, 31)])
    def test_shape(self, weights, size):
        encoder = CompactEncoder(weights)
        features = encoder(rand(2, 3, *size, dtype=torch.float32))
        assert list(features) == list(TAPS) == list(encoder.taps)
        for tap, channels in zip(TAPS, OUTPUTS, strict=True):
            stride = encoder.strides[tap]
            assert features[tap].shape == (2, channels, size[0] // stride, size[1] // stride)

    def test_known_value(self, weights):
        # relu1_1 by hand: standardise, reflect, convolve, rectify, linear head.
        image, network = rand(1, 3, 16, 18), _network().double()
        conv, head = network.stages[0][0], network.heads[0]
        padded = torch.nn.functional.pad((image - 0.45) / 0.25, (1, 1, 1, 1), mode="reflect")
        hidden = torch.nn.functional.conv2d(padded, conv.weight, conv.bias).clamp_min(0)
        expected = torch.einsum("oc,bchw->bohw", head.weight[..., 0, 0], hidden) + head.bias.view(1, -1, 1, 1)
        actual = CompactEncoder(weights).double()(image)["relu1_1"]
        torch.testing.assert_close(actual, expected.detach(), rtol=0, atol=1e-12)

    def test_module_equals_function(self, weights):
        image = rand(2, 3, 20, 24, dtype=torch.float32)
        with torch.no_grad():
            expected = _network()(image)
        features = CompactEncoder(weights)(image)
        for tap in TAPS:  # not bit by bit: the encoder computes channels last, which sums in another order
            torch.testing.assert_close(features[tap], expected[tap], rtol=1e-5, atol=1e-5)

    def test_taps_in_place_rectifiers_do_not_corrupt(self, weights):
        image = rand(1, 3, 20, 24, dtype=torch.float32)
        deep = CompactEncoder(weights)(image)
        for tap in TAPS:
            assert torch.equal(CompactEncoder(weights, taps=[tap])(image)[tap], deep[tap])

    def test_selects_taps_in_the_order_of_depth(self, weights):
        encoder = CompactEncoder(weights, taps=["relu3_1", "relu1_1"])
        assert encoder.taps == ("relu1_1", "relu3_1")
        assert encoder.strides == {"relu1_1": 1, "relu3_1": 4}
        assert list(encoder(rand(1, 3, 16, 16, dtype=torch.float32))) == ["relu1_1", "relu3_1"]

    def test_is_frozen(self, weights):
        encoder = CompactEncoder(weights).train()
        assert list(encoder.parameters()) == []
        assert encoder.state_dict() == {}
        assert not any(module.training for module in encoder.modules())
        image = rand(1, 3, 16, 16, dtype=torch.float32).requires_grad_()
        sum(f.square().sum() for f in encoder(image).values()).backward()
        assert image.grad.norm() > 0

    def test_invariance_to_other_items_of_the_batch(self, weights):
        image, encoder = rand(3, 3, 20, 24), CompactEncoder(weights).double()
        for tap, feature in encoder(image).items():
            torch.testing.assert_close(feature[2:], encoder(image[2:])[tap])

    def test_gradcheck(self, weights):
        encoder = CompactEncoder(weights).double()
        image = rand(1, 3, 16, 16).requires_grad_()
        assert torch.autograd.gradcheck(lambda i: tuple(encoder(i).values()), image, fast_mode=True)

    def test_rejects_unknown_taps(self, weights):
        with pytest.raises(InputError, match="taps: 'relu5_1' is not a tap"):
            CompactEncoder(weights, taps=["relu5_1"])

    def test_rejects_a_missing_file(self, tmp_path):
        with pytest.raises(CheckpointError, match=r"none\.safetensors: no such checkpoint"):
            CompactEncoder(tmp_path / "none.safetensors")

    def test_rejects_weights_of_another_kind(self, tmp_path):
        path = tmp_path / "generator.safetensors"
        save_weights(path, "generator", _network().state_dict(), {"widths": WIDTHS, "outputs": OUTPUTS})
        with pytest.raises(CheckpointError, match=r"holds weights of kind 'generator', expected 'encoder'$"):
            CompactEncoder(path)

    def test_rejects_weights_of_other_widths(self, tmp_path):
        path = tmp_path / "encoder.safetensors"
        save_weights(path, "encoder", _network().state_dict(), {"widths": [3, 4, 5, 7], "outputs": OUTPUTS})
        with pytest.raises(CheckpointError, match=r"weight 'heads\.3\.weight' has shape \(5, 6, 1, 1\)"):
            CompactEncoder(path)

    def test_rejects_small_images(self, weights):
        encoder = CompactEncoder(weights)
        assert MIN_SIDE == 16
        with pytest.raises(ShapeError, match=r"image: expected shape .*H >= 16"):
            encoder(rand(1, 3, 15, 40, dtype=torch.float32))


class TestShippedEncoder:
    def test_loads_and_is_small(self):
        encoder = CompactEncoder()
        assert encoder.taps == TAPS
        assert encoder.strides == STRIDES == {"relu1_1": 1, "relu2_1": 2, "relu3_1": 4, "relu4_1": 8}
        tensors, _ = read_weights(shipped("checkpoints") / "compact_encoder.safetensors", "encoder")
        assert 100_000 < sum(t.numel() for t in tensors.values()) <= 500_000

    def test_features_of_photos_are_standardised(self):
        # Over hundreds of photographs mean 0 and variance 1; three of them stay in the neighbourhood.
        encoder = CompactEncoder()
        features = [encoder(photo(name, whole=True).float()) for name in CROPS]
        for tap in TAPS:
            channels = torch.cat([f[tap][0].flatten(1) for f in features], 1)
            assert channels.mean(1).abs().mean() < 1
            assert 0.5 < channels.var(1).mean() < 1.5
