"""Groups of pixels that resemble a cell of the content, and colour maps from one group to another."""

from typing import NamedTuple

import torch

from lookcast.generators.statistics import CELLS, PhotoStatistics, cell_sums
from lookcast.ops.bilateral.reference import identity_grid
from lookcast.ops.transport import knothe_rosenblatt


class Group(NamedTuple):
    """For each cell of the content, a group: the pixels that resemble the cell, in the content or in the style.

    Attributes:
        moments: `(B, H, P, K, 10)`: for each attention head, each cell of the content and each region, the colour
            moments of the group.
        head_weights: `(B, H, P, P)`: for each head and each cell of the content, a row with the weights of the photo's
            cells in the group, averaged over the regions. A row sums to 1; the row of a cell without any label is 0.
    """

    moments: torch.Tensor
    head_weights: torch.Tensor

    @property
    def weights(self) -> torch.Tensor:
        """The mean of `head_weights` over the heads, `(B, P, P)`."""
        return self.head_weights.mean(1)


def split_heads(planes: torch.Tensor, heads: int) -> torch.Tensor:
    """Split the channels of queries or keys into heads: `(B, H * C, 16, 16)` to `(B, H, P, C)`."""
    return planes.view(planes.shape[0], heads, -1, CELLS * CELLS).transpose(2, 3)


def group_of(
    query: torch.Tensor, key: torch.Tensor, photo: PhotoStatistics, mask: torch.Tensor, sizes: torch.Tensor
) -> Group:
    """Find, for each cell of the content, its group in a photo, which is the content itself or the style.

    Args:
        query: queries of the content, `(B, H, P, C)`.
        key: keys of the photo, `(B, H, P, C)`.
        photo: statistics of the content or style photo.
        mask: regions of the photo, `(B, K, 64, 64)`.
        sizes: the size of each region in each cell of the content, `(B, P, K)`.
    """
    attention = (query @ key.transpose(2, 3) / query.shape[-1] ** 0.5).softmax(-1)
    # If all attention fell on cells outside a region, the sums of the region would be 0. Uniform attention is mixed in
    # with a weight of .01, so that the sums stay positive.
    attention = 0.99 * attention + 0.01 / attention.shape[-1]
    sums = cell_sums(mask, photo.moments)  # (B, P, K, 10)
    moments = attention @ sums.flatten(2)[:, None]
    moments = moments.view(*moments.shape[:3], *sums.shape[2:])
    shares = sizes / sizes.sum(-1, keepdim=True).clamp_min(1e-6)
    mass = moments[..., 0].clamp_min(1e-8)
    weights = (shares[:, None] / mass) @ sums[..., 0].transpose(1, 2)[:, None] * attention
    return Group(moments, weights)


def color_maps(sizes: torch.Tensor, content: Group, style: Group, floor: torch.Tensor, whole: bool) -> torch.Tensor:
    """Return the colour maps from the groups of the content to the groups of the style, for each region.

    With `whole`, two more maps follow those of the heads. They are the same in all cells. The first of them comes from
    the moments of the region. The second comes from the moments of the whole photo, and is therefore the same for every
    region. The moments are averages over the groups of all cells of the content. A style with more sky than the content
    therefore does not give the sky more weight.

    Args:
        sizes: the size of each region in each cell of the content, `(B, P, K)`.
        content: the groups of all cells in the content.
        style: the groups of all cells in the style.
        floor: see `knothe_rosenblatt`.
        whole: see above.

    Returns:
        `(B, H, P, K, 12)`, or `(B, H + 2, P, K, 12)` with `whole`.
    """
    if not whole:
        return knothe_rosenblatt(content.moments, style.moments, floor)
    weights = sizes[:, None, ..., None]
    means = [group.moments / group.moments[..., :1].clamp_min(1e-8) for group in (content, style)]
    of_region = [(weights * mean).mean((1, 2))[:, None] for mean in means]  # (B, 1, K, 10)
    of_all = [moments.sum(2, keepdim=True).expand_as(moments) for moments in of_region]
    size = content.moments.shape
    # All maps at once, because each operation costs time even if there is little to compute.
    of_groups = [group.moments.flatten(1, 2) for group in (content, style)]
    moments, wanted = (torch.cat(parts, 1) for parts in zip(of_groups, of_region, of_all, strict=True))
    maps = knothe_rosenblatt(moments, wanted, floor)
    of_heads, of_whole = maps[:, :-2].reshape(*size[:-1], -1), maps[:, -2:, None]
    return torch.cat([of_heads, of_whole.expand(-1, -1, size[2], -1, -1)], 1)


def carried_colors(
    maps: torch.Tensor, mix: torch.Tensor, strength: torch.Tensor, regions: torch.Tensor
) -> torch.Tensor:
    """Return the change of the identity grid by colour maps: their mean over maps and regions, times the strength.

    Args:
        maps: `(B, M, P, K, 12)`, see `color_maps`.
        mix: the share of each map in each cell of the content, `(B, M, P)`.
        strength: `(B, 1, P)`.
        regions: the share of each region in each cell of the grid, `(B, K, D, 16, 16)`.

    Returns:
        `(B, 12, D, 16, 16)`.
    """
    identity = identity_grid(1, 1, 1, 1, maps.device, maps.dtype)
    change = torch.einsum("bhp,bhpkc->bpkc", mix, maps) - identity.view(-1)
    change = change * strength.transpose(1, 2)[..., None]
    # One product per cell, because einsum would copy each of the small matrices. The result is (B, P, 12, D).
    by_cell = change.transpose(2, 3) @ regions.flatten(3).permute(0, 3, 1, 2).contiguous()
    carried: torch.Tensor = by_cell.permute(0, 2, 3, 1).reshape(-1, maps.shape[-1], *regions.shape[2:])
    return carried
