"""Vector operations in LLVM's intermediate representation, and the number of lanes that suits this processor."""

from collections.abc import Iterable
from typing import Any

from llvmlite import binding, ir
from numba import config


def _lanes() -> int:
    chosen = config.CPU_FEATURES  # numba's setting; None for the features of this processor
    features = chosen if chosen is not None else binding.get_host_cpu_features().flatten()
    return 16 if "+avx512f" in features else 8 if "+avx2" in features else 0


LANES = _lanes()
"""Number of pixels that one call of `transform_block` transforms, and the maximum grid depth that `transform_block`
supports. The number is 0 on processors on which `transform_pixel` is faster."""
FAST = ("fast",)
FLOAT, INT = ir.FloatType(), ir.IntType(32)


class Vectors:
    """Vector operations of an LLVM builder under short names."""

    def __init__(self, context: Any, builder: Any) -> None:
        self.context, self.builder = context, builder

    def address(self, kind: Any, array: Any, index: Any) -> Any:
        """Return the address of an element of an array."""
        data = self.context.make_array(kind)(self.context, self.builder, array).data
        return self.builder.gep(data, [index])

    def load(self, address: Any, length: int, element: Any = FLOAT) -> Any:
        """Return a vector of neighbouring elements in memory."""
        pointer = self.builder.bitcast(address, ir.VectorType(element, length).as_pointer())
        return self.builder.load(pointer, align=1)

    def store(self, value: Any, address: Any) -> None:
        """Write a vector to memory."""
        self.builder.store(value, self.builder.bitcast(address, value.type.as_pointer()), align=1)

    def constant(self, values: Iterable[float], element: Any = FLOAT) -> Any:
        """Return a vector of given numbers."""
        values = list(values)
        return ir.Constant(ir.VectorType(element, len(values)), values)

    def pack(self, values: Iterable[Any], element: Any = FLOAT) -> Any:
        """Return a vector of single values."""
        values = list(values)
        packed = ir.Constant(ir.VectorType(element, len(values)), ir.Undefined)
        for lane, value in enumerate(values):
            packed = self.builder.insert_element(packed, value, ir.Constant(INT, lane))
        return packed

    def pick(self, source: Any, lanes: Iterable[int], other: Any = None) -> Any:
        """Return a vector of the chosen lanes. The lane numbers count through `source`, then through `other`."""
        other = ir.Constant(source.type, ir.Undefined) if other is None else other
        return self.builder.shuffle_vector(source, other, self.constant(lanes, INT))

    def spread(self, value: Any, length: int) -> Any:
        """Return a vector with the same value in all lanes."""
        return self.pick(self.pack([value]), [0] * length)

    def look_up(self, table: Any, index: Any) -> Any:
        """Return `table[index]` for every lane of `index`. On x86, LLVM compiles the lookup to one permutation."""
        lanes = [ir.Constant(INT, lane) for lane in range(index.type.count)]
        chosen = [self.builder.extract_element(index, lane) for lane in lanes]
        return self.pack(self.builder.extract_element(table, lane) for lane in chosen)

    def muladd(self, a: Any, b: Any, c: Any) -> Any:
        """Return `a * b + c`."""
        return self.builder.fadd(self.builder.fmul(a, b, flags=FAST), c, flags=FAST)

    def between(self, a: Any, b: Any, weight: Any) -> Any:
        """Return `a + weight * (b - a)`."""
        return self.muladd(weight, self.builder.fsub(b, a, flags=FAST), a)

    def clamp(self, value: Any, low: Any, high: Any) -> Any:
        """Return the value, limited to `low` to `high`."""
        for sign, limit in (("<", low), (">", high)):
            if value.type.element == FLOAT:
                beyond = self.builder.fcmp_ordered(sign, value, limit, flags=FAST)
            else:
                beyond = self.builder.icmp_signed(sign, value, limit)
            value = self.builder.select(beyond, limit, value)
        return value
