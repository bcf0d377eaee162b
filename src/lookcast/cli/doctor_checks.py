"""The checks of `lookcast doctor`. Each check returns a description, or raises an error if something is broken."""

import importlib.metadata
import os
import platform
import tempfile
import time
from pathlib import Path

from packaging.requirements import Requirement

DISTRIBUTION = "lookcast"
_SHOWN = ("torch", "torchvision", "numpy", "numba", "pillow", "pytorch-lightning")
_SIZE = (67, 93)  # odd, so that the vectorised part and the rest of a row are both checked


class BrokenError(Exception):
    """Error of a check whose result is wrong. The message says what is wrong and what to do."""


def check_versions() -> str:
    """Check that every dependency is installed in an allowed version."""
    faults = [fault for needed in _requirements(None) if (fault := _fault(needed))]
    if faults:
        raise BrokenError(f"{'; '.join(faults)}: run pip install --upgrade {DISTRIBUTION}")
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _SHOWN)


def check_extras() -> str:
    """Name the extras that are installed, and those that are not."""
    names = importlib.metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or []
    faults = {name: [_fault(needed) for needed in _requirements(name)] for name in names if name != "dev"}
    ready = [name for name, found in faults.items() if not any(found)]
    missing = [name for name in faults if name not in ready]
    line = f"installed: {', '.join(ready) or 'none'}"
    return f"{line}; not installed: {', '.join(missing)} (pip install 'lookcast[NAME]')" if missing else line


def check_memory() -> str:
    """Return the cores that lookcast may use, and the memory of the machine."""
    from lookcast.processes import usable_cores

    names = getattr(os, "sysconf_names", {})
    if not {"SC_PHYS_PAGES", "SC_PAGE_SIZE"} <= names.keys():  # such as Windows
        return f"{usable_cores()} cores, {platform.machine()}"
    gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return f"{usable_cores()} cores, {platform.machine()}, {gib:.1f} GiB of memory"


def check_devices() -> str:
    """Return the devices that `--devices` accepts, with their names."""
    import torch

    found = [f"cpu ({torch.backends.cpu.get_cpu_capability()})"]
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        properties = torch.cuda.get_device_properties(index)
        found.append(f"cuda:{index} ({properties.name}, {properties.total_memory / 2**30:.0f} GiB)")
    if torch.backends.mps.is_available():
        found.append("mps (untested)")
    return ", ".join(found)


def check_kernel() -> str:
    """Compare the compiled kernel of each device with the reference in float64, for 8 and 16 bits."""
    import torch

    from lookcast.inference.devices import pick_devices
    from lookcast.ops.bilateral.dispatch import apply_grid_to_pixels
    from lookcast.ops.bilateral.reference import COEFFICIENTS, slice_apply
    from lookcast.ops.color import luma

    random = torch.Generator().manual_seed(0)
    identity = torch.eye(3, 4).reshape(1, COEFFICIENTS, 1, 1, 1)
    grid = identity + 0.2 * torch.randn(1, COEFFICIENTS, 8, 16, 16, generator=random)
    parts = []
    for device in dict.fromkeys([torch.device("cpu"), *pick_devices()]):
        start, largest = time.perf_counter(), 0
        for dtype in (torch.uint8, torch.uint16):
            levels = torch.iinfo(dtype).max
            pixels = torch.randint(0, levels + 1, (*_SIZE, 3), generator=random)
            image = pixels.permute(2, 0, 1)[None].double() / levels
            expected = slice_apply(grid.double(), luma(image), image)[0].clamp(0, 1).permute(1, 2, 0) * levels
            output = apply_grid_to_pixels(grid[0].to(device), pixels.to(dtype).to(device)).cpu().double()
            largest = max(largest, int((output - expected.round()).abs().max()))
        if largest > 1:  # the result before rounding is right to a fraction of a level
            raise BrokenError(f"on {device}, the kernel differs from the reference by {largest} levels")
        parts.append(f"{device}: equals the reference to {largest} levels, {time.perf_counter() - start:.1f} s")
    return "; ".join(parts)


