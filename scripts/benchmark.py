#!/usr/bin/env python3
"""Benchmarks. All rows of a table are measured in one run on one machine.

python scripts/benchmark.py train      time of a training step and its parts; with FOLDER, on its photos, batch size 16
python scripts/benchmark.py memory     memory during a training of 2,000 steps
python scripts/benchmark.py encoder    forward pass of the compact encoder for one image of 256 px
python scripts/benchmark.py universal  forward pass of the universal generator for photos of 256 px, and its parts
python scripts/benchmark.py inference  time and memory for photos of 1, 12, 48 and 100 megapixels: kernel, network, JPEG
python scripts/benchmark.py folder     photos per second for JPEGs of 12 megapixels, against reading and writing alone
python scripts/benchmark.py start      time of one `lookcast stylize` for a photo of 1 megapixel, and of its parts
python scripts/benchmark.py web        times of `lookcast web` with a photo of 12 megapixels: start, results, strength
python scripts/benchmark.py video      frames per second for a clip of 1080p, against decoding and encoding alone
python scripts/benchmark.py reading    rate of reading photos from files and from shards: 12 megapixels, or from FOLDER

--against CHECKOUT compares this checkout with another checkout: the two run in turns, and the ratios are printed.
"""

import argparse
import gc
import logging
import os
import re
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
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, ClassVar, get_args

import av
import httpx
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
from lookcast.inference.batch import MAX_WORKERS, BatchResult, stylize_files
from lookcast.inference.jobs import Job, plan_jobs
from lookcast.inference.stylizer import Stylizer
from lookcast.inference.video.stylize import ClipSettings, stylize_clip
from lookcast.ops.bilateral.dispatch import apply_grid, apply_grid_to_pixels
from lookcast.ops.bilateral.reference import apply_affine, slice_apply
from lookcast.ops.color import luma
from lookcast.ops.resize import resize_pixels
from lookcast.paths import shipped
from lookcast.photos.codecs.jpeg import encode_jpeg
from lookcast.photos.read import Photo, read_srgb, write_photo
from lookcast.structures import Features
from lookcast.training.run import train

FROM_SCRATCH = ("data=samples", "trainer=cpu", "style=sample:coffee")


class StepTimer(pl.Callback):
    """Records the start time of every step of a run, and the seconds that the encoder takes in every step."""

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
        self.add_seconds()
        if inputs[0].requires_grad:
            # The backward pass of the encoder begins at the deepest tap and ends at the image.
            list(features.values())[-1].register_hook(lambda _: self.before(encoder, inputs))
            inputs[0].register_hook(lambda _: self.add_seconds())

    def add_seconds(self) -> None:
        self.encoder_seconds[-1] += time.perf_counter() - self.start


