import numpy as np
import pytest
import torch

from lookcast.checks import InputError, ShapeError
from lookcast.ops.gram import gram_matrix, relative_distance
from tests.reference import gram as reference
from tests.samples import rand, randn


def _soft_mask(batch, labels, height, width, seed=0):
    """Sums to 1 over the labels, to less on the unlabelled left edge; the last label has no mass."""
    mask = (3 * randn(batch, labels, height, width, seed=seed)).softmax(1)
    mask[:, -1] = 0
    mask[..., :2] = 0
    return mask


class TestGramMatrix:
    def test_shape(self):
        assert gram_matrix(rand(2, 5, 4, 3)).shape == (2, 1, 6, 6)
        assert gram_matrix(rand(2, 5, 4, 3), rand(2, 9, 8, 6)).shape == (2, 9, 6, 6)

    def test_known_value(self):
        features = torch.tensor([[1.0, 2.0], [3.0, 5.0]]).view(1, 2, 1, 2)  # two cells, (1, 3) and (2, 5)
        whole = torch.tensor([[2.5, 6.5, 1.5], [6.5, 17.0, 4.0], [1.5, 4.0, 1.0]])
        torch.testing.assert_close(gram_matrix(features)[0, 0], whole)
        mask = torch.tensor([[0.0, 1.0], [0.5, 0.0]]).view(1, 2, 1, 2)
        second = torch.tensor([[4.0, 10.0, 2.0], [10.0, 25.0, 5.0], [2.0, 5.0, 1.0]])
        first = torch.tensor([[1.0, 3.0, 1.0], [3.0, 9.0, 3.0], [1.0, 3.0, 1.0]])
        torch.testing.assert_close(gram_matrix(features, mask)[0], torch.stack([second, first]))

    @pytest.mark.parametrize(("size", "mask_size"), [((6, 7), (6, 7)), ((4, 5), (16, 20)), ((5, 4), (17, 9))])
    def test_matches_reference(self, size, mask_size):
        features, mask = randn(2, 4, *size), _soft_mask(2, 3, *mask_size)
        expected = [reference.gram_matrix(f.numpy(), m.numpy()) for f, m in zip(features, mask, strict=True)]
        actual = gram_matrix(features, mask)
        torch.testing.assert_close(actual, torch.from_numpy(np.stack(expected)), rtol=0, atol=1e-13)
        whole = [reference.gram_matrix(f.numpy()) for f in features]
        torch.testing.assert_close(gram_matrix(features), torch.from_numpy(np.stack(whole)), rtol=0, atol=1e-13)

    def test_label_without_mass_gives_zeros(self):
        features = randn(1, 4, 5, 6).requires_grad_()
        gram = gram_matrix(features, _soft_mask(1, 3, 5, 6))
        assert not gram[:, -1].any()
        assert gram[:, :-1].abs().amin() > 0
        gram[:, -1].sum().backward()
        assert not features.grad.any()

    def test_gradcheck(self):
        features, mask = randn(1, 2, 3, 4).requires_grad_(), (rand(1, 2, 6, 8) + 0.1).requires_grad_()
        assert torch.autograd.gradcheck(gram_matrix, (features, mask))
        assert torch.autograd.gradcheck(gram_matrix, (features,))

    def test_invariances(self):
        features, mask = randn(1, 4, 6, 7), _soft_mask(1, 3, 6, 7)
        gram = gram_matrix(features, mask)
        order = torch.randperm(42, generator=torch.Generator().manual_seed(0))
        shuffled = [t.flatten(2)[..., order].view_as(t) for t in (features, mask)]
        torch.testing.assert_close(gram_matrix(*shuffled), gram)  # where the cells lie
        torch.testing.assert_close(gram_matrix(features, 0.5 * mask), gram)  # mass
        torch.testing.assert_close(gram_matrix(features.repeat(1, 1, 2, 2), mask.repeat(1, 1, 2, 2)), gram)  # area
        enlarged = mask.repeat_interleave(3, -1).repeat_interleave(2, -2)
        torch.testing.assert_close(gram_matrix(features, enlarged), gram)  # resolution of the mask
        torch.testing.assert_close(gram, gram.mT)

    def test_invariance_to_unlabelled_cells(self):
        features, mask = randn(1, 4, 6, 7), _soft_mask(1, 3, 6, 7)
        changed = features.clone()
        changed[..., :2] = 100
        torch.testing.assert_close(gram_matrix(changed, mask), gram_matrix(features, mask), rtol=0, atol=0)

    def test_one_label_equals_no_mask(self):
        features = randn(2, 4, 6, 7)
        torch.testing.assert_close(gram_matrix(features, torch.ones(2, 1, 12, 14)), gram_matrix(features))

    def test_half_precision_and_autocast_are_computed_in_float32(self):
        features, mask = randn(1, 4, 6, 7).bfloat16(), _soft_mask(1, 2, 6, 7).bfloat16()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            gram = gram_matrix(features, mask)
        assert gram.dtype == torch.float32
        torch.testing.assert_close(gram, gram_matrix(features.float(), mask.float()), rtol=0, atol=0)

    def test_rejects_shapes_that_do_not_fit(self):
        with pytest.raises(ShapeError, match="features: expected shape"):
            gram_matrix(rand(4, 6, 7))
        with pytest.raises(ShapeError, match="mask: expected shape"):
            gram_matrix(rand(2, 4, 6, 7), rand(2, 6, 7))
        with pytest.raises(ShapeError, match="mask: expected shape"):
            gram_matrix(rand(2, 4, 6, 7), rand(1, 3, 6, 7))


class TestRelativeDistance:
    def test_known_value(self):
        target = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
        gram = torch.tensor([[3.0, 2.0], [1.5, 4.0]])
        torch.testing.assert_close(relative_distance(gram, target), torch.tensor(2.5 / 5))

    def test_shape(self):
        assert relative_distance(rand(2, 3, 4, 4), rand(1, 1, 4, 4)).shape == (2, 3)

    def test_match_costs_nothing_and_pulls_nowhere(self):
        gram = gram_matrix(randn(1, 4, 6, 7)).requires_grad_()
        distance = relative_distance(gram, gram.detach())
        assert distance.item() < 1e-6
        distance.sum().backward()
        assert not gram.grad.any()

    def test_invariance_to_scale(self):
        gram, target = gram_matrix(randn(1, 4, 6, 7)), gram_matrix(randn(1, 4, 6, 7, seed=1))
        torch.testing.assert_close(relative_distance(50 * gram, 50 * target), relative_distance(gram, target))

    def test_target_of_zeros_is_no_division_by_zero(self):
        gram = torch.ones(1, 1, 2, 2, dtype=torch.float64)
        assert relative_distance(gram, torch.zeros_like(gram)).item() == pytest.approx(2e6)

    def test_gradcheck(self):
        gram, target = randn(2, 2, 3, 3).requires_grad_(), randn(2, 2, 3, 3, seed=1).requires_grad_()
        assert torch.autograd.gradcheck(relative_distance, (gram, target))

    def test_rejects_matrices_of_other_channels(self):
        with pytest.raises(InputError, match=r"gram: expected matrices of \(4, 4\), got \(3, 3\)"):
            relative_distance(rand(1, 1, 3, 3), rand(1, 1, 4, 4))
