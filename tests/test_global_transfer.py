"""Tests of `scripts/global_transfer.py`, the baseline in the tables of the docs."""

import runpy

import numpy as np
import skimage.data

from tests.markdown import ROOT

SCRIPT = runpy.run_path(str(ROOT / "scripts/global_transfer.py"))


class TestGlobalTransfer:
    def test_reaches_the_moments_of_the_style(self):
        rng = np.random.default_rng(0)
        content = (rng.normal(120, 12, (64, 64, 3)) @ [[1, 0.3, 0], [0, 0.8, 0.2], [0, 0, 1]]).astype(np.uint8)
        style = (rng.normal(90, 9, (80, 50, 3)) @ [[1, 0, 0.2], [0.3, 1, 0], [0, 0.2, 0.7]]).astype(np.uint8)
        output = SCRIPT["global_transfer"](content, style)
        (mean, covariance), (mean_s, covariance_s) = (SCRIPT["moments"](photo) for photo in (output, style))
        # The output is the exact colour x plus a rounding error e of at most h = half a level. So the means differ
        # by at most h. The covariances differ by cov(x, e) + cov(e, x) + cov(e, e), at most 2 sd(x) h + h^2, and FLOOR.
        half, spread = 0.5 / 255, covariance_s.diagonal().max() ** 0.5
        np.testing.assert_allclose(mean, mean_s, atol=half)
        np.testing.assert_allclose(covariance, covariance_s, atol=2 * spread * half + half**2 + SCRIPT["FLOOR"])

    def test_own_style_changes_nothing(self):
        photo = skimage.data.chelsea()[::4, ::4]
        # The map is the identity up to rounding in float64, and rounding to 8 bits removes that.
        np.testing.assert_array_equal(SCRIPT["global_transfer"](photo, photo), photo)
