import pytest
import torch

from lookcast.data.grades import random_grade
from lookcast.ops.color import luma
from tests.samples import photo, rand


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def many(image, count=300, strength=1.0, seed=0):
    """Grades of one photo."""
    return random_grade(image.expand(count, -1, -1, -1), strength, seeded(seed))


class TestRandomGrade:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_shape(self, dtype):
        image = rand(2, 3, 9, 7, dtype=dtype)
        graded = random_grade(image, 1.0)
        assert graded.shape == image.shape
        assert graded.dtype == dtype

    def test_strength_0_is_the_identity(self):
        image = photo("astronaut")
        torch.testing.assert_close(random_grade(image, 0.0), image, rtol=0, atol=1e-12)

    @pytest.mark.parametrize("strength", [0.5, 1.0, 3.0])
    def test_range(self, strength):
        image = torch.cat([photo("chelsea")[..., :20, :20], torch.zeros(1, 3, 20, 20), torch.ones(1, 3, 20, 20)])
        graded = many(torch.cat([image, image.flip(1)]).view(2, 9, 20, 20)[:1, :3], 100, strength)
        assert 0 <= graded.min() < graded.max() <= 1
        assert random_grade(image, strength, seeded()).isfinite().all()

    def test_is_stronger_with_the_strength(self):
        image = photo("coffee")
        changes = [(many(image, 60, strength) - image).abs().mean() for strength in (0.1, 0.5, 1.0)]
        assert 2 * changes[0] < changes[1]
        assert 1.3 * changes[1] < changes[2]

    def test_known_value_of_black_and_white(self):
        # No gain, gamma, contrast or saturation moves black; white stays grey or of the light's colour.
        assert not many(torch.zeros(1, 3, 2, 2).double(), 20).any()
        white = many(torch.ones(1, 3, 2, 2).double(), 200)
        assert (white == 1).all((1, 2, 3)).any()
        assert white.min() > 0.1

    def test_reach_of_the_brightness(self):
        # Exposure and light of a flat grey: at most a factor exp(.75), then a gamma of at most exp(.7), both ways.
        grey = torch.full((1, 3, 1, 1), 0.25).double()
        graded = luma(many(grey, 4000)).flatten()
        gain, gamma = (torch.tensor(reach).double().exp() for reach in (0.75, 0.7))
        assert graded.max() <= (0.25 * gain) ** (1 / gamma) + 1e-9
        assert graded.min() >= (0.25 / gain) ** gamma - 1e-9
        assert graded.max() > 0.6
        assert graded.min() < 0.04

    def test_photos_of_a_batch_are_graded_apart(self):
        graded = many(photo("chelsea")[..., :16, :16], 8)
        distances = (graded[:, None] - graded[None]).abs().mean((2, 3, 4))
        assert (distances + torch.eye(8)).min() > 0.005

    def test_invariance_to_what_else_is_in_the_batch(self):
        # The draws do not look at the photos: another neighbour changes nothing.
        first, second = photo("chelsea")[..., :16, :16], photo("coffee")[..., :16, :16]
        pairs = [random_grade(torch.cat([first, other]), 1.0, seeded()) for other in (second, second.flip(1))]
        assert torch.equal(pairs[0][0], pairs[1][0])
        assert not torch.equal(pairs[0][1], pairs[1][1])

    def test_same_generator_same_grade(self):
        image = photo("astronaut")[..., :16, :16]
        assert torch.equal(random_grade(image, 1.0, seeded(3)), random_grade(image, 1.0, seeded(3)))
        assert not torch.equal(random_grade(image, 1.0, seeded(3)), random_grade(image, 1.0, seeded(4)))

    def test_without_a_generator_it_is_torchs_own(self):
        image = photo("astronaut")[..., :16, :16]
        torch.manual_seed(3)
        expected = random_grade(image, 1.0, seeded(3))
        assert torch.equal(random_grade(image, 1.0), expected)
        # One that is handed in leaves torch's own as it was.
        torch.manual_seed(5)
        random_grade(image, 1.0, seeded())
        after = torch.rand(())
        torch.manual_seed(5)
        assert torch.rand(()) == after

    def test_keeps_the_order_of_greys(self):
        ramp = torch.linspace(0.05, 0.95, 30).double().expand(1, 3, 1, -1)
        assert luma(many(ramp)).diff(dim=-1).min() > -1e-9

    def test_now_and_then_grey(self):
        # A tenth of them at full strength, none without any.
        image = photo("astronaut")[..., :8, :8]
        greys = [
            float((many(image, 1000, strength).std(1).amax((1, 2)) < 1e-6).double().mean())
            for strength in (1.0, 0.5, 0.0)
        ]
        assert greys == [pytest.approx(0.1, abs=0.03), pytest.approx(0.05, abs=0.03), 0]

    def test_changes_the_color_of_the_light(self):
        means = many(torch.full((1, 3, 1, 1), 0.4).double(), 300).flatten(1)
        warmth = means[:, 0] - means[:, 2]
        assert warmth.min() < -0.1
        assert warmth.max() > 0.1
