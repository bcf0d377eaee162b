import numpy as np
import torch

from lookcast.encoders.compact import CompactEncoder
from lookcast.generators.refiner import EPS, SCALE, WINDOW, GridRefiner, make_draft, unexplained_change
from lookcast.generators.statistics import CELLS, photo_statistics
from lookcast.ops.bilateral.reference import identity_grid
from tests.reference import local_affine as reference
from tests.reference.statistics import cell_sums
from tests.samples import photo, rand, randn

ENCODER = CompactEncoder().double()
DEPTH = 4


def read(image):
    return photo_statistics(image, ENCODER(image), None, DEPTH)


def square(name):
    """A photo of 64 px, so that each place is a pixel."""
    return torch.nn.functional.interpolate(photo(name), (64, 64), mode="bilinear", antialias=True)


CONTENT, OTHER = square("coffee"), square("chelsea")


def noisy_grid(level):
    return identity_grid(1, DEPTH, CELLS, CELLS, dtype=torch.float64) + level * randn(1, 12, DEPTH, CELLS, CELLS)


class TestMakeDraft:
    @torch.no_grad()
    def test_of_the_identity_is_the_content(self):
        content = read(CONTENT)
        weights = torch.eye(CELLS**2, dtype=torch.float64)[None]
        draft, summary = make_draft(ENCODER, content, noisy_grid(0), weights)
        assert torch.allclose(draft.thumbnail, CONTENT, rtol=0, atol=1e-12)
        assert torch.allclose(draft.statistics, content.statistics, rtol=0, atol=1e-9)
        # The group of each cell is the cell: the first values are its features.
        assert torch.allclose(summary[:, : content.cells.shape[1]], content.cells, rtol=0, atol=1e-9)


class TestUnexplainedChange:
    def residual(self, content, draft):
        colors, drawn = (photo.moments[0, 1:4].numpy() for photo in (content, draft))
        change = drawn - colors
        return change - reference.guided_filter_with_cut_windows(colors, change, WINDOW, EPS), colors

    def test_matches_reference(self):
        content, draft = read(CONTENT), read(0.6 * CONTENT + 0.4 * OTHER)
        residual, colors = self.residual(content, draft)
        guide = colors - colors.mean((1, 2), keepdims=True)
        lifted = np.concatenate([*(residual * guide[i] for i in range(3)), residual])
        expected = cell_sums(content.shares[0].numpy(), lifted)  # (P, D, 12)
        found = unexplained_change(content, draft)[0].numpy()
        expected = SCALE * expected.transpose(2, 1, 0).reshape(12 * DEPTH, CELLS, CELLS)
        assert np.abs(expected).max() > 0.1
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)

    def test_nothing_changed(self):
        content = read(CONTENT)
        assert unexplained_change(content, content).abs().max() == 0

    def test_one_affine_map_for_the_whole_photo_is_explained(self):
        texture = rand(1, 3, 64, 64)
        content = read(texture)
        explained = unexplained_change(content, read(0.1 + 0.7 * texture)).abs().mean()
        stained = texture.clone()
        stained[..., 20:40, 20:40] += 0.1
        # The least variance of the three opponent colours is .0078 before EPS = 1e-4, which is 1.3 % of it.
        assert explained < 0.02 * unexplained_change(content, read(stained)).abs().mean()

    def test_a_step_against_it_reduces_what_is_unexplained(self):
        content, grid = read(CONTENT), noisy_grid(0.02)
        weights = torch.eye(CELLS**2, dtype=torch.float64)[None]

        def energy(of):
            draft, _ = make_draft(ENCODER, content, of, weights)
            return np.square(self.residual(content, draft)[0]).sum(), draft

        before, draft = energy(grid)
        slope = unexplained_change(content, draft).view(1, 4, 3, DEPTH, CELLS, CELLS)
        # The offset of each channel in opponent colours moves luma alone here: equal offsets for red, green and blue.
        step = torch.zeros_like(grid)
        step[:, 3::4] = slope[:, 3, :1]
        after, _ = energy(grid - 0.01 * step)
        assert after < 0.97 * before


class TestGridRefiner:
    def test_untrained_corrects_nothing(self):
        refiner = GridRefiner(DEPTH, 8, 1).double()
        content, draft = read(CONTENT), read(OTHER)
        wanted, reached = randn(1, 8, CELLS, CELLS), randn(1, 8, CELLS, CELLS, seed=1)
        correction = refiner(wanted, reached, randn(1, 12, DEPTH, CELLS, CELLS), content, draft)
        assert correction.shape == (1, 12, DEPTH, CELLS, CELLS)
        assert correction.abs().max() == 0
