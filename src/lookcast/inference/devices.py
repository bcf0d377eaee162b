"""Where to compute."""

import os

import torch

from lookcast.checks import InputError

_DEVICES = ("cpu", "cuda", "mps")


def pick_device(device: str | torch.device = "auto") -> torch.device:
    """Choose where to compute.

    Args:
        device: `cpu`, `cuda`, `cuda:1`, `mps`; `auto` is a CUDA device if there is one, else the CPU. It never takes
            `mps`, on which nothing has been tested yet.

    Raises:
        InputError: unknown, or not on this machine.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        chosen = None
    if chosen is None or chosen.type not in _DEVICES:
        raise InputError(f"device: {str(device)!r} is none of auto, {', '.join(_DEVICES)}")
    counts = {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }
    if (chosen.index or 0) >= counts[chosen.type]:
        raise InputError(f"device: there is no {str(device)!r} on this machine")
    return chosen


def pick_devices(devices: str = "auto") -> list[torch.device]:
    """Choose where to compute many photos.

    Args:
        devices: names as `pick_device` takes them, with commas between; `auto` is every CUDA device of this machine,
            else the CPU. Under torchrun it is the one that belongs to the process.

    Raises:
        InputError: as `pick_device`.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if devices != "auto" or count == 0:
        return [pick_device(device) for device in devices.split(",")]
    local = os.environ.get("LOCAL_RANK")
    return [torch.device("cuda", i) for i in ([int(local) % count] if local else range(count))]


def halves_well(device: torch.device) -> bool:
    """Whether bfloat16 is much faster than float32 there: GPUs from Ampere on, CPUs with AMX."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and bool(torch.cpu.get_capabilities().get("amx_bf16"))
