import subprocess
import sys

import pytest
import torch
from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large

from lookcast.checks import InputError
from lookcast.segmenters import (
    SEGMENTERS,
    ClusterSegmenter,
    SceneSegmenter,
    Segmenter,
    TorchvisionSegmenter,
    TransformersSegmenter,
    open_segmenter,
)
from lookcast.segmenters.scene_network import SceneNetwork
from lookcast.weights import save_weights
from tests.segmenters.test_transformers_segmenter import save_segformer, small_segformer


class TestSegmenters:
    def test_names(self):
        assert list(SEGMENTERS) == ["scenes", "clusters", "torchvision", "transformers"]
        assert list(SEGMENTERS.values()) == [
            SceneSegmenter,
            ClusterSegmenter,
            TorchvisionSegmenter,
            TransformersSegmenter,
        ]

    @pytest.mark.parametrize("name", SEGMENTERS)
    def test_are_segmenters(self, name):
        assert issubclass(SEGMENTERS[name], Segmenter)

    def test_import_is_light(self):
        heavy = ("transformers", "torchvision.models.segmentation", "huggingface_hub")
        program = f"import sys, lookcast.segmenters\nprint(*(name for name in {heavy!r} if name in sys.modules))"
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert result.stdout.split() == []


class TestOpenSegmenter:
    def test_clusters(self):
        assert type(open_segmenter("clusters")) is ClusterSegmenter

    def test_weights_of_scenes(self, tmp_path):
        assert type(open_segmenter("scenes")) is SceneSegmenter
        network = SceneNetwork()
        save_weights(tmp_path / "own.safetensors", "scenes", network.state_dict(), {})
        segmenter = open_segmenter("scenes", tmp_path / "own.safetensors")
        assert torch.equal(segmenter.network.head.photo.weight, network.head.photo.weight)

    def test_local_weights_of_torchvision(self, tmp_path):
        network = deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None, aux_loss=True)
        torch.save(network.state_dict(), tmp_path / "deeplab.pth")
        segmenter = open_segmenter("torchvision", tmp_path / "deeplab.pth")
        assert torch.equal(segmenter.network.classifier[4].weight, network.classifier[4].weight)

    def test_local_weights_of_transformers(self, tmp_path):
        network = small_segformer()
        segmenter = open_segmenter("transformers", str(save_segformer(tmp_path, network)))
        assert torch.equal(segmenter.network.decode_head.classifier.weight, network.decode_head.classifier.weight)

    def test_rejects_bad_input(self, tmp_path):
        with pytest.raises(InputError, match=r"^segmenter: expected one of scenes, .*transformers, got 'x'$"):
            open_segmenter("x")
        with pytest.raises(InputError, match=r"weights: the segmenter clusters takes no weights, got a\.pth$"):
            open_segmenter("clusters", "a.pth")
        with pytest.raises(InputError, match=r"none\.pth: no such file of weights$"):
            open_segmenter("torchvision", tmp_path / "none.pth")
        with pytest.raises(InputError, match=r"none can't be read .*expected the folder of a checkpoint"):
            open_segmenter("transformers", str(tmp_path / "none"))
