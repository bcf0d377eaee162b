"""Planes and pixels, against a slow version of the formulas in float64."""

import av
import numpy as np
import pytest

from lookcast.checks import InputError
from lookcast.inference.video.color import codes_of
from lookcast.inference.video.planes import from_pixels, to_pixels

LAYOUTS = ["yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv440p", "yuv411p", "yuv420p10le", "yuv444p12le", "gbrp"]
SIZES = [(16, 16), (17, 23), (2, 2), (1, 1), (130, 36)]


def frame_of(layout, size, matrix=1, color_range=1):
    frame = av.VideoFrame(size[1], size[0], layout)
    frame.colorspace, frame.color_range = matrix, color_range
    return frame


def random_planes(frame, seed=0):
    """Planes of colours inside the gamut: each Y'CbCr near grey."""
    rng, codes = np.random.default_rng(seed), codes_of(frame)
    middle, spread = (codes.maximum + 1) / 2, (codes.maximum + 1) / 16
    kind = np.uint8 if codes.maximum < 256 else np.uint16
    shapes = [(plane.height, plane.width) for plane in frame.planes]
    return [(middle + rng.uniform(-spread, spread, shape)).astype(kind) for shape in shapes]


def tent(count, chroma_count, factor, centred):
    """Weights `(count, chroma_count)` with which luma sample x interpolates the chroma samples."""
    position = (np.arange(count) + 0.5) / factor - 0.5 if centred else np.arange(count) / factor
    position = position.clip(0, chroma_count - 1)
    return np.maximum(0, 1 - np.abs(position[:, None] - np.arange(chroma_count)))


def enlarge(plane, size):
    factors = [-(-whole // part) for whole, part in zip(size, plane.shape, strict=True)]
    rows = tent(size[0], plane.shape[0], factors[0], factors[0] > 1)
    return rows @ plane.astype(float) @ tent(size[1], plane.shape[1], factors[1], False).T


def reference_pixels(planes, codes):
    size = planes[0].shape
    values = np.stack([planes[0].astype(float), *(enlarge(plane, size) for plane in planes[1:]), np.ones(size)])
    return np.einsum("ck,kyx->yxc", codes.to_rgb, values)


def reference_codes(pixels, before, codes):
    """Codes of the three planes after R'G'B' pixels `(H, W, 3)` in [0, 1], before rounding, without clamping."""
    size = pixels.shape[:2]
    values = np.concatenate([pixels, np.ones((*size, 1))], 2)
    luma, *chroma = np.einsum("ck,yxk->cyx", codes.from_rgb, values)
    result = [luma]
    for old, new in zip(before[1:], chroma, strict=True):  # the mean of the changes, weighted as in the interpolation
        across, down = -(-size[1] // old.shape[1]), -(-size[0] // old.shape[0])
        columns = np.maximum(0, across - np.abs(np.arange(size[1])[:, None] - across * np.arange(old.shape[1])))
        rows = (np.arange(size[0])[:, None] // down == np.arange(old.shape[0])).astype(float)
        result.append(old + (rows / rows.sum(0)).T @ (new - enlarge(old, size)) @ (columns / columns.sum(0)))
    return result


class TestToPixels:
    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_matches_reference(self, layout, size):
        frame = frame_of(layout, size)
        planes, codes = random_planes(frame), codes_of(frame)
        expected = reference_pixels(planes, codes) * 65535
        assert expected.min() > 0
        assert expected.max() < 65535
        # Rounding takes half a level; float32 sums of terms up to 2^17 have errors below 2^17 x 2^-24 x 8 = .06.
        assert np.abs(to_pixels(planes, codes) - expected).max() < 0.57

    @pytest.mark.parametrize(
        ("matrix", "color_range", "codes", "expected"),
        [
            (1, 1, (235, 128, 128), (1, 1, 1)),
            (1, 1, (16, 128, 128), (0, 0, 0)),
            (1, 2, (255, 128, 128), (1, 1, 1)),
            (1, 1, (63, 102, 240), (1, 0, 0)),  # BT.709, table of colour bars in BT.1359: red
            (6, 1, (81, 90, 240), (1, 0, 0)),  # BT.601: red
            (9, 1, (74, 97, 240), (1, 0, 0)),  # BT.2020: red
            (1, 1, (255, 128, 128), (1, 1, 1)),  # whiter than white is clamped
        ],
    )
    def test_known_values(self, matrix, color_range, codes, expected):
        frame = frame_of("yuv444p", (1, 1), matrix, color_range)
        planes = [np.full((1, 1), code, np.uint8) for code in codes]
        # The codes in the table are rounded: half a code of luma, and of chroma times 1.8 at most.
        assert np.allclose(to_pixels(planes, codes_of(frame))[0, 0] / 65535, expected, atol=1.5 / 219)


class TestFromPixels:
    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_unchanged_pixels_give_back_every_code(self, layout, size):
        frame = frame_of(layout, size)
        before, codes = random_planes(frame), codes_of(frame)
        planes = [plane.copy() for plane in before]
        from_pixels(to_pixels(before, codes), planes, codes)
        assert all(np.array_equal(a, b) for a, b in zip(planes, before, strict=True))

    @pytest.mark.parametrize("size", [(16, 16), (17, 23), (130, 36)])
    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_changes_match_reference(self, layout, size):
        frame = frame_of(layout, size)
        before, codes = random_planes(frame), codes_of(frame)
        pixels = to_pixels(random_planes(frame, seed=1), codes)
        planes = [plane.copy() for plane in before]
        from_pixels(pixels, planes, codes)
        for plane, expected in zip(planes, reference_codes(pixels / 65535, before, codes), strict=True):
            assert np.abs(plane - expected).max() < 0.51


class TestCodesOf:
    def test_small_frames_without_a_matrix_have_bt_601(self):
        small, large = frame_of("yuv420p", (480, 640), 2), frame_of("yuv420p", (720, 1280), 2)
        assert np.array_equal(codes_of(small).to_rgb, codes_of(frame_of("yuv420p", (1, 1), 6)).to_rgb)
        assert np.array_equal(codes_of(large).to_rgb, codes_of(frame_of("yuv420p", (1, 1), 1)).to_rgb)

    @pytest.mark.parametrize("matrix", [8, 10, 14])
    def test_other_matrices_are_refused(self, matrix):
        with pytest.raises(InputError, match=rf"has the colour matrix {matrix} of H\.273"):
            codes_of(frame_of("yuv420p", (4, 4), matrix))
