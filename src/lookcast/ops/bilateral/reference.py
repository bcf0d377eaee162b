"""Reference implementation of bilateral grids, whose cells hold affine colour transforms.

All faster implementations give the same results. `slice_grid` states the conventions for positions, which come from
HDRNet (Gharbi et al. 2017, arXiv 1707.02880).
"""

import torch
import torch.nn.functional as F

from lookcast.checks import ShapeError, check_floating, check_image, check_shape
from lookcast.ops.precision import full_type, no_autocast

COEFFICIENTS = 12
"""Number of coefficients of a 3x4 affine transform. Each row holds the weights of R, G and B, then an offset."""


def identity_grid(
    batch: int,
    depth: int,
    height: int,
    width: int,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """Return a grid with the identity transform in every cell.

    Args:
        batch: B, number of grids.
        depth: D, number of cells along the guide.
        height: GH, number of cells along y.
        width: GW, number of cells along x.
        device: device of the grid; None for torch's default device.
        dtype: type of the grid.

    Returns:
        `(B, 12, D, GH, GW)`.
    """
    transform = torch.eye(3, 4, device=device, dtype=dtype).flatten()
    return transform.view(1, COEFFICIENTS, 1, 1, 1).repeat(batch, 1, depth, height, width)


def slice_grid(grid: torch.Tensor, guide: torch.Tensor) -> torch.Tensor:
    """Slice a grid: interpolate the grid at every pixel of the guide, linearly in x, y and depth.

    If pixel (x, y) of a W x H guide has the value g, it samples the grid at ((x+.5) GW/W, (y+.5) GH/H, g D) in units of
    cells. The centres of the cells lie at .5, 1.5, ... Positions beyond the outermost centres take the value of the
    border cell. Slicing equals
    `F.grid_sample(grid, stack(2(x+.5)/W-1, 2(y+.5)/H-1, 2g-1), align_corners=False, padding_mode="border")`.

    Args:
        grid: `(B, C, D, GH, GW)`.
        guide: `(B, 1, H, W)` in [0, 1].

    Returns:
        `(B, C, H, W)`, float32 at least.

    Raises:
        ShapeError: a tensor does not have the stated shape, or the batch sizes differ.
        InputError: a tensor is empty or not floating point.
    """
    check_shape("grid", grid, ("B", "C", "D", "GH", "GW"))
    check_shape("guide", guide, (grid.shape[0], 1, "H", "W"))
    check_floating("guide", guide)
    return slice_by_guides(grid, guide)[:, :, 0]


def slice_by_guides(grid: torch.Tensor, guides: torch.Tensor) -> torch.Tensor:
    """Slice a grid by several guides of one size; see `slice_grid`.

    Args:
        grid: `(B, C, D, GH, GW)`.
        guides: `(B, T, H, W)` in [0, 1]: T guides for each grid.

    Returns:
        `(B, C, T, H, W)`, float32 at least.

    Raises:
        ShapeError: a tensor does not have the stated shape, or the batch sizes differ.
        InputError: a tensor is empty or not floating point.
    """
    check_shape("grid", grid, ("B", "C", "D", "GH", "GW"))
    check_shape("guides", guides, (grid.shape[0], "T", "H", "W"))
    check_floating("grid", grid)
    check_floating("guides", guides)
    # Half precision can't resolve the positions of neighbouring pixels in a photo.
    dtype = full_type(grid, guides)
    grid, guides = grid.to(dtype), guides.to(dtype)
    height, width = guides.shape[-2:]
    cells = grid.shape[-2]
    # All pixels of a row have the same weights along y. A product with a tent matrix therefore gives one small plane
    # (depth, x) per row, for all guides. grid_sample for 4-D inputs interpolates the planes of all rows in parallel.
    # grid_sample for 5-D inputs is serial within an image. On two cores, it takes three times as long in both passes.
    with no_autocast(grid):
        rows = torch.einsum("hy,bcdyx->bhcdx", tent_matrix(height, cells, grid), grid).flatten(0, 1)
    # Positions in [-1, 1], as grid_sample expects: 2 (x + .5) / W - 1, and the same for the depth.
    x = (torch.arange(width, device=guides.device, dtype=dtype) * 2 + 1) / width - 1
    depth = 2 * guides.transpose(1, 2).flatten(0, 1) - 1
    positions = torch.stack([x.expand_as(depth), depth], -1)  # (B * H, T, W, 2)
    sliced = F.grid_sample(rows, positions, mode="bilinear", padding_mode="border", align_corners=False)
    return sliced.view(len(grid), height, *sliced.shape[1:]).permute(0, 2, 3, 1, 4)


def cell_position(coordinate: torch.Tensor, cells: int) -> torch.Tensor:
    """Convert coordinates in [0, 1] to positions in units of cells, measured from the centre of the first cell.

    Positions beyond the outermost cell centres are clamped to these centres.
    """
    return (coordinate * cells - 0.5).clamp(0, cells - 1)


def tent_weight(position: torch.Tensor, centre: torch.Tensor | int) -> torch.Tensor:
    """Return the weight of a cell in linear interpolation between cell centres: `max(0, 1 - |position - centre|)`."""
    return (1 - (position - centre).abs()).clamp_min(0)


def tent_matrix(size: int, cells: int, like: torch.Tensor) -> torch.Tensor:
    """Return the weights of linear interpolation along one axis of a grid.

    Args:
        size: number of pixels along the axis.
        cells: number of cells along the axis.
        like: a tensor with the device and the type of the result.

    Returns:
        `(size, cells)`: for each pixel, a row with the weights of the cells. A row sums to 1.
    """
    pixels = torch.arange(size, device=like.device, dtype=like.dtype)
    centres = torch.arange(cells, device=like.device, dtype=like.dtype)
    return tent_weight(cell_position((pixels + 0.5) / size, cells)[:, None], centres)


def apply_affine(coefficients: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """Apply a 3x4 transform at every pixel: `out_i = sum_j a_ij image_j + a_i4`.

    Args:
        coefficients: a, `(B, 12, H, W)`: the rows of the 3x4 matrix, one after the other.
        image: `(B, 3, H, W)`.

    Returns:
        `(B, 3, H, W)`, not clamped.

    Raises:
        ShapeError: a tensor does not have the stated shape.
    """
    check_image("image", image)
    check_shape("coefficients", coefficients, (image.shape[0], COEFFICIENTS, *image.shape[-2:]))
    check_floating("coefficients", coefficients)
    rows = coefficients.reshape(image.shape[0], 3, 4, *image.shape[-2:])
    return (rows[:, :, :3] * image[:, None]).sum(2) + rows[:, :, 3]


def slice_apply(grid: torch.Tensor, guide: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """Slice a grid by a guide and apply the sliced transforms to the image.

    An identity grid leaves the image unchanged.

    Args:
        grid: `(B, 12, D, GH, GW)`.
        guide: `(B, 1, H, W)` in [0, 1].
        image: `(B, 3, H, W)`.

    Returns:
        `(B, 3, H, W)`, not clamped.

    Raises:
        ShapeError: a tensor does not have the stated shape.
    """
    check_image("image", image)
    if guide.shape[-2:] != image.shape[-2:]:
        raise ShapeError("guide", f"(B, 1, {image.shape[-2]}, {image.shape[-1]})", guide.shape)
    return apply_affine(slice_grid(grid, guide), image)
