"""Photo files of many formats, made from real photographs."""

import struct
import zlib
from functools import lru_cache
from pathlib import Path

import imagecodecs
import numpy as np
import skimage.data
from PIL import ExifTags, Image, ImageCms

UPRIGHT = skimage.data.chelsea()[60:124, 100:196]
"""The photo that `save_photo` writes by default, 96 x 64 pixels."""
SRGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
SRGB = SRGB_PROFILE.tobytes()


def save_photo(path: Path, name: str = "chelsea", **options: object) -> Path:
    """Write a crop of one of the photographs of scikit-image, 96 x 64 pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(getattr(skimage.data, name)()[60:124, 100:196]).save(path, **options)
    return path


def exif(orientation=1, size=(96, 64)):
    """Return EXIF with the tags of a phone: camera, time, size of the stored picture, place."""
    tags = Image.Exif()
    tags[ExifTags.Base.Make] = "Lookcam"
    tags[ExifTags.Base.Orientation] = orientation
    details = tags.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.DateTimeOriginal] = "2024:05:06 07:08:09"
    details[ExifTags.Base.ExifImageWidth], details[ExifTags.Base.ExifImageHeight] = size
    tags.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (52.0, 31.0, 12.0)
    return tags.tobytes()


XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4"/></rdf:RDF></x:xmpmeta>'
)
IPTC = b"\x1c\x02\x50\x00\x04Anna\x1c\x02\x05\x00\x03Cat"  # by-line and title; of odd length


def jpeg_with_iptc(path: Path, **options: object) -> Path:
    """Write a JPEG in the way of Photoshop: the records are among other resources."""
    resources = b"8BIM\x04\x25\0\0" + struct.pack(">I", 2) + b"xx"
    resources += b"8BIM\x04\x04\0\0" + struct.pack(">I", len(IPTC)) + IPTC + bytes(len(IPTC) % 2)
    data = b"Photoshop 3.0\0" + resources
    return save_photo(path, extra=b"\xff\xed" + struct.pack(">H", len(data) + 2) + data, **options)


def parsed(data):
    tags = Image.Exif()
    tags.load(data)
    return tags


def png16(values, color_type):
    """Return a 16-bit PNG, which Pillow can't write in colour."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">2I5B", values.shape[1], values.shape[0], 16, color_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def icc_profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Return the smallest ICC profile (version 2, printer class) with these tags for a colour space."""
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
    connection = b"Lab " if b"A2B0" in tags else b"XYZ "
    header = struct.pack(">I4sI", 128 + len(table) + len(body), b"lcms", 0x02100000) + b"prtr" + space + connection
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + table + body


def rgb_profile(primaries: tuple[tuple[float, float, float], ...], curve: bytes) -> bytes:
    """Return a profile of three primaries (XYZ, relative to D50) and one curve, like those of cameras and editors."""
    colors = [b"XYZ " + bytes(4) + struct.pack(">3i", *(round(65536 * value) for value in xyz)) for xyz in primaries]
    names = (b"rXYZ", b"gXYZ", b"bXYZ")
    return icc_profile(
        b"RGB ", dict(zip(names, colors, strict=True)) | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    )


def gamma(exponent: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(256 * exponent))


def parametric(form: int, *numbers: float) -> bytes:
    return b"para" + bytes(4) + struct.pack(f">2H{len(numbers)}i", form, 0, *(round(65536 * n) for n in numbers))


SRGB_CURVE = parametric(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
SRGB_PRIMARIES = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.7141))
DISPLAY_P3 = rgb_profile(
    ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407)), SRGB_CURVE
)
ADOBE_RGB = rgb_profile(
    ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)), gamma(563 / 256)
)
PROPHOTO = rgb_profile(((0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03134, 0.00009, 0.82491)), gamma(1.8))
WIDE = {"Display P3": DISPLAY_P3, "Adobe RGB": ADOBE_RGB, "ProPhoto": PROPHOTO}

LINEAR_GREY = icc_profile(b"GRAY", {b"kTRC": b"curv" + bytes(8)})
"""Grey whose levels are proportional to light."""


def _black_only() -> bytes:
    """Return a table of 2x2x2x2 nodes to Lab: white without black ink, black with it; other inks do not count."""
    ramp = bytes(range(256))
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    nodes = 8 * (bytes((255, 128, 128)) + bytes((0, 128, 128)))
    return b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + identity + 4 * ramp + nodes + 3 * ramp


def _blue_only() -> bytes:
    """Return a table of 2x2x2 nodes to Lab: as bright as its blue; red and green do not count."""
    ramp = bytes(range(256))
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    nodes = 4 * (bytes((0, 128, 128)) + bytes((255, 128, 128)))
    return b"mft1" + bytes(4) + bytes((3, 3, 2, 0)) + identity + 3 * ramp + nodes + 3 * ramp


def _table(nodes: np.ndarray) -> bytes:
    """Return a table of uint16 nodes, `(n, n, n, 3)`, from three channels to three, without curves."""
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    ramps = 3 * struct.pack(">2H", 0, 65535)
    head = b"mft2" + bytes(4) + bytes((3, 3, len(nodes), 0)) + identity + struct.pack(">2H", 2, 2)
    return head + ramps + nodes.astype(">u2").tobytes() + ramps


@lru_cache(maxsize=1)
def tables_both_ways() -> bytes:
    """Return Adobe RGB in the form of scanners and printers: tables to Lab and back, not curves and a matrix."""
    lab = imagecodecs.cms_profile("lab2")

    def convert(values: np.ndarray, source: bytes, target: bytes, spaces: tuple[str, str]) -> np.ndarray:
        return imagecodecs.cms_transform(
            values.reshape(-1, 1, 3), source, target, colorspace=spaces[0], outcolorspace=spaces[1], outdtype="float64",
            intent=1, flags=256,
        ).reshape(values.shape)  # fmt: skip

    def grid(*axes: np.ndarray) -> np.ndarray:
        return np.stack(np.meshgrid(*axes, indexing="ij"), 3)

    rgb = grid(*3 * [np.linspace(0, 1, 17)])
    forward = convert(rgb, ADOBE_RGB, lab, ("rgb", "lab"))
    steps = np.linspace(0, 65535, 33)
    back = convert(grid(steps / 652.8, *2 * [steps / 256 - 128]), lab, ADOBE_RGB, ("lab", "rgb"))
    # Lab of version 2 profiles: L from 0 to 65280, a and b from -128 at 0.
    encoded = (forward + np.array((0, 128, 128))) * (652.8, 256, 256)
    to_lab, to_rgb = (_table(np.rint(nodes).clip(0, 65535)) for nodes in (encoded, back * 65535))
    return icc_profile(b"RGB ", {b"A2B0": to_lab, b"B2A0": to_rgb})


BLUE_ONLY_RGB = icc_profile(b"RGB ", {b"A2B0": _blue_only()})
"""RGB by a table, from which there is no way back."""
BLACK_ONLY_CMYK = icc_profile(b"CMYK", {b"A2B0": _black_only()})
"""A printer that prints black ink only: no conversion without the profile ignores the other inks."""
