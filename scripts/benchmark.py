#!/usr/bin/env python3
"""Benchmarks; each prints a table, measured in one run on one machine.

python scripts/benchmark.py train      where the time of a training step goes; at batch 16 with FOLDER's photos
python scripts/benchmark.py memory     whether a training of 2,000 steps grows
python scripts/benchmark.py encoder    forward of the compact encoder on one 256 px image
python scripts/benchmark.py universal  a pass of the universal generator on 256 px photos, and its parts with masks
python scripts/benchmark.py inference  a photo of 1, 12 and 48 megapixels: kernels, network, file, memory
python scripts/benchmark.py folder     photos of 12 megapixels from file to file, against reading and writing them alone
python scripts/benchmark.py start      the command line on one photo of 1 megapixel, from its start to the file
python scripts/benchmark.py reading    photos to train on, from files and from shards: of 12 megapixels, or FOLDER's
"""

import argparse
import gc
import logging
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, get_args

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
import pyvips
import skimage.data
import torch
import torch.nn.functional as F
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

import lookcast
from lookcast.data.sources.folder import find_photos
from lookcast.data.sources.shards import PhotoShards
from lookcast.data.store.codec import Format
from lookcast.data.store.writer import make_shards
from lookcast.encoders.compact import CompactEncoder
from lookcast.generators import BilateralGenerator
from lookcast.inference.batch import MAX_WORKERS, stylize_files
from lookcast.inference.jobs import Job, plan_jobs
from lookcast.inference.stylizer import Stylizer
from lookcast.ops.bilateral.dispatch import apply_grid, apply_grid_to_pixels
from lookcast.ops.bilateral.reference import apply_affine, slice_apply
from lookcast.ops.color import luma
from lookcast.ops.resize import resize_pixels
from lookcast.paths import shipped
from lookcast.photos.read import Photo, read_srgb, write_photo
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


