from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

import lookcast
from lookcast.checks import InputError, ShapeError
from lookcast.generators import Generator
from lookcast.inference import stylizer as stylizer_module
from lookcast.inference.checkpoint import CheckpointError
from lookcast.inference.stylizer import Stylizer, load, pick_device
from lookcast.structures import Stylization
from tests.looks import SMALL, Negative, look, negative, save_look
from tests.photo_files import UPRIGHT as PHOTO


class MeanColor(Generator):
    """A universal look: the style's mean colour, taken and painted where the masks say label 1."""

    name, takes_style, arguments = "mean", True, {}

    def forward(self, content, style=None, content_mask=None, style_mask=None):
        self.check_style(style, content_mask, style_mask)
        weight = torch.ones_like(style[:, :1]) if style_mask is None else style_mask[:, 1:2]
        color = (style * weight).sum((2, 3), keepdim=True) / weight.sum((2, 3), keepdim=True)
        where = torch.ones_like(content[:, :1]) if content_mask is None else content_mask[:, 1:2]
        return Stylization(content + where * (color - content))


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
        assert np.array_equal(output, expected)
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
        np.testing.assert_allclose(output, content + strength * (negative(content) - content), atol=1e-6)

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

    @pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
    def test_rejects_strength(self, stylizer, strength):
        with pytest.raises(InputError, match=r"^strength: expected a number in \[0, 1\], got"):
            stylizer.stylize(PHOTO, strength=strength)


class TestSingleLook:
    @pytest.mark.parametrize("name", ["style", "content_mask", "style_mask"])
    @pytest.mark.parametrize("strength", [0, 1])
    def test_rejects_style_and_masks(self, name, strength):
        stylizer = Stylizer(look(), {}, "cpu")
        with pytest.raises(InputError, match=f"^{name}: this bilateral generator has a single look"):
            stylizer.stylize(PHOTO, strength=strength, **{name: torch.zeros(1, 3, 64, 96)})

    def test_rejects_set_style(self):
        with pytest.raises(InputError, match=r"^style: this bilateral generator has a single look"):
            Stylizer(look(), {}, "cpu").set_style(PHOTO)


class TestUniversalLook:
    def test_known_value(self, universal):
        output = universal.stylize(PHOTO, Image.new("RGB", (5, 3), (10, 200, 30)))
        assert np.array_equal(output, np.broadcast_to((10, 200, 30), PHOTO.shape))

    def test_set_style_once(self, universal):
        style = skimage.data.astronaut()
        expected = universal.stylize(PHOTO, style)
        universal.set_style(style)
        assert np.array_equal(universal.stylize(PHOTO), expected)
        other = universal.stylize(PHOTO, np.zeros_like(style))  # for this call only
        assert np.array_equal(other, np.zeros_like(PHOTO))
        assert np.array_equal(universal.stylize(PHOTO), expected)

    def test_masks(self, universal):
        style = np.zeros((2, 4, 3), np.uint8)
        style[:, 2:] = 200
        style_mask = torch.zeros(1, 2, 2, 4)
        style_mask[:, 1, :, 2:] = 1
        content_mask = torch.zeros(1, 2, 64, 96)
        content_mask[:, 1, :10] = 1
        expected = PHOTO.copy()
        expected[:10] = 200
        assert np.array_equal(universal.stylize(PHOTO, style, content_mask, style_mask), expected)
        universal.set_style(style, style_mask)
        assert np.array_equal(universal.stylize(PHOTO, content_mask=content_mask), expected)

    @pytest.mark.parametrize("strength", [0, 1])
    def test_rejects_no_style(self, universal, strength):
        with pytest.raises(InputError, match="needs a style photo"):
            universal.stylize(PHOTO, strength=strength)

    def test_rejects_a_mask_without_its_style(self, universal):
        universal.set_style(PHOTO)
        with pytest.raises(InputError, match="style_mask: given without the style photo"):
            universal.stylize(PHOTO, style_mask=torch.zeros(1, 9, 64, 96))

    def test_rejects_masks_of_another_size(self, universal):
        with pytest.raises(ShapeError, match="content_mask"):
            universal.stylize(PHOTO, PHOTO, content_mask=torch.zeros(1, 9, 64, 95))
        with pytest.raises(ShapeError, match="style_mask"):
            universal.stylize(PHOTO, PHOTO, style_mask=torch.zeros(1, 9, 63, 96))
        with pytest.raises(ShapeError, match="style_mask"):
            universal.set_style(PHOTO, torch.zeros(1, 9, 63, 96))

    def test_rejects_a_style_of_another_kind(self, universal):
        with pytest.raises(InputError, match=r"^style: expected a PIL image"):
            universal.set_style("style.jpg")

    def test_rejects_a_batch_of_styles(self, universal):
        with pytest.raises(InputError, match="style: a batch of 2 for 1 content"):
            universal.stylize(PHOTO, torch.zeros(2, 3, 4, 4))


