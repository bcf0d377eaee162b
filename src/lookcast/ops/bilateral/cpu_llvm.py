"""Vector code of the CPU kernels, in LLVM's intermediate representation.

numba would not compile Python loops to this vector code. `transform_block` and `transform_pixel` interpolate the
coefficients of affine transforms between grid cells, and apply the result to colours. The interpolation of a and b with
weight w is `a + w (b - a)`.
"""

from collections.abc import Iterable
from typing import Any

from llvmlite import binding, ir
from numba import config, types
from numba.extending import intrinsic


def _lanes() -> int:
    chosen = config.CPU_FEATURES  # numba's setting; None for the features of this processor
    features = chosen if chosen is not None else binding.get_host_cpu_features().flatten()
    return 16 if "+avx512f" in features else 8 if "+avx2" in features else 0


LANES = _lanes()
"""Number of pixels that one call of `transform_block` transforms, and the maximum grid depth that `transform_block`
supports. The number is 0 on processors on which `transform_pixel` is faster."""
CELL = 16
"""Number of floats per cell for `transform_pixel`: four columns of a 3x4 transform, each padded to four values."""
_FAST = ("fast",)
_FLOAT, _INT = ir.FloatType(), ir.IntType(32)


class _Vectors:
    """Vector operations of an LLVM builder under short names."""

    def __init__(self, context: Any, builder: Any) -> None:
        self.context, self.builder = context, builder

    def address(self, kind: Any, array: Any, index: Any) -> Any:
        """Return the address of an element of an array."""
        data = self.context.make_array(kind)(self.context, self.builder, array).data
        return self.builder.gep(data, [index])

    def load(self, address: Any, length: int, element: Any = _FLOAT) -> Any:
        pointer = self.builder.bitcast(address, ir.VectorType(element, length).as_pointer())
        return self.builder.load(pointer, align=1)

    def store(self, value: Any, address: Any) -> None:
        self.builder.store(value, self.builder.bitcast(address, value.type.as_pointer()), align=1)

    def constant(self, values: Iterable[float], element: Any = _FLOAT) -> Any:
        values = list(values)
        return ir.Constant(ir.VectorType(element, len(values)), values)

    def pack(self, values: Iterable[Any], element: Any = _FLOAT) -> Any:
        values = list(values)
        packed = ir.Constant(ir.VectorType(element, len(values)), ir.Undefined)
        for lane, value in enumerate(values):
            packed = self.builder.insert_element(packed, value, ir.Constant(_INT, lane))
        return packed

    def pick(self, source: Any, lanes: Iterable[int], other: Any = None) -> Any:
        """Return a vector of the chosen lanes. The lane numbers count through `source`, then through `other`."""
        other = ir.Constant(source.type, ir.Undefined) if other is None else other
        return self.builder.shuffle_vector(source, other, self.constant(lanes, _INT))

    def spread(self, value: Any, length: int) -> Any:
        return self.pick(self.pack([value]), [0] * length)

    def look_up(self, table: Any, index: Any) -> Any:
        """Return `table[index]` for every lane of `index`. On x86, LLVM compiles the lookup to one permutation."""
        lanes = [ir.Constant(_INT, lane) for lane in range(index.type.count)]
        chosen = [self.builder.extract_element(index, lane) for lane in lanes]
        return self.pack(self.builder.extract_element(table, lane) for lane in chosen)

    def muladd(self, a: Any, b: Any, c: Any) -> Any:
        return self.builder.fadd(self.builder.fmul(a, b, flags=_FAST), c, flags=_FAST)

    def between(self, a: Any, b: Any, weight: Any) -> Any:
        return self.muladd(weight, self.builder.fsub(b, a, flags=_FAST), a)

    def clamp(self, value: Any, low: Any, high: Any) -> Any:
        for sign, limit in (("<", low), (">", high)):
            if value.type.element == _FLOAT:
                beyond = self.builder.fcmp_ordered(sign, value, limit, flags=_FAST)
            else:
                beyond = self.builder.icmp_signed(sign, value, limit)
            value = self.builder.select(beyond, limit, value)
        return value


