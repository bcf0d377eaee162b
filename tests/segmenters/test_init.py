import subprocess
import sys

import pytest

from lookcast.segmenters import SEGMENTERS, ClusterSegmenter, Segmenter, TorchvisionSegmenter, TransformersSegmenter


class TestSegmenters:
    def test_names(self):
        assert list(SEGMENTERS) == ["clusters", "torchvision", "transformers"]
        assert list(SEGMENTERS.values()) == [ClusterSegmenter, TorchvisionSegmenter, TransformersSegmenter]

    @pytest.mark.parametrize("name", SEGMENTERS)
    def test_are_segmenters(self, name):
        assert issubclass(SEGMENTERS[name], Segmenter)

    def test_import_is_light(self):
        heavy = ("transformers", "torchvision.models.segmentation", "huggingface_hub")
        program = f"import sys, lookcast.segmenters\nprint(*(name for name in {heavy!r} if name in sys.modules))"
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert result.stdout.split() == []
