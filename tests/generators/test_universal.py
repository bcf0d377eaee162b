import inspect
import json

import pytest
import torch

from lookcast.checkpoints import load_checkpoint, save_checkpoint
from lookcast.checks import InputError, ShapeError
from lookcast.encoders.compact import CompactEncoder
from lookcast.generators import GENERATORS, UniversalGenerator
from lookcast.generators.groups import group_of, split_heads
from lookcast.generators.regions import common_classes, region_shares, region_sizes
from lookcast.generators.statistics import photo_statistics, with_position
from lookcast.generators.universal import MAX_STRENGTH, START
from lookcast.ops.bilateral.dispatch import apply_grid
from lookcast.ops.bilateral.reference import identity_grid
from lookcast.ops.regions import MIN_SHARE
from lookcast.ops.resize import thumbnail_of
from tests.looks import ALL_PARTS, NO_PARTS
from tests.samples import CROPS, photo, rand, randn

SMALL = {"depth": 4, "channels": 16, "blocks": 1, "heads": 2, "head_width": 8, "regions": 3}
CONTENT, STYLE, OTHER = (photo(name).float() for name in CROPS)
CONTENT64, STYLE64 = (photo(name) for name in list(CROPS)[:2])
EXACT = 1e-9
"""Bound of identities in float64: rounding of a moment, 1.1e-16, is divided by a variance of at least 1e-4 and by the
spread of features, and sums have up to 65,536 terms; nine digits are left."""
MASKED = pytest.mark.parametrize("masked", [False, True])
OPTIONAL = pytest.mark.parametrize("parts", [NO_PARTS, ALL_PARTS], ids=["plain", "all parts"])


