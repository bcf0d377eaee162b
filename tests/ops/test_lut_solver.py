import itertools

import numpy as np
import pytest

from lookcast.ops.lut_solver import add_pairs, multiply, solve

SIZES = [2, 3, 4, 7]


def random(*shape, seed=0):
    return np.random.default_rng(seed).random(shape)


def cells(size, count=5):
    """Return random cells of a table: the corner nodes `(C, 8)`, and symmetric products `(C, 8, 8)`."""
    first = np.random.default_rng(1).integers(0, size - 1, (count, 3))
    corners = np.array(list(itertools.product((0, 1), repeat=3)))
    nodes = (first[:, None] + corners) @ np.array([size * size, size, 1])
    factors = random(count, 8, 8)
    return nodes, factors @ factors.transpose(0, 2, 1)


def matrix(size, nodes, products, slope, curve):
    """Write out the matrix of the normal equations."""
    unit = np.eye(size**3)
    result = sum(unit[cell].T @ product @ unit[cell] for cell, product in zip(nodes, products, strict=True))
    for axis, (order, weight) in itertools.product(range(3), ((1, slope), (2, curve))):
        rows = np.diff(unit.reshape(size, size, size, -1), order, axis).reshape(-1, size**3)
        result = result + weight * rows.T @ rows
    return result


class TestAddPairs:
    def test_matches_reference(self):
        along, change = random(30, 3), random(30, 3, seed=1)
        member = np.random.default_rng(2).integers(0, 4, 30)
        products, sums = np.zeros((4, 8, 8)), np.zeros((4, 8, 3))
        add_pairs(along, change, member, products, sums)
        expected = np.zeros_like(products), np.zeros_like(sums)
        for (red, green, blue), moved, cell in zip(along, change, member, strict=True):
            weights = [
                (blue if b else 1 - blue) * (green if g else 1 - green) * (red if r else 1 - red)
                for b, g, r in itertools.product((0, 1), repeat=3)
            ]
            expected[0][cell] += np.outer(weights, weights)
            expected[1][cell] += np.outer(weights, moved)
        assert np.allclose(products, expected[0], rtol=1e-12)
        assert np.allclose(sums, expected[1], rtol=1e-12)


class TestMultiply:
    @pytest.mark.parametrize("size", SIZES)
    def test_matches_reference(self, size):
        nodes, products = cells(size)
        table, result, spare = random(size**3, seed=3), np.full(size**3, np.nan), np.full(size**3, np.nan)
        multiply(nodes, products, size, 0.3, 0.7, table, result, spare)
        assert np.allclose(result, matrix(size, nodes, products, 0.3, 0.7) @ table, rtol=0, atol=1e-11)


class TestSolve:
    @pytest.mark.parametrize("size", SIZES)
    def test_matches_reference(self, size):
        nodes, products = cells(size)
        full = matrix(size, nodes, products, 0.3, 0.7)
        sums, table = random(3, size**3, seed=4), random(3, size**3, seed=5)
        sums[1] = table[1] = 0  # a channel without any change
        solve(nodes, products, sums, full.diagonal().copy(), size, 0.3, 0.7, 1e-12, 2000, table)
        assert np.allclose(table, np.linalg.solve(full, sums.T).T, rtol=0, atol=1e-7)
        assert not table[1].any()

    def test_ends_after_the_steps(self):
        nodes, products = cells(4)
        full = matrix(4, nodes, products, 0.3, 0.7)
        sums, table = random(3, 64, seed=4), np.zeros((3, 64))
        solve(nodes, products, sums, full.diagonal().copy(), 4, 0.3, 0.7, 0.0, 1, table)
        # One step goes along the preconditioned residual, to the minimum.
        direction = sums / full.diagonal()
        length = (sums * direction).sum(1) / np.einsum("ci,ij,cj->c", direction, full, direction)
        assert np.allclose(table, length[:, None] * direction, rtol=1e-12)
