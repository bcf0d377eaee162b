import pytest
import torch

from lookcast.checks import ShapeError
from lookcast.segmenters.base import ClassSegmenter
from tests.samples import rand


class Stripes(ClassSegmenter):
    """Vertical stripes of classes; their number is 100 times the green value of the first pixel."""

    names = (*(f"class {k}" for k in range(12)), "rest")
    rest = "rest"

    def probabilities(self, image):
        count = round(float(image[0, 1, 0, 0]) * 100)
        soft = torch.zeros(1, len(self.names), 1, 4 * count)
        for k in range(count):
            soft[0, k, 0, 4 * k : 4 * k + 4] = 1
        return soft


def _photo(count, height=6, step=20):
    return torch.full((1, 3, height, count * step), count / 100, dtype=torch.float64)


class TestClassSegmenter:
    def test_known_value(self):
        pair = Stripes().segment_pair(_photo(3), _photo(5, height=4).float())
        assert pair.labels == ("class 0", "class 1", "class 2", "class 3", "class 4")
        assert pair.content.shape == (1, 5, 6, 60)
        assert pair.style.shape == (1, 5, 4, 100)
        assert torch.equal(pair.content[0].argmax(0), (torch.arange(60) // 20).expand(6, 60))
        assert torch.equal(pair.style[0].argmax(0), (torch.arange(100) // 20).expand(4, 100))
        assert (pair.content.dtype, pair.style.dtype) == (torch.float64, torch.float32)

    def test_a_class_that_only_the_content_has_is_kept(self):
        pair = Stripes().segment_pair(_photo(3), _photo(2))
        assert pair.labels == ("class 0", "class 1", "class 2")
        assert pair.style[0, 2].sum() == 0

    def test_at_most_nine_classes(self):
        # Classes 0 to 2 are the largest over both photos. There is no rest, so the smallest are merged into class 0.
        pair = Stripes().segment_pair(_photo(12), _photo(3))
        assert pair.labels == tuple(f"class {k}" for k in range(9))
        assert torch.equal(pair.content.sum(1), torch.ones(1, 6, 240, dtype=torch.float64))
        assert pair.content[0, 0, :, :20].all()
        assert pair.content[0, 0, :, 180:].all()

    def test_rejects_bad_input(self):
        with pytest.raises(ShapeError, match="style: expected shape"):
            Stripes().segment_pair(rand(1, 3, 4, 4), rand(2, 3, 4, 4))
