"""The shipped look on a GPU against the CPU, and the kernels in a CUDA graph."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import skimage.data
import torch

import lookcast
from lookcast.ops.bilateral.dispatch import apply_grid, apply_grid_to_pixels
from lookcast.ops.bilateral.reference import identity_grid
from lookcast.ops.resize import resize_pixels
from tests.inference.test_stylizer import halves

DEVICE = "cuda"
PHOTO, STYLE = skimage.data.coffee(), skimage.data.astronaut()
KINDS = {
    "uint8": lambda pixels: pixels,
    "uint16": lambda pixels: pixels.astype(np.uint16) * 257,
    "float32": lambda pixels: pixels.astype(np.float32) / 255,
}
LEVELS = {"uint8": 1, "uint16": 257, "float32": 1 / 255}

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


@pytest.fixture(scope="module")
def stylizers():
    """The shipped look on the CPU and on the GPU, in float32; convolutions do not use TensorFloat-32."""
    allowed, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, False
    pair = [lookcast.load(device=device, precision="float32") for device in ("cpu", DEVICE)]
    for stylizer in pair:
        stylizer.set_style(STYLE)
    yield pair
    torch.backends.cudnn.allow_tf32 = allowed


def largest_difference(outputs):
    first, second = (np.asarray(output, np.float64) for output in outputs)
    assert first.shape == second.shape
    return np.abs(first - second).max()


class TestStylize:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("size", [(400, 600), (401, 333), (1, 300), (300, 1), (1, 1), (2, 3)])
    def test_agrees_with_the_cpu(self, stylizers, kind, size):
        photo = KINDS[kind](PHOTO[: size[0], : size[1]])
        outputs = [stylizer.stylize(photo) for stylizer in stylizers]
        assert outputs[1].dtype == photo.dtype
        assert largest_difference(outputs) <= 1.01 * LEVELS[kind]
        assert np.abs(outputs[1].astype(float) - photo).mean() > 2 * LEVELS[kind]

    def test_large_photo(self, stylizers):
        photo = np.tile(PHOTO, (5, 5, 1))
        assert largest_difference([stylizer.stylize(photo) for stylizer in stylizers]) <= 1

    def test_masks(self, stylizers):
        options = {"content_mask": halves((40, 60)), "style_mask": halves((64, 64), axis=3)}
        outputs = [stylizer.stylize(PHOTO, STYLE, **options) for stylizer in stylizers]
        assert largest_difference(outputs) <= 1
        assert largest_difference([outputs[1], stylizers[1].stylize(PHOTO)]) > 8

    def test_several_styles_and_strength(self, stylizers):
        styles = [STYLE, skimage.data.rocket()]
        outputs = [s.stylize(PHOTO, styles, strength=0.6, weights=[1, 2]) for s in stylizers]
        assert largest_difference(outputs) <= 1

    def test_batch_on_the_device(self, stylizers):
        photos = torch.from_numpy(np.stack([PHOTO, PHOTO[::-1]])).permute(0, 3, 1, 2).to(DEVICE)
        output = stylizers[1].stylize(photos)
        assert output.device == photos.device
        for photo, single in zip(photos, output, strict=True):
            expected = stylizers[0].stylize(photo.cpu().permute(1, 2, 0).numpy())
            assert largest_difference([single.permute(1, 2, 0).cpu(), expected]) <= 1

    def test_half_precision_is_near(self, stylizers):
        half = lookcast.load(device=DEVICE)
        assert half.generator.encoder.half_precision
        half.set_style(STYLE)
        outputs = [np.asarray(s.stylize(PHOTO), float) for s in (stylizers[1], half)]
        assert 0 < np.abs(outputs[0] - outputs[1]).mean() < 0.3
        assert largest_difference(outputs) <= 4

    def test_refine(self, stylizers):
        outputs = [stylizer.stylize(PHOTO, refine=5) for stylizer in stylizers]
        changed = np.abs(np.asarray(outputs[1], float) - stylizers[1].stylize(PHOTO)).mean()
        assert np.abs(np.asarray(outputs[0], float) - outputs[1]).mean() < 0.1 * changed

    def test_recorded_graphs(self, stylizers):
        stylizer = lookcast.load(device=DEVICE, precision="float32")
        for style in (STYLE, skimage.data.rocket()):
            stylizer.set_style(style)
            # The first call runs eagerly, the second records, the third replays with another photo.
            outputs = [stylizer.stylize(photo) for photo in (PHOTO, PHOTO, PHOTO[::-1].copy(), PHOTO)]
            assert largest_difference(outputs[:2]) <= 1
            assert np.array_equal(outputs[1], outputs[3])
            assert not np.array_equal(outputs[1], outputs[2])
            assert largest_difference([outputs[0], stylizers[0].stylize(PHOTO, style)]) <= 1

    def test_threads_and_streams(self, stylizers):
        photos = [np.roll(PHOTO, 7 * shift, axis=1) for shift in range(16)]
        expected = [stylizers[1].stylize(photo) for photo in photos]

        def on_a_stream(photo):
            with torch.cuda.stream(torch.cuda.Stream()):
                return stylizers[1].stylize(photo)

        with ThreadPoolExecutor(8) as pool:
            for call in (stylizers[1].stylize, on_a_stream):
                outputs = list(pool.map(call, photos))
                assert all(np.array_equal(*pair) for pair in zip(outputs, expected, strict=True))


class TestResizePixels:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("size", [(400, 600), (1, 300), (300, 1), (20, 30), (40, 60000)])
    def test_agrees_with_the_cpu(self, kind, size):
        photo = np.tile(PHOTO, (1, 100, 1)) if max(size) > 600 else PHOTO
        pixels = torch.from_numpy(KINDS[kind](photo[: size[0], : size[1]]))
        exact = resize_pixels(pixels.double() / {"uint8": 255, "uint16": 65535, "float32": 1}[kind], (256, 200))
        small = resize_pixels(pixels.to(DEVICE), (256, 200))
        assert small.dtype == torch.float32
        assert (small.cpu() - exact).abs().max() <= (0.15 / 255 if kind == "uint8" else 1e-5)


class TestExport:
    def test_pt2(self, stylizers, tmp_path):
        from lookcast.inference.export.pt2 import export_pt2

        assert export_pt2(stylizers[1], tmp_path / "look.pt2", STYLE) < 1e-3


class TestKernels:
    def test_graph_capture_and_replay(self):
        grid = identity_grid(1, 8, 4, 4, device=torch.device(DEVICE)) + 0.2 * torch.randn(1, 12, 8, 4, 4, device=DEVICE)
        pixels = torch.from_numpy(PHOTO[:50, :60].copy()).to(DEVICE)
        image = pixels.permute(2, 0, 1)[None] / 255
        expected = apply_grid(grid, image), apply_grid_to_pixels(grid[0], pixels)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            out = apply_grid(grid, image), apply_grid_to_pixels(grid[0], pixels)
        for tensor in out:
            tensor.zero_()
        graph.replay()
        assert all(torch.equal(a, b) for a, b in zip(out, expected, strict=True))
