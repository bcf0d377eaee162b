"""Segmentation networks of the Hugging Face hub: landscapes, towns and rooms."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from lookcast.checks import InputError
from lookcast.paths import check_file
from lookcast.segmenters.base import ClassSegmenter
from lookcast.segmenters.class_groups import GROUP_NAMES, OTHER, group_of
from lookcast.segmenters.label_maps import thumbnail

THUMBNAIL = 1024
"""Longer side of the input of the checkpoint's own processor, which resizes it further."""
TIMEOUT = 10
"""Seconds that the hub has to answer before a download starts."""
_ADVICE = "download the checkpoint elsewhere and pass its folder by --segmenter-weights, or use the segmenter clusters"


class TransformersSegmenter(ClassSegmenter):
    """A semantic segmentation network of `transformers`, its classes merged into the groups of `class_groups.GROUPS`.

    The probabilities of the classes of a group are added before the largest wins: a lake that the network takes half
    for `sea` and half for `river` is water. Groups are looked up by the class names of the checkpoint. The table holds
    the names of ADE20K and Cityscapes; every other name is `other`.

    Args:
        model: a name on the hub or a folder with a checkpoint and its processor; a `Path` is always a folder. A name is
            looked up in the local cache, then downloaded. The hub gets one request and `TIMEOUT` seconds to answer
            before that. Licences differ: that of the default model allows research only.

    Raises:
        InputError: transformers is not installed, or the checkpoint can't be found, downloaded or read, is incomplete,
            or is for another task.

    Reference:
        Xie et al., "SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers", NeurIPS 2021;
        Zhou et al., "Scene Parsing through ADE20K Dataset", CVPR 2017.
    """

    names = GROUP_NAMES
    rest = OTHER

    def __init__(self, model: str | Path = "nvidia/segformer-b2-finetuned-ade-512-512") -> None:
        try:
            import transformers  # noqa: F401
        except ImportError as error:
            raise InputError("segmenter transformers: is not installed; pip install 'lookcast[segment]'") from error
        try:
            with _quiet():
                self.processor, self.network = _open_folder(model) if _is_folder(model) else _open_name(str(model))
        except InputError:
            raise
        except Exception as error:  # broken files, a model for another task
            raise InputError(
                f"segmenter transformers: {str(model)!r} can't be loaded ({_first_line(error)}); {_ADVICE}"
            ) from error
        for name, tensor in self.network.state_dict().items():
            if tensor.is_floating_point() and not tensor.isfinite().all():  # masks would silently have one label
                raise InputError(f"segmenter transformers: weight {name!r} of {model} holds values that are not finite")
        id2label: dict[int, str] = self.network.config.id2label
        self.groups = torch.tensor([GROUP_NAMES.index(group_of(id2label[k])) for k in sorted(id2label)])

    def probabilities(self, image: torch.Tensor) -> torch.Tensor:
        """Return the probability of every group; see `ClassSegmenter.probabilities`."""
        small = thumbnail(image, THUMBNAIL, min_side=32)[0].clamp(0, 1)
        inputs = self.processor(images=small, do_rescale=False, input_data_format="channels_first", return_tensors="pt")
        logits = self.network.to(image.device)(inputs["pixel_values"].to(image.device)).logits
        classes: torch.Tensor = logits.softmax(1)
        grouped = classes.new_zeros(1, len(GROUP_NAMES), *classes.shape[-2:])
        return grouped.index_add_(1, self.groups.to(image.device), classes)


def _is_folder(model: str | Path) -> bool:
    return isinstance(model, Path) or os.path.isdir(model)  # noqa: PTH112 (Path.is_dir raises for very long names)


def _open_folder(folder: str | Path) -> tuple[Any, Any]:
    folder = Path(folder)
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(
            f"segmenter transformers: {folder} can't be read ({error.strerror}), expected the folder of a checkpoint, "
            "with config.json, preprocessor_config.json and the weights"
        ) from error
    for file in files:  # reading from a pipe would block
        if not file.is_dir():
            check_file(file, "file of a checkpoint")
    return _load(folder, local_files_only=True)


def _open_name(name: str) -> tuple[Any, Any]:
    """Load a checkpoint from the local cache, else from the hub.

    `from_pretrained` alone asks the hub for one file after the other and waits 23 s for each without a network.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    try:
        return _load(name, local_files_only=True)
    except OSError:  # not in the cache, or not all of it
        pass
    try:
        HfApi().model_info(name, timeout=TIMEOUT)
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise InputError(
            f"segmenter transformers: {name!r} is neither a folder nor a public model of the Hugging Face hub"
        ) from error
    except Exception as error:  # the hub's, httpx's and the system's errors have no common base
        raise InputError(
            f"segmenter transformers: {name!r} is not in the local cache and the hub can't be reached "
            f"({_first_line(error)}); {_ADVICE}"
        ) from error
    return _load(name, local_files_only=False)


def _load(model: str | Path, local_files_only: bool) -> tuple[Any, Any]:
    """Return the processor and the network of a checkpoint.

    Raises:
        InputError: weights are missing from the checkpoint, which transformers would replace by random ones.
    """
    from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation

    # trust_remote_code: by default transformers asks on the terminal whether to run a checkpoint's own code.
    options = {"local_files_only": local_files_only, "trust_remote_code": False}
    processor = AutoImageProcessor.from_pretrained(model, **options)
    network, info = AutoModelForSemanticSegmentation.from_pretrained(model, output_loading_info=True, **options)
    if info["missing_keys"]:
        missing = min(info["missing_keys"])
        raise InputError(f"segmenter transformers: {str(model)!r} lacks the weight {missing!r} of its network")
    return processor, network.eval().requires_grad_(False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the loggers of transformers and huggingface_hub, and without a terminal their progress bars too."""
    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging

    levels = [(module, module.get_verbosity()) for module in (logging, hub_logging)]
    hidden_bar = logging.is_progress_bar_enabled() and not sys.stderr.isatty()
    try:
        for module, _ in levels:
            module.set_verbosity_error()
        if hidden_bar:
            logging.disable_progress_bar()
        yield
    finally:
        for module, level in levels:
            module.set_verbosity(level)
        if hidden_bar:
            logging.enable_progress_bar()


def _first_line(error: Exception) -> str:
    """Return the first line of a message: transformers' messages have many lines of advice."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
