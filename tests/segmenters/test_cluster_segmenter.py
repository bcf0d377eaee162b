import pytest
import torch

from lookcast.checks import InputError, ShapeError
from lookcast.encoders.compact import CompactEncoder
from lookcast.ops.masks import colors_to_mask, mask_to_colors
from lookcast.ops.regions import MIN_SHARE
from lookcast.segmenters.cluster_segmenter import LIGHTNESS_WEIGHT, ClusterSegmenter, _merge_missing
from tests.samples import photo, rand, recolor


def _scene(height, width, horizon, color, seed):
    """Return a flat sky over rough ground of the complementary colour, and the mask of the ground `(H, W)`."""
    ground = torch.arange(height)[:, None].expand(height, width) >= horizon
    flat = torch.tensor(color).view(1, 3, 1, 1).expand(1, 3, height, width)
    rough = 1 - flat + 0.6 * (rand(1, 1, height, width, seed=seed, dtype=torch.float32) - 0.5)
    return torch.where(ground, rough, flat).clamp(0, 1), ground


def _disc(height, width, ground, thing, grain, seed):
    """Return a grey disc with grain on a flat grey ground, and the mask of the disc `(H, W)`."""
    y, x = torch.arange(height)[:, None], torch.arange(width)
    disc = (y - 0.5 * height) ** 2 + (x - 0.48 * width) ** 2 < (0.28 * min(height, width)) ** 2
    rough = thing + grain * (rand(1, 1, height, width, seed=seed, dtype=torch.float32) - 0.5)
    return torch.where(disc, rough, ground).clamp(0, 1).expand(1, 3, -1, -1), disc


@pytest.fixture(scope="module")
def photos():
    return photo("coffee", whole=True).float(), recolor(photo("astronaut", whole=True)).clamp(0, 1).float()


def _check_masks(pair, content, style):
    for mask, image in ((pair.content, content), (pair.style, style)):
        assert mask.shape == (1, len(pair.labels), *image.shape[-2:])
        assert mask.dtype == image.dtype
        assert torch.equal(mask.sum(1), torch.ones_like(mask[:, 0]))
        assert torch.equal(mask, mask.square())  # one-hot
    assert 1 <= len(pair.labels) <= 9


