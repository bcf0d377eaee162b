"""Vector code of the CPU kernels, in LLVM's intermediate representation.

numba would not compile Python loops to this vector code. `transform_block` and `transform_pixel` interpolate the
coefficients of affine transforms between grid cells, and apply the result to colours. The interpolation of a and b with
weight w is `a + w (b - a)`.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from lookcast.ops.bilateral.cpu_vectors import FAST, FLOAT, INT, LANES, Vectors
from lookcast.ops.color import LUMA

CELL = 16
"""Number of floats per cell for `transform_pixel`: four columns of a 3x4 transform, each padded to four values."""


def _transform(
    v: Vectors, starts: list[Any], channels: list[Any], weights: list[Any], along: Any, step: Any, depth: Any
) -> list[Any]:
    """Return the code that transforms `LANES` neighbouring pixels; see `transform_block`.

    Args:
        v: the builder.
        starts: addresses of the two parts of the table, at the first of the two columns of cells.
        channels: vectors of red, green and blue.
        weights: weights of the channels in the guide, in cells per level.
        along: see `transform_block`.
        step: see `transform_block`.
        depth: see `transform_block`.
    """
    builder, count = v.builder, LANES
    zero = v.constant([0.0] * count)
    across = v.muladd(v.constant(map(float, range(count))), v.spread(step, count), v.spread(along, count))
    across = v.clamp(across, zero, v.constant([1.0] * count))
    guide = v.constant([-0.5] * count)
    for channel, weight in zip(channels, weights, strict=True):
        guide = v.muladd(channel, v.spread(weight, count), guide)
    last = builder.sub(depth, ir.Constant(INT, 1))
    guide = v.clamp(guide, zero, v.spread(builder.sitofp(last, FLOAT), count))
    below_last = v.pick(v.pack([builder.sub(depth, ir.Constant(INT, 2))], INT), [0] * count)
    # Clamped again as integers, because a NaN guide would index outside the table.
    level = builder.fptosi(guide, ir.VectorType(INT, count))
    level = v.clamp(level, v.constant([0] * count, INT), below_last)
    deep = builder.fsub(guide, builder.sitofp(level, guide.type), flags=FAST)
    following = builder.add(level, v.constant([1] * count, INT))
    outputs = []
    for row in range(3):
        coefficients = []
        for number in range(4 * row, 4 * row + 4):
            values, slopes = (v.load(builder.gep(start, [ir.Constant(INT, number * count)]), count) for start in starts)
            near, far = (
                v.muladd(across, v.look_up(slopes, where), v.look_up(values, where)) for where in (level, following)
            )
            coefficients.append(v.between(near, far, deep))
        *factors, output = coefficients
        for factor, channel in zip(factors, channels, strict=True):
            output = v.muladd(factor, channel, output)
        outputs.append(output)
    return outputs


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
        v, kinds = Vectors(context, builder), signature.args
        element = context.get_data_type(kinds[3].dtype)
        pixels = v.load(v.address(kinds[3], source, first), 3 * count, element)
        channels = [v.pick(pixels, range(channel, 3 * count, 3)) for channel in range(3)]
        if rounded:
            floats = ir.VectorType(FLOAT, count)
            channels = [builder.uitofp(channel, floats) for channel in channels]
        starts = [v.address(kinds[0], table, start) for start in (cell, builder.add(cell, slope))]
        top = v.spread(builder.sitofp(white, FLOAT) if rounded else white, count)
        outputs = []
        for output in _transform(v, starts, channels, weights, along, step, depth):
            if rounded:
                output = builder.fadd(output, v.constant([0.5] * count), flags=FAST)
            output = v.clamp(output, v.constant([0.0] * count), top)
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
def transform_planar_block(typing_context, table, cell, slope, source, result, first, distance, along, step, depth):  # type: ignore[no-untyped-def]
    """Transform `LANES` neighbouring pixels of which each channel is a row of float32 values in [0, 1].

    Args:
        typing_context: context that numba passes.
        table: see `transform_block`, as `cell`, `slope`, `along`, `step` and `depth`.
        cell: see above.
        slope: see above.
        source: the rows of red, green and blue, one after another.
        result: the rows to write.
        first: offset in both of the first red value.
        distance: distance in both from a red value to the green value of the same pixel, and from green to blue.
        along: see above.
        step: see above.
        depth: see above.
    """
    f32 = types.float32
    signature = types.void(table, types.intp, types.intp, source, result, types.intp, types.intp, f32, f32, types.int32)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        table, cell, slope, source, result, first, distance, along, step, depth = arguments
        v, kinds = Vectors(context, builder), signature.args
        places = [first, builder.add(first, distance)]
        places.append(builder.add(places[1], distance))
        channels = [v.load(v.address(kinds[3], source, place), LANES) for place in places]
        scale = builder.sitofp(depth, FLOAT)
        weights = [builder.fmul(ir.Constant(FLOAT, weight), scale, flags=FAST) for weight in LUMA]
        starts = [v.address(kinds[0], table, start) for start in (cell, builder.add(cell, slope))]
        outputs = _transform(v, starts, channels, weights, along, step, depth)
        for output, place in zip(outputs, places, strict=True):
            output = v.clamp(output, v.constant([0.0] * LANES), v.constant([1.0] * LANES))
            v.store(output, v.address(kinds[4], result, place))
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
        v = Vectors(context, builder)

        def cell(start: Any) -> Any:
            return v.load(v.address(signature.args[0], table, start), CELL)

        near, far = (
            v.muladd(v.spread(along, CELL), cell(builder.add(start, slope)), cell(start)) for start in (here, there)
        )
        columns = v.between(near, far, v.spread(deep, CELL))
        # Multiply the four columns by red, green, blue and 1, then sum the columns.
        colour = v.pick(v.pack([red, green, blue, ir.Constant(FLOAT, 1.0)]), [lane // 4 for lane in range(CELL)])
        products = builder.fmul(columns, colour, flags=FAST)
        halves = builder.fadd(v.pick(products, range(8)), v.pick(products, range(8, 16)), flags=FAST)
        result = builder.fadd(v.pick(halves, range(4)), v.pick(halves, range(4, 8)), flags=FAST)
        if rounded:
            result = builder.fadd(result, v.constant([0.5] * 4), flags=FAST)
            white = builder.sitofp(white, FLOAT)
        result = v.clamp(result, v.constant([0.0] * 4), v.spread(white, 4))
        if rounded:
            result = builder.fptosi(result, ir.VectorType(INT, 4))
        channels = [builder.extract_element(result, ir.Constant(INT, lane)) for lane in range(3)]
        return context.make_tuple(builder, signature.return_type, channels)

    return signature, generate