class Stopwatch:
    """Collects measured seconds under names; `medians` gives the median for each name."""

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
    """Time a step of a look from scratch at 256 px; with a folder, time a step on its photos at batch size 16.

    The first part of the table has the parts of a step. They are timed one by one on the same batch, and each part has
    its own backward pass. The second part comes from a real run. There, a step lasts from one batch to the next. The
    run also reports how long it waits for photos.
    """
    with initialize_config_dir(str(shipped("conf")), version_base="1.3"), tempfile.TemporaryDirectory() as run_dir:
        overrides = [f"trainer.max_steps={steps}", f"trainer.val_check_interval={steps}", f"run_dir={run_dir}"]
        overrides += ["callbacks.samples=null", "+callbacks.timer._target_=__main__.StepTimer"]
        if folder is not None:
            overrides += ["data=folder", f"data.photos='{folder}'", "data.batch_size=16"]
        cfg = compose("train", [*FROM_SCRATCH, *overrides])
        data, encoder, generator, loss = (instantiate(cfg[k]) for k in ("data", "encoder", "generator", "loss"))
        style = data.val_batch(0, torch.device("cpu")).content
        style_features = encoder(style)
        loader = iter(data.train_dataloader())
        optimizer = instantiate(cfg.optimizer)(generator.parameters())
        watch = Stopwatch()
        for _ in range(steps):
            with watch.time("photos: read, crop"):
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
            detached = output._replace(
                image=output.image.detach().requires_grad_(), grid=output.grid.detach().requires_grad_()
            )
            with watch.time("loss terms"):
                loss(batch.content, style, detached, content_features, leaves, style_features).total.backward()
            with watch.time("encoder, backward"):
                torch.autograd.backward(list(features.values()), [leaf.grad for leaf in leaves.values()])
            with watch.time("generator and slicing, backward"):
                gradients = [detached.image.grad + image.grad, detached.grid.grad]
                torch.autograd.backward([output.image, output.grid], gradients)
            with watch.time("optimiser"):
                optimizer.step()
                optimizer.zero_grad()
        with _quiet():
            stats = train(cfg).stats
        whole = statistics.median(b - a for a, b in pairwise(StepTimer.starts))
    parts = watch.medians()
    total = sum(parts.values())
    print(f"a training step, {cfg.data.size} px, batch {cfg.data.batch_size}, {torch.get_num_threads()} threads")
    for name, seconds in parts.items():
        print(f"  {name:34s} {seconds * 1e3:8.1f} ms  {seconds / whole:6.1%}")
    encoder_seconds = statistics.median(StepTimer.encoder_seconds[:-1])
    print(f"  {'sum of the parts':34s} {total * 1e3:8.1f} ms  {total / whole:6.1%}")
    print(f"  {'whole step of a real run':34s} {whole * 1e3:8.1f} ms")
    print(f"  {'its encoder, both directions':34s} {encoder_seconds * 1e3:8.1f} ms  {encoder_seconds / whole:6.1%}")
    print(f"  {'its wait for photos':34s} {stats.waited / stats.steps * 1e3:8.1f} ms  {stats.data_wait:6.1%}")
    print(f"{stats.images_per_second:.1f} images/s")
    weights = sum(weight.numel() for weight in generator.parameters() if weight.requires_grad)
    print(f"gradients that processes exchange: {weights * 4 / 2**20:.2f} MiB a step")
    print(f"peak resident memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


class MemoryWatch(pl.Callback):
    """Records every hundred steps the memory of this process, and the memory of its workers, in MiB."""

    memory: ClassVar[dict[int, tuple[float, float]]] = {}

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step % 100 == 0:
            workers = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            in_workers = sum(_memory("Pss", f"{process}/smaps_rollup") for process in workers)
            self.memory[trainer.global_step] = (_memory("VmRSS"), in_workers)


def benchmark_memory(steps: int, folder: Path | None) -> None:
    """Print the memory of the training process and of its two workers during a long run of small steps (Linux only)."""
    with initialize_config_dir(str(shipped("conf")), version_base="1.3"), tempfile.TemporaryDirectory() as run_dir:
        overrides = ["data=folder", f"data.photos='{folder}'"] if folder else []
        overrides += ["data.size=64", "data.val_size=64", "data.num_workers=2", "data.cache_mb=8", "data.num_val=2"]
        overrides += [f"trainer.max_steps={steps}", "trainer.val_check_interval=500", f"run_dir={run_dir}"]
        overrides += ["+callbacks.memory._target_=__main__.MemoryWatch"]
        with _quiet():
            train(compose("train", [*FROM_SCRATCH, *overrides]))
    print("MiB           training    workers")
    for step, (own, in_workers) in MemoryWatch.memory.items():
        print(f"  step {step:5d}   {own:8.0f} {in_workers:10.0f}")
    totals = [sum(both) for both in MemoryWatch.memory.values()]
    settled = len(totals) // 4
    print(f"from step {list(MemoryWatch.memory)[settled]} to the end: {totals[-1] / totals[settled] - 1:+.1%}")


def benchmark_encoder(repeats: int) -> None:
    """Print the median time of a forward pass of the compact encoder for one image of 256 px."""
    encoder, image = CompactEncoder(), torch.rand(1, 3, 256, 256)
    with torch.inference_mode():
        milliseconds = sorted(_milliseconds(lambda: encoder(image)) for _ in range(repeats + 5))
    median = statistics.median(milliseconds)
    print(f"compact encoder, 256 px, {torch.get_num_threads()} threads")
    print(f"  {'median':28s} {median:6.1f} ms")


def benchmark_universal(repeats: int) -> None:
    """Print the median time of a forward pass for two photos, of a pass with the style set before, and of each part."""
    image, mask = torch.rand(1, 3, 256, 256), torch.rand(1, 9, 256, 256).softmax(1)
    print(f"universal generator, 256 px, {torch.get_num_threads()} threads")
    for precision in ("auto", "float32"):
        generator = lookcast.load(device="cpu", precision=precision).generator
        print(f"  precision {precision}: encoder in {'bfloat16' if generator.encoder.half_precision else 'float32'}")
        with torch.inference_mode():
            masked, unmasked = generator.read(image, mask), generator.read(image)
            grid = generator.predict_grid(masked, masked)
            parts: dict[str, Callable[[], object]] = {
                "whole pass, two photos": partial(generator, image, image, mask, mask),
                "with the style set before": lambda g=generator, s=masked: g.predict_grid(g.read(image, mask), s),
                "the same without masks": lambda g=generator, s=unmasked: g.predict_grid(g.read(image), s),
                "reading one photo": partial(generator.read, image, mask),
                "encoder only": partial(generator.encoder, image),
                "predicting the grid": partial(generator.predict_grid, masked, masked),
                "slicing": partial(apply_grid, grid, image),
            }
            for name, part in parts.items():
                milliseconds = [_milliseconds(part) for _ in range(repeats + 5)][5:]
                print(f"    {name:28s} {statistics.median(milliseconds):6.1f} ms")


def sample_photo(megapixels: float) -> npt.NDArray[np.uint8]:
    """Return an enlarged photograph, 4:3, with added sensor noise. Without noise, JPEG would compress it too well."""
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    image = Image.fromarray(skimage.data.coffee()).resize((height * 4 // 3, height), Image.Resampling.LANCZOS)
    noise = np.random.default_rng(0).integers(-6, 7, (256, 256, 3), dtype=np.int16)
    tiles = np.tile(noise, (-(-image.height // 256), -(-image.width // 256), 1))[: image.height, : image.width]
    return (np.asarray(image) + tiles).clip(0, 255).astype(np.uint8)


def benchmark_inference(repeats: int) -> None:
    """For each operation, print the fastest of several calls, and the memory that a call adds, with its result."""
    stylizer = lookcast.load(device="cpu")
    stylizer.set_style(skimage.data.astronaut())
    generator = stylizer.generator
    with torch.inference_mode():
        grid = generator.predict_grid(*[generator.read(torch.rand(1, 3, 256, 256)) for _ in range(2)])
    print(f"{torch.get_num_threads()} threads, fastest of {repeats} calls; memory includes the result")
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
        if megapixels > 12:  # these two take 100 bytes per pixel or more
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
    """Slice and apply a grid by 5-D `grid_sample`, which defines the reference implementation."""
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
    """Return the least wall time and CPU time in seconds, and the peak of the added memory in MiB (Linux only)."""
    call()
    walls, cpus = [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak to the current memory
    before = _memory("VmRSS")
    call()
    return min(walls), min(cpus), _memory("VmHWM") - before


def _memory(name: str, file: str = "self/status") -> float:
    """Return an entry of the memory status in /proc, in MiB: of this process, or from another file in /proc."""
    lines = (Path("/proc") / file).read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


def benchmark_folder(photos: int) -> None:
    """Print four rates from file to file. They are measured in turns, so that other load slows all of them alike."""
    turn = 10
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "in", Path(folder) / "out"
        first = source / "0.jpg"
        write_photo(first, Photo(sample_photo(12)))
        for number in range(1, turn):
            shutil.copy(first, source / f"{number}.jpg")
        universal = lookcast.load(device="cpu")
        universal.set_style(skimage.data.astronaut())
        single = Stylizer(BilateralGenerator(), {}, "cpu")  # untrained: the time does not depend on the weights
        jobs = plan_jobs([source], out)
        rows: dict[str, Callable[[], object]] = {
            "decoded and encoded by libvips": partial(_copy_by_vips, jobs),
            "read and written": partial(stylize_files, [universal], jobs, 0.0),  # strength 0 runs no network
            "single look": partial(stylize_files, [single], jobs),
            "universal, style set before": partial(stylize_files, [universal], jobs),
        }
        seconds: dict[str, list[float]] = {name: [] for name in rows}
        for _ in tqdm(range(-(-photos // turn)), unit="turn", disable=None):
            for name, row in rows.items():
                shutil.rmtree(out, ignore_errors=True)
                start = time.perf_counter()
                result = row()
                seconds[name].append(time.perf_counter() - start)
                assert result in (None, BatchResult([], 0))
                assert len(list(out.iterdir())) == turn
    print(
        f"photos of 12 megapixels per second, {turn * len(seconds[name])} per row; rates relative to the first two rows"
    )
    totals = [sum(times) for times in seconds.values()]
    for name, total in zip(rows, totals, strict=True):
        shares = " ".join(f"{alone / total:6.0%}" for alone in totals[:2])
        print(f"  {name:32s} {turn * len(seconds[name]) / total:6.2f} {shares}")


def _copy_by_vips(jobs: list[Job]) -> None:
    """Decode and encode the files by libvips, with the number of threads that `stylize_files` uses."""

    def copy(job: Job) -> None:
        image = pyvips.Image.new_from_file(str(job.source), access="sequential")
        image.jpegsave(str(job.target), Q=95, subsample_mode="off")

    jobs[0].target.parent.mkdir()
    with ThreadPoolExecutor(min(len(os.sched_getaffinity(0)), MAX_WORKERS)) as pool:
        list(pool.map(copy, jobs))


def benchmark_video(frames: int) -> None:
    """Print the rate of stylizing a clip, and of decoding and encoding alone, with the same settings of the encoder."""
    styled = lookcast.load(device="cpu")
    styled.set_style(skimage.data.astronaut())
    print(
        f"H.264, 1920 x 1080, {frames} frames, x264's defaults; {os.cpu_count()} cores; frames/s, CPU ms/frame, ratio"
    )
    with tempfile.TemporaryDirectory() as folder:
        clip, output = Path(folder) / "clip.mp4", Path(folder) / "output.mp4"
        _save_pan(clip, frames)

        def stylize(steady: str, strength: float = 1.0) -> None:
            stylize_clip(styled, Job(clip, output), ClipSettings(strength, steady))

        rows: dict[str, Callable[[], None]] = {
            "decoding and encoding alone": partial(_transcode, clip, output),
            "--strength 0": partial(stylize, "off", 0.0),
            "--steady smooth (default)": partial(stylize, "smooth"),
            "--steady off": partial(stylize, "off"),
        }
        stylize("off")  # compiles and warms up
        figures: dict[str, list[tuple[float, float]]] = {name: [] for name in rows}
        for _ in range(3):  # in turns, so that other work on the machine slows down all rows alike
            for name, call in rows.items():
                cpu = _cpu_seconds()
                seconds = _milliseconds(call) / 1e3
                figures[name].append((seconds, _cpu_seconds() - cpu))
        alone = statistics.median(seconds for seconds, _ in figures["decoding and encoding alone"])
        for name, values in figures.items():
            seconds, cpu = (statistics.median(column) for column in zip(*values, strict=True))
            print(f"  {name:50s} {frames / seconds:6.1f}  {cpu / frames * 1e3:6.0f}  {alone / seconds:6.2f}")


def _save_pan(path: Path, frames: int) -> None:
    """Save a clip that pans over a photo of 12 megapixels, with the noise of a sensor."""
    photo, rng = sample_photo(12), np.random.default_rng(0)
    bottom, right = photo.shape[0] - 1080, photo.shape[1] - 1920
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast", "crf": "18"})
        stream.width, stream.height = 1920, 1080
        for number in range(frames):
            top, left = bottom * number // (2 * frames), min(right, 6 * number)
            window = photo[top : top + 1080, left : left + 1920] + rng.normal(0, 2, (1080, 1920, 1))
            frame = av.VideoFrame.from_ndarray(window.clip(0, 255).astype(np.uint8), "rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace=1)))
        container.mux(stream.encode(None))


def _transcode(clip: Path, output: Path) -> None:
    """Decode and encode a clip as `stylize_clip` does, with nothing in between."""
    with av.open(str(clip)) as source, av.open(str(output), "w") as target:
        stream = source.streams.video[0]
        stream.thread_type = "AUTO"
        encoded = target.add_stream("libx264", rate=stream.average_rate)
        encoded.width, encoded.height, encoded.pix_fmt = stream.width, stream.height, stream.pix_fmt
        encoded.codec_context.time_base = encoded.time_base = stream.time_base
        for frame in source.decode(stream):
            frame.pict_type = 0
            target.mux(encoded.encode(frame))
        target.mux(encoded.encode(None))


def benchmark_start(repeats: int) -> None:
    """Print the time of the command, and of shorter programs: Python only, then with imports, then with checkpoint."""
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
            print(f"  {name:20s} {min(seconds):5.2f} s, first run {seconds[0]:5.2f} s")


def benchmark_web(repeats: int) -> None:
    """Print times of `lookcast web`, and the seconds of CPU that the server takes. The client is on this machine."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from tests.web.servers import running_server

    seconds: dict[str, list[tuple[float, float]]] = {}

    def timed(name: str, pid: int, call: Callable[[], httpx.Response]) -> httpx.Response:
        cpu, start = _cpu_of(pid), time.perf_counter()
        answer = call()
        seconds.setdefault(name, []).append((time.perf_counter() - start, _cpu_of(pid) - cpu))
        return answer.raise_for_status()

    photo = b"".join(encode_jpeg(sample_photo(12), 95, "4:4:4"))
    for _ in tqdm(range(repeats), unit="server", disable=None):
        start = time.perf_counter()
        with running_server() as (address, process), httpx.Client(base_url=f"{address}/api/", timeout=300) as client:
            client.get("../").raise_for_status()
            style = client.get("settings").raise_for_status().json()["examples"]["styles"][0]
            opened = time.perf_counter() - start, _cpu_of(process.pid)
            seconds.setdefault("start until the page is there", []).append(opened)
            for name in ("first result: upload, style, result, preview", "second result, the same way"):
                preview = timed(name, process.pid, partial(_web_result, client, photo, style))
            result = f"results/{preview.request.url.path.split('/')[-2]}"
            for strength in np.linspace(0.05, 0.95, 10):
                query: dict[str, float] = {"side": 1024, "strength": float(strength)}
                again = partial(client.get, f"{result}/preview", params=query)
                timed("another strength: preview of 1024 px", process.pid, again)
            query = {"x": 1000, "y": 700, "w": 1024, "h": 768}
            crop = partial(client.get, f"{result}/crop", params=query)
            timed("zoom: 1024 x 768 pixels at full size", process.pid, crop)
            timed("download at full size, JPEG", process.pid, partial(client.get, f"{result}/download"))
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.0f}; median seconds, and seconds of CPU of the server")
    for name, times in seconds.items():
        wall, cpu = np.median(times, 0)
        print(f"  {name:50s} {wall:7.3f} {cpu:7.2f}")


def _web_result(client: httpx.Client, photo: bytes, style: str) -> httpx.Response:
    """Upload a photo, choose an example style, and return the preview of the result."""
    uploads = (
        client.post("photos", params={"name": "a.jpg"}, content=photo),
        client.post("photos/example", params={"name": style, "kind": "styles"}),
    )
    content, chosen = (answer.raise_for_status().json()["id"] for answer in uploads)
    answer = client.post("results", json={"content": content, "styles": [{"id": chosen}]})
    return client.get(f"results/{answer.raise_for_status().json()['id']}/preview", params={"side": 1024})


def _cpu_of(pid: int) -> float:
    """Return the seconds of CPU that a process has taken (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def benchmark_reading(photos: int, folder: Path | None) -> None:
    """Time two worker processes that read photos in random order, as in training. All files are in the page cache.

    The rows take turns. Each figure is the best of three rounds, without the start of the workers. The ratio compares
    CPU time, because other load on the machine changes CPU time less than wall time.
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
    """Return the wall seconds and the CPU seconds of all processes, per photo, without the start of the workers."""
    wall, cpu = _reading_pass(read, count, photos + 20)
    _, start = _reading_pass(read, count, 20)
    return wall, (cpu - start) / photos


def _reading_pass(read: Callable[[int], object], count: int, photos: int) -> tuple[float, float]:
    order = np.random.default_rng(0).permutation(np.arange(photos) % count).tolist()
    loader = DataLoader(_Numbered(read, count), 4, sampler=order, num_workers=2, collate_fn=list)
    before = _cpu_seconds()
    batches = iter(loader)
    for _ in range(4):  # wait until both workers run and their prefetch queues are full
        next(batches)
    start = time.perf_counter()
    done = sum(len(batch) for batch in batches)
    wall = time.perf_counter() - start
    del batches  # ends the workers; the system counts the CPU time of a process when it ends
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
    "video": (benchmark_video, 60),
    "start": (benchmark_start, 3),
    "web": (benchmark_web, 3),
    "reading": (benchmark_reading, 400),
}


def compare(other: Path, rounds: int, arguments: list[str]) -> None:
    """Run a benchmark of this checkout and of another checkout in turns, and print the ratios of their figures.

    Each checkout runs its own script with its own package. Rows are matched by their order, so their labels may differ.
    """
    checkouts = [Path(__file__).resolve().parents[1], other.resolve()]
    runs: list[list[list[tuple[str, list[float]]]]] = [[], []]
    for number in tqdm(range(rounds), unit="round", disable=None):
        for side in (0, 1) if number % 2 else (1, 0):
            runs[side].append(list(_printed_rows(checkouts[side], arguments)))
    layouts = {tuple(len(figures) for _, figures in rows) for rows in runs[0] + runs[1]}
    if len(layouts) > 1 or layouts == {()}:
        sys.exit("the two checkouts print different rows, or no rows")
    ours, theirs = (np.array([[f for _, figures in rows for f in figures] for rows in side]) for side in runs)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = iter((ours / theirs).T)
    print(f"{checkouts[0]} / {checkouts[1]}: median ratio of {rounds} rounds (least to greatest), for each column")
    for label, figures in runs[0][0]:
        cells = [
            f"{np.median(ratio):5.2f} ({ratio.min():.2f} to {ratio.max():.2f})" if np.isfinite(ratio).all() else "    -"
            for ratio in islice(ratios, len(figures))
        ]
        print(f"  {label:50s} {' '.join(f'{cell:22s}' for cell in cells).rstrip()}")


def _printed_rows(checkout: Path, arguments: list[str]) -> Iterator[tuple[str, list[float]]]:
    """Run a checkout's script. For each indented row that it prints, yield the label and the figures of the row."""
    command = [sys.executable, str(checkout / "scripts/benchmark.py"), *arguments]
    environment = os.environ | {"PYTHONPATH": str(checkout / "src")}
    printed = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    heading = ""
    for line in printed.splitlines():
        label, *cells = re.split(r"\s{2,}", line.strip())
        figures = [float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*\.?\d*", " ".join(cells))]
        if line.startswith(" ") and figures:
            yield f"{heading}{label}", figures
        elif label and not cells:
            heading = f"{re.split('[,:]', label)[0]}: "


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmark", choices=list(BENCHMARKS))
    parser.add_argument("--steps", type=int, help="number of steps, calls or photos to measure")
    parser.add_argument("folder", type=Path, nargs="?", help="folder of photos, for train, memory and reading")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="another checkout to compare with")
    parser.add_argument("--rounds", type=int, default=3, help="with --against: runs of each checkout (default: 3)")
    args = parser.parse_args()
    benchmark, default = BENCHMARKS[args.benchmark]
    steps = args.steps or default
    if args.against:
        folder = [str(args.folder.resolve())] if args.folder else []
        compare(args.against, args.rounds, [args.benchmark, "--steps", str(steps), *folder])
    elif args.benchmark in ("train", "memory", "reading"):
        benchmark(steps, args.folder)
    else:
        benchmark(steps)


if __name__ == "__main__":
    main()
