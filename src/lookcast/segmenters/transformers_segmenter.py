"""A segmenter that runs a network from the Hugging Face hub, for photos of landscapes, towns and rooms."""

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
"""Maximum side of a photo, in pixels. Larger photos are shrunk to this side. The checkpoint's image processor then
resizes every photo to the input size of the network."""
TIMEOUT = 10
"""Time limit, in seconds, for the request that checks the name of a model on the hub before a download."""
_ADVICE = "download the checkpoint elsewhere and pass its folder by --segmenter-weights, or use the segmenter scenes"


class TransformersSegmenter(ClassSegmenter):
    """A segmenter that runs a `transformers` network and merges its classes into the groups of `class_groups.GROUPS`.

    The probability of a group is the sum of the probabilities of its classes. A lake with .4 for `sea`, .4 for `river`
    and .2 for `road` is therefore water. `GROUPS` lists the class names of ADE20K and Cityscapes. A class with any
    other name belongs to the group `other`.

    Args:
        model: the name of a model on the hub, or a folder with a checkpoint and its image processor. A `Path` is always
            a folder. A model that is not in the local cache is downloaded, after a request with a time limit of
            `TIMEOUT` seconds has checked its name. The licence of the default model allows only research. Other models
            have other licences.

    Raises:
        InputError: transformers is not installed, or the checkpoint can't be found, downloaded or read, is incomplete,
            has weights that are not finite, or is for another task.

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
            raise InputError(
                "segmenter transformers: the package transformers is not installed; pip install 'lookcast[segment]'"
            ) from error
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
            if tensor.is_floating_point() and not tensor.isfinite().all():  # otherwise all masks would have one label
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
    """Load a checkpoint from the local cache, or download the checkpoint if it is not in the cache.

    Before the download, a single request tests whether the hub can be reached. Otherwise `from_pretrained` would
    request the files one by one, and on a machine without a network, each request takes 23 s to fail.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    try:
        return _load(name, local_files_only=True)
    except OSError:  # the cache lacks the checkpoint or some of its files
        pass
    try:
        HfApi().model_info(name, timeout=TIMEOUT)
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise InputError(
            f"segmenter transformers: {name!r} is neither a folder nor a public model of the Hugging Face hub"
        ) from error
    except Exception as error:  # the errors of hub, httpx and system have no common base class
        raise InputError(
            f"segmenter transformers: {name!r} is not in the local cache and the hub can't be reached "
            f"({_first_line(error)}); {_ADVICE}"
        ) from error
    return _load(name, local_files_only=False)


def _load(model: str | Path, local_files_only: bool) -> tuple[Any, Any]:
    """Return the processor and the network of a checkpoint.

    Raises:
        InputError: a weight is missing from the checkpoint. transformers would use random values in its place.
    """
    from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation

    # Without trust_remote_code, transformers asks on the terminal whether to run the code of a checkpoint.
    options = {"local_files_only": local_files_only, "trust_remote_code": False}
    processor = AutoImageProcessor.from_pretrained(model, **options)
    network, info = AutoModelForSemanticSegmentation.from_pretrained(model, output_loading_info=True, **options)
    if info["missing_keys"]:
        missing = min(info["missing_keys"])
        raise InputError(f"segmenter transformers: {str(model)!r} lacks the weight {missing!r} of its network")
    return processor, network.eval().requires_grad_(False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the loggers of transformers and huggingface_hub, and hide progress bars if there is no terminal."""
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
    """Return the first line of an error message, because transformers adds many lines of advice to its messages."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
