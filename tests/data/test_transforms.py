import pytest
import torch
from torchvision import tv_tensors

from lookcast.data.transforms import MIN_SIDE, training_transform, validation_transform
from lookcast.encoders import compact
from lookcast.encoders.vgg import STRIDES
from tests.samples import photo


def bytes_of(image):
    return tv_tensors.Image((image[0] * 255).round().byte())


ASTRONAUT = bytes_of(photo("astronaut"))  # 53 x 40


def halves(height, width):
    """A mask of two labels: left half, right half."""
    mask = torch.zeros(2, height, width)
    mask[0, :, : width // 2] = mask[1, :, width // 2 :] = 1
    return tv_tensors.Mask(mask)


class TestTrainingTransform:
    @pytest.mark.parametrize("size", [16, 40, 100])
    def test_shape(self, size):
        content, mask = training_transform(size, (0.3, 1.0), 0.4)(ASTRONAUT, halves(40, 53))
        assert content.shape == (3, size, size)
        assert mask.shape == (2, size, size)
        assert content.dtype == mask.dtype == torch.float32
        assert 0 <= content.min() < content.max() <= 1

    def test_without_a_mask(self):
        content, mask = training_transform(32, (0.3, 1.0), 0.4)(ASTRONAUT, None)
        assert content.shape == (3, 32, 32)
        assert mask is None

    def test_known_value(self):
        # A square photo, whole, of the asked-for size: given back, or its mirror image.
        square = tv_tensors.Image(ASTRONAUT[:, :40, :40])
        expected, seen = square.as_subclass(torch.Tensor) / 255, set()
        transform = training_transform(40, (1.0, 1.0), 0)
        torch.manual_seed(0)
        for _ in range(20):
            content = transform(square, None)[0]
            mirrored = torch.allclose(content, expected.flip(2), rtol=0, atol=1e-7)
            assert mirrored or torch.allclose(content, expected, rtol=0, atol=1e-7)
            seen.add(mirrored)
        assert seen == {True, False}

    def test_share_of_the_photo(self):
        # A photo that shows where its pixels come from: red is x, green is y.
        rows, columns = torch.meshgrid(torch.arange(240), torch.arange(240), indexing="ij")
        place = tv_tensors.Image(torch.stack([columns, rows, rows]).byte())
        transform, shares = training_transform(60, (0.25, 0.5), 0), []
        torch.manual_seed(0)
        for _ in range(40):
            x, y = transform(place, None)[0][:2] * 255 / 240
            # From the first to the last of 60 samples it is 59/60 of the crop.
            shares.append(float((x.max() - x.min()) * (y.max() - y.min())) * (60 / 59) ** 2)
        assert 0.23 < min(shares) < 0.3
        assert 0.45 < max(shares) < 0.52

    def test_mask_stays_hard_and_aligned(self):
        mask = halves(40, 54)
        shown = tv_tensors.Image((mask[[0, 0, 0]] * 255).byte())
        transform = training_transform(30, (0.3, 1.0), 0)
        torch.manual_seed(0)
        for _ in range(20):
            content, cropped = transform(shown, mask)
            assert torch.equal(cropped.unique(), torch.tensor([0.0, 1.0])) or cropped.unique().numel() == 1
            assert torch.equal(cropped.sum(0), torch.ones(30, 30))
            assert ((content[0] > 0.5) == (cropped[0] > 0.5)).float().mean() > 0.95

    def test_jitter_regrades_the_photo_only(self):
        plain, graded = (training_transform(40, (1.0, 1.0), jitter) for jitter in (0, 0.4))
        square = tv_tensors.Image(ASTRONAUT[:, :40, :40])
        torch.manual_seed(0)
        means = [float(graded(square, None)[0].mean()) for _ in range(20)]
        expected = float(plain(square, None)[0].mean())
        assert min(means) < 0.8 * expected
        assert max(means) > 1.2 * expected
        mask = graded(square, halves(40, 40))[1]
        assert torch.equal(mask, halves(40, 40)) or torch.equal(mask, halves(40, 40).flip(2))


class TestValidationTransform:
    @pytest.mark.parametrize(
        ("size", "longest", "expected"),
        [
            ((40, 53), 512, (40, 53)),  # never enlarged
            ((400, 600), 300, (200, 300)),
            ((600, 400), 300, (300, 200)),
            ((333, 500), 100, (67, 100)),
            ((20, 2000), 512, (16, 1600)),  # a panorama keeps what the encoders need
            ((16, 2000), 64, (16, 2000)),
        ],
    )
    def test_shape(self, size, longest, expected):
        image, mask = validation_transform(longest)(tv_tensors.Image(torch.zeros(3, *size).byte()), halves(*size))
        assert image.shape == (3, *expected)
        assert mask.shape == (2, *expected)

    def test_known_value(self):
        content, mask = validation_transform(512)(ASTRONAUT, None)
        # torchvision multiplies by the float 1/255.
        torch.testing.assert_close(
            content.as_subclass(torch.Tensor), ASTRONAUT.as_subclass(torch.Tensor) / 255, rtol=0, atol=1e-7
        )
        assert mask is None

    def test_shrinks_by_area(self):
        # Antialiased: stripes become grey. These lie where plain bilinear resizing takes its samples.
        stripes = torch.roll((torch.arange(64) % 4 < 2).int() * 255, 1)
        content = validation_transform(16)(tv_tensors.Image(stripes.expand(3, 64, -1).byte()), None)[0]
        torch.testing.assert_close(content[..., 1:-1], torch.full((3, 16, 14), 0.5), rtol=0, atol=0.02)

    def test_mask_sums_to_one(self):
        mask = validation_transform(23)(ASTRONAUT, halves(40, 53))[1]
        torch.testing.assert_close(mask.sum(0), torch.ones(mask.shape[1:]))
        assert torch.equal(mask[0, :, :8], torch.ones(mask.shape[1], 8))

    def test_module_equals_function(self):
        # The same photo twice: nothing is random.
        transform = validation_transform(30)
        assert torch.equal(transform(ASTRONAUT, None)[0], transform(ASTRONAUT, None)[0])


class TestMinSide:
    def test_known_value(self):
        assert max(compact.MIN_SIZE, *STRIDES.values()) == MIN_SIDE == 16
