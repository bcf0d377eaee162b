#!/usr/bin/env python3
"""Distil the classifier that finds the regions of photos without masks from the network of `--auto-masks scenes`.

    python scripts/distill_scenes.py --photos PHOTOS --out scene_classes.safetensors

The teacher reads whole photos at 320 px, and their mirror images. The student sees graded crops at 128 px, and predicts
the teacher's classes for the photo before the grade. So it needs no labels. Teacher and student have the same frozen
body; only a head is trained. The result is the running mean of its weights.
"""

import argparse
import math
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from tqdm import tqdm
from train_scenes import grade

from lookcast.encoders.base import freeze
from lookcast.encoders.efficientnet import EfficientNetLite
from lookcast.encoders.scenes import READ, SCENES, ThumbnailHead, load_body
from lookcast.generators.regions import SCENE_THUMBNAIL
from lookcast.segmenters.scene_segmenter import SceneSegmenter
from lookcast.weights import save_weights

PLACES = SCENE_THUMBNAIL // 4  # side of the student's output
SHARPNESS = 2.0  # factor of the student's logits after the training; at 1, the looks of regions mix
STEPS = 3150
MEAN = 0.995  # decay of the running mean of the weights


@torch.inference_mode()
def read_photos(folder: Path, teacher: SceneSegmenter) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return, for each photo, its pixels `(3, H, W)` as uint8 and the teacher's logits `(9, h, w)`, float16."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    read = []
    for path in tqdm(paths, desc="teacher", unit="photo"):
        with Image.open(path) as file:
            image = file.convert("RGB")
        image.thumbnail((420, 420), Image.Resampling.LANCZOS)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
        photo = pixels[None].float() / 255
        logits = (teacher.logits(photo) + teacher.logits(photo.flip(-1)).flip(-1)) / 2
        read.append((pixels, logits[0].half()))
    return read


def crop(pixels: torch.Tensor, logits: torch.Tensor, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a random crop, graded, `(1, 3, 128, 128)`, and the teacher's logits there, `(1, 9, PLACES, PLACES)`."""
    height, width = pixels.shape[1:]
    size, shape = rng.uniform(0.6, 1), np.exp(rng.uniform(-0.25, 0.25))
    h, w = int(min(height, height * size * shape)), int(min(width, width * size / shape))
    y, x = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
    steps = (torch.arange(PLACES) + 0.5) / PLACES
    rows, columns = (y + steps * h) / height * 2 - 1, (x + steps * w) / width * 2 - 1
    where = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1).flip(-1)[None]
    target = F.grid_sample(logits[None].float(), where, padding_mode="border", align_corners=False)
    image = pixels[None, :, y : y + h, x : x + w].float() / 255
    if rng.random() < 0.5:
        image, target = image.flip(-1), target.flip(-1)
    side = (SCENE_THUMBNAIL, SCENE_THUMBNAIL)
    return grade(F.interpolate(image, side, mode="bilinear", antialias=True).clamp(0, 1), rng), target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos to train on")
    parser.add_argument("--out", type=Path, required=True, help=".safetensors file to write")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--rate", type=float, default=2e-3, help="learning rate")
    args = parser.parse_args()
    torch.manual_seed(0)
    teacher, body, head = SceneSegmenter(), EfficientNetLite(READ), ThumbnailHead()
    load_body(body)
    body = freeze(body).to(memory_format=torch.channels_last)
    data = read_photos(args.photos, teacher)
    shares = torch.stack([logits.float().softmax(0).mean((1, 2)) for _, logits in data])
    draws = (shares / (shares.mean(0) + 0.02)).sum(1).sqrt()  # photos with rare classes are drawn more often
    optimizer = torch.optim.AdamW(head.parameters(), args.rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, (step + 1) / 60) * (0.5 + 0.5 * math.cos(math.pi * step / args.steps))
    )
    mean = deepcopy(head)
    progress = tqdm(range(args.steps), desc="distil")
    for step in progress:
        rng = np.random.default_rng(step)
        drawn = torch.multinomial(draws, args.batch, replacement=True).tolist()
        images, targets = zip(*(crop(*data[number], rng) for number in drawn), strict=True)
        with torch.no_grad():
            features = body(torch.cat(images).contiguous(memory_format=torch.channels_last))
        found, wanted = head(features).log_softmax(1), torch.cat(targets).softmax(1)
        loss = -(wanted * found).sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(head.parameters(), 2)
        optimizer.step()
        schedule.step()
        decay = min(MEAN, (step + 1) / (step + 11))
        with torch.no_grad():
            for average, weights in zip(mean.parameters(), head.parameters(), strict=True):
                average.lerp_(weights, 1 - decay)
        right = (found.argmax(1) == wanted.argmax(1)).float().mean().item()
        progress.set_postfix(loss=f"{loss.item():.3f}", like_the_teacher=f"{right:.2f}", refresh=False)
    with torch.no_grad():
        for last in (mean.classify, mean.classify_finest):
            for weights in last.parameters():
                weights.mul_(SHARPNESS)
    header = {"classes": SCENES, "photos": len(data), "steps": args.steps}
    tensors = {name: weights.half() for name, weights in mean.state_dict().items()}
    save_weights(args.out, "scene classes", tensors, header)


if __name__ == "__main__":
    main()
