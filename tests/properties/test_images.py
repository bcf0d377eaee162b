"""Images of every type and memory layout are stylized as their contiguous copies, or refused by name."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lookcast.checks import InputError
from lookcast.inference.stylizer import Stylizer
from lookcast.photos.photo import Photo, to_8_bits
from lookcast.photos.read import read_photo, to_tensor
from lookcast.photos.write import write_photo
from tests.looks import look

TYPES = ("u1", "<u2", ">u2", "<f2", "<f4", ">f4", "<f8", "i1", "<i4", "?", "<c8")
SHAPES = (
    (7, 9),
    (7, 9, 3),
    (7, 9, 4),
    (1, 1, 3),
    (1, 9, 3),
    (9, 1, 3),
    (7, 9, 1),
    (7, 9, 2),
    (0, 9, 3),
    (7,),
    (7, 9, 3, 1),
)


def mirrored(array):
    return array[::-1][..., ::-1] if array.ndim > 1 else array[::-1]


def upside_down(array):
    return np.ascontiguousarray(array[::-1])[::-1]


def fortran(array):
    return np.asfortranarray(array)


def planes(array):
    return np.ascontiguousarray(np.moveaxis(array, -1, 0)).transpose(*range(1, array.ndim), 0)


def every_second(array):
    return np.repeat(array, 2, 0)[::2]


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def unaligned(array):
    room = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    room[...] = array
    return room


LAYOUTS = (mirrored, upside_down, fortran, planes, every_second, read_only, unaligned)
STYLIZER = Stylizer(look(), {}, "cpu")
SETTINGS = settings(
    derandomize=True, deadline=None, max_examples=120, database=None, suppress_health_check=list(HealthCheck)
)


def draw_array(data, types=TYPES, shapes=SHAPES):
    dtype, shape = np.dtype(data.draw(st.sampled_from(types))), data.draw(st.sampled_from(shapes))
    values = np.random.default_rng(data.draw(st.integers(0, 99))).random(shape)
    levels = 1 if dtype.kind in "fcb" else np.iinfo(dtype).max
    return data.draw(st.sampled_from(LAYOUTS))((values * levels).astype(dtype))


def stylized(array):
    try:
        return STYLIZER.stylize(array)
    except InputError as error:
        return str(error)


@SETTINGS
@given(data=st.data())
def test_stylize(data):
    array = draw_array(data)
    before = array.copy()
    found, expected = stylized(array), stylized(np.array(array, array.dtype.newbyteorder("="), order="C"))
    assert np.array_equal(array, before)  # no input is written over
    if isinstance(found, str):
        assert found.startswith("content: expected ")
        assert "\n" not in found
        assert (found == expected) or array.dtype.byteorder == ">"
        return
    assert found.dtype == array.dtype.newbyteorder("=")
    assert found.shape == (*array.shape[:2], array.shape[2] if array.ndim == 3 else 3)
    # Another layout may add the pixels of the thumbnail in another order, so an integer may be rounded the other way.
    # The grid has float32 coefficients of up to 2, which are sums of some hundred products.
    limit = 1 if found.dtype.kind == "u" else 1e-3 if found.dtype.itemsize == 2 else 1e-5
    assert np.abs(found.astype(float) - expected).max() <= limit
    if array.ndim == 3 and array.shape[2] == 4:
        assert np.array_equal(found[..., 3], array[..., 3])


@SETTINGS
@given(data=st.data())
def test_to_8_bits_and_to_tensor(data):
    array = draw_array(data, ("u1", "<u2"), ((7, 9, 3), (1, 1, 3), (1, 9, 3), (9, 1, 3)))
    levels = to_8_bits(array)
    # round(x / 257) of the 16-bit levels
    assert np.array_equal(levels, array if array.dtype == np.uint8 else (array.astype(int) + 128) // 257)
    assert np.array_equal(to_tensor(levels)[0].permute(1, 2, 0).numpy(), levels.astype(np.float32) / np.float32(255))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@SETTINGS
@given(data=st.data())
def test_write_photo(tmp_path_factory, suffix, data):
    array = draw_array(data, ("u1", "<u2"), ((7, 9, 3), (1, 1, 3), (1, 9, 3), (9, 1, 3)))
    path = tmp_path_factory.getbasetemp() / f"photo{suffix}"
    write_photo(path, Photo(array))
    assert np.array_equal(read_photo(path).pixels, array)
