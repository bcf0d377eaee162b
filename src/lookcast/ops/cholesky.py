"""Cholesky factors of many 3x3 matrices at once, and solutions of 3x3 systems."""

from collections.abc import Callable

import torch

Lower = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
"""Entries 00, 10, 11, 20, 21, 22 of many lower triangular matrices: one tensor per entry, all of the same shape."""


def cholesky_3x3(matrix: Lower, pivot: Callable[[torch.Tensor, int], torch.Tensor]) -> Lower:
    """Factor symmetric positive 3x3 matrices, `A = L L^T`, entry by entry.

    LAPACK needs one call per matrix, while operations on tensors of entries are vectorised on every device. The factors
    are differentiable everywhere if `pivot` is differentiable everywhere.

    Args:
        matrix: the lower entries of A.
        pivot: function that keeps the squares of L's diagonal entries positive despite rounding. It receives the square
            of an entry and the row of the entry, and returns the corrected square.

    Returns:
        The lower entries of L.
    """
    a00, a10, a11, a20, a21, a22 = matrix
    l00 = pivot(a00, 0).sqrt()
    l10, l20 = a10 / l00, a20 / l00
    l11 = pivot(a11 - l10 * l10, 1).sqrt()
    l21 = (a21 - l20 * l10) / l11
    l22 = pivot(a22 - l20 * l20 - l21 * l21, 2).sqrt()
    return l00, l10, l11, l20, l21, l22


def solve_3x3(system: Lower, right: torch.Tensor, floor: float) -> torch.Tensor:
    """Solve `S a = r` for many symmetric positive definite 3x3 systems at once.

    Args:
        system: the lower entries of S.
        right: r, `(3, ...)`; each entry of `system` has the shape `(...)`.
        floor: minimum of the squared pivots. Without rounding, no squared pivot of a matrix `eps * identity + positive
            semidefinite` is below eps.

    Returns:
        a, `(3, ...)`.
    """
    l00, l10, l11, l20, l21, l22 = cholesky_3x3(system, lambda square, _: square.clamp_min(floor))
    y0 = right[0] / l00
    y1 = (right[1] - l10 * y0) / l11
    y2 = (right[2] - l20 * y0 - l21 * y1) / l22
    a2 = y2 / l22
    a1 = (y1 - l21 * a2) / l11
    a0 = (y0 - l10 * a1 - l20 * a2) / l00
    return torch.stack([a0, a1, a2])
