"""Convert files, PIL images, numpy arrays and tensors to pixels, and results back to the type of the input."""

import os
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from lookcast.checks import InputError, describe
from lookcast.paths import check_path
from lookcast.photos.codecs.modes import to_rgb
from lookcast.photos.color import from_srgb, to_srgb
from lookcast.photos.file_image import FileImage, to_file_image
from lookcast.photos.photo import CODEC_ERRORS, PhotoError
from lookcast.photos.read import read_photo

AnyImage = str | os.PathLike[str] | Image.Image | npt.NDArray[Any] | torch.Tensor
ImageT = TypeVar("ImageT", Image.Image, npt.NDArray[Any], torch.Tensor)

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class OpenedImage(NamedTuple):
    """The pixels of an image, and a function that converts pixels back to the type of the image.

    Attributes:
        pixels: pixels `(B, H, W, 3)` in any memory layout: uint8, uint16, or floating point in [0, 1]. The tensor may
            share memory with the image.
        restore: function that takes pixels with the shape and type of `pixels`. It returns an image of the original
            type and bit depth, with the original alpha. It may modify its argument in place.
    """

    pixels: torch.Tensor
    restore: Callable[[torch.Tensor], Any]


def open_image(name: str, image: AnyImage) -> OpenedImage:
    """Open an image of any type.

    For a photo file, `OpenedImage.pixels` are upright, and `OpenedImage.restore` returns an 8-bit PIL image with the
    metadata of the file (`FileImage`).

    For a grey image, `OpenedImage.restore` returns RGB, because a look adds colour. For the PIL modes I;16 and F, it
    returns 8-bit RGB, because PIL has no 16-bit or floating-point colour. Numpy arrays keep their bit depth. Alpha is
    unchanged.

    Args:
        name: name of the argument, for messages.
        image: path of a photo file; PIL image of any mode; numpy array `(H, W)`, `(H, W, 3)` or `(H, W, 4)` of uint8,
            uint16 or floating point in [0, 1]; torch tensor `(3, H, W)` or `(B, 3, H, W)` of uint8 or floating point
            in [0, 1].

    Raises:
        InputError: the image has another type, shape or range, the file can't be read, or the PIL image is closed or
            broken.
    """
    if isinstance(image, str | os.PathLike):
        return _open_file(name, image)
    if isinstance(image, Image.Image):
        return _open_pil(name, image)
    if isinstance(image, np.ndarray):
        return _open_numpy(name, image)
    if isinstance(image, torch.Tensor):
        return _open_torch(name, image)
    raise InputError(f"{name}: expected a path, a PIL image, a numpy array or a torch tensor, got {describe(image)}")


def check_dense(name: str, tensor: torch.Tensor) -> None:
    """Check that a tensor stores a value for every element.

    Raises:
        InputError: the tensor is sparse, nested or on the meta device.
    """
    if tensor.layout != torch.strided or tensor.is_nested:
        raise InputError(f"{name}: expected a dense tensor, got one of layout {tensor.layout}")
    if tensor.is_meta:
        raise InputError(f"{name}: expected a tensor with values, got one on the meta device")


def _open_pil(name: str, image: Image.Image) -> OpenedImage:
    try:
        own, alpha, icc_profile = to_rgb(image, name)
    except PhotoError:
        raise
    except CODEC_ERRORS as error:  # PIL decodes on first access, which fails after `close`
        raise InputError(f"{name}: this PIL image can't be read ({' '.join(str(error).split())})") from error
    # EXIF is unchanged: the pixels are not rotated, so the stored orientation still applies.
    info: dict[str | tuple[int, int], Any] = {key: image.info[key] for key in ("exif", "dpi") if key in image.info}
    if icc_profile is not None:
        info["icc_profile"] = icc_profile
    # Pixels with a wide-gamut profile are converted to 16-bit sRGB. `restore` converts them back.
    srgb = to_srgb(own, icc_profile)
    opened = _open_numpy(name, srgb)

    def restore(pixels: torch.Tensor) -> Image.Image:
        colors = from_srgb(opened.restore(pixels), srgb, own, icc_profile)
        result = Image.fromarray(colors if alpha is None else np.dstack((colors, alpha)))
        result.info = dict(info)
        return result

    return OpenedImage(opened.pixels, restore)


def _open_file(name: str, path: str | os.PathLike[str]) -> OpenedImage:
    photo = read_photo(check_path(os.fspath(path), name))
    srgb = to_srgb(photo.pixels, photo.icc_profile)

    def restore(pixels: torch.Tensor) -> FileImage:
        colors = from_srgb(opened.restore(pixels), srgb, photo.pixels, photo.icc_profile)
        return to_file_image(photo._replace(pixels=colors), os.fspath(path))

    opened = _open_numpy(str(path), srgb)
    return OpenedImage(opened.pixels, restore)


def _open_numpy(name: str, image: npt.NDArray[Any]) -> OpenedImage:
    grey = image.ndim == 2
    if not (grey or (image.ndim == 3 and image.shape[2] in (3, 4))) or not image.size:
        raise InputError(f"{name}: expected an array of (H, W), (H, W, 3) or (H, W, 4), got {image.shape}")
    dtype = image.dtype.newbyteorder("=")
    if dtype not in (np.uint8, np.uint16, np.float16, np.float32, np.float64):
        raise InputError(f"{name}: expected uint8, uint16 or floating point in [0, 1], got {image.dtype}")
    # torch needs native byte order and non-negative strides, and warns about read-only memory.
    plain = image.dtype == dtype and image.flags.writeable and min(image.strides) >= 0
    values = torch.from_numpy(image if plain else image.astype(dtype, order="C"))
    colors = values[..., None].expand(-1, -1, 3) if grey else values[..., :3]
    if colors.is_floating_point():
        _check_range(name, colors)
    alpha = image[..., 3:] if not grey and image.shape[2] == 4 else None

    def restore(pixels: torch.Tensor) -> npt.NDArray[Any]:
        result: npt.NDArray[Any] = np.ascontiguousarray(pixels[0].numpy())
        return result if alpha is None else np.concatenate((result, alpha), axis=2, dtype=dtype)

    return OpenedImage(colors[None], restore)


def _open_torch(name: str, image: torch.Tensor) -> OpenedImage:
    check_dense(name, image)
    if image.ndim not in (3, 4) or image.shape[-3] != 3 or not image.numel():
        raise InputError(f"{name}: expected a tensor of (3, H, W) or (B, 3, H, W), got {describe(image)}")
    if image.dtype not in (torch.uint8, *_FLOATS):
        raise InputError(f"{name}: expected uint8, or floating point of 16 bits or more in [0, 1], got {image.dtype}")
    if image.is_floating_point():
        _check_range(name, image)
    single = image.ndim == 3

    def restore(pixels: torch.Tensor) -> torch.Tensor:
        result = pixels.permute(0, 3, 1, 2).contiguous()
        return result[0] if single else result

    return OpenedImage((image[None] if single else image).detach().permute(0, 2, 3, 1), restore)


def _check_range(name: str, values: torch.Tensor) -> None:
    low, high = (value.item() for value in values.aminmax())
    if not (low >= 0 and high <= 1):  # this form also refuses NaN
        raise InputError(f"{name}: floating point images are in [0, 1], this one goes from {low:g} to {high:g}")
