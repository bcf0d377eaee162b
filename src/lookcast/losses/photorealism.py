"""The photorealism term of the loss: distance from a locally affine recolouring of the content."""

import torch
from torch import nn

from lookcast.ops.local_affine import guided_residual, matting_energy, num_windows


class MattingPenalty(nn.Module):
    """Matting energy E divided by (3 x number of windows), averaged over the batch; see `ops.local_affine`.

    Because of the division, one weight serves all image sizes. The paper uses the weight lambda = 1e4 for E itself. The
    equivalent weight of this penalty is `lambda * 3 * (H - 2) * (W - 2)`, which is 1.9e9 at 256 px.

    Args:
        eps: regularisation of each window's affine map.

    Reference:
        Luan et al. 2017, eq. 2.
    """

    def __init__(self, eps: float = 1e-7) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, content: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        """Return the penalty, a scalar; both images are `(B, 3, H, W)`."""
        return matting_energy(content, output, self.eps).mean() / (3 * num_windows(*content.shape[-2:]))


class GuidedPenalty(nn.Module):
    """Mean squared residual of a guided filter; see `ops.local_affine.guided_residual`.

    Args:
        kernel_size: side of the windows in pixels, odd.
        eps: regularisation of each window's affine map.
        subsample: step n; the windows are fitted on every n-th pixel along each axis.
    """

    def __init__(self, kernel_size: int = 9, eps: float = 1e-4, subsample: int = 4) -> None:
        super().__init__()
        self.kernel_size, self.eps, self.subsample = kernel_size, eps, subsample

    def forward(self, content: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        """Return the penalty, a scalar; both images are `(B, 3, H, W)`."""
        return guided_residual(content, output, self.kernel_size, self.eps, self.subsample).mean()


class NoPenalty(nn.Module):
    """Photorealism term that is always 0."""

    def forward(self, content: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        """Return 0, a scalar."""
        return output.new_zeros(())
