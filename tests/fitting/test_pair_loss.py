import pytest
import torch

from lookcast.encoders.compact import CompactEncoder
from lookcast.fitting.losses import grid_loss
from lookcast.fitting.pair_loss import PairLoss, fit_size, present_labels
from lookcast.ops.bilateral.dispatch import apply_grid
from lookcast.ops.bilateral.reference import identity_grid
from lookcast.ops.resize import resize_image
from lookcast.structures import StyleInput, Stylization
from tests.samples import photo, randn

CONTENT, STYLE = (resize_image(photo(name, whole=True).float(), 64, 96) for name in ("coffee", "astronaut"))


def stripes(*labels, num_labels=9):
    """Mask of vertical stripes of equal width, one for each label; -1 leaves a stripe without a label."""
    mask = torch.zeros(1, num_labels, 64, 96)
    for i, label in enumerate(labels):
        if label >= 0:
            mask[:, label, :, i * 96 // len(labels) : (i + 1) * 96 // len(labels)] = 1
    return mask


class TestPairLoss:
    @pytest.mark.parametrize(
        "masks",
        [
            (None, None),
            (stripes(3, 5), stripes(5, 3)),
            (stripes(3, 5, -1), stripes(1, 5)),  # label 3 is absent from the style, label 1 from the content
            (stripes(-1), stripes(0)),
        ],
    )
    def test_matches_the_loss_of_the_training(self, masks):
        encoder, loss = CompactEncoder(), grid_loss()
        pair = PairLoss(loss, encoder, CONTENT, [StyleInput(STYLE, masks[1])], [masks[0]], 96)
        for seed in (0, 1):
            grid = identity_grid(1, 4, 4, 4) + 0.05 * randn(1, 12, 4, 4, 4, seed=seed).float()
            image = apply_grid(grid, CONTENT)
            loss.color.generator = torch.Generator().manual_seed(0)
            features = encoder(CONTENT), encoder(image.clamp(0, 1)), encoder(STYLE)
            expected = loss(CONTENT, STYLE, Stylization(image, grid), *features, *masks)
            # Float32: both sum the same values, but a mean over two labels may round otherwise than one over nine.
            torch.testing.assert_close(torch.stack(pair.terms(grid)), torch.stack(expected), rtol=1e-5, atol=1e-8)
        assert float(expected.style) > 0.1 or masks[0] is not None

    def test_targets_are_computed_once(self):
        calls = []
        loss = grid_loss()
        loss.style.register_forward_hook(lambda *_: calls.append("style"))

        class Counted(CompactEncoder):
            def forward(self, image):
                calls.append("encoder")
                return super().forward(image)

        pair = PairLoss(loss, Counted(), CONTENT, [StyleInput(STYLE)], [None], 96)
        assert calls == ["encoder", "encoder"]
        for _ in range(3):
            pair.terms(identity_grid(1, 4, 4, 4))
        assert calls == 5 * ["encoder"]


class TestPresentLabels:
    def test_known_value(self):
        content, style = stripes(2, 7), stripes(7, 1)
        kept = present_labels(content, style)
        assert torch.equal(kept[0], content[:, [2, 7]])
        assert torch.equal(kept[1], style[:, [2, 7]])

    def test_a_sliver_takes_no_part(self):
        content = stripes(2)
        content[:, 2, 0, 0], content[:, 4, 0, 0] = 0, 1
        assert torch.equal(present_labels(content, stripes(4))[0], content[:, [2]])

    def test_nothing_labelled(self):
        content, style = stripes(-1), stripes(1)
        assert present_labels(content, style) == (content, style)
        assert present_labels(None, None) == (None, None)


class TestFitSize:
    @pytest.mark.parametrize(
        ("size", "fitted"),
        [
            ((600, 900), (216, 320)),  # 213.3 rounds to 27 * 8
            ((900, 600), (320, 216)),
            ((100, 163), (96, 160)),  # not enlarged, except for the rounding
            ((5, 7), (32, 32)),
            ((2000, 10), (320, 32)),
        ],
    )
    def test_known_values(self, size, fitted):
        assert fit_size(*size, 320) == fitted
