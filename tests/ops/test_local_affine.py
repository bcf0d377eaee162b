import numpy as np
import pymatting
import pytest
import torch

from lookcast.checks import InputError, ShapeError
from lookcast.ops.local_affine import guided_residual, matting_energy, num_windows
from tests.reference import local_affine as reference
from tests.samples import CROPS, photo, rand, randn, recolor

EPS = 1e-7
RANDOM = {"square": (9, 9), "wide": (5, 23), "tall": (31, 4), "one window": (3, 3), "one row of windows": (3, 12)}


def _content(name):
    return photo(name) if name in CROPS else rand(1, 3, *RANDOM[name], seed=len(name))


def _outputs(content):
    """An output that has nothing to do with the content, and one as a generator makes it."""
    return rand(*content.shape, seed=1), recolor(content) + 0.01 * randn(*content.shape, seed=2)


def _laplacian_times(content, output):
    """L V as `(1, 3, H, W)`, with pymatting's sparse matrix."""
    pixels = content[0].permute(1, 2, 0).contiguous().numpy()
    product = pymatting.cf_laplacian(pixels, epsilon=EPS) @ output[0].permute(1, 2, 0).reshape(-1, 3).numpy()
    return torch.from_numpy(product).view(*content.shape[-2:], 3).permute(2, 0, 1)[None]


def _levels(image, step):
    """Rounded to every n-th 8-bit level: plateaus, most windows flat or with one step in one channel."""
    return (image * 255 / step).round() * step / 255


def _grey(image):
    return image.mean(1, keepdim=True).repeat(1, 3, 1, 1)


