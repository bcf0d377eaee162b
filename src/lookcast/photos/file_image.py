"""A PIL image that remembers the metadata of the photo file that it comes from."""

import os
from typing import Any

import numpy as np
from PIL import Image

from lookcast.photos.photo import Photo, logger, to_8_bits, with_alpha
from lookcast.photos.write import PHOTO_SUFFIXES, write_photo

_KEPT = ("exif", "icc_profile", "xmp", "dpi")  # arguments that Pillow's encoders take


class FileImage(Image.Image):
    """A PIL image made from a photo file, whose `save` keeps the metadata of the file.

    Pillow's own `save` leaves out EXIF and, for most formats, the colour profile. An image that Pillow derives from
    this one, such as the result of `resize`, is a plain `PIL.Image.Image`.
    """

    def save(self, fp: Any, format: str | None = None, **params: Any) -> None:
        """Save the image with the EXIF, XMP, IPTC, resolution and colour profile of its photo file.

        A path with the suffix of a photo is written as `lookcast stylize` writes it: atomically, in quality 95 without
        chroma subsampling, and to JPEG without the alpha channel. An open file, an explicit format, and arguments other
        than `quality` go to Pillow's `save`.

        Args:
            fp: path or open file.
            format: Pillow's name of the format; None for the format of the suffix.
            **params: `quality`, or further arguments of Pillow's encoder.

        Raises:
            InputError: the file can't be written, or the quality is invalid.
        """
        is_path = isinstance(fp, str | os.PathLike)
        suffix = os.path.splitext(os.fspath(fp))[1].lower() if is_path else ""  # noqa: PTH122
        if suffix in PHOTO_SUFFIXES and format is None and params.keys() <= {"quality"}:
            write_photo(fp, self._to_photo(), **params)
        else:
            kept = {name: self.info[name] for name in _KEPT if name in self.info}
            super().save(fp, format, **(kept | params))

    def _to_photo(self) -> Photo:
        image = self.convert("RGBA" if self.has_transparency_data else "RGB")
        values = np.asarray(image)
        metadata = {name: self.info.get(name) for name in (*_KEPT, "iptc")}
        return Photo(values[..., :3], values[..., 3] if values.shape[2] == 4 else None, **metadata)


def to_file_image(photo: Photo, name: str) -> FileImage:
    """Convert a photo to a PIL image with its metadata: 8-bit RGB, or RGBA if the photo has an alpha channel.

    Args:
        photo: the photo. 16 bits per colour are rounded to 8, with a warning in the log, because PIL has no 16-bit
            colour.
        name: name of the photo, for the warning.
    """
    if photo.pixels.dtype == np.uint16:
        logger.warning("%s: PIL has 8 bits per colour; the photo's 16 bits are rounded", name)
    image: Any = Image.fromarray(to_8_bits(with_alpha(photo)))
    image.__class__ = FileImage  # Pillow has no public way to make an image of a subclass from pixels
    metadata = {"exif": photo.exif, "icc_profile": photo.icc_profile, "xmp": photo.xmp, "dpi": photo.dpi}
    image.info = {key: value for key, value in (metadata | {"iptc": photo.iptc}).items() if value is not None}
    made: FileImage = image
    return made