def check_encoder() -> str:
    """Compare the features of the shipped encoder with the features that it computes in float64."""
    import torch

    from lookcast.encoders.compact import CompactEncoder

    encoder = CompactEncoder()
    image = torch.rand(1, 3, *_SIZE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = encoder(image)
        exact = encoder.double()(image.double())
    errors = {tap: float((features[tap] - exact[tap]).norm() / exact[tap].norm()) for tap in exact}
    # Float32 rounds to 6e-8. Ten layers of at most 864 products each add less than 10 * sqrt(864) roundings: 2e-5.
    if not max(errors.values()) < 2e-5:
        tap = max(errors, key=errors.__getitem__)
        raise BrokenError(f"features at {tap} are off by {errors[tap]:.1e} of their size; float32 allows 2e-5")
    return f"features equal those of float64 to {max(errors.values()):.0e}"


def check_checkpoint() -> str:
    """Load the shipped checkpoint, and check that it brings an example photo closer to an example style."""
    from lookcast import examples
    from lookcast.checkpoints import find_checkpoint
    from lookcast.inference.stylizer import load
    from lookcast.metrics.style import sliced_wasserstein
    from lookcast.photos.read import read_srgb, to_tensor

    path = find_checkpoint(None)
    stylizer = load(path)
    content, style = read_srgb(examples.contents()["lake"]), read_srgb(examples.styles()["sunset"])
    start = time.perf_counter()
    output = stylizer.stylize(content, style)
    seconds = time.perf_counter() - start
    before, after = (float(sliced_wasserstein(to_tensor(photo), to_tensor(style))) for photo in (content, output))
    if not after < before / 2:  # it is a fifth on all machines that were measured
        raise BrokenError(
            f"{path}: the colour distance to the style goes from {before:.1f} to {after:.1f}, not below half"
        )
    return f"{path} stylizes in {seconds:.2f} s; colour distance to the style {before:.1f} -> {after:.1f}"


def check_photo_files() -> str:
    """Write a photo in each format and read it again."""
    import numpy as np

    from lookcast.photos.codecs.heic import HEIC_SUFFIXES
    from lookcast.photos.read import PHOTO_SUFFIXES, Photo, read_photo, write_photo

    values = np.linspace(0, 255, 3 * _SIZE[0] * _SIZE[1]).reshape(*_SIZE, 3).astype(np.uint8)
    read = []
    without_heic = any(_fault(needed) for needed in _requirements("heic"))
    with tempfile.TemporaryDirectory() as folder:
        for suffix in PHOTO_SUFFIXES:
            if suffix in HEIC_SUFFIXES and without_heic:
                continue
            path = Path(folder) / f"photo{suffix}"
            write_photo(path, Photo(values))
            difference = np.abs(read_photo(path).pixels.astype(int) - values).mean()
            if not difference < 3:
                raise BrokenError(f"a photo that is written as {suffix} differs by {difference:.1f} of 255 levels")
            read.append(suffix[1:])
    return f"reads and writes {', '.join(read)}"


def _requirements(extra: str | None) -> list[Requirement]:
    """Return what lookcast needs on this machine, or what an extra needs in addition."""
    needed = [Requirement(line) for line in importlib.metadata.requires(DISTRIBUTION) or []]
    if extra is None:
        return [one for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    return [
        one for one in needed if one.marker and "extra" in str(one.marker) and one.marker.evaluate({"extra": extra})
    ]


def _fault(needed: Requirement) -> str | None:
    """Describe what is wrong with an installed distribution; None if it is installed in an allowed version."""
    try:
        version = importlib.metadata.version(needed.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{needed.name} is not installed"
    allowed = needed.specifier.contains(version, prereleases=True)
    return None if allowed else f"{needed.name} is {version}, expected {needed.specifier}"
