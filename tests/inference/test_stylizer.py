import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

import lookcast
from lookcast.checkpoints import DEFAULT_CHECKPOINT, CheckpointError, find_checkpoint
from lookcast.checks import InputError, ShapeError
from lookcast.inference import pixel_stylizer
from lookcast.inference.stylizer import Stylizer, load
from lookcast.metrics.photo import edge_ssim
from lookcast.ops.masks import PALETTE
from tests.looks import (
    SMALL,
    MeanColor,
    Negative,
    assert_same_levels,
    look,
    save_look,
    save_universal,
    universal_look,
)
from tests.photo_files import UPRIGHT as PHOTO

DARK, BRIGHT = np.zeros((4, 6, 3), np.uint8), np.full((5, 3, 3), (200, 100, 40), np.uint8)
"""Two style photos of one colour each."""
SHIPPED = find_checkpoint(None)


def halves(size, labels=2, axis=2):
    """Label 0 on the upper (axis 2) or left (3) half, label 1 on the other."""
    mask = torch.zeros(1, labels, *size)
    half = size[axis - 2] // 2
    mask.narrow(axis, 0, half)[:, 0] = 1
    mask.narrow(axis, half, size[axis - 2] - half)[:, 1] = 1
    return mask


@pytest.fixture
def stylizer():
    return Stylizer(Negative(), {}, "cpu")


@pytest.fixture
def universal():
    return Stylizer(MeanColor(), {}, "cpu")


class TestStylize:
    @pytest.mark.parametrize("name", SMALL)
    def test_equals_the_generator(self, name):
        generator = look(name)
        content = torch.from_numpy(PHOTO).permute(2, 0, 1)[None] / 255
        with torch.no_grad():
            expected = (generator(content).image.clamp(0, 1) * 255).round()[0].permute(1, 2, 0).numpy()
        output = Stylizer(generator, {}, "cpu").stylize(PHOTO)
        assert_same_levels(output, expected)
        assert np.abs(output.astype(int) - PHOTO).mean() > 5  # the look is there

    def test_tensors_may_take_part_in_training(self, stylizer):
        content = torch.full((1, 3, 4, 4), 0.25, requires_grad=True)
        for strength in (0, 0.5, 1):
            output = stylizer.stylize(content, strength=strength)
            weight = torch.ones(3, requires_grad=True)
            (output * weight.view(1, 3, 1, 1)).sum().backward()  # refused for tensors of inference mode
            torch.testing.assert_close(weight.grad, output.sum((0, 2, 3)))
        assert content.grad is None

    @pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (7, 5)])
    @pytest.mark.parametrize("name", SMALL)
    def test_any_size(self, name, size):
        content = np.full((*size, 3), 128, np.uint8)
        output = Stylizer(look(name), {}, "cpu").stylize(content)
        assert output.shape == content.shape
        assert not np.array_equal(output, content)

    @pytest.mark.parametrize(
        "content",
        [
            PHOTO,
            np.arange(65536, dtype=np.uint16).reshape(256, 256)[..., None].repeat(3, 2),
            (PHOTO / 255).astype(np.float16),
            (PHOTO / 255).astype(np.float32),
            PHOTO / 255,
            torch.from_numpy(PHOTO).permute(2, 0, 1),
            torch.from_numpy(PHOTO / 255).permute(2, 0, 1)[None],
        ],
        ids=lambda content: f"{type(content).__name__} {content.dtype}",
    )
    def test_strength_0_gives_back_the_content(self, stylizer, content):
        output = stylizer.stylize(content, strength=0)
        assert output.dtype == content.dtype
        assert bytes(np.asarray(output)) == bytes(np.ascontiguousarray(content))
        assert not np.shares_memory(np.asarray(output), np.asarray(content))

    def test_strength_0_gives_back_a_pil_image(self, stylizer):
        image = Image.fromarray(np.dstack((PHOTO, PHOTO[..., 0])))
        assert np.array_equal(np.asarray(stylizer.stylize(image, strength=0)), np.asarray(image))

    def test_strength_0_asks_no_generator(self):
        class Broken(Negative):
            def forward(self, *arguments):
                raise AssertionError("was asked")

        assert np.array_equal(Stylizer(Broken(), {}, "cpu").stylize(PHOTO, strength=0), PHOTO)

    @pytest.mark.parametrize("strength", [0.25, 0.5, 0.9])
    def test_strength_blends_linearly(self, stylizer, strength):
        content = PHOTO / 255
        output = stylizer.stylize(content, strength=strength)
        expected = np.clip(content + strength * (1.1 - 1.2 * content - content), 0, 1)
        np.testing.assert_allclose(output, expected, atol=1e-6)

    def test_strength_blends_integers_before_rounding(self, stylizer):
        content = np.full((4, 4, 3), 100, np.uint8)
        # 100 + 0.5 * (1.1 * 255 - 1.2 * 100 - 100) = 130.25
        assert np.unique(stylizer.stylize(content, strength=0.5)).tolist() == [130]

    def test_leaves_the_content_alone(self, stylizer):
        content = torch.from_numpy(PHOTO / 255).permute(2, 0, 1)
        before = content.clone()
        stylizer.stylize(content)
        assert torch.equal(content, before)

    def test_threads_share_one(self):
        stylizer = Stylizer(look(), {}, "cpu")
        photos = [np.roll(PHOTO, shift, axis=1) for shift in range(16)]
        expected = [stylizer.stylize(photo) for photo in photos]
        with ThreadPoolExecutor(8) as pool:
            outputs = list(pool.map(stylizer.stylize, photos))
        assert all(np.array_equal(*pair) for pair in zip(outputs, expected, strict=True))
        assert not np.array_equal(expected[0], expected[1])

    @pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan"), "0.5", None])
    def test_rejects_strength(self, stylizer, strength):
        with pytest.raises(InputError, match=r"^strength: expected a number in \[0, 1\], got"):
            stylizer.stylize(PHOTO, strength=strength)

    @pytest.mark.gpu
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
    def test_cuda_agrees_with_cpu(self):
        expected = Stylizer(look(), {}, "cpu").stylize(PHOTO)
        output = Stylizer(look(), {}, "cuda").stylize(PHOTO)
        assert np.abs(output.astype(int) - expected).max() <= 1
        on_device = torch.from_numpy(PHOTO).permute(2, 0, 1).cuda()
        assert Stylizer(look(), {}, "cpu").stylize(on_device).device == on_device.device


