import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from lookcast.checks import InputError, ShapeError
from lookcast.metrics.photo import (
    WINDOW,
    affine_residual,
    color_ssim,
    edge_ssim,
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
