import sys

import pytest
import torch

from lookcast.checks import InputError
from lookcast.segmenters.labels import GROUP_NAMES, GROUPS, OTHER, group_of
from lookcast.segmenters.transformers_segmenter import TransformersSegmenter
from tests.samples import photo, rand

transformers = pytest.importorskip("transformers", reason="lookcast[segment] is not installed")

# As many classes as ADE20K has, in an order that is not the table's.
NAMES = [*(name for names in zip(*[iter(sorted(sum(GROUPS.values(), ())))] * 2, strict=False) for name in names[::-1])]
NAMES = [*NAMES, *(f"thing {k}" for k in range(150 - len(NAMES)))]


def _network(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = transformers.SegformerConfig(
            depths=[1, 1, 1, 1],
            hidden_sizes=[8, 8, 16, 16],
            num_attention_heads=[1, 1, 2, 2],
            decoder_hidden_size=8,
            id2label=dict(enumerate(NAMES)),
            label2id={name: k for k, name in enumerate(NAMES)},
        )
        return transformers.SegformerForSemanticSegmentation(config).eval()


def _save(folder, network):
    network.save_pretrained(folder)
    transformers.SegformerImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return _save(tmp_path_factory.mktemp("segformer"), _network())


class TestTransformersSegmenter:
    def test_probabilities_sum_to_one(self, folder):
        with torch.no_grad():
            grouped = TransformersSegmenter(folder).probabilities(photo("astronaut"))
        assert grouped.shape == (1, len(GROUP_NAMES), 16, 16)
        torch.testing.assert_close(grouped.sum(1), torch.ones(1, 16, 16))

    def test_matches_reference(self, folder):
        # The checkpoint as transformers' own users run it, on 8-bit pixels; the classes added up one by one.
        image = photo("astronaut", whole=True)
        pixels = (image[0] * 255).round().byte()
        processor = transformers.AutoImageProcessor.from_pretrained(folder)
        network = transformers.AutoModelForSemanticSegmentation.from_pretrained(folder).eval()
        with torch.no_grad():
            classes = network(**processor(images=pixels, return_tensors="pt")).logits.softmax(1)
            actual = TransformersSegmenter(folder).probabilities(image)
        for g, group in enumerate(GROUP_NAMES):
            expected = sum(classes[:, k] for k, name in enumerate(NAMES) if group_of(name) == group)
            torch.testing.assert_close(actual[:, g], expected, rtol=0, atol=1e-3)

    @pytest.mark.parametrize(("name", "group"), [("sea", "water"), ("palm", "vegetation"), ("thing 0", OTHER)])
    def test_known_value(self, tmp_path, name, group):
        network = _network()
        with torch.no_grad():
            network.decode_head.classifier.weight.zero_()
            network.decode_head.classifier.bias.zero_()[NAMES.index(name)] = 9
        pair = TransformersSegmenter(_save(tmp_path, network)).segment_pair(photo("chelsea"), photo("coffee"))
        assert pair.labels == (group,)
        assert torch.equal(pair.content, torch.ones(1, 1, 37, 31, dtype=torch.float64))
        assert torch.equal(pair.style, torch.ones(1, 1, 33, 50, dtype=torch.float64))

    def test_a_group_wins_by_the_sum_of_its_classes(self, tmp_path):
        # Sky is the most probable class by itself, lake, sea and river together are more.
        network = _network()
        with torch.no_grad():
            bias = network.decode_head.classifier.bias.zero_()
            network.decode_head.classifier.weight.zero_()
            bias[NAMES.index("sky")] = 12
            bias[[NAMES.index(name) for name in ("lake", "sea", "river")]] = 11.5
        pair = TransformersSegmenter(_save(tmp_path, network)).segment_pair(photo("chelsea"), photo("coffee"))
        assert pair.labels == ("water",)

    @pytest.mark.parametrize("size", [(37, 61), (1, 70), (16, 16)])
    def test_any_size(self, folder, size):
        content, style = rand(1, 3, *size), rand(1, 3, 20, 30, seed=1)
        pair = TransformersSegmenter(folder).segment_pair(content, style)
        assert pair.content.shape == (1, len(pair.labels), *size)
        assert torch.equal(pair.content.sum(1), torch.ones(1, *size, dtype=torch.float64))
        assert len(pair.labels) <= 9

    def test_missing_package_is_said(self, monkeypatch, folder):
        monkeypatch.setitem(sys.modules, "transformers", None)
        with pytest.raises(InputError, match=r"pip install 'lookcast\[segment\]'"):
            TransformersSegmenter(folder)

    def test_missing_checkpoint_is_said(self, tmp_path):
        with pytest.raises(InputError, match=r"none' can't be loaded .*pass its folder"):
            TransformersSegmenter(tmp_path / "none")

    def test_another_task_is_refused(self, tmp_path):
        config = transformers.BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
        _save(tmp_path, transformers.BertModel(config))
        with pytest.raises(InputError, match="can't be loaded"):
            TransformersSegmenter(tmp_path)