class TestSingleLook:
    @pytest.mark.parametrize("name", ["style", "content_mask", "style_mask"])
    @pytest.mark.parametrize("strength", [0, 1])
    def test_rejects_style_and_masks(self, name, strength):
        stylizer = Stylizer(look(), {}, "cpu")
        with pytest.raises(InputError, match=f"^{name}: the bilateral generator has a fixed style"):
            stylizer.stylize(PHOTO, strength=strength, **{name: torch.zeros(1, 3, 64, 96)})

    def test_rejects_set_style(self):
        with pytest.raises(InputError, match=r"^style: the bilateral generator has a fixed style"):
            Stylizer(look(), {}, "cpu").set_style(PHOTO)


class TestUniversalLook:
    def test_known_value(self, universal):
        output = universal.stylize(PHOTO, Image.new("RGB", (5, 3), (10, 200, 30)))
        assert np.array_equal(output, np.broadcast_to((10, 200, 30), PHOTO.shape))

    def test_equals_the_generator(self):
        content, style = (torch.from_numpy(p).permute(2, 0, 1)[None] / 255 for p in (PHOTO, skimage.data.coffee()))
        with torch.no_grad():
            expected = universal_look()(content, style).image.clamp(0, 1)
        output = Stylizer(universal_look(), {}, "cpu", "float32").stylize(content, style)
        torch.testing.assert_close(output, expected, rtol=0, atol=1e-5)
        assert (expected - content).abs().mean() > 0.02  # the look is there

    def test_the_style_is_read_once(self, universal):
        universal.set_style(BRIGHT)
        for shift in range(3):
            universal.stylize(np.roll(PHOTO, shift, axis=1))
        means = [round(255 * photo.mean().item()) for photo in universal.generator.read_photos]
        assert means == [113, *[round(PHOTO.mean())] * 3]

    def test_set_style_once(self, universal):
        style = skimage.data.astronaut()
        expected = universal.stylize(PHOTO, style)
        universal.set_style(style)
        assert np.array_equal(universal.stylize(PHOTO), expected)
        other = universal.stylize(PHOTO, np.zeros_like(style))  # for this call only
        assert np.array_equal(other, np.zeros_like(PHOTO))
        assert np.array_equal(universal.stylize(PHOTO), expected)

    def test_set_style_again(self, universal):
        universal.set_style(DARK)
        universal.set_style(BRIGHT)
        assert np.array_equal(universal.stylize(PHOTO), np.broadcast_to((200, 100, 40), PHOTO.shape))

    @pytest.mark.parametrize(
        "style",
        [
            Image.fromarray(BRIGHT),
            Image.fromarray(np.dstack((BRIGHT, BRIGHT[..., 0]))),
            BRIGHT.astype(np.uint16) * np.uint16(257),
            BRIGHT / 255,
            torch.from_numpy(BRIGHT).permute(2, 0, 1),
            torch.from_numpy(BRIGHT / 255).permute(2, 0, 1)[None],
        ],
        ids=["RGB", "RGBA", "uint16", "float64", "uint8 tensor", "batch of one"],
    )
    def test_any_kind_of_style(self, universal, style):
        assert np.array_equal(universal.stylize(PHOTO, style), np.broadcast_to((200, 100, 40), PHOTO.shape))

    def test_strength_goes_evenly_to_the_style(self, universal):
        content = np.full((4, 4, 3), 0.25)
        for strength in (0, 0.5, 1):
            output = universal.stylize(content, np.full((2, 2, 3), 0.75), strength=strength)
            np.testing.assert_allclose(output, 0.25 + 0.5 * strength, atol=1e-7)

    def test_strength_moves_every_pixel_one_way(self):
        stylizer = Stylizer(universal_look(), {}, "cpu")
        stylizer.set_style(skimage.data.coffee())
        unchanged, half, full = (stylizer.stylize(PHOTO / 255, strength=strength) for strength in (0, 0.5, 1))
        assert np.array_equal(unchanged, PHOTO / 255)
        moved = full - unchanged
        inside = (full > 0) & (full < 1)
        assert inside.mean() > 0.5
        np.testing.assert_allclose((half - unchanged)[inside], moved[inside] / 2, atol=1e-6)
        assert ((half - unchanged) * moved >= 0).all()
        assert (np.abs(half - unchanged) <= np.abs(moved) + 1e-6).all()
        assert np.abs(full - unchanged).mean() > 0.02

    def test_threads_with_their_own_styles(self):
        stylizer = Stylizer(universal_look(), {}, "cpu")
        styles = [np.roll(PHOTO[..., order], shift, axis=0) for shift in (0, 9) for order in ([0, 1, 2], [2, 0, 1])]
        stylizer.set_style(styles[0])
        expected = [stylizer.stylize(PHOTO, style) for style in styles]
        tasks = [number % len(styles) for number in range(12)]

        def task(number):
            stylizer.set_style(styles[number])  # for others; what a call is given is its own
            return stylizer.stylize(PHOTO, styles[number])

        with ThreadPoolExecutor(4) as pool:
            outputs = list(pool.map(task, tasks))
        assert all(np.array_equal(output, expected[number]) for output, number in zip(outputs, tasks, strict=True))
        assert not np.array_equal(expected[0], expected[1])
        assert any(np.array_equal(stylizer.stylize(PHOTO), output) for output in expected)

    @pytest.mark.parametrize("strength", [0, 1])
    def test_rejects_no_style(self, universal, strength):
        with pytest.raises(InputError, match="needs a style photo"):
            universal.stylize(PHOTO, strength=strength)

    def test_rejects_a_style_of_another_kind(self, universal):
        with pytest.raises(InputError, match=r"^style: expected a path, a PIL image, .*, got int$"):
            universal.set_style(5)
        with pytest.raises(InputError, match=r"^style\.jpg: no such photo$"):
            universal.set_style("style.jpg")

    def test_rejects_a_batch_of_styles(self, universal):
        for call in (universal.set_style, lambda style: universal.stylize(PHOTO, style)):
            with pytest.raises(InputError, match=r"^style: expected single photos, got a batch of 2; "):
                call(torch.zeros(2, 3, 4, 4))

    def test_a_refused_style_leaves_the_last_one(self, universal):
        universal.set_style(BRIGHT)
        with pytest.raises(InputError):
            universal.set_style([DARK, "style.jpg"])
        assert np.array_equal(universal.stylize(PHOTO), np.broadcast_to((200, 100, 40), PHOTO.shape))


