import numpy as np
import pytest
import torch
from skimage.color import deltaE_cie76, rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from lookcast.checks import InputError, ShapeError
from lookcast.metrics.photo import (
    MIN_FLAT_SHARE,
    WINDOW,
    affine_residual,
    color_difference,
    color_ssim,
    edge_ssim,
    flat_spread,
    invented_residual,
    psnr,
)
from tests.reference import metrics as reference
from tests.samples import photo, rand, randn, recolor

NAMES = ["astronaut", "chelsea", "coffee"]


def changes(image):
    """A graded photo, a noisy one, a blurred one, a curve, and a photo that is another."""
    blurred = torch.nn.functional.avg_pool2d(image, 3, 1, 1)
    noisy = image + 0.05 * randn(*image.shape)
    return [recolor(image), noisy, blurred, image**2.2, rand(*image.shape)]


class TestEdgeSsim:
    def test_shape(self):
        assert edge_ssim(rand(3, 3, 20, 30), rand(3, 3, 20, 30, seed=1)).shape == (3,)

    @pytest.mark.parametrize("name", NAMES)
    def test_matches_reference(self, name):
        content = photo(name)
        for output in changes(content):
            actual, pair = float(edge_ssim(content, output)), (content[0].numpy(), output[0].numpy())
            # The value that is nearest to the percentile is taken, not one between two. Besides, 1e-12 under the root
            # moves flat pixels by 1e-6 of the range.
            assert abs(actual - reference.edge_ssim(*pair, method="nearest")) < 1e-6
            # Against the interpolated percentile of the formula; the crops have 1100 to 2100 pixels, a photo of a
            # megapixel has its values 500 times as close.
            assert abs(actual - reference.edge_ssim(*pair)) < 2e-3

    def test_percentile_of_a_larger_photo(self):
        content = photo("chelsea", whole=True)[..., 40:200, 40:240]
        for output in changes(content)[:2]:
            expected = reference.edge_ssim(content[0].numpy(), output[0].numpy())
            assert abs(float(edge_ssim(content, output)) - expected) < 1e-4

    def test_known_value(self):
        # A step against a flat photo. The step's edges: columns 15 and 16 are 1, all others 0. Those of the flat one
        # are f = 1e-3 everywhere: 1e-6, from under the root, over 1e-3, the least percentile that is divided by. So it
        # is (2 mu f + C1) C2 / ((mu^2 + f^2 + C1) (var + C2)), mu and var those of a ridge of ones under the window.
        # Beside the ridge are 2e-6 by the root, and the denominator, 9e-8 far from it, has kornia's 1e-12 added.
        step, flat = torch.zeros(1, 3, 32, 32).double(), torch.full((1, 3, 32, 32), 0.5).double()
        step[..., 16:] = 1
        taps = np.exp(-(np.arange(-5, 6) ** 2) / 4.5)
        taps /= taps.sum()
        expected = []
        for center in range(5, 27):
            mean = sum(taps[x - center + 5] for x in (15, 16) if abs(x - center) <= 5)
            numerator = (2e-3 * mean + 1e-4) * 9e-4
            expected.append(numerator / ((mean**2 + 1e-6 + 1e-4) * (mean - mean**2 + 9e-4)))
        torch.testing.assert_close(float(edge_ssim(step, flat)), float(np.mean(expected)), rtol=0, atol=3e-5)

    @pytest.mark.parametrize("name", NAMES)
    def test_one_for_the_same_edges(self, name):
        image = photo(name)
        # kornia adds 1e-12 to the denominator, which is C1 C2 = 9e-8 at pixels without an edge.
        torch.testing.assert_close(edge_ssim(image, image), torch.ones(1).double(), rtol=0, atol=1.2e-5)

    @pytest.mark.parametrize("name", NAMES)
    def test_invariance_to_contrast_and_brightness(self, name):
        image = photo(name)
        for output in (0.5 * image, 0.3 + 0.5 * image, 1 - image):
            torch.testing.assert_close(edge_ssim(image, output), torch.ones(1).double(), rtol=0, atol=1e-5)

    def test_invariance_to_mirroring_and_order(self):
        image = photo("astronaut")
        output = changes(image)[1]
        expected = edge_ssim(image, output)
        torch.testing.assert_close(edge_ssim(output, image), expected)
        torch.testing.assert_close(edge_ssim(image.flip(3), output.flip(3)), expected)
        torch.testing.assert_close(edge_ssim(image.mT, output.mT), expected)

    def test_invariance_to_other_items_of_the_batch(self):
        content, output = rand(3, 3, 20, 30), rand(3, 3, 20, 30, seed=1)
        torch.testing.assert_close(edge_ssim(content, output)[1:2], edge_ssim(content[1:2], output[1:2]))

    def test_falls_with_what_is_invented(self):
        image = photo("astronaut")
        noise = randn(*image.shape)
        values = [float(edge_ssim(image, image + sigma * noise)) for sigma in (0.0, 0.003, 0.01, 0.03, 0.1)]
        assert values == sorted(values, reverse=True)
        assert values[1] > 0.95
        assert values[-1] < 0.5

    def test_float32(self):
        for output in changes(photo("coffee")):
            content = photo("coffee")
            actual = edge_ssim(content.float(), output.float())
            assert actual.dtype == torch.float32
            torch.testing.assert_close(actual.double(), edge_ssim(content, output), rtol=0, atol=1e-4)

    def test_mixed_precision_costs_nothing(self):
        # A GPU validates under autocast, where a convolution would round the gradients to two digits.
        content = photo("coffee").float()
        output = recolor(content)
        expected = edge_ssim(content, output)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(edge_ssim(content, output), expected)

    def test_half_precision_is_judged_in_float32(self):
        content, output = photo("coffee").bfloat16(), recolor(photo("coffee")).bfloat16()
        assert torch.equal(edge_ssim(content, output), edge_ssim(content.float(), output.float()))

    def test_smallest_size(self):
        image = rand(1, 3, WINDOW, WINDOW)
        assert reference.RADIUS * 2 + 1 == WINDOW
        other = rand(1, 3, WINDOW, WINDOW, seed=1)
        expected = reference.edge_ssim(image[0].numpy(), other[0].numpy(), method="nearest")
        assert abs(float(edge_ssim(image, other)) - expected) < 1e-6

    @pytest.mark.parametrize("size", [(10, 40), (40, 10), (3, 3)])
    def test_rejects_small_images(self, size):
        with pytest.raises(ShapeError, match=r"content: expected shape \(B, 3, H >= 11, W >= 11\)"):
            edge_ssim(rand(1, 3, *size), rand(1, 3, *size))

    @pytest.mark.parametrize("shape", [(1, 3, 20, 31), (2, 3, 20, 30)])
    def test_rejects_other_shapes(self, shape):
        with pytest.raises(ShapeError, match=r"output: expected shape \(1, 3, 20, 30\), got"):
            edge_ssim(rand(1, 3, 20, 30), rand(*shape))

    def test_rejects_what_is_no_image(self):
        with pytest.raises(ShapeError, match="content: expected shape"):
            edge_ssim(rand(1, 1, 20, 30), rand(1, 1, 20, 30))
        with pytest.raises(InputError, match="output: expected floating point"):
            edge_ssim(rand(1, 3, 20, 30), (rand(1, 3, 20, 30) * 255).byte())


