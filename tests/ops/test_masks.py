import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter

from lookcast.checks import InputError, ShapeError
from lookcast.ops.masks import (
    NUM_LABELS,
    PALETTE,
    blur_mask,
    check_aspect,
    colors_to_mask,
    mask_to_colors,
    resize_mask,
)
from tests.reference import gram as reference
from tests.samples import rand


def _painted(labels):
    """Labels `(H, W)` in the nine colours, `(1, 3, H, W)`."""
    palette = torch.tensor([rgb for _, rgb in PALETTE], dtype=torch.float64) / 255
    return palette[labels].permute(2, 0, 1)[None]


class TestColorsToMask:
    def test_shape(self):
        assert colors_to_mask(rand(2, 3, 4, 5)).shape == (2, 9, 4, 5)

    def test_known_value(self):
        colors = torch.tensor([[0, 0, 255], [255, 255, 255], [128, 128, 128], [255, 0, 255]]).T.view(1, 3, 2, 2) / 255
        labels = [name for name, _ in PALETTE]
        expected = [labels.index(name) for name in ("blue", "white", "grey", "purple")]
        assert colors_to_mask(colors)[0].argmax(0).flatten().tolist() == expected

    def test_every_color_comes_back(self):
        labels = torch.arange(NUM_LABELS).view(3, 3)
        mask = colors_to_mask(_painted(labels))
        assert torch.equal(mask[0].argmax(0), labels)
        assert torch.equal(mask.sum(1), torch.ones(1, 3, 3, dtype=torch.float64))

    def test_nearest_color_wins(self):
        # What a lossy file makes of the colours.
        labels = torch.arange(NUM_LABELS).repeat(6).view(6, 9)
        noisy = (_painted(labels) + 0.3 * (rand(1, 3, 6, 9) - 0.5)).clamp(0, 1)
        assert torch.equal(colors_to_mask(noisy)[0].argmax(0), labels)

    def test_dtype_follows_the_colors(self):
        assert colors_to_mask(rand(1, 3, 2, 2)).dtype == torch.float64
        assert colors_to_mask(rand(1, 3, 2, 2).float()).dtype == torch.float32

    def test_rejects_what_is_no_image(self):
        with pytest.raises(ShapeError, match="colors: expected shape"):
            colors_to_mask(rand(1, 4, 2, 2))
        with pytest.raises(InputError, match="colors: expected floating point"):
            colors_to_mask(torch.zeros(1, 3, 2, 2, dtype=torch.uint8))


class TestMaskToColors:
    def test_shape(self):
        assert mask_to_colors(rand(2, 5, 4, 3)).shape == (2, 3, 4, 3)

    def test_known_value(self):
        # Of a soft mask the greatest label, of no label at all the first colour.
        mask = torch.tensor([[0.2, 0.1, 0.0], [0.3, 0.1, 0.0], [0.5, 0.8, 0.0]]).view(1, 3, 1, 3)
        mask[0, 1, 0, 1] = 0.9
        assert mask_to_colors(mask)[0, :, 0].T.tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 1]]

    @pytest.mark.parametrize("labels", [1, 4, NUM_LABELS])
    def test_inverse_of_colors_to_mask(self, labels):
        index = torch.arange(labels).repeat(3).view(1, 3, labels)
        mask = torch.nn.functional.one_hot(index, NUM_LABELS).permute(0, 3, 1, 2).double()
        assert torch.equal(mask_to_colors(mask[:, :labels]), _painted(index[0]))
        assert torch.equal(colors_to_mask(mask_to_colors(mask[:, :labels])), mask)

    def test_dtype_follows_the_mask(self):
        assert mask_to_colors(rand(1, 3, 2, 2).float()).dtype == torch.float32

    def test_rejects_what_is_no_mask(self):
        with pytest.raises(ShapeError, match="mask: expected shape"):
            mask_to_colors(rand(4, 2, 2))
        with pytest.raises(InputError, match="mask: has 10 labels, there are colours for 1 to 9"):
            mask_to_colors(rand(1, 10, 2, 2))
        with pytest.raises(InputError, match="mask: expected floating point"):
            mask_to_colors(torch.zeros(1, 3, 2, 2, dtype=torch.uint8))


