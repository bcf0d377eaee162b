"""Tensors of odd shapes, types and memory layouts, and the comparison of what a function makes of them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from hypothesis import strategies as st
from torch.utils._pytree import tree_flatten, tree_map

from lookcast.checks import InputError

FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
INTEGERS = (torch.uint8, torch.uint16, torch.int64, torch.bool)
STEPS = 8
"""Random values are multiples of 1/8, which every floating-point type represents exactly."""


def contiguous(tensor):
    return tensor.contiguous()


def transposed(tensor):
    return tensor.transpose(-1, -2).contiguous().transpose(-1, -2) if tensor.ndim > 1 else tensor


def reversed_dimensions(tensor):
    order = tuple(reversed(range(tensor.ndim)))
    return tensor.permute(order).contiguous().permute(order)


def channels_last(tensor):
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


def every_second(tensor):
    if not tensor.ndim:
        return tensor
    room = torch.ones(*tensor.shape[:-1], 2 * tensor.shape[-1], dtype=tensor.dtype)
    room[..., ::2] = tensor
    return room[..., ::2]


def part_of_larger(tensor):
    room = torch.ones([size + 2 for size in tensor.shape], dtype=tensor.dtype)
    part = room[tuple(slice(1, size + 1) for size in tensor.shape)]
    part.copy_(tensor)
    return part


def one_value_per_row(tensor):
    """A tensor of stride 0; its values differ from those of the argument."""
    return tensor[..., :1].expand(tensor.shape) if tensor.ndim and tensor.shape[-1] else tensor


LAYOUTS = (
    contiguous, transposed, reversed_dimensions, channels_last, every_second, part_of_larger, one_value_per_row,
)  # fmt: skip


class Source:
    """Draws sizes and tensors for one call. In a quarter of the calls, sizes may be 0."""

    def __init__(self, data: st.DataObject, types: tuple[torch.dtype, ...]) -> None:
        self.data = data
        self.dtype = data.draw(st.sampled_from(types), "type")
        self.layout = data.draw(st.sampled_from(LAYOUTS), "layout")
        self.empty = data.draw(st.integers(0, 3), "empty") == 3
        self.generator = torch.Generator().manual_seed(data.draw(st.integers(0, 1000), "seed"))

    def size(self, low: int, high: int) -> int:
        return self.data.draw(st.integers(low if self.empty else max(low, 1), high), "size")

    def one_of(self, *values: Any) -> Any:
        return self.data.draw(st.sampled_from(values), "value")

    def tensor(self, *shape: int, low: float = 0, high: float = 1, dtype: torch.dtype | None = None) -> torch.Tensor:
        """Multiples of 1/8 from `low` to `high`; integers for an integer type."""
        dtype = self.dtype if dtype is None else dtype
        if dtype == torch.bool:
            values = torch.randint(0, 2, shape, generator=self.generator)
        elif dtype.is_floating_point:
            draws = torch.randint(round(low * STEPS), round(high * STEPS) + 1, shape, generator=self.generator)
            values = draws.double() / STEPS
        else:
            values = torch.randint(0, 256, shape, generator=self.generator)
        return self.layout(values.to(dtype))

    def image(self, batch: int, height: int, width: int) -> torch.Tensor:
        return self.tensor(batch, 3, height, width)

    def mask(self, batch: int, labels: int, height: int, width: int, dtype: torch.dtype | None = None) -> torch.Tensor:
        """A hard mask, some pixels of which have no label."""
        chosen = torch.randint(0, labels + 1, (batch, 1, height, width), generator=self.generator)
        planes = (chosen == torch.arange(labels).view(1, -1, 1, 1)).to(self.dtype if dtype is None else dtype)
        return self.layout(planes)


class Outcome(NamedTuple):
    """The tensors and numbers that a function returned, or the message of its `InputError`."""

    values: list[torch.Tensor]
    refusal: str | None


def outcome(function: Callable[..., Any], arguments: dict[str, Any], change: Callable[[Any], Any]) -> Outcome:
    """Call a function with changed tensors. Every exception but an `InputError` is a fault."""
    changed = tree_map(lambda leaf: change(leaf) if isinstance(leaf, torch.Tensor) else leaf, arguments)
    try:
        returned = function(**changed)
    except InputError as error:
        return Outcome([], str(error))
    leaves, _ = tree_flatten(returned)
    return Outcome([torch.as_tensor(leaf) for leaf in leaves if isinstance(leaf, torch.Tensor | float | int)], None)


def to_double(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.double().contiguous() if tensor.is_floating_point() else tensor.contiguous()


def assert_same(found: Outcome, expected: Outcome, roundings: float, nan: bool) -> None:
    """Compare results: their difference is at most `roundings` times the spacing of their type at their largest value.

    Args:
        found: results in any type.
        expected: the reference.
        roundings: bound on the number of roundings of a value, times the factor by which later steps amplify them.
        nan: True if the function documents NaN as a result.
    """
    assert len(found.values) == len(expected.values)
    for value, reference in zip(found.values, expected.values, strict=True):
        assert value.shape == reference.shape
        if not value.is_floating_point():
            assert torch.equal(value, reference.to(value.dtype))
            continue
        assert nan or not value.isnan().any()
        reference = reference.double()
        finite = reference[reference.isfinite()].abs()
        scale = max(1.0, finite.max().item() if finite.numel() else 0.0)
        limit = roundings * torch.finfo(value.dtype).eps * scale
        torch.testing.assert_close(value.double(), reference, rtol=0, atol=limit, equal_nan=nan)
