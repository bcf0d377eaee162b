"""Export of a look as an ONNX model."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from lookcast.atomic import atomic_write
from lookcast.checks import InputError
from lookcast.inference.export.graph import AnyStyleGraph, FixedStyleGraph, check_same, example, graph_of, metadata
from lookcast.inference.styles import Style
from lookcast.inference.stylizer import Stylizer
from lookcast.photos.adapters import AnyImage

OPSET = 20
_LIBRARIES = ("onnx", "onnxscript", "onnxruntime")


def export_onnx(
    stylizer: Stylizer,
    path: str | Path,
    style: Style | None = None,
    photos: Sequence[AnyImage] = (),
) -> float:
    """Write a look atomically as an ONNX model (opset 20), and check the model.

    The check compares the outputs of the model in ONNX Runtime with the outputs of PyTorch.

    The input `content` is an sRGB image `(batch, 3, height, width)`, float32 in [0, 1]. The output `image` has the same
    shape and type, clamped to [0, 1]. A universal checkpoint without a style gives a model with a second input `style`,
    `(1, 3, style_height, style_width)`. The dimensions that have a name here, such as `batch`, are dynamic. The model
    has no masks. The metadata of the file contain the header of the checkpoint.

    Args:
        stylizer: the loaded checkpoint, on the CPU.
        path: the `.onnx` file to write.
        style: one or more styles without masks, for a universal checkpoint; these styles are fixed in the model.
        photos: photos for the comparison, in addition to a random image.

    Returns:
        The largest difference between the model and PyTorch, at two image sizes.

    Raises:
        InputError: a library is missing, a single-look checkpoint gets a style, the stylizer is not on the CPU, or the
            file can't be written.
        RuntimeError: the file differs from PyTorch by more than `MAX_DIFFERENCE`.
    """
    for library in _LIBRARIES:
        if find_spec(library) is None:
            raise InputError(f"onnx: {library} is not installed; pip install 'lookcast[export]'")
    if stylizer.device.type != "cpu":
        raise InputError(f"device: ONNX is exported on the cpu, got {stylizer.device}")
    graph = graph_of(stylizer, style)
    with atomic_write(path) as temporary:
        _write(graph, temporary, metadata(stylizer))
        return check_same(_Session(temporary, graph), graph, stylizer.device, photos)


def _write(graph: FixedStyleGraph | AnyStyleGraph, path: Path, properties: dict[str, str]) -> None:
    inputs, dynamic = example(graph, torch.device("cpu"))
    with torch.no_grad():
        program = torch.onnx.export(
            graph,
            inputs,
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=dynamic,
            input_names=graph.inputs,
            output_names=["image"],
            verbose=False,
        )
    assert program is not None
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()  # source locations: they take half of the file and contain local paths
    program.model.metadata_props.update(properties)
    program.save(path, external_data=False)


class _Session:
    """A callable that runs an ONNX file in ONNX Runtime on the CPU."""

    def __init__(self, path: Path, graph: FixedStyleGraph | AnyStyleGraph) -> None:
        import onnxruntime

        self._session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self._names = graph.inputs

    def __call__(self, *inputs: torch.Tensor) -> torch.Tensor:
        feeds = {name: tensor.numpy() for name, tensor in zip(self._names, inputs, strict=True)}
        output: Any = self._session.run(["image"], feeds)[0]
        return torch.from_numpy(output)
