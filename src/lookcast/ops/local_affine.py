"""Two differentiable measures of how far a photo is from a locally affine recolouring of another photo."""

from functools import reduce

import torch
import torch.nn.functional as F
from kornia.filters import guided_blur
from torch.autograd.function import FunctionCtx

from lookcast.checks import InputError, ShapeError, check_image_pair
from lookcast.ops.cholesky import Lower, cholesky_3x3
from lookcast.ops.precision import full_type, no_autocast

WINDOW = 3
"""Side of the windows of the matting energy, in pixels."""


def matting_energy(content: torch.Tensor, output: torch.Tensor, eps: float = 1e-7) -> torch.Tensor:
    r"""Return the energy of the matting Laplacian in closed form, without a sparse matrix.

    `E(I, V) = sum_k min_(A,b) sum_(i in k) |V_i - A I_i - b|^2 + eps |A|^2 = sum_c V_c^T L(I) V_c`. The index k runs
    over the 3x3 windows that lie completely inside the image. The energy is a sum over windows, as in the paper, where
    it has the weight lambda = 1e4. `losses.photorealism.MattingPenalty` divides the energy by `3 * num_windows(H, W)`.
    The penalty therefore needs the weight `1e4 * 3 * (H - 2) * (W - 2)` to be equivalent.

    The function subtracts the mean of each window before any product, because E[x^2] - E[x]^2 has no correct digit on
    flat windows. The energy is the residual of the fit, so rounding errors in A change the energy only in second order.
    The computation uses float32 at least, without autocast, and needs about 60 floats per pixel. The energy is
    differentiable once for content and output. By the envelope theorem, the derivative treats A as a constant. A second
    derivative raises an error.

    Args:
        content: I, `(B, 3, H, W)`.
        output: V, `(B, 3, H, W)`.
        eps: weight of |A|^2, the `epsilon` of `pymatting.cf_laplacian`.

    Returns:
        `(B,)`, at least 0.

    Raises:
        ShapeError: the shapes differ, or the image is smaller than a window.
        InputError: `eps` is not positive. On a flat window, A would not be unique.

    Reference:
        Levin, Lischinski, Weiss, "A Closed-Form Solution to Natural Image Matting", PAMI 2008, eq. 12-13;
        Luan et al. 2017, eq. 2.
    """
    check_image_pair("content", content, "output", output, WINDOW)
    if not eps > 0:
        raise InputError(f"eps: expected a positive number, got {eps}")
    dtype = full_type(content, output)
    with no_autocast(content):
        energy: torch.Tensor = _MattingEnergy.apply(content.to(dtype), output.to(dtype), eps)
    return energy


def num_windows(height: int, width: int) -> int:
    """Return the number of 3x3 windows that lie completely inside an image."""
    return (height - WINDOW + 1) * (width - WINDOW + 1)


