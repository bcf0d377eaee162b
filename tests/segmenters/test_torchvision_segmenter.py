import os
import socket
import time
import urllib.request

import pytest
import torch
from torchvision.models.segmentation import LRASPP_MobileNet_V3_Large_Weights, lraspp_mobilenet_v3_large

from lookcast.checks import InputError
from lookcast.segmenters import torchvision_segmenter
from lookcast.segmenters.torchvision_segmenter import TorchvisionSegmenter
from lookcast.weights import CheckpointError
from tests.samples import photo, rand
from tests.segmenters.pickles import save_code

MODEL = "lraspp_mobilenet_v3_large"
CATEGORIES = LRASPP_MobileNet_V3_Large_Weights.DEFAULT.meta["categories"]


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return lraspp_mobilenet_v3_large(weights=None, weights_backbone=None).eval()


@pytest.fixture(scope="module")
def weights(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("torchvision") / "lraspp.pth"
    # torchvision's files of the larger networks contain a second head.
    torch.save(network.state_dict() | {"aux_classifier.0.weight": torch.zeros(3)}, path)
    return path


class TestTorchvisionSegmenter:
    def test_names_are_those_of_voc(self, weights):
        segmenter = TorchvisionSegmenter(MODEL, weights)
        assert segmenter.names == ("background", *CATEGORIES[1:])
        assert segmenter.rest == "background"

    def test_matches_reference(self, weights, network):
        # torchvision's own preprocessing. Neither resizes a photo of 520 px.
        image = rand(1, 3, 520, 530, dtype=torch.float32)
        with torch.no_grad():
            expected = network(LRASPP_MobileNet_V3_Large_Weights.DEFAULT.transforms()(image))["out"].softmax(1)
            actual = TorchvisionSegmenter(MODEL, weights).probabilities(image)
        torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-5)

    def test_known_value(self, network, tmp_path):
        # A head that predicts a person everywhere.
        state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        for head in ("low", "high"):
            state[f"classifier.{head}_classifier.weight"].zero_()
            state[f"classifier.{head}_classifier.bias"].zero_()[CATEGORIES.index("person")] = 1
        torch.save(state, tmp_path / "person.pth")
        pair = TorchvisionSegmenter(MODEL, tmp_path / "person.pth").segment_pair(photo("chelsea"), photo("coffee"))
        assert pair.labels == ("person",)
        assert torch.equal(pair.content, torch.ones(1, 1, 37, 31, dtype=torch.float64))

    @pytest.mark.parametrize("size", [(37, 61), (1, 70), (16, 16)])
    def test_any_size(self, weights, size):
        content, style = rand(1, 3, *size), rand(1, 3, 20, 30, seed=1)
        pair = TorchvisionSegmenter(MODEL, weights).segment_pair(content, style)
        assert pair.content.shape == (1, len(pair.labels), *size)
        assert torch.equal(pair.content.sum(1), torch.ones(1, *size, dtype=torch.float64))
        assert len(pair.labels) <= 9

    @pytest.mark.parametrize("silent", [False, True])
    def test_rejects_a_failed_download(self, tmp_path, monkeypatch, silent):
        # All requests go to a proxy that refuses connections, or accepts them and never answers.
        with socket.socket() as proxy:
            proxy.bind(("127.0.0.1", 0))
            if silent:
                proxy.listen()
            monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.getsockname()[1]}")
            monkeypatch.setattr(urllib.request, "_opener", None)  # it caches the proxies of earlier requests
            monkeypatch.setenv("TORCH_HOME", str(tmp_path))
            monkeypatch.setattr(torchvision_segmenter, "TIMEOUT", 0.5)
            start = time.perf_counter()
            said = "timed out" if silent else "refused"
            with pytest.raises(InputError, match=rf"lraspp_.*\.pth can't be downloaded .*{said}.*--segmenter-weights"):
                TorchvisionSegmenter(MODEL)
            assert time.perf_counter() - start < 5
        assert socket.getdefaulttimeout() is None

    def test_rejects_bad_input(self, weights, tmp_path):
        with pytest.raises(InputError, match=r"model: expected a segmentation network .* \(deep.*\), got 'resnet18'"):
            TorchvisionSegmenter("resnet18")
        with pytest.raises(CheckpointError, match=r"none\.pth: no such file of weights"):
            TorchvisionSegmenter(MODEL, tmp_path / "none.pth")
        torch.save({"backbone.0.0.weight": torch.zeros(16, 3, 3, 3)}, tmp_path / "other.pth")
        with pytest.raises(CheckpointError, match=r"other\.pth: lacks the weight"):
            TorchvisionSegmenter(MODEL, tmp_path / "other.pth")

    @pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
    def test_rejects_broken_files(self, weights, tmp_path, suffix):
        path = tmp_path / f"weights{suffix}"
        for content in (b"", b"no weights", weights.read_bytes()[:5000]):
            path.write_bytes(content)
            with pytest.raises(CheckpointError, match=rf"^\S+weights{suffix}: [^\n]*$"):
                TorchvisionSegmenter(MODEL, path)

    def test_runs_no_pickled_code(self, network, tmp_path):
        torch.save(network, tmp_path / "module.pth")  # the whole module, not its state dict
        save_code(tmp_path / "code.pth", tmp_path / "ran")
        for name in ("module.pth", "code.pth"):
            with pytest.raises(CheckpointError, match=rf"^\S+{name}: [^\n]*$"):
                TorchvisionSegmenter(MODEL, tmp_path / name)
        assert not (tmp_path / "ran").exists()

    def test_rejects_irregular_files(self, tmp_path):
        os.mkfifo(tmp_path / "pipe.pth")
        with pytest.raises(CheckpointError, match=r"pipe\.pth: is a pipe or a device"):
            TorchvisionSegmenter(MODEL, tmp_path / "pipe.pth")
        with pytest.raises(CheckpointError, match="is a folder, expected a file of weights"):
            TorchvisionSegmenter(MODEL, tmp_path)

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_rejects_weights_that_are_not_finite(self, network, tmp_path, value):
        state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        state["backbone.0.0.weight"][0, 0, 0, 0] = value
        torch.save(state, tmp_path / "nan.pth")
        with pytest.raises(InputError, match=r"nan\.pth: .*'?backbone\.0\.0\.weight'?.*(NaN|nan|finite)"):
            TorchvisionSegmenter(MODEL, tmp_path / "nan.pth")
