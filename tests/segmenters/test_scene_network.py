import csv
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lookcast.segmenters.scene_network import SCENES, STAGES, Convolution, SceneBody, SceneHead, SceneNetwork
from tests.samples import rand, randn

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "train_scenes.py"


def _script():
    spec = importlib.util.spec_from_file_location("train_scenes", SCRIPT)
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


class TestConvolution:
    def test_padding_of_a_stride_is_at_the_end(self):
        convolution = Convolution(1, 1, 3, 2, rectify=False)
        convolution.convolution.weight.data.fill_(1)
        convolution.convolution.bias.data.zero_()
        found = convolution(torch.arange(16.0).view(1, 1, 4, 4))
        # Windows of rows and columns 0 to 2 and 2 to 4, where row and column 4 are padding.
        assert found.flatten().tolist() == [45.0, 39.0, 66.0, 50.0]

    def test_rectifier_has_a_maximum(self):
        convolution = Convolution(1, 1)
        convolution.convolution.weight.data.fill_(1)
        convolution.convolution.bias.data.zero_()
        assert convolution(torch.tensor([-1.0, 2, 9]).view(1, 1, 1, 3)).flatten().tolist() == [0.0, 2.0, 6.0]


class TestSceneBody:
    def test_shape(self):
        shapes = [tuple(x.shape) for x in SceneBody()(torch.zeros(2, 3, 64, 96))]
        assert shapes == [(2, 40, 8, 12), (2, 112, 4, 6), (2, 320, 2, 3)]

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


class TestSceneNetwork:
    def test_is_small(self):
        assert sum(weights.numel() for weights in SceneNetwork().parameters()) == pytest.approx(3.3e6, rel=0.02)
