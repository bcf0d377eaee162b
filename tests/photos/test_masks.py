import io
import logging
import tracemalloc

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from lookcast.checks import InputError
from lookcast.ops.masks import PALETTE, check_aspect, colors_to_mask
from lookcast.photos.masks import read_mask
from lookcast.photos.read import PhotoError, to_tensor

COLORS = np.array([rgb for _, rgb in PALETTE], np.uint8)
STRIPES = np.arange(9).repeat(4)[None].repeat(12, 0)
"""Nine stripes, 36 x 12 pixels."""


def save(path, pixels):
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def mask(tmp_path):
    return save(tmp_path / "mask.png", COLORS[STRIPES])


class TestReadMask:
    def test_known_value(self, mask):
        labels = read_mask(mask)
        assert labels.dtype == torch.uint8
        assert np.array_equal(labels.numpy(), STRIPES)

    def test_matches_reference(self, tmp_path):
        """Every pixel of a photo with little contrast gets the label that `colors_to_mask` finds in float32."""
        noise = np.random.default_rng(0).integers(-27, 28, (*STRIPES.repeat(30, 0).shape, 3))
        pixels = (COLORS[STRIPES.repeat(30, 0)] + noise).clip(0, 255).astype(np.uint8)
        labels = read_mask(save(tmp_path / "mask.png", pixels))
        assert np.array_equal(labels.numpy(), colors_to_mask(to_tensor(pixels))[0].argmax(0).numpy())

    def test_a_large_mask_shrinks_without_new_labels(self, tmp_path):
        size = (203, 3001)
        stripes = (np.arange(3001) // 7 + np.arange(203)[:, None] // 11) % 9
        path = save(tmp_path / "mask.png", COLORS[stripes])
        labels = read_mask(path)
        assert 1000 < max(labels.shape) <= 1024
        check_aspect("mask", tuple(labels.shape), size)
        assert np.array_equal(read_mask(path, size).numpy(), stripes)

    def test_palette_file(self, mask):
        Image.open(mask).convert("P", palette=Image.Palette.ADAPTIVE).save(mask)
        assert np.array_equal(read_mask(mask).numpy(), STRIPES)

    def test_resizes_to_the_photo_without_new_labels(self, mask):
        assert np.array_equal(read_mask(mask, (24, 72)).numpy(), STRIPES.repeat(2, 0).repeat(2, 1))

    def test_tall_mask(self, tmp_path):
        colors = np.zeros((700, 2, 3), np.uint8)
        colors[600:] = 255
        labels = read_mask(save(tmp_path / "mask.png", colors))
        black, white = (index for index, (name, _) in enumerate(PALETTE) if name in ("black", "white"))
        assert labels[:, 0].tolist() == [black] * 600 + [white] * 100

    @pytest.mark.parametrize(("color", "label"), [((255, 0, 0), 4), ((0, 0, 0), 2)])
    def test_one_label_is_valid(self, tmp_path, caplog, color, label):
        Image.new("RGB", (6, 4), color).save(tmp_path / "mask.png")
        assert torch.equal(read_mask(tmp_path / "mask.png", (8, 12)), torch.full((8, 12), label, dtype=torch.uint8))
        assert caplog.records == []

    def test_12_megapixels_take_no_one_hot_mask(self, tmp_path):
        stripes = np.zeros((3000, 4000), np.uint8)
        stripes[:, 2000:] = 1
        path = save(tmp_path / "mask.png", COLORS[stripes])
        tracemalloc.start()
        labels = read_mask(path, (3000, 4000))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert labels.nbytes == 12_000_000
        # numpy's part: the decoded file takes 36 MB; one-hot float32 labels would take 432 MB.
        assert peak < 120e6

    def test_rejects_another_aspect_ratio(self, mask):
        with pytest.raises(InputError, match=r"mask\.png: is 36x12 pixels, its photo 36x24"):
            read_mask(mask, (24, 36))

    def test_rejects_missing_file(self, tmp_path):
        with pytest.raises(PhotoError, match="no such"):
            read_mask(tmp_path / "mask.png")

    def test_rejects_too_many_pixels(self, mask):
        with pytest.raises(PhotoError, match="432 pixels, more than the limit of 431"):
            read_mask(mask, max_pixels=431)


class TestFarPixels:
    """Pixels that have none of the nine colours."""

    HALVES = np.where(np.arange(300)[None, :, None] < 150, COLORS[0], COLORS[1]).repeat(200, 0).astype(np.uint8)

    @pytest.mark.parametrize("name", ["chelsea", "coffee", "astronaut", "rocket"])
    def test_rejects_a_photo(self, tmp_path, name):
        path = save(tmp_path / "photo.png", getattr(skimage.data, name)())
        line = r"photo\.png: \d+ of \d+ pixels \([\d.]+ %\) are far from each of the nine colours of masks; a mask has"
        with pytest.raises(PhotoError, match=line):
            read_mask(path)

    @pytest.mark.parametrize("scale", [0.31, 0.5, 2])
    def test_antialiased_edges_are_fine(self, tmp_path, caplog, scale):
        image = Image.fromarray(COLORS[(np.arange(300) // 7 % 9)[None].repeat(200, 0)])
        small = image.resize((round(300 * scale), round(200 * scale)), Image.Resampling.BILINEAR)
        small.save(tmp_path / "mask.png")
        read_mask(tmp_path / "mask.png")
        assert caplog.records == []

    def test_jpeg_is_fine(self, tmp_path):
        buffer = io.BytesIO()
        Image.fromarray(self.HALVES).save(buffer, "JPEG", quality=75)
        (tmp_path / "mask.jpg").write_bytes(buffer.getvalue())
        assert set(read_mask(tmp_path / "mask.jpg").unique().tolist()) == {0, 1}

    def test_counts_them(self, tmp_path, caplog):
        pixels = self.HALVES.copy()
        pixels[10:40, 20:60] = (200, 120, 60)  # 1200 of 60000
        with caplog.at_level(logging.WARNING):
            read_mask(save(tmp_path / "mask.png", pixels))
        assert [record.getMessage() for record in caplog.records] == [
            f"{tmp_path / 'mask.png'}: 1200 of 60000 pixels (2.0 %) are far from each of the nine colours of masks; "
            "these pixels get the label of the nearest colour"
        ]

    def test_says_nothing_of_traces(self, tmp_path, caplog):
        pixels = self.HALVES.copy()
        pixels[10:20, 20:40] = (200, 120, 60)  # .3 %
        read_mask(save(tmp_path / "mask.png", pixels))
        assert caplog.records == []

    @pytest.mark.parametrize(("columns", "refused"), [(15, False), (16, True)])
    def test_rejects_more_than_5_percent(self, tmp_path, columns, refused):
        pixels = self.HALVES.copy()
        pixels[:, 20 : 20 + columns] = (200, 120, 60)
        path = save(tmp_path / "mask.png", pixels)
        if refused:
            with pytest.raises(PhotoError, match=r"3200 of 60000 pixels \(5\.3 %\)"):
                read_mask(path)
        else:
            assert read_mask(path).shape == (200, 300)
