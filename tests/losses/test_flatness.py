import numpy as np
import pytest
import torch

from lookcast.losses.flatness import flatness_excess
from tests.reference import metrics as reference
from tests.samples import photo, rand, randn

FLAT = torch.full((1, 3, 40, 48), 0.5, dtype=torch.float64)


def striped(size, amplitude, period=4):
    """Stripes of `period / 2` columns, brighter and darker in turn."""
    signs = 1.0 - 2 * (torch.arange(size[1]) % period >= period / 2).double()
    return (0.5 + amplitude * signs).expand(1, 3, size[0], -1).clone()


class TestFlatnessExcess:
    def test_known_value(self):
        # At half size, stripes are one column wide. A window of 15 columns holds 8 of one sign and 7 of the other. The
        # spread of the content is the root of 1e-10.
        weight = 1 / (1 + np.exp(255e-5 - 5))
        expected = weight * 3 * 0.1**2 * (1 - (1 / 15) ** 2)
        assert abs(float(flatness_excess(FLAT, striped((40, 48), 0.1))) - expected) < 1e-12
        # Stripes of single pixels vanish at half size.
        assert float(flatness_excess(FLAT, striped((40, 48), 0.1, period=2))) == pytest.approx(0, abs=1e-15)

    def test_matches_reference(self):
        # Noise of up to 8 levels: the weights of the windows differ.
        noise = torch.linspace(0, 8, 48).double() / 255 * randn(1, 3, 40, 48)
        content, output = 0.5 + noise, 0.5 + 0.1 * randn(1, 3, 40, 48, seed=1)
        expected = reference.flatness_excess(content[0].numpy(), output[0].numpy())
        assert expected > 1e-4
        assert abs(float(flatness_excess(content, output)) - expected) < 1e-12

    @pytest.mark.parametrize("image", [FLAT, photo("coffee"), striped((40, 48), 0.01)])
    def test_zero_for_the_content_unchanged(self, image):
        assert float(flatness_excess(image, image)) == 0

    def test_zero_for_less_structure(self):
        content = striped((40, 48), 0.01)
        assert float(flatness_excess(content, 0.5 + 0.5 * (content - 0.5))) == 0
        assert float(flatness_excess(content, 0.5 + 2 * (content - 0.5))) > 1e-5

    def test_a_texture_may_change(self):
        # The spread of half-size noise is 60 levels.
        content = rand(1, 3, 40, 48)
        assert float(flatness_excess(content, 2 * content)) < 1e-12

    def test_invariance_to_another_color(self):
        content, output = FLAT, striped((40, 48), 0.1)
        shift = torch.tensor([0.3, -0.2, 0.1]).double().view(1, 3, 1, 1)
        expected = flatness_excess(content, output)
        torch.testing.assert_close(flatness_excess(content + shift, output - shift), expected, rtol=1e-12, atol=0)

    def test_is_the_mean_over_the_batch(self):
        contents, outputs = (
            torch.cat([FLAT, photo("coffee")[..., :33, :48].repeat(1, 1, 2, 1)[..., :40, :]]),
            rand(2, 3, 40, 48),
        )
        ours = [flatness_excess(contents[n : n + 1], outputs[n : n + 1]) for n in range(2)]
        torch.testing.assert_close(flatness_excess(contents, outputs), (ours[0] + ours[1]) / 2, rtol=1e-12, atol=0)

    @pytest.mark.parametrize("size", [(40, 48), (16, 60), (2, 2)])
    def test_gradcheck(self, size):
        content, output = 0.5 + 0.01 * randn(1, 3, *size), rand(1, 3, *size, seed=1).requires_grad_()
        assert torch.autograd.gradcheck(lambda image: flatness_excess(content, image), output, fast_mode=True)

    def test_gradient_is_zero_nowhere_in_stripes(self):
        output = striped((40, 48), 0.1).requires_grad_()
        flatness_excess(FLAT, output).backward()
        # Towards grey, at every pixel.
        assert (output.grad * (output.detach() - 0.5)).min() > 0

    def test_mixed_precision_costs_nothing(self):
        content, output = FLAT.float(), striped((40, 48), 0.02).float()
        expected = flatness_excess(content, output)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(flatness_excess(content, output), expected)

    def test_float32_keeps_the_digits(self):
        # A bright sky with stripes of one level: the variance is 1e-5 of the square, and E[x^2] has 7 digits.
        output = 0.4 + striped((40, 48), 1 / 255)
        expected = float(flatness_excess(FLAT + 0.4, output))
        assert float(flatness_excess(FLAT.float() + 0.4, output.float())) == pytest.approx(expected, rel=1e-3)

    def test_small_photos(self):
        # Sides below 30 px: one window, as large as the image.
        weight = 1 / (1 + np.exp(255e-5 - 5))
        output = striped((16, 24), 0.1)
        expected = weight * 3 * 0.1**2
        assert float(flatness_excess(FLAT[..., :16, :24], output)) == pytest.approx(expected, rel=1e-9)
