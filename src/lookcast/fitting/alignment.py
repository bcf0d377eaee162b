"""Alignment of two photos of one scene that differ in colour, size, crop and lens correction."""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from lookcast.checks import InputError
from lookcast.ops.color import luma
from lookcast.ops.resize import resize_image

SIDE = 1024
"""Longer side, in pixels, to which larger photos are shrunk if they don't already lie on each other."""
_TILES, _TILE = 4, 256  # tiles per axis and the largest side of a tile, in pixels, for phase correlation
_TEXTURE = 1e-3  # smallest standard deviation of the gradient in a tile that can show a shift
_SAME = 0.5  # largest shift of a tile, in pixels, that counts as none
_SHARE = 0.75  # share of the tiles without a shift if the photos lie on each other; a local edit may spoil the others
_LOOSE = 0.015  # distance from the homography, in units of the longer side, that lens distortion explains
_INLIERS, _INLIER_SHARE = 20, 0.3  # fewest inliers, and their smallest share of the matches
_SMALLEST = 24  # shortest side, in pixels, in which features are searched; SIFT itself fails below 12
_NO_FEATURES = "SIFT found no features"

Array = npt.NDArray[np.float64]


class Aligned(NamedTuple):
    """Two photos of one size whose pixels correspond.

    Attributes:
        before: `(1, 3, H, W)`.
        after: `(1, 3, H, W)`.
        inside: bool `(H, W)`; False where `after` has no pixel.
        resampled: whether the pixels were interpolated. Colours at edges are then inexact.
    """

    before: torch.Tensor
    after: torch.Tensor
    inside: torch.Tensor
    resampled: bool


def align(before: torch.Tensor, after: torch.Tensor) -> Aligned:
    """Align a photo to another photo of the same scene.

    Photos of one size are first compared by phase correlation of their luma gradients, in 4 x 4 tiles at full
    resolution. If at least three quarters of the tiles show no shift, the photos are returned unchanged.

    Otherwise both photos are shrunk to a longer side of at most `SIDE` pixels. RANSAC finds a homography for the SIFT
    features of both photos. A robust least-squares fit then refines the homography together with one coefficient of
    radial lens distortion, and `after` is interpolated at the pixels of `before`.

    Args:
        before: `(1, 3, H, W)` in [0, 1].
        after: `(1, 3, H', W')` in [0, 1].

    Raises:
        InputError: scikit-image is not installed, or no alignment is found.
    """
    try:
        import skimage  # noqa: F401
    except ImportError as error:
        raise InputError("match: scikit-image is not installed; pip install 'lookcast[match]'") from error
    everywhere = torch.ones(before.shape[-2:], dtype=torch.bool)
    if before.shape == after.shape and _lie_on_each_other(before, after):
        return Aligned(before, after, everywhere, resampled=False)
    before, after = _shrunk(before), _shrunk(after)
    lens = _Lens.find(_grey(before), _grey(after))
    height, width = before.shape[-2:]
    rows, columns = np.mgrid[:height, :width]
    positions = lens.apply(np.stack([columns.ravel(), rows.ravel()], 1).astype(np.float64))
    size = np.array([after.shape[-1], after.shape[-2]])
    # grid_sample reads pixel centres at whole positions if -1 and 1 are the borders half a pixel outside.
    grid = torch.from_numpy((2 * positions + 1) / size - 1).to(before).view(1, height, width, 2)
    warped = F.grid_sample(_smoothed(after, lens.scale), grid, padding_mode="border", align_corners=False)
    inside = ((positions >= 0) & (positions <= size - 1)).all(1).reshape(height, width)
    before = _smoothed(before, 1 / lens.scale)
    return Aligned(before, warped, torch.from_numpy(inside), resampled=True)


