import numpy as np
import pytest
import torch

from lookcast.ops.cholesky import cholesky_3x3, solve_3x3
from tests.samples import randn

LOWER = [(i, j) for i in range(3) for j in range(i + 1)]


def entries(matrices):
    return tuple(matrices[..., i, j] for i, j in LOWER)


@pytest.fixture
def matrices():
    """Positive definite matrices `(5, 7, 3, 3)` with eigenvalues of at least .5."""
    factors = randn(5, 7, 3, 3)
    return factors @ factors.mT + 0.5 * torch.eye(3)


class TestCholesky3x3:
    def test_matches_numpy(self, matrices):
        found = torch.stack(cholesky_3x3(entries(matrices), lambda square, _: square), -1).numpy()
        expected = np.linalg.cholesky(matrices.numpy())
        for n, (i, j) in enumerate(LOWER):
            np.testing.assert_allclose(found[..., n], expected[..., i, j], rtol=0, atol=1e-12)


class TestSolve3x3:
    def test_matches_numpy(self, matrices):
        right = randn(3, 5, 7, seed=1)
        found = solve_3x3(entries(matrices), right, 0.1).permute(1, 2, 0).numpy()
        expected = np.linalg.solve(matrices.numpy(), right.permute(1, 2, 0)[..., None].numpy())[..., 0]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)

    def test_floor_bounds_the_solution_of_a_singular_system(self):
        # S is 0: each squared pivot becomes the floor, so S is the identity times the floor.
        zero = torch.zeros(1, dtype=torch.float64)
        right = torch.tensor([[1.0], [-2.0], [3.0]], dtype=torch.float64)
        assert torch.allclose(solve_3x3((zero,) * 6, right, 0.25), right / 0.25, rtol=1e-15, atol=0)
