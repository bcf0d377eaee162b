import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms.v2 import functional as vision

from lookcast.data.transforms import draw_window, resize_windows, shrink_to
from tests.samples import photo


def bytes_of(image):
    return (image[0] * 255).round().byte()


ASTRONAUT = bytes_of(photo("astronaut"))  # 53 x 40


def halves(height, width):
    """Labels of two regions: left half, right half."""
    return torch.arange(width).ge(width // 2).byte().expand(1, height, -1).contiguous()


class TestDrawWindow:
    @pytest.mark.parametrize("scale", [(0.3, 1.0), (0.25, 0.5), (0.05, 0.1)])
    def test_share_of_the_photo(self, scale):
        torch.manual_seed(0)
        windows = [draw_window((240, 320), scale) for _ in range(300)]
        shares = [window.height * window.width / (240 * 320) for window in windows]
        assert scale[0] * 0.97 < min(shares) < scale[0] * 1.2
        assert scale[1] * 0.8 < max(shares) < scale[1] * 1.03
        if scale[1] < 1:  # else wide windows of nearly all of it do not fit, and others are drawn
            assert sum(shares) / 300 == pytest.approx(sum(scale) / 2, rel=0.12)

    def test_lies_inside(self):
        torch.manual_seed(0)
        for size in ((240, 320), (16, 16), (17, 400), (400, 17)):
            for _ in range(50):
                top, left, height, width, _ = draw_window(size, (0.3, 1.0))
                assert 0 <= top < top + height <= size[0]
                assert 0 <= left < left + width <= size[1]

    def test_ratio(self):
        torch.manual_seed(0)
        ratios = [window.width / window.height for window in (draw_window((400, 400), (0.1, 0.3)) for _ in range(300))]
        assert 0.74 < min(ratios) < 0.78
        assert 1.28 < max(ratios) < 1.35
        assert 110 < sum(ratio > 1 for ratio in ratios) < 190  # as often wide as tall

    def test_places_are_spread(self):
        torch.manual_seed(0)
        windows = [draw_window((100, 100), (0.25, 0.25)) for _ in range(200)]
        for begins, ends in (
            ([window.top for window in windows], [window.top + window.height for window in windows]),
            ([window.left for window in windows], [window.left + window.width for window in windows]),
        ):
            assert min(begins) <= 1
            assert max(ends) >= 99

    def test_whole_photo(self):
        torch.manual_seed(0)
        windows = [draw_window((40, 40), (1.0, 1.0)) for _ in range(200)]
        assert {window[:4] for window in windows} == {(0, 0, 40, 40)}
        assert 70 < sum(window.flip for window in windows) < 130

    def test_seeded(self):
        def drawn(seed):
            torch.manual_seed(seed)
            return [draw_window((99, 77), (0.3, 1.0)) for _ in range(5)]

        assert drawn(0) == drawn(0) != drawn(1)


class TestResizeWindows:
    @pytest.mark.parametrize("size", [16, 40, 100])
    def test_shape(self, size):
        windows = [ASTRONAUT, ASTRONAUT[:, :17, :20], ASTRONAUT[:, :, :5]]
        photos = resize_windows(windows, [False, True, False], size)
        labels = resize_windows([halves(*window.shape[1:]) for window in windows], [False, True, False], size)
        assert photos.shape == (3, 3, size, size)
        assert labels.shape == (3, 1, size, size)
        assert (photos.dtype, labels.dtype) == (torch.float32, torch.uint8)
        assert 0 <= photos.min() < photos.max() <= 255

    @pytest.mark.parametrize("size", [16, 40, 47, 100])
    @pytest.mark.parametrize("side", [20, 40])
    def test_matches_reference(self, size, side):
        window = ASTRONAUT[:, :side]
        given = resize_windows([window], [False], size)[0]
        torch.testing.assert_close(given, vision.resize(window.float(), [size, size], antialias=True))
        # Of bytes torchvision rounds twice, to whole levels.
        assert (given - vision.resize(window, [size, size], antialias=True)).abs().max() <= 1

    def test_known_value(self):
        # A window of the asked-for size: given back, or its mirror image.
        square = ASTRONAUT[:, :40, :40]
        kept, mirrored = resize_windows([square, square], [False, True], 40)
        assert torch.equal(kept, square.float())
        assert torch.equal(mirrored, square.flip(2).float())
        kept, mirrored = resize_windows([halves(40, 40)] * 2, [False, True], 40)
        assert torch.equal(kept, halves(40, 40))
        assert torch.equal(mirrored, 1 - halves(40, 40))

    @pytest.mark.parametrize("width", [30, 54, 100])
    @pytest.mark.parametrize("flip", [False, True])
    def test_labels_stay_hard_and_aligned(self, width, flip):
        labels = halves(40, width)
        shown = (labels * 255).expand(3, -1, -1)
        resized, photos = resize_windows([labels], [flip], 30)[0], resize_windows([shown], [flip], 30)[0]
        assert set(resized.unique().tolist()) == {0, 1}
        assert ((photos[:1] > 127) == (resized == 1)).float().mean() > 0.96  # one column of thirty lies between

    def test_invariance_to_what_else_is_in_the_batch(self):
        alone = resize_windows([ASTRONAUT], [True], 24)
        among = resize_windows([ASTRONAUT[:, :9], ASTRONAUT, ASTRONAUT[..., :30]], [False, True, True], 24)
        assert torch.equal(among[1], alone[0])

    def test_shrinks_by_area(self):
        # Antialiased: stripes become grey. These lie where plain bilinear resizing takes its samples.
        stripes = torch.roll((torch.arange(64) % 4 < 2).byte() * 255, 1).expand(3, 64, -1)
        photos = resize_windows([stripes], [False], 16)
        torch.testing.assert_close(photos[..., 1:-1], torch.full((1, 3, 16, 14), 127.5), rtol=0, atol=5)


class TestShrinkTo:
    @pytest.mark.parametrize(
        ("size", "max_side", "expected"),
        [
            ((40, 53), 512, (40, 53)),  # never enlarged
            ((400, 600), 300, (200, 300)),
            ((600, 400), 300, (300, 200)),
            ((333, 500), 100, (67, 100)),
            ((20, 2000), 512, (16, 1600)),  # a panorama keeps what the encoders need
            ((16, 2000), 64, (16, 2000)),
        ],
    )
    def test_shape(self, size, max_side, expected):
        assert shrink_to(torch.zeros(3, *size).byte(), max_side).shape == (3, *expected)
        assert shrink_to(torch.zeros(1, *size).byte(), max_side, labels=True).shape == (1, *expected)

    def test_known_value(self):
        assert torch.equal(shrink_to(ASTRONAUT, 512), ASTRONAUT)

    def test_shrinks_by_area(self):
        stripes = torch.roll((torch.arange(64) % 4 < 2).byte() * 255, 1).expand(3, 64, -1)
        shrunk = shrink_to(stripes, 16)[..., 1:-1].float()
        torch.testing.assert_close(shrunk, torch.full((3, 16, 14), 127.5), rtol=0, atol=5)

    @pytest.mark.parametrize("max_side", [23, 30, 11, 8])
    def test_labels_stay_hard_and_aligned(self, max_side):
        # Regions of 24 columns: their borders lie in the middle of the photo's, not to one side of them.
        labels = (torch.arange(240) // 24 % 2).byte().expand(1, 180, -1).contiguous()
        shown = (labels * 255).expand(3, -1, -1)
        small, photos = shrink_to(labels, 2 * max_side, labels=True), shrink_to(shown, 2 * max_side)
        assert set(small.unique().tolist()) == {0, 1}
        expected = F.interpolate(labels[None], small.shape[1:], mode="nearest-exact")[0]
        assert torch.equal(small, expected)
        clear = (photos[:1] < 60) | (photos[:1] > 195)
        assert torch.equal(small[clear] == 1, photos[:1][clear] > 127)
