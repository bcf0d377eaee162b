"""Bytes that no encoder of shards wrote are refused in time and memory that do not depend on what they claim."""

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from lookcast.data.store.codec import decode, encode_labels, encode_pixels

PIXELS = np.arange(7 * 9 * 3, dtype=np.uint8).reshape(7, 9, 3)
BYTES = PIXELS.tobytes()


def npy(header, data=BYTES):
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text + data


def header(shape="(7, 9, 3)", descr="|u1", order="False"):
    return f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}"


def file_of(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def claiming(data, width, height):
    """A PNG whose header states another size, with the right checksum."""
    chunk = b"IHDR" + struct.pack(">2I", width, height) + data[24:29]
    return data[:12] + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]


LABELS = np.arange(7 * 9, dtype=np.uint8).reshape(7, 9) % 9
RGB_PNG, LABEL_PNG = encode_pixels(PIXELS, "png", 95), encode_labels(LABELS)


class TestNpy:
    def test_known_value(self):
        assert npy(header()) == encode_pixels(PIXELS, "npy", 95)
        decoded = decode(npy(header()), None, "npy").pixels
        assert np.array_equal(decoded, PIXELS)
        assert decoded.flags.writeable

    @pytest.mark.parametrize(
        "data",
        [
            npy(header("(700000, 900000, 3)")),
            npy(header("(7, 9, 4)")),
            npy(header("(0, 9, 3)"), b""),
            npy(header("(7, 9)")),
            npy(header("(-7, -9, 3)")),
            npy(header("(7, 8, 3)")),
            npy(header(descr="<u2")),
            npy(header(descr="|O")),
            npy(header(order="True")),
            npy("{'descr': '|u1', 'fortran_order': False, 'shape': (7, 9, 3"),
            npy("(" * 100),
            npy("__import__('os')"),
            npy(header())[:-1],
            npy(header()) + b"\0",
            npy(header())[:20],
            b"",
        ],
    )
    def test_rejects(self, data):
        with pytest.raises(ValueError, match=r"^holds "):
            decode(data, None, "npy")


class TestImages:
    @pytest.mark.parametrize(
        ("pixels", "labels", "format"),
        [
            (claiming(RGB_PNG, 40_000, 40_000), None, "png"),
            (claiming(RGB_PNG, 0, 9), None, "png"),
            (file_of(Image.new("L", (9, 7))), None, "png"),
            (file_of(Image.new("RGBA", (9, 7))), None, "png"),
            (file_of(Image.new("CMYK", (9, 7)), "JPEG"), None, "jpg"),
            (RGB_PNG, None, "jpg"),
            (RGB_PNG[:-30], None, "png"),
            (RGB_PNG, claiming(LABEL_PNG, 20_000, 20_000), "png"),
            (RGB_PNG, encode_labels(LABELS.T.copy()), "png"),
            (RGB_PNG, encode_labels(LABELS + 1), "png"),
            (RGB_PNG, file_of(Image.fromarray(LABELS)), "png"),
            (RGB_PNG, LABEL_PNG[:50], "png"),
        ],
    )
    def test_rejects(self, pixels, labels, format):
        tracemalloc.start()
        with pytest.raises(ValueError, match=r"^[^\n]+$"):
            decode(pixels, labels, format)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 10_000_000

    def test_known_value(self):
        decoded = decode(RGB_PNG, LABEL_PNG, "png")
        assert np.array_equal(decoded.pixels, PIXELS)
        assert np.array_equal(decoded.labels, LABELS)
