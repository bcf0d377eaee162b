"""Choice of devices, and the global settings of torch that the computation needs."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lookcast.checks import InputError

_DEVICES = ("cpu", "cuda", "mps")
_computing: list[int | None] = [None]  # id of the process that computed last; a forked process inherits the value


def pick_device(device: str | torch.device = "auto") -> torch.device:
    """Choose a device.

    Args:
        device: `cpu`, `cuda`, `cuda:1`, `mps` or `auto`. `auto` chooses a CUDA device if the machine has one, else the
            CPU. `auto` never chooses `mps`, because `mps` is untested.

    Raises:
        InputError: the device is unknown, or the machine does not have the device.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError):
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
    """Choose devices for many photos.

    Args:
        devices: names of devices for `pick_device`, separated by commas; or `auto`, which chooses all CUDA devices of
            the machine, else the CPU. Under torchrun, `auto` chooses one CUDA device for each process: the local rank
            of the process determines the device.

    Raises:
        InputError: see `pick_device`; or LOCAL_RANK is not a whole number.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if devices != "auto" or count == 0:
        return [pick_device(device) for device in devices.split(",")]
    local = os.environ.get("LOCAL_RANK")
    if local is None:
        return [torch.device("cuda", index) for index in range(count)]
    if not local.isdecimal():
        raise InputError(f"LOCAL_RANK: expected a whole number, which torchrun sets, got {local!r}")
    return [torch.device("cuda", int(local) % count)]


def bfloat16_is_faster(device: torch.device) -> bool:
    """Return whether bfloat16 is much faster than float32 on a device: True for GPUs since Ampere and CPUs with AMX."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and bool(torch.cpu.get_capabilities().get("amx_bf16"))


@contextmanager
def usual_torch() -> Iterator[None]:
    """Run a block with torch's default type float32 and default device CPU, and restore the settings afterwards.

    If this process was forked from a process that has already computed, the number of threads is set to 1. The forked
    process does not have the OpenMP threads of its parent, and torch would wait for these threads for ever.
    """
    if _computing[0] not in (None, os.getpid()):
        torch.set_num_threads(1)
    _computing[0] = os.getpid()
    dtype = torch.get_default_dtype()
    if dtype == torch.float32 and torch.get_default_device().type == "cpu":
        yield
        return
    torch.set_default_dtype(torch.float32)
    try:
        with torch.device("cpu"):
            yield
    finally:
        torch.set_default_dtype(dtype)
