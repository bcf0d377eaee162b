"""Photo files that are broken, that lie or that are unusual, each with what should become of it."""

import io
import os
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image

from tests.photo_files import BLACK_ONLY_CMYK, DISPLAY_P3, LINEAR_GREY, PROPHOTO, UPRIGHT, XMP, exif, png16

PIXELS = UPRIGHT[8:24, 20:44]
"""24 x 16 pixels."""
IMAGE = Image.fromarray(PIXELS)
MAX_PIXELS = 1_000_000
Make = Callable[[Path], object]
pillow_heif.register_heif_opener()


def encoded(kind: str, image: Image.Image = IMAGE, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def of(data: bytes) -> Make:
    return lambda path: path.write_bytes(data)


def patched(data: bytes, place: int, layout: str, *values: int) -> bytes:
    return data[:place] + struct.pack(layout, *values) + data[place + struct.calcsize(layout) :]


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_with(*chunks: bytes) -> bytes:
    """A PNG with further chunks before its pixels."""
    data = encoded("PNG")
    return data[:33] + b"".join(chunks) + data[33:]


def png_claiming(width: int, height: int, bits: int = 8, color: int = 2) -> bytes:
    return encoded("PNG")[:8] + png_chunk(b"IHDR", struct.pack(">2I5B", width, height, bits, color, 0, 0, 0)) + encoded(
        "PNG"
    )[33:]  # fmt: skip


def jpeg_claiming(width: int, height: int) -> bytes:
    data = encoded("JPEG")
    return patched(data, data.index(b"\xff\xc0") + 5, ">2H", height, width)


def tiff_claiming(**tags: int) -> bytes:
    return _tiff({**TAGS, **{int(tag[1:]): value for tag, value in tags.items()}})


TAGS = {256: 24, 257: 16, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 16, 279: 384}


def _tiff(tags: dict[int, int]) -> bytes:
    """A grey TIFF of 24 x 16 pixels, with other values of some tags."""
    entries = b"".join(struct.pack("<2HII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    pixels = PIXELS[..., 0].tobytes()
    return b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + struct.pack("<H", len(tags)) + entries + bytes(4)


def frames(kind: str) -> bytes:
    return encoded(kind, save_all=True, append_images=[Image.fromarray(255 - PIXELS)])


def ico_with_a_larger_png(side: int) -> bytes:
    """An icon whose directory states 16 x 16, and whose PNG states another size."""
    png = png_claiming(side, side)
    return struct.pack("<3H4B2H2I", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(png), 22) + png


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("photo.jpg", encoded("JPEG"))
    return file.getvalue()


KINDS = ("JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP", "HEIF", "AVIF", "JPEG2000", "PPM", "TGA", "ICO", "MPO")
MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I", "F"),
    "JPEG": ("L", "RGB", "CMYK", "YCbCr"),
    "WEBP": ("L", "RGB", "RGBA", "P"),
    "GIF": ("1", "L", "P"),
}


def in_mode(mode: str) -> Image.Image:
    if mode == "LAB":
        return Image.frombytes("LAB", IMAGE.size, IMAGE.tobytes())
    if mode == "F":
        return Image.fromarray(PIXELS[..., 0].astype(np.float32) / 255)
    if mode == "I;16":
        return Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257)
    return IMAGE.convert("L").convert(mode) if mode == "I" else IMAGE.convert(mode)


def readable() -> Iterator[tuple[str, Make]]:
    """Unusual photos that are read."""
    for kind, modes in MODES.items():
        yield from ((f"{kind} {mode}", of(encoded(kind, in_mode(mode)))) for mode in modes)
    yield from ((kind, of(encoded(kind))) for kind in KINDS)
    for kind in ("JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP"):
        for size in ((1, 1), (1, 999), (999, 1), (2, 3)):
            yield f"{kind} {size}", of(encoded(kind, IMAGE.resize(size)))
    yield from ((f"several pictures {kind}", of(frames(kind))) for kind in ("GIF", "WEBP", "PNG", "TIFF", "MPO"))
    yield from ((f"orientation {number}", of(encoded("JPEG", exif=exif(number)))) for number in (*range(10), 65535))
    yield from ((f"upside down {kind}", of(encoded(kind, exif=exif(6)))) for kind in ("PNG", "TIFF", "WEBP", "HEIF"))
    good = exif(6)
    for name, data in {
        "noise": bytes(range(256)),
        "empty": b"Exif\0\0",
        "cut": good[:40],
        "the other byte order": good.replace(b"II*\0", b"MM\0*") if b"II*\0" in good else good.replace(b"MM", b"II"),
        "a loop": b"Exif\0\0II*\0" + struct.pack("<IH2HIII", 8, 1, 0x8769, 4, 1, 8, 8),
        "a far directory": b"Exif\0\0II*\0" + struct.pack("<I", 2**32 - 9),
    }.items():
        yield f"EXIF: {name}", of(encoded("JPEG", exif=data))
    for name, profile in {
        "noise": bytes(range(256)), "a few bytes": b"acsp", "cut": DISPLAY_P3[:200], "of grey": LINEAR_GREY,
        "of CMYK": BLACK_ONLY_CMYK, "Display P3": DISPLAY_P3, "ProPhoto": PROPHOTO, "large": PROPHOTO + bytes(100_000),
        "claims 4 GiB": struct.pack(">I", 2**32 - 1) + DISPLAY_P3[4:],
    }.items():  # fmt: skip
        yield f"profile: {name}", of(encoded("JPEG", icc_profile=profile))
        yield f"profile in PNG: {name}", of(encoded("PNG", icc_profile=profile))
    yield "XMP without end", of(encoded("JPEG", xmp=XMP[:50]))
    yield "a comment of 60 KB", of(encoded("JPEG", comment=b"c" * 60_000))
    yield "16 bits", of(png16(PIXELS.astype(np.uint16) * 257, 2))
    yield "16 bits with alpha", of(png16(np.dstack((PIXELS, PIXELS[..., 0])).astype(np.uint16) * 257, 6))
    yield "unknown chunk", of(png_with(png_chunk(b"abCd", b"x" * 50)))
    yield "bytes after the end", of(encoded("PNG") + b"x" * 1000)
    yield "a photo after the end", of(encoded("JPEG") + encoded("JPEG"))
    yield "one transparent colour", of(encoded("PNG", transparency=(1, 2, 3)))
    yield "interlaced", of(encoded("PNG", interlace=1))
    yield "progressive", of(encoded("JPEG", progressive=True, subsampling=2))
    yield "deflated TIFF", of(encoded("TIFF", compression="tiff_adobe_deflate"))
    yield "a link", _link_to_a_photo


def refused() -> Iterator[tuple[str, Make]]:
    """Files that are no photos, or not whole."""
    for kind in KINDS:
        data = encoded(kind)
        yield from ((f"{kind} cut at {place}", of(data[:place])) for place in (1, 10, len(data) // 3, len(data) // 2))
    yield "empty", of(b"")
    yield from ((f"claims {size}", of(png_claiming(*size))) for size in ((0, 16), (60_000, 60_000), (2**31 - 1, 1)))
    yield "16 bits claim", of(png_claiming(50_000, 50_000, 16))
    yield from ((f"JPEG claims {size}", of(jpeg_claiming(*size))) for size in ((65_535, 65_535), (0, 16), (2400, 1600)))
    yield "TIFF claims width", of(tiff_claiming(t256=2**31 - 1))
    yield "TIFF claims rows", of(tiff_claiming(t257=2**32 - 1, t278=2**32 - 1, t279=2**32 - 1))
    yield "TIFF of 64 bits", of(tiff_claiming(t258=64))
    yield "TIFF of 99 channels", of(tiff_claiming(t277=99))
    yield "TIFF with pixels elsewhere", of(tiff_claiming(t273=2**31))
    yield "TIFF of unknown compression", of(tiff_claiming(t259=60_000))
    yield "TIFF of floats out of range", of(encoded("TIFF", Image.fromarray(PIXELS[..., 0].astype(np.float32))))
    yield "TIFF of NaN", of(encoded("TIFF", Image.fromarray(np.full((16, 24), np.nan, np.float32))))
    yield "TIFF of negative numbers", of(encoded("TIFF", Image.fromarray(np.full((16, 24), -3, np.int32))))
    yield "BigTIFF, big-endian", of(b"MM\0+" + bytes(60))
    yield "BMP claims", of(patched(encoded("BMP"), 18, "<2i", 60_000, 60_000))
    yield "BMP of negative width", of(patched(encoded("BMP"), 18, "<i", -24))
    yield "GIF claims", of(patched(encoded("GIF"), 6, "<2H", 65_535, 65_535))
    yield "PPM claims", of(b"P6 99999 99999 255\n" + bytes(100))
    yield "PPM of words", of(b"P6 many few 255\n")
    yield "WEBP claims", of(b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\xff\xff" * 2 + bytes(20))
    yield from ((f"ICO claims {side}", of(ico_with_a_larger_png(side))) for side in (3000, 30_000))
    yield "a program", of(b"\x7fELF" + bytes(200))
    yield "HTML", of(b"<html><body>404</body></html>")
    yield "SVG", of(b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
    yield "PDF", of(b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n")
    yield "EPS", of(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 24 16\n%%EndComments\nshowpage\n")
    yield "an archive", of(zipped())
    yield "a text", of(b"ein Text, kein Bild\n" * 9)
    yield "zeros", of(bytes(5000))
    yield "a folder", Path.mkdir
    yield "a pipe", os.mkfifo
    yield "a device", lambda path: path.symlink_to("/dev/zero")
    yield "a link to nothing", lambda path: path.symlink_to("nothing")
    yield "a link to itself", lambda path: path.symlink_to(path.name)
    yield "missing", lambda path: None


def _link_to_a_photo(path: Path) -> None:
    (path.parent / "original").write_bytes(encoded("JPEG"))
    path.symlink_to("original")


NAMES = (
    "two words.jpg", "日本 ëß.jpg", "line\nbreak.jpg", "a[1].jpg", "b[access=random].png", "%d.jpg", "'\".jpg", "~.jpg",
    os.fsdecode(b"\xff\xfe.jpg"), "\u202eorthodox.jpg", "\x1b[31mred.jpg", "$(touch x).jpg", "a;b&c|d.jpg", "*.jpg",
    "n" * 251 + ".jpg", "photo.JPG", "photo.jpeg.png", "-rf.jpg", ".jpg.jpg", "tab\there.jpg",
    *(["..jpg"] if sys.version_info < (3, 14) else []),  # from then on, pathlib sees no suffix here
)  # fmt: skip