class TestPrecision:
    @pytest.mark.parametrize("name", ["coffee", "astronaut", "rocket"])
    def test_bfloat16_agrees_with_float32(self, name, monkeypatch):
        style, outputs = getattr(skimage.data, name)(), []
        for fast in (True, False):
            monkeypatch.setattr(pixel_stylizer, "bfloat16_is_faster", lambda _, fast=fast: fast)
            stylizer = load(SHIPPED, "cpu")
            assert stylizer.generator.encoder.half_precision == fast
            outputs.append(stylizer.stylize(skimage.data.chelsea(), style).astype(int))
        difference = np.abs(outputs[0] - outputs[1])
        assert difference.max() <= 2
        assert 0 < difference.mean() < 0.3

    def test_float32_asks_no_machine(self, monkeypatch):
        monkeypatch.setattr(pixel_stylizer, "bfloat16_is_faster", lambda _: True)
        assert not load(SHIPPED, "cpu", "float32").generator.encoder.half_precision

    def test_rejects_another(self):
        with pytest.raises(InputError, match=r"^precision: expected auto or float32, got 'half'$"):
            Stylizer(look(), {}, "cpu", "half")


class TestSeveralStyles:
    @pytest.mark.parametrize("weights", [(1, 3), (0.25, 0.75), (1e-3, 3e-3), [1000, 3000]])
    def test_known_value(self, universal, weights):
        expected = np.broadcast_to((150, 75, 30), PHOTO.shape)
        assert np.array_equal(universal.stylize(PHOTO, [DARK, BRIGHT], weights=weights), expected)
        universal.set_style((DARK, BRIGHT), weights=weights)
        assert np.array_equal(universal.stylize(PHOTO), expected)

    def test_alike_without_weights(self, universal):
        output = universal.stylize(PHOTO, [DARK, Image.fromarray(BRIGHT)])
        assert np.array_equal(output, np.broadcast_to((100, 50, 20), PHOTO.shape))

    def test_the_content_is_read_once(self, universal):
        universal.set_style([DARK, BRIGHT])
        universal.stylize(PHOTO)
        means = [round(255 * photo.mean().item()) for photo in universal.generator.read_photos]
        assert means == [0, 113, round(PHOTO.mean())]

    def test_one_of_them_is_that_style(self):
        stylizer = Stylizer(universal_look(), {}, "cpu")
        style = skimage.data.coffee()
        alone = stylizer.stylize(PHOTO, style)
        assert np.array_equal(stylizer.stylize(PHOTO, [style], weights=[7]), alone)
        twice = stylizer.stylize(PHOTO, [style, style], weights=[2, 1]).astype(int)
        assert np.abs(twice - alone).max() <= 1

    def test_a_content_mask_for_each(self, universal):
        upper, left = halves((64, 96)), halves((64, 96), axis=3)
        style_masks = [halves((4, 6)), halves((5, 3))]
        output = universal.stylize(PHOTO / 255, [DARK, BRIGHT], [upper, left], style_masks, weights=[1, 3])
        lower, right = (mask[0, 1, ..., None].numpy() for mask in (upper, left))
        content, color = PHOTO / 255, np.array((200, 100, 40)) / 255
        expected = content + 0.25 * lower * (0 - content) + 0.75 * right * (color - content)
        np.testing.assert_allclose(output, expected, atol=1e-6)

    def test_the_same_mask_for_each_is_one_for_all(self):
        stylizer = Stylizer(universal_look(), {}, "cpu")
        styles, mask = [skimage.data.coffee()[:60:2, :90:2], skimage.data.astronaut()[:40, :60]], halves((64, 96))
        stylizer.set_style(styles, [halves((30, 45)), halves((40, 60))], weights=[1, 2])
        one = stylizer.stylize(PHOTO / 255, content_mask=mask)
        each = stylizer.stylize(PHOTO / 255, content_mask=[mask, mask.clone()])
        # They differ where the mix is clamped only: nowhere here.
        np.testing.assert_allclose(each, one, atol=1e-5)
        assert np.abs(one - PHOTO / 255).mean() > 0.02

    def test_masks_for_some_of_them(self, universal):
        output = universal.stylize(PHOTO / 255, [DARK, BRIGHT], [None, halves((64, 96))], [None, halves((5, 3))])
        content, lower = PHOTO / 255, halves((64, 96))[0, 1, ..., None].numpy()
        expected = content / 2 + 0.5 * lower * (np.array((200, 100, 40)) / 255 - content)
        np.testing.assert_allclose(output, expected, atol=1e-6)

    def test_rejects_an_empty_list(self, universal):
        for call in (universal.set_style, lambda style: universal.stylize(PHOTO, style)):
            with pytest.raises(InputError, match=r"^style: the list is empty$"):
                call([])

    @pytest.mark.parametrize("weights", [[1], [1, 2, 3], []])
    def test_rejects_another_number_of_weights(self, universal, weights):
        with pytest.raises(InputError, match=rf"^weights: {len(weights)} for 2 style photos$"):
            universal.set_style([DARK, BRIGHT], weights=weights)

    @pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf")])
    def test_rejects_weights_that_are_not_positive(self, universal, weight):
        with pytest.raises(InputError, match=r"^weights: expected positive numbers, got 1, "):
            universal.stylize(PHOTO, [DARK, BRIGHT], weights=[1, weight])

    def test_rejects_weights_without_styles(self, universal):
        universal.set_style([DARK, BRIGHT])
        with pytest.raises(InputError, match=r"^weights: given without a style photo$"):
            universal.stylize(PHOTO, weights=[1, 2])

    def test_rejects_another_number_of_masks(self, universal):
        masks = [halves((4, 6))]
        with pytest.raises(InputError, match=r"^style_mask: 1 for 2 style photos; each style photo needs one mask$"):
            universal.set_style([DARK, BRIGHT], masks)
        with pytest.raises(InputError, match=r"^style_mask: 1 for 2 style photos; each style photo needs one mask$"):
            universal.set_style([DARK, BRIGHT], masks[0])
        universal.set_style([DARK, BRIGHT], [*masks, halves((5, 3))])
        with pytest.raises(InputError, match=r"^content_mask: 3 for 2 style photos; pass one mask, or one for each$"):
            universal.stylize(PHOTO, content_mask=3 * [halves((64, 96))])