def benchmark_train(steps: int, folder: Path | None) -> None:
    """One step at 256 px, taken apart at its seams: the quickstart's, or at batch 16 on the photos of a folder.

    The parts are run one after the other on the same batch, each with its own backward; then a real run is timed
    from batch to batch, and says itself how long it waited for photos.
    """
    with initialize_config_dir(str(shipped("conf")), version_base="1.3"), tempfile.TemporaryDirectory() as run_dir:
        changes = [f"trainer.max_steps={steps}", f"trainer.val_check_interval={steps}", f"run_dir={run_dir}"]
        changes += ["callbacks.samples=null", "+callbacks.timer._target_=__main__.StepTimer"]
        if folder is not None:
            changes += ["data=folder", f"data.photos='{folder}'", "data.batch_size=16"]
        cfg = compose("train", ["experiment=quickstart", *changes])
        data, encoder, generator, loss = (instantiate(cfg[k]) for k in ("data", "encoder", "generator", "loss"))
        style = data.val_batch(0, torch.device("cpu")).content
        style_features = encoder(style)
        loader = iter(data.train_dataloader())
        optimizer = instantiate(cfg.optimizer)(generator.parameters())
        watch = Stopwatch()
        for _ in range(steps):
            with watch.time("photos: read, cut out"):
                samples = next(loader)
            with watch.time("photos: resize, grade"):
                batch = data.batch_transform.train_batch(samples, samples.positions[0])
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
            stats = train(cfg).work
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
    print(f"  {'waiting for photos':34s} {stats.waited / stats.steps * 1e3:8.1f} ms  {stats.data_wait:6.1%}")
    print(f"{stats.images_per_second:.1f} images/s")
    weights = sum(weight.numel() for weight in generator.parameters() if weight.requires_grad)
    print(f"gradients that several processes would exchange: {weights * 4 / 2**20:.2f} MiB a step")
    print(f"peak resident memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


class MemoryWatch(pl.Callback):
    """Notes what this process and those that read for it hold, every hundred steps."""

    held: ClassVar[dict[int, tuple[float, float]]] = {}

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step % 100 == 0:
            workers = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            theirs = sum(_status("Pss", f"{process}/smaps_rollup") for process in workers)
            self.held[trainer.global_step] = (_status("VmRSS"), theirs)


def benchmark_memory(steps: int, folder: Path | None) -> None:
    """A long run of small steps, with two processes that read photos (Linux only)."""
    with initialize_config_dir(str(shipped("conf")), version_base="1.3"), tempfile.TemporaryDirectory() as run_dir:
        changes = ["data=folder", f"data.photos='{folder}'"] if folder else []
        changes += ["data.size=64", "data.val_size=64", "data.num_workers=2", "data.cache_mb=8", "data.num_val=2"]
        changes += [f"trainer.max_steps={steps}", "trainer.val_check_interval=500", f"run_dir={run_dir}"]
        changes += ["+callbacks.memory._target_=__main__.MemoryWatch"]
        with _quiet():
            train(compose("train", ["experiment=quickstart", *changes]))
    print("MiB        training    readers")
    for step, (own, theirs) in MemoryWatch.held.items():
        print(f"step {step:5d} {own:8.0f} {theirs:10.0f}")
    held = [sum(both) for both in MemoryWatch.held.values()]
    settled = len(held) // 4
    print(f"from step {list(MemoryWatch.held)[settled]} to the end: {held[-1] / held[settled] - 1:+.1%}")


def benchmark_encoder(repeats: int) -> None:
    """Forward of one 256 px image, nothing else."""
    encoder, image = CompactEncoder(), torch.rand(1, 3, 256, 256)
    with torch.inference_mode():
        milliseconds = sorted(_milliseconds(lambda: encoder(image)) for _ in range(repeats + 5))
    median = statistics.median(milliseconds)
    print(f"compact encoder, 256 px, {torch.get_num_threads()} threads: median {median:.1f} ms")


def benchmark_universal(repeats: int) -> None:
    """Both photos read and the grid predicted; what is left once the style has been read; the parts."""
    image, mask = torch.rand(1, 3, 256, 256), torch.rand(1, 9, 256, 256).softmax(1)
    print(f"universal generator, 256 px, {torch.get_num_threads()} threads")
    for precision in ("auto", "float32"):
        generator = lookcast.load(device="cpu", precision=precision).generator
        print(f"  precision {precision}: encoder in {'bfloat16' if generator.encoder.half_precision else 'float32'}")
        with torch.inference_mode():
            reading, free = generator.read(image, mask), generator.read(image)
            grid = generator.predict_grid(reading, reading)
            parts: dict[str, Callable[[], object]] = {
                "whole pass, two photos": partial(generator, image, image, mask, mask),
                "with the style read before": lambda g=generator, r=reading: g.predict_grid(g.read(image, mask), r),
                "the same without masks": lambda g=generator, r=free: g.predict_grid(g.read(image), r),
                "reading one photo": partial(generator.read, image, mask),
                "of which encoder": partial(generator.encoder, image),
                "predicting the grid": partial(generator.predict_grid, reading, reading),
                "slicing": partial(apply_grid, grid, image),
            }
            for name, part in parts.items():
                milliseconds = [_milliseconds(part) for _ in range(repeats + 5)][5:]
                print(f"    {name:28s} {statistics.median(milliseconds):6.1f} ms")


def sample_photo(megapixels: float) -> npt.NDArray[np.uint8]:
    """A photograph enlarged, 4:3, with the noise of a sensor: else JPEG would find it easy."""
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    image = Image.fromarray(skimage.data.coffee()).resize((height * 4 // 3, height), Image.Resampling.LANCZOS)
    noise = np.random.default_rng(0).integers(-6, 7, (256, 256, 3), dtype=np.int16)
    tiles = np.tile(noise, (-(-image.height // 256), -(-image.width // 256), 1))[: image.height, : image.width]
    return (np.asarray(image) + tiles).clip(0, 255).astype(np.uint8)


def benchmark_inference(repeats: int) -> None:
    """Each row several times, the fastest of them; memory beyond what is there before the call, its result included."""
    stylizer = lookcast.load(device="cpu")
    stylizer.set_style(skimage.data.astronaut())
    generator = stylizer.generator
    with torch.inference_mode():
        grid = generator.predict_grid(*[generator.read(torch.rand(1, 3, 256, 256)) for _ in range(2)])
    print(f"{torch.get_num_threads()} threads, of {repeats} calls the fastest; MiB with the result")
    for megapixels in (1, 12, 48, 100):
        pixels = sample_photo(megapixels)
        photo = torch.from_numpy(pixels)
        jpeg = _encode(pixels)
        rows: dict[str, Callable[[], object]] = {
            "copy": pixels.copy,
            "5-D grid_sample": partial(_grid_sample, grid, photo),
            "slice_apply, the reference": partial(_reference, grid, photo),
            "the kernel": partial(apply_grid_to_pixels, grid[0], photo),
            "thumbnail": partial(resize_pixels, photo, (256, 256)),
            "whole stylize": partial(stylizer.stylize, pixels),
            "JPEG decode": partial(_decode, jpeg),
            "JPEG encode": partial(_encode, pixels),
        }
        if megapixels > 12:  # 100 bytes a pixel and more
            del rows["5-D grid_sample"], rows["slice_apply, the reference"]
        print(f"\n{megapixels} megapixels, {pixels.shape[1]}x{pixels.shape[0]}, JPEG of {len(jpeg) / 2**20:.1f} MiB")
        print(f"  {'':28s} {'wall':>9s} {'CPU':>9s} {'memory':>9s}")
        for name, call in rows.items():
            wall, cpu, memory = _cost(call, 1 if name.startswith(("5-D", "slice")) else repeats)
            print(f"  {name:28s} {wall * 1e3:6.1f} ms {cpu * 1e3:6.1f} ms {memory:5.0f} MiB")


def _decode(jpeg: bytes) -> npt.NDArray[np.uint8]:
    pixels: npt.NDArray[np.uint8] = pyvips.Image.new_from_buffer(jpeg, "", access="sequential").numpy()
    return pixels


def _encode(pixels: npt.NDArray[np.uint8]) -> bytes:
    jpeg: bytes = pyvips.Image.new_from_array(pixels).jpegsave_buffer(Q=95, subsample_mode="off")
    return jpeg


def _grid_sample(grid: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """The reference by its definition."""
    image = pixels.permute(2, 0, 1)[None].float() / 255
    height, width = image.shape[-2:]
    x = ((torch.arange(width) + 0.5) * 2 / width - 1).expand(height, -1)
    y = ((torch.arange(height) + 0.5) * 2 / height - 1)[:, None].expand(-1, width)
    positions = torch.stack([x, y, 2 * luma(image)[0, 0] - 1], -1)[None, None]
    coefficients = F.grid_sample(grid, positions, align_corners=False, padding_mode="border")[:, :, 0]
    return (apply_affine(coefficients, image).clamp(0, 1) * 255).round().to(torch.uint8)


def _reference(grid: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    image = pixels.permute(2, 0, 1)[None].float() / 255
    return (slice_apply(grid, luma(image), image).clamp(0, 1) * 255).round().to(torch.uint8)


def _cost(call: Callable[[], object], repeats: int) -> tuple[float, float, float]:
    """Fewest seconds of wall and CPU time, and peak memory in MiB above what was there (Linux only)."""
    call()
    walls, cpus = [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from what is there now
    before = _status("VmRSS")
    call()
    return min(walls), min(cpus), _status("VmHWM") - before


def _status(name: str, file: str = "self/status") -> float:
    """A line of a process's status, in MiB."""
    lines = (Path("/proc") / file).read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


def benchmark_folder(photos: int) -> None:
    """In turns of ten photos, so that a machine that is busy for a while is so for all of them."""
    turn = 10
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "in", Path(folder) / "out"
        first = source / "0.jpg"
        write_photo(first, Photo(sample_photo(12)))
        for number in range(1, turn):
            shutil.copy(first, source / f"{number}.jpg")
        universal = lookcast.load(device="cpu")
        universal.set_style(skimage.data.astronaut())
        single = Stylizer(BilateralGenerator(), {}, "cpu")  # untrained, which costs as much
        jobs = plan_jobs([source], out)
        rows: dict[str, Callable[[], object]] = {
            "decoded and encoded by libvips": partial(_copy_by_vips, jobs),
            "read and written": partial(stylize_files, [universal], jobs, 0.0),  # 0 asks no network
            "a single look": partial(stylize_files, [single], jobs),
            "universal, style read before": partial(stylize_files, [universal], jobs),
        }
        seconds: dict[str, list[float]] = {name: [] for name in rows}
        for _ in tqdm(range(-(-photos // turn)), unit="turn", disable=None):
            for name, row in rows.items():
                shutil.rmtree(out, ignore_errors=True)
                start = time.perf_counter()
                failures = row()
                seconds[name].append(time.perf_counter() - start)
                assert not failures
                assert len(list(out.iterdir())) == turn
    print(f"photos of 12 megapixels a second, {turn * len(seconds[name])} of each, and shares of the first two rates")
    totals = [sum(times) for times in seconds.values()]
    for name, total in zip(rows, totals, strict=True):
        shares = " ".join(f"{alone / total:6.0%}" for alone in totals[:2])
        print(f"  {name:32s} {turn * len(seconds[name]) / total:6.2f} {shares}")


def _copy_by_vips(jobs: list[Job]) -> None:
    """From file to file as libvips streams it, as many at a time as `stylize_files` takes."""

    def copy(job: Job) -> None:
        image = pyvips.Image.new_from_file(str(job.source), access="sequential")
        image.jpegsave(str(job.target), Q=95, subsample_mode="off")

    jobs[0].target.parent.mkdir()
    with ThreadPoolExecutor(min(len(os.sched_getaffinity(0)), MAX_WORKERS)) as pool:
        list(pool.map(copy, jobs))


def benchmark_start(repeats: int) -> None:
    """What a user waits for: Python's start, imports, the checkpoint, two photos."""
    with tempfile.TemporaryDirectory() as folder:
        content, style, out = (Path(folder) / name for name in ("content.jpg", "style.jpg", "out.jpg"))
        write_photo(content, Photo(sample_photo(1)))
        write_photo(style, Photo(skimage.data.astronaut()))
        argv = ["stylize", str(content), "--style", str(style), "-o", str(out)]
        steps = {
            "python": "pass",
            "+ import torch": "import torch",
            "+ the library": "import lookcast.inference.batch",
            "+ the checkpoint": "import lookcast.inference.batch, lookcast; lookcast.load()",
            "the whole command": f"from lookcast.cli import main; main({argv})",
        }
        for name, program in steps.items():
            seconds = []
            for _ in range(repeats):
                start = time.perf_counter()
                subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)
                seconds.append(time.perf_counter() - start)
            print(f"  {name:20s} {min(seconds):5.2f} s, the first time {seconds[0]:5.2f} s")


def benchmark_reading(photos: int, folder: Path | None) -> None:
    """Read photos in random order with two worker processes, as training does; all files are in the page cache.

    The rows take turns; each figure is the best of three rounds, without the start of the workers. The ratio is of CPU
    time, which other load on the machine changes less than wall time.
    """
    with tempfile.TemporaryDirectory() as temporary:
        if folder is None:
            folder = Path(temporary) / "photos"
            for number in range(24):
                write_photo(folder / f"{number}.jpg", Photo(np.roll(sample_photo(12), 97 * number, 1)))
        files = find_photos(folder)
        rows: dict[str, tuple[Callable[[int], object], float]] = {}
        size = sum(path.stat().st_size for path in files) / len(files)
        rows["files"] = (partial(_read_file, files, None), size)
        rows["files, shrunk to 512 px"] = (partial(_read_file, files, 512), size)
        for format in get_args(Format):
            made, size = make_shards(folder, Path(temporary) / format, format=format)
            assert made.photos == len(files)
            rows[f"shards, {format}"] = (partial(_read_shard, PhotoShards(Path(temporary) / format)), size / len(files))
        costs: dict[str, list[tuple[float, float]]] = {name: [] for name in rows}
        for _ in range(3):
            for name, (read, _) in rows.items():
                costs[name].append(_reading_cost(read, len(files), photos))
        print(f"{len(files)} photos, 2 workers on {len(os.sched_getaffinity(0))} cores; the ratio is that of CPU time")
        print(f"  {'':24s} {'photos/s':>8s} {'CPU':>9s} {'ratio':>6s} {'bytes a photo':>14s} {'100 M photos':>13s}")
        for name, (_, size) in rows.items():
            wall, cpu, base = (
                min(column) for column in (*zip(*costs[name], strict=True), [c for _, c in costs["files"]])
            )
            figures = f"{1 / wall:8.1f} {cpu * 1e3:6.2f} ms {base / cpu:6.2f} {size:14,.0f} {size / 1e4:10.1f} TB"
            print(f"  {name:24s} {figures}")


class _Numbered(Dataset[torch.Tensor]):
    def __init__(self, read: Callable[[int], object], count: int) -> None:
        self.read, self.count = read, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> torch.Tensor:
        pixels: Any = self.read(number)
        return torch.from_numpy(pixels)


def _read_file(files: list[Path], min_side: int | None, number: int) -> object:
    return read_srgb(files[number], min_side=min_side)


def _read_shard(shards: PhotoShards, number: int) -> object:
    return shards.read(number).pixels


def _reading_cost(read: Callable[[int], object], count: int, photos: int) -> tuple[float, float]:
    """Return wall and CPU seconds per photo, over all processes, without the start of the workers."""
    wall, cpu = _reading_pass(read, count, photos + 20)
    _, start = _reading_pass(read, count, 20)
    return wall, (cpu - start) / photos


def _reading_pass(read: Callable[[int], object], count: int, photos: int) -> tuple[float, float]:
    order = np.random.default_rng(0).permutation(np.arange(photos) % count).tolist()
    loader = DataLoader(_Numbered(read, count), 4, sampler=order, num_workers=2, collate_fn=list)
    before = _cpu_seconds()
    batches = iter(loader)
    for _ in range(4):  # until both workers have filled the queue
        next(batches)
    start = time.perf_counter()
    done = sum(len(batch) for batch in batches)
    wall = time.perf_counter() - start
    del batches  # ends the workers: only then does their time count
    return wall / done, _cpu_seconds() - before


def _cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _milliseconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e3


@contextmanager
def _quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


BENCHMARKS: dict[str, tuple[Callable[..., None], int]] = {
    "train": (benchmark_train, 40),
    "memory": (benchmark_memory, 2000),
    "encoder": (benchmark_encoder, 40),
    "universal": (benchmark_universal, 40),
    "inference": (benchmark_inference, 5),
    "folder": (benchmark_folder, 200),
    "start": (benchmark_start, 3),
    "reading": (benchmark_reading, 400),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=list(BENCHMARKS))
    parser.add_argument("--steps", type=int, help="steps, calls or photos to measure")
    parser.add_argument("folder", type=Path, nargs="?", help="of photos, for train, memory and reading")
    args = parser.parse_args()
    benchmark, steps = BENCHMARKS[args.what]
    if args.what in ("train", "memory", "reading"):
        benchmark(args.steps or steps, args.folder)
    else:
        benchmark(args.steps or steps)


if __name__ == "__main__":
    main()