class TestMattingEnergy:
    def test_shape(self):
        assert matting_energy(rand(2, 3, 6, 7), rand(2, 3, 6, 7, seed=1)).shape == (2,)

    def test_known_value(self):
        # Flat content explains nothing: each window costs the output's spread in it. 3x3 window of zeros and a single 1
        # in one channel: 8 (1/9)^2 + (8/9)^2 = 8/9.
        content, output = torch.full((1, 3, 3, 3), 0.5).double(), torch.zeros(1, 3, 3, 3).double()
        output[0, 1, 2, 0] = 1
        torch.testing.assert_close(matting_energy(content, output), torch.tensor([8 / 9]).double())

    @pytest.mark.parametrize("name", [*CROPS, *RANDOM])
    def test_matches_pymatting(self, name):
        content = _content(name)
        for output in _outputs(content):
            expected = (output * _laplacian_times(content, output)).sum()
            torch.testing.assert_close(matting_energy(content, output, EPS)[0], expected, rtol=1e-9, atol=0)

    @pytest.mark.parametrize("name", [*CROPS, *RANDOM])
    def test_gradient_matches_pymatting(self, name):
        content = _content(name)
        for output in _outputs(content):
            output.requires_grad_()
            (gradient,) = torch.autograd.grad(matting_energy(content, output, EPS).sum(), output)
            expected = 2 * _laplacian_times(content, output.detach())
            error = (gradient - expected).abs().max() / expected.abs().max()
            assert error <= 1e-9

    # Grey photos: three equal channels, all windows singular but for eps. An explicit inverse, as pymatting's, gives
    # noise there, and loses digits wherever the colours of a window lie almost in a line; least squares do not.
    @pytest.mark.parametrize(
        "content", [photo("coffee"), rand(1, 3, 7, 12), _levels(photo("chelsea"), 16), _grey(photo("astronaut"))]
    )
    @pytest.mark.parametrize("eps", [1e-7, 1e-3])
    def test_matches_reference(self, content, eps):
        content = content[..., :16, :20]
        for output in (*_outputs(content), content**0.6, content):
            expected, gradient = reference.matting_energy(content[0].numpy(), output[0].numpy(), eps)
            output = output.clone().requires_grad_()
            energy = matting_energy(content, output, eps)
            assert energy.item() == pytest.approx(expected, rel=1e-12)
            energy.backward()
            assert (output.grad[0] - torch.from_numpy(gradient)).abs().max() <= 1e-11 * output.detach().abs().max()

    @pytest.mark.parametrize("name", [*CROPS, "square"])
    def test_constant_output_costs_nothing(self, name):
        content = _content(name)
        output = torch.tensor([0.9, 0.1, 0.4], dtype=torch.float64).view(1, 3, 1, 1).expand_as(content)
        assert matting_energy(content, output).item() <= 1e-27  # the output's own rounding, squared

    @pytest.mark.parametrize("name", [*CROPS, "square"])
    def test_affine_output_costs_at_most_the_eps_term(self, name):
        content = _content(name)
        rows = recolor(torch.eye(3).double().view(1, 3, 3, 1)) - recolor(torch.zeros(1, 3, 3, 1).double())
        bound = EPS * rows.square().sum().item() * num_windows(*content.shape[-2:])
        assert 0 < matting_energy(content, recolor(content), EPS).item() <= bound * (1 + 1e-9)
        # The bound tells something: a recolouring that is not affine costs many times as much.
        assert matting_energy(content, content**0.6, EPS).item() > 20 * bound

    @pytest.mark.parametrize("content", [*map(photo, CROPS), *(_levels(photo(name), 16) for name in CROPS)])
    def test_float32_is_close_to_float64(self, content):
        content = content.float()
        for output in _outputs(content):
            output = output.float().requires_grad_()
            energy = matting_energy(content, output)
            (gradient,) = torch.autograd.grad(energy.sum(), output)
            output64 = output.detach().double().requires_grad_()
            expected = matting_energy(content.double(), output64)
            (expected_gradient,) = torch.autograd.grad(expected.sum(), output64)
            # Centred windows and the residual form leave a few roundings of 6e-8 each; 9e-8 measured. The gradient
            # also feels the rounding of A; 9e-6 measured.
            torch.testing.assert_close(energy.double(), expected, rtol=5e-7, atol=0)
            assert (gradient - expected_gradient).norm() <= 5e-5 * expected_gradient.norm()

    def test_float32_is_close_to_float64_on_grey_photos(self):
        # In float32 the windows are singular and A is noise across the grey axis. What it adds to the energy is the
        # eps term of that noise: half of eps a window is allowed, a fifth measured.
        content = _grey(photo("chelsea")).float()
        allowed = 0.5 * EPS * num_windows(*content.shape[-2:])
        for output in (content, recolor(content), content**0.6):
            expected = matting_energy(content.double(), output.double(), EPS)
            assert abs(matting_energy(content, output, EPS).double() - expected).item() <= allowed

    def test_half_precision_and_autocast_are_computed_in_float32(self):
        content, output = rand(1, 3, 8, 9).bfloat16(), rand(1, 3, 8, 9, seed=1).bfloat16()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            energy = matting_energy(content, output)
        assert energy.dtype == torch.float32
        torch.testing.assert_close(energy, matting_energy(content.float(), output.float()), rtol=0, atol=0)

    def test_invariances(self):
        content, output = photo("coffee"), rand(1, 3, *photo("coffee").shape[-2:])
        energy = matting_energy(content, output)
        close = {"rtol": 1e-11, "atol": 0.0}
        # An offset and a global affine part of the content, up to the eps term, are free.
        torch.testing.assert_close(matting_energy(content, output + 0.3), energy, **close)
        torch.testing.assert_close(matting_energy(content, output + recolor(content)), energy, rtol=1e-6, atol=0)
        torch.testing.assert_close(matting_energy(content + 0.3, output), energy, **close)
        torch.testing.assert_close(matting_energy(content, 2 * output), 4 * energy, **close)
        torch.testing.assert_close(matting_energy(content.flip(-1), output.flip(-1)), energy, **close)
        torch.testing.assert_close(matting_energy(content.mT, output.mT), energy, **close)
        torch.testing.assert_close(matting_energy(content.flip(1), output), energy, **close)

    def test_invariance_to_other_items_of_the_batch(self):
        content, output = rand(3, 3, 6, 8), rand(3, 3, 6, 8, seed=1)
        single = torch.cat([matting_energy(c[None], o[None]) for c, o in zip(content, output, strict=True)])
        torch.testing.assert_close(matting_energy(content, output), single, rtol=1e-14, atol=0)

    def test_gradcheck(self):
        content, output = rand(2, 3, 5, 4).requires_grad_(), rand(2, 3, 5, 4, seed=1).requires_grad_()
        assert torch.autograd.gradcheck(matting_energy, (content, output))
        assert torch.autograd.gradcheck(matting_energy, (content.detach(), output))
        assert torch.autograd.gradcheck(matting_energy, (content, output.detach()))

    def test_gradcheck_with_large_eps(self):
        content, output = rand(1, 3, 4, 5).requires_grad_(), rand(1, 3, 4, 5, seed=1).requires_grad_()
        assert torch.autograd.gradcheck(lambda i, v: matting_energy(i, v, 0.1), (content, output))

    def test_rejects_second_derivatives(self):
        content, output = rand(1, 3, 4, 5).requires_grad_(), rand(1, 3, 4, 5, seed=1).requires_grad_()
        for guide, source in ((content, content), (content, output), (content.detach(), output)):
            (gradient,) = torch.autograd.grad(matting_energy(guide, output).sum(), source, create_graph=True)
            with pytest.raises(RuntimeError, match="differentiable once"):
                # The second summand has a gradient, so a missing gradient of the first one would pass unnoticed.
                (gradient.square().sum() + output.square().sum()).backward()

    def test_rejects_shapes_that_do_not_fit(self):
        with pytest.raises(ShapeError, match="output: expected shape"):
            matting_energy(rand(1, 3, 5, 5), rand(1, 3, 5, 6))
        with pytest.raises(ShapeError, match="output: expected shape"):
            matting_energy(rand(2, 3, 5, 5), rand(1, 3, 5, 5))
        with pytest.raises(ShapeError, match="H >= 3"):
            matting_energy(rand(1, 3, 2, 5), rand(1, 3, 2, 5))
        with pytest.raises(InputError, match="output: expected floating point"):
            matting_energy(rand(1, 3, 5, 5), torch.zeros(1, 3, 5, 5, dtype=torch.uint8))

    @pytest.mark.parametrize("eps", [0.0, -1e-7, float("nan")])
    def test_rejects_eps_that_is_not_positive(self, eps):
        with pytest.raises(InputError, match="eps: expected a positive number"):
            matting_energy(rand(1, 3, 5, 5), rand(1, 3, 5, 5), eps)


