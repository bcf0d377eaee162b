"""torchvision's segmentation networks: 20 kinds of objects, and the background."""

from pathlib import Path
from typing import Any

import torch

from lookcast.checks import InputError
from lookcast.segmenters.base import ClassSegmenter
from lookcast.segmenters.label_maps import thumbnail
from lookcast.weights import load_into, read_state_dict

THUMBNAIL = 768
"""Long side of what the network reads: a photo of 3:2 then has about the 520 px of torchvision's tests."""


class TorchvisionSegmenter(ClassSegmenter):
    """A network of `torchvision.models.segmentation`, trained on the 20 classes of Pascal VOC.

    For portraits, animals and vehicles; a landscape is all background to it.

    Args:
        model: `deeplabv3_mobilenet_v3_large`, `lraspp_mobilenet_v3_large`, or another of that module.
        weights: a state dict with torchvision's names, `.pth` or `.safetensors`; None downloads torchvision's own on
            first use (42 MB for the default model) and keeps it in torch's hub folder.

    Raises:
        InputError: an unknown model, weights that can't be downloaded, or a file that is missing or does not fit.

    Reference:
        Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation", arXiv 1706.05587.
    """

    def __init__(self, model: str = "deeplabv3_mobilenet_v3_large", weights: str | Path | None = None) -> None:
        # Here, because importing them takes half a second, which who clusters need not wait for.
        from torchvision.models import get_model, get_model_weights, list_models, segmentation

        known = list_models(module=segmentation)
        if model not in known:
            raise InputError(f"model: {model!r} is none of torchvision's segmentation networks: {', '.join(known)}")
        trained = get_model_weights(model).DEFAULT
        state = _download(model, trained) if weights is None else read_state_dict(weights)
        # The second head of the larger networks serves their training only.
        state = {name: tensor for name, tensor in state.items() if not name.startswith("aux_classifier.")}
        self.network = get_model(model, weights=None, weights_backbone=None).eval().requires_grad_(False)
        load_into(self.network, state, trained.url if weights is None else weights)
        normalise = trained.transforms()
        self.mean = torch.tensor(normalise.mean).view(1, 3, 1, 1)
        self.std = torch.tensor(normalise.std).view(1, 3, 1, 1)
        background, *objects = trained.meta["categories"]
        self.rest = background.strip("_")
        self.names = (self.rest, *objects)

    def probabilities(self, image: torch.Tensor) -> torch.Tensor:
        """See `ClassSegmenter.probabilities`."""
        small = thumbnail(image, THUMBNAIL, least=64)
        normalised = (small - self.mean.to(small.device)) / self.std.to(small.device)
        output: torch.Tensor = self.network.to(small.device)(normalised)["out"]
        return output.softmax(1)


def _download(model: str, trained: Any) -> dict[str, torch.Tensor]:
    try:
        state: dict[str, torch.Tensor] = trained.get_state_dict(progress=False, check_hash=True)
    except Exception as error:  # a network fails in many ways: OSError, HTTPException, a hash that differs
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"segmenter torchvision: {trained.url} can't be downloaded ({reason}); fetch it elsewhere and pass the "
            f"file as the weights of {model}, or take the segmenter clusters, which needs none"
        ) from error
    return state
