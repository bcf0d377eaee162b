"""The checkpoints that visitors may choose, by name."""

import threading
from pathlib import Path

import torch

from lookcast.checkpoints import DEFAULT_CHECKPOINT, KIND
from lookcast.checks import InputError
from lookcast.generators import GENERATORS, GridGenerator, PairGenerator
from lookcast.inference.devices import pick_device
from lookcast.inference.stylizer import Stylizer, load
from lookcast.paths import check_file, shipped
from lookcast.segmenters import SceneSegmenter
from lookcast.weights import CheckpointError, read_header


class Looks:
    """The checkpoints of a server. A visitor chooses one by its name, never by a path.

    Args:
        paths: further checkpoints, beside those that ship with lookcast.
        device: see `inference.devices.pick_device`.

    Attributes:
        names: the names; the first one is the default.
        single_looks: the names of those that have a single look, so that they take no style photo.

    Raises:
        InputError: a file is no checkpoint, or its generator predicts pixels instead of a grid; two checkpoints have
            the same name; or this machine does not have the device.
    """

    def __init__(self, paths: tuple[str, ...], device: str) -> None:
        self._device = pick_device(device)
        self._files: dict[str, Path] = {}
        own = [check_file(path, "checkpoint", CheckpointError) for path in paths]
        for path in [*own, *_shipped_looks()]:
            if path.stem in self._files:
                raise InputError(
                    f"--checkpoint: two checkpoints are named {path.stem}: {self._files[path.stem]}, {path}"
                )
            self._files[path.stem] = path
        self.names = list(self._files)
        self.single_looks = [name for name, path in self._files.items() if not _takes_style(path)]
        self._loaded: dict[str, Stylizer] = {}
        self._lock = threading.Lock()
        self._segmenter: SceneSegmenter | None = None

    def path(self, name: str) -> Path | None:
        """Return the file of a checkpoint that the user passed; None for one that ships with lookcast."""
        path = self._files[name]
        return None if path.parent == shipped("checkpoints") else path

    def open(self, name: str | None) -> Stylizer:
        """Return the stylizer of a checkpoint; None stands for the default.

        Raises:
            InputError: the name is unknown, or the file can't be loaded.
        """
        name = self.names[0] if name is None else name
        if name not in self._files:
            raise InputError(f"checkpoint: expected one of {', '.join(self.names)}, got {name[:80]!r}")
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = load(self._files[name], self._device)
            return self._loaded[name]

    def open_segmenter(self) -> SceneSegmenter:
        """Return the segmenter of automatic masks."""
        with self._lock:
            if self._segmenter is None:
                self._segmenter = SceneSegmenter()
            return self._segmenter

    def warm_up(self) -> None:
        """Load the default checkpoint, and stylize a few pixels, so that the first visitor need not wait for it."""
        stylizer = self.open(None)
        pixels = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
        if stylizer.generator.takes_style:
            stylizer.stylize(pixels[0].numpy(), pixels[0].numpy())
        else:
            stylizer.stylize_pixels(pixels)


def _takes_style(path: Path) -> bool:
    """Return whether the generator of a checkpoint takes a style photo. Only the header of the file is read.

    Raises:
        InputError: the file is no checkpoint, or its generator predicts pixels. Only a grid can be sliced again.
    """
    described = read_header(path, KIND).get("generator")
    name = described.get("name") if isinstance(described, dict) else None
    kind = GENERATORS.get(name) if isinstance(name, str) else None
    if kind is None:
        return True  # `load` refuses the file
    if not issubclass(kind, GridGenerator | PairGenerator):
        raise InputError(f"{path}: a generator {name!r} predicts pixels; the page needs one that predicts a grid")
    return kind.takes_style


def _shipped_looks() -> list[Path]:
    """Return the generators among the shipped checkpoints, the default first."""
    paths, files = shipped("checkpoints").glob("*.safetensors"), []
    for path in sorted(paths, key=lambda path: (path.stem != DEFAULT_CHECKPOINT, path)):
        try:
            read_header(path, KIND)
        except CheckpointError:  # another kind of checkpoint, such as the encoder
            continue
        files.append(path)
    return files
