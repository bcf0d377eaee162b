"""A segmenter that runs a torchvision network, for 20 classes of objects and the background."""

import socket
from pathlib import Path
from typing import Any

import torch

from lookcast.checks import InputError
from lookcast.segmenters.base import ClassSegmenter
from lookcast.segmenters.label_maps import thumbnail
from lookcast.weights import load_into, read_state_dict

THUMBNAIL = 768
"""Maximum side of the network's input, in pixels. The shorter side of a 3:2 photo then has 512 pixels, close to the 520
of torchvision's own transforms."""
TIMEOUT = 10
"""Time limit, in seconds, for each answer of the server during a download."""


class TorchvisionSegmenter(ClassSegmenter):
    """A segmenter that runs a network of `torchvision.models.segmentation`, trained for the 20 classes of Pascal VOC.

    Use this segmenter for portraits, animals and vehicles. It labels all pixels of a landscape photo as background.

    Args:
        model: name of the network, such as `deeplabv3_mobilenet_v3_large` or `lraspp_mobilenet_v3_large`.
        weights: a `.pth` or `.safetensors` file with a state dict, whose keys are torchvision's names. None uses
            torchvision's weights, which are downloaded on first use to torch's hub folder (42 MB for the default
            network).

    Raises:
        InputError: the model is unknown, the weights can't be downloaded, or the file is missing or does not fit.

    Reference:
        Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation", arXiv 1706.05587.
    """

    def __init__(self, model: str = "deeplabv3_mobilenet_v3_large", weights: str | Path | None = None) -> None:
        # Imported here because the import takes half a second, and other segmenters do not need torchvision's models.
        from torchvision.models import get_model, get_model_weights, list_models, segmentation

        known = list_models(module=segmentation)
        if model not in known:
            raise InputError(
                f"model: expected a segmentation network of torchvision ({', '.join(known)}), got {model!r}"
            )
        trained = get_model_weights(model).DEFAULT
        if weights is None:
            state, source = _download(model, trained), str(trained.url)
        else:
            state, source = read_state_dict(weights), str(weights)
        # Larger networks have a second head, which only training uses.
        state = {name: tensor for name, tensor in state.items() if not name.startswith("aux_classifier.")}
        self.network = get_model(model, weights=None, weights_backbone=None).eval().requires_grad_(False)
        load_into(self.network, state, source)
        normalise = trained.transforms()
        self.mean = torch.tensor(normalise.mean).view(1, 3, 1, 1)
        self.std = torch.tensor(normalise.std).view(1, 3, 1, 1)
        background, *objects = trained.meta["categories"]
        self.rest = background.strip("_")
        self.names = (self.rest, *objects)

    def probabilities(self, image: torch.Tensor) -> torch.Tensor:
        """See `ClassSegmenter.probabilities`."""
        small = thumbnail(image, THUMBNAIL, min_side=64)
        normalised = (small - self.mean.to(small.device)) / self.std.to(small.device)
        output: torch.Tensor = self.network.to(small.device)(normalised)["out"]
        return output.softmax(1)


def _download(model: str, trained: Any) -> dict[str, torch.Tensor]:
    """Load torchvision's weights from torch's hub folder. Download them first if they are missing."""
    timeout = socket.getdefaulttimeout()
    try:
        socket.setdefaulttimeout(TIMEOUT)  # torch.hub sets no limit and waits for minutes behind a firewall
        state: dict[str, torch.Tensor] = trained.get_state_dict(progress=False, check_hash=True)
    except Exception as error:  # a download fails in many ways: OSError, HTTPException, a wrong hash
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"segmenter torchvision: {trained.url} can't be downloaded ({reason}); download it elsewhere and "
            f"pass the file by --segmenter-weights as the weights of {model}, or use the segmenter scenes"
        ) from error
    finally:
        socket.setdefaulttimeout(timeout)
    return state
