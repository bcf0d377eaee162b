"""Replay of a computation on a CUDA device from a recorded CUDA graph."""

from collections.abc import Callable
from threading import Lock

import torch

_MAX_SHAPES = 8  # a graph keeps memory for all intermediate results
_recording = Lock()  # torch waits for the device before it records, which another recording in the process forbids


class GraphedCall:
    """A function of one tensor, recorded as a CUDA graph.

    A replay starts hundreds of small kernels by one call. Python would need longer to start them one by one than the
    GPU needs to compute them. Several threads and streams may use one `GraphedCall`; their replays follow one another.

    Args:
        compute: the function to record. It must not wait for the device, and must not read from other memory than the
            tensors that it keeps.
        example: an input on the CUDA device. All inputs need its shape and type.
    """

    def __init__(self, compute: Callable[[torch.Tensor], torch.Tensor], example: torch.Tensor) -> None:
        self._lock = Lock()
        self._input = example.clone()
        with torch.cuda.device(example.device):
            self._done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            current = torch.cuda.current_stream()
            other = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            other.wait_stream(current)
            with torch.cuda.stream(other):  # libraries choose kernels and allocate workspaces in the first call
                compute(self._input)
            current.wait_stream(other)
            self._graph = torch.cuda.CUDAGraph()
            # Other threads may use the device during the recording. torch's own stream for recordings belongs to the
            # device of the first recording in the process, so it is not used.
            with _recording, torch.cuda.graph(self._graph, stream=other, capture_error_mode="thread_local"):
                self._output = compute(self._input)

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """Return `compute(values)` in new memory, without waiting for the device."""
        with self._lock, torch.cuda.device(values.device):
            stream = torch.cuda.current_stream()
            stream.wait_event(self._done)  # a replay on another stream may still read the input
            self._input.copy_(values)
            self._graph.replay()
            result = self._output.clone()
            self._done.record(stream)
        return result


class CudaGraphs:
    """The CUDA graphs of a function, one for each shape of its input.

    A shape is recorded when it comes the second time. Recording takes as long as some tens of calls, which a single
    photo would not earn back.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._owner: object = None
        self._calls: dict[torch.Size, GraphedCall | None] = {}

    def find(
        self, compute: Callable[[torch.Tensor], torch.Tensor], example: torch.Tensor, owner: object
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return the graph for inputs like `example`, or `compute` itself if this shape comes the first time.

        Args:
            compute: the function, see `GraphedCall`.
            example: the input of the next call.
            owner: an object that stands for all that `compute` reads, such as a style. The graphs are dropped when
                another owner comes.
        """
        with self._lock:
            if owner is not self._owner:
                self._owner, self._calls = owner, {}
            if example.shape not in self._calls:
                if len(self._calls) < _MAX_SHAPES:
                    self._calls[example.shape] = None
                return compute
            call = self._calls[example.shape]
            if call is None:
                call = self._calls[example.shape] = GraphedCall(compute, example)
            return call
