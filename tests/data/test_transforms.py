import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms.v2 import functional as vision

from lookcast.data.transforms import (
    draw_parts,
    draw_window,
    generators_of,
    grade_some,
    random_grade,
    regional_grade,
    resize_windows,
    shrink_to,
    slider_grade,
    uniform,
)
from lookcast.ops.color import luma
from tests.samples import photo, rand


def bytes_of(image):
    return (image[0] * 255).round().byte()


ASTRONAUT = bytes_of(photo("astronaut"))  # 53 x 40


def halves(height, width):
    """Return labels of two regions: the left and the right half."""
    return torch.arange(width).ge(width // 2).byte().expand(1, height, -1).contiguous()


class TestDrawWindow:
    @pytest.mark.parametrize("scale", [(0.3, 1.0), (0.25, 0.5), (0.05, 0.1)])
    def test_share_of_the_photo(self, scale):
        torch.manual_seed(0)
        windows = [draw_window((240, 320), scale) for _ in range(300)]
        shares = [window.height * window.width / (240 * 320) for window in windows]
        assert scale[0] * 0.97 < min(shares) < scale[0] * 1.2
        assert scale[1] * 0.8 < max(shares) < scale[1] * 1.03
        if scale[1] < 1:  # otherwise large wide windows do not fit and are drawn again
            assert sum(shares) / 300 == pytest.approx(sum(scale) / 2, rel=0.12)

    def test_lies_inside(self):
        torch.manual_seed(0)
        for size in ((240, 320), (16, 16), (17, 400), (400, 17)):
            for _ in range(50):
                top, left, height, width, _ = draw_window(size, (0.3, 1.0))
                assert 0 <= top < top + height <= size[0]
                assert 0 <= left < left + width <= size[1]

    def test_ratio(self):
        torch.manual_seed(0)
        ratios = [window.width / window.height for window in (draw_window((400, 400), (0.1, 0.3)) for _ in range(300))]
        assert 0.74 < min(ratios) < 0.78
        assert 1.28 < max(ratios) < 1.35
        assert 110 < sum(ratio > 1 for ratio in ratios) < 190  # wide and tall windows are equally likely

    def test_places_are_spread(self):
        torch.manual_seed(0)
        windows = [draw_window((100, 100), (0.25, 0.25)) for _ in range(200)]
        for begins, ends in (
            ([window.top for window in windows], [window.top + window.height for window in windows]),
            ([window.left for window in windows], [window.left + window.width for window in windows]),
        ):
            assert min(begins) <= 1
            assert max(ends) >= 99

    def test_whole_photo(self):
        torch.manual_seed(0)
        windows = [draw_window((40, 40), (1.0, 1.0)) for _ in range(200)]
        assert {window[:4] for window in windows} == {(0, 0, 40, 40)}
        assert 70 < sum(window.flip for window in windows) < 130

    def test_seeded(self):
        def drawn(seed):
            torch.manual_seed(seed)
            return [draw_window((99, 77), (0.3, 1.0)) for _ in range(5)]

        assert drawn(0) == drawn(0) != drawn(1)

    def test_the_whole_photo_is_the_default_part(self):
        for size in ((99, 77), (77, 99), (50, 50)):
            drawn = []
            for part in ((), ((0.0, 1.0),)):
                torch.manual_seed(0)
                drawn.append([draw_window(size, (0.3, 1.0), *part) for _ in range(5)])
            assert drawn[0] == drawn[1]

    @pytest.mark.parametrize("size", [(90, 240), (240, 90), (100, 100), (16, 17), (17, 16)])
    @pytest.mark.parametrize("part", [(0.0, 0.4), (0.35, 1.0), (0.2, 0.7)])
    def test_lies_inside_the_part(self, size, part):
        torch.manual_seed(0)
        ends = [round(end * max(size)) for end in part]
        tall = size[0] > size[1]
        seen = [draw_window(size, (0.3, 1.0), part) for _ in range(60)]
        for window in seen:
            along, across = (window.top, window.left) if tall else (window.left, window.top)
            length, breadth = (window.height, window.width) if tall else (window.width, window.height)
            assert ends[0] <= along < along + length <= ends[1]
            assert 0 <= across < across + breadth <= min(size)
        # The windows reach both ends of the part.
        begins = [window.top if tall else window.left for window in seen]
        assert min(begins) <= ends[0] + 0.15 * max(size)
        assert max(w.top + w.height if tall else w.left + w.width for w in seen) >= ends[1] - 0.15 * max(size)

    def test_area_is_a_share_of_the_part(self):
        torch.manual_seed(0)
        windows = [draw_window((240, 640), (0.25, 0.5), (0.5, 1.0)) for _ in range(300)]
        shares = [window.height * window.width / (240 * 320) for window in windows]
        assert 0.25 * 0.97 < min(shares) < max(shares) < 0.5 * 1.03
        assert sum(shares) / 300 == pytest.approx(0.375, rel=0.12)


class TestDrawParts:
    def drawn(self, count=2000, seed=0):
        torch.manual_seed(seed)
        return [draw_parts() for _ in range(count)]

    def test_cover_the_photo_and_overlap_little(self):
        overlaps = []
        for parts in self.drawn():
            first, second = sorted(parts)
            assert first[0] == 0
            assert second[1] == 1
            overlaps.append(first[1] - second[0])
        assert min(overlaps) >= 0
        assert max(overlaps) <= 0.3 + 1e-12
        assert min(overlaps) < 0.01
        assert max(overlaps) > 0.29

    def test_cut(self):
        cuts = [(first[1] + second[0]) / 2 for first, second in map(sorted, self.drawn())]
        assert 0.35 <= min(cuts) < 0.36
        assert 0.64 < max(cuts) <= 0.65

    def test_order_is_random(self):
        parts = self.drawn()
        swapped = sum(first > second for first, second in parts) / len(parts)
        assert swapped == pytest.approx(0.5, abs=0.05)
        # The order does not depend on the cut.
        for flag in (False, True):
            chosen = [sorted(pair) for pair in parts if (pair[0] > pair[1]) is flag]
            mean = sum((first[1] + second[0]) / 2 for first, second in chosen) / len(chosen)
            assert mean == pytest.approx(0.5, abs=0.01)  # a standard deviation is .003

    def test_seeded(self):
        assert self.drawn(5) == self.drawn(5) != self.drawn(5, seed=1)


class TestResizeWindows:
    @pytest.mark.parametrize("size", [16, 40, 100])
    def test_shape(self, size):
        windows = [ASTRONAUT, ASTRONAUT[:, :17, :20], ASTRONAUT[:, :, :5]]
        photos = resize_windows(windows, [False, True, False], size)
        labels = resize_windows([halves(*window.shape[1:]) for window in windows], [False, True, False], size)
        assert photos.shape == (3, 3, size, size)
        assert labels.shape == (3, 1, size, size)
        assert (photos.dtype, labels.dtype) == (torch.float32, torch.uint8)
        assert 0 <= photos.min() < photos.max() <= 255

    @pytest.mark.parametrize("size", [16, 40, 47, 100])
    @pytest.mark.parametrize("side", [20, 40])
    def test_matches_reference(self, size, side):
        window = ASTRONAUT[:, :side]
        given = resize_windows([window], [False], size)[0]
        torch.testing.assert_close(given, vision.resize(window.float(), [size, size], antialias=True))
        # For uint8, torchvision rounds to whole levels twice.
        assert (given - vision.resize(window, [size, size], antialias=True)).abs().max() <= 1

    def test_known_value(self):
        # A window of the target size stays unchanged, or is mirrored.
        square = ASTRONAUT[:, :40, :40]
        kept, mirrored = resize_windows([square, square], [False, True], 40)
        assert torch.equal(kept, square.float())
        assert torch.equal(mirrored, square.flip(2).float())
        kept, mirrored = resize_windows([halves(40, 40)] * 2, [False, True], 40)
        assert torch.equal(kept, halves(40, 40))
        assert torch.equal(mirrored, 1 - halves(40, 40))

    @pytest.mark.parametrize("width", [30, 54, 100])
    @pytest.mark.parametrize("flip", [False, True])
    def test_labels_stay_hard_and_aligned(self, width, flip):
        labels = halves(40, width)
        shown = (labels * 255).expand(3, -1, -1)
        resized, photos = resize_windows([labels], [flip], 30)[0], resize_windows([shown], [flip], 30)[0]
        assert set(resized.unique().tolist()) == {0, 1}
        assert ((photos[:1] > 127) == (resized == 1)).float().mean() > 0.96  # one of thirty columns is mixed

    def test_invariance_to_the_rest_of_the_batch(self):
        alone = resize_windows([ASTRONAUT], [True], 24)
        among = resize_windows([ASTRONAUT[:, :9], ASTRONAUT, ASTRONAUT[..., :30]], [False, True, True], 24)
        assert torch.equal(among[1], alone[0])

    def test_shrinks_by_area(self):
        # With antialiasing stripes become grey; without it, bilinear resizing would sample single stripes.
        stripes = torch.roll((torch.arange(64) % 4 < 2).byte() * 255, 1).expand(3, 64, -1)
        photos = resize_windows([stripes], [False], 16)
        torch.testing.assert_close(photos[..., 1:-1], torch.full((1, 3, 16, 14), 127.5), rtol=0, atol=5)


class TestShrinkTo:
    @pytest.mark.parametrize(
        ("size", "max_side", "expected"),
        [
            ((40, 53), 512, (40, 53)),  # never enlarged
            ((400, 600), 300, (200, 300)),
            ((600, 400), 300, (300, 200)),
            ((333, 500), 100, (67, 100)),
            ((20, 2000), 512, (16, 1600)),  # a panorama keeps the side that the encoders need
            ((16, 2000), 64, (16, 2000)),
        ],
    )
    def test_shape(self, size, max_side, expected):
        assert shrink_to(torch.zeros(3, *size).byte(), max_side).shape == (3, *expected)
        assert shrink_to(torch.zeros(1, *size).byte(), max_side, labels=True).shape == (1, *expected)

    def test_known_value(self):
        assert torch.equal(shrink_to(ASTRONAUT, 512), ASTRONAUT)

    def test_shrinks_by_area(self):
        stripes = torch.roll((torch.arange(64) % 4 < 2).byte() * 255, 1).expand(3, 64, -1)
        shrunk = shrink_to(stripes, 16)[..., 1:-1].float()
        torch.testing.assert_close(shrunk, torch.full((3, 16, 14), 127.5), rtol=0, atol=5)

    @pytest.mark.parametrize("max_side", [23, 30, 11, 8])
    def test_labels_stay_hard_and_aligned(self, max_side):
        # Regions of 24 columns: the labels' borders must be centred on the photo's.
        labels = (torch.arange(240) // 24 % 2).byte().expand(1, 180, -1).contiguous()
        shown = (labels * 255).expand(3, -1, -1)
        small, photos = shrink_to(labels, 2 * max_side, labels=True), shrink_to(shown, 2 * max_side)
        assert set(small.unique().tolist()) == {0, 1}
        expected = F.interpolate(labels[None], small.shape[1:], mode="nearest-exact")[0]
        assert torch.equal(small, expected)
        clear = (photos[:1] < 60) | (photos[:1] > 195)
        assert torch.equal(small[clear] == 1, photos[:1][clear] > 127)


def seeded(count, seed=0):
    """Return a generator for each photo."""
    return generators_of(range(1000 * seed, 1000 * seed + count))


def many(image, count=300, strength=1.0, seed=0):
    """Return many grades of one photo."""
    return random_grade(image.expand(count, -1, -1, -1), strength, seeded(count, seed))


class TestGeneratorsOf:
    def test_known_value(self):
        first, second = generators_of([3, 2**64 - 1])
        assert torch.equal(torch.rand(4, generator=first), torch.rand(4, generator=torch.Generator().manual_seed(3)))
        assert second.initial_seed() == 2**64 - 1


class TestUniform:
    def test_shape(self):
        assert uniform(seeded(5), 3).shape == (5, 3)

    def test_is_uniform(self):
        drawn = uniform(seeded(2000), 2)
        for column in drawn.T:
            # Across generators of neighbouring seeds too.
            counts = torch.histc(column, 10, 0, 1)
            assert ((counts - 200) ** 2 / 200).sum() < 27.9  # 1 in 1000 at 9 degrees of freedom
        assert abs(torch.corrcoef(drawn.T)[0, 1]) < 0.08

    def test_continues_after_the_last_draw(self):
        generators = seeded(2)
        parts = torch.cat([uniform(generators, 1), uniform(generators, 2)], 1)
        assert torch.equal(parts, uniform(seeded(2), 3))


class TestRandomGrade:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_shape(self, dtype):
        image = rand(2, 3, 9, 7, dtype=dtype)
        graded = random_grade(image, 1.0, seeded(2))
        assert graded.shape == image.shape
        assert graded.dtype == dtype

    def test_strength_0_is_the_identity(self):
        image = photo("astronaut")
        torch.testing.assert_close(random_grade(image, 0.0, seeded(1)), image, rtol=0, atol=1e-12)

    @pytest.mark.parametrize("strength", [0.5, 1.0, 3.0])
    def test_range(self, strength):
        for image in (photo("chelsea")[..., :20, :20], torch.zeros(1, 3, 20, 20), torch.ones(1, 3, 20, 20)):
            graded = many(image, 100, strength)
            assert 0 <= graded.min() <= graded.max() <= 1

    def test_is_stronger_with_the_strength(self):
        image = photo("coffee")
        changes = [(many(image, 60, strength) - image).abs().mean() for strength in (0.1, 0.5, 1.0)]
        assert 2 * changes[0] < changes[1]
        assert 1.3 * changes[1] < changes[2]

    def test_known_value_of_black_and_white(self):
        # No grade changes black; white stays grey or takes the light's colour.
        assert not many(torch.zeros(1, 3, 2, 2).double(), 20).any()
        white = many(torch.ones(1, 3, 2, 2).double(), 200)
        assert (white == 1).all((1, 2, 3)).any()
        assert white.min() > 0.1

    def test_limits_of_the_brightness(self):
        # For flat grey, exposure and light are a factor of up to exp(.75), and the gamma is up to exp(.7), both ways.
        grey = torch.full((1, 3, 1, 1), 0.25).double()
        graded = luma(many(grey, 4000)).flatten()
        gain, gamma = (torch.tensor(reach).double().exp() for reach in (0.75, 0.7))
        assert graded.max() <= (0.25 * gain) ** (1 / gamma) + 1e-9
        assert graded.min() >= (0.25 / gain) ** gamma - 1e-9
        assert graded.max() > 0.6
        assert graded.min() < 0.04

    def test_photos_of_a_batch_have_different_grades(self):
        graded = many(photo("chelsea")[..., :16, :16], 8)
        distances = (graded[:, None] - graded[None]).abs().mean((2, 3, 4))
        assert (distances + torch.eye(8)).min() > 0.005

    def test_invariance_to_the_rest_of_the_batch(self):
        # Neither the other photos nor their number matters.
        first, second = photo("chelsea")[..., :16, :16], photo("coffee")[..., :16, :16]
        alone = random_grade(first, 1.0, generators_of([5]))
        for others, seeds in (([second], [6]), ([second.flip(1)], [7]), ([second, first], [8, 9])):
            among = random_grade(torch.cat([first, *others]), 1.0, generators_of([5, *seeds]))
            assert torch.equal(among[:1], alone)
            assert not torch.equal(among[-1:], alone)

    def test_same_generator_same_grade(self):
        image = photo("astronaut")[..., :16, :16]
        assert torch.equal(random_grade(image, 1.0, seeded(1, 3)), random_grade(image, 1.0, seeded(1, 3)))
        assert not torch.equal(random_grade(image, 1.0, seeded(1, 3)), random_grade(image, 1.0, seeded(1, 4)))

    def test_leaves_the_global_generator_unchanged(self):
        state = torch.get_rng_state()
        random_grade(photo("astronaut"), 1.0, seeded(1))
        assert torch.equal(torch.get_rng_state(), state)

    def test_keeps_the_order_of_greys(self):
        ramp = torch.linspace(0.05, 0.95, 30).double().expand(1, 3, 1, -1)
        assert luma(many(ramp)).diff(dim=-1).min() > -1e-9

    def test_some_photos_become_grey(self):
        # A tenth of the photos at strength 1, none at strength 0.
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


class TestSliderGrade:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_shape(self, dtype):
        image = rand(2, 3, 9, 7, dtype=dtype)
        graded = slider_grade(image, 1.0, seeded(2))
        assert graded.shape == image.shape
        assert graded.dtype == dtype

    def test_strength_0_is_the_identity(self):
        # torchvision computes hues in float32: 6e-8 of a hue of up to 6 sectors is 4e-7.
        image = photo("astronaut")
        torch.testing.assert_close(slider_grade(image, 0.0, seeded(1)), image, rtol=0, atol=1e-6)

    @pytest.mark.parametrize("strength", [0.5, 1.0, 4.0])
    def test_range(self, strength):
        for image in (photo("chelsea")[..., :20, :20], torch.zeros(1, 3, 20, 20), torch.ones(1, 3, 20, 20)):
            graded = slider_grade(image.expand(100, -1, -1, -1), strength, seeded(100))
            assert 0 <= graded.min() <= graded.max() <= 1
            assert not graded.isnan().any()

    def test_limits_of_the_brightness(self):
        # Grey has no contrast, saturation and hue. One factor, from .6 to 1.4.
        grey = torch.full((2000, 3, 1, 1), 0.4).double()
        graded = slider_grade(grey, 1.0, seeded(2000))
        assert graded.std(1).max() < 1e-12
        assert 0.24 - 1e-12 <= graded.min() < 0.25
        assert 0.55 < graded.max() <= 0.56 + 1e-12
        assert float(graded.mean()) == pytest.approx(0.4, abs=0.01)

    def test_matches_reference(self):
        # The steps of each photo, one after another, in the order that its generator draws.
        image = photo("coffee")[..., :9, :12].expand(8, -1, -1, -1)
        orders = set()
        for given, graded, generator in zip(image, slider_grade(image, 0.8, seeded(8)), seeded(8), strict=True):
            bright, contrast, saturation, hue = (0.8 * (2 * torch.rand(4, generator=generator) - 1)).tolist()
            order = tuple(torch.randperm(4, generator=generator).tolist())
            expected = given
            for step in order:
                if step == 0:
                    expected = (expected * (1 + 0.4 * bright)).clamp(0, 1)
                elif step == 1:
                    mean = luma(expected[None]).mean()
                    expected = (mean + (expected - mean) * (1 + 0.4 * contrast)).clamp(0, 1)
                elif step == 2:
                    grey = luma(expected[None])[0]
                    expected = (grey + (expected - grey) * (1 + 0.4 * saturation)).clamp(0, 1)
                else:
                    expected = vision.adjust_hue(expected, 0.05 * hue)
            # torchvision's weights of luma have four digits.
            torch.testing.assert_close(graded, expected, rtol=0, atol=1e-3)
            orders.add(order)
        assert len(orders) > 3

    def test_is_stronger_with_the_strength(self):
        image = photo("coffee").expand(40, -1, -1, -1)
        changes = [(slider_grade(image, strength, seeded(40)) - image).abs().mean() for strength in (0.1, 0.5, 1.0)]
        assert 2 * changes[0] < changes[1]
        assert 1.3 * changes[1] < changes[2]

    def test_invariance_to_the_rest_of_the_batch(self):
        first, second = photo("chelsea")[..., :16, :16], photo("coffee")[..., :16, :16]
        alone = slider_grade(first, 1.0, generators_of([5]))
        for others, seeds in (([second], [6]), ([second.flip(1)], [7]), ([second, first], [8, 9])):
            among = slider_grade(torch.cat([first, *others]), 1.0, generators_of([5, *seeds]))
            assert torch.equal(among[:1], alone)
            assert not torch.equal(among[-1:], alone)

    def test_leaves_the_global_generator_unchanged(self):
        state = torch.get_rng_state()
        slider_grade(photo("astronaut"), 1.0, seeded(1))
        assert torch.equal(torch.get_rng_state(), state)


class TestGradeSome:
    IMAGE = torch.full((600, 3, 2, 2), 0.4)

    @pytest.mark.parametrize("share", [0.0, 0.5, 0.75, 1.0])
    def test_share(self, share):
        graded = grade_some(self.IMAGE, 1.0, share, range(600))
        changed = float((graded != self.IMAGE).flatten(1).any(1).float().mean())
        assert changed == pytest.approx(share, abs=0.06)

    def test_strength_0_is_the_identity(self):
        assert grade_some(self.IMAGE, 0.0, 1.0, range(600)) is self.IMAGE

    def test_module_equals_function(self):
        # The first draw of each generator decides whether its photo is graded.
        image = photo("coffee").expand(6, -1, -1, -1)
        generators = generators_of(range(6))
        chosen = uniform(generators, 1)[:, 0] < 0.5
        expected = random_grade(image, 0.7, generators)
        given = grade_some(image, 0.7, 0.5, range(6))
        assert 0 < chosen.sum() < 6
        assert torch.equal(given[chosen], expected[chosen])
        assert torch.equal(given[~chosen], image[~chosen])


class TestRegionalGrade:
    def halves(self, size):
        mask = torch.zeros(1, 2, *size, dtype=torch.float64)
        mask[:, 0, :, : size[1] // 2] = mask[:, 1, :, size[1] // 2 :] = 1
        return mask

    def regional(self, image, mask, count, strength=1.0):
        return regional_grade(image.expand(count, -1, -1, -1), mask.expand(count, -1, -1, -1), strength, seeded(count))

    def test_regions_have_different_grades(self):
        grey = torch.full((1, 3, 8, 8), 0.4, dtype=torch.float64)
        graded = self.regional(grey, self.halves((8, 8)), 400)
        left, right = graded[..., :4], graded[..., 4:]
        for half in (left, right):  # each half has one colour
            assert float((half - half[..., :1, :1]).abs().max()) < 1e-12
        apart = (left[..., 0, 0] - right[..., 0, 0]).abs().amax(1) > 1e-6
        assert float(apart.double().mean()) == pytest.approx(0.5, abs=0.08)  # else both have the same

    def test_matches_reference(self):
        image, mask = photo("coffee").expand(5, -1, -1, -1), self.halves((33, 50)).expand(5, -1, -1, -1)
        generators = seeded(5)
        chosen = uniform(generators, 2) < 0.5
        first, second = (random_grade(image, 1.0, generators) for _ in range(2))
        expected = first.clone()
        for number in range(5):
            for label, columns in enumerate((slice(0, 25), slice(25, 50))):
                if chosen[number, label]:
                    expected[number, ..., columns] = second[number, ..., columns]
        torch.testing.assert_close(regional_grade(image, mask, 1.0, seeded(5)), expected)

    def test_grades_blend_at_the_border(self):
        # For a mask of a quarter of the size, levels lie between the grades at the border and equal them elsewhere.
        grey = torch.full((1, 3, 4, 32), 0.4, dtype=torch.float64)
        graded = self.regional(grey, self.halves((1, 8)), 60)[:, 0, 0]
        steps = graded.diff(dim=-1)
        assert float(steps[:, :12].abs().max()) < 1e-12
        assert float(steps[:, -12:].abs().max()) < 1e-12
        assert float((steps.abs().amax(1) / (graded[:, 0] - graded[:, -1]).abs().clamp(min=1e-9)).max()) < 0.3

    def test_strength_0_is_the_identity(self):
        image = photo("coffee")
        torch.testing.assert_close(self.regional(image, self.halves((8, 8)), 2, 0.0), image.expand(2, -1, -1, -1))

    def test_invariance_to_the_rest_of_the_batch(self):
        image, mask = photo("chelsea").expand(3, -1, -1, -1), self.halves((9, 8)).expand(3, -1, -1, -1)
        whole = regional_grade(image, mask, 1.0, generators_of([4, 5, 6]))
        assert torch.equal(regional_grade(image[:1], mask[:1], 1.0, generators_of([5])), whole[1:2])
