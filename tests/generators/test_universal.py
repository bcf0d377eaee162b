import json

import pytest
import torch

from lookcast.checkpoints import load_checkpoint, save_checkpoint
from lookcast.checks import InputError, ShapeError
from lookcast.encoders.compact import CompactEncoder
from lookcast.generators import GENERATORS, UniversalGenerator
from lookcast.generators.regions import THUMBNAIL, UNMASKED_THUMBNAIL, photo_statistics
from lookcast.generators.universal import MAX_STRENGTH, START
from lookcast.ops.bilateral.dispatch import apply_grid
from lookcast.ops.regions import MIN_SHARE
from lookcast.ops.resize import thumbnail_of
from tests.samples import CROPS, photo, rand, randn

SMALL = {"depth": 4, "channels": 16, "blocks": 1, "heads": 2, "head_width": 8, "regions": 3}
CONTENT, STYLE, OTHER = (photo(name).float() for name in CROPS)
MASKED = pytest.mark.parametrize("masked", [False, True])


def generator(trained=True, seed=0, **arguments):
    """A small one; `trained` moves all of its parameters, so that every part of it counts."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = UniversalGenerator(CompactEncoder(), **SMALL | arguments)
        if trained:
            for parameter in made.parameters():
                parameter.data.add_(0.1 * torch.randn_like(parameter))
    return made.eval()


TRAINED = generator()


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


class TestItself:
    """A photo with itself as style comes back, whatever the weights."""

    @pytest.mark.parametrize("name", CROPS)
    @pytest.mark.parametrize("seed", [0, 1])
    def test_without_masks(self, name, seed):
        image = photo(name).float()
        assert (stylize(image, image, by=generator(seed=seed)) - image).abs().max() < 1e-5

    @pytest.mark.parametrize("labels", [1, 2, 5])
    def test_with_masks(self, labels):
        mask = soft_mask(CONTENT.shape[-2:], labels)
        assert mask.mean((-2, -1)).min() > MIN_SHARE
        assert (stylize(CONTENT, CONTENT, mask, mask) - CONTENT).abs().max() < 1e-5

    def test_with_labels_that_it_lacks_and_unlabelled_pixels(self):
        mask = torch.zeros(1, 9, *CONTENT.shape[-2:])
        mask[:, 2, :20], mask[:, 7, 30:] = 1, 1
        assert (stylize(CONTENT, CONTENT, mask, mask) - CONTENT).abs().max() < 1e-5

    def test_with_a_label_on_a_sliver(self):
        mask = torch.zeros(1, 2, 64, 64)
        mask[:, 0], mask[:, :, 30:34, 30:34] = 1, torch.tensor([0.0, 1.0]).view(1, 2, 1, 1)
        assert mask[:, 1].mean() < MIN_SHARE
        assert (stylize(CONTENT, CONTENT, mask, mask) - CONTENT).abs().max() < 1e-5

    def test_untrained_as_the_default_and_flat(self):
        made = generator(trained=False)
        for image in (STYLE, torch.full((1, 3, 20, 30), 0.3), torch.zeros(1, 3, 16, 16), torch.ones(1, 3, 16, 16)):
            assert (stylize(image, image, by=made) - image).abs().max() < 1e-5

    def test_under_autocast(self):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            # The draft differs from the photo in its last digits, its features then in bfloat16's.
            assert (stylize(CONTENT, CONTENT) - CONTENT).abs().mean() < 1 / 255


class TestRegions:
    """What is known before any training: a colour transfer region by region, `START` of the way."""

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
        content, style = torch.full((1, 3, 40, 50), 0.5), flat(self.OLIVE, self.GREY, 2)
        output = stylize(content, style, torch.ones(1, 1, 8, 8), torch.ones(1, 1, 8, 8), by=generator(trained=False))
        assert (output - output[..., :1, :1]).abs().max() < 2e-3
        middle = [(a + b) / 2 for a, b in zip(self.OLIVE, self.GREY, strict=True)]
        torch.testing.assert_close(output.mean((-2, -1), True), self.expected([0.5] * 3, middle), rtol=0, atol=0.02)

    @pytest.mark.parametrize("made", [generator(trained=False), TRAINED])
    def test_a_label_that_the_style_lacks_takes_the_whole_style(self, made):
        content_mask = split(CONTENT.shape[-2:], 3)
        absent = torch.zeros(1, 2, *STYLE.shape[-2:])
        absent[:, 0] = 1
        output = stylize(CONTENT, STYLE, content_mask, absent, by=made)
        assert output.isfinite().all()
        assert torch.equal(output, stylize(CONTENT, STYLE, content_mask, torch.ones_like(absent), by=made))
        # So where the content has no other label, it is as if nobody had told any regions apart.
        one, ones = torch.zeros_like(content_mask), torch.ones(1, 1, 4, 4)
        one[:, 1] = 1
        expected = stylize(CONTENT, STYLE, ones, ones, by=made)
        torch.testing.assert_close(stylize(CONTENT, STYLE, one, absent, by=made), expected, rtol=0, atol=1e-5)

    def test_masks_count(self):
        masks = split(CONTENT.shape[-2:], 3), split(STYLE.shape[-2:], 2)
        outputs = [stylize(CONTENT, STYLE, *m) for m in ((), masks, (masks[0], masks[1].flip(1)))]
        assert min((a - b).abs().mean() for a, b in zip(outputs, [*outputs[1:], outputs[0]], strict=True)) > 0.003

    def test_unlabelled_pixels_keep_their_colors(self):
        # Before training: carried are the colours of regions, and there is none.
        masks = split(CONTENT.shape[-2:], 3), split(STYLE.shape[-2:], 2)
        masks[0][:, 1] = 0
        output = stylize(CONTENT, STYLE, *masks, by=generator(trained=False))
        changed = (output - CONTENT).abs().mean((0, 1, 2))
        assert changed[-12:].max() < 1e-6
        assert changed[:12].min() > 0.01


class TestSharpness:
    """How much closer a head looks than at everything, apart for masked and for free use."""

    MASKS = (soft_mask((40, 53)), soft_mask(STYLE.shape[-2:], seed=1))

    @pytest.mark.parametrize("row", [0, 1])
    def test_each_use_has_its_own(self, row):
        made, given = generator(), (self.MASKS, ())[row]
        expected = stylize(CONTENT, STYLE, *given, by=made)
        for other, same in ((1 - row, True), (row, False)):
            made.sharpness.data[other] += 1
            assert torch.equal(stylize(CONTENT, STYLE, *given, by=made), expected) == same
        made(CONTENT, STYLE, *given).image.square().mean().backward()
        assert made.sharpness.grad[row].abs().min() > 1e-7
        assert not made.sharpness.grad[1 - row].any()

    def test_without_any_a_cell_finds_the_whole_region(self):
        made = generator()
        made.sharpness.data.zero_()
        with torch.no_grad():
            # Cells that look alike or not: the map of a region is the same all over the photo.
            photos = zip((CONTENT, STYLE), self.MASKS, strict=True)
            content, style = (made.read(image, mask) for image, mask in photos)
            query = torch.zeros_like(made._split(made.query(torch.zeros(1, made.query.in_channels, 16, 16))))
            for reading in (content, style):
                moments = made._attend(query, reading, reading.mask, content.mask).moments
                whole = torch.einsum("bkyx,bcyx->bkc", reading.mask, reading.moments) / 256
                torch.testing.assert_close(moments, whole[:, None, None].expand_as(moments), rtol=1e-4, atol=1e-6)
        # So no place of the style photo matters within its region.
        masks = self.MASKS[0], torch.ones(1, 3, 64, 64) / 3
        style = STYLE[..., :32, :48]
        turned = stylize(CONTENT, style.flip(-1, -2), *masks, by=made)
        spread = (turned - CONTENT).abs().mean()
        assert (turned - stylize(CONTENT, style, *masks, by=made)).abs().mean() < 0.05 * spread


class TestInvariances:
    def test_to_the_order_of_labels(self):
        masks = soft_mask(CONTENT.shape[-2:], 4), soft_mask(STYLE.shape[-2:], 4, seed=1)
        order = [2, 0, 3, 1]
        expected = stylize(CONTENT, STYLE, *masks)
        actual = stylize(CONTENT, STYLE, *(mask[:, order] for mask in masks))
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)

    @MASKED
    def test_to_other_items_of_the_batch(self, masked):
        contents, styles = rand(2, 3, 24, 30).float(), torch.cat([STYLE, STYLE.flip(1)])
        masks = [torch.cat([soft_mask(i.shape[-2:], seed=s) for s in (1, 2)]) for i in (contents, styles) if masked]
        both = stylize(contents, styles, *masks)
        for n in range(2):
            one = stylize(contents[n : n + 1], styles[n : n + 1], *(mask[n : n + 1] for mask in masks))
            torch.testing.assert_close(both[n : n + 1], one, rtol=0, atol=1e-5)
        assert (both[:1] - stylize(contents[:1], styles[1:], *(m[:1] for m in masks))).abs().mean() > 1e-3

    @MASKED
    def test_to_a_style_repeated(self, masked):
        contents = torch.cat([CONTENT, CONTENT.flip(2), CONTENT.flip(1)])
        style_mask = soft_mask(STYLE.shape[-2:])
        masks = [soft_mask((40, 53), seed=1).expand(3, -1, -1, -1), style_mask] if masked else []
        many = [masks[0], style_mask.expand(3, -1, -1, -1)] if masked else []
        expected = stylize(contents, STYLE.expand(3, -1, -1, -1), *many)
        torch.testing.assert_close(stylize(contents, STYLE, *masks), expected, rtol=0, atol=1e-5)

    def test_of_the_grid_to_resolution(self):
        large = torch.nn.functional.interpolate(CONTENT, scale_factor=8, mode="bilinear").clamp(0, 1)
        with torch.no_grad():
            grids = [TRAINED(image, STYLE).grid for image in (CONTENT, large, STYLE)]
        assert (grids[1] - grids[0]).abs().mean() < 0.2 * (grids[2] - grids[0]).abs().mean()

    def test_to_the_resolution_of_masks(self):
        masks = split((64, 64), 3), split((64, 64), 2)
        expected = stylize(CONTENT, STYLE, *masks)
        enlarged = [mask.repeat_interleave(3, -1).repeat_interleave(2, -2) for mask in masks]
        torch.testing.assert_close(stylize(CONTENT, STYLE, *enlarged), expected, rtol=0, atol=1e-5)


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
            assert (output.image - apply_grid(output.grid, content)).abs().max() < 1e-6

    @pytest.mark.parametrize("size", [(37, 61), (1, 1), (300, 20)])
    def test_any_style(self, size):
        # The same style, however large: one flat colour says the same at any size.
        style = torch.tensor([0.2, 0.5, 0.8]).view(1, 3, 1, 1)
        expected = stylize(CONTENT, style.expand(1, 3, 256, 256))
        torch.testing.assert_close(stylize(CONTENT, style.expand(1, 3, *size)), expected, rtol=0, atol=1e-4)


class TestRead:
    def test_known_value(self):
        mask = soft_mask((20, 20))
        reading = TRAINED.read(CONTENT, mask)
        small = thumbnail_of(CONTENT, THUMBNAIL)
        expected = photo_statistics(small, TRAINED.encoder(small), mask, SMALL["depth"])
        assert all(torch.equal(a, b) for a, b in zip(reading[:-1], expected[:-1], strict=True))
        assert reading.classes is None

    def test_classes_are_told_apart_without_a_mask(self):
        reading = TRAINED.read(CONTENT)
        assert reading.mask is None
        assert torch.equal(reading.classes, TRAINED.regions(reading.places))

    @pytest.mark.parametrize("side", [UNMASKED_THUMBNAIL, THUMBNAIL])
    @MASKED
    def test_features_that_are_known_serve_for_a_thumbnail(self, side, masked):
        image, mask = thumbnail_of(STYLE, side), soft_mask((20, 20)) if masked else None
        other = {tap: values + 1 for tap, values in TRAINED.encoder(image).items()}
        reading = TRAINED.read(image, mask)
        assert reading.thumbnail.shape[-1] == (THUMBNAIL if masked else UNMASKED_THUMBNAIL)
        served = masked and side == THUMBNAIL
        torch.testing.assert_close(TRAINED.read(image, mask, other).cells, reading.cells + served)

    def test_half_precision_is_read_in_float32(self):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            reading = TRAINED.read(CONTENT)
        exact = TRAINED.read(CONTENT)
        assert {tensor.dtype for tensor in reading if tensor is not None} == {torch.float32}
        # Colours by every digit; features come from the encoder, whose convolutions are bfloat16.
        assert torch.equal(reading.moments, exact.moments)
        torch.testing.assert_close(reading.cells, exact.cells, rtol=0, atol=0.1)


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
        small = TRAINED.predict_grid(TRAINED.read(thumbnail_of(CONTENT, THUMBNAIL)), style)
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
        assert header["generator"] == {"name": "universal", "arguments": SMALL, "encoder": None}
        masks = (soft_mask((40, 53)), soft_mask(STYLE.shape[-2:])) if masked else ()
        output = stylize(CONTENT, STYLE, *masks, by=loaded)
        assert torch.equal(output, stylize(CONTENT, STYLE, *masks))
        assert not loaded.training

    def test_arguments_rebuild_it(self):
        arguments = json.loads(json.dumps(TRAINED.arguments))
        assert arguments == SMALL
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
    @pytest.mark.parametrize("value", [0, -2])
    def test_rejects_sizes_below_one(self, name, value):
        with pytest.raises(InputError, match=rf"^{name}: expected a positive number, got {value}$"):
            UniversalGenerator(CompactEncoder(), **{name: value})

    def test_rejects_what_is_no_image(self):
        with pytest.raises(ShapeError, match="content: expected shape"):
            TRAINED(CONTENT[0], STYLE)
        with pytest.raises(ShapeError, match="style: expected shape"):
            TRAINED(CONTENT, STYLE[0])
        with pytest.raises(InputError, match="style: expected floating point"):
            TRAINED(CONTENT, torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