class TestPickDevice:
    def test_auto(self):
        assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")

    def test_known_device(self):
        assert pick_device("cpu") == pick_device(torch.device("cpu")) == torch.device("cpu")

    @pytest.mark.parametrize("device", ["gpu", "cuda:x", "", "meta", "xpu"])
    def test_rejects_unknown_device(self, device):
        with pytest.raises(InputError, match="is none of auto, cpu, cuda, mps"):
            pick_device(device)

    def test_rejects_device_that_is_not_there(self):
        with pytest.raises(InputError, match="there is no 'cuda:99' on this machine"):
            pick_device("cuda:99")

    @pytest.mark.gpu
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
    def test_cuda_agrees_with_cpu(self):
        expected = Stylizer(look(), {}, "cpu").stylize(PHOTO)
        output = Stylizer(look(), {}, "cuda").stylize(PHOTO)
        assert np.abs(output.astype(int) - expected).max() <= 1
        on_device = torch.from_numpy(PHOTO).permute(2, 0, 1).cuda()
        assert Stylizer(look(), {}, "cpu").stylize(on_device).device == on_device.device


class TestLoad:
    def test_path(self, tmp_path):
        path = save_look(tmp_path / "look.safetensors")
        stylizer = lookcast.load(path, device="cpu")
        assert isinstance(stylizer, lookcast.Stylizer)
        assert stylizer.header["licence"] == "test"
        assert np.array_equal(stylizer.stylize(PHOTO), Stylizer(look(), {}, "cpu").stylize(PHOTO))
        assert np.array_equal(load(str(path), "cpu").stylize(PHOTO), stylizer.stylize(PHOTO))

    def test_name_of_a_shipped_checkpoint(self, tmp_path, monkeypatch):
        monkeypatch.setattr(stylizer_module, "shipped", lambda folder: tmp_path / folder)
        save_look(tmp_path / "checkpoints" / "golden.safetensors", seed=1)
        save_look(tmp_path / "checkpoints" / "universal.safetensors", seed=2)
        for name, seed in (("golden", 1), (None, 2)):
            expected = Stylizer(look(seed=seed), {}, "cpu").stylize(PHOTO)
            assert np.array_equal(load(name, "cpu").stylize(PHOTO), expected)

    def test_rejects_default_while_none_ships(self, tmp_path, monkeypatch):
        monkeypatch.setattr(stylizer_module, "shipped", lambda _: tmp_path)
        with pytest.raises(CheckpointError, match="ships no universal checkpoint: pass the path of a checkpoint"):
            load()

    def test_rejects_unknown_name(self):
        with pytest.raises(CheckpointError, match=r"^sunset: no checkpoint of this name ships with lookcast"):
            load("sunset")

    @pytest.mark.parametrize("path", ["sunset.safetensors", "runs/sunset", "last.ckpt"])
    def test_rejects_missing_file(self, path):
        with pytest.raises(CheckpointError, match=f"^{path}: no such checkpoint$"):
            load(path)

    def test_rejects_device_before_reading(self, tmp_path):
        with pytest.raises(InputError, match=r"^device: 'gpu' is none of"):
            load(tmp_path / "nothing.safetensors", "gpu")
