import itertools

import numpy as np
import pytest
import torch

from lookcast.checks import InputError, ShapeError
from lookcast.ops.color import LUMA
from lookcast.ops.lut import _isotonic, apply_lut, fit_lut, identity_lut
from tests.samples import photo, rand, recolor


def trilinear(lut, color):
    """One colour through a table, corner by corner."""
    size = len(lut)
    position = np.clip(color, 0, 1) * (size - 1)
    corner = np.minimum(np.floor(position).astype(int), size - 2)
    along = position - corner
    result = np.zeros(3)
    for step in itertools.product((0, 1), repeat=3):
        weight = np.prod([a if s else 1 - a for a, s in zip(along, step, strict=True)])
        red, green, blue = corner + step
        result += weight * lut[blue, green, red]
    return result


def dense_fit(source, target, size, gradient, bending):
    """Solve the least squares of `fit_lut` with every matrix written out."""
    nodes = np.eye(size**3).reshape(size, size, size, -1)
    step = 1 / (size - 1)
    rows = [np.stack([trilinear_row(nodes, color) for color in source]) / np.sqrt(len(source))]
    for axis in range(3):
        for order, weight in ((1, gradient * step), (2, bending / step)):
            rows.append(np.sqrt(weight) * np.diff(nodes, order, axis).reshape(-1, size**3))
    right = np.zeros((sum(map(len, rows)), 3))
    right[: len(source)] = (target - source) / np.sqrt(len(source))
    change = np.linalg.lstsq(np.concatenate(rows), right, rcond=None)[0]
    return identity_lut(size, torch.float64).numpy() + change.reshape(size, size, size, 3)


def trilinear_row(nodes, color):
    size = len(nodes)
    position = color * (size - 1)
    tents = [np.clip(1 - np.abs(position[c] - np.arange(size)), 0, None) for c in (2, 1, 0)]
    return np.einsum("b,g,r,bgrn->n", *tents, nodes)


def pool_adjacent_violators(values, weights):
    blocks = []
    for value, weight in zip(values, weights, strict=True):
        blocks.append([value, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (v1, w1, n1), (v2, w2, n2) = blocks[-2:]
            blocks[-2:] = [[(v1 * w1 + v2 * w2) / (w1 + w2), w1 + w2, n1 + n2]]
    return np.concatenate([np.full(n, v) for v, _, n in blocks])


def greys(lut):
    steps = range(len(lut))
    return lut[steps, steps, steps]


class TestApplyLut:
    @pytest.mark.parametrize("size", [2, 5, 17])
    def test_matches_reference(self, size):
        lut, image = rand(size, size, size, 3), rand(2, 3, 4, 5, seed=1) * 1.2 - 0.1
        output = apply_lut(lut, image)
        for batch, y, x in itertools.product(range(2), range(4), range(5)):
            expected = trilinear(lut.numpy(), image[batch, :, y, x].numpy())
            assert np.allclose(output[batch, :, y, x], expected, atol=1e-12)

    def test_red_is_the_last_axis(self):
        lut = identity_lut(3)
        assert lut[0, 0, 2].tolist() == [1, 0, 0]
        assert lut[2, 0, 1].tolist() == [0.5, 0, 1]

    def test_rejects_other_shapes(self):
        with pytest.raises(ShapeError, match=r"^lut: expected shape"):
            apply_lut(torch.zeros(4, 4, 3, 3), rand(1, 3, 4, 4))


class TestFitLut:
    @pytest.mark.parametrize("size", [3, 5, 6])
    def test_matches_reference(self, size):
        source = rand(40, 3)
        target = 0.25 + 0.5 * source + 0.1 * rand(40, 3, seed=1)  # stays inside [0, 1], and its greys rise
        lut = fit_lut(source, target, size, gradient=1e-2, bending=1e-3)
        expected = dense_fit(source.numpy(), target.numpy(), size, 1e-2, 1e-3)
        assert np.abs(lut.numpy() - expected).max() < 1e-4

    @pytest.mark.parametrize("size", [17, 33])
    def test_finds_an_affine_look(self, size):
        content = photo("coffee", whole=True)[..., ::3, ::3]
        output = (0.5 * recolor(content) + 0.2).clamp(0, 1)
        pairs = [image[0].flatten(1).T for image in (content, output)]
        found = apply_lut(fit_lut(*pairs, size), content)
        assert (found - output).abs().mean() < 1 / 255
        assert (content - output).abs().mean() > 20 / 255

    def test_unseen_colors_change_like_the_nearest(self):
        source = 0.4 + 0.2 * rand(500, 3)
        shift = torch.tensor([0.1, -0.05, 0.02], dtype=source.dtype)
        lut = fit_lut(source, source + shift, 17)
        assert (lut - (identity_lut(17, source.dtype) + shift).clamp(0, 1)).abs().max() < 1e-3

    def test_no_change_is_the_identity(self):
        source = rand(100, 3)
        assert torch.equal(fit_lut(source, source, 17), identity_lut(17, source.dtype))

    def test_sizes_agree(self):
        source = rand(5000, 3)
        target = source.square().flip(1)
        coarse, fine = (fit_lut(source, target, size) for size in (17, 33))
        assert (fine[::2, ::2, ::2] - coarse).abs().mean() < 0.01

    def test_greys_never_get_darker(self):
        grey = torch.linspace(0, 1, 400, dtype=torch.float64)[:, None].expand(-1, 3)
        wave = (grey + 0.3 * (9 * grey).sin()).clamp(0, 1)
        weights = torch.tensor(LUMA, dtype=torch.float64)
        assert (wave @ weights).diff().min() < -0.002
        lut = fit_lut(grey, wave, 33, gradient=1e-5, bending=1e-6)
        assert (greys(lut) @ weights).diff().min() > -1e-3
        # Where the pairs rise they are followed.
        assert (apply_lut(lut, grey.T[None, :, None])[0, :, 0, :45].T - wave[:45]).abs().max() < 0.02

    def test_stays_inside(self):
        source = rand(200, 3)
        lut = fit_lut(source, 2 * source - 0.5, 9)
        assert lut.min() == 0
        assert lut.max() == 1

    def test_rejects_what_does_not_fit(self):
        with pytest.raises(ShapeError, match=r"^target: expected shape"):
            fit_lut(rand(4, 3), rand(5, 3))
        with pytest.raises(InputError, match=r"^source: expected at least one element, got the shape \(0, 3\)"):
            fit_lut(rand(0, 3), rand(0, 3))
        with pytest.raises(InputError, match=r"^size: expected 2 or more, got 1"):
            fit_lut(rand(4, 3), rand(4, 3), 1)


class TestIsotonic:
    @pytest.mark.parametrize("seed", range(4))
    def test_matches_reference(self, seed):
        values, weights = rand(20, seed=seed), rand(20, seed=seed + 10) + 0.01
        expected = pool_adjacent_violators(values.numpy(), weights.numpy())
        assert np.allclose(_isotonic(values, weights), expected, atol=1e-12)
