"""Export of a look as a package compiled ahead of time by Inductor. PyTorch runs it without lookcast, also in C++."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch._inductor import aoti_compile_and_package, aoti_load_package
from torch._inductor.cpp_builder import get_cpp_compiler
from torch._inductor.exc import InvalidCxxCompiler

from lookcast.atomic import atomic_write
from lookcast.checks import InputError
from lookcast.inference.export.graph import check_same, example, graph_of, metadata
from lookcast.inference.styles import Style
from lookcast.inference.stylizer import Stylizer
from lookcast.photos.adapters import AnyImage


def export_pt2(
    stylizer: Stylizer,
    path: str | Path,
    style: Style | None = None,
    photos: Sequence[AnyImage] = (),
) -> float:
    """Write a look atomically as a package for `torch._inductor.aoti_load_package`, and compare it with PyTorch.

    The package has the same inputs and output as the model of `export_onnx`. It runs only on the type of device and the
    type of processor for which it was compiled. Input tensors must be contiguous. The compiled code checks its inputs
    only if AOTI_RUNTIME_CHECK_INPUTS=1 is set. Compilation takes about a minute.

    Args:
        stylizer: the loaded checkpoint, on the device for which the package is compiled.
        path: the `.pt2` file to write.
        style: one or more styles without masks, for a universal checkpoint; these styles are fixed in the package.
        photos: photos for the comparison, in addition to a random image.

    Returns:
        The largest difference between the package and PyTorch, at two image sizes.

    Raises:
        InputError: there is no C++ compiler, a single-look checkpoint gets a style, or the file can't be written.
        RuntimeError: the package differs from PyTorch by more than `MAX_DIFFERENCE`.
    """
    try:
        get_cpp_compiler()
    except InvalidCxxCompiler as error:
        raise InputError("pt2: needs a C++ compiler, g++ or clang++; install one or set CXX to it") from error
    graph = graph_of(stylizer, style)
    inputs, dynamic = example(graph, stylizer.device)
    options: dict[str, Any] = {
        "aot_inductor.metadata": metadata(stylizer),
        "aot_inductor.check_lowerbound": False,  # with True, the check of inputs refuses a batch of one photo
    }
    with atomic_write(path) as temporary, torch.no_grad():
        program = torch.export.export(graph, inputs, dynamic_shapes=dynamic)
        aoti_compile_and_package(program, package_path=str(temporary), inductor_configs=options)
        return check_same(aoti_load_package(str(temporary)), graph, stylizer.device, photos)
