"""Cholesky factors of many 3x3 matrices at once."""

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
