import math

import numpy as np
import pytest
import skimage.data
import skimage.transform
import torch
from kornia.color import rgb_to_lab

from lookcast.checks import InputError, ShapeError
from lookcast.fitting import alignment
from lookcast.fitting.alignment import align
from lookcast.fitting.heat_map import heat_map
from lookcast.fitting.match import DEPTH, match_photos, outlier_limit
from lookcast.ops.bilateral.dispatch import apply_grid
from lookcast.ops.lut import apply_lut, fit_lut, identity_lut


def tensor(pixels):
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].double() / 255


PHOTO = tensor(skimage.data.coffee()[50:350, 100:500])


def graded(image):
    """A grade without clipping: contrast, a curve, and a mixture of channels."""
    red, green, blue = image.unbind(1)
    return torch.stack([0.1 + 0.8 * red, green**1.2, 0.15 + 0.6 * blue + 0.1 * red], 1)


def error_of(lut, before, after):
    return (apply_lut(lut, before) - after).abs()


def ellipse(height, width):
    rows, columns = np.mgrid[:height, :width]
    inside = ((columns / width - 0.5) / 0.18) ** 2 + ((rows / height - 0.5) / 0.18) ** 2 < 1
    return torch.from_numpy(inside)


class TestMatchPhotos:
    @pytest.fixture(scope="class")
    @classmethod
    def match(cls):
        return match_photos(PHOTO, graded(PHOTO), 17)

    def test_finds_the_grade(self, match):
        assert match.lut.shape == (17, 17, 17, 3)
        assert not match.resampled
        # The curve x^1.2 bends by at most .24 x^-.8 in a cell of side 1/16, so a table of size 17 can't be exact.
        assert error_of(match.lut, PHOTO, graded(PHOTO)).mean() < 0.5 / 255
        assert match.mean < 0.3

    def test_a_look(self, match):
        look = match_photos(PHOTO, graded(PHOTO), look=True)
        assert look.lut is None
        assert match.grid is None
        assert look.grid.shape == (1, 12, DEPTH, 1, 1)
        output = apply_grid(look.grid, PHOTO)
        # The curve of green depends on green, and a grid reads luma, so the look is less exact than the table.
        assert (output - graded(PHOTO)).abs().mean() < 0.5 / 255
        lab = [rgb_to_lab(image) for image in (output.clamp(0, 1), graded(PHOTO))]
        assert look.mean == pytest.approx(float((lab[0] - lab[1]).norm(dim=1).mean()), rel=1e-6)
        assert str(look).startswith(f"the look differs from the second photo by {look.mean:.2f} dE")

    def test_known_colours(self, match):
        color = torch.tensor([0.55, 0.3, 0.2], dtype=torch.float64).view(1, 3, 1, 1)  # brown, common in the photo
        assert error_of(match.lut, color, graded(color)).max() < 1 / 255

    def test_errors_are_those_of_the_table(self, match):
        colour = pytest.importorskip("colour")
        output, after = (x[0].permute(1, 2, 0).numpy() for x in (apply_lut(match.lut, PHOTO), graded(PHOTO)))
        lab = [colour.XYZ_to_Lab(colour.sRGB_to_XYZ(x)) for x in (output, after)]
        distance = np.linalg.norm(lab[0] - lab[1], axis=-1)
        # kornia and colour-science round the matrix of sRGB differently, by about 1e-4 of the colour.
        assert np.abs(match.errors.numpy() - distance).max() < 0.02
        assert match.mean == pytest.approx(match.errors.mean().item())
        assert match.percentile_95 == pytest.approx(np.percentile(match.errors.numpy(), 95), abs=1e-3)
        assert match.unexplained == (match.errors > match.limit).double().mean()

    def test_same_photo_gives_the_identity(self):
        match = match_photos(PHOTO, PHOTO, 17)
        # Without any change, the change of the table is exactly 0.
        assert torch.equal(match.lut, identity_lut(17, torch.float64))
        # The lookup rounds in float64, which CIELAB amplifies by at most a thousand.
        assert match.percentile_95 < 1e-10
        assert match.unexplained == 0

    def test_a_local_edit_does_not_bend_the_table(self, match):
        inside = ellipse(*PHOTO.shape[-2:])
        after = torch.where(inside, (graded(PHOTO) + 0.15).clamp(0, 1), graded(PHOTO))
        edited = match_photos(PHOTO, after, 17)
        assert edited.errors[~inside].mean() < match.mean + 0.3
        assert edited.errors[inside].mean() > 8
        assert inside.double().mean() * 0.9 < edited.unexplained < inside.double().mean() * 1.1

    def test_clipping_does_not_bend_the_table(self):
        def brighter(image):
            return (1.2 * image + 0.05).clamp(0, 1)

        photo = PHOTO[..., :200, :200]
        clipped = (brighter(photo) >= 1).any(1)
        assert 0.02 < clipped.double().mean() < 0.5
        match = match_photos(photo, brighter(photo), 17, aligned=True)
        errors = error_of(match.lut, photo, brighter(photo))
        # An affine change with a clamp: the table is exact except in cells where the clamp starts.
        assert errors.mean() < 0.5 / 255
        exact = errors.amax(1)[~clipped].quantile(0.8)
        assert exact < 0.05 / 255
        # A fit that takes clipped values as they are bends the table in the cells beside.
        colors = [image[0].flatten(1).T for image in (photo, brighter(photo))]
        bent = error_of(fit_lut(*colors, 17, 1e-6, 1e-6), photo, brighter(photo)).amax(1)[~clipped].quantile(0.8)
        assert exact < 0.5 * bent

    def test_16_bits_keep_their_depth(self):
        """A change of a quarter of an 8-bit level is found."""
        photo = PHOTO[..., ::4, ::4]
        match = match_photos(photo, photo * 0.999, 17, aligned=True)
        assert error_of(match.lut, photo, photo * 0.999).max() < 0.05 / 255

    def test_float32(self):
        photo = PHOTO[..., ::4, ::4].float()
        match = match_photos(photo, graded(photo), 17, aligned=True)
        assert match.lut.dtype == torch.float32
        # Conjugate gradients stop at a relative residual of 1e-5; colours of the photo determine the table there.
        assert error_of(match.lut, photo, graded(photo)).mean() < 0.5 / 255