class TestNumWindows:
    def test_known_value(self):
        assert num_windows(3, 3) == 1
        assert num_windows(256, 256) == 254**2
        assert num_windows(4, 7) == 10


class TestGuidedResidual:
    def test_shape(self):
        assert guided_residual(rand(2, 3, 12, 13), rand(2, 3, 12, 13, seed=1)).shape == (2,)

    @pytest.mark.parametrize("kernel_size", [3, 5, 9])
    @pytest.mark.parametrize("name", ["coffee", "square"])
    def test_matches_reference(self, name, kernel_size):
        content = _content(name)[..., :17, :22]
        for output in _outputs(content):
            filtered = reference.guided_filter(content[0].numpy(), output[0].numpy(), kernel_size, 1e-4)
            expected = np.mean((output[0].numpy() - filtered) ** 2)
            actual = guided_residual(content, output, kernel_size, 1e-4).item()
            assert actual == pytest.approx(expected, rel=1e-12)

    @pytest.mark.parametrize(("kernel_size", "subsample"), [(9, 4), (9, 2), (5, 2)])
    def test_matches_reference_when_subsampled(self, kernel_size, subsample):
        content = photo("astronaut")[..., :24, :32]
        for output in _outputs(content):
            filtered = reference.guided_filter(content[0].numpy(), output[0].numpy(), kernel_size, 1e-4, subsample)
            expected = np.mean((output[0].numpy() - filtered) ** 2)
            actual = guided_residual(content, output, kernel_size, 1e-4, subsample).item()
            assert actual == pytest.approx(expected, rel=1e-12)

    @pytest.mark.parametrize("subsample", [1, 4])
    @pytest.mark.parametrize("name", CROPS)
    def test_affine_output_costs_little_and_a_warped_one_does_not(self, name, subsample):
        content = photo(name)
        affine = guided_residual(content, recolor(content), subsample=subsample).item()
        warped = guided_residual(content, content.roll(3, -1), subsample=subsample).item()
        noisy = guided_residual(content, content + 0.05 * randn(*content.shape), subsample=subsample).item()
        # eps shrinks each window's map: at most eps |A|^2 / 4 over three channels, |A|^2 = 1.84; the rest is for the
        # averaging of the maps, coarser when subsampled.
        assert affine <= 1e-4 * 1.84 / 3
        assert affine > 3 * guided_residual(content, recolor(content), eps=1e-5, subsample=subsample).item()
        assert warped > 100 * affine
        assert noisy > 0.0015  # of a variance of .0025 the windows' fits take a part

    @pytest.mark.parametrize("subsample", [1, 4])
    @pytest.mark.parametrize("content", [photo("coffee"), _levels(photo("coffee"), 16)])
    def test_float32_is_close_to_float64(self, content, subsample):
        content = content.float()
        for output in (recolor(content), recolor(content) + 0.01 * randn(*content.shape).float(), content.roll(3, -1)):
            actual = guided_residual(content, output, subsample=subsample).item()
            expected = guided_residual(content.double(), output.double(), subsample=subsample).item()
            # kornia's E[xy] - E[x]E[y] is off by 6e-8, a thousandth of eps; 1e-4 measured.
            assert actual == pytest.approx(expected, rel=5e-4)

    def test_half_precision_and_autocast_are_computed_in_float32(self):
        content, output = rand(1, 3, 12, 13).bfloat16(), rand(1, 3, 12, 13, seed=1).bfloat16()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            residual = guided_residual(content, output)
        assert residual.dtype == torch.float32
        torch.testing.assert_close(residual, guided_residual(content.float(), output.float()), rtol=0, atol=0)

    def test_invariances(self):
        content, output = photo("chelsea"), rand(*photo("chelsea").shape)
        residual = guided_residual(content, output)
        torch.testing.assert_close(guided_residual(content, output + 0.3), residual, rtol=1e-9, atol=0)
        torch.testing.assert_close(guided_residual(content, 2 * output), 4 * residual, rtol=1e-9, atol=0)
        torch.testing.assert_close(guided_residual(content.flip(-1), output.flip(-1)), residual, rtol=1e-9, atol=0)
        torch.testing.assert_close(guided_residual(content.mT, output.mT), residual, rtol=1e-9, atol=0)
        both = guided_residual(torch.cat([output, content]), torch.cat([content, output]))
        torch.testing.assert_close(both[1:], residual, rtol=1e-9, atol=0)

    @pytest.mark.parametrize("subsample", [1, 2])
    def test_gradcheck(self, subsample):
        content, output = rand(1, 3, 6, 7).requires_grad_(), rand(1, 3, 6, 7, seed=1).requires_grad_()
        # Fast mode compares one random projection of the Jacobian: kornia's filter takes 40 ms even at this size.
        assert torch.autograd.gradcheck(
            lambda i, o: guided_residual(i, o, 5, 1e-2, subsample), (content, output), fast_mode=True
        )

    def test_rejects_shapes_that_do_not_fit(self):
        with pytest.raises(ShapeError, match="output: expected shape"):
            guided_residual(rand(1, 3, 12, 12), rand(1, 3, 12, 13))
        for size, subsample in ((4, 1), (7, 4)):
            image = rand(1, 3, 12, size)
            with pytest.raises(ShapeError, match=f"H >= {size + 1}"):
                guided_residual(image, image, subsample=subsample)

    @pytest.mark.parametrize("size", [(5, 9), (8, 8), (8, 11)])
    def test_smallest_images(self, size):
        content = rand(1, 3, *size)
        subsample = 1 if min(size) < 8 else 4
        assert guided_residual(content, recolor(content), 9, 1e-5, subsample).item() < 1e-5

    @pytest.mark.parametrize("kernel_size", [8, 1, 0, -3])
    def test_rejects_kernels_without_a_centre(self, kernel_size):
        with pytest.raises(InputError, match="kernel_size: expected an odd number"):
            guided_residual(rand(1, 3, 12, 12), rand(1, 3, 12, 12), kernel_size)

    @pytest.mark.parametrize(("kernel_size", "subsample"), [(7, 2), (9, 8), (3, 2), (9, 0)])
    def test_rejects_kernels_that_lose_their_centre(self, kernel_size, subsample):
        with pytest.raises(InputError, match="subsample: expected"):
            guided_residual(rand(1, 3, 32, 32), rand(1, 3, 32, 32), kernel_size, subsample=subsample)

    @pytest.mark.parametrize("eps", [0.0, 1e-6, float("nan")])
    def test_rejects_small_eps(self, eps):
        with pytest.raises(InputError, match="eps: expected at least 1e-5"):
            guided_residual(rand(1, 3, 12, 12), rand(1, 3, 12, 12), eps=eps)