def generator(trained=True, seed=0, **arguments):
    """Return a small generator; `trained` moves all of its parameters, so that every part of it counts."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = UniversalGenerator(CompactEncoder(), **SMALL | arguments)
        if trained:
            for parameter in made.parameters():
                parameter.data.add_(0.1 * torch.randn_like(parameter))
    return made.eval()


def generator64(**options):
    """Return `generator` in float64, for identities; thumbnails have 64 px, as convolutions in float64 are slow."""
    made = generator(**options).double()
    made.thumbnail = made.unmasked_thumbnail = 64
    return made


TRAINED = generator()
TRAINED64 = generator64()


def soft_mask(size, labels=3, seed=0):
    """Smooth regions that sum to 1."""
    coarse = torch.nn.functional.interpolate(6 * randn(1, labels, 3, 3, seed=seed).float(), size, mode="bilinear")
    return coarse.softmax(1)


def split(size, axis):
    """The first half along an axis, and the second."""
    mask = torch.zeros(1, 2, *size)
    first = [slice(None)] * 4
    first[axis] = slice(size[axis - 2] // 2)
    mask[:, 1] = 1
    mask[tuple(first)] = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1)
    return mask


def flat(first, second, axis):
    """Two colours side by side, 256 px so that a thumbnail of it has no mixed pixels."""
    colors = torch.tensor([first, second])
    return torch.einsum("bkhw,kc->bchw", split((256, 256), axis), colors)


@torch.no_grad()
def stylize(content, style, *masks, by=TRAINED):
    return by(content, style, *masks).image


def stylize64(content, style, *masks):
    return stylize(content, style, *masks, by=TRAINED64)


class TestItself:
    """A photo with itself as style comes back, whatever the weights."""

    @pytest.mark.parametrize("name", CROPS)
    @pytest.mark.parametrize("seed", [0, 1])
    @OPTIONAL
    def test_without_masks(self, name, seed, parts):
        image, made = photo(name), generator64(seed=seed, **parts)
        assert (stylize(image, image, by=made) - image).abs().max() < EXACT

    @pytest.mark.parametrize("labels", [1, 2, 5])
    @OPTIONAL
    def test_with_masks(self, labels, parts):
        mask, made = soft_mask(CONTENT.shape[-2:], labels).double(), generator64(**parts)
        assert mask.mean((-2, -1)).min() > MIN_SHARE
        assert (stylize(CONTENT64, CONTENT64, mask, mask, by=made) - CONTENT64).abs().max() < EXACT

    @OPTIONAL
    def test_with_labels_that_it_lacks_and_unlabelled_pixels(self, parts):
        mask = torch.zeros(1, 9, *CONTENT.shape[-2:], dtype=torch.float64)
        mask[:, 2, :20], mask[:, 7, 30:] = 1, 1
        assert (stylize(CONTENT64, CONTENT64, mask, mask, by=generator64(**parts)) - CONTENT64).abs().max() < EXACT

    @OPTIONAL
    def test_with_a_label_on_a_sliver(self, parts):
        mask = torch.zeros(1, 2, 64, 64, dtype=torch.float64)
        mask[:, 0], mask[:, :, 30:34, 30:34] = 1, torch.tensor([0.0, 1.0]).double().view(1, 2, 1, 1)
        assert mask[:, 1].mean() < MIN_SHARE
        assert (stylize(CONTENT64, CONTENT64, mask, mask, by=generator64(**parts)) - CONTENT64).abs().max() < EXACT

    def test_untrained_as_the_default_and_flat(self):
        made, flat = generator64(trained=False), torch.ones(1, 3, 20, 30, dtype=torch.float64)
        for image in (STYLE64, 0.3 * flat, 0 * flat, flat):
            assert (stylize(image, image, by=made) - image).abs().max() < EXACT

    @OPTIONAL
    def test_in_float32(self, parts):
        # The Cholesky factors divide a rounded moment (6e-8 each) by variances down to the floor of 1e-4: 6e-4 of a
        # slope at worst, on colours that then lie within 1e-2 (the root of the floor) of their mean. That is 6e-6; the
        # two photos' factors and the draft each bring as much, so 2e-5.
        assert (stylize(CONTENT, CONTENT, by=generator(**parts)) - CONTENT).abs().max() < 2e-5

    @OPTIONAL
    def test_under_autocast(self, parts):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            # The draft differs from the photo in its last digits, its features then in bfloat16's.
            assert (stylize(CONTENT, CONTENT, by=generator(**parts)) - CONTENT).abs().mean() < 1 / 255


class TestRegions:
    """Before training, the output is a colour transfer region by region, with the strength of `START`."""

    RED, BLUE, OLIVE, GREY = (0.8, 0.3, 0.2), (0.1, 0.3, 0.7), (0.4, 0.5, 0.1), (0.6, 0.6, 0.6)

    def expected(self, content, style):
        strength = MAX_STRENGTH * torch.sigmoid(torch.tensor(START))
        assert strength.item() == pytest.approx(1)
        return torch.lerp(torch.tensor(content), torch.tensor(style), strength).view(1, 3, 1, 1)

    @pytest.mark.parametrize("swapped", [False, True])
    def test_each_takes_the_color_of_its_counterpart(self, swapped):
        content, style = flat(self.RED, self.BLUE, 3), flat(self.OLIVE, self.GREY, 2)
        masks = split((256, 256), 3), split((256, 256), 2)
        counterparts = (self.OLIVE, self.GREY)
        if swapped:
            masks, counterparts = (masks[0], masks[1].flip(1)), counterparts[::-1]
        output = stylize(content, style, *masks, by=generator(trained=False))
        # A quarter of the width and more from the border, which the grid blurs.
        for region, own, their in (
            (output[..., :64], self.RED, counterparts[0]),
            (output[..., -64:], self.BLUE, counterparts[1]),
        ):
            torch.testing.assert_close(region, self.expected(own, their).expand_as(region), rtol=0, atol=2e-3)

    def test_borders_between_regions_are_soft(self):
        content, style = torch.full((1, 3, 256, 256), 0.5), flat(self.OLIVE, self.GREY, 2)
        output = stylize(content, style, split((256, 256), 3), split((256, 256), 2), by=generator(trained=False))
        across = output[0, 2].mean(0)  # from the blue of olive to that of grey
        assert across.diff().min() > -1e-3
        # Between two cells alone it would be 16 pixels.
        between = (across > across[0] + 0.02) & (across < across[-1] - 0.02)
        assert 30 < between.sum() < 80

    def test_one_region_takes_the_mean_color(self):
        made, mask = generator64(trained=False), torch.ones(1, 1, 8, 8, dtype=torch.float64)
        made.sharpness.data.zero_()  # every cell belongs to the whole region
        content, style = torch.full((1, 3, 40, 50), 0.5, dtype=torch.float64), flat(self.OLIVE, self.GREY, 2).double()
        output = stylize(content, style, mask, mask, by=made)
        assert (output - output[..., :1, :1]).abs().max() < EXACT
        middle = [(a + b) / 2 for a, b in zip(self.OLIVE, self.GREY, strict=True)]
        expected = self.expected([0.5] * 3, middle).double()  # rounded to float32, as the style is: 6e-8 each
        torch.testing.assert_close(output[..., :1, :1], expected, rtol=0, atol=2e-7)

    @pytest.mark.parametrize("made", [generator64(trained=False), TRAINED64, generator64(**ALL_PARTS)])
    def test_a_label_absent_from_the_style_takes_the_whole_style(self, made):
        content_mask = split(CONTENT.shape[-2:], 3).double()
        absent = torch.zeros(1, 2, *STYLE.shape[-2:], dtype=torch.float64)
        absent[:, 0] = 1
        output = stylize(CONTENT64, STYLE64, content_mask, absent, by=made)
        whole = stylize(CONTENT64, STYLE64, content_mask, torch.ones_like(absent), by=made)
        assert torch.equal(output, whole)
        # If the content has that label only, this equals one region for both photos.
        one, ones = torch.zeros_like(content_mask), torch.ones(1, 1, 4, 4, dtype=torch.float64)
        one[:, 1] = 1
        expected = stylize(CONTENT64, STYLE64, ones, ones, by=made)
        torch.testing.assert_close(stylize(CONTENT64, STYLE64, one, absent, by=made), expected, rtol=0, atol=EXACT)

    def test_masks_count(self):
        masks = split(CONTENT.shape[-2:], 3), split(STYLE.shape[-2:], 2)
        outputs = [stylize(CONTENT, STYLE, *m) for m in ((), masks, (masks[0], masks[1].flip(1)))]
        assert min((a - b).abs().mean() for a, b in zip(outputs, [*outputs[1:], outputs[0]], strict=True)) > 0.003

    @pytest.mark.parametrize("parts", [NO_PARTS, {"robust_steps": 2}])
    def test_unlabelled_pixels_keep_their_colors(self, parts):
        # Before training: carried are the colours of regions, and there is none.
        masks = split(CONTENT.shape[-2:], 3), split(STYLE.shape[-2:], 2)
        masks[0][:, 1] = 0
        output = stylize(CONTENT, STYLE, *masks, by=generator(trained=False, **parts))
        changed = (output - CONTENT).abs().mean((0, 1, 2))
        assert changed[-12:].max() < 1e-6
        assert changed[:12].min() > 0.01


class TestSharpness:
    """The factors of the queries, one row with masks and one without."""

    MASKS = (soft_mask((40, 53)), soft_mask(STYLE.shape[-2:], seed=1))

    @pytest.mark.parametrize("row", [0, 1])
    def test_each_use_has_its_own_row(self, row):
        made, given = generator(), (self.MASKS, ())[row]
        expected = stylize(CONTENT, STYLE, *given, by=made)
        for other, same in ((1 - row, True), (row, False)):
            made.sharpness.data[other] += 1
            assert torch.equal(stylize(CONTENT, STYLE, *given, by=made), expected) == same
        made(CONTENT, STYLE, *given).image.square().mean().backward()
        assert made.sharpness.grad[row].abs().min() > 1e-7
        assert not made.sharpness.grad[1 - row].any()

    def test_at_zero_a_group_is_the_whole_region(self):
        made = generator64()
        with torch.no_grad():
            # Whatever the features of a cell are, its group is the whole region.
            photos = zip((CONTENT64, STYLE64), self.MASKS, strict=True)
            content, style = (made.read(image, mask) for image, mask in photos)
            query = torch.zeros(1, SMALL["heads"], 256, SMALL["head_width"], dtype=torch.float64)
            for statistics in (content, style):
                key = split_heads(made.key(with_position(statistics.cells)), SMALL["heads"])
                moments = group_of(query, key, statistics, statistics.mask, region_sizes(content.mask)).moments
                whole = torch.einsum("bkyx,bcyx->bkc", statistics.mask, statistics.moments) / 256
                torch.testing.assert_close(moments, whole[:, None, None].expand_as(moments), rtol=0, atol=EXACT)
        # The position of a pixel of the style within its region then does not matter to the carried colours.
        untrained, masks = generator64(trained=False), (self.MASKS[0], torch.ones(1, 3, 64, 64) / 3)
        untrained.sharpness.data.zero_()
        turned = stylize(CONTENT64, STYLE64.flip(-1, -2), *masks, by=untrained)
        assert (turned - CONTENT64).abs().mean() > 0.05
        torch.testing.assert_close(stylize(CONTENT64, STYLE64, *masks, by=untrained), turned, rtol=0, atol=EXACT)


class TestGrounds:
    """Shared grounds and maps of the whole photo."""

    @staticmethod
    def switch(made, maps=0.0, openness=0.0):
        """Add to the logits of the maps of the whole photo, and of the openness."""
        made.sharing.bias.data[:2] += torch.tensor(maps)
        made.sharing.bias.data[2:] += openness
        return made

    def both(self, **options):
        """Return a generator without shared grounds, and one with them and with the same other parameters."""
        plain, shared = generator64(**options), generator64(ground_channels=8, **options)
        missing, unexpected = shared.load_state_dict(plain.state_dict(), strict=False)
        assert unexpected == []
        assert {name.split(".")[0] for name in missing} == {"grounds", "sharing"}
        return plain, shared

    @MASKED
    @torch.no_grad()
    def test_switched_off_equals_a_generator_without_them(self, masked):
        plain, shared = self.both()
        masks = (soft_mask((40, 53)).double(), soft_mask(STYLE.shape[-2:], seed=1).double()) if masked else ()
        expected = plain(CONTENT64, STYLE64, *masks).grid
        assert (shared(CONTENT64, STYLE64, *masks).grid - expected).abs().mean() > 0.01
        for options in ({"maps": -1e4}, {"openness": -1e4}):
            assert (
                self.switch(self.both()[1], **options)(CONTENT64, STYLE64, *masks).grid - expected
            ).abs().max() > 0.01
        off = self.switch(shared, -1e4, -1e4)(CONTENT64, STYLE64, *masks).grid
        torch.testing.assert_close(off, expected, rtol=0, atol=EXACT)

    @MASKED
    def test_a_flat_wall_stays_flat(self, masked):
        # The cells of the wall attend to different colours of the style.
        wall = torch.full((1, 3, 64, 64), 0.5, dtype=torch.float64)
        style = flat(TestRegions.OLIVE, TestRegions.GREY, 3).double()
        masks = [torch.ones(1, 1, 4, 4, dtype=torch.float64)] * 2 if masked else []
        plain, shared = self.both(trained=False)
        plain.sharpness.data.fill_(1), shared.sharpness.data.fill_(1)
        self.switch(shared, maps=-1e4)  # grounds alone
        spreads = [float(stylize(wall, style, *masks, by=made).std((-2, -1)).mean()) for made in (plain, shared)]
        assert spreads[0] > 1e-3
        assert spreads[1] < 0.2 * spreads[0]

    @pytest.mark.parametrize("labels", [1, 2])
    @pytest.mark.parametrize("chosen", ["each region", "all regions"])
    def test_whole_maps_recover_one_grade_of_the_photo(self, labels, chosen):
        made = generator64(trained=False, ground_channels=8)
        made.sharpness.data.zero_()  # each group is the whole region
        made.floor.data.fill_(-100)  # no floor under the variances, which would limit the gain
        self.switch(made, maps=(1e4, 0.0) if chosen == "each region" else (0.0, 1e4))
        grade = 0.1 + 0.6 * CONTENT64
        mask = soft_mask((64, 64), labels).double()
        output = stylize(CONTENT64, grade, mask, mask, by=made)
        assert (grade - CONTENT64).abs().mean() > 0.03
        torch.testing.assert_close(output, grade, rtol=0, atol=EXACT)

    def test_the_learned_part_is_shared_too(self):
        made = generator64(ground_channels=8)
        made.gates.bias.data[-1] = -1e4  # no carried colours
        with torch.no_grad():
            content, style = made.read(CONTENT64), made.read(STYLE64)
            own = self.switch(made, openness=-1e4).predict_grid(content, style)
            shared = self.switch(made, openness=2e4).predict_grid(content, style)
            grounds = made.grounds(
                content, region_shares(content.shares, content.classes), torch.full((1, 4, 16, 16), 1e4).double()
            )
        identity = identity_grid(1, 4, 16, 16, dtype=torch.float64)
        assert (own - identity).abs().mean() > 1e-3
        torch.testing.assert_close(shared, identity + grounds.share(own - identity), rtol=0, atol=EXACT)
        assert (shared - own).abs().mean() > 1e-4

    def test_whole_maps_do_not_depend_on_places(self):
        # Without masks, cells attend to parts of the style; the map of the whole photo is the same everywhere.
        made = generator64(trained=False, ground_channels=8)
        self.switch(made, maps=(0.0, 1e4), openness=-1e4)
        with torch.no_grad():
            grid = made(CONTENT64, STYLE64).grid
        torch.testing.assert_close(grid, grid.mean((2, 3, 4), keepdim=True).expand_as(grid), rtol=0, atol=EXACT)
        assert (stylize(CONTENT64, STYLE64, by=made) - CONTENT64).abs().mean() > 0.05

    @pytest.mark.parametrize("heads", [1, 3])
    def test_any_number_of_heads(self, heads):
        made = generator64(ground_channels=8, heads=heads)
        assert (stylize(CONTENT64, CONTENT64, by=made) - CONTENT64).abs().max() < EXACT
        assert (stylize(CONTENT64, STYLE64, by=made) - CONTENT64).abs().mean() > 0.02

    def test_gradients_reach_every_parameter(self):
        made = generator(**ALL_PARTS)
        for masks in ((), (soft_mask((40, 53)), soft_mask(STYLE.shape[-2:]))):
            made(CONTENT, STYLE, *masks).image.square().mean().backward()
        assert {name for name, p in made.named_parameters() if p.grad.norm() < 1e-6} == set()

    def test_round_trip(self, tmp_path):
        made = generator(**ALL_PARTS)
        save_checkpoint(tmp_path / "universal.safetensors", made, {"licence": "test"})
        loaded, header = load_checkpoint(tmp_path / "universal.safetensors")
        assert header["generator"]["arguments"] == SMALL | ALL_PARTS
        assert torch.equal(stylize(CONTENT, STYLE, by=loaded), stylize(CONTENT, STYLE, by=made))

    @pytest.mark.parametrize("name", ALL_PARTS)
    @pytest.mark.parametrize("value", [-1, 65, 2.5, True])
    def test_rejects_a_number_out_of_range(self, name, value):
        limit = 1 if name == "scenes" else 64
        with pytest.raises(InputError, match=rf"^{name}: expected an integer from 0 to {limit}, got {value}$"):
            UniversalGenerator(CompactEncoder(), **{name: value})

    def test_rejects_a_second_kind_of_scenes(self):
        with pytest.raises(InputError, match=r"^scenes: expected an integer from 0 to 1, got 2$"):
            UniversalGenerator(CompactEncoder(), scenes=2)


class TestInvariances:
    def test_to_the_order_of_labels(self):
        masks = soft_mask(CONTENT64.shape[-2:], 4).double(), soft_mask(STYLE64.shape[-2:], 4, seed=1).double()
        order = [2, 0, 3, 1]
        expected = stylize64(CONTENT64, STYLE64, *masks)
        actual = stylize64(CONTENT64, STYLE64, *(mask[:, order] for mask in masks))
        torch.testing.assert_close(actual, expected, rtol=0, atol=EXACT)

    @MASKED
    @OPTIONAL
    def test_to_other_items_of_the_batch(self, masked, parts):
        made = generator64(**parts)
        contents, styles = rand(2, 3, 24, 30), torch.cat([STYLE64, STYLE64.flip(1)])
        masks = [
            torch.cat([soft_mask(i.shape[-2:], seed=s).double() for s in (1, 2)]) for i in (contents, styles) if masked
        ]
        both = stylize(contents, styles, *masks, by=made)
        for n in range(2):
            one = stylize(contents[n : n + 1], styles[n : n + 1], *(mask[n : n + 1] for mask in masks), by=made)
            torch.testing.assert_close(both[n : n + 1], one, rtol=0, atol=EXACT)
        assert (both[:1] - stylize(contents[:1], styles[1:], *(m[:1] for m in masks), by=made)).abs().mean() > 1e-3

    @MASKED
    @OPTIONAL
    def test_to_a_style_repeated(self, masked, parts):
        made = generator64(**parts)
        contents = torch.cat([CONTENT64, CONTENT64.flip(2), CONTENT64.flip(1)])
        style_mask = soft_mask(STYLE64.shape[-2:]).double()
        masks = [soft_mask((40, 53), seed=1).double().expand(3, -1, -1, -1), style_mask] if masked else []
        many = [masks[0], style_mask.expand(3, -1, -1, -1)] if masked else []
        expected = stylize(contents, STYLE64.expand(3, -1, -1, -1), *many, by=made)
        torch.testing.assert_close(stylize(contents, STYLE64, *masks, by=made), expected, rtol=0, atol=EXACT)

    def test_of_the_grid_to_resolution(self):
        large = torch.nn.functional.interpolate(CONTENT64, scale_factor=8, mode="bilinear").clamp(0, 1)
        with torch.no_grad():
            grids = [TRAINED64(image, STYLE64).grid for image in (CONTENT64, large, STYLE64)]
        assert (grids[1] - grids[0]).abs().mean() < 0.2 * (grids[2] - grids[0]).abs().mean()

    def test_to_the_resolution_of_masks(self):
        masks = split((64, 64), 3).double(), split((64, 64), 2).double()
        expected = stylize64(CONTENT64, STYLE64, *masks)
        enlarged = [mask.repeat_interleave(3, -1).repeat_interleave(2, -2) for mask in masks]
        torch.testing.assert_close(stylize64(CONTENT64, STYLE64, *enlarged), expected, rtol=0, atol=EXACT)


class TestShapes:
    @pytest.mark.parametrize("size", [(37, 61), (16, 16), (300, 20), (1, 1)])
    def test_any_content(self, size):
        content = rand(1, 3, *size).float()
        masks = soft_mask(size), soft_mask(STYLE.shape[-2:])
        for given in ((), masks):
            with torch.no_grad():
                output = TRAINED(content, STYLE, *given)
            assert output.image.shape == content.shape
            assert output.grid.shape == (1, 12, SMALL["depth"], 16, 16)
            assert torch.equal(output.image, apply_grid(output.grid, content))

    @pytest.mark.parametrize("size", [(37, 61), (1, 1), (300, 20)])
    def test_any_style(self, size):
        # A style of one flat colour gives the same output at any size.
        style = torch.tensor([0.2, 0.5, 0.8]).view(1, 3, 1, 1)
        expected = stylize(CONTENT, style.expand(1, 3, 256, 256))
        torch.testing.assert_close(stylize(CONTENT, style.expand(1, 3, *size)), expected, rtol=0, atol=1e-4)


class TestRead:
    def test_known_value(self):
        mask = soft_mask((20, 20))
        made = generator(**ALL_PARTS)
        statistics = made.read(CONTENT, mask)
        small = thumbnail_of(CONTENT, 256)
        options = (SMALL["depth"], ALL_PARTS["tone_steps"], ALL_PARTS["mask_blur"])
        expected = photo_statistics(small, made.encoder(small), mask, *options)
        assert all(torch.equal(a, b) for a, b in zip(statistics[:-1], expected[:-1], strict=True))
        assert statistics.classes is None

    def test_classes_are_told_apart_without_a_mask(self):
        statistics = TRAINED.read(CONTENT)
        assert statistics.mask is None
        assert torch.equal(statistics.classes, TRAINED.regions(statistics))

    @torch.no_grad()
    def test_classes_of_scenes_are_those_of_the_style(self):
        made = generator(scenes=1)
        own, style = made.read(CONTENT), made.read(STYLE)
        stages = made.predict_stages(own, style)
        expected = common_classes(own.classes, style.classes)
        assert torch.equal(stages.content_regions, expected[0])
        assert (stages.content_regions - own.classes).abs().max() > 0.1
        assert torch.equal(stages.style_regions, expected[1])

    @pytest.mark.parametrize("side", [128, 256])
    @MASKED
    def test_features_that_are_known_serve_for_a_thumbnail(self, side, masked):
        image, mask = thumbnail_of(STYLE, side), soft_mask((20, 20)) if masked else None
        other = {tap: values + 1 for tap, values in TRAINED.encoder(image).items()}
        statistics = TRAINED.read(image, mask)
        assert statistics.thumbnail.shape[-1] == (256 if masked else 128)
        served = masked and side == 256
        torch.testing.assert_close(TRAINED.read(image, mask, other).cells, statistics.cells + served)

    def test_half_precision_is_read_in_float32(self):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            statistics = TRAINED.read(CONTENT)
        exact = TRAINED.read(CONTENT)
        assert {tensor.dtype for tensor in statistics if tensor is not None} == {torch.float32}
        # Colours by every digit; features come from the encoder, whose convolutions are bfloat16.
        assert torch.equal(statistics.moments, exact.moments)
        torch.testing.assert_close(statistics.cells, exact.cells, rtol=0, atol=0.1)


class TestPredictGrid:
    @MASKED
    @torch.no_grad()
    def test_of_readings_is_that_of_photos(self, masked):
        masks = (soft_mask((40, 53)), soft_mask(STYLE.shape[-2:])) if masked else (None, None)
        grid = TRAINED.predict_grid(TRAINED.read(CONTENT, masks[0]), TRAINED.read(STYLE, masks[1]))
        assert torch.equal(grid, TRAINED(CONTENT, STYLE, *masks).grid)

    @torch.no_grad()
    def test_a_style_is_read_once_for_many_contents(self):
        style = TRAINED.read(STYLE)
        for content in (CONTENT, OTHER):
            grid = TRAINED.predict_grid(TRAINED.read(content), style)
            assert torch.equal(apply_grid(grid, content), stylize(content, STYLE))

    @torch.no_grad()
    def test_a_thumbnail_will_do(self):
        style = TRAINED.read(STYLE)
        small = TRAINED.predict_grid(TRAINED.read(thumbnail_of(CONTENT, 256)), style)
        assert torch.equal(small, TRAINED.predict_grid(TRAINED.read(CONTENT), style))


class TestGradients:
    def norms(self, *masks):
        made = generator()
        made(CONTENT, STYLE, *masks).image.square().mean().backward()
        return {name: 0.0 if p.grad is None else float(p.grad.norm()) for name, p in made.named_parameters()}

    def test_reach_every_parameter(self):
        norms = self.norms()
        assert {name for name, norm in norms.items() if norm < 1e-6} == set()

    def test_masks_leave_out_the_head_that_tells_regions_apart(self):
        norms = self.norms(soft_mask((40, 53)), soft_mask(STYLE.shape[-2:]))
        assert {name for name, norm in norms.items() if norm < 1e-6} == {n for n in norms if n.startswith("regions.")}

    def test_start_at_the_last_layers(self):
        made = generator(trained=False)
        made(CONTENT, STYLE).image.square().mean().backward()
        for name in ("residual.weight", "gates.weight", "gates.bias", "query.weight", "key.weight", "floor"):
            assert made.get_parameter(name).grad.norm() > 1e-6, name

    def test_encoder_is_no_part_of_what_is_trained(self):
        assert not any(name.startswith("encoder.") for name in TRAINED.state_dict())
        assert not any(name.startswith("encoder.") for name, _ in TRAINED.named_parameters())


class TestCheckpoint:
    @MASKED
    def test_round_trip(self, tmp_path, masked):
        save_checkpoint(tmp_path / "universal.safetensors", TRAINED, {"licence": "test"})
        loaded, header = load_checkpoint(tmp_path / "universal.safetensors")
        assert header["generator"] == {
            "name": "universal",
            "arguments": SMALL | NO_PARTS,
            "encoder": None,
        }
        masks = (soft_mask((40, 53)), soft_mask(STYLE.shape[-2:])) if masked else ()
        output = stylize(CONTENT, STYLE, *masks, by=loaded)
        assert torch.equal(output, stylize(CONTENT, STYLE, *masks))
        assert not loaded.training

    def test_every_argument_is_kept(self):
        assert list(TRAINED.arguments) == list(inspect.signature(UniversalGenerator).parameters)[1:]

    def test_arguments_rebuild_it(self):
        arguments = json.loads(json.dumps(TRAINED.arguments))
        assert arguments == SMALL | NO_PARTS
        rebuilt = GENERATORS["universal"](CompactEncoder(), **arguments)
        rebuilt.load_state_dict(TRAINED.state_dict())
        assert torch.equal(stylize(CONTENT, STYLE, by=rebuilt), stylize(CONTENT, STYLE))


class TestRejects:
    def test_rejects_no_style(self):
        with pytest.raises(InputError, match=r"^style: the universal generator needs a style photo$"):
            TRAINED(CONTENT)

    @pytest.mark.parametrize("name", ["content_mask", "style_mask"])
    def test_rejects_one_mask_alone(self, name):
        with pytest.raises(InputError, match=f"but {name} is given; masks come in pairs$"):
            TRAINED(CONTENT, STYLE, **{name: torch.ones(1, 1, 4, 4)})

    @pytest.mark.parametrize("name", SMALL)
    @pytest.mark.parametrize("value", [0, -2, 10**9, 2.5, True])
    def test_rejects_sizes_out_of_range(self, name, value):
        with pytest.raises(InputError, match=rf"^{name}: expected an integer from 1 to \d+, got {value}$"):
            UniversalGenerator(CompactEncoder(), **{name: value})

    def test_rejects_what_is_no_image(self):
        with pytest.raises(ShapeError, match="content: expected shape"):
            TRAINED(CONTENT[0], STYLE)
        with pytest.raises(ShapeError, match="style: expected shape"):
            TRAINED(CONTENT, STYLE[0])
        with pytest.raises(InputError, match="style: expected floating point"):
            TRAINED(CONTENT, torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