class TestAlign:
    def test_photos_that_lie_on_each_other_are_unchanged(self):
        after = graded(PHOTO)
        pair = align(PHOTO, after)
        assert pair.before is PHOTO
        assert pair.after is after
        assert pair.inside.all()

    def test_a_local_edit_is_no_shift(self):
        after = torch.where(ellipse(*PHOTO.shape[-2:]), 1 - PHOTO, PHOTO)
        assert not align(PHOTO, after).resampled

    def test_crop(self):
        after = PHOTO[..., 9:-9, 12:-12]
        pair = align(PHOTO, after)
        assert pair.resampled
        rows, columns = pair.inside.nonzero().unbind(1)
        # SIFT's positions are exact to about a tenth of a pixel.
        assert abs(rows.min() - 9) <= 1
        assert abs(columns.max() - (PHOTO.shape[-1] - 13)) <= 1
        assert (pair.after - PHOTO).abs().mean(1)[0][pair.inside].mean() < 2 / 255

    def test_another_size(self):
        after = torch.nn.functional.interpolate(PHOTO, (225, 320), mode="bilinear", antialias=True)
        pair = align(PHOTO, after)
        assert pair.after.shape == PHOTO.shape
        assert (pair.after - pair.before).abs().mean() < 4 / 255

    def test_homography_and_barrel_distortion(self):
        height, width = PHOTO.shape[-2:]
        centre, radius = np.array([width - 1, height - 1]) / 2, math.hypot(width, height) / 2

        def source(points):  # of the pixels of `after`, in `before`
            offset = (points - centre) / radius
            return centre + radius * offset * (1 + 0.03 * (offset**2).sum(1, keepdims=True)) / 1.03

        warped = skimage.transform.warp(PHOTO[0].permute(1, 2, 0).numpy(), source, order=3, clip=True)
        after = torch.from_numpy(warped).permute(2, 0, 1)[None].clamp(0, 1)
        lens = alignment._Lens.find(alignment._grey(PHOTO), alignment._grey(after))
        points = np.array([[20.0, 20], [200, 150], [380, 30], [60, 280], [300, 250]])
        assert np.abs(lens.apply(source(points)) - points).max() < 0.7
        # A homography alone leaves more than that, so the distortion is needed.
        assert abs(lens.distortion) > 0.01

    def test_crop_through_the_match(self):
        after = graded(PHOTO)[..., 9:-9, 12:-12]
        match = match_photos(PHOTO, after, 17)
        assert match.resampled
        assert match.errors.isnan().any()
        assert error_of(match.lut, PHOTO, graded(PHOTO)).mean() < 1.5 / 255

    def test_large_photos_are_shrunk(self, monkeypatch):
        monkeypatch.setattr(alignment, "SIDE", 300)
        pair = align(PHOTO, PHOTO[..., 9:-9, 12:-12])
        assert pair.before.shape == (1, 3, 225, 300)