class TestAffineResidual:
    def test_shape(self):
        assert affine_residual(rand(3, 3, 20, 30), rand(3, 3, 20, 30, seed=1)).shape == (3,)

    @pytest.mark.parametrize("name", NAMES)
    def test_matches_reference(self, name):
        content = photo(name)
        for output in changes(content):
            expected = reference.affine_residual(content[0].numpy(), output[0].numpy())
            assert abs(float(affine_residual(content, output)) - expected) < 1e-9

    @pytest.mark.parametrize("name", NAMES)
    def test_next_to_nothing_for_an_affine_recolouring(self, name):
        # Not zero: the ridge keeps the map below the best one.
        assert 0 < float(affine_residual(photo(name), recolor(photo(name)))) < 0.03

    def test_known_value(self):
        # Flat content explains nothing; a flat output has nothing to explain.
        flat, noise = torch.full((1, 3, 20, 20), 0.5), rand(1, 3, 20, 20, dtype=torch.float32)
        torch.testing.assert_close(affine_residual(flat, noise), torch.ones(1).double())
        torch.testing.assert_close(affine_residual(noise, flat), torch.zeros(1).double())

    def test_invariance_to_other_items_of_the_batch(self):
        content, output = rand(3, 3, 20, 30), rand(3, 3, 20, 30, seed=1)
        torch.testing.assert_close(affine_residual(content, output)[1:2], affine_residual(content[1:2], output[1:2]))

    def test_invariance_to_the_contrast_of_the_output(self):
        content, output = photo("coffee"), changes(photo("coffee"))[1]
        torch.testing.assert_close(affine_residual(content, 0.2 + 0.5 * output), affine_residual(content, output))

    def test_float32_loses_nothing(self):
        content, output = photo("coffee").float(), changes(photo("coffee"))[1].float()
        expected = affine_residual(content.double(), output.double())
        assert torch.equal(affine_residual(content, output), expected)

    def test_rejects_other_shapes(self):
        with pytest.raises(ShapeError, match=r"output: expected shape \(1, 3, 20, 30\), got"):
            affine_residual(rand(1, 3, 20, 30), rand(1, 3, 20, 31))
        with pytest.raises(ShapeError, match=r"content: expected shape .*H >= 3"):
            affine_residual(rand(1, 3, 2, 30), rand(1, 3, 2, 30))


