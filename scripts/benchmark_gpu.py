#!/usr/bin/env python3
"""Benchmark of slicing and of whole calls on a CUDA device: kernels, network, folders of photos.

python scripts/benchmark_gpu.py [copy training look folder] [--repeats 30]

The times of `copy`, `training` and `look` are medians over replays of a CUDA graph, so they do not include the launch
of kernels from Python. The rows after `from Python` and the folder are timed from Python. A graph processes several
photos, so that no photo is still in the GPU's cache from the previous replay.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import skimage.data
import torch
import torch.nn.functional as F

import lookcast
from lookcast.generators import UniversalGenerator
from lookcast.inference.batch import stylize_files
from lookcast.inference.jobs import plan_jobs
from lookcast.ops.bilateral.dispatch import apply_grid, apply_grid_to_pixels
from lookcast.ops.bilateral.reference import apply_affine, identity_grid, slice_apply
from lookcast.ops.color import luma
from lookcast.ops.resize import resize_pixels
from lookcast.photos.read import Photo, write_photo

PHOTOS = {"12 Mpx": (3000, 4000), "48 Mpx": (6000, 8000)}
SIZES = [(1, 600, 600), (1, 1080, 1440), (1, 3000, 4000), (64, 256, 256)]
DEPTH, CELLS = 8, 16


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


def eager_milliseconds(call: Callable[[], object], repeats: int) -> float:
    """Return the median time of a call from Python, from its start to the end of its work on the GPU."""
    times = []
    for _ in range(repeats + 3):
        torch.cuda.synchronize()
        start = time.perf_counter()
        call()
        torch.cuda.synchronize()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times[3:])


def make_photo(height: int, width: int, dtype: torch.dtype = torch.uint8) -> torch.Tensor:
    if dtype == torch.float32:
        return torch.rand(height, width, 3, device="cuda")
    noise = torch.randint(1 + torch.iinfo(dtype).max, (height, width, 3), device="cuda", dtype=torch.int32)
    return noise.to(dtype)


def make_grid(batch: int) -> torch.Tensor:
    grid = identity_grid(batch, DEPTH, CELLS, CELLS, device=torch.device("cuda"))
    return grid + 0.2 * torch.randn_like(grid)


def apply_reference(grid: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    return slice_apply(grid, luma(image), image)


def apply_by_grid_sample(grid: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """Slice by `grid_sample` of a volume, as most implementations of bilateral grids do."""
    batch, _, height, width = image.shape
    x = ((torch.arange(width, device=image.device) + 0.5) * 2 / width - 1).expand(batch, height, -1)
    y = ((torch.arange(height, device=image.device) + 0.5) * 2 / height - 1)[:, None].expand(batch, -1, width)
    positions = torch.stack([x, y, 2 * luma(image)[:, 0] - 1], -1)[:, None]
    coefficients = F.grid_sample(grid, positions, align_corners=False, padding_mode="border")[:, :, 0]
    return apply_affine(coefficients, image)


def benchmark_copy(repeats: int) -> None:
    """Print the times of slicing whole photos, beside a copy, which reads and writes each photo once too."""
    print("slicing of a photo on the device, beside a copy of its bytes")
    grid = make_grid(1)[0]
    for name, size in PHOTOS.items():
        for dtype in (torch.uint8, torch.uint16, torch.float32):
            photos = [make_photo(*size, dtype) for _ in range(4)]
            copy = milliseconds([photo.clone for photo in photos], repeats)
            fused = milliseconds([partial(apply_grid_to_pixels, grid, photo) for photo in photos], repeats)
            rate = 2e-6 * photos[0].nbytes / copy
            print(f"  {name} {str(dtype)[6:]:8s} copy {copy:6.4f} ms ({rate:5.0f} GB/s)  ", end="")
            print(f"slicing {fused:6.4f} ms, {fused / copy:5.2f} copies")


def benchmark_training(repeats: int) -> None:
    """Print the times of the forward and of the backward pass, which gives the gradient of the grid; float32."""
    print("slicing with gradients, forward | backward: fused, reference, grid_sample of a volume")
    for batch, height, width in SIZES:
        grid = make_grid(batch).requires_grad_()
        images = [torch.rand(batch, 3, height, width, device="cuda") for _ in range(2)]
        weight = torch.randn_like(images[0])
        columns: list[list[float]] = [[], []]
        for apply in (apply_grid, apply_reference, apply_by_grid_sample):
            forward = milliseconds([partial(apply, grid.detach(), image) for image in images], repeats)
            steps = [partial(_step, apply, grid, image, weight) for image in images]
            columns[0].append(forward)
            columns[1].append(milliseconds(steps, repeats) - forward)
        cells = "  |  ".join(
            f"{fused:7.3f} {reference:8.3f} {volume:8.3f} ms ({volume / fused:5.1f} x)"
            for fused, reference, volume in columns
        )
        print(f"  {batch:2d} x {width:4d} x {height:4d}  {cells}")


def _step(
    apply: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    grid: torch.Tensor,
    image: torch.Tensor,
    weight: torch.Tensor,
) -> object:
    return torch.autograd.grad(apply(grid, image), grid, weight)


@torch.inference_mode()
def benchmark_look(repeats: int) -> None:
    """Print the times of the shipped look for a photo of 12 Mpx, and of its parts. The style is set before."""
    stylizer = lookcast.load(device="cuda")
    generator = stylizer.generator
    assert isinstance(generator, UniversalGenerator)
    stylizer.set_style(skimage.data.astronaut())
    style = stylizer.styles[0].statistics
    photos = [make_photo(*PHOTOS["12 Mpx"]) for _ in range(3)]
    side = (generator.thumbnail, generator.thumbnail)
    thumbnail, grid = resize_pixels(photos[0], side), make_grid(1)[0]
    reading = generator.read(thumbnail)

    def whole(photo: torch.Tensor) -> torch.Tensor:
        content = generator.read(resize_pixels(photo, side))
        return apply_grid_to_pixels(generator.predict_grid(content, style)[0], photo)

    rows = {
        "whole, one CUDA graph": [partial(whole, photo) for photo in photos],
        "  thumbnail": [partial(resize_pixels, photo, side) for photo in photos],
        "  reading the thumbnail": [partial(generator.read, thumbnail)],
        "  of it the encoder": [partial(generator.encoder, thumbnail)],
        "  predicting the grid": [partial(generator.predict_grid, reading, style)],
        "  slicing": [partial(apply_grid_to_pixels, grid, photo) for photo in photos],
    }
    print("a photo of 12 Mpx in uint8, shipped look, style set before")
    for name, calls in rows.items():
        print(f"  {name:44s} {milliseconds(calls, repeats):7.3f} ms")
    on_host = photos[0].cpu()
    pinned, result = on_host.pin_memory(), torch.empty_like(on_host).pin_memory()

    def to_and_fro(photo: torch.Tensor) -> None:
        result.copy_(photo.cuda(non_blocking=True), non_blocking=True)

    def from_pinned() -> None:
        result.copy_(stylizer.stylize_pixels(pinned.cuda(non_blocking=True)[None])[0], non_blocking=True)

    print("  from Python")
    eager = {
        "stylize_pixels, photo on the device": partial(stylizer.stylize_pixels, photos[0][None]),
        "stylize_pixels, pinned memory to pinned memory": from_pinned,
        "  copies alone": partial(to_and_fro, pinned),
        "stylize_pixels, ordinary memory": partial(stylizer.stylize_pixels, on_host[None]),
        "  copies alone, ordinary memory": lambda: on_host.cuda().cpu(),
    }
    for name, call in eager.items():
        print(f"  {name:44s} {eager_milliseconds(call, repeats):7.3f} ms")


def benchmark_folder(repeats: int) -> None:
    """Print the rate of stylizing JPEG files of 12 Mpx, and of reading and writing them alone."""
    stylizer = lookcast.load(device="cuda")
    stylizer.set_style(skimage.data.astronaut())
    photo = torch.from_numpy(skimage.data.coffee()).permute(2, 0, 1)[None].float()
    large = F.interpolate(photo, PHOTOS["12 Mpx"], mode="bicubic")[0].permute(1, 2, 0)
    noisy = (large + 6 * torch.randn(large.shape)).clamp(0, 255).to(torch.uint8).numpy()
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "in", Path(folder) / "out"
        first = source / "0.jpg"
        write_photo(first, Photo(noisy))
        for number in range(1, 4 * repeats):
            shutil.copy(first, source / f"{number}.jpg")
        jobs = plan_jobs([source], out)
        stylize_files([stylizer], jobs[:8])
        print(f"JPEG files of 12 Mpx and {first.stat().st_size / 1e6:.1f} MB, {len(jobs)} files")
        for name, strength in (("reading and writing alone", 0.0), ("stylizing", 1.0)):
            shutil.rmtree(out, ignore_errors=True)
            start = time.perf_counter()
            assert not stylize_files([stylizer], jobs, strength).failures
            print(f"  {name:28s} {len(jobs) / (time.perf_counter() - start):6.1f} photos/s")


BENCHMARKS = {
    "copy": benchmark_copy,
    "training": benchmark_training,
    "look": benchmark_look,
    "folder": benchmark_folder,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", nargs="*", metavar="BENCHMARK", help=f"{', '.join(BENCHMARKS)}; all by default")
    parser.add_argument("--repeats", type=int, default=30, help="number of replays for a median")
    args = parser.parse_args()
    if unknown := set(args.which) - set(BENCHMARKS):
        parser.error(f"{min(unknown)!r} is none of {', '.join(BENCHMARKS)}")
    if not torch.cuda.is_available():
        sys.exit("benchmark_gpu.py needs a CUDA device; this machine has none")
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, commit {commit}")
    for name in args.which or BENCHMARKS:
        BENCHMARKS[name](args.repeats)


if __name__ == "__main__":
    main()
