import io

import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageCms

from lookcast.checks import InputError
from lookcast.photos.color import from_srgb, to_srgb
from lookcast.photos.read import read_photo
from tests.photo_files import (
    ADOBE_RGB,
    BLUE_ONLY_RGB,
    DISPLAY_P3,
    LINEAR_GREY,
    PROPHOTO,
    SRGB,
    SRGB_CURVE,
    SRGB_PRIMARIES,
    WIDE,
    gamma,
    rgb_profile,
    tables_both_ways,
)

PHOTO = skimage.data.astronaut()[:300, :300]  # more than one band
DEEP = PHOTO.astype(np.uint16) * 257 + np.arange(300, dtype=np.uint16)[None, :, None] % 200
COLORS = np.stack(np.meshgrid(*3 * [np.arange(0, 256, 15, np.uint8)]), 3).reshape(-1, 1, 3)
every_profile = pytest.mark.parametrize("profile", WIDE.values(), ids=WIDE.keys())


def by_littlecms(pixels, profile):
    source, srgb = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    return np.asarray(ImageCms.profileToProfile(Image.fromarray(pixels), source, srgb, intent))


class TestSrgb:
    @pytest.mark.parametrize(
        "profile",
        [
            None,
            SRGB,
            rgb_profile(SRGB_PRIMARIES, SRGB_CURVE),
            rgb_profile(tuple(tuple(v + 1e-4 for v in xyz) for xyz in SRGB_PRIMARIES), SRGB_CURVE),
        ],
        ids=["none", "littlecms", "other bytes", "rounded"],
    )
    def test_recognised_by_its_conversion(self, profile):
        assert to_srgb(PHOTO, profile) is PHOTO
        assert from_srgb(DEEP, PHOTO, PHOTO, profile) is DEEP

    @pytest.mark.parametrize("profile", [*WIDE.values(), rgb_profile(SRGB_PRIMARIES, gamma(2.2))])
    def test_others(self, profile):
        assert to_srgb(PHOTO, profile) is not PHOTO


class TestToSrgb:
    @every_profile
    def test_matches_littlecms(self, profile):
        converted = to_srgb(COLORS, profile)
        assert converted.dtype == np.uint16
        assert np.abs(converted / 257 - by_littlecms(COLORS, profile)).max() < 1.01

    def test_known_value(self):
        # sRGB's red is (.9175, .2003, .1386) in Display P3: Apple's and the W3C's value.
        pixels = np.rint(np.array([[0.9175, 0.2003, 0.1386], [1, 1, 1], [0, 0, 0]]) * 65535).astype(np.uint16)
        assert np.abs(to_srgb(pixels, DISPLAY_P3) / 65535 - [[1, 0, 0], [1, 1, 1], [0, 0, 0]]).max() < 4e-3

    @every_profile
    def test_grey_stays_grey_and_steps_stay_steps(self, profile):
        ramp = np.arange(65536, dtype=np.uint16)[:, None].repeat(3, 1)
        converted = to_srgb(ramp, profile).astype(int)
        assert np.ptp(converted, axis=1).max() < 40
        assert np.diff(converted, axis=0).min() >= 0
        assert converted[0].tolist() == [0, 0, 0]
        assert converted[-1].min() > 65500

    @pytest.mark.parametrize("profile", [BLUE_ONLY_RGB, LINEAR_GREY])
    def test_rejects_other_profiles(self, profile):
        with pytest.raises(InputError, match="icc_profile: expected RGB with curves and a matrix"):
            to_srgb(PHOTO, profile)

    def test_rejects_broken_profiles(self):
        with pytest.raises(InputError):
            to_srgb(PHOTO, b"nonsense")


