#!/usr/bin/env python3
"""Benchmark of slicing on a CUDA device: fused kernels against a copy of the same bytes and the reference.

python scripts/benchmark_gpu.py [--repeats 30]

Each time is the median over replays of a CUDA graph, so it does not include the launch of kernels from Python. A graph
processes several photos, so that no photo is still in the GPU's cache from the previous replay.
"""

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch

import lookcast
from lookcast.generators import UniversalGenerator
from lookcast.ops.bilateral.reference import apply_affine, identity_grid, slice_grid
from lookcast.ops.color import luma

PHOTOS = {"12 Mpx": (3000, 4000), "48 Mpx": (6000, 8000)}
BATCHES = [(4, 256), (1, 2048)]


def milliseconds(calls: Sequence[Callable[[], object]], repeats: int) -> float:
    """Record all calls in one CUDA graph, and return the median time of one call over its replays."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):  # warm-up: compilation and workspaces
        for call in calls:
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = [call() for call in calls]  # all results are kept, so that each call writes to memory of its own
    times = []
    for _ in range(repeats + 3):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / len(results))
    return statistics.median(times[3:])


def make_photo(height: int, width: int) -> torch.Tensor:
    return torch.randint(256, (height, width, 3), dtype=torch.uint8, device="cuda")


def to_image(pixels: torch.Tensor) -> torch.Tensor:
    return pixels.permute(2, 0, 1)[None].float() / 255


def make_grid(batch: int) -> torch.Tensor:
    grid = identity_grid(batch, 8, 16, 16, device="cuda")
    return grid + 0.2 * torch.randn_like(grid)


def apply_reference(grid: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    return apply_affine(slice_grid(grid, luma(image)), image)


def slice_pixels(grid: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """Apply a grid to pixels `(H, W, 3)` by the reference, without the fused kernel."""
    levels = apply_reference(grid[None], to_image(pixels))[0].clamp(0, 1).mul(255).round()
    return levels.to(torch.uint8).permute(1, 2, 0).contiguous()


def step(
    apply: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    grid: torch.Tensor,
    image: torch.Tensor,
    weight: torch.Tensor,
) -> object:
    return torch.autograd.grad(apply(grid, image), grid, weight)


def benchmark_photos(repeats: int) -> None:
    """Print the times for uint8 photos. The lower bound is a copy, which reads and writes each photo once."""
    from lookcast.ops.bilateral.cuda import apply_grid_to_pixels

    device = torch.cuda.get_device_properties(0)
    peak = 2e3 * device.memory_clock_rate * device.memory_bus_width / 8
    print(f"uint8 to uint8; peak memory bandwidth {peak / 1e12:.2f} TB/s, from clock and width")
    print("  photo       copy     fused  x copy  of peak   reference  x fused")
    grid = make_grid(1)[0]
    for name, size in PHOTOS.items():
        photos = [make_photo(*size) for _ in range(6)]
        copy = milliseconds([photo.clone for photo in photos], repeats)
        fused = milliseconds([partial(apply_grid_to_pixels, grid, photo) for photo in photos], repeats)
        reference = milliseconds([partial(slice_pixels, grid, photos[0])], repeats)
        share = 2 * photos[0].numel() / (fused * 1e-3) / peak
        print(
            f"  {name:7s} {copy:6.3f} ms {fused:6.3f} ms  {fused / copy:6.2f}  {share:7.1%}"
            f"  {reference:7.2f} ms  {reference / fused:7.1f}"
        )


def benchmark_training(repeats: int) -> None:
    """Print the times of a forward pass and of a backward pass that gives the gradient of the grid."""
    from lookcast.ops.bilateral.cuda import apply_grid

    print("forward and backward, float32\n  batch            fused   reference  x fused")
    for batch, side in BATCHES:
        grid = make_grid(batch).requires_grad_()
        images = [torch.rand(batch, 3, side, side, device="cuda") for _ in range(4)]
        weight = torch.randn_like(images[0])

        fused, reference = (
            milliseconds([partial(step, apply, grid, image, weight) for image in images], repeats)
            for apply in (apply_grid, apply_reference)
        )
        print(f"  {batch} x {side:4d} px  {fused:6.3f} ms  {reference:7.2f} ms  {reference / fused:7.1f}")


@torch.inference_mode()
def benchmark_look(repeats: int) -> None:
    """Print the time of the shipped universal generator for one photo, and of its parts. The style is set before."""
    from lookcast.ops.bilateral.cuda import apply_grid_to_pixels

    generator = lookcast.load(device="cuda").generator
    assert isinstance(generator, UniversalGenerator)
    style = generator.read(to_image(make_photo(600, 800)))
    photos = [make_photo(*PHOTOS["12 Mpx"]) for _ in range(3)]
    image, grid = to_image(photos[0]), make_grid(1)[0]
    reading = generator.read(image)

    def whole(photo: torch.Tensor) -> torch.Tensor:
        content = generator.read(to_image(photo))
        return apply_grid_to_pixels(generator.predict_grid(content, style)[0], photo)

    parts = {
        "whole": [partial(whole, photo) for photo in photos],
        "to float": [partial(to_image, photo) for photo in photos],
        "thumbnail and encoder": [partial(generator.read, image)],
        "predicting the grid": [partial(generator.predict_grid, reading, style)],
        "fused slicing": [partial(apply_grid_to_pixels, grid, photo) for photo in photos],
    }
    print("a 12 Mpx photo in uint8 on the device, shipped generator, one CUDA graph")
    for name, calls in parts.items():
        print(f"  {name:22s} {milliseconds(calls, repeats):7.3f} ms")


def benchmark_gpu(repeats: int) -> None:
    """Print a line with the device, the version of torch and the commit, then all tables."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, commit {commit.stdout.strip() or 'unknown'}")
    for benchmark in (benchmark_photos, benchmark_training, benchmark_look):
        benchmark(repeats)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=30, help="number of replays for a median")
    args = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("benchmark_gpu.py needs a CUDA device; this machine has none")
    benchmark_gpu(args.repeats)


if __name__ == "__main__":
    main()
