#!/usr/bin/env python3
"""Measure how steady the look of a universal checkpoint is over time, on clips made from photos.

    python scripts/evaluate_video.py --pairs PAIRS

PAIRS is a folder as for `lookcast evaluate`. Frames have 640 x 360 pixels. Differences are mean absolute values in
8-bit levels. `smooth` and `off` stand for the mode of the grids; `fixed` uses one grid for all frames, the mean of
`off`.

* still: 60 frames of a photo with noise (sigma 2 levels). The figure is the change from frame to frame, divided by the
  change of the input. A fixed look changes noise too, where it raises contrast.
* pan, zoom: 90 frames that show three quarters of a photo; the camera pans by 2 pixels a frame, or zooms in by a third.
  `warp` is the change of the look of a place between neighbouring frames: the pixels of a frame get its look, or the
  look that the frame before has at the same places of the scene. No image is moved, because interpolating pixels and
  then changing their tones is not the same as the reverse. Every third frame counts.
  `to own look` compares the output with the look of the scene in the clip: for each place, the mean of `off` over all
  frames that show the place. `to whole photo` compares the output with the photo, stylized as a whole.
* light: the light doubles over 60 frames while an object crosses the frame; 20 frames follow. `back` is the sum of all
  drops of the mean luma above the object.
* fades: a scene fades to black over 24 frames, another one fades in. `back` sums changes of the mean luma in the wrong
  direction.
* cut: two panning scenes. The figure is the difference between the second frame after the cut and the same frame of a
  clip that starts at the cut.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from tqdm import tqdm

import lookcast
from lookcast.evaluation.pair_folder import find_pairs
from lookcast.generators import PairGenerator
from lookcast.inference.stylizer import Stylizer
from lookcast.inference.video.motion import Motion
from lookcast.inference.video.shots import find_shots
from lookcast.inference.video.steady import steady_grids
from lookcast.ops.bilateral.dispatch import apply_grid_to_pixels
from lookcast.ops.bilateral.reference import apply_affine
from lookcast.ops.color import luma
from lookcast.ops.resize import resize_image, thumbnail_of
from lookcast.photos.read import read_srgb, to_pixels, to_tensor

HEIGHT, WIDTH, COVER, STEP = 360, 640, 0.75, 2
Images = list[torch.Tensor]


class Grids:
    """The grids of a clip with one style. Each frame is predicted at most once."""

    def __init__(self, predict: Callable[[torch.Tensor], torch.Tensor], frames: Images) -> None:
        # As from a video, thumbnails come from 8-bit frames.
        self.thumbnails = [thumbnail_of((frame * 255).round() / 255, 256) for frame in frames]
        self.found: dict[str, list[torch.Tensor]] = {}
        self.frames, self.known, self.predict, self.calls, self.seconds = frames, {}, predict, 0, 0.0

    def grid(self, thumbnail: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        if id(thumbnail) not in self.known:
            start = time.perf_counter()
            self.known[id(thumbnail)] = self.predict(thumbnail).float()
            self.seconds += time.perf_counter() - start
        return self.known[id(thumbnail)]

    def grids(self, mode: str) -> list[torch.Tensor]:
        if mode not in self.found:
            if mode == "fixed":
                self.found[mode] = [torch.stack(self.grids("off")).mean(0)] * len(self.frames)
            else:
                self.found[mode] = list(steady_grids(self.thumbnails, self.grid, mode))
        return self.found[mode]

    def images(self, mode: str) -> Images:
        return [render(*pair) for pair in zip(self.grids(mode), self.frames, strict=True)]


MakeGrids = Callable[[Images], Grids]


def render(grid: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    return apply_grid_to_pixels(grid[0], image[0].permute(1, 2, 0)).permute(2, 0, 1)[None]


def render_at(grid: torch.Tensor, image: torch.Tensor, motion: Motion) -> torch.Tensor:
    """Apply a grid of another frame to an image, at the places that the pixels of the image have in that frame."""
    places = motion.positions(*image.shape[-2:])
    depth = 2 * luma(image)[0, 0] - 1
    positions = torch.cat([places, depth[..., None]], -1)[None, None]
    sliced = F.grid_sample(grid, positions, align_corners=False, padding_mode="border")[:, :, 0]
    return apply_affine(sliced, image).clamp(0, 1)


def view(image: torch.Tensor, pose: Motion, height: int = HEIGHT, width: int = WIDTH) -> torch.Tensor:
    """Return the frame that a camera with a pose sees in an image; places outside repeat the border."""
    places = pose.positions(height, width)[None]
    return F.grid_sample(image, places, mode="bicubic", align_corners=False, padding_mode="border").clamp(0, 1)


def scene(path: Path) -> torch.Tensor:
    """Return a photo, cropped to 16:9, at the size at which a frame covers `COVER` of its width."""
    photo = to_tensor(read_srgb(path))
    height, width = photo.shape[-2:]
    rows, columns = min(height, width * HEIGHT // WIDTH), min(width, height * WIDTH // HEIGHT)
    top, left = (height - rows) // 2, (width - columns) // 2
    crop = photo[..., top : top + rows, left : left + columns]
    return F.interpolate(crop, (round(HEIGHT / COVER), round(WIDTH / COVER)), mode="bicubic").clamp(0, 1)


def pan(image: torch.Tensor, count: int = 90) -> list[Motion]:
    """Return the poses of a camera that moves to the right by whole pixels."""
    height, width = image.shape[-2:]
    first = (width - WIDTH - STEP * (count - 1)) // 2 + WIDTH / 2
    rows, columns = HEIGHT / height, WIDTH / width
    # A pose has one zoom for both directions, so both sides of the scene must have the same ratio to the frame.
    assert abs(rows - columns) < 1e-3
    return [Motion(2 * (first + STEP * n) / width - 1, 0.0, columns) for n in range(count)]


def zoom(image: torch.Tensor, count: int = 90) -> list[Motion]:
    return [Motion(0.1 * s, -0.1 * s, 0.98 * COVER**s) for s in (n / (count - 1) for n in range(count))]


def change(one: torch.Tensor, other: torch.Tensor, inside: torch.Tensor | None = None) -> float:
    difference = 255 * (one - other).abs().mean(1)[0]
    return (difference if inside is None else difference[inside]).mean().item()


def changes(images: Images) -> float:
    return float(np.mean([change(*pair) for pair in pairwise(images)]))


def warp_error(clip: Grids, mode: str, poses: Sequence[Motion]) -> float:
    """Return the mean change of the look of a place between neighbouring frames, without the border.

    Both looks are compared on the same pixels, those of the second frame.
    """
    grids, errors = clip.grids(mode), []
    for number in range(0, len(grids) - 1, 3):
        motion = poses[number].inverse().after(poses[number + 1])
        inside = motion.positions(HEIGHT, WIDTH).abs().amax(-1) < 0.99
        frame = clip.frames[number + 1]
        errors.append(change(render_at(grids[number], frame, motion), render(grids[number + 1], frame), inside))
    return float(np.mean(errors))


def own_look(images: Images, poses: Sequence[Motion], size: torch.Size) -> torch.Tensor:
    """Return the mean of the images of a scene, at each place over all images that show the place."""
    total, count = torch.zeros(size), torch.zeros(size[-2:])
    for image, pose in zip(images[::3], poses[::3], strict=True):
        places = pose.inverse().positions(*size[-2:])
        inside = places.abs().amax(-1) <= 1
        total += F.grid_sample(image, places[None], align_corners=False, padding_mode="border") * inside
        count += inside
    return total / count.clamp_min(1)


def lumas(images: Images) -> np.ndarray:
    """Return the mean luma of the upper third of each image, in levels."""
    return np.array([255 * luma(image[..., : HEIGHT // 3, :]).mean().item() for image in images])


def backward(images: Images, direction: int) -> float:
    """Return the sum of the changes of `lumas` against a direction."""
    return float(-(direction * np.diff(lumas(images))).clip(None, 0).sum())


def save_strips(path: Path, rows: Sequence[Images], every: int) -> None:
    """Save rows of frames, small, one row for each list of images."""
    small = [torch.cat([resize_image(image, 90, 160).clamp(0, 1) for image in row[::every]], 3) for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(to_pixels(torch.cat(small, 2))).save(path)


def measure_still(grids: MakeGrids, image: torch.Tensor) -> dict[str, float]:
    noise = torch.Generator().manual_seed(0)
    frame = resize_image(image, HEIGHT, WIDTH)
    frames = [
        ((255 * frame + 2 * torch.randn(frame.shape, generator=noise)).round() / 255).clamp(0, 1) for _ in range(60)
    ]
    clip, before = grids(frames), changes(frames)
    return {f"still {mode}": changes(clip.images(mode)) / before for mode in ("smooth", "off", "fixed")}


def measure_motion(grids: MakeGrids, image: torch.Tensor, name: str) -> dict[str, float]:
    poses = (pan if name == "pan" else zoom)(image)
    frames = [view(image, pose) for pose in poses]
    clip, found = grids(frames), {}
    start = time.perf_counter()
    clip.grids("smooth")
    found[f"{name} smooth, ms a frame beside predictions"] = (
        1e3 * (time.perf_counter() - start - clip.seconds) / len(frames)
    )
    found[f"{name} smooth, predictions a frame"] = clip.calls / len(frames)
    images = {mode: clip.images(mode) for mode in ("smooth", "off", "fixed")}
    own = own_look(images["off"], poses, image.shape)
    whole = render(clip.predict(thumbnail_of(image, 256)).float(), image)
    for mode, made in images.items():
        found[f"{name} {mode} warp"] = warp_error(clip, mode, poses)
        for reference, look in (("own look", own), ("whole photo", whole)):
            distances = [change(one, view(look, pose)) for one, pose in zip(made[::9], poses[::9], strict=True)]
            found[f"{name} {mode} to {reference}"] = float(np.mean(distances))
    found[f"{name} smooth / off warp"] = found[f"{name} smooth warp"] / found[f"{name} off warp"]
    return found


def measure_light(grids: MakeGrids, image: torch.Tensor, thing: torch.Tensor, strip: Path | None) -> dict[str, float]:
    frame, frames = resize_image(image, HEIGHT, WIDTH), []
    thing = resize_image(thing, 160, 160)
    disc = (Motion().positions(160, 160).norm(dim=-1) < 1).float()
    for number in range(80):
        lit = frame.clone()
        left = round((WIDTH - 160) * number / 79)
        place = lit[..., 140:300, left : left + 160]
        place.copy_(torch.lerp(place, thing, disc))
        # Half the light is .5^(1 / 2.2) of the value.
        frames.append(lit * (0.5 ** (1 - min(number / 60, 1))) ** (1 / 2.2))
    clip = grids(frames)
    images = {mode: clip.images(mode) for mode in ("smooth", "off", "fixed")}
    if strip is not None:
        save_strips(strip, [frames, *images.values()], 8)
    found = {f"light {mode} back": backward(made, 1) for mode, made in {"input": frames, **images}.items()}
    distances = [change(*pair) for pair in zip(images["smooth"], images["off"], strict=True)]
    return {**found, "light smooth to off": float(np.mean(distances))}


def measure_fades(grids: MakeGrids, one: torch.Tensor, other: torch.Tensor, strip: Path | None) -> dict[str, float]:
    first, second = (resize_image(image, HEIGHT, WIDTH) for image in (one, other))
    values = [max(0.0, 1 - n / 24) for n in range(-12, 26)]
    frames = [first * value for value in values] + [second * value for value in reversed(values)]
    clip, half = grids(frames), len(values)
    images = {mode: clip.images(mode) for mode in ("smooth", "off")}
    if strip is not None:
        save_strips(strip, [frames, *images.values()], 4)
    shots = [frame.shot for frame in find_shots(clip.thumbnails)]
    found = {"fades shots": float(shots[-1] + 1)}
    for mode, made in images.items():
        found[f"fades {mode} back"] = backward(made[:half], -1) + backward(made[half:], 1)
    # As the input, the frames in black stay black.
    found["fades smooth black"] = lumas(images["smooth"])[half - 1]
    return found


def measure_cut(grids: MakeGrids, one: torch.Tensor, other: torch.Tensor) -> dict[str, float]:
    first, second = ([view(image, pose) for pose in pan(image, 20)] for image in (one, other))
    both, alone = grids(first + second), grids(second)
    shots = [frame.shot for frame in find_shots(both.thumbnails)]
    difference = change(both.images("smooth")[21], alone.images("smooth")[1])
    return {"cut found": float(shots == [0] * 20 + [1] * 20), "cut second frame": difference}


def predictor(stylizer: Stylizer, style: np.ndarray) -> Callable[[torch.Tensor], torch.Tensor]:
    generator = stylizer.generator
    assert isinstance(generator, PairGenerator)
    with torch.inference_mode():
        read = generator.read(thumbnail_of(to_tensor(style), generator.thumbnail))

    def predict(thumbnail: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return generator.predict_grid(generator.read(thumbnail), read)

    return predict


def main() -> None:
    """Measure all pairs and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--checkpoint", help="default: the shipped universal checkpoint")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="measure every N-th pair only")
    parser.add_argument("--clips", nargs="+", choices=CLIPS, default=list(CLIPS))
    parser.add_argument("--strips", type=Path, metavar="FOLDER", help="write frames of `light` and `fades` as pictures")
    args = parser.parse_args()
    stylizer = lookcast.load(args.checkpoint, device="cpu", precision="float32")
    pairs = find_pairs(args.pairs)[:: args.every]
    figures: dict[str, list[float]] = defaultdict(list)
    for number, pair in enumerate(tqdm(pairs, unit="pair", disable=None)):
        predict = predictor(stylizer, read_srgb(pair.style))
        images = [scene(pairs[place % len(pairs)].content) for place in (number, number + 1)]
        for name in args.clips:
            strip = None if args.strips is None else args.strips / f"{pair.name}-{name}.png"
            for title, value in CLIPS[name](partial(Grids, predict), *images, strip).items():
                figures[title].append(value)
                tqdm.write(f"pair {pair.name}: {title} {value:.3f}")
    for title, values in figures.items():
        mean, median, worst = np.mean(values), np.median(values), np.argmax(values)
        print(f"{title:44s} mean {mean:.3f}  median {median:.3f}  max {values[worst]:.3f} (pair {pairs[worst].name})")


CLIPS: dict[str, Callable[[MakeGrids, torch.Tensor, torch.Tensor, Path | None], dict[str, float]]] = {
    "still": lambda grids, one, other, strip: measure_still(grids, one),
    "pan": lambda grids, one, other, strip: measure_motion(grids, one, "pan"),
    "zoom": lambda grids, one, other, strip: measure_motion(grids, one, "zoom"),
    "light": measure_light,
    "fades": measure_fades,
    "cut": lambda grids, one, other, strip: measure_cut(grids, one, other),
}

if __name__ == "__main__":
    main()