class TestFromSrgb:
    @every_profile
    @pytest.mark.parametrize("pixels", [PHOTO, DEEP, COLORS], ids=["8 bits", "16 bits", "every colour"])
    def test_an_identity_look_restores_the_photo(self, profile, pixels):
        srgb = to_srgb(pixels, profile)
        outside = ((srgb == 0) | (srgb == 65535)).any(-1)
        assert outside.any()
        back = from_srgb(srgb, srgb, pixels, profile)
        assert back.dtype == pixels.dtype
        difference = np.abs(back.astype(int) - pixels)
        assert difference[outside].max() == 0
        # Near black, one of 65536 levels of sRGB spans up to 30 levels of a profile without sRGB's linear segment: a
        # tenth of one of 256 levels.
        assert difference.max() <= (0 if pixels.dtype == np.uint8 else 30)

    def test_other_colors_match_littlecms(self):
        look = np.ascontiguousarray(PHOTO[::-1]).astype(np.uint16) * 257
        inside = np.full_like(PHOTO, 128)
        back = from_srgb(look, to_srgb(inside, ADOBE_RGB), inside, ADOBE_RGB)
        assert np.abs(by_littlecms(back, ADOBE_RGB).astype(int) - PHOTO[::-1]).max() <= 2

    @every_profile
    def test_a_grey_look_leaves_no_color(self, profile):
        pixels = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]], np.uint8)
        srgb = to_srgb(pixels, profile)
        back = from_srgb(np.full_like(srgb, 30000), srgb, pixels, profile)
        assert np.ptp(back, axis=1).max() == 0

    def test_a_color_outside_stays_outside_under_a_mild_look(self):
        pixels = np.array([[65535, 0, 0]], np.uint16)
        srgb = to_srgb(pixels, DISPLAY_P3)
        darker = (srgb * 0.9).astype(np.uint16)
        back = from_srgb(darker, srgb, pixels, DISPLAY_P3)
        grey = np.full_like(pixels, 30000)  # nothing of it was clipped
        plain = from_srgb(darker, grey, grey, DISPLAY_P3)
        assert back[0, 0] > plain[0, 0]  # redder than sRGB can be
        assert (back[0, 1:] < plain[0, 1:]).all()

    @pytest.mark.parametrize("stylized", [PHOTO, DEEP[:9]])
    def test_rejects_different_shapes(self, stylized):
        with pytest.raises(InputError, match="stylized, srgb, pixels: expected one shape"):
            from_srgb(stylized, to_srgb(PHOTO, DISPLAY_P3), PHOTO, DISPLAY_P3)

    def test_any_shape(self):
        flat, photo = DEEP.reshape(-1, 3), to_srgb(DEEP, PROPHOTO)
        assert np.array_equal(to_srgb(flat, PROPHOTO).reshape(photo.shape), photo)
        assert np.array_equal(to_srgb(DEEP[:, ::-1], PROPHOTO), photo[:, ::-1])


class TestTables:
    """A profile of tables in both directions, made from Adobe RGB with 17 nodes an axis."""

    def test_matches_the_space_it_was_made_from(self):
        difference = np.abs(to_srgb(PHOTO, tables_both_ways()).astype(int) - to_srgb(PHOTO, ADOBE_RGB)) / 257
        # Between 17 nodes the curve of 2.2 is a chord: up to four of 256 levels off near black.
        assert difference.max() < 5
        assert difference.mean() < 0.4

    @pytest.mark.parametrize("pixels", [PHOTO, DEEP, COLORS], ids=["8 bits", "16 bits", "every colour"])
    def test_an_identity_look_restores_the_photo(self, pixels):
        srgb = to_srgb(pixels, tables_both_ways())
        assert srgb.dtype == np.uint16
        back = from_srgb(srgb, srgb, pixels, tables_both_ways())
        assert back.dtype == pixels.dtype
        # One of 65536 levels: float32 holds the sum of two such levels, and the result is rounded once.
        assert np.abs(back.astype(int) - pixels).max() <= 1

    def test_another_look_matches_the_space_it_was_made_from(self):
        results = []
        for profile in (tables_both_ways(), ADOBE_RGB):
            srgb = to_srgb(PHOTO, profile)
            results.append(from_srgb((srgb * 0.8).astype(np.uint16), srgb, PHOTO, profile).astype(int))
        difference = np.abs(results[0] - results[1])
        assert difference.max() < 8
        assert difference.mean() < 0.3

    def test_a_photo_keeps_such_a_profile(self, tmp_path, caplog):
        Image.fromarray(PHOTO).save(tmp_path / "photo.png", icc_profile=tables_both_ways())
        photo = read_photo(tmp_path / "photo.png")
        assert photo.icc_profile == tables_both_ways()
        assert np.array_equal(photo.pixels, PHOTO)
        assert not caplog.records

    def test_one_direction_only_becomes_srgb(self, tmp_path, caplog):
        Image.fromarray(PHOTO).save(tmp_path / "photo.png", icc_profile=BLUE_ONLY_RGB)
        photo = read_photo(tmp_path / "photo.png")
        assert photo.icc_profile is None
        assert np.ptp(photo.pixels, axis=2).max() <= 1
        assert ["no table from sRGB to the profile" in message for message in caplog.messages] == [True]
