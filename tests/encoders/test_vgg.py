import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import VGG19_Weights, vgg19

from lookcast.checks import InputError, ShapeError
from lookcast.encoders.vgg import LAYERS, STRIDES, VGG19Encoder
from lookcast.weights import CheckpointError
from tests.samples import photo, rand

# torchvision's own names and shapes, without the half gigabyte of classifier.
with torch.device("meta"):
    LAYERS_OF_TORCHVISION = vgg19(weights=None).features[: max(LAYERS.values()) + 1]


def _state(layers=range(30)):
    """Random weights that keep the activations' scale, as `features.N.weight` and `features.N.bias`."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, tensor in LAYERS_OF_TORCHVISION.state_dict().items():
        if int(name.split(".")[0]) in layers:
            spread = (2 / tensor[0].numel()) ** 0.5 if tensor.ndim == 4 else 0.1
            state[f"features.{name}"] = spread * torch.randn(tensor.shape, generator=generator)
    return state


@pytest.fixture(scope="module")
def state():
    return _state()


@pytest.fixture(scope="module")
def weights(state, tmp_path_factory):
    path = tmp_path_factory.mktemp("vgg") / "vgg19-dcbb9e9d.pth"
    # As in torchvision's file, layers that no tap needs are there too.
    torch.save(state | {"features.34.bias": torch.zeros(512), "classifier.6.bias": torch.zeros(1000)}, path)
    return path


@pytest.fixture(scope="module")
def shallow(tmp_path_factory):
    """The weights up to relu2_1 only: quick to write and read."""
    path = tmp_path_factory.mktemp("vgg") / "shallow.pth"
    torch.save(_state(range(7)), path)
    return path


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """An empty hub folder, and a proxy on a port where nothing listens: a download fails at once."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "hub" / "checkpoints" / "vgg19-dcbb9e9d.pth"