def guided_residual(
    content: torch.Tensor, output: torch.Tensor, kernel_size: int = 9, eps: float = 1e-4, subsample: int = 1
) -> torch.Tensor:
    """Return the residual of a guided filter with the content as guide: mean |O - guided_filter(I, O)|^2.

    This residual is cheaper than the matting energy and penalises the same images, but with other values, for three
    reasons. The guided filter averages the affine maps of all windows around a pixel and then applies the average. Its
    windows are larger. kornia pads the borders by reflection.

    Args:
        content: the guide I, `(B, 3, H, W)` in [0, 1].
        output: O, `(B, 3, H, W)`.
        kernel_size: side of the windows in pixels, odd.
        eps: regularisation of the fit in each window, at least 1e-5. Smaller values would give noise on flat windows.
        subsample: n. The fit uses every n-th pixel of each axis and costs about 1/n^2 as much (He and Sun 2015).

    Returns:
        `(B,)`.

    Raises:
        ShapeError: the shapes differ, or the image is smaller than half a window.
        InputError: the kernel has an even side, before or after subsampling, or a number is too small.

    Reference:
        He, Sun, Tang, "Guided Image Filtering", PAMI 2013; He and Sun, "Fast Guided Filter", arXiv 1505.00996.
    """
    check_image_pair("content", content, "output", output)
    if kernel_size < 3 or kernel_size % 2 == 0:
        raise InputError(f"kernel_size: expected an odd number of at least 3, got {kernel_size}")
    if not eps >= 1e-5:
        raise InputError(f"eps: expected at least 1e-5, got {eps}")
    taken = (kernel_size - 1) // max(subsample, 1) + 1  # pixels per side of a subsampled window
    if subsample < 1 or taken < WINDOW or taken % 2 == 0:  # an even window is not centred on its pixel
        raise InputError(f"subsample: expected to keep 3, 5, 7, ... of {kernel_size} pixels per side, got {subsample}")
    min_side = subsample * (taken // 2 + 1)  # minimum for the reflection at the border
    if min(content.shape[-2:]) < min_side:
        raise ShapeError("content", f"(B, 3, H >= {min_side}, W >= {min_side})", content.shape)
    dtype = full_type(output)  # the error of the filter in bfloat16 is 1e-2
    content, output = content.to(dtype), output.to(dtype)
    with no_autocast(content):
        explained = guided_blur(content, output, kernel_size, eps, subsample=subsample, separable=True)
    return (output - explained).square().mean((1, 2, 3))


def _centred_windows(image: torch.Tensor) -> list[torch.Tensor]:
    """Return the windows minus their means: nine tensors `(B, 3, H - 2, W - 2)`, one for each position in a window."""
    height, width = (d - WINDOW + 1 for d in image.shape[-2:])
    pixels = [image[..., y : y + height, x : x + width] for y in range(WINDOW) for x in range(WINDOW)]
    mean = sum(pixels[1:], pixels[0]) / len(pixels)
    return [pixel - mean for pixel in pixels]


def _scatter_windows(pixels: list[torch.Tensor], like: torch.Tensor) -> torch.Tensor:
    """Apply the transpose of `_centred_windows`: subtract the window means, then add every value to its pixel."""
    height, width = pixels[0].shape[-2:]
    mean = sum(pixels[1:], pixels[0]) / len(pixels)
    image = torch.zeros_like(like)
    for index, pixel in enumerate(pixels):
        y, x = divmod(index, WINDOW)
        image[..., y : y + height, x : x + width] += pixel - mean
    return image


def _solve(system: Lower, right: torch.Tensor, floor: float) -> torch.Tensor:
    """Solve S a = r for the symmetric positive definite 3x3 systems of all windows at once.

    `floor` is the minimum of the squared pivots. Without rounding, no squared pivot would be below eps, because S is
    at least eps times the identity.
    """
    l00, l10, l11, l20, l21, l22 = cholesky_3x3(system, lambda square, _: square.clamp_min(floor))
    y0 = right[0] / l00
    y1 = (right[1] - l10 * y0) / l11
    y2 = (right[2] - l20 * y0 - l21 * y1) / l22
    a2 = y2 / l22
    a1 = (y1 - l21 * a2) / l11
    a0 = (y0 - l10 * a1 - l20 * a2) / l00
    return torch.stack([a0, a1, a2])


def window_models(content: torch.Tensor, output: torch.Tensor, eps: float = 1e-7) -> torch.Tensor:
    """Return the affine maps (A, b) of the windows in `matting_energy`.

    Args:
        content: I, `(B, 3, H, W)`, at least 3 px per side.
        output: V, same shape.
        eps: weight of |A|^2.

    Returns:
        `(B, 12, H - 2, W - 2)`: for each window, the 3x4 matrix (A, b), row-major.

    Raises:
        ShapeError: the shapes differ, or the image is smaller than a window.
    """
    check_image_pair("content", content, "output", output, WINDOW)
    affine = _fit_windows(_centred_windows(content), _centred_windows(output), eps).permute(2, 0, 1, 3, 4)
    before, after = (F.avg_pool2d(image, WINDOW, 1) for image in (content, output))
    offset = after - (affine * before[:, None]).sum(2)
    return torch.cat([affine, offset[:, :, None]], 2).flatten(1, 2)


def _fit_windows(guide: list[torch.Tensor], values: list[torch.Tensor], eps: float) -> torch.Tensor:
    """Return A of all windows, `(3 of V, 3 of I, B, H - 2, W - 2)`, for the centred windows of I and V."""
    s00, s10, s11, s20, s21, s22 = (_sum_products(guide, i, guide, j) for i in range(3) for j in range(i + 1))
    system = s00 + eps, s10, s11 + eps, s20, s21, s22 + eps
    maps = []  # the row of A for each channel of the output: (3, B, H - 2, W - 2)
    for channel in range(3):
        right = [_sum_products(guide, i, values, channel) for i in range(3)]
        maps.append(_solve(system, torch.stack(right), floor=eps))
    return torch.stack(maps)


def _sum_products(first: list[torch.Tensor], i: int, second: list[torch.Tensor], j: int) -> torch.Tensor:
    """Return the sum of channel i times channel j over the nine pixels of each window, `(B, H - 2, W - 2)`."""
    products = (p[:, i] * q[:, j] for p, q in zip(first, second, strict=True))
    return reduce(torch.add, products)


class _MattingEnergy(torch.autograd.Function):
    """The energy and its gradient: dE = sum 2 r (dV - A dI), with the residual r = V - A I.

    I and V are the windows of content and output minus their means. A minimises the energy, so dE has no term for the
    change of A.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, content: torch.Tensor, output: torch.Tensor, eps: float) -> torch.Tensor:
        guide, values = _centred_windows(content), _centred_windows(output)
        affine = _fit_windows(guide, values, eps)
        energy = eps * affine.square().sum((0, 1, 3, 4))
        for pixel, value in zip(guide, values, strict=True):
            energy = energy + (value - _map(affine, pixel)).square().sum((1, 2, 3))
        ctx.save_for_backward(content, output, affine)
        return energy

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        content, output, affine = ctx.saved_tensors  # type: ignore[attr-defined]
        sources = content, output, gradient
        with torch.no_grad():
            scale = 2 * gradient.view(-1, 1, 1, 1)
            residuals = [
                scale * (value - _map(affine, pixel))
                for pixel, value in zip(_centred_windows(content), _centred_windows(output), strict=True)
            ]
            to_output = _scatter_windows(residuals, output)
        if not ctx.needs_input_grad[0]:  # type: ignore[attr-defined]
            return None, _NoSecondDerivative.apply(to_output, *sources), None
        with torch.no_grad():
            back = affine.transpose(0, 1)
            to_content = _scatter_windows([-_map(back, r) for r in residuals], content)
        return _NoSecondDerivative.apply(to_content, *sources), _NoSecondDerivative.apply(to_output, *sources), None


class _NoSecondDerivative(torch.autograd.Function):
    """Identity function that raises an error if the gradient, which is its input, is differentiated again.

    torch's `once_differentiable` checks only the incoming gradient. After `energy.sum()`, it would silently omit the
    second derivative.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, gradient: torch.Tensor, *sources: torch.Tensor) -> torch.Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: torch.Tensor) -> None:
        raise RuntimeError("matting_energy: differentiable once only, a second derivative is not implemented")


def _map(affine: torch.Tensor, pixel: torch.Tensor) -> torch.Tensor:
    return torch.einsum("vibhw,bihw->bvhw", affine, pixel)