class TestRefuses:
    def test_another_scene(self):
        with pytest.raises(InputError, match=r"^after: can't be aligned with before"):
            match_photos(PHOTO, tensor(skimage.data.chelsea()), 17)

    def test_flat_photos(self):
        with pytest.raises(InputError, match=r"^after: can't be aligned with before .0 matching points of 0; 20 are"):
            match_photos(torch.full((1, 3, 64, 64), 0.5), torch.full((1, 3, 64, 64), 0.5), 17)

    def test_a_size_that_is_not_aligned(self):
        with pytest.raises(InputError, match=r"^after: aligned photos have one size, got \(300, 399\) for"):
            match_photos(PHOTO, PHOTO[..., 1:], 17, aligned=True)

    @pytest.mark.parametrize("shape", [(3, 8, 8), (2, 3, 8, 8), (1, 4, 8, 8)])
    def test_shapes(self, shape):
        with pytest.raises(ShapeError, match=r"^after: expected shape"):
            match_photos(PHOTO, torch.zeros(shape), 17)

    def test_missing_library(self, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "skimage", None)
        with pytest.raises(InputError, match=r"^match: scikit-image is not installed; pip install 'lookcast\[match\]'"):
            match_photos(PHOTO, PHOTO, 17)


class TestOutlierLimit:
    def test_known_value(self):
        # median 3, deviations 2, 1, 0, 1, 97 with median 1
        assert outlier_limit(torch.tensor([1.0, 2, 3, 4, 100], dtype=torch.float64)) == pytest.approx(3 + 3 * 1.4826)

    def test_floor(self):
        assert outlier_limit(torch.tensor([0.1, 0.2, 0.3])) == 2


class TestHeatMap:
    def test_known_colours(self):
        before = torch.full((1, 3, 1, 6), 0.6, dtype=torch.float64)
        errors = torch.tensor([[0, 5, 10, 20, 90, math.nan]], dtype=torch.float64)
        picture = heat_map(before, errors)[0, :, 0].T
        dimmed = 0.35 * 0.6
        expected = [[dimmed] * 3, [0.55, 0.1, 0.6], [0.95, 0.5, 0.1], [1, 1, 0.7], [1, 1, 0.7]]
        expected.append([0.4 * dimmed, 0.6 * dimmed, 1.4 * dimmed])
        assert (picture - torch.tensor(expected, dtype=torch.float64)).abs().max() < 1e-12

    def test_between_two_colours(self):
        picture = heat_map(torch.zeros(1, 3, 1, 1, dtype=torch.float64), torch.tensor([[15.0]], dtype=torch.float64))
        assert picture.flatten().tolist() == pytest.approx([0.975, 0.75, 0.4])

    def test_photo_of_another_size(self):
        assert heat_map(torch.zeros(1, 3, 8, 12), torch.zeros(4, 6)).shape == (1, 3, 4, 6)
