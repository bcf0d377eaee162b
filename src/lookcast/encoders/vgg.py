"""VGG-19, the network of the paper, with weights from a download or a file."""

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import hub, nn
from torchvision.models import VGG19_Weights, vgg19

from lookcast.checks import InputError
from lookcast.encoders.base import Encoder, freeze
from lookcast.structures import Features
from lookcast.weights import load_into, read_state_dict

LAYERS = {"relu1_1": 1, "relu2_1": 6, "relu3_1": 11, "relu4_1": 20, "relu4_2": 22, "relu5_1": 29}
"""Index of each tap in `torchvision.models.vgg19().features`."""

STRIDES = dict(zip(LAYERS, (1, 2, 4, 8, 8, 16), strict=True))
CHANNELS = dict(zip(LAYERS, (64, 128, 256, 512, 512, 512), strict=True))


class VGG19Network(nn.Module):
    """The layers of VGG-19 up to the deepest tap, on the meta device. The layers have torchvision's names.

    Args:
        taps: names of the feature maps to compute.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, taps: Iterable[str]) -> None:
        super().__init__()
        self.taps = {LAYERS[tap]: tap for tap in taps}
        # The meta device allocates nothing before the weights are loaded. The full network with its unused classifier
        # would take 0.5 GB.
        with torch.device("meta"):
            self.features = vgg19(weights=None).features[: max(self.taps) + 1]
        normalise = VGG19_Weights.IMAGENET1K_V1.transforms()
        for name in ("mean", "std"):
            values = torch.tensor(getattr(normalise, name), dtype=torch.float32, device="cpu")
            self.register_buffer(name, values.view(1, 3, 1, 1), persistent=False)

    def forward(self, image: torch.Tensor) -> Features:
        """Return a dict with the rectified feature map of each tap. The image is `(B, 3, H, W)` in [0, 1]."""
        hidden = (image - self.mean) / self.std
        features: Features = {}
        for index, layer in enumerate(self.features):
            # The rectifiers work in place. A tap is the output of a rectifier, and the next layer is a convolution or a
            # pool, so no layer overwrites a tap.
            hidden = layer(hidden)
            if index in self.taps:
                features[self.taps[index]] = hidden
        return features


class VGG19Encoder(Encoder):
    """torchvision's VGG-19 trained on ImageNet, frozen, cut after the deepest tap.

    The network uses zero padding and max pooling, as in its training. The paper's Caffe weights differ in scale only.

    Args:
        weights: a state dict with torchvision's names, `.pth` or `.safetensors`; None downloads
            `VGG19_Weights.IMAGENET1K_V1` (0.5 GB) on first use and keeps the file in torch's hub folder.
        taps: the taps to compute; None for all six taps, `relu1_1` to `relu5_1`.

    Raises:
        InputError: the download fails, the file is missing or damaged or holds another network, or a tap is unknown.

    Reference:
        Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015.
    """

    def __init__(self, weights: str | Path | None = None, taps: Iterable[str] | None = None) -> None:
        super().__init__()
        self.taps = self.select(None if taps is None else list(taps), tuple(LAYERS))
        self.strides = {tap: STRIDES[tap] for tap in self.taps}
        self.channels = {tap: CHANNELS[tap] for tap in self.taps}
        path = _download() if weights is None else Path(weights)
        network = VGG19Network(self.taps)
        state = read_state_dict(path)
        # The file must contain all layers in use; other entries of the file, such as the classifier, are ignored.
        load_into(network, {name: state[name] for name in network.state_dict() if name in state}, path)
        self.network = freeze(network)

    def forward(self, image: torch.Tensor) -> Features:
        """Return rectified features; see `Encoder.forward`."""
        self.check_size(image, min_side=max(self.strides.values()))
        features: Features = self.network(image)
        return features


def _download() -> Path:
    """Return the path of torchvision's weights in torch's hub folder; download missing weights first."""
    url: str = VGG19_Weights.IMAGENET1K_V1.url
    path = Path(hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The file name contains the first digits of the SHA-256 hash.
        hub.download_url_to_file(url, str(path), hash_prefix=path.stem.split("-")[-1])
    except Exception as error:  # OSError, HTTPException, RuntimeError for another hash, ...
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"encoder vgg19: {url} can't be downloaded ({reason}); fetch it elsewhere and pass encoder.weights=FILE, "
            "or take encoder=compact, which ships with lookcast"
        ) from error
    return path
