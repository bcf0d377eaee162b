"""k-means over the feature maps of two photos, to find corresponding cells of the maps."""

import torch
import torch.nn.functional as F

from lookcast.checks import InputError, check_floating, check_shape
from lookcast.ops.precision import full_precision, full_type, no_autocast


def kmeans(
    points: torch.Tensor,
    weights: torch.Tensor,
    num_clusters: int,
    num_iterations: int = 10,
    num_restarts: int = 4,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Find centres that minimise `sum_i w_i min_k |x_i - c_k|^2`, by k-means++ seeding and Lloyd's steps.

    The number of steps is fixed, because the CPU would have to wait for the GPU to test convergence. All members of the
    batch use the same random draws, so the result of a member does not depend on the other members. A cluster that
    loses all its points keeps its centre.

    Args:
        points: x, `(B, N, C)`.
        weights: w, `(B, N)`, not negative.
        num_clusters: K, 1 to N.
        num_iterations: number of Lloyd's steps, 0 or more.
        num_restarts: number of seedings, 1 or more; the function returns the result with the smallest sum.
        generator: random generator on the CPU for the seeding; None for a new generator with seed 0.

    Returns:
        c, `(B, K, C)` in the type of the points (float32 at least), sorted by the weight of the cluster's points,
        heaviest first.

    Raises:
        ShapeError: `points` or `weights` has the wrong shape.
        InputError: a number is out of range.

    Reference:
        Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.
    """
    check_shape("points", points, ("B", "N", "C"))
    check_shape("weights", weights, points.shape[:2])
    check_floating("points", points)
    if not 1 <= num_clusters <= points.shape[1]:
        raise InputError(f"num_clusters: expected 1 to {points.shape[1]}, the number of points, got {num_clusters}")
    if num_iterations < 0:
        raise InputError(f"num_iterations: expected 0 or more, got {num_iterations}")
    if num_restarts < 1:
        raise InputError(f"num_restarts: expected 1 or more, got {num_restarts}")
    with torch.no_grad(), no_autocast(points):
        points = full_precision(points)
        weights = weights.to(points.dtype)
        # Centre the points, because the expanded square |x|^2 - 2xc + |c|^2 loses digits far from 0.
        middle = (points * weights[..., None]).sum(1, keepdim=True) / weights.sum(1)[:, None, None].clamp_min(1e-12)
        points = points - middle
        generator = torch.Generator().manual_seed(0) if generator is None else generator
        draws = torch.rand(num_clusters, num_restarts, generator=generator).to(points)
        centers = _seed(points, weights, draws)
        for _ in range(num_iterations):
            mass, sums = _sums(points, weights, centers)
            centers = torch.where(mass > 0, sums / mass.clamp_min(1e-12), centers)
        return _heaviest_first(points, weights, _best(points, weights, centers)) + middle


def joint_kmeans(
    content: torch.Tensor,
    style: torch.Tensor,
    num_clusters: int,
    num_iterations: int = 10,
    num_restarts: int = 4,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Run k-means on the cells of two photos together, and return the centres.

    Two cells correspond to each other if they have the same nearest centre. Each photo has half of the total weight,
    whatever its number of cells. A cluster may contain cells of one photo only.

    Args:
        content: features of the content's cells, `(B, N, C)`.
        style: features of the style's cells, `(B, M, C)`.
        num_clusters: K, 1 to N + M.
        num_iterations: as in `kmeans`.
        num_restarts: as in `kmeans`.
        generator: as in `kmeans`.

    Returns:
        `(B, K, C)`, sorted by cluster weight, heaviest first.

    Example:
        >>> cells = torch.tensor([[[0.0], [1.0], [5.0]]])
        >>> joint_kmeans(cells, cells + 2, num_clusters=2).flatten()
        tensor([1.5000, 6.0000])
    """
    check_shape("content", content, ("B", "N", "C"))
    check_shape("style", style, (content.shape[0], "M", content.shape[2]))
    check_floating("content", content)
    check_floating("style", style)
    weights = [photo.new_full(photo.shape[:2], 0.5 / photo.shape[1]) for photo in (content, style)]
    points = torch.cat([content, style], 1)
    return kmeans(points, torch.cat(weights, 1), num_clusters, num_iterations, num_restarts, generator)


def nearest_center(points: torch.Tensor, centers: torch.Tensor) -> torch.Tensor:
    """Return, for each point, the index of the nearest centre.

    If several centres are equally near, the function returns the smallest index.

    Args:
        points: `(B, N, C)`.
        centers: `(B, K, C)`.

    Returns:
        `(B, N)`, int64.
    """
    check_shape("points", points, ("B", "N", "C"))
    check_shape("centers", centers, (points.shape[0], "K", points.shape[2]))
    check_floating("points", points)
    check_floating("centers", centers)
    with torch.no_grad(), no_autocast(points):
        dtype = full_type(points, centers)
        points, centers = points.to(dtype), centers.to(dtype)
        middle = centers.mean(1, keepdim=True)
        return _distances(points - middle, (centers - middle)[:, None])[:, :, 0].argmin(-1)


def _distances(points: torch.Tensor, centers: torch.Tensor) -> torch.Tensor:
    """Return the squared distances `(B, N, R, K)` of points `(B, N, C)` from R sets of centres `(B, R, K, C)`."""
    # One matrix product for all restarts, without a copy of the points.
    products = points @ centers.flatten(1, 2).transpose(1, 2)
    products = products.view(*products.shape[:2], *centers.shape[1:3])
    squares = points.square().sum(-1)[:, :, None, None] + centers.square().sum(-1)[:, None]
    return (squares - 2 * products).clamp_min(0)


def _seed(points: torch.Tensor, weights: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
    """Draw the initial centres from the points by k-means++, for R restarts.

    The probability of a point is proportional to its weight times its squared distance from the nearest earlier centre.

    Args:
        points: `(B, N, C)`.
        weights: `(B, N)`.
        draws: `(K, R)`: random numbers in [0, 1), one for each centre and restart.

    Returns:
        `(B, R, K, C)`: for each restart, a set of K centres.
    """
    batch = torch.arange(points.shape[0], device=points.device)[:, None]
    chance = weights[:, None].expand(-1, draws.shape[1], -1)  # (B, R, N)
    nearest = torch.ones_like(chance)
    centers: list[torch.Tensor] = []
    for draw in draws:
        if centers:
            nearest_last = _distances(points, centers[-1][:, :, None])[..., 0].transpose(1, 2)
            nearest = nearest_last if len(centers) == 1 else torch.minimum(nearest, nearest_last)
        cumulative = (chance * nearest).cumsum(-1)
        target = draw[:, None] * cumulative[..., -1:]
        # `right` skips points with probability 0. If all probabilities are 0, the clamp selects the last point.
        index = torch.searchsorted(cumulative, target, right=True)[..., 0].clamp_max(points.shape[1] - 1)
        centers.append(points[batch, index])
    return torch.stack(centers, 2)


def _sums(points: torch.Tensor, weights: torch.Tensor, centers: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Assign each point to its nearest centre, for each of R sets of K centres `(B, R, K, C)`.

    Returns:
        For each centre, the total weight of its points, `(B, R, K, 1)`, and the weighted sum of its points,
        `(B, R, K, C)`.
    """
    restarts, clusters = centers.shape[1:3]
    labels = _distances(points, centers).argmin(-1)
    members = F.one_hot(labels, clusters).to(points.dtype) * weights[:, :, None, None]
    sums = members.flatten(2).transpose(1, 2) @ points
    return members.sum(1)[..., None], sums.view(-1, restarts, clusters, points.shape[-1])


def _best(points: torch.Tensor, weights: torch.Tensor, centers: torch.Tensor) -> torch.Tensor:
    """Return, from R sets of centres, the set `(B, K, C)` with the smallest weighted sum of squared distances."""
    loss = (_distances(points, centers).amin(-1) * weights[..., None]).sum(1)
    return centers[torch.arange(len(loss), device=loss.device), loss.argmin(1)]


def _heaviest_first(points: torch.Tensor, weights: torch.Tensor, centers: torch.Tensor) -> torch.Tensor:
    mass, _ = _sums(points, weights, centers[:, None])
    order = mass[:, 0].argsort(dim=1, descending=True, stable=True)
    return centers.gather(1, order.expand_as(centers))