class TestResizeMask:
    def test_shape(self):
        assert resize_mask(rand(2, 3, 8, 9), (4, 5)).shape == (2, 3, 4, 5)
        assert resize_mask(rand(2, 3, 8, 9), torch.Size((16, 20))).shape == (2, 3, 16, 20)

    def test_known_value(self):
        mask = torch.tensor([[1.0, 0.0, 0.0, 1.0], [1.0, 1.0, 0.0, 0.0]]).view(1, 1, 2, 4)
        assert resize_mask(mask, (1, 2)).flatten().tolist() == [0.75, 0.25]

    @pytest.mark.parametrize("size", [(4, 5), (3, 7), (11, 13), (20, 4)])
    def test_matches_reference(self, size):
        mask = rand(2, 3, 11, 13).softmax(1)
        expected = np.stack([reference.resize_by_area(m.numpy(), size) for m in mask])
        torch.testing.assert_close(resize_mask(mask, size), torch.from_numpy(expected), rtol=0, atol=1e-14)

    def test_same_size_is_the_same_mask(self):
        mask = rand(1, 2, 5, 6)
        assert resize_mask(mask, (5, 6)) is mask

    def test_invariance_of_sums_and_shares(self):
        mask = rand(1, 3, 12, 20).softmax(1)
        small = resize_mask(mask, (3, 5))
        torch.testing.assert_close(small.sum(1), torch.ones(1, 3, 5, dtype=torch.float64))
        torch.testing.assert_close(small.mean((-2, -1)), mask.mean((-2, -1)))

    def test_gradcheck(self):
        assert torch.autograd.gradcheck(lambda m: resize_mask(m, (2, 3)), rand(1, 2, 5, 6).requires_grad_())

    def test_rejects_other_dimensions(self):
        with pytest.raises(ShapeError, match="mask: expected shape"):
            resize_mask(rand(3, 8, 9), (4, 5))


class TestBlurMask:
    @pytest.mark.parametrize("radius", [1, 2, 12])
    def test_matches_reference(self, radius):
        mask = rand(2, 3, 7, 11)
        expected = uniform_filter(mask.numpy(), (0, 0, 2 * radius + 1, 2 * radius + 1), mode="nearest")
        torch.testing.assert_close(blur_mask(mask, radius), torch.from_numpy(expected), rtol=0, atol=1e-13)

    def test_radius_0_is_the_same_mask(self):
        mask = rand(1, 2, 5, 6)
        assert blur_mask(mask, 0) is mask

    def test_invariance_of_sums(self):
        blurred = blur_mask(rand(1, 3, 12, 20).softmax(1), 3)
        torch.testing.assert_close(blurred.sum(1), torch.ones(1, 12, 20, dtype=torch.float64))

    def test_gradcheck(self):
        assert torch.autograd.gradcheck(lambda m: blur_mask(m, 2), rand(1, 2, 5, 6).requires_grad_())

    @pytest.mark.parametrize("radius", [-1, 65, 1.5])
    def test_rejects_a_radius_out_of_range(self, radius):
        with pytest.raises(InputError, match=rf"^radius: expected an integer from 0 to 64, got {radius}$"):
            blur_mask(rand(1, 2, 5, 6), radius)


class TestCheckAspect:
    # (height, width) of mask and photo
    @pytest.mark.parametrize(
        ("mask", "image"),
        [
            ((480, 640), (480, 640)),
            ((384, 512), (3000, 4000)),
            ((3000, 4000), (384, 512)),
            ((525, 700), (1365, 2048 - 228)),  # 3:4 within a pixel
            ((341, 512), (2000, 3000)),  # 341.33 rounded
            ((1, 1), (1, 1)),
        ],
    )
    def test_accepts_scale_and_rounding(self, mask, image):
        assert check_aspect("mask.png", mask, image) is None

    @pytest.mark.parametrize(
        ("mask", "image"),
        [
            ((480, 640), (640, 480)),
            ((512, 512), (384, 512)),
            ((480, 650), (480, 640)),
            ((338, 512), (2000, 3000)),
            ((330, 512), (2000, 3000)),
        ],
    )
    def test_rejects_another_aspect(self, mask, image):
        sizes = f"is {mask[1]}x{mask[0]} pixels, its photo {image[1]}x{image[0]}"
        with pytest.raises(InputError, match=rf"mask\.png: {sizes}"):
            check_aspect("mask.png", mask, image)
