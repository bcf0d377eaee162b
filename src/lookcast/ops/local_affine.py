"""How far a photo is from a locally affine recolouring of another: two measures, both differentiable."""

import torch
from kornia.filters import guided_blur
from torch.autograd.function import FunctionCtx

from lookcast.checks import InputError, ShapeError, check_image

WINDOW = 3
"""Side of the windows of the matting energy, in pixels."""


def matting_energy(content: torch.Tensor, output: torch.Tensor, eps: float = 1e-7) -> torch.Tensor:
    r"""Energy of the matting Laplacian, in its closed form, without the matrix.

    `E(I, V) = sum_k min_(A,b) sum_(i in k) |V_i - A I_i - b|^2 + eps |A|^2 = sum_c V_c^T L(I) V_c`, k over the 3x3
    windows that lie wholly inside the image. This is the *sum* form, to which the paper's lambda = 1e4 applies;
    `losses.photorealism.MattingPenalty` divides by `3 * num_windows(H, W)`, so that lambda = 1e4 there corresponds to
    a weight of `1e4 * 3 * (H - 2) * (W - 2)`.

    Windows are centred before anything is multiplied (E[x^2] - E[x]^2 would lose every digit on flat windows), and the
    energy is evaluated as the residual of the fit, so that rounding in A changes it in second order only. Computed in
    float32 at least, autocast off. Memory: about 60 floats a pixel. Differentiable once, in both arguments (by the
    envelope theorem A is a constant); a second derivative is refused.

    Args:
        content: I, `(B, 3, H, W)`.
        output: V, `(B, 3, H, W)`.
        eps: weight of |A|^2, as `epsilon` in `pymatting.cf_laplacian`.

    Returns:
        `(B,)`, at least 0.

    Raises:
        ShapeError: shapes differ, or the image is smaller than a window.
        InputError: `eps` is not positive: on a flat window A would have no unique value.

    Reference:
        Levin, Lischinski, Weiss, "A Closed-Form Solution to Natural Image Matting", PAMI 2008, eq. 12-13;
        Luan et al. 2017, eq. 2.
    """
    _check_pair(content, output)
    if min(content.shape[-2:]) < WINDOW:
        raise ShapeError("content", f"(B, 3, H >= {WINDOW}, W >= {WINDOW})", content.shape)
    if not eps > 0:
        raise InputError(f"eps: expected a positive number, got {eps}")
    dtype = torch.promote_types(torch.promote_types(content.dtype, output.dtype), torch.float32)
    with torch.autocast(content.device.type, enabled=False):
        energy: torch.Tensor = _MattingEnergy.apply(content.to(dtype), output.to(dtype), eps)
    return energy


def num_windows(height: int, width: int) -> int:
    """Windows of the matting energy that lie wholly inside an image of that size."""
    return (height - WINDOW + 1) * (width - WINDOW + 1)


