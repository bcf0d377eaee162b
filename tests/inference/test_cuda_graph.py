import copy
import pickle

import torch

from lookcast.inference import cuda_graph
from lookcast.inference.cuda_graph import CudaGraphs
from lookcast.inference.stylizer import Stylizer
from tests.looks import look
from tests.photo_files import UPRIGHT as PHOTO


class Recorded:
    """Stands for a `GraphedCall`, which needs a GPU; `tests/inference/test_gpu.py` tests the real one."""

    def __init__(self, compute, example):
        self.compute, self.example = compute, example


class TestCudaGraphs:
    def find(self, graphs, *owners, size=1):
        return graphs.find(torch.neg, torch.zeros(size), *owners)

    def test_records_at_the_second_call(self, monkeypatch):
        monkeypatch.setattr(cuda_graph, "GraphedCall", Recorded)
        graphs, style, network = CudaGraphs(), (), object()
        assert self.find(graphs, style, network) is torch.neg
        recorded = self.find(graphs, style, network)
        assert (recorded.compute, recorded.example.shape) == (torch.neg, (1,))
        assert self.find(graphs, style, network) is recorded
        assert self.find(graphs, style, network, size=2) is torch.neg  # another shape
        assert self.find(graphs, style, object()) is torch.neg  # another network
        assert self.find(graphs, style, network) is torch.neg  # its graphs are gone

    def test_number_of_shapes_is_limited(self, monkeypatch):
        monkeypatch.setattr(cuda_graph, "GraphedCall", Recorded)
        graphs = CudaGraphs()
        for size in range(20):
            assert self.find(graphs, size=size) is torch.neg
        found = [self.find(graphs, size=size) is torch.neg for size in range(20)]
        assert found == [False] * 8 + [True] * 12

    def test_warns_if_the_recording_fails(self, monkeypatch, caplog):
        def fail(*_):
            raise RuntimeError("out of memory")

        monkeypatch.setattr(cuda_graph, "GraphedCall", fail)
        graphs = CudaGraphs()
        assert [self.find(graphs) for _ in range(3)] == [torch.neg] * 3
        assert caplog.messages == ["no CUDA graph, so each photo takes some milliseconds longer: out of memory"]

    def test_stylizers_can_be_copied(self):
        stylizer = Stylizer(look(), {}, "cpu")
        expected = stylizer.stylize(PHOTO)
        for other in (copy.deepcopy(stylizer), pickle.loads(pickle.dumps(stylizer))):
            assert (other.stylize(PHOTO) == expected).all()