@intrinsic
def transform_block(  # type: ignore[no-untyped-def]
    typing_context, table, cell, slope, source, first, result, target, along, step, red, green, blue, depth, white
):
    """Transform `LANES` neighbouring pixels between two columns of grid cells, one pixel per lane.

    Args:
        typing_context: context that numba passes.
        table: float32. The first part holds the values of one row of the grid. Each cell has 12 coefficients, and each
            coefficient has `LANES` values, one for each depth of the grid. The second part holds, for each value, the
            value of the next column of cells minus this value.
        cell: offset in the table at which the first of the two columns begins.
        slope: distance in the table, in floats, from a value to its difference in the second part.
        source: interleaved pixels. The function reads `3 * LANES` values.
        first: offset in `source` of the first value to read.
        result: interleaved pixels to write, in the type of the source.
        target: offset in `result` of the first value to write.
        along: weight of the second column of cells for the first pixel.
        step: increase of the weight `along` from pixel to pixel.
        red: weight of red in the guide, in cells per level.
        green: weight of green in the guide, in cells per level.
        blue: weight of blue in the guide, in cells per level.
        depth: number of cells in depth, at least 2.
        white: the value of white, an integer for integer pixels.
    """
    rounded, count, f32 = isinstance(white, types.Integer), LANES, types.float32
    signature = types.void(
        table, types.intp, types.intp, source, types.intp, result, types.intp, f32, f32, f32, f32, f32, types.int32,
        types.int32 if rounded else f32,
    )  # fmt: skip

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        table, cell, slope, source, first, result, target, along, step, *weights, depth, white = arguments
        v, kinds = _Vectors(context, builder), signature.args
        element = context.get_data_type(kinds[3].dtype)
        pixels = v.load(v.address(kinds[3], source, first), 3 * count, element)
        channels = [v.pick(pixels, range(channel, 3 * count, 3)) for channel in range(3)]
        if rounded:
            floats = ir.VectorType(_FLOAT, count)
            channels = [builder.uitofp(channel, floats) for channel in channels]
        zero = v.constant([0.0] * count)
        across = v.muladd(v.constant(map(float, range(count))), v.spread(step, count), v.spread(along, count))
        across = v.clamp(across, zero, v.constant([1.0] * count))
        guide = v.constant([-0.5] * count)
        for channel, weight in zip(channels, weights, strict=True):
            guide = v.muladd(channel, v.spread(weight, count), guide)
        last = builder.sub(depth, ir.Constant(_INT, 1))
        guide = v.clamp(guide, zero, v.spread(builder.sitofp(last, _FLOAT), count))
        below_last = v.pick(v.pack([builder.sub(depth, ir.Constant(_INT, 2))], _INT), [0] * count)
        # Clamped again as integers, because a NaN guide would index outside the table.
        level = builder.fptosi(guide, ir.VectorType(_INT, count))
        level = v.clamp(level, v.constant([0] * count, _INT), below_last)
        deep = builder.fsub(guide, builder.sitofp(level, guide.type), flags=_FAST)
        following = builder.add(level, v.constant([1] * count, _INT))
        starts = [v.address(kinds[0], table, start) for start in (cell, builder.add(cell, slope))]
        coefficients = []
        for number in range(12):
            values, slopes = (
                v.load(builder.gep(start, [ir.Constant(_INT, number * count)]), count) for start in starts
            )
            near, far = (
                v.muladd(across, v.look_up(slopes, where), v.look_up(values, where)) for where in (level, following)
            )
            coefficients.append(v.between(near, far, deep))
        top = v.spread(builder.sitofp(white, _FLOAT) if rounded else white, count)
        outputs = []
        for row in range(3):
            *factors, output = coefficients[4 * row : 4 * row + 4]
            for factor, channel in zip(factors, channels, strict=True):
                output = v.muladd(factor, channel, output)
            if rounded:
                output = builder.fadd(output, v.constant([0.5] * count), flags=_FAST)
            output = v.clamp(output, zero, top)
            if rounded:
                output = builder.fptoui(output, ir.VectorType(element, count))
            outputs.append(output)
        pair = v.pick(outputs[0], range(2 * count), outputs[1])
        third = v.pick(outputs[2], [lane % count for lane in range(2 * count)])
        order = [channel * count + pixel for pixel in range(count) for channel in range(3)]
        v.store(v.pick(pair, order, third), v.address(kinds[5], result, target))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def transform_pixel(  # type: ignore[no-untyped-def]
    typing_context, table, here, there, slope, red, green, blue, along, deep, white
):
    """Transform one pixel by interpolation between four grid cells, one vector per cell.

    Args:
        typing_context: context that numba passes.
        table: float32. The first part holds the cells of one row of the grid. The second part holds, for each cell, the
            next cell in x minus this cell.
        here: offset in the table of the cell at the lower depth.
        there: offset in the table of the cell at the next depth.
        slope: distance in the table, in floats, from a cell to its differences in the second part.
        red: red value of the pixel.
        green: green value of the pixel.
        blue: blue value of the pixel.
        along: weight of the next cell in x.
        deep: weight of the next cell in depth.
        white: the value of white, an integer for integer results.

    Returns:
        The new colour, three values in [0, white].
    """
    rounded = isinstance(white, types.Integer)
    kind = types.int32 if rounded else types.float32
    signature = types.UniTuple(kind, 3)(table, types.intp, types.intp, types.intp, *[types.float32] * 5, kind)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        table, here, there, slope, red, green, blue, along, deep, white = arguments
        v = _Vectors(context, builder)

        def cell(start: Any) -> Any:
            return v.load(v.address(signature.args[0], table, start), CELL)

        near, far = (
            v.muladd(v.spread(along, CELL), cell(builder.add(start, slope)), cell(start)) for start in (here, there)
        )
        columns = v.between(near, far, v.spread(deep, CELL))
        # Multiply the four columns by red, green, blue and 1, then sum the columns.
        colour = v.pick(v.pack([red, green, blue, ir.Constant(_FLOAT, 1.0)]), [lane // 4 for lane in range(CELL)])
        products = builder.fmul(columns, colour, flags=_FAST)
        halves = builder.fadd(v.pick(products, range(8)), v.pick(products, range(8, 16)), flags=_FAST)
        result = builder.fadd(v.pick(halves, range(4)), v.pick(halves, range(4, 8)), flags=_FAST)
        if rounded:
            result = builder.fadd(result, v.constant([0.5] * 4), flags=_FAST)
            white = builder.sitofp(white, _FLOAT)
        result = v.clamp(result, v.constant([0.0] * 4), v.spread(white, 4))
        if rounded:
            result = builder.fptosi(result, ir.VectorType(_INT, 4))
        channels = [builder.extract_element(result, ir.Constant(_INT, lane)) for lane in range(3)]
        return context.make_tuple(builder, signature.return_type, channels)

    return signature, generate
