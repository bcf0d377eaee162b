import csv
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from lookcast.encoders.efficientnet import STAGES
from lookcast.encoders.scenes import SCENES
from lookcast.segmenters import SceneSegmenter
from lookcast.segmenters.scene_network import SceneHead, SceneNetwork
from tests.samples import rand, randn

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "train_scenes.py"


def _script(path=SCRIPT):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _published():
    """Return random weights with the names and shapes of the published file."""
    weights = {}

    def norm(name, channels):
        draws = rand(4, channels, seed=len(weights)).float()
        parts = zip(("weight", "bias", "running_mean", "running_var"), draws, strict=True)
        weights.update({f"{name}.{part}": value for part, value in parts})

    def layer(name, norm_name, *shape):
        weights[f"{name}.weight"] = randn(*shape, seed=len(weights)).float() / (shape[1] * shape[2] ** 2) ** 0.5
        norm(norm_name, shape[0])

    layer("_conv_stem", "_bn0", 32, 3, 3, 3)
    inputs, number = 32, 0
    for expansion, side, repeats, _, outputs in STAGES:
        for _ in range(repeats):
            name, width = f"_blocks.{number}", inputs * expansion
            if expansion > 1:
                layer(f"{name}._expand_conv", f"{name}._bn0", width, inputs, 1, 1)
            layer(f"{name}._depthwise_conv", f"{name}._bn1", width, 1, side, side)
            layer(f"{name}._project_conv", f"{name}._bn2", outputs, width, 1, 1)
            inputs, number = outputs, number + 1
    return weights


