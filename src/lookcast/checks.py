"""Errors for invalid user input, and checks of arguments."""

import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import torch

_P = ParamSpec("_P")
_R = TypeVar("_R")


class InputError(ValueError):
    """Error for an invalid input. The message is one line that names the input.

    The command line prints only the message and exits with code 2. Every other exception is a bug in lookcast.
    """


class ShapeError(InputError):
    """Error for a tensor with an unexpected shape.

    Attributes:
        name: the name of the argument.
        expected: the expected shape; a letter stands for any size.
        actual: the shape of the tensor.
    """

    def __init__(self, name: str, expected: str, actual: Sequence[int]) -> None:
        self.name, self.expected, self.actual = name, expected, tuple(actual)
        super().__init__(f"{name}: expected shape {expected}, got {self.actual}")


def describe(value: Any) -> str:
    """Describe a wrong argument in a few words: a tensor by its shape, anything else by its type."""
    return f"a tensor of {tuple(value.shape)}" if isinstance(value, torch.Tensor) else f"{type(value).__name__}"


def why_refused(error: OSError | ValueError) -> str:
    """Return why the system refused a path. The words are the same in every release of Python."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "embedded null byte" if "embedded null" in str(error) else str(error)


def check_integer(name: str, value: Any, minimum: int, maximum: int) -> None:
    """Raise an error unless a value is an integer from `minimum` to `maximum`. A bool is not an integer here.

    Raises:
        InputError: the value is invalid; the message names the argument, the value and the range.
    """
    if type(value) is not int or not minimum <= value <= maximum:
        raise InputError(f"{name}: expected an integer from {minimum} to {maximum}, got {repr(value)[:80]}")


def check_shape(name: str, tensor: torch.Tensor, expected: Sequence[int | str]) -> None:
    """Raise an error unless a tensor has the expected shape, such as `("B", 3, "H", "W")`.

    Args:
        name: the name of the argument, for the message.
        tensor: the argument.
        expected: the expected size of each dimension: an integer for a fixed size, a letter for any size.

    Raises:
        ShapeError: the number of dimensions or a fixed size differs.
        InputError: the argument is not a tensor.
    """
    if not isinstance(tensor, torch.Tensor):
        raise InputError(f"{name}: expected a tensor, got {describe(tensor)}")
    fits = len(tensor.shape) == len(expected) and all(
        isinstance(want, str) or want == size for want, size in zip(expected, tensor.shape, strict=True)
    )
    if not fits:
        raise ShapeError(name, f"({', '.join(map(str, expected))})", tensor.shape)


def check_floating(name: str, tensor: torch.Tensor, expected: str = "floating point") -> None:
    """Raise an error unless a tensor is floating point and has elements.

    A mean over no elements would be NaN, and differences of unsigned integers would wrap around.
    """
    if not tensor.is_floating_point():
        raise InputError(f"{name}: expected {expected}, got {tensor.dtype}")
    if 0 in tensor.shape:
        raise InputError(f"{name}: expected at least one element, got the shape {tuple(tensor.shape)}")


def check_image(name: str, image: torch.Tensor) -> None:
    """Raise an error unless an image is floating point `(B, 3, H, W)`, with at least one pixel.

    The values are not checked, because reading the values would stall a GPU.
    """
    check_shape(name, image, ("B", 3, "H", "W"))
    check_floating(name, image, "floating point in [0, 1]")


def check_image_pair(first: str, image: torch.Tensor, second: str, other: torch.Tensor, min_side: int = 1) -> None:
    """Raise an error unless two images have the same shape, with at least `min_side` pixels per side."""
    check_image(first, image)
    check_image(second, other)
    if image.shape != other.shape:
        raise ShapeError(second, str(tuple(image.shape)), other.shape)
    if min(image.shape[-2:]) < min_side:
        raise ShapeError(first, f"(B, 3, H >= {min_side}, W >= {min_side})", image.shape)


def check_mask(name: str, mask: torch.Tensor, image: torch.Tensor) -> None:
    """Raise an error unless a mask is `(B, K, H, W)` with the batch size and the resolution of its image."""
    check_shape(name, mask, (image.shape[0], "K", *image.shape[-2:]))


def check_call(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Decorate a function or constructor to raise an `InputError` for arguments that violate their annotations.

    Annotations may carry pydantic's constraints, such as `Annotated[int, Field(ge=1)]`.
    """
    from pydantic import ConfigDict, ValidationError, validate_call

    checked = validate_call(config=ConfigDict(arbitrary_types_allowed=True))(function)
    names = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return checked(*args, **kwargs)
        except ValidationError as error:
            raise InputError("; ".join(_describe_fault(fault, names) for fault in error.errors())) from error

    return call


EXPECTED_WORDS = {
    "int_type": "an integer",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "a string",
    "string_too_short": "{min_length} or more characters",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "none_required": "null",
    "too_short": "{min_length} or more items",
    "too_long": "{max_length} or fewer items",
    "literal_error": "{expected}",
    "greater_than_equal": "at least {ge}",
    "greater_than": "more than {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "less than {lt}",
    "missing": "a value",
}
"""A dict from a pydantic error type to a description of the expected value. Other types keep pydantic's own text."""


def describe_expected(fault: Any, words: Mapping[str, str] = EXPECTED_WORDS) -> str:
    """Describe the value that pydantic expected when it raised an error, such as `at least 1`."""
    if found := words.get(fault["type"]):
        return found.format(**fault.get("ctx", {}))
    message: str = fault["msg"].removeprefix("Value error, ")
    return re.sub(r"^\w+ should (be|have) ", "", message)


def _describe_fault(fault: Any, names: Sequence[str]) -> str:
    """Describe a pydantic error as `name: expected ..., got ...`."""
    first, *rest = fault["loc"]
    name = ".".join(map(str, (names[first] if isinstance(first, int) else first, *rest)))
    if fault["type"] == "unexpected_keyword_argument":
        return f"{name}: unknown argument"
    if fault["type"] == "missing_argument":  # `input` of this error holds the whole call
        return f"{name}: expected a value, got none"
    return f"{name}: expected {describe_expected(fault)}, got {fault['input']!r}"
