"""Export of a look compiled ahead of time by Inductor, for PyTorch without Python or without lookcast."""

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
    """Compile a look into a package for `torch._inductor.aoti_load_package`, check it, and write it atomically.

    Inputs and output are those of `export_onnx`, on the stylizer's device and on processors of its kind. Tensors must
    be contiguous: compiled code does not check it unless AOTI_RUNTIME_CHECK_INPUTS=1 is set. Compiling takes about a
    minute.

    Args:
        stylizer: the checkpoint, on the device that the package is for.
        path: the `.pt2` file.
        style: for a universal checkpoint, one style or several, without masks; the file then holds them.
        photos: images to check the file on, besides a random one.

    Returns:
        The largest difference between the package and PyTorch at two sizes.

    Raises:
        InputError: no C++ compiler is found, a style for a checkpoint with a single look, or the file can't be written.
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
        "aot_inductor.check_lowerbound": False,  # otherwise the check of inputs refuses a batch of one
    }
    with atomic_write(path) as temporary, torch.no_grad():
        program = torch.export.export(graph, inputs, dynamic_shapes=dynamic)
        aoti_compile_and_package(program, package_path=str(temporary), inductor_configs=options)
        return check_same(aoti_load_package(str(temporary)), graph, stylizer.device, photos)
