import pytest
import torch

from lookcast.checks import InputError, ShapeError
from lookcast.ops.color import luma
from tests.samples import photo, rand


class TestLuma:
    def test_shape(self):
        assert luma(rand(2, 3, 4, 5)).shape == (2, 1, 4, 5)

    def test_known_value(self):
        colors = torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [1, 1, 1], [0, 0, 0]]).T.view(1, 3, 1, 5)
        expected = torch.tensor([0.299, 0.587, 0.114, 1, 0])
        torch.testing.assert_close(luma(colors).flatten(), expected, rtol=0, atol=1e-6)

    def test_matches_pillow(self):
        from PIL import Image

        pixels = (photo("coffee")[0] * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
        expected = torch.frombuffer(bytearray(Image.fromarray(pixels).convert("L").tobytes()), dtype=torch.uint8)
        actual = luma(photo("coffee")).flatten() * 255
        assert (actual - expected).abs().max() <= 0.51  # Pillow rounds to 8 bits

    def test_invariance_of_greys(self):
        grey = rand(1, 1, 4, 5)
        torch.testing.assert_close(luma(grey.repeat(1, 3, 1, 1)), grey, rtol=0, atol=1e-15)

    def test_gradcheck(self):
        assert torch.autograd.gradcheck(luma, rand(1, 3, 2, 3).requires_grad_())

    def test_rejects_what_is_no_image(self):
        with pytest.raises(ShapeError, match="image: expected shape"):
            luma(rand(3, 4, 5))
        with pytest.raises(InputError, match="image: expected floating point"):
            luma(torch.zeros(1, 3, 4, 5, dtype=torch.uint8))
