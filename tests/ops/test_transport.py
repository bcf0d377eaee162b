import numpy as np
import pytest
import torch

from lookcast.checks import ShapeError
from lookcast.ops.color import luma
from lookcast.ops.transport import (
    FROM_OPPONENT,
    NUM_MOMENTS,
    TO_OPPONENT,
    color_moments,
    from_opponent,
    knothe_rosenblatt,
    second_moments,
)
from tests.reference import transport as reference
from tests.samples import CROPS, photo, rand, recolor

PAIRS = [("astronaut", "coffee"), ("chelsea", "astronaut"), ("coffee", "chelsea")]
NO_FLOOR = torch.zeros(3, dtype=torch.float64)
FLOOR = torch.tensor([3e-4, 1e-4, 5e-4], dtype=torch.float64)
TO, FROM = (torch.tensor(matrix, dtype=torch.float64) for matrix in (TO_OPPONENT, FROM_OPPONENT))


def moments(image):
    """Return the colour moments of whole photos, `(B, 10)`."""
    return color_moments(image).mean((-2, -1))


def apply(transform, image):
    """Apply a 3x4 transform to a photo."""
    matrix = transform.view(-1, 3, 4)
    return torch.einsum("bij,bjhw->bihw", matrix[..., :3], image) + matrix[..., 3][..., None, None]


def mean_and_covariance(image):
    pixels = image[0].flatten(1)
    return pixels.mean(1), torch.cov(pixels, correction=0)


def opponent(transform):
    """The matrix of a 3x4 transform in the opponent basis."""
    return TO @ transform.view(3, 4)[:, :3] @ FROM


class TestBasis:
    def test_known_value(self):
        torch.testing.assert_close(TO @ FROM, torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-12)
        assert TO[1:].sum(1).abs().max() < 1e-15  # grey has no chroma


class TestColorMoments:
    def test_shape(self):
        assert color_moments(rand(2, 3, 5, 7)).shape == (2, NUM_MOMENTS, 5, 7)

    @pytest.mark.parametrize("name", CROPS)
    def test_matches_reference(self, name):
        image = photo(name)[..., :9, :11]
        expected = torch.from_numpy(reference.color_moments(image[0].numpy()))
        torch.testing.assert_close(color_moments(image)[0], expected, rtol=0, atol=1e-14)

    def test_known_value(self):
        grey = torch.full((1, 3, 1, 1), 0.5)
        expected = [1, 0.5, 0, 0, 0.25, 0, 0, 0, 0, 0]
        torch.testing.assert_close(color_moments(grey).flatten(), torch.tensor(expected), rtol=0, atol=1e-7)

    def test_luma_comes_first(self):
        image = rand(2, 3, 4, 5)
        torch.testing.assert_close(color_moments(image)[:, 1:2], luma(image))


class TestSecondMoments:
    @pytest.mark.parametrize("weight", [1, 0.25, 1e-4])
    def test_matches_products_of_colours(self, weight):
        images = torch.cat([photo(name)[..., :9, :11] for name in list(CROPS)[:2]])
        colors = torch.cat([images, torch.ones_like(images[:, :1])], 1).flatten(2)
        expected = (colors[:, :, None] * colors[:, None]).mean(3)
        found = second_moments(weight * moments(images)[..., None])
        torch.testing.assert_close(found.view(2, 4, 4), expected, rtol=0, atol=1e-13)

    def test_rejects(self):
        with pytest.raises(ShapeError, match=r"^moments: expected shape \(B, 10, N\)"):
            second_moments(rand(2, 9, 5))


class TestFromOpponent:
    def test_known_value(self):
        # Luma .5, first component .2 and second -.1: red - blue is .4, and green - (red + blue) / 2 is -.2.
        color = torch.tensor([0.5, 0.2, -0.1], dtype=torch.float64).view(1, 3, 1, 1)
        red, green, blue = from_opponent(color).flatten().tolist()
        assert 0.299 * red + 0.587 * green + 0.114 * blue == pytest.approx(0.5, abs=1e-14)
        assert red - blue == pytest.approx(0.4, abs=1e-14)
        assert green - (red + blue) / 2 == pytest.approx(-0.2, abs=1e-14)

    def test_inverts_color_moments(self):
        image = rand(2, 3, 5, 7)
        torch.testing.assert_close(from_opponent(color_moments(image)[:, 1:4]), image, rtol=0, atol=1e-14)


