"""Read metadata of photos: EXIF, XMP, IPTC and resolution. Fields that are wrong for the output are left out."""

import re
from typing import Any, NamedTuple

from PIL import ExifTags, Image, TiffTags

from lookcast.photos.codecs.tiff import to_exif
from lookcast.photos.exif import make_upright
from lookcast.photos.photo import CODEC_ERRORS, logger

# Tags that are removed from the first directory of a TIFF, which serves as its EXIF. Most of these tags tell how the
# input file stores its pixels. The others could contradict the output file: the profile, XMP with an orientation, and
# Photoshop's preview of the old look. `Photo` has separate fields for the profile, XMP and IPTC.
_STORAGE_TAGS = {
    *(254, 255, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 280, 281, 284, 292, 293, 297, 301, 317, 318, 319),
    *(320, 322, 323, 324, 325, 330, 332, 338, 339, 340, 341, 347, 513, 514, 529, 530, 531, 532, 700, 33723, 34377),
    34675,
}
_IPTC_IN_TIFF, _IPTC_IN_JPEG = 33723, 0x0404
# Fields of XMP that are wrong for the output file: the orientation, previews of the old look, and pointers to other
# data in the input file (gain maps, depth maps, videos and further XMP). The patterns match without backtracking and
# stop at the next bracket or quote, so the time is linear in the length of the XMP.
_UNTRUE_ELEMENT = re.compile(
    rb"<(tiff:Orientation)>|<((?:xmp|xap):Thumbnails|Container:Directory|GContainer:Directory)(?=[\s/>])"
)
_UNTRUE_ATTRIBUTE = re.compile(
    rb"\s(?:tiff:Orientation|xmpNote:HasExtendedXMP|(?:hdrgm|GCamera|GDepth|GImage|HDRGainMap):\w+)"
    rb"=(?:\"[^\"<]*\"|'[^'<]*')"
)


class Metadata(NamedTuple):
    """The orientation of the stored pixels, and the metadata fields of `Photo`.

    Attributes:
        orientation: EXIF orientation, 1 to 8; 1 is upright.
        exif: see `Photo`.
        xmp: see `Photo`.
        iptc: see `Photo`.
        dpi: see `Photo`.
    """

    orientation: int
    exif: bytes | None
    xmp: bytes | None
    iptc: bytes | None
    dpi: tuple[float, float] | None


def read_metadata(image: Image.Image, size: tuple[int, int], name: str) -> Metadata:
    """Read the metadata of an opened photo.

    Args:
        image: the opened photo; the pixels need not be loaded.
        size: width and height of the pixels in stored orientation.
        name: name of the photo, for messages.
    """
    orientation, exif = _read_exif(image, size, name)
    xmp = image.info.get("xmp")
    across, down = image.info.get("dpi") or (0, 0)  # 0 stands for an unknown resolution, as does 1 for TIFF in Pillow
    dpi = (float(down), float(across)) if orientation >= 5 else (float(across), float(down))
    return Metadata(
        orientation,
        exif,
        without_untrue(xmp) if isinstance(xmp, bytes) else None,
        _read_iptc(image),
        dpi if min(dpi) > 1 else None,
    )


def without_untrue(xmp: bytes) -> bytes:
    """Remove the fields of XMP that are wrong for the upright, stylized photo; keep all other bytes."""
    parts, position, unclosed = [], 0, set()
    for found in _UNTRUE_ELEMENT.finditer(xmp):
        element = found[1] or found[2]
        if found.start() < position or element in unclosed:
            continue
        closing = b"</" + element + b">"
        end = xmp.find(closing, found.end())
        if end < 0:
            unclosed.add(element)  # no closing tag follows; remembered, so that the search is not repeated
            continue
        parts.append(xmp[position : found.start()])
        position = end + len(closing)
    parts.append(xmp[position:])
    return _UNTRUE_ATTRIBUTE.sub(b"", b"".join(parts))


def _read_exif(image: Image.Image, size: tuple[int, int], name: str) -> tuple[int, bytes | None]:
    """Return the stored orientation, and the EXIF of the upright photo, in which the orientation is 1."""
    try:
        if image.format != "TIFF" and image.info.get("exif"):
            return make_upright(image.info["exif"], size)
        exif = Image.Image.getexif(image)  # not `image.getexif`: the method of PNG decodes the pixels first
        orientation = exif.pop(ExifTags.Base.Orientation, 1)
        for tag in exif.keys() & _STORAGE_TAGS:
            del exif[tag]  # not `pop`, which decodes the value
        details = exif.get_ifd(ExifTags.IFD.Exif) if ExifTags.IFD.Exif in exif else {}
        sides = size if orientation < 5 else reversed(size)
        for tag, side in zip((ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight), sides, strict=True):
            if tag in details:
                details[tag] = side
        # `to_exif` calls Pillow's `tobytes`, which omits the preview.
        return orientation if orientation in range(1, 9) else 1, to_exif(exif) if len(exif) else None
    except CODEC_ERRORS as error:
        logger.warning("%s: its EXIF is broken and left out (%s)", name, error)
        return 1, None


def _read_iptc(image: Image.Image) -> bytes | None:
    records = image.info.get("photoshop", {}).get(_IPTC_IN_JPEG)
    tags: Any = getattr(image, "tag_v2", {})
    if _IPTC_IN_TIFF in tags:
        tags.tagtype[_IPTC_IN_TIFF] = TiffTags.UNDEFINED  # the values are bytes, but Photoshop declares integers
        records = tags[_IPTC_IN_TIFF]
    return records or None if isinstance(records, bytes) else None