class TestVGG19Encoder:
    def test_shape(self, weights):
        encoder = VGG19Encoder(weights)
        assert encoder.taps == ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1")
        assert list(encoder.strides.values()) == [1, 2, 4, 8, 8, 16]
        features = encoder(rand(2, 3, 35, 50, dtype=torch.float32))
        assert list(features) == list(encoder.taps)
        for tap, channels in zip(encoder.taps, (64, 128, 256, 512, 512, 512), strict=True):
            stride = encoder.strides[tap]
            assert features[tap].shape == (2, channels, 35 // stride, 50 // stride)

    def test_matches_torchvision(self, weights, state):
        image = photo("coffee").float()
        # torchvision's layers one by one, each output copied before the next layer may touch it.
        reference = LAYERS_OF_TORCHVISION.to_empty(device="cpu")
        reference.load_state_dict({name.removeprefix("features."): tensor for name, tensor in state.items()})
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
        hidden, outputs = (image - mean) / std, []
        with torch.no_grad():
            for layer in reference:
                hidden = layer(hidden.clone())
                outputs.append(hidden.clone())
        features = VGG19Encoder(weights)(image)
        for tap, index in LAYERS.items():
            assert torch.equal(features[tap], outputs[index])
            assert features[tap].amin() == 0  # rectified
            assert features[tap].mean() > 0.01

    def test_taps_are_the_papers_layers(self):
        # The n-th convolution after the m-th pool, counted on torchvision's layers.
        block, number, names = 1, 0, {}
        for index, layer in enumerate(LAYERS_OF_TORCHVISION):
            if isinstance(layer, torch.nn.MaxPool2d):
                block, number = block + 1, 0
            elif isinstance(layer, torch.nn.ReLU):
                number += 1
                names[f"relu{block}_{number}"] = index
        assert {tap: names[tap] for tap in LAYERS} == LAYERS
        assert {tap: 2 ** (int(tap[4]) - 1) for tap in LAYERS} == STRIDES

    def test_keeps_the_layers_it_needs_only(self, shallow):
        encoder = VGG19Encoder(shallow, taps=["relu2_1", "relu1_1"])
        assert encoder.taps == ("relu1_1", "relu2_1")
        names = {name for name, _ in encoder.named_buffers()}
        assert {n for n in names if "features" in n} == {
            f"network.features.{i}.{kind}" for i in (0, 2, 5) for kind in ("weight", "bias")
        }

    def test_reads_safetensors(self, shallow, tmp_path):
        path = tmp_path / "vgg19.safetensors"
        save_file(_state(range(7)), path)
        image = rand(1, 3, 16, 16, dtype=torch.float32)
        expected = VGG19Encoder(shallow, taps=["relu2_1"])(image)["relu2_1"]
        assert torch.equal(VGG19Encoder(path, taps=["relu2_1"])(image)["relu2_1"], expected)

    def test_half_precision_weights_are_used_in_float32(self, tmp_path):
        path = tmp_path / "half.pth"
        torch.save({name: tensor.half() for name, tensor in _state(range(1)).items()}, path)
        features = VGG19Encoder(path, taps=["relu1_1"])(rand(1, 3, 8, 8, dtype=torch.float32))
        assert features["relu1_1"].dtype == torch.float32

    def test_is_frozen(self, shallow):
        encoder = VGG19Encoder(shallow, taps=["relu2_1"]).train()
        assert list(encoder.parameters()) == []
        assert encoder.state_dict() == {}
        assert not any(module.training for module in encoder.modules())
        assert encoder.double()(rand(1, 3, 16, 16))["relu2_1"].dtype == torch.float64

    def test_gradcheck(self, shallow):
        encoder = VGG19Encoder(shallow, taps=["relu1_1", "relu2_1"]).double()
        image = rand(1, 3, 6, 7).requires_grad_()
        assert torch.autograd.gradcheck(lambda i: tuple(encoder(i).values()), image, fast_mode=True)

    def test_rejects_unknown_taps(self, shallow):
        with pytest.raises(InputError, match="taps: 'relu5_4' is not a tap of this encoder; it has relu1_1"):
            VGG19Encoder(shallow, taps=["relu5_4"])

    def test_rejects_small_images(self, shallow):
        encoder = VGG19Encoder(shallow, taps=["relu2_1"])
        with pytest.raises(ShapeError, match=r"image: expected shape .*H >= 2"):
            encoder(rand(1, 3, 1, 8, dtype=torch.float32))


class TestWeights:
    def _refused(self, path):
        """The one line that is printed for a bad file."""
        with pytest.raises(CheckpointError) as error:
            VGG19Encoder(path, taps=["relu2_1"])
        message = str(error.value)
        assert message.startswith(f"{path}: ")
        assert "\n" not in message
        return message

    def test_rejects_a_missing_file(self, tmp_path):
        assert "no such file" in self._refused(tmp_path / "vgg19.pth")

    def test_rejects_weights_of_another_network(self, tmp_path):
        path = tmp_path / "resnet.pth"
        torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7), "epoch": 3}, path)
        assert "lacks the weight 'features.0.bias'" in self._refused(path)

    def test_rejects_a_missing_layer(self, tmp_path):
        path = tmp_path / "vgg19.pth"
        torch.save(_state(range(3)), path)
        assert "lacks the weight 'features.5.bias'" in self._refused(path)

    def test_rejects_layers_of_another_shape(self, tmp_path):
        path = tmp_path / "vgg19.pth"
        torch.save(_state(range(7)) | {"features.5.weight": torch.zeros(128, 64, 5, 5)}, path)
        assert "weight 'features.5.weight' has shape (128, 64, 5, 5), expected (128, 64, 3, 3)" in self._refused(path)


class TestDownload:
    def test_failure_says_what_to_do(self, offline):
        with pytest.raises(InputError) as error:
            VGG19Encoder()
        message = str(error.value)
        assert "\n" not in message
        for part in (
            VGG19_Weights.IMAGENET1K_V1.url,
            "can't be downloaded (",
            "encoder.weights=FILE",
            "encoder=compact",
        ):
            assert part in message
        assert list(offline.parent.iterdir()) == []  # no half file that the next run would take for the weights

    def test_hub_folder_that_cannot_be_made_says_what_to_do(self, offline, monkeypatch):
        offline.parents[2].joinpath("file").write_text("")
        monkeypatch.setenv("TORCH_HOME", str(offline.parents[2] / "file"))
        with pytest.raises(InputError, match=r"can't be downloaded .*Not a directory.*encoder.weights=FILE"):
            VGG19Encoder()

    def test_downloaded_weights_are_used_again(self, offline, shallow):
        offline.parent.mkdir(parents=True)
        offline.write_bytes(shallow.read_bytes())
        image = rand(1, 3, 8, 8, dtype=torch.float32)
        expected = VGG19Encoder(shallow, taps=["relu1_1"])(image)["relu1_1"]
        assert torch.equal(VGG19Encoder(taps=["relu1_1"])(image)["relu1_1"], expected)

    def test_rejects_a_cut_file_in_the_hub_folder(self, offline, shallow):
        offline.parent.mkdir(parents=True)
        offline.write_bytes(shallow.read_bytes()[:1000])
        with pytest.raises(CheckpointError, match=r"vgg19-dcbb9e9d\.pth: not a whole state dict"):
            VGG19Encoder(taps=["relu1_1"])
