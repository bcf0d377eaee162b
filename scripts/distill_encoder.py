#!/usr/bin/env python3
"""Distil the compact encoder from VGG-19 features in their PCA bases. An interrupted run resumes.

    python scripts/distill_encoder.py --teacher vgg19_pca.npz --photos PHOTOS --out encoder.safetensors

The teacher (`vgg19_pca.npz`) has features at four taps: relu1_1, relu2_1, relu3_1 and relu4_1. The student
predicts the live channels of these features, standardised over photographs. Every 14th photo is held out. Crops are
graded at random (gain, gamma, saturation), because the losses apply the encoder to stylized photos, whose colours
differ from those of a camera.

The regression is badly conditioned, because patches of photos are nearly constant. Adam is therefore slow: after 250
steps, the explained variance at the four taps is .66/.81/.52/.59. SOAP (Vyas et al. 2024) runs Adam in the eigenbasis
of the gradients' covariance, and is fast (.97/.96/.94/.94).
"""

import argparse
import csv
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from pytorch_optimizer import SOAP
from torch import nn
from tqdm import tqdm

from lookcast.atomic import atomic_write
from lookcast.encoders.compact import STRIDES, TAPS, CompactNetwork
from lookcast.encoders.teacher import TeacherEncoder
from lookcast.weights import save_weights

WIDTHS = (16, 32, 64, 96)
HELD_OUT_EVERY = 14


def read_photos(folder: Path) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Read all photos as uint8 arrays `(H, W, 3)`. Return the training photos, then the 100 held-out photos."""
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in {".jpg", ".jpeg", ".png"})
    photos = [np.asarray(Image.open(p).convert("RGB")) for p in tqdm(paths, desc="read photos")]
    held_out = photos[::HELD_OUT_EVERY][:100]
    return [p for i, p in enumerate(photos) if i % HELD_OUT_EVERY or i // HELD_OUT_EVERY >= 100], held_out


def crops(photos: list[np.ndarray], rng: np.random.Generator, batch: int, size: int) -> torch.Tensor:
    """Return random crops `(B, 3, size, size)`: half at the photo's scale, half shrunk.

    Each crop gets a random colour grade with probability 1/2.
    """
    images = []
    for i in range(batch):
        photo = photos[rng.integers(len(photos))]
        max_side = min(photo.shape[:2])
        side = int(rng.integers(size, max_side + 1)) if i % 2 and max_side > size else min(size, max_side)
        y, x = (int(rng.integers(d - side + 1)) for d in photo.shape[:2])
        crop = photo[y : y + side, x : x + side]
        crop = crop[:, ::-1] if rng.random() < 0.5 else crop
        tensor = torch.from_numpy(crop.copy()).permute(2, 0, 1)[None].float() / 255
        if side != size:
            tensor = F.interpolate(tensor, (size, size), mode="bilinear", antialias=True)
        if rng.random() < 0.5:
            tensor = grade(tensor, rng)
        images.append(tensor)
    return torch.cat(images).clamp(0, 1)


def grade(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Grade an image at random: gamma and gain per channel, saturation, contrast."""
    gamma = torch.from_numpy(np.exp(rng.normal(0, 0.25, (1, 3, 1, 1)) + rng.normal(0, 0.25))).float()
    gain = torch.from_numpy(np.exp(rng.normal(0, 0.15, (1, 3, 1, 1)))).float()
    image = image.clamp(1e-4, 1) ** gamma * gain
    grey = image.mean(1, keepdim=True)
    image = grey + (image - grey) * float(np.exp(rng.normal(0, 0.4)))
    return 0.5 + (image - 0.5) * float(np.exp(rng.normal(-0.1, 0.25)))


