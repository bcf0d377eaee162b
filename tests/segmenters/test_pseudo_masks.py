import pytest
import torch

from lookcast.checks import InputError
from lookcast.data.transforms import generators_of, random_grade
from lookcast.encoders.compact import CompactEncoder
from lookcast.generators.statistics import PLACES
from lookcast.segmenters.pseudo_masks import PseudoMasks
from tests.samples import photo, rand

ENCODER = CompactEncoder()
SIDE = 96


def crop(name, top, left):
    return photo(name, whole=True).float()[..., top : top + SIDE, left : left + SIDE]


ASTRONAUT, COFFEE, CHELSEA = crop("astronaut", 0, 180), crop("coffee", 100, 200), crop("chelsea", 60, 150)


def masks(content, style, seed=0, **options):
    draws = None if seed is None else torch.Generator().manual_seed(seed)
    return PseudoMasks(**options)(content, style, ENCODER(content), ENCODER(style), draws)


def of_two_textures(flipped=False, shade=1.0):
    """Fur on one side, smooth grey shades on the other."""
    fur = crop("chelsea", 60, 150)[..., : SIDE // 2]
    smooth = (0.4 + 0.1 * rand(1, 3, 3, 3).float()).mean(1, keepdim=True).expand(1, 3, 3, 3)
    smooth = torch.nn.functional.interpolate(smooth, (SIDE, SIDE // 2), mode="bilinear")
    halves = [smooth, fur] if flipped else [fur, smooth]
    return shade * torch.cat(halves, 3)


def agreement(first, second):
    """Share of the places that have the same label."""
    return float((first.argmax(1) == second.argmax(1)).double().mean())


def seed_of(number, most):
    """Return a seed whose first draw gives this number of regions."""
    return next(s for s in range(1000) if masks_number(s, most) == number)


def masks_number(seed, most):
    return int(torch.randint(1, most + 1, (), generator=torch.Generator().manual_seed(seed)))


class TestPseudoMasks:
    def test_shape(self):
        contents, styles = torch.cat([ASTRONAUT, CHELSEA]), torch.cat([COFFEE, CHELSEA])[..., :64, :80]
        content_mask, style_mask = masks(contents, styles, seed_of(4, 6))
        assert content_mask.shape == style_mask.shape == (2, 4, PLACES, PLACES)
        assert content_mask.dtype == style_mask.dtype == torch.float32

    @pytest.mark.parametrize("seed", range(4))
    def test_is_one_hot(self, seed):
        for mask in masks(ASTRONAUT, COFFEE, seed):
            assert set(mask.unique().tolist()) <= {0.0, 1.0}
            assert torch.equal(mask.sum(1), torch.ones(1, PLACES, PLACES))

    def test_number_of_regions(self):
        numbers = [masks(CHELSEA, COFFEE, seed, max_regions=3)[0].shape[1] for seed in range(24)]
        assert set(numbers) == {1, 2, 3}
        assert min(numbers.count(n) for n in (1, 2, 3)) >= 4  # equally frequent: 8 each
        assert {masks(CHELSEA, COFFEE, seed, max_regions=1)[0].shape[1] for seed in range(4)} == {1}

    def test_one_region_is_the_whole_photo(self):
        for mask in masks(CHELSEA, COFFEE, max_regions=1):
            assert torch.equal(mask, torch.ones(1, 1, PLACES, PLACES))

    @pytest.mark.parametrize("flipped", [False, True])
    @pytest.mark.parametrize("skip", [0, 1, 2])
    def test_textures_are_told_apart(self, flipped, skip):
        # Whatever else is drawn: how much colour and place count.
        seed = [s for s in range(40) if masks_number(s, 6) == 2][skip]
        content, style = of_two_textures(), of_two_textures(flipped)
        content_mask, style_mask = masks(content, style, seed)
        halves = torch.zeros(1, 2, PLACES, PLACES)
        halves[:, 0, :, : PLACES // 2], halves[:, 1, :, PLACES // 2 :] = 1, 1
        if agreement(content_mask, halves) < 0.5:
            halves = halves.flip(1)
        assert agreement(content_mask, halves) > 0.9
        # A texture has the same label wherever it lies in the style.
        assert agreement(style_mask, halves.flip(1) if flipped else halves) > 0.9

    @pytest.mark.parametrize("number", [2, 3, 5])
    def test_night_has_the_regions_of_the_day(self, number):
        for day in (ASTRONAUT, COFFEE):
            night = (0.35 * day + torch.tensor([0.0, 0.0, 0.05]).view(1, 3, 1, 1)).clamp(0, 1)
            assert agreement(*masks(day, night, seed_of(number, 6))) > 0.9

    def test_another_grade_has_much_of_the_same_regions(self):
        day = torch.cat([ASTRONAUT, COFFEE, CHELSEA])
        grade = random_grade(day, 1.0, generators_of([3, 4, 5]))
        assert agreement(*masks(day, grade, seed_of(3, 6))) > 0.8

    def test_a_photo_with_itself(self):
        first, second = masks(ASTRONAUT, ASTRONAUT, seed_of(5, 6))
        assert torch.equal(first, second)
        assert (first.mean((-2, -1)) > 0.01).all()  # no region without places

    def test_same_draws_same_masks(self):
        for seed in (seed_of(3, 6), seed_of(5, 6)):
            again = [masks(ASTRONAUT, COFFEE, seed) for _ in range(2)]
            assert all(torch.equal(a, b) for a, b in zip(*again, strict=True))
        # Without a generator the number of regions comes from torch's own.
        torch.manual_seed(11)
        number = int(torch.randint(1, 7, ()))
        torch.manual_seed(11)
        assert masks(ASTRONAUT, COFFEE, None)[0].shape[1] == number

    def test_draws_differ(self):
        seeds = [s for s in range(60) if masks_number(s, 6) == 4][:4]
        drawn = [masks(ASTRONAUT, COFFEE, seed)[0] for seed in seeds]
        assert min(agreement(a, b) for n, a in enumerate(drawn) for b in drawn[:n]) < 0.98

    def test_invariance_to_other_pairs_of_the_batch(self):
        seed = seed_of(3, 6)
        alone = masks(ASTRONAUT, COFFEE, seed)
        both = masks(torch.cat([CHELSEA, ASTRONAUT]), torch.cat([ASTRONAUT, COFFEE]), seed)
        for one, pair in zip(alone, both, strict=True):
            assert agreement(one, pair[1:]) > 0.999  # to rounding, at a border

    def test_carries_no_gradient(self):
        content = ASTRONAUT.clone().requires_grad_()
        assert not any(mask.requires_grad for mask in masks(content, COFFEE))

    def test_under_autocast(self):
        seed = seed_of(3, 6)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mixed = masks(ASTRONAUT, COFFEE, seed)
        assert mixed[0].dtype == torch.float32
        assert agreement(mixed[0], masks(ASTRONAUT, COFFEE, seed)[0]) > 0.9

    @pytest.mark.parametrize("number", [0, -1])
    def test_rejects_no_region(self, number):
        with pytest.raises(InputError, match=rf"^max_regions: expected at least 1, got {number}$"):
            PseudoMasks(max_regions=number)
