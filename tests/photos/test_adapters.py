import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from lookcast.checks import InputError
from lookcast.inference.stylizer import Stylizer
from tests.looks import Negative, negative
from tests.photo_files import UPRIGHT as PHOTO


@pytest.fixture
def stylizer():
    return Stylizer(Negative(), {}, "cpu")


class TestOpenImage:
    """Through `Stylizer.stylize`, which opens and restores."""

    @pytest.mark.parametrize(("dtype", "levels"), [(np.uint8, 255), (np.uint16, 65535)])
    def test_integers(self, stylizer, dtype, levels):
        content = np.linspace(0, levels, 30 * 40 * 3).reshape(30, 40, 3).astype(dtype)
        output = stylizer.stylize(content)
        assert (output.dtype, output.shape) == (dtype, content.shape)
        assert np.abs(output - negative(content / levels) * levels).max() <= 0.5 + levels * 1e-6  # float32
        assert output.min() == 0
        assert output.max() == levels

    @pytest.mark.parametrize(("dtype", "tolerance"), [(np.float16, 1e-3), (np.float32, 1e-6), (np.float64, 1e-6)])
    def test_floats(self, stylizer, dtype, tolerance):
        content = (PHOTO / 255).astype(dtype)
        output = stylizer.stylize(content)
        assert output.dtype == dtype
        np.testing.assert_allclose(output, negative(content.astype(float)), atol=tolerance)

    def test_grey_comes_back_as_rgb(self, stylizer):
        output = stylizer.stylize(PHOTO[..., 0])
        assert np.array_equal(output, stylizer.stylize(PHOTO[..., [0, 0, 0]]))

    def test_array_alpha_is_untouched(self, stylizer):
        alpha = np.arange(64 * 96, dtype=np.uint16).reshape(64, 96, 1)
        content = np.concatenate((PHOTO.astype(np.uint16) * 257, alpha), 2)
        output = stylizer.stylize(content)
        assert output.dtype == np.uint16
        assert np.array_equal(output[..., 3:], alpha)
        assert np.array_equal(output[..., :3], stylizer.stylize(content[..., :3]))

    @pytest.mark.parametrize("view", ["flipped", "big endian", "planes", "read-only", "strided"])
    def test_arrays_in_any_layout(self, stylizer, view):
        content = PHOTO.astype(np.uint16) * 257
        expected = stylizer.stylize(content)
        if view == "flipped":
            content, expected = content[::-1, ::-1], expected[::-1, ::-1]
        elif view == "big endian":
            content = content.astype(">u2")
        elif view == "planes":
            content = np.ascontiguousarray(content.transpose(2, 0, 1)).transpose(1, 2, 0)
        elif view == "strided":
            content = np.repeat(content, 2, axis=0)[::2]
        else:
            content.setflags(write=False)
        output = stylizer.stylize(content)
        assert np.array_equal(output, expected)
        assert output.flags.c_contiguous
        assert output.flags.writeable

    @pytest.mark.parametrize("shape", [(3, 20, 30), (1, 3, 20, 30), (2, 3, 20, 30)])
    @pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.float32, torch.float64])
    def test_tensors(self, stylizer, shape, dtype):
        levels = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0))
        content = levels.to(dtype) if dtype == torch.uint8 else (levels / 255).to(dtype)
        output = stylizer.stylize(content)
        assert (output.shape, output.dtype) == (content.shape, dtype)
        scale = 255 if dtype == torch.uint8 else 1
        tolerance = {torch.uint8: 0.5001, torch.float16: 1e-3}.get(dtype, 1e-6)
        np.testing.assert_allclose(output, negative(content.double().numpy() / scale) * scale, atol=tolerance)

    @pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "I;16", "F"])
    def test_pil_modes_come_back_as_rgb(self, stylizer, mode):
        image = Image.fromarray(PHOTO).convert("L" if mode in ("I;16", "F") else mode)
        if mode == "I;16":
            image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
        elif mode == "F":
            image = Image.fromarray((np.asarray(image) / 255).astype(np.float32))
        assert image.mode == mode
        output = stylizer.stylize(image)
        assert (output.mode, output.size) == ("RGB", image.size)
        grey = mode in ("1", "L", "I;16", "F")
        rgb = Image.fromarray(PHOTO).convert("1" if mode == "1" else "L") if grey else image
        assert np.array_equal(np.asarray(output), stylizer.stylize(np.asarray(rgb.convert("RGB"))))

    @pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
    def test_pil_alpha_is_untouched(self, stylizer, mode):
        alpha = np.arange(64 * 96, dtype=np.uint8).reshape(64, 96)
        image = Image.fromarray(np.dstack((PHOTO, alpha))).convert(mode)
        output = stylizer.stylize(image)
        assert output.mode == "RGBA"
        assert np.array_equal(np.asarray(output)[..., 3], np.asarray(image.getchannel("A")))

    def test_pil_keeps_profile_and_exif(self, stylizer):
        image = Image.fromarray(PHOTO)
        image.info = {"icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), "exif": b"E"}
        output = stylizer.stylize(image)
        assert output.info == image.info

    def test_rejects_a_closed_image(self, stylizer):
        image = Image.fromarray(PHOTO)
        image.close()
        with pytest.raises(InputError, match=r"^content: this PIL image can't be read \(Operation on closed image\)$"):
            stylizer.stylize(image)

    def test_rejects_an_image_of_a_cut_file(self, stylizer, tmp_path):
        Image.fromarray(PHOTO).save(tmp_path / "a.png")
        (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:3000])
        with pytest.raises(InputError, match=r"^content: this PIL image can't be read \(.*\)$"):
            stylizer.stylize(Image.open(tmp_path / "a.png"))

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            ("", "expected a path, got an empty text"),
            (None, "expected a path, a PIL image, a numpy array or a torch tensor, got NoneType"),
            (np.zeros((2, 3, 4, 3)), r"expected an array of .*, got \(2, 3, 4, 3\)"),
            (np.zeros((3, 4, 2)), r"got \(3, 4, 2\)"),
            (np.zeros((0, 4, 3)), r"got \(0, 4, 3\)"),
            (np.zeros((3, 4, 3), np.int64), "expected uint8, uint16 or floating point .*, got int64"),
            (np.zeros((3, 4, 3), bool), "got bool"),
            (np.full((3, 4, 3), 255.0), "are in .*, this one goes from 255 to 255"),
            (np.full((3, 4, 3), -0.01, np.float32), "goes from -0.01"),
            (np.full((3, 4, 3), np.nan), "goes from nan"),
            (torch.zeros(3, 4), "expected a tensor of .* got a tensor of"),
            (torch.zeros(4, 5, 3), "expected a tensor of"),
            (torch.zeros(3, 4, 5, dtype=torch.int32), "expected uint8, or floating point .*, got torch.int32"),
            (torch.full((3, 4, 5), 2.0), "goes from 2 to 2"),
            (torch.zeros(3, 4, 5, dtype=torch.float8_e4m3fn), "expected uint8, or .*, got torch.float8_e4m3fn"),
            (torch.zeros(3, 4, 5, device="meta"), "expected a tensor with values, got one on the meta device"),
            (torch.zeros(3, 4, 5).to_sparse(), "expected a dense tensor, got one of layout torch.sparse_coo"),
        ],
    )
    def test_rejects_content(self, stylizer, content, reason):
        for strength in (0, 1):
            with pytest.raises(InputError, match=f"^content: .*{reason}"):
                stylizer.stylize(content, strength=strength)
