#!/usr/bin/env python3
"""Benchmarks; each prints a table, measured in one run on one machine.

python scripts/benchmark.py train      where the time of a training step goes, and its memory
python scripts/benchmark.py encoder    forward of the compact encoder on one 256 px image
python scripts/benchmark.py universal  a pass of the universal generator on 256 px photos, with masks, and its parts
"""

import argparse
import logging
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from lookcast.encoders.compact import CompactEncoder
from lookcast.files import shipped
from lookcast.generators import UniversalGenerator
from lookcast.ops.bilateral import slice_apply
from lookcast.ops.color import luma
from lookcast.structures import Features
from lookcast.training.run import train


class StepTimer(pl.Callback):
    """Times a real run: seconds from batch to batch, all that a step costs, and the encoder's part of them."""

    starts: ClassVar[list[float]] = []
    encoder_seconds: ClassVar[list[float]] = []

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        module.encoder.register_forward_pre_hook(self.before)
        module.encoder.register_forward_hook(self.after)

    def on_train_batch_start(self, *_: Any) -> None:
        self.starts.append(time.perf_counter())
        self.encoder_seconds.append(0.0)

    def before(self, encoder: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        self.start = time.perf_counter()

    def after(self, encoder: torch.nn.Module, inputs: tuple[torch.Tensor, ...], features: Features) -> None:
        if not self.encoder_seconds:
            return
        self.add()
        if inputs[0].requires_grad:
            # Backward goes through the loss first: it enters the encoder at the deepest tap and leaves it at the image.
            list(features.values())[-1].register_hook(lambda _: self.before(encoder, inputs))
            inputs[0].register_hook(lambda _: self.add())

    def add(self) -> None:
        self.encoder_seconds[-1] += time.perf_counter() - self.start


class Stopwatch:
    """Seconds by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds.setdefault(name, []).append(time.perf_counter() - start)

    def medians(self) -> dict[str, float]:
        return {name: statistics.median(values) for name, values in self.seconds.items()}


def benchmark_train(steps: int) -> None:
    """One step at 256 px, batch 4, with the quickstart's config, taken apart at its seams.

    The parts are run one after the other on the same batch, each with its own backward; then a real run is timed
    from batch to batch.
    """
    with initialize_config_dir(str(shipped("conf")), version_base="1.3"), tempfile.TemporaryDirectory() as folder:
        changes = [f"trainer.max_steps={steps}", f"trainer.val_check_interval={steps}", f"run_dir={folder}"]
        changes += ["callbacks.samples=null", "+callbacks.timer._target_=__main__.StepTimer"]
        cfg = compose("train", ["experiment=quickstart", *changes])
        data, encoder, generator, loss = (instantiate(cfg[k]) for k in ("data", "encoder", "generator", "loss"))
        style = next(iter(data.val_dataloader())).content
        style_features = encoder(style)
        loader = iter(data.train_dataloader())
        optimizer = instantiate(cfg.optimizer)(generator.parameters())
        watch = Stopwatch()
        for _ in range(steps):
            with watch.time("data"):
                batch = next(loader)
            with watch.time("generator and slicing"):
                output = generator(batch.content)
            with watch.time("encoder"):
                with torch.no_grad():
                    content_features = encoder(batch.content)
                image = output.image.detach().clamp(0, 1).requires_grad_()
                features = encoder(image)
            leaves = {tap: f.detach().requires_grad_() for tap, f in features.items()}
            painted = output._replace(
                image=output.image.detach().requires_grad_(), grid=output.grid.detach().requires_grad_()
            )
            with watch.time("loss terms"):
                loss(batch.content, style, painted, content_features, leaves, style_features).total.backward()
            with watch.time("encoder, backward"):
                torch.autograd.backward(list(features.values()), [leaf.grad for leaf in leaves.values()])
            with watch.time("generator and slicing, backward"):
                gradients = [painted.image.grad + image.grad, painted.grid.grad]
                torch.autograd.backward([output.image, output.grid], gradients)
            with watch.time("optimiser"):
                optimizer.step()
                optimizer.zero_grad()
        with _quiet():
            train(cfg)
        whole = statistics.median(b - a for a, b in pairwise(StepTimer.starts))
    parts = watch.medians()
    total = sum(parts.values())
    print(f"a training step, {cfg.data.size} px, batch {cfg.data.batch_size}, {torch.get_num_threads()} threads")
    for name, seconds in parts.items():
        print(f"  {name:34s} {seconds * 1e3:8.1f} ms  {seconds / whole:6.1%}")
    encoder_seconds = statistics.median(StepTimer.encoder_seconds[:-1])
    print(f"  {'sum of the parts':34s} {total * 1e3:8.1f} ms  {total / whole:6.1%}")
    print(f"  {'a whole step of a real run':34s} {whole * 1e3:8.1f} ms")
    print(f"  {'of which encoder, both ways':34s} {encoder_seconds * 1e3:8.1f} ms  {encoder_seconds / whole:6.1%}")
    print(f"peak resident memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def benchmark_encoder(repeats: int) -> None:
    """Forward of one 256 px image, nothing else."""
    encoder, image = CompactEncoder(), torch.rand(1, 3, 256, 256)
    with torch.inference_mode():
        milliseconds = sorted(_milliseconds(lambda: encoder(image)) for _ in range(repeats + 5))
    median = statistics.median(milliseconds)
    print(f"compact encoder, 256 px, {torch.get_num_threads()} threads: median {median:.1f} ms")


def benchmark_universal(repeats: int) -> None:
    """Both photos read, grid predicted, sliced; and what is left once the style has been read."""
    generator = UniversalGenerator(CompactEncoder()).eval()
    image, mask = torch.rand(1, 3, 256, 256), torch.rand(1, 9, 256, 256).softmax(1)
    print(f"universal generator, 256 px, {torch.get_num_threads()} threads")
    with torch.inference_mode():
        reading = generator.read(image, mask)
        grid = generator.predict_grid(reading, reading)
        parts = {
            "whole pass, two photos": lambda: generator(image, image, mask, mask),
            "with the style read before": lambda: generator.render(
                image, generator.read(image, mask), [(reading, 1.0)]
            ),
            "reading one photo": lambda: generator.read(image, mask),
            "of which encoder": lambda: generator.encoder(image),
            "predicting the grid": lambda: generator.predict_grid(reading, reading),
            "slicing": lambda: slice_apply(grid, luma(image), image),
        }
        for name, part in parts.items():
            milliseconds = [_milliseconds(part) for _ in range(repeats + 5)][5:]
            print(f"  {name:28s} {statistics.median(milliseconds):6.1f} ms")


def _milliseconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e3


@contextmanager
def _quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "encoder", "universal"])
    parser.add_argument("--steps", type=int, default=40, help="steps or calls to measure")
    args = parser.parse_args()
    benchmarks = {"train": benchmark_train, "encoder": benchmark_encoder, "universal": benchmark_universal}
    benchmarks[args.what](args.steps)


if __name__ == "__main__":
    main()