@torch.inference_mode()
def explained_variance(student: CompactNetwork, teacher: TeacherEncoder, photos: list[np.ndarray]) -> dict[str, float]:
    """For each tap, return the share of the variance of the teacher's channels that the student explains."""
    residual, first, second, count = (dict.fromkeys(TAPS, 0.0) for _ in range(4))
    sums = {tap: torch.zeros(n, dtype=torch.float64) for tap, n in teacher.channels.items()}
    for photo in photos:
        h, w = (d // 8 * 8 for d in photo.shape[:2])
        image = torch.from_numpy(photo[:h, :w].copy()).permute(2, 0, 1)[None].float() / 255
        predicted = student(image)
        for tap, target in teacher(image).items():
            residual[tap] += (predicted[tap] - target).double().pow(2).sum().item()
            second[tap] += target.double().pow(2).sum().item()
            sums[tap] += target.double().sum((0, 2, 3))
            count[tap] += target.shape[-2] * target.shape[-1]
    for tap in TAPS:
        first[tap] = sums[tap].pow(2).sum().item() / count[tap]
    return {tap: 1 - residual[tap] / (second[tap] - first[tap]) for tap in TAPS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", type=Path, required=True, help="vgg19_pca.npz: the teacher's weights")
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos to train on")
    parser.add_argument("--licence", default="the terms of the photos apply", help="note in the file's header")
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    parser.add_argument("--run", type=Path, default=Path("runs/distill"), help="folder for the state and log.csv")
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--lr", type=float, default=1e-2)
    parser.add_argument("--every", type=int, default=500, help="steps between two evaluations and saved states")
    args = parser.parse_args()

    torch.manual_seed(0)
    teacher = TeacherEncoder(args.teacher)
    train, held_out = read_photos(args.photos)
    outputs = list(teacher.channels.values())
    student = CompactNetwork(WIDTHS, outputs)
    parameters = list(student.parameters())
    # SOAP keeps one eigenbasis for each axis. Kernels become matrices (outputs, inputs x positions) with two axes.
    matrices = [nn.Parameter(p.detach().flatten(1) if p.dim() > 1 else p.detach()) for p in parameters]  # views
    optimizer = SOAP(matrices, lr=args.lr, weight_decay=0.0, precondition_frequency=10, max_precondition_dim=1024)
    warmup = 100
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda s: min((s + 1) / warmup, 1) * (0.5 + 0.5 * math.cos(math.pi * min(s / args.steps, 1))) + 1e-4,
    )
    state_file, log_file = args.run / "state.pt", args.run / "log.csv"
    start, seconds = 0, 0.0
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        for name, part in (("student", student), ("optimizer", optimizer), ("schedule", schedule)):
            part.load_state_dict(state[name])
        start, seconds = state["step"], state["seconds"]

    began = time.monotonic()
    progress = tqdm(range(start, args.steps), initial=start, total=args.steps, desc="distil", mininterval=5)
    for step in progress:
        image = crops(train, np.random.default_rng([1, step]), args.batch, args.size)
        image = image.contiguous(memory_format=torch.channels_last)
        targets, predicted = teacher(image), student(image)
        loss = sum(F.mse_loss(predicted[tap], targets[tap]) for tap in TAPS)
        gradients = torch.autograd.grad(loss, parameters)
        for matrix, gradient in zip(matrices, gradients, strict=True):
            matrix.grad = gradient.reshape(matrix.shape)
        nn.utils.clip_grad_norm_(matrices, 1.0)
        optimizer.step()
        schedule.step()
        progress.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
        if (step + 1) % args.every and step + 1 < args.steps:
            continue
        explained = explained_variance(student, teacher, held_out)
        spent = seconds + time.monotonic() - began
        progress.write(f"step {step + 1}, {spent:.0f} s: " + ", ".join(f"{t} {v:.4f}" for t, v in explained.items()))
        args.run.mkdir(parents=True, exist_ok=True)
        with log_file.open("a", newline="") as file:
            csv.writer(file).writerow([step + 1, round(spent), *(round(v, 5) for v in explained.values())])
        with atomic_write(state_file) as temporary:
            state = {"student": student, "optimizer": optimizer, "schedule": schedule}
            torch.save({k: v.state_dict() for k, v in state.items()} | {"step": step + 1, "seconds": spent}, temporary)
        header = {
            "widths": WIDTHS,
            "outputs": outputs,
            "taps": TAPS,
            "strides": STRIDES,
            "training": {"steps": step + 1, "batch": args.batch, "size": args.size, "lr": args.lr},
            "metrics": {"explained_variance": explained},
            "licence": args.licence,
        }
        save_weights(args.out, "encoder", student.state_dict(), header)


if __name__ == "__main__":
    main()
