import pytest
import torch
from sklearn.datasets import load_sample_image

from lookcast.checks import InputError, ShapeError
from lookcast.encoders.scenes import SCENES
from lookcast.ops.masks import mask_to_colors
from lookcast.segmenters import SceneSegmenter
from lookcast.segmenters.scene_network import SceneNetwork
from lookcast.segmenters.scene_segmenter import COMMON_SHARE
from lookcast.weights import CheckpointError, save_weights
from tests.samples import photo, rand


@pytest.fixture(scope="module")
def segmenter():
    return SceneSegmenter()


@pytest.fixture(scope="module")
def temple():
    return torch.from_numpy(load_sample_image("china.jpg").copy()).permute(2, 0, 1)[None].float() / 255


@pytest.fixture(scope="module")
def astronaut():
    return photo("astronaut", whole=True).float()


def _check_masks(pair, content, style):
    for mask, image in ((pair.content, content), (pair.style, style)):
        assert mask.shape == (1, len(pair.labels), *image.shape[-2:])
        assert mask.dtype == image.dtype
        assert mask.min() >= 0
        torch.testing.assert_close(mask.sum(1), torch.ones_like(mask[:, 0]), rtol=0, atol=1e-5)
    assert set(pair.labels) <= set(SCENES)


def _share(mask, labels, name, rows, columns):
    """Return the mean weight of a class in a rectangle."""
    return mask[0, labels.index(name), slice(*rows), slice(*columns)].mean()


class TestSceneSegmenter:
    def test_known_regions(self, segmenter, temple, astronaut):
        pair = segmenter.segment_pair(temple, temple)
        assert _share(pair.content, pair.labels, "sky", (0, 60), (0, 640)) > 0.95
        assert _share(pair.content, pair.labels, "building", (180, 320), (130, 250)) > 0.9
        assert _share(pair.content, pair.labels, "plants", (360, 427), (0, 640)) > 0.8
        pair = segmenter.segment_pair(astronaut, astronaut)
        assert _share(pair.content, pair.labels, "person", (40, 150), (180, 260)) > 0.9

    def test_dusk_has_the_same_regions(self, segmenter, temple):
        dusk = (temple * torch.tensor([0.5, 0.3, 0.4]).view(1, 3, 1, 1)).clamp(0, 1) ** 1.2
        pair = segmenter.segment_pair(temple, dusk)
        assert (pair.content * pair.style).sum(1).mean() > 0.85

    def test_borders_are_soft_where_the_network_is_unsure(self, segmenter, temple):
        pair = segmenter.segment_pair(temple, temple)
        certain = pair.content.amax(1)
        assert certain.median() > 0.95
        assert certain.min() < 0.7

    def test_only_classes_of_the_style(self, segmenter, temple):
        lawn = temple[..., 240:, 400:]  # trees, without sky or building
        pair = segmenter.segment_pair(temple, lawn)
        assert "plants" in pair.labels
        assert "building" not in pair.labels
        _check_masks(pair, temple, lawn)
        alone = segmenter.segment_pair(lawn, lawn)
        assert pair.labels == alone.labels
        assert torch.equal(pair.style, alone.style)
        assert pair.style.mean((0, 2, 3)).min() > COMMON_SHARE / 2

    def test_same_photo_same_mask(self, segmenter, astronaut):
        pair = segmenter.segment_pair(astronaut, astronaut)
        assert torch.equal(pair.content, pair.style)

    def test_determinism(self, segmenter, temple, astronaut):
        first, second = (segmenter.segment_pair(temple, astronaut) for _ in range(2))
        assert torch.equal(first.content, second.content)

    @pytest.mark.parametrize(
        ("content_size", "style_size"),
        [((37, 61), (16, 16)), ((1, 90), (70, 1)), ((1, 1), (5, 3)), ((300, 500), (8, 9))],
    )
    def test_any_size(self, segmenter, content_size, style_size):
        content, style = rand(1, 3, *content_size), rand(1, 3, *style_size, seed=1).float()
        _check_masks(segmenter.segment_pair(content, style), content, style)

    def test_flat_photos(self, segmenter):
        content, style = torch.full((1, 3, 40, 50), 0.3), torch.full((1, 3, 30, 50), 0.8)
        _check_masks(segmenter.segment_pair(content, style), content, style)

    def test_has_a_colour_for_each_class(self, segmenter, temple):
        pair = segmenter.segment_pair(temple, temple)
        colors = mask_to_colors(pair.content)[0].flatten(1).T.unique(dim=0)
        assert len(colors) == len(pair.content.argmax(1).unique())

    def test_weights_from_a_file(self, tmp_path, temple):
        torch.manual_seed(0)
        network = SceneNetwork()
        # Logits that depend on nothing: the second class for every place.
        network.head.classify.weight.data.zero_()
        network.head.classify.bias.data = torch.eye(len(SCENES))[1] * 9
        save_weights(tmp_path / "a.safetensors", "scenes", network.state_dict(), {})
        pair = SceneSegmenter(tmp_path / "a.safetensors").segment_pair(temple, temple)
        assert pair.labels == ("water",)
        assert torch.equal(pair.content, torch.ones_like(pair.content))

    def test_is_frozen(self, segmenter):
        assert not list(segmenter.network.parameters())

    def test_rejects_bad_input(self, segmenter, tmp_path, temple):
        with pytest.raises(ShapeError, match="style"):
            segmenter.segment_pair(temple, temple.expand(2, -1, -1, -1))
        with pytest.raises(InputError, match="content"):
            segmenter.segment_pair((temple * 255).byte(), temple)
        with pytest.raises(CheckpointError, match=r"none\.safetensors: no such checkpoint$"):
            SceneSegmenter(tmp_path / "none.safetensors")
        save_weights(tmp_path / "b.safetensors", "encoder", {}, {})
        with pytest.raises(CheckpointError, match="holds weights of kind 'encoder', expected 'scenes'"):
            SceneSegmenter(tmp_path / "b.safetensors")
        save_weights(tmp_path / "c.safetensors", "scenes", {}, {})
        with pytest.raises(CheckpointError, match="lacks the weight 'body"):
            SceneSegmenter(tmp_path / "c.safetensors")
