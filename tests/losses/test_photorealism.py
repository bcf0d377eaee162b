import pytest
import torch

from lookcast.losses.photorealism import GuidedPenalty, MattingPenalty, NoPenalty
from lookcast.ops.local_affine import guided_residual, matting_energy
from tests.samples import photo, rand, recolor

PENALTIES = pytest.mark.parametrize("penalty", [MattingPenalty(), GuidedPenalty(), GuidedPenalty(5, subsample=1)])


@PENALTIES
class TestPenalties:
    def test_shape(self, penalty):
        assert penalty(rand(2, 3, 12, 13), rand(2, 3, 12, 13, seed=1)).shape == ()

    def test_affine_output_costs_little_and_a_warped_one_does_not(self, penalty):
        content = photo("chelsea")
        assert 100 * penalty(content, recolor(content)) < penalty(content, content.roll(3, -1))

    def test_invariance_to_the_size_of_the_image(self, penalty):
        # The images are repeated in 2x2 tiles: only the windows across the seams are new.
        content, output = rand(1, 3, 128, 96), rand(1, 3, 128, 96, seed=1)
        large = penalty(content.repeat(1, 1, 2, 2), output.repeat(1, 1, 2, 2)).item()
        assert large == pytest.approx(penalty(content, output).item(), rel=0.05)

    def test_gradient_leads_to_an_affine_output(self, penalty):
        content = photo("coffee")
        output = content.roll(1, -1).requires_grad_()
        before = penalty(content, output)
        (gradient,) = torch.autograd.grad(before, output)
        step = 0.1 * before.detach() / gradient.square().sum()
        assert penalty(content, output.detach() - step * gradient) < 0.95 * before


class TestMattingPenalty:
    def test_module_equals_function(self):
        content, output = rand(2, 3, 12, 15), rand(2, 3, 12, 15, seed=1)
        expected = matting_energy(content, output, 1e-5).mean() / (3 * 10 * 13)
        torch.testing.assert_close(MattingPenalty(1e-5)(content, output), expected)

    def test_conversion_of_the_papers_weight(self):
        # As the docstring has it: lambda on the sum form is lambda * 3 * (H - 2) * (W - 2) on the mean form.
        content, output = rand(1, 3, 12, 15), rand(1, 3, 12, 15, seed=1)
        actual = 1e4 * 3 * (12 - 2) * (15 - 2) * MattingPenalty()(content, output)
        torch.testing.assert_close(actual, 1e4 * matting_energy(content, output).sum())

    def test_gradcheck(self):
        content, output = rand(2, 3, 4, 5), rand(2, 3, 4, 5, seed=1).requires_grad_()
        assert torch.autograd.gradcheck(MattingPenalty(), (content, output))


class TestGuidedPenalty:
    def test_module_equals_function(self):
        content, output = rand(2, 3, 20, 21), rand(2, 3, 20, 21, seed=1)
        expected = guided_residual(content, output, 5, 1e-3, 2).mean()
        torch.testing.assert_close(GuidedPenalty(5, 1e-3, 2)(content, output), expected)

    def test_gradcheck(self):
        content, output = rand(1, 3, 6, 6), rand(1, 3, 6, 6, seed=1).requires_grad_()
        assert torch.autograd.gradcheck(GuidedPenalty(5, 1e-2, 1), (content, output), fast_mode=True)


class TestNoPenalty:
    def test_known_value(self):
        penalty = NoPenalty()(rand(1, 3, 5, 6), rand(1, 3, 5, 6, seed=1))
        assert penalty.shape == ()
        assert penalty.item() == 0