class TestMasks:
    STYLE = np.zeros((2, 96, 3), np.uint8)
    STYLE[:, 48:] = 200

    def test_known_value(self, universal):
        style_mask, content_mask = halves((2, 96), axis=3), halves((64, 96))
        expected = PHOTO.copy()
        expected[32:] = 200
        assert np.array_equal(universal.stylize(PHOTO, self.STYLE, content_mask, style_mask), expected)
        universal.set_style(self.STYLE, style_mask)
        assert np.array_equal(universal.stylize(PHOTO, content_mask=content_mask), expected)
        # A style for this call only comes without the mask of the other.
        assert np.array_equal(universal.stylize(PHOTO, DARK), np.zeros_like(PHOTO))

    @pytest.mark.parametrize("size", [(32, 48), (128, 192), (4, 6)])
    def test_of_another_size(self, universal, size):
        whole = universal.stylize(PHOTO, self.STYLE, halves((64, 96)), halves((2, 96), axis=3))
        output = universal.stylize(PHOTO, self.STYLE, halves(size), halves((4, 192), axis=3))
        assert np.array_equal(output, whole)
        assert not np.array_equal(whole, PHOTO)

    @pytest.mark.parametrize("size", [(64, 96), (32, 48), (1024, 1536)])
    def test_labels_equal_the_one_hot_mask(self, size):
        """uint8 labels become shares at 256 px at most; both ways end at 64 places, by the same means of squares."""
        stylizer = Stylizer(universal_look(), {}, "cpu")
        labels = torch.zeros(size, dtype=torch.uint8)
        labels[size[0] // 3 :, size[1] // 4 :] = 3
        one_hot = torch.nn.functional.one_hot(labels.long(), 9).permute(2, 0, 1)[None].float()
        style_labels, style_mask = labels.flip(0), one_hot.flip(2)
        output = stylizer.stylize(PHOTO, PHOTO[..., ::-1].copy(), labels, style_labels).astype(int)
        expected = stylizer.stylize(PHOTO, PHOTO[..., ::-1].copy(), one_hot, style_mask)
        assert np.abs(output - expected).max() <= 1
        assert np.abs(output - stylizer.stylize(PHOTO, PHOTO[..., ::-1].copy())).mean() > 0.5  # masks change it

    def test_restrict_what_a_region_becomes(self):
        # The real generator: the lower half takes the colours of the style's lower half.
        style = np.zeros((64, 96, 3), np.uint8)
        style[:32], style[32:] = (20, 60, 200), (200, 150, 20)
        stylizer = Stylizer(universal_look(), {}, "cpu")
        mask = halves((64, 96))
        same, swapped = (stylizer.stylize(PHOTO, style, mask, m).astype(int) for m in (mask, mask.flip(1)))
        for output, blue, gold in ((same, slice(2, 26), slice(38, 62)), (swapped, slice(38, 62), slice(2, 26))):
            assert output[blue, :, 2].mean() > output[blue, :, 0].mean() + 50
            assert output[gold, :, 0].mean() > output[gold, :, 2].mean() + 50

    @pytest.mark.parametrize("strength", [0, 1])
    def test_rejects_another_aspect_ratio(self, universal, strength):
        mask, wrong = halves((64, 96), 9), halves((64, 80), 9)
        for masks, name in (((wrong, mask), "content_mask"), ((mask, wrong), "style_mask")):
            line = rf"^{name}: is 80x64 pixels, its photo 96x64: another aspect ratio, so it can't be resized to fit$"
            with pytest.raises(InputError, match=line):
                universal.stylize(PHOTO, PHOTO, *masks, strength=strength)
        with pytest.raises(InputError, match=r"^style_mask: is 80x64 pixels"):
            universal.set_style(PHOTO, wrong)

    @pytest.mark.parametrize("strength", [0, 1])
    def test_rejects_masks_of_one_photo(self, universal, strength):
        mask = halves((64, 96))
        style_missing = r"^style_mask: missing, but content_mask is given; masks come in pairs$"
        content_missing = r"^content_mask: missing, but style_mask is given; masks come in pairs$"
        with pytest.raises(InputError, match=style_missing):
            universal.stylize(PHOTO, PHOTO, content_mask=mask, strength=strength)
        with pytest.raises(InputError, match=content_missing):
            universal.stylize(PHOTO, PHOTO, style_mask=mask, strength=strength)
        universal.set_style(PHOTO)
        with pytest.raises(InputError, match=style_missing):
            universal.stylize(PHOTO, content_mask=mask, strength=strength)
        universal.set_style(PHOTO, mask)
        with pytest.raises(InputError, match=content_missing):
            universal.stylize(PHOTO, strength=strength)

    def test_rejects_a_mask_without_its_style(self, universal):
        universal.set_style(PHOTO)
        with pytest.raises(InputError, match=r"^style_mask: given without a style photo$"):
            universal.stylize(PHOTO, style_mask=torch.zeros(1, 9, 64, 96))

    def test_rejects_another_number_of_labels(self, universal):
        with pytest.raises(InputError, match=r"^style_mask: has 3 labels, content_mask has 2$"):
            universal.stylize(PHOTO, PHOTO, halves((64, 96)), halves((64, 96), 3))

    def test_rejects_what_is_no_mask(self, universal):
        mask = halves((64, 96))
        with pytest.raises(ShapeError, match=r"^content_mask: expected shape \(1, K, h, w\)"):
            universal.stylize(PHOTO, PHOTO, mask[0], mask)
        with pytest.raises(ShapeError, match=r"^style_mask: expected shape \(1, K, h, w\)"):
            universal.set_style(PHOTO, mask.expand(2, -1, -1, -1))
        with pytest.raises(InputError, match=r"^style_mask: expected uint8 labels or .*, got torch\.int64$"):
            universal.set_style(PHOTO, mask.long())


class TestMissingLabel:
    """A label that the style lacks takes the look of the whole style photo; the log says so."""

    def logged(self, caplog, universal, content_mask, style_mask):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            universal.stylize(PHOTO, PHOTO, content_mask, style_mask)
        return [record.getMessage() for record in caplog.records]

    @pytest.mark.parametrize("label", [4, 7])
    def test_is_named_by_its_colour(self, universal, caplog, label):
        content, style = torch.zeros(1, 9, 64, 96), torch.zeros(1, 9, 64, 96)
        content[:, label, :16] = content[:, 1, 16:] = style[:, 1] = 1
        assert self.logged(caplog, universal, content, style) == [
            f"{PALETTE[label][0]} covers 25 % of the content and is not in the style: "
            "it takes the look of the whole style photo"
        ]

    def test_is_numbered_where_labels_have_no_colour(self, universal, caplog):
        style = torch.zeros(1, 3, 64, 96)
        style[:, 1] = 1
        (line,) = self.logged(caplog, universal, halves((64, 96), 3), style)
        assert line.startswith("label 0 covers 50 % of the content")

    def test_nothing_is_said_of_traces(self, universal, caplog):
        content, style = torch.zeros(1, 9, 64, 96), torch.zeros(1, 9, 64, 96)
        content[:, 1] = style[:, 1] = 1
        content[:, :, :5, :5] = 0
        content[:, 4, :5, :5] = 1  # .4 %
        assert self.logged(caplog, universal, content, style) == []
        assert self.logged(caplog, universal, style, halves((64, 96), 9)) == []  # of the style alone


class TestCallersState:
    """The torch settings of the caller, or a fork of its process, do not change the output."""

    @pytest.fixture
    def restored(self):
        yield
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)

    @pytest.mark.parametrize("name", ["universal", "bilateral", "transform"])
    @pytest.mark.parametrize("default", [torch.float64, torch.bfloat16, "meta"])
    @pytest.mark.usefixtures("restored")
    def test_defaults_of_torch(self, tmp_path, name, default):
        path = save_universal(tmp_path / "a") if name == "universal" else save_look(tmp_path / "a", name)
        style = BRIGHT if name == "universal" else None
        expected = load(path, "cpu").stylize(PHOTO, style)
        (torch.set_default_device if default == "meta" else torch.set_default_dtype)(default)
        output = load(path, "cpu").stylize(PHOTO, style)
        assert np.array_equal(output, expected)
        assert torch.get_default_dtype() == (torch.float32 if default == "meta" else default)

    def test_fork(self, tmp_path):
        """OpenMP's threads do not exist in a child: with more than one thread it would wait for ever."""
        path = save_universal(tmp_path / "a.safetensors")
        program = f"""
import os, lookcast, numpy as np, skimage.data, torch
torch.set_num_threads(2)
photo, style = skimage.data.chelsea(), skimage.data.coffee()
stylizer = lookcast.load({str(path)!r}, "cpu")
expected = stylizer.stylize(photo, style)
child = os.fork()
if child == 0:
    os._exit(7 if np.abs(stylizer.stylize(photo, style).astype(int) - expected).max() <= 1 else 8)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100)
        assert result.stdout == "7\n"


class TestLoad:
    @pytest.mark.parametrize("given", [5, "", b"universal"])
    def test_rejects_other_kinds(self, given):
        with pytest.raises(CheckpointError, match=r"^checkpoint: expected a path or a name, got (int|an empty|bytes)"):
            load(given, "cpu")

    def test_path(self, tmp_path):
        path = save_look(tmp_path / "look.safetensors")
        stylizer = lookcast.load(path, device="cpu")
        assert isinstance(stylizer, lookcast.Stylizer)
        assert stylizer.header["licence"] == "test"
        assert np.array_equal(stylizer.stylize(PHOTO), Stylizer(look(), {}, "cpu").stylize(PHOTO))
        assert np.array_equal(load(str(path), "cpu").stylize(PHOTO), stylizer.stylize(PHOTO))

    def test_name_of_a_shipped_checkpoint(self, tmp_path, monkeypatch):
        monkeypatch.setattr("lookcast.checkpoints.shipped", lambda folder: tmp_path / folder)
        save_look(tmp_path / "checkpoints" / "golden.safetensors", seed=1)
        save_look(tmp_path / "checkpoints" / f"{DEFAULT_CHECKPOINT}.safetensors", seed=2)
        for name, seed in (("golden", 1), (None, 2)):
            expected = Stylizer(look(seed=seed), {}, "cpu").stylize(PHOTO)
            assert np.array_equal(load(name, "cpu").stylize(PHOTO), expected)

    def test_rejects_default_while_none_ships(self, tmp_path, monkeypatch):
        monkeypatch.setattr("lookcast.checkpoints.shipped", lambda _: tmp_path)
        with pytest.raises(CheckpointError, match="ships no universal checkpoint: pass the path of a checkpoint"):
            load()

    def test_rejects_unknown_name(self):
        with pytest.raises(CheckpointError, match=r"^sunset: no checkpoint of this name ships with lookcast"):
            load("sunset")

    def test_universal(self, tmp_path):
        stylizer = load(save_universal(tmp_path / "all.safetensors"), "cpu")
        expected = Stylizer(universal_look(), {}, "cpu").stylize(PHOTO, BRIGHT)
        assert np.array_equal(stylizer.stylize(PHOTO, BRIGHT), expected)

    @pytest.mark.parametrize("path", ["sunset.safetensors", "runs/sunset", "last.ckpt"])
    def test_rejects_missing_file(self, path):
        with pytest.raises(CheckpointError, match=f"^{path}: no such checkpoint$"):
            load(path)

    def test_rejects_device_before_reading(self, tmp_path):
        with pytest.raises(InputError, match=r"^device: 'gpu' is none of"):
            load(tmp_path / "nothing.safetensors", "gpu")


class TestShippedUniversal:
    @pytest.fixture(scope="class")
    @classmethod
    def shipped(cls):
        return lookcast.load(device="cpu")

    def test_takes_any_style(self, shipped):
        assert shipped.generator.name == shipped.header["generator"]["name"] == "universal"
        assert shipped.generator.takes_style

    def test_is_small(self):
        assert SHIPPED.stat().st_size < 12e6

    @pytest.mark.parametrize("name", ["chelsea", "coffee", "astronaut"])
    def test_a_photo_with_itself_as_style_stays(self, shipped, name):
        content = torch.from_numpy(getattr(skimage.data, name)()[::2, ::2].copy()).permute(2, 0, 1)[None] / 255
        output = shipped.stylize(content, content)
        assert (output - content).abs().mean() <= 1 / 255
        assert edge_ssim(content, output).min() >= 0.97

    def test_gives_a_look(self, shipped):
        style = skimage.data.coffee()
        output = shipped.stylize(PHOTO, style).astype(float)
        mean = style.mean((0, 1))
        assert np.abs(output.mean((0, 1)) - mean).sum() < 0.6 * np.abs(PHOTO.mean((0, 1)) - mean).sum()

    def test_strength_0_gives_back_the_content(self, shipped):
        assert np.array_equal(shipped.stylize(PHOTO, skimage.data.coffee(), strength=0), PHOTO)