def _reference(weights, image):
    """EfficientNet-Lite0, literally: convolutions with TensorFlow's SAME padding, normalisation, rectifiers."""

    def layer(x, name, norm, stride=1, groups=1, rectify=True):
        kernel = weights[f"{name}.weight"]
        pads = []
        for length in x.shape[:1:-1]:  # width first
            total = max((-(-length // stride) - 1) * stride + kernel.shape[-1] - length, 0)
            pads += [total // 2, total - total // 2]
        x = F.conv2d(F.pad(x, pads), kernel, stride=stride, groups=groups)
        statistics = [weights[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        x = F.batch_norm(x, *statistics, eps=1e-3)
        return F.relu6(x) if rectify else x

    x = layer((image * 255 - 127) / 128, "_conv_stem", "_bn0", 2)
    number, found = 0, []
    for stage, (expansion, _, repeats, stride, outputs) in enumerate(STAGES):
        for block in range(repeats):
            name, y = f"_blocks.{number}", x
            if expansion > 1:
                y = layer(y, f"{name}._expand_conv", f"{name}._bn0")
            y = layer(y, f"{name}._depthwise_conv", f"{name}._bn1", stride if block == 0 else 1, y.shape[1])
            y = layer(y, f"{name}._project_conv", f"{name}._bn2", rectify=False)
            x = x + y if block or (stride == 1 and x.shape[1] == outputs) else y
            number += 1
        if stage in (2, 4, 6):
            found.append(x)
    return found


class TestReadBody:
    @torch.no_grad()
    def test_published_weights_match_reference(self, tmp_path):
        weights = _published()
        torch.save(weights, tmp_path / "body.pth")
        image = rand(1, 3, 64, 96).float()
        for found, expected in zip(
            _script().read_body(tmp_path / "body.pth")(image), _reference(weights, image), strict=True
        ):
            assert expected.std() > 0.01
            assert (found - expected).abs().max() < 1e-4 * expected.abs().max()


class TestSceneHead:
    @torch.no_grad()
    def test_knows_the_vertical_position(self):
        torch.manual_seed(0)
        head = SceneHead().eval()
        flat = [torch.ones(1, 40, 32, 32), torch.ones(1, 112, 16, 16), torch.ones(1, 320, 8, 8)]
        logits = head(flat)
        assert logits.shape == (1, len(SCENES), 32, 32)
        middle = logits[..., 8:24, 15:17]  # far from the padding
        assert (middle[..., 0, :] - middle[..., -1, :]).abs().max() > 1e-3
        torch.testing.assert_close(middle[..., 0], middle[..., 1])

    @torch.no_grad()
    def test_knows_the_whole_photo(self):
        torch.manual_seed(0)
        head = SceneHead().eval()
        features = [torch.ones(1, 40, 64, 8), torch.ones(1, 112, 32, 4), torch.ones(1, 320, 16, 2)]
        first = head(features)[..., :8, :]
        features[2][..., 12:, :] = 9  # far below the compared places
        assert (head(features)[..., :8, :] - first).abs().max() > 1e-3


class TestTraining:
    def test_labels_belong_to_the_photos_of_the_card(self):
        labels = _script().read_labels(SCRIPT.parent / "scene_labels.zip")
        with (ROOT / "checkpoints" / "photo_sources.csv").open(encoding="utf-8", newline="") as file:
            names = {row["file"] for row in csv.DictReader(file)}
        assert len(labels) == 560
        assert labels.keys() <= names
        values = np.concatenate([np.unique(values) for values in labels.values()])
        assert set(values.tolist()) == {*range(len(SCENES)), 255}

    def test_crop_grades_the_photo_and_keeps_its_labels(self):
        script, rng = _script(), np.random.default_rng(0)
        labels = torch.zeros(90, 120, dtype=torch.uint8)
        labels[:, 60:], labels[:20] = 3, script.UNKNOWN
        photo = torch.where(labels == 3, 180, 60).to(torch.uint8).expand(3, -1, -1)
        means = set()
        for _ in range(8):
            image, shares = script.crop(photo, labels, 64, rng)
            assert image.shape == (1, 3, 64, 64)
            assert shares.shape == (1, len(SCENES), 32, 32)
            places = F.avg_pool2d(image, 2)[0]
            dark, bright = shares[0, 0] == 1, shares[0, 3] == 1
            assert dark.any()
            assert bright.any()
            assert places[:, bright].mean() > places[:, dark].mean() + 0.02
            assert shares.sum(1).max() <= 1
            means.add(round(image.mean().item(), 3))
        assert len(means) == 8


class TestDistilling:
    def test_crop_has_the_logits_of_its_places(self, monkeypatch):
        monkeypatch.syspath_prepend(SCRIPT.parent)  # the script imports another one
        script, rng = _script(SCRIPT.with_name("distill_scenes.py")), np.random.default_rng(0)
        monkeypatch.setattr(script, "grade", lambda image, rng: image)
        across, down = torch.linspace(0, 1, 120).expand(1, 90, -1), torch.linspace(0, 1, 90)[:, None].expand(1, -1, 120)
        photo = torch.cat([across, down, torch.zeros(1, 90, 120)])
        coarse = F.interpolate(photo[None], (30, 40), mode="bilinear", antialias=True)[0]
        for _ in range(8):
            image, logits = script.crop((255 * photo).round().to(torch.uint8), coarse, rng)
            assert image.shape == (1, 3, 128, 128)
            assert logits.shape == (1, 3, 32, 32)
            inside = logits[..., 2:-2, 2:-2]  # beyond the outermost places, the logits do not change
            assert inside[:, 0].std() > 0.1
            assert (F.avg_pool2d(image, 4)[..., 2:-2, 2:-2] - inside).abs().max() < 0.02

    def test_teacher_sees_the_mirror_image_too(self, monkeypatch, tmp_path):
        monkeypatch.syspath_prepend(SCRIPT.parent)
        script = _script(SCRIPT.with_name("distill_scenes.py"))
        pixels = (255 * rand(60, 90, 3, seed=2)).numpy().astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "a.png")
        teacher = SceneSegmenter()
        ((found, logits),) = script.read_photos(tmp_path, teacher)
        assert np.array_equal(found.permute(1, 2, 0).numpy(), pixels)
        photo = found[None].float() / 255
        both = torch.stack([teacher.logits(photo)[0], teacher.logits(photo.flip(-1))[0].flip(-1)])
        assert (both[0] - both[1]).abs().max() > 0.1
        torch.testing.assert_close(logits.float(), both.mean(0), rtol=2e-3, atol=2e-3)  # half precision


class TestSceneNetwork:
    def test_is_small(self):
        assert sum(weights.numel() for weights in SceneNetwork().parameters()) == pytest.approx(3.3e6, rel=0.02)