class TestClusterSegmenter:
    @pytest.mark.parametrize("num_clusters", [2, None])
    def test_known_value(self, num_clusters):
        # Day and night: the colours of the style are those of the content, inverted.
        content, ground = _scene(160, 224, 80, (0.4, 0.6, 0.9), seed=0)
        style, dark_ground = _scene(192, 128, 120, (0.1, 0.1, 0.2), seed=1)
        pair = ClusterSegmenter(num_clusters=num_clusters).segment_pair(content, style)
        _check_masks(pair, content, style)
        sky = pair.content[0, :, 0, 0].argmax()
        # Exact except for two cells of the encoder at the horizon: their receptive fields cross it.
        for mask, truth, horizon in ((pair.content, ground, 80), (pair.style, dark_ground, 120)):
            found = mask[0].argmax(0) != sky
            assert torch.equal(found[: horizon - 16], truth[: horizon - 16])
            assert torch.equal(found[horizon + 16 :], truth[horizon + 16 :])

    def test_texture_outweighs_the_place(self):
        content, _ = _scene(160, 224, 80, (0.4, 0.6, 0.9), seed=0)
        style, _ = _scene(192, 128, 120, (0.5, 0.6, 0.2), seed=1)
        pair = ClusterSegmenter(num_clusters=2).segment_pair(content, style.flip(2))
        rough = pair.content[0, :, -1, 0].argmax()
        assert pair.content[0, rough, 96:].all()
        assert pair.style[0, rough, :56].all()
        assert not pair.style[0, rough, 88:].any()

    def test_the_ground_around_an_object_is_one_region(self):
        # Without the bilateral filter, the ground near the disc is a third region.
        for photo_size, style_size, seed in (((200, 256), (180, 200), 0), ((224, 160), (160, 240), 2)):
            content, disc = _disc(*photo_size, ground=0.85, thing=0.3, grain=0.6, seed=seed)
            style, other = _disc(*style_size, ground=0.9, thing=0.4, grain=0.6, seed=seed + 1)
            pair = ClusterSegmenter(num_clusters=3).segment_pair(content, style)
            for mask, inside in ((pair.content, disc), (pair.style, other)):
                assert mask[0][:, inside].mean(1).max() > 0.99
                assert mask[0][:, ~inside].mean(1).max() > 0.98

    def test_a_smooth_dark_object_is_not_the_bright_ground(self):
        # Without the lightness, 7 % of the style's disc has another label than the content's disc.
        content, disc = _disc(200, 256, ground=0.8, thing=0.08, grain=0.0, seed=0)
        style, other = _disc(180, 200, ground=0.95, thing=0.2, grain=0.5, seed=1)
        pair = ClusterSegmenter().segment_pair(content, style)
        label = pair.content[0][:, disc].mean(1).argmax()
        assert pair.content[0, label, disc].mean() > 0.95
        assert pair.style[0, label, other].mean() > 0.95
        assert pair.content[0, label, ~disc].mean() < 0.05
        assert pair.style[0, label, ~other].mean() < 0.05

    @pytest.mark.parametrize("contrast", [1.0, 0.2])
    def test_a_descriptor_has_the_lightness_relative_to_the_photo(self, contrast):
        image = torch.full((1, 3, 64, 128), 0.2)
        image[..., 64:] += 0.6 * contrast
        light = ClusterSegmenter()._describe(image)[0, -2]
        torch.testing.assert_close(light[:, :6], torch.full((8, 6), -LIGHTNESS_WEIGHT), rtol=0, atol=0.03)
        torch.testing.assert_close(light[:, -6:], torch.full((8, 6), LIGHTNESS_WEIGHT), rtol=0, atol=0.03)

    def test_same_photo_same_mask(self, photos):
        pair = ClusterSegmenter().segment_pair(photos[0], photos[0])
        assert torch.equal(pair.content, pair.style)
        assert len(pair.labels) >= 2

    def test_recoloured_photo_has_nearly_the_same_mask(self, photos):
        style = recolor(photos[0].double()).clamp(0, 1).float()
        pair = ClusterSegmenter(num_clusters=3).segment_pair(photos[0], style)
        assert (pair.content * pair.style).sum(1).mean() > 0.9

    def test_determinism(self, photos):
        segmenter = ClusterSegmenter()
        first, second = segmenter.segment_pair(*photos), segmenter.segment_pair(*photos)
        assert torch.equal(first.content, second.content)
        assert torch.equal(first.style, second.style)
        assert first.labels == second.labels

    @pytest.mark.parametrize(
        ("content_size", "style_size"),
        [((37, 61), (16, 16)), ((1, 90), (70, 1)), ((1, 1), (5, 3)), ((300, 500), (8, 9))],
    )
    @pytest.mark.parametrize("num_clusters", [1, 9, None])
    def test_any_size(self, content_size, style_size, num_clusters):
        content, style = rand(1, 3, *content_size), rand(1, 3, *style_size, seed=1).float()
        _check_masks(ClusterSegmenter(num_clusters=num_clusters).segment_pair(content, style), content, style)

    def test_flat_photos(self):
        content, style = torch.full((1, 3, 40, 50), 0.3), torch.full((1, 3, 30, 50), 0.8)
        _check_masks(ClusterSegmenter().segment_pair(content, style), content, style)

    def test_survives_the_nine_colours(self, photos):
        pair = ClusterSegmenter(num_clusters=9).segment_pair(*photos)
        count = len(pair.labels)
        for mask in (pair.content, pair.style):
            assert torch.equal(colors_to_mask(mask_to_colors(mask))[:, :count], mask)

    @pytest.mark.parametrize("num_clusters", [2, 3, 5, 7, 9])
    def test_every_label_of_the_content_is_in_the_style(self, photos, num_clusters):
        for content, style in (photos, photos[::-1]):
            pair = ClusterSegmenter(num_clusters=num_clusters).segment_pair(content, style)
            of_content, of_style = (mask.mean((0, 2, 3)) for mask in (pair.content, pair.style))
            assert (of_style[of_content > 0] >= MIN_SHARE).all()

    def test_takes_another_encoder(self, photos):
        encoder = CompactEncoder(taps=["relu3_1"])
        pair = ClusterSegmenter(encoder, num_clusters=3).segment_pair(*photos)
        _check_masks(pair, *photos)
        assert not torch.equal(pair.content, ClusterSegmenter(num_clusters=3).segment_pair(*photos).content)

    def test_rejects_bad_input(self, photos):
        for count in (0, 10):
            with pytest.raises(InputError, match=f"num_clusters: expected 1 to 9, got {count}"):
                ClusterSegmenter(num_clusters=count)
        segmenter = ClusterSegmenter()
        with pytest.raises(ShapeError, match=r"content: expected shape \(1, 3, H, W\)"):
            segmenter.segment_pair(rand(2, 3, 16, 16), photos[1])
        with pytest.raises(ShapeError, match="style: expected shape"):
            segmenter.segment_pair(photos[0], rand(1, 4, 16, 16))
        with pytest.raises(InputError, match="style: expected floating point"):
            segmenter.segment_pair(photos[0], torch.zeros(1, 3, 16, 16, dtype=torch.uint8))
        with pytest.raises(InputError, match="content: expected at least one element"):
            segmenter.segment_pair(rand(1, 3, 0, 16), photos[1])


def _labels(*counts):
    """Return a row of pixels with a given number of pixels per label."""
    return torch.cat([torch.full((count,), k, dtype=torch.uint8) for k, count in enumerate(counts)]).view(1, 1, -1)


class TestMergeMissing:
    CENTERS = torch.tensor([[[0.0], [5.0], [6.0], [9.0]]])

    def test_label_absent_from_the_style(self):
        # Label 2 is nearest to label 1, which the content lacks; label 3 is the nearest that both photos have.
        table = _merge_missing(_labels(500, 0, 300, 200), _labels(500, 300, 4, 196), self.CENTERS)
        assert table.tolist() == [0, 1, 3, 3]

    def test_label_absent_from_the_content_is_kept(self):
        assert _merge_missing(_labels(500, 500, 0), _labels(400, 400, 200), self.CENTERS[:, :3]).tolist() == [0, 1, 2]

    def test_the_minimum_share_counts_as_present(self):
        centers = self.CENTERS[:, :2]
        assert _merge_missing(_labels(500, 500), _labels(995, 5), centers).tolist() == [0, 1]
        assert _merge_missing(_labels(500, 500), _labels(996, 4), centers).tolist() == [0, 0]

    def test_nothing_in_common(self):
        assert _merge_missing(_labels(10, 0), _labels(0, 10), self.CENTERS[:, :2]).tolist() == [0, 0]
