import struct

import numpy as np
import pytest

from lookcast.photos.icc import LEVELS, ProfileError, grey_to_srgb, read_profile
from tests.photo_files import (
    ADOBE_RGB,
    BLACK_ONLY_CMYK,
    BLUE_ONLY_RGB,
    LINEAR_GREY,
    SRGB,
    SRGB_CURVE,
    SRGB_PRIMARIES,
    gamma,
    icc_profile,
    parametric,
    rgb_profile,
)

X = np.linspace(0, 1, LEVELS)


def curve_of(tag):
    return read_profile(rgb_profile(SRGB_PRIMARIES, tag)).curves[1]


class TestReadProfile:
    def test_known_value(self):
        profile = read_profile(ADOBE_RGB)
        assert profile.space == "RGB"
        assert np.allclose(profile.matrix.sum(1), (0.9642, 1, 0.8249), atol=1e-4)  # white is D50
        assert np.allclose(profile.curves, X ** (563 / 256))

    def test_srgb_of_littlecms(self):
        profile = read_profile(SRGB)
        assert np.allclose(profile.matrix.T, SRGB_PRIMARIES, atol=2e-4)
        assert np.allclose(profile.curves, np.where(X <= 0.04045, X / 12.92, ((X + 0.055) / 1.055) ** 2.4), atol=1e-4)

    def test_grey(self):
        profile = read_profile(LINEAR_GREY)
        assert (profile.space, profile.matrix) == ("GRAY", None)
        assert np.allclose(profile.curves, X[None])

    @pytest.mark.parametrize(("profile", "space"), [(BLACK_ONLY_CMYK, "CMYK"), (BLUE_ONLY_RGB, "RGB")])
    def test_tables(self, profile, space):
        assert read_profile(profile) == (space, None, None, False)

    @pytest.mark.parametrize(
        ("tag", "expected"),
        [
            (b"curv" + bytes(8), X),
            (gamma(2), X**2),
            (b"curv" + bytes(4) + struct.pack(">I3H", 3, 0, 16384, 65535), np.interp(X, (0, 0.5, 1), (0, 0.25, 1))),
            (parametric(0, 2), X**2),
            (parametric(1, 2, 2, -1), np.where(X >= 0.5, (2 * X - 1) ** 2, 0)),
            (parametric(2, 2, 2, -1, 0.25), np.where(X >= 0.5, (2 * X - 1) ** 2, 0).clip(0, 0.75) + 0.25),
            (parametric(4, 2, 1, 0, 0.5, 0.5, 0.125, 0.0), np.where(X >= 0.5, X**2 + 0.125, X / 2).clip(0, 1)),
        ],
    )
    def test_curves(self, tag, expected):
        assert np.allclose(curve_of(tag), expected, atol=1e-4)

    def test_a_falling_curve_becomes_level(self):
        assert (np.diff(curve_of(b"curv" + bytes(4) + struct.pack(">I4H", 4, 0, 40000, 30000, 65535))) >= 0).all()

    @pytest.mark.parametrize("length", [0, 60, 130, 200, 400])
    def test_rejects_truncated(self, length):
        with pytest.raises(ProfileError):
            read_profile(SRGB[:length])

    @pytest.mark.parametrize(
        "profile",
        [
            rgb_profile((SRGB_PRIMARIES[0],) * 3, SRGB_CURVE),
            rgb_profile(SRGB_PRIMARIES, b"text" + bytes(12)),
            rgb_profile(SRGB_PRIMARIES, parametric(1, 2, 0, 0)),
            icc_profile(b"GRAY", {b"kTRC": b"curv" + bytes(4) + struct.pack(">I", 1000)}),
        ],
        ids=["three times red", "no curve", "a zero slope", "a curve without points"],
    )
    def test_rejects_contradictory_profiles(self, profile):
        with pytest.raises(ProfileError):
            read_profile(profile)


class TestGreyToSrgb:
    def test_known_value(self):
        # 55/255 of the light of white is level 128 in sRGB; as coarse steps near black as the levels themselves.
        grey = np.array([[[0], [257], [55 * 257], [65535]]], np.uint16)
        converted = grey_to_srgb(grey, LINEAR_GREY)
        assert converted.shape == (1, 4, 3)
        assert np.abs(converted.astype(int) - np.array([0, 3266, 32884, 65535])[:, None]).max() <= 2
        assert grey_to_srgb((grey // 257).astype(np.uint8), LINEAR_GREY)[0, 2].tolist() == [128, 128, 128]
