import pytest
import torch
from sklearn.datasets import load_sample_image

from lookcast.encoders.scenes import SCENES, SceneClasses, ThumbnailHead
from lookcast.ops.resize import thumbnail_of
from lookcast.segmenters import SceneSegmenter
from lookcast.weights import CheckpointError, save_weights
from tests.samples import photo, rand


@pytest.fixture(scope="module")
def classes():
    return SceneClasses()


@pytest.fixture(scope="module")
def temple():
    return torch.from_numpy(load_sample_image("china.jpg").copy()).permute(2, 0, 1)[None].float() / 255


def new_head():
    torch.manual_seed(0)
    return ThumbnailHead().eval()


def flat(height, width):
    """Return constant features of a photo of `height` x `width` pixels."""
    sizes = ((24, 4), (40, 8), (112, 16), (320, 32))
    return [torch.ones(1, channels, height // stride, width // stride) for channels, stride in sizes]


class TestThumbnailHead:
    def test_is_small(self):
        assert sum(weights.numel() for weights in new_head().parameters()) == pytest.approx(2.4e5, rel=0.03)

    @torch.no_grad()
    def test_knows_the_vertical_position(self):
        logits = new_head()(flat(256, 256))
        assert logits.shape == (1, len(SCENES), 64, 64)
        middle = logits[..., 16:48, 30:33]  # far from the padding
        assert (middle[..., 0, :] - middle[..., -1, :]).abs().max() > 1e-3
        torch.testing.assert_close(middle[..., 0], middle[..., 2])

    @torch.no_grad()
    def test_knows_the_whole_photo(self):
        features = flat(512, 64)
        first = new_head()(features)[..., :16, :]
        features[3][..., 12:, :] = 9  # far below the compared places
        assert (new_head()(features)[..., :16, :] - first).abs().max() > 1e-3

    @torch.no_grad()
    def test_reads_all_features(self):
        first = new_head()(flat(128, 128))
        for k in range(4):
            features = flat(128, 128)
            features[k] += 1
            assert (new_head()(features) - first).abs().max() > 1e-3


class TestSceneClasses:
    def test_known_regions(self, classes, temple):
        found = classes(thumbnail_of(temple, 128), 64)[0]
        assert found[SCENES.index("sky"), :8].mean() > 0.9
        assert found[SCENES.index("building"), 28:46, 14:24].mean() > 0.7
        assert found[SCENES.index("plants"), 56:].mean() > 0.6
        astronaut = classes(thumbnail_of(photo("astronaut", whole=True).float(), 128), 64)[0]
        assert astronaut[SCENES.index("person"), 6:18, 22:32].mean() > 0.8

    def test_dusk_has_the_same_regions(self, classes, temple):
        dusk = (temple * torch.tensor([0.5, 0.3, 0.4]).view(1, 3, 1, 1)).clamp(0, 1) ** 1.2
        day, evening = (classes(thumbnail_of(image, 128), 64) for image in (temple, dusk))
        assert (day.argmax(1) == evening.argmax(1)).float().mean() > 0.85

    @pytest.mark.parametrize("side", [16, 64])
    def test_are_probabilities(self, classes, side):
        found = classes(rand(2, 3, 128, 128).float(), side)
        assert found.shape == (2, len(SCENES), side, side)
        assert found.min() >= 0
        torch.testing.assert_close(found.sum(1), torch.ones(2, side, side))

    def test_own_weights(self, classes, tmp_path):
        head = new_head()
        save_weights(tmp_path / "own.safetensors", "scene classes", head.state_dict(), {})
        image = rand(1, 3, 128, 128).float()
        with torch.no_grad():
            expected = head(classes.body(image)).softmax(1)
        # Another memory layout may take other kernels: float32, sums of up to 864 products of the order of 1.
        found = SceneClasses(tmp_path / "own.safetensors")(image, 32)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)

    def test_body_is_that_of_the_segmenter(self, classes):
        own, other = (body.stages[6][0].project.convolution for body in (classes.body, SceneSegmenter().network.body))
        assert torch.equal(own.weight, other.weight)

    def test_is_frozen(self, classes):
        image = rand(1, 3, 128, 128).float()
        expected = classes(image, 32)
        assert torch.equal(classes.train()(image, 32), expected)  # dropout is off
        assert not list(classes.parameters())

    def test_refuses_other_files(self, tmp_path):
        save_weights(tmp_path / "other.safetensors", "scenes", {}, {})
        with pytest.raises(CheckpointError, match=r"holds weights of kind 'scenes', expected 'scene classes'$"):
            SceneClasses(tmp_path / "other.safetensors")
        save_weights(tmp_path / "empty.safetensors", "scene classes", {}, {})
        with pytest.raises(CheckpointError, match=r"empty\.safetensors: "):
            SceneClasses(tmp_path / "empty.safetensors")