class TestInventedResidual:
    def test_matches_reference(self):
        content = photo("coffee")
        for output in changes(content)[1:3]:
            expected = reference.invented_residual(content[0].numpy(), output[0].numpy())
            assert abs(float(invented_residual(content, output)) - expected) < 1e-6

    def test_known_value(self):
        # Stripes of 32 levels up and down on flat content: a window of 15 columns holds 8 of one sign and 7 of the
        # other, so its mean is a fifteenth of 32 off and the deviation a little under 32.
        flat = torch.full((1, 3, 64, 128), 0.5).double()
        stripes = flat.clone()
        stripes[..., ::2], stripes[..., 1::2] = 0.5 + 32 / 255, 0.5 - 32 / 255
        expected = 32 * (1 - (1 / 15) ** 2) ** 0.5
        assert abs(float(invented_residual(flat, stripes)) - expected) < 1e-9

    def test_sees_a_stain_and_no_grain(self):
        content = torch.full((1, 3, 256, 256), 0.5).double()
        ys, xs = torch.meshgrid(torch.linspace(-4, 4, 256), torch.linspace(-4, 4, 256), indexing="ij")
        stain = 0.1 * torch.exp(-(ys**2) - xs**2)
        stained, grainy = content + stain, content + 0.02 * randn(1, 3, 256, 256)
        assert float(invented_residual(content, stained)) > 1.5
        assert float(invented_residual(content, stained)) < float(invented_residual(content, content + 2 * stain))
        # 2x2 pixels become one: half the deviation of 5.1 levels is left.
        assert float(invented_residual(content, grainy)) < 2.6
        assert float(invented_residual(content, content)) == 0

    def test_invariance_to_other_items_of_the_batch(self):
        content, output = rand(3, 3, 20, 30), rand(3, 3, 20, 30, seed=1)
        expected = invented_residual(content[1:2], output[1:2])
        torch.testing.assert_close(invented_residual(content, output)[1:2], expected)

    def test_rejects_a_strip(self):
        with pytest.raises(ShapeError, match=r"content: expected shape .* ratio of at most 128:15"):
            invented_residual(rand(1, 3, 20, 200), rand(1, 3, 20, 200))


def stripes(size, levels, gray=0.5):
    """Columns that are brighter and darker than grey in turn."""
    image = torch.full((1, 3, *size), gray).double()
    image[..., ::2] += levels / 255
    image[..., 1::2] -= levels / 255
    return image


class TestFlatSpread:
    FLAT = torch.full((1, 3, 64, 128), 0.5).double()

    def test_shape(self):
        spread = flat_spread(self.FLAT.expand(3, -1, -1, -1).float(), rand(3, 3, 64, 128).float())
        assert spread.shape == (3,)
        assert spread.dtype == torch.float64

    @pytest.mark.parametrize("size", [(40, 53), (90, 140)])
    def test_matches_reference(self, size):
        # Noise of 1 to 20 levels from left to right: a part of the windows is flat.
        noise = torch.linspace(1, 20, size[1]).double() / 255 * randn(1, 3, *size)
        content, output = 0.5 + noise, 0.5 + 0.1 * randn(1, 3, *size, seed=1)
        expected = reference.flat_spread(content[0].numpy(), output[0].numpy())
        assert 1 < expected < 100
        assert abs(float(flat_spread(content, output)) - expected) < 1e-6  # variances of 1e-4 lose four digits

    def test_known_value(self):
        # A window of 15 columns holds 8 of one sign and 7 of the other. All three channels count.
        expected = 32 * (3 * (1 - (1 / 15) ** 2)) ** 0.5
        assert abs(float(flat_spread(self.FLAT, stripes((64, 128), 32))) - expected) < 1e-9
        assert float(flat_spread(self.FLAT, 0.2 * self.FLAT)) == pytest.approx(0, abs=1e-4)
        # The content's own stripes are below the limit of 5 levels, or above.
        own = 2 * (3 * (1 - (1 / 15) ** 2)) ** 0.5
        content = stripes((64, 128), 2)
        assert abs(float(flat_spread(content, content)) - own) < 1e-9
        assert flat_spread(stripes((64, 128), 3), self.FLAT).isnan()

    def test_sees_only_what_lies_in_flat_areas(self):
        content = rand(1, 3, 64, 128)
        content[..., :64] = 0.5
        outputs = [content.clone() for _ in range(2)]
        outputs[0][..., 64:] = 0
        outputs[1][..., :64] += stripes((64, 64), 32) - 0.5
        flat, striped = (float(flat_spread(content, output)) for output in outputs)
        assert flat == pytest.approx(0, abs=1e-4)
        assert striped == pytest.approx(32 * (3 * (1 - (1 / 15) ** 2)) ** 0.5, abs=1e-9)

    def test_nan_without_flat_areas(self):
        # Of 50 rows and 114 columns of windows, those of the first 14 + n columns of pixels are n columns.
        content = rand(1, 3, 64, 128)
        assert flat_spread(content, content).isnan()
        needed = int(np.ceil(MIN_FLAT_SHARE * 114))
        for columns, missing in ((needed, False), (needed - 1, True)):
            partly = content.clone()
            partly[..., : 14 + columns] = 0.5
            assert bool(flat_spread(partly, partly).isnan()) is missing

    def test_a_photo_with_flat_areas_beside_one_without(self):
        contents = torch.cat([self.FLAT, rand(1, 3, 64, 128), self.FLAT])
        spread = flat_spread(contents, contents + 0.05 * randn(3, 3, 64, 128, seed=1))
        assert spread.isnan().tolist() == [False, True, False]
        outputs = contents[2:] + 0.05 * randn(3, 3, 64, 128, seed=1)[2:]
        torch.testing.assert_close(spread[2:], flat_spread(contents[2:], outputs))

    def test_rejects_other_shapes_and_a_strip(self):
        with pytest.raises(ShapeError, match=r"output: expected shape \(1, 3, 20, 30\), got"):
            flat_spread(rand(1, 3, 20, 30), rand(1, 3, 20, 31))
        with pytest.raises(ShapeError, match=r"content: expected shape .* ratio of at most 128:15"):
            flat_spread(rand(1, 3, 20, 200), rand(1, 3, 20, 200))


