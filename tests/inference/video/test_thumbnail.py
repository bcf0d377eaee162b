"""Thumbnails of planes, against resizing in float64."""

import numpy as np
import pytest
import torch

from lookcast.inference.video.color import codes_of
from lookcast.inference.video.thumbnail import thumbnail_of_planes
from lookcast.ops.resize import resize_image
from tests.inference.video.test_planes import frame_of, random_planes


class TestThumbnailOfPlanes:
    @pytest.mark.parametrize("size", [(200, 230), (300, 400), (601, 531), (64, 64), (40, 90), (1, 1)])
    @pytest.mark.parametrize("layout", ["yuv420p", "yuv422p10le", "yuv444p12le", "gbrp"])
    def test_matches_reference(self, layout, size):
        frame = frame_of(layout, size)
        codes, planes = codes_of(frame), random_planes(frame)
        small = [resize_image(torch.from_numpy(plane.astype(np.float64))[None, None], 64, 64)[0, 0] for plane in planes]
        values = torch.stack([*small, torch.ones(64, 64)])
        expected = torch.einsum("ck,kyx->cyx", torch.from_numpy(codes.to_rgb), values).clamp(0, 1)[None]
        # Sums of at most 25 x 25 weighted codes near the middle, and three products of up to 2: errors below 4e-6.
        torch.testing.assert_close(thumbnail_of_planes(planes, codes, 64).double(), expected, rtol=0, atol=4e-6)
