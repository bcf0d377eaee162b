import pytest
import torch

from lookcast.checks import InputError, ShapeError
from lookcast.ops.bilateral.reference import apply_affine
from lookcast.ops.local_affine import matting_energy
from lookcast.ops.smoothing import smooth_local_affine
from tests.reference import smoothing as reference
from tests.samples import photo, rand, randn, recolor

CONTENT = photo("astronaut")[..., :14, :17]


class TestSmoothLocalAffine:
    def test_shape(self):
        assert smooth_local_affine(CONTENT, CONTENT, 2).shape == (1, 12, 14, 17)

    @pytest.mark.parametrize(("radius", "edge"), [(1, 0.05), (3, 0.01), (4, 0.3)])
    def test_matches_reference(self, radius, edge):
        output = recolor(CONTENT) + 0.05 * randn(1, 3, 14, 17)
        models = smooth_local_affine(CONTENT, output, radius, edge, 1e-4)
        expected = reference.smooth_local_affine(CONTENT[0].numpy(), output[0].numpy(), radius, edge, 1e-4)
        torch.testing.assert_close(apply_affine(models, CONTENT)[0], torch.from_numpy(expected), rtol=0, atol=1e-9)

    def test_affine_output_stays(self):
        # Random colours determine the map of each window, up to the regularisation.
        content = rand(1, 3, 12, 13)
        smoothed = apply_affine(smooth_local_affine(content, recolor(content), 4, 0.5, 1e-7), content)
        torch.testing.assert_close(smoothed, recolor(content), rtol=0, atol=1e-4)

    def test_removes_noise_but_keeps_the_edge(self):
        # Two areas with a look each: a map of the whole photo could not give both.
        content = photo("coffee", whole=True)[..., 100:140, 100:160]
        content = torch.cat([0.2 * content, 0.8 + 0.2 * content], 3)
        wanted = torch.cat([1 - content[..., :60], 0.5 * content[..., 60:]], 3)
        noisy = wanted + 0.05 * randn(*content.shape)
        smoothed = apply_affine(smooth_local_affine(content, noisy), content)
        assert (smoothed - wanted).abs().mean() < 0.35 * (noisy - wanted).abs().mean()
        assert matting_energy(content, smoothed) < 0.1 * matting_energy(content, noisy)
        jump = (smoothed - wanted)[..., 58:62].abs().mean()
        assert jump < 0.05

    def test_float32_is_close_to_float64(self):
        output = recolor(CONTENT) + 0.05 * randn(1, 3, 14, 17)
        exact = apply_affine(smooth_local_affine(CONTENT, output, 3, 0.1, 1e-4), CONTENT)
        single = CONTENT.float(), output.float()
        # The entries of A are at most |V| / sqrt(eps) = 100 times the rounding of V - b, which is 6e-8, in each of nine
        # pixels; the sums over the windows average the errors.
        assert (apply_affine(smooth_local_affine(*single, 3, 0.1, 1e-4), single[0]) - exact).abs().max() < 1e-4

    def test_flat_photo(self):
        flat = torch.full((1, 3, 6, 7), 0.4)
        output = torch.full((1, 3, 6, 7), 0.7)
        torch.testing.assert_close(apply_affine(smooth_local_affine(flat, output, 2), flat), output)

    def test_rejects_shapes(self):
        with pytest.raises(ShapeError, match=r"^output"):
            smooth_local_affine(CONTENT, CONTENT[..., 1:])
        with pytest.raises(ShapeError, match=r"^content: expected shape .B, 3, H >= 3, W >= 3"):
            smooth_local_affine(CONTENT[..., :2], CONTENT[..., :2])

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"radius": 0}, "radius: expected an integer from 1 to 1000, got 0"),
            ({"edge": 0.0}, "edge: expected a positive number, got 0"),
            ({"eps": float("nan")}, "eps: expected a positive number, got nan"),
        ],
    )
    def test_rejects_numbers(self, options, message):
        with pytest.raises(InputError, match=f"^{message}$"):
            smooth_local_affine(CONTENT, CONTENT, **options)