class TestColorDifference:
    def test_known_value(self):
        # L is 0 for black and 100 for white; a and b of greys are 0, up to the digits of the CIE matrix.
        black, white = torch.zeros(2, 3, 4, 5).double(), torch.ones(2, 3, 4, 5).double()
        torch.testing.assert_close(color_difference(black, white), torch.full((2,), 100.0).double(), rtol=0, atol=1e-3)
        half = black.clone()
        half[1, :, :2] = 1
        torch.testing.assert_close(
            color_difference(half, white), torch.tensor([100.0, 50.0]).double(), rtol=0, atol=1e-3
        )

    def test_matches_scikit_image(self):
        first, second = photo("chelsea"), recolor(photo("chelsea")).clamp(0, 1)
        pair = (rgb2lab(image[0].permute(1, 2, 0).numpy()) for image in (first, second))
        expected = deltaE_cie76(*pair).mean()
        # scikit-image rounds the matrix to six digits: 1e-6 of values up to 100, divided by slopes of the root.
        assert abs(float(color_difference(first, second)) - expected) < 1e-2

    def test_zero_for_equal_images(self):
        assert float(color_difference(photo("coffee"), photo("coffee"))) == 0

    def test_is_symmetric(self):
        images = photo("coffee"), recolor(photo("coffee")).clamp(0, 1)
        assert torch.equal(color_difference(*images), color_difference(*images[::-1]))

    def test_rejects_other_shapes(self):
        with pytest.raises(ShapeError, match="truth: expected shape"):
            color_difference(rand(1, 3, 20, 30), rand(1, 3, 20, 31))


class TestPsnr:
    def test_known_value(self):
        black = torch.zeros(2, 3, 4, 5)
        off = torch.stack([torch.full((3, 4, 5), 0.1), torch.full((3, 4, 5), 0.01)])
        torch.testing.assert_close(psnr(off, black), torch.tensor([20.0, 40.0]))

    def test_matches_scikit_image(self):
        content, output = photo("chelsea"), changes(photo("chelsea"))[1]
        expected = peak_signal_noise_ratio(content[0].numpy(), output[0].numpy(), data_range=1)
        torch.testing.assert_close(float(psnr(output, content)), expected)

    def test_infinite_for_equal_images(self):
        assert float(psnr(photo("coffee"), photo("coffee"))) == float("inf")

    def test_rejects_other_shapes(self):
        with pytest.raises(ShapeError, match="truth: expected shape"):
            psnr(rand(1, 3, 20, 30), rand(1, 3, 20, 31))


class TestColorSsim:
    def test_matches_scikit_image(self):
        for output in changes(photo("chelsea")):
            first, second = photo("chelsea")[0].numpy(), output[0].numpy()
            _, full = structural_similarity(
                first,
                second,
                gaussian_weights=True,
                use_sample_covariance=False,
                data_range=1,
                channel_axis=0,
                full=True,
            )
            expected = full[:, 5:-5, 5:-5].mean()
            assert abs(float(color_ssim(output, photo("chelsea"))) - expected) < 1e-5

    def test_rejects_small_images(self):
        with pytest.raises(ShapeError, match=r"output: expected shape .*H >= 11"):
            color_ssim(rand(1, 3, 10, 30), rand(1, 3, 10, 30))