def guided_residual(
    content: torch.Tensor, output: torch.Tensor, kernel_size: int = 9, eps: float = 1e-4, subsample: int = 1
) -> torch.Tensor:
    """What a guided filter, steered by the content, can't reproduce of the output: mean |O - guided_filter(I, O)|^2.

    A cheaper relative of the matting energy: the affine maps of all windows that cover a pixel are averaged before they
    are applied, windows are larger, and kornia pads the borders by reflection, so the two agree in what they punish,
    not in value.

    Args:
        content: the guidance I, `(B, 3, H, W)` in [0, 1].
        output: O, `(B, 3, H, W)`.
        kernel_size: side of the windows in pixels, odd.
        eps: regularisation of each window's fit, at least 1e-5: below that a float32 solve on flat windows is noise.
        subsample: fit the windows on every n-th pixel of each axis (He and Sun 2015): about n^2 times cheaper.

    Returns:
        `(B,)`.

    Raises:
        ShapeError: shapes differ, or the image is smaller than half a window.
        InputError: a kernel that is even, or becomes so when subsampled, or too small an eps.

    Reference:
        He, Sun, Tang, "Guided Image Filtering", PAMI 2013; He and Sun, "Fast Guided Filter", arXiv 1505.00996.
    """
    _check_pair(content, output)
    if kernel_size < 3 or kernel_size % 2 == 0:
        raise InputError(f"kernel_size: expected an odd number of at least 3, got {kernel_size}")
    if not eps >= 1e-5:
        raise InputError(f"eps: expected at least 1e-5, got {eps}")
    taken = (kernel_size - 1) // max(subsample, 1) + 1  # pixels a side that a window keeps
    if subsample < 1 or taken < WINDOW or taken % 2 == 0:  # an even window would lie half a step beside its pixel
        raise InputError(f"subsample: every {subsample}th pixel of a kernel of {kernel_size} is no odd number >= 3")
    least = subsample * (taken // 2 + 1)  # what reflection at the border needs
    if min(content.shape[-2:]) < least:
        raise ShapeError("content", f"(B, 3, H >= {least}, W >= {least})", content.shape)
    dtype = torch.promote_types(output.dtype, torch.float32)  # the filter's error in bfloat16 is 1e-2
    content, output = content.to(dtype), output.to(dtype)
    with torch.autocast(content.device.type, enabled=False):
        explained = guided_blur(content, output, kernel_size, eps, subsample=subsample, separable=True)
    return (output - explained).square().mean((1, 2, 3))


def _check_pair(content: torch.Tensor, output: torch.Tensor) -> None:
    check_image("content", content)
    check_image("output", output)
    if content.shape != output.shape:
        raise ShapeError("output", str(tuple(content.shape)), output.shape)


def _centred_windows(image: torch.Tensor) -> list[torch.Tensor]:
    """The nine pixels of every window as nine views `(B, 3, H - 2, W - 2)`, less the window's mean."""
    height, width = (d - WINDOW + 1 for d in image.shape[-2:])
    pixels = [image[..., y : y + height, x : x + width] for y in range(WINDOW) for x in range(WINDOW)]
    mean = sum(pixels[1:], pixels[0]) / len(pixels)
    return [pixel - mean for pixel in pixels]


def _scatter_windows(pixels: list[torch.Tensor], like: torch.Tensor) -> torch.Tensor:
    """Transpose of `_centred_windows`: add each window's nine centred values back to the pixels they came from."""
    height, width = pixels[0].shape[-2:]
    mean = sum(pixels[1:], pixels[0]) / len(pixels)
    image = torch.zeros_like(like)
    for index, pixel in enumerate(pixels):
        y, x = divmod(index, WINDOW)
        image[..., y : y + height, x : x + width] += pixel - mean
    return image


def _solve(system: list[list[torch.Tensor]], right: torch.Tensor, floor: float) -> torch.Tensor:
    """Solve S a = r for the symmetric positive 3x3 systems of all windows at once, by Cholesky, plane by plane.

    LAPACK would be called once a window; planes keep it vectorised. `floor` bounds the pivots from below: S is at least
    eps times the identity, and rounding must not take a pivot under that.
    """
    s = system
    l00 = s[0][0].clamp_min(floor).sqrt()
    l10, l20 = s[1][0] / l00, s[2][0] / l00
    l11 = (s[1][1] - l10 * l10).clamp_min(floor).sqrt()
    l21 = (s[2][1] - l20 * l10) / l11
    l22 = (s[2][2] - l20 * l20 - l21 * l21).clamp_min(floor).sqrt()
    y0 = right[0] / l00
    y1 = (right[1] - l10 * y0) / l11
    y2 = (right[2] - l20 * y0 - l21 * y1) / l22
    a2 = y2 / l22
    a1 = (y1 - l21 * a2) / l11
    a0 = (y0 - l10 * a1 - l20 * a2) / l00
    return torch.stack([a0, a1, a2])


class _MattingEnergy(torch.autograd.Function):
    """E and its gradient: at the minimum, dE = sum 2 r (dV - A dI) with r the residual."""

    @staticmethod
    def forward(ctx: FunctionCtx, content: torch.Tensor, output: torch.Tensor, eps: float) -> torch.Tensor:
        guide, values = _centred_windows(content), _centred_windows(output)
        system = [
            [sum((p[:, i] * p[:, j] for p in guide[1:]), guide[0][:, i] * guide[0][:, j]) for j in range(i + 1)]
            for i in range(3)
        ]
        for i in range(3):
            system[i][i] = system[i][i] + eps
        maps = []  # for each channel of the output, its row of A: (3, B, H - 2, W - 2)
        for channel in range(3):
            right = [
                sum(
                    (p[:, i] * v[:, channel] for p, v in zip(guide[1:], values[1:], strict=True)),
                    guide[0][:, i] * values[0][:, channel],
                )
                for i in range(3)
            ]
            maps.append(_solve(system, torch.stack(right), floor=eps))
        affine = torch.stack(maps)  # (3 of V, 3 of I, B, H - 2, W - 2)
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
    """Hands a gradient on as a function of its sources that refuses to be differentiated.

    torch's `once_differentiable` looks at the incoming gradient alone: after `energy.sum()` the second derivative would
    be left out silently.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, gradient: torch.Tensor, *sources: torch.Tensor) -> torch.Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: torch.Tensor) -> None:
        raise RuntimeError("matting_energy: differentiable once only, a second derivative is not implemented")


def _map(affine: torch.Tensor, pixel: torch.Tensor) -> torch.Tensor:
    return torch.einsum("vibhw,bihw->bvhw", affine, pixel)
