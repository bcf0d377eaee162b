import pytest
import torch

from lookcast.losses.content import ContentLoss
from tests.samples import randn


def _features(seed):
    return {"shallow": randn(2, 3, 8, 10, seed=seed), "deep": randn(2, 5, 4, 5, seed=seed + 1)}


class TestContentLoss:
    def test_shape(self):
        assert ContentLoss(["shallow", "deep"])(_features(0), _features(5)).shape == ()

    def test_known_value(self):
        content = {"a": torch.zeros(1, 2, 2, 2), "b": torch.zeros(1, 1, 1, 1)}
        output = {"a": torch.full((1, 2, 2, 2), 3.0), "b": torch.full((1, 1, 1, 1), 1.0)}
        assert ContentLoss(["a"])(output, content).item() == 9
        assert ContentLoss(["a", "b"])(output, content).item() == 5  # taps count alike, whatever their size

    def test_matches_reference(self):
        # Twice eq. 1 of the paper, 1 / (2 N D) sum (F[O] - F[I])^2, by loops; mean over the batch.
        output, content = _features(0), _features(5)
        total = 0.0
        for b in range(2):
            for n in range(5):
                for y in range(4):
                    for x in range(5):
                        total += (output["deep"][b, n, y, x] - content["deep"][b, n, y, x]).item() ** 2 / (5 * 4 * 5)
        assert ContentLoss(["deep"])(output, content).item() == pytest.approx(total / 2, rel=1e-12)

    def test_same_features_cost_nothing(self):
        assert ContentLoss(["shallow", "deep"])(_features(0), _features(0)).item() == 0

    def test_only_its_taps_count(self):
        output, content = _features(0), _features(5)
        loss = ContentLoss(["deep"])
        assert loss(output | {"shallow": output["shallow"] + 1}, content) == loss(output, content)

    def test_gradcheck(self):
        content = randn(1, 2, 3, 3, seed=1)
        loss = ContentLoss(["a"])
        assert torch.autograd.gradcheck(lambda f: loss({"a": f}, {"a": content}), randn(1, 2, 3, 3).requires_grad_())
