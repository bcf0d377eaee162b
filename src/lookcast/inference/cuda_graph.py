"""Replay of a computation on a CUDA device from a recorded CUDA graph."""

import logging
from collections.abc import Callable
from threading import Lock

import torch

logger = logging.getLogger(__name__)

_MAX_SHAPES = 8  # a graph keeps memory for all intermediate results
_recording = Lock()  # torch synchronises the device before it records, and CUDA refuses that during a recording


class GraphedCall:
    """A function of one tensor, recorded as a CUDA graph.

    A replay starts hundreds of small kernels by one call. Python would need longer to start them one by one than the
    GPU needs to compute them. Several threads and streams may use one `GraphedCall`; their replays follow one another.

    Args:
        compute: the function to record. It must not wait for the device. The tensors that it reads must live as long as
            the `GraphedCall`.
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
        self._owners: tuple[object, ...] = ()
        self._calls: dict[torch.Size, Callable[[torch.Tensor], torch.Tensor] | None] = {}

    def __reduce__(self) -> "tuple[type[CudaGraphs], tuple[()]]":
        """A copy starts without graphs, because graphs belong to their process."""
        return CudaGraphs, ()

    def find(
        self, compute: Callable[[torch.Tensor], torch.Tensor], example: torch.Tensor, *owners: object
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return the graph for inputs like `example`, or `compute` itself if this shape comes the first time.

        If the recording fails, the log warns, and the shape is computed without a graph from then on.

        Args:
            compute: the function, see `GraphedCall`.
            example: the input of the next call.
            owners: the objects whose tensors `compute` reads, such as a network and a style. Other objects drop all
                graphs. The tensors may change in place.
        """
        with self._lock:
            if len(owners) != len(self._owners) or any(a is not b for a, b in zip(owners, self._owners, strict=True)):
                self._owners, self._calls = owners, {}
            if example.shape not in self._calls:
                if len(self._calls) < _MAX_SHAPES:
                    self._calls[example.shape] = None
                return compute
            call = self._calls[example.shape]
            if call is None:
                try:
                    call = GraphedCall(compute, example)
                except RuntimeError as error:  # such as too little memory
                    logger.warning("no CUDA graph, so each photo takes some milliseconds longer: %s", error)
                    call = compute
                self._calls[example.shape] = call
            return call