class TestKnotheRosenblatt:
    def test_shape(self):
        content, style = moments(rand(2, 3, 8, 8)), moments(rand(2, 3, 8, 8, seed=1))
        assert knothe_rosenblatt(content, style, FLOOR).shape == (2, 12)
        many = content.view(2, 1, 1, 10).expand(2, 4, 5, 10)
        transform = knothe_rosenblatt(many, style.view(2, 1, 1, 10), FLOOR)
        assert transform.shape == (2, 4, 5, 12)
        torch.testing.assert_close(transform[:, 3, 4], knothe_rosenblatt(content, style, FLOOR))

    @pytest.mark.parametrize(("content", "style"), PAIRS)
    @pytest.mark.parametrize("floor", [NO_FLOOR, FLOOR])
    def test_matches_reference(self, content, style, floor):
        images = [photo(name)[..., :12, :13] for name in (content, style)]
        weights = [rand(12, 13, seed=seed) for seed in (1, 2)]
        sums = [(color_moments(i) * w).sum((-2, -1)) for i, w in zip(images, weights, strict=True)]
        gaussians = [
            reference.gaussian(i[0].flatten(1).T.numpy(), w.flatten().numpy())
            for i, w in zip(images, weights, strict=True)
        ]
        expected = torch.from_numpy(reference.knothe_rosenblatt(*gaussians, floor.numpy()))
        actual = knothe_rosenblatt(*sums, floor).view(3, 4)
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-8)

    @pytest.mark.parametrize(("content", "style"), PAIRS)
    def test_output_has_the_moments_of_the_style(self, content, style):
        content, style = photo(content), photo(style)
        output = apply(knothe_rosenblatt(moments(content), moments(style), NO_FLOOR), content)
        for actual, expected in zip(mean_and_covariance(output), mean_and_covariance(style), strict=True):
            torch.testing.assert_close(actual, expected, rtol=0, atol=1e-6)

    @pytest.mark.parametrize("floor", [NO_FLOOR, FLOOR, torch.ones(3).double()])
    def test_equal_moments_give_the_identity(self, floor):
        for name in CROPS:
            transform = knothe_rosenblatt(moments(photo(name)), moments(photo(name)), floor).view(3, 4)
            torch.testing.assert_close(transform, torch.eye(3, 4, dtype=torch.float64), rtol=0, atol=1e-6)

    def test_equal_moments_give_the_identity_in_float32(self):
        # Also where the variances are nothing but rounding. Each entry is a difference of a few equal products of the
        # order of 1, or a product of a number and its inverse: some units of 6e-8.
        for image in (photo("chelsea").float(), torch.full((1, 3, 8, 8), 0.7)):
            transform = knothe_rosenblatt(moments(image), moments(image), FLOOR.float()).view(3, 4)
            torch.testing.assert_close(transform, torch.eye(3, 4), rtol=0, atol=1e-6)

    @pytest.mark.parametrize(("content", "style"), PAIRS)
    def test_is_triangular_in_the_opponent_basis(self, content, style):
        # Luma is mapped by itself, the first opponent axis given luma, the second given both; all of them upwards.
        matrix = opponent(knothe_rosenblatt(moments(photo(content)), moments(photo(style)), FLOOR))
        assert matrix.triu(1).abs().max() < 1e-10
        assert matrix.diagonal().min() > 0.01
        assert matrix[2, :2].abs().min() > 1e-3

    def test_luma_depends_on_luma_only(self):
        content, style = photo("astronaut"), photo("coffee")
        transform = knothe_rosenblatt(moments(content), moments(style), FLOOR)
        # The grey photo has the same luma and other colours.
        grey = luma(content).expand_as(content)
        torch.testing.assert_close(luma(apply(transform, grey)), luma(apply(transform, content)))
        assert (apply(transform, grey) - apply(transform, content)).abs().mean() > 0.01

    def test_known_value(self):
        # Grey ramps: luma of mean .5 and deviation .1 to mean .3 and deviation .2; without chroma gains of 1 there.
        ramp = torch.linspace(-1, 1, 50, dtype=torch.float64)
        ramp = (ramp / ramp.std(correction=0)).view(1, 1, 1, -1).expand(1, 3, 1, -1)
        transform = knothe_rosenblatt(moments(0.5 + 0.1 * ramp), moments(0.3 + 0.2 * ramp), 1e-12 + NO_FLOOR)
        torch.testing.assert_close(apply(transform, 0.5 + 0.1 * ramp), 0.3 + 0.2 * ramp, rtol=0, atol=1e-6)
        expected = torch.diag(torch.tensor([2.0, 1.0, 1.0]).double())
        torch.testing.assert_close(opponent(transform), expected, rtol=0, atol=1e-4)

    def test_undoes_an_affine_grade_of_the_luma(self):
        content = photo("chelsea")
        graded = 0.6 * content + 0.1
        transform = knothe_rosenblatt(moments(graded), moments(content), NO_FLOOR)
        torch.testing.assert_close(apply(transform, graded), content, rtol=0, atol=1e-6)

    @pytest.mark.parametrize("mass", [1e-3, 0.4, 300.0])
    def test_invariance_to_the_sum_of_the_weights(self, mass):
        content, style = moments(photo("astronaut")), moments(photo("coffee"))
        expected = knothe_rosenblatt(content, style, FLOOR)
        torch.testing.assert_close(knothe_rosenblatt(mass * content, style, FLOOR), expected, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(knothe_rosenblatt(content, mass * style, FLOOR), expected, rtol=1e-9, atol=1e-9)

    def test_floor_bounds_the_gain_on_flat_content(self):
        flat, style = torch.full((1, 3, 8, 8), 0.5).double(), photo("astronaut")
        _, covariance = mean_and_covariance(style)
        variances = (TO @ covariance @ TO.T).diagonal()
        gains = opponent(knothe_rosenblatt(moments(flat), moments(style), FLOOR)).diagonal()
        # Luma's gain is known; those of the other axes are below what their whole variance would give.
        bounds = ((variances + FLOOR) / FLOOR).sqrt()
        assert gains[0].item() == pytest.approx(bounds[0].item(), rel=1e-9)
        assert (gains > 1).all()
        assert (gains[1:] < bounds[1:]).all()
        # The flat colour itself becomes the style's mean.
        output = apply(knothe_rosenblatt(moments(flat), moments(style), FLOOR), flat)
        torch.testing.assert_close(output.mean((-2, -1))[0], style.mean((-2, -1))[0])

    def test_flat_to_flat_is_a_shift(self):
        flats = [
            torch.tensor(rgb).double().view(1, 3, 1, 1).expand(1, 3, 4, 4) for rgb in ((0.2, 0.5, 0.9), (0.7, 0.1, 0.3))
        ]
        expected = torch.tensor([[1, 0, 0, 0.5], [0, 1, 0, -0.4], [0, 0, 1, -0.6]]).double()
        actual = knothe_rosenblatt(*map(moments, flats), FLOOR).view(3, 4)
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-6)

    def test_grey_takes_the_chroma_of_the_style_at_its_luma(self):
        # A grey photo has no chroma; it takes the chroma of a style whose chroma depends on luma.
        ramp = torch.linspace(0.2, 0.8, 64, dtype=torch.float64).view(1, 1, 1, -1)
        style = torch.cat([ramp + 0.1, ramp, ramp * 0.5 + 0.2], 1)
        grey = luma(style).expand(1, 3, 1, -1)
        output = apply(knothe_rosenblatt(moments(grey), moments(style), 1e-9 + NO_FLOOR), grey)
        torch.testing.assert_close(output, style, rtol=0, atol=1e-4)

    def test_gradcheck(self):
        content, style = moments(rand(2, 3, 6, 6)), moments(0.5 * rand(2, 3, 6, 6, seed=1))
        inputs = [t.clone().requires_grad_() for t in (content, style, FLOOR)]
        assert torch.autograd.gradcheck(knothe_rosenblatt, inputs)
        # At the identity too, where a matrix root would have equal roots to divide by.
        inputs = [t.clone().requires_grad_() for t in (content, content, FLOOR)]
        assert torch.autograd.gradcheck(knothe_rosenblatt, inputs)

    def test_gradcheck_through_the_pixels(self):
        style, floor = moments(photo("coffee")), FLOOR
        image = rand(1, 3, 4, 4).requires_grad_()
        assert torch.autograd.gradcheck(lambda x: knothe_rosenblatt(moments(x), style, floor), image, fast_mode=True)

    def test_composes_along_a_chain(self):
        # There and back: triangular maps form a group, which Monge-Kantorovich maps do not.
        content, style = moments(photo("astronaut")), moments(photo("chelsea"))
        middle = moments(recolor(photo("coffee")))
        image = photo("astronaut")
        direct = apply(knothe_rosenblatt(content, style, FLOOR), image)
        first = apply(knothe_rosenblatt(content, middle, FLOOR), image)
        torch.testing.assert_close(apply(knothe_rosenblatt(middle, style, FLOOR), first), direct, rtol=0, atol=1e-9)

    def test_rejects_what_are_no_moments(self):
        good = moments(rand(1, 3, 4, 4))
        with pytest.raises(ShapeError, match=r"content: expected shape \(\.\.\., 10\), got \(1, 9\)"):
            knothe_rosenblatt(good[:, :9], good, FLOOR)
        with pytest.raises(ShapeError, match=r"style: expected shape \(\.\.\., 10\), got \(10, 1\)"):
            knothe_rosenblatt(good, good.T, FLOOR)


class TestReference:
    def test_known_value(self):
        # The reference itself, on Gaussians whose factors are plain to see.
        inverse = np.linalg.inv(reference.OPPONENT)
        spread = [inverse @ np.diag(np.square(d)) @ inverse.T for d in ((1.0, 2.0, 3.0), (2.0, 2.0, 1.0))]
        transform = reference.knothe_rosenblatt((np.zeros(3), spread[0]), (np.ones(3), spread[1]), np.zeros(3))
        gains = reference.OPPONENT @ transform[:, :3] @ inverse
        np.testing.assert_allclose(gains, np.diag([2, 1, 1 / 3]), atol=1e-12)
        np.testing.assert_allclose(transform[:, 3], 1, atol=1e-12)
