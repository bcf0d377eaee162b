"""Photo files of every sort, made from real photographs."""

import struct
import zlib
from pathlib import Path

import skimage.data
from PIL import ExifTags, Image, ImageCms

UPRIGHT = skimage.data.chelsea()[60:124, 100:196]
"""What `save_photo` writes by default, 96 x 64 pixels."""
SRGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
SRGB = SRGB_PROFILE.tobytes()


def save_photo(path: Path, name: str = "chelsea", **options: object) -> Path:
    """A crop of one of scikit-image's photographs, 96 x 64 pixels, as a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(getattr(skimage.data, name)()[60:124, 100:196]).save(path, **options)
    return path


def exif(orientation=1, size=(96, 64)):
    """EXIF as a phone writes it: camera, time, size of the stored picture, place."""
    tags = Image.Exif()
    tags[ExifTags.Base.Make] = "Lookcam"
    tags[ExifTags.Base.Orientation] = orientation
    details = tags.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.DateTimeOriginal] = "2024:05:06 07:08:09"
    details[ExifTags.Base.ExifImageWidth], details[ExifTags.Base.ExifImageHeight] = size
    tags.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (52.0, 31.0, 12.0)
    return tags.tobytes()


def parsed(data):
    tags = Image.Exif()
    tags.load(data)
    return tags


def png16(values, color_type):
    """A PNG of 16 bits, which Pillow can't write in colour."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">2I5B", values.shape[1], values.shape[0], 16, color_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def icc_profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """The smallest ICC profile (version 2, printer class) of a colour space, from its tags."""
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78),
        b"wtpt": b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061),
        **tags,
    }
    offset = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">2I", offset + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    connection = b"XYZ " if space == b"GRAY" else b"Lab "
    header = struct.pack(">I4sI", 128 + len(table) + len(body), b"lcms", 0x02100000) + b"prtr" + space + connection
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + table + body


LINEAR_GREY = icc_profile(b"GRAY", {b"kTRC": b"curv" + bytes(8)})
"""Grey whose levels are proportional to light."""


def _black_only() -> bytes:
    """A table of 2x2x2x2 nodes to Lab: white without black ink, black with it, whatever the other inks do."""
    ramp = bytes(range(256))
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    nodes = 8 * (bytes((255, 128, 128)) + bytes((0, 128, 128)))
    return b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + identity + 4 * ramp + nodes + 3 * ramp


BLACK_ONLY_CMYK = icc_profile(b"CMYK", {b"A2B0": _black_only()})
"""Inks of which only the black one prints: no conversion without the profile leaves the others out."""
