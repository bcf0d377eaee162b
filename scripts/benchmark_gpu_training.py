#!/usr/bin/env python3
"""Benchmark of training on a CUDA device.

python scripts/benchmark_gpu_training.py PHOTOS [--steps 40] [ROW ...]

Each row is a real run of `lookcast train` on the photos of a folder. The first third of its steps is the warm-up. The
columns are: images (contents) per second; this rate relative to the encoder's forward and backward pass alone, for as
many images; the share of the time in which the GPU computes, measured by torch's profiler in the last steps; the share
of the time in which the GPU waits for photos; the maximum of the memory. VGG-19 has random weights here, which does not
change its speed.
"""

import argparse
import logging
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from torchvision.models import vgg19

from lookcast.paths import shipped
from lookcast.training.run import train

PROFILED = 5
ROWS = {
    "universal, 256 px, batch 16": "universal data.batch_size=16",
    "universal, 256 px, batch 64": "universal data.batch_size=64",
    "universal, 256 px, batch 64, float32": "universal data.batch_size=64 trainer.precision=32-true",
    "universal, 256 px, batch 64, channels last": "universal data.batch_size=64 channels_last=true",
    "universal, 256 px, batch 64, compiled": "universal data.batch_size=64 compile=true",
    "universal, 256 px, batch 256": "universal data.batch_size=256",
    "universal, 512 px, batch 32": "universal data.batch_size=32 data.size=512",
    "single look, 256 px, batch 64": "single data.batch_size=64",
    "single look, 256 px, batch 64, compiled": "single data.batch_size=64 compile=true",
    "single look, 256 px, batch 256": "single data.batch_size=256",
    "single look, 512 px, batch 64": "single data.batch_size=64 data.size=512",
    "single look, VGG-19, 256 px, batch 64": "single data.batch_size=64 VGG",
}


class Speed(pl.Callback):
    """Takes the time of the steps between the warm-up and the profile, and the share of busy time in the profile."""

    trained: ClassVar[list["Speed"]] = []
    step_seconds: float
    busy: float

    def __init__(self, steps: int) -> None:
        self.first, self.last = steps // 3, steps - PROFILED
        self.times: list[float] = []

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        step = trainer.global_step
        if step in (self.first, self.last, self.last + PROFILED):
            torch.cuda.synchronize()
            self.times.append(time.perf_counter())
        if step == self.last:
            self.step_seconds = (self.times[1] - self.times[0]) / (self.last - self.first)
            self.profile = profile(activities=[ProfilerActivity.CUDA])
            self.profile.start()
            self.times[1] = time.perf_counter()
        elif step == self.last + PROFILED:
            self.profile.stop()
            events = (e for e in self.profile.events() or () if e.device_type == DeviceType.CUDA)  # not the calls
            spans = sorted((e.time_range.start, e.time_range.end) for e in events)
            covered, end = 0.0, 0.0
            for first, last in spans:
                covered += max(0.0, last - max(first, end))
                end = max(end, last)
            self.busy = covered * 1e-6 / (self.times[2] - self.times[1])
            self.trained.append(self)


def encoder_seconds(cfg: Any) -> float:
    """Return the median time of the encoder's forward and backward pass for one batch."""
    encoder = instantiate(cfg.encoder).cuda()
    image = torch.rand(cfg.data.batch_size, 3, cfg.data.size, cfg.data.size, device="cuda", requires_grad=True)
    times = []
    for _ in range(12):
        torch.cuda.synchronize()
        start = time.perf_counter()
        with torch.autocast("cuda", torch.bfloat16, enabled="bf16" in str(cfg.trainer.precision)):
            loss = sum(feature.float().square().mean() for feature in encoder(image).values())
        torch.autograd.grad(loss, image)
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times[4:])


def benchmark(name: str, photos: Path, steps: int, folder: Path) -> None:
    """Run one row, and print it."""
    kind, *words = ROWS[name].split()
    overrides = [word for word in words if word != "VGG"]
    if "VGG" in words:
        overrides += ["encoder=vgg19", f"encoder.weights='{folder / 'vgg19.pth'}'"]
    if kind == "universal":
        overrides += ["experiment=universal", f"style='{photos}'"]
    else:
        overrides += ["style=sample:coffee"]
    overrides += [f"data.photos='{photos}'", "trainer=gpu", f"trainer.max_steps={steps}", "callbacks.samples=null"]
    overrides += [f"trainer.val_check_interval={10 * steps}", "callbacks.progress=null", "data.num_workers=14"]
    overrides += [f"run_dir='{folder / name.replace(' ', '_')}'", "+callbacks.speed._target_=__main__.Speed"]
    cfg = compose("train", [*overrides, f"+callbacks.speed.steps={steps}"])
    alone = encoder_seconds(cfg)
    torch.cuda.reset_peak_memory_stats()
    result = train(cfg)
    speed, batch = Speed.trained[-1], cfg.data.batch_size
    print(
        f"{name:44s} {batch / speed.step_seconds:8.0f} {alone / speed.step_seconds:8.0%} {speed.busy:8.0%} "
        f"{result.stats.data_wait:8.0%} {torch.cuda.max_memory_allocated() / 2**30:8.1f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="folder of photos")
    parser.add_argument("rows", nargs="*", metavar="ROW", help="rows to measure, all by default: " + "; ".join(ROWS))
    parser.add_argument("--steps", type=int, default=40, help="steps of each run")
    args = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("benchmark_gpu_training.py needs a CUDA device; this machine has none")
    logging.getLogger().setLevel(logging.ERROR)
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, bf16 unless the row says otherwise")
    print(f"{'':44s} {'images/s':>8s} {'of alone':>8s} {'busy':>8s} {'waits':>8s} {'GiB':>8s}")
    with initialize_config_dir(str(shipped("conf")), version_base="1.3"), tempfile.TemporaryDirectory() as folder:
        torch.save(vgg19(weights=None).state_dict(), Path(folder) / "vgg19.pth")
        for name in args.rows or ROWS:
            benchmark(name, args.photos.resolve(), args.steps, Path(folder))


if __name__ == "__main__":
    main()