class _Lens(NamedTuple):
    """Map from pixels of one photo to pixels of another: a homography, then radial distortion.

    A position p, in units of the half diagonal from the centre of the second photo, becomes `p (1 + k |p|^2)`.

    Attributes:
        homography: `(3, 3)`, maps pixels (x, y) to pixels of the second photo.
        distortion: k.
        centre: (x, y) of the centre of the second photo, in pixels.
        radius: half of the diagonal of the second photo, in pixels.
    """

    homography: Array
    distortion: float
    centre: Array
    radius: float

    def apply(self, points: Array) -> Array:
        """Map pixels `(N, 2)`."""
        mapped = np.concatenate([points, np.ones((len(points), 1))], 1) @ self.homography.T
        offset = (mapped[:, :2] / mapped[:, 2:] - self.centre) / self.radius
        result: Array = self.centre + self.radius * offset * (1 + self.distortion * (offset**2).sum(1, keepdims=True))
        return result

    @property
    def scale(self) -> float:
        """Length in the second photo of one pixel of the first photo."""
        return math.sqrt(abs(float(np.linalg.det(self.homography[:2, :2]))))

    @classmethod
    def find(cls, before: Array, after: Array) -> "_Lens":
        """Find the map from pixels of a grey image `(H, W)` to pixels of another image of the same scene."""
        from scipy.optimize import least_squares
        from skimage.measure import ransac
        from skimage.transform import ProjectiveTransform

        source, target = _matches(before, after)
        height, width = after.shape
        centre = np.array([width - 1, height - 1]) / 2
        side = max(before.shape)
        enough = max(_INLIERS, math.ceil(_INLIER_SHARE * len(source)))
        inliers: Any = None
        if len(source) >= enough:
            # SIFT's features are matched to a pixel. Mild lens distortion moves them by more than that.
            model, inliers = ransac(
                (source, target), ProjectiveTransform, 4, residual_threshold=_LOOSE * max(after.shape), max_trials=2000,
                rng=0,
            )  # fmt: skip
        if inliers is None or inliers.sum() < enough:
            found = 0 if inliers is None else int(inliers.sum())
            raise InputError(
                f"after: can't be aligned with before ({found} matching points of {len(source)}; {enough} are needed); "
                "give two photos of the same scene, or, if their pixels already correspond, say --no-align"
            )
        source, target = source[inliers], target[inliers]
        start = model.params / model.params[2, 2]
        units = np.array([1, 1, side, 1, 1, side, 1 / side, 1 / side])  # similar effects of all unknowns

        def lens(unknowns: Array) -> "_Lens":
            homography = np.append(unknowns[:8] * units, 1).reshape(3, 3)
            return cls(homography, float(unknowns[8]), centre, math.hypot(width, height) / 2)

        found = least_squares(
            lambda unknowns: (lens(unknowns).apply(source) - target).ravel(),
            np.append(start.ravel()[:8] / units, 0.0),
            loss="soft_l1",
            f_scale=0.5,
        )
        return lens(found.x)


def _matches(before: Array, after: Array) -> tuple[Array, Array]:
    """Return the pixels (x, y) of matching SIFT features, `(N, 2)` for each photo."""
    from skimage.feature import SIFT, match_descriptors

    nothing = np.zeros((0, 2)), np.zeros((0, 2))
    if min(*before.shape, *after.shape) < _SMALLEST:
        return nothing
    points, descriptors = [], []
    for image in (before, after):
        sift = SIFT(upsampling=1)
        try:
            sift.detect_and_extract(image)
        except RuntimeError as error:  # scikit-image raises it for an image without features
            if _NO_FEATURES not in str(error):
                raise
            return nothing
        points.append(sift.positions[:, ::-1].astype(np.float64))
        descriptors.append(sift.descriptors)
    pairs = match_descriptors(*descriptors, max_ratio=0.8, cross_check=True)
    return points[0][pairs[:, 0]], points[1][pairs[:, 1]]


def _lie_on_each_other(before: torch.Tensor, after: torch.Tensor) -> bool:
    """Return whether phase correlation finds no shift in most tiles of two photos of one size."""
    from skimage.filters import window
    from skimage.registration import phase_cross_correlation

    height, width = before.shape[-2:]
    tall, wide = (min(_TILE, max(1, side // _TILES)) for side in (height, width))
    shifts = []
    for top in np.linspace(0, height - tall, _TILES).round().astype(int):
        for left in np.linspace(0, width - wide, _TILES).round().astype(int):
            tiles = [_edges(image[..., top : top + tall, left : left + wide]) for image in (before, after)]
            if min(tile.std() for tile in tiles) > _TEXTURE:
                # The window hides the borders of the tile, which would seem not to move.
                tiles = [(tile - tile.mean()) * window("hann", tile.shape) for tile in tiles]
                shifts.append(np.abs(phase_cross_correlation(*tiles, upsample_factor=4)[0]).max())
    return bool(shifts) and float((np.array(shifts) <= _SAME).mean()) >= _SHARE


def _edges(image: torch.Tensor) -> Array:
    """Return the magnitude of the luma gradient of an image `(1, 3, H, W)`: `(H, W)`."""
    grey = _grey(image)
    if min(grey.shape) < 2:  # too small for differences
        return np.zeros_like(grey)
    result: Array = np.hypot(*np.gradient(grey))
    return result


def _grey(image: torch.Tensor) -> Array:
    """Return the luma of an image `(1, 3, H, W)` as `(H, W)`."""
    grey: Array = luma(image)[0, 0].double().numpy()
    return grey


def _shrunk(image: torch.Tensor) -> torch.Tensor:
    """Shrink a photo to a longer side of at most `SIDE` pixels."""
    height, width = image.shape[-2:]
    factor = SIDE / max(height, width)
    if factor >= 1:
        return image
    return resize_image(image, max(1, round(height * factor)), max(1, round(width * factor))).clamp(0, 1)


def _smoothed(image: torch.Tensor, scale: float) -> torch.Tensor:
    """Remove the details of a photo that are finer than `scale` pixels, if `scale` is above 1."""
    if scale <= 1:
        return image
    height, width = image.shape[-2:]
    small = resize_image(image, max(1, round(height / scale)), max(1, round(width / scale)))
    return resize_image(small, height, width).clamp(0, 1)
