"""The loops of `lut.fit_lut`, compiled for one thread.

A step of conjugate gradients takes a tenth of a millisecond, and a fit takes thousands. Threads would spend more time
waiting for each other than computing, above all if other work shares the cores.
"""

import numpy as np

from lookcast.ops.bilateral.cpu import compile_kernel


@compile_kernel
def add_pairs(along, change, member, products, sums):  # type: ignore[no-untyped-def]
    """Add pairs of colours to the sums of their cells.

    Args:
        along: position of each source colour in its cell, `(N, 3)` in [0, 1].
        change: change of each colour, `(N, 3)`.
        member: number of each pair's cell, `(N,)`.
        products: `(C, 8, 8)`; for every two corners of a cell, receives the sum of the products of their weights.
        sums: `(C, 8, 3)`; for every corner, receives the sum of its weight times the colour change.
    """
    weights = np.empty(8, along.dtype)
    for pair in range(len(member)):
        cell = member[pair]
        for corner in range(8):  # as in `lut._CORNERS`
            weight = along.dtype.type(1)
            for channel in range(3):
                part = along[pair, channel]
                weight *= part if corner >> channel & 1 else 1 - part
            weights[corner] = weight
        for row in range(8):
            for column in range(8):
                products[cell, row, column] += weights[row] * weights[column]
            for channel in range(3):
                sums[cell, row, channel] += weights[row] * change[pair, channel]


@compile_kernel
def solve(  # type: ignore[no-untyped-def]
    nodes, products, sums, diagonal, size, slope, curve, tolerance, steps, table
):
    """Solve the normal equations by conjugate gradients, preconditioned by the diagonal.

    Args:
        nodes: see `lut._Pairs`.
        products: see `lut._Pairs`.
        sums: right side, `(3, S^3)`.
        diagonal: diagonal of the matrix, `(S^3,)`.
        size: S.
        slope: see `multiply`.
        curve: see `multiply`.
        tolerance: relative tolerance of the residual. The steps end when all three channels reach it.
        steps: largest number of steps.
        table: the start, `(3, S^3)`; receives the solution.
    """
    image, spare = np.empty_like(diagonal), np.empty_like(diagonal)
    residual, direction = np.empty_like(table), np.empty_like(table)
    square, limit = np.zeros(3), np.zeros(3)
    for c in range(3):
        multiply(nodes, products, size, slope, curve, table[c], image, spare)
        residual[c] = sums[c] - image
        direction[c] = residual[c] / diagonal
        for i in range(len(diagonal)):
            square[c] += residual[c, i] * direction[c, i]
            limit[c] += tolerance * tolerance * sums[c, i] * sums[c, i] / diagonal[i]
    for _ in range(steps):
        if np.all(square <= limit):
            break
        for c in range(3):
            if square[c] > 0:  # 0 for a channel without any change
                multiply(nodes, products, size, slope, curve, direction[c], image, spare)
                square[c] = step_along(direction[c], image, diagonal, square[c], table[c], residual[c])


@compile_kernel
def step_along(direction, image, diagonal, square, table, residual):  # type: ignore[no-untyped-def]
    """Make one step of a channel, and find the next direction. Return the new squared residual.

    Args:
        direction: direction of the step, `(S^3,)`; receives the next one.
        image: product of the matrix and the direction.
        diagonal: see `solve`.
        square: squared residual, in the metric of the preconditioner.
        table: the channel before the step, receives the channel after it; likewise `residual`.
        residual: see `table`.
    """
    curvature, after = 0.0, 0.0
    for i in range(len(table)):
        curvature += direction[i] * image[i]
    length = table.dtype.type(square / curvature)
    for i in range(len(table)):
        table[i] += length * direction[i]
        residual[i] -= length * image[i]
        after += residual[i] * residual[i] / diagonal[i]
    growth = table.dtype.type(after / square)
    for i in range(len(table)):
        direction[i] = residual[i] / diagonal[i] + growth * direction[i]
    return after


@compile_kernel
def multiply(nodes, products, size, slope, curve, table, result, spare):  # type: ignore[no-untyped-def]
    """Multiply a channel of a table by the matrix of the normal equations.

    With D as the differences along an axis, the matrix is the sum of the products over the cells, plus
    `D^T (slope + curve D^T D) D` for each axis.

    Args:
        nodes: see `lut._Pairs`.
        products: see `lut._Pairs`.
        size: S.
        slope: weight of the squared differences.
        curve: weight of the squared second differences.
        table: `(S^3,)`.
        result: `(S^3,)`, receives the product.
        spare: `(S^3,)`, receives other values.
    """
    result[:] = 0
    for cell in range(len(nodes)):
        for row in range(8):
            added = table.dtype.type(0)
            for column in range(8):
                added += products[cell, row, column] * table[nodes[cell, column]]
            result[nodes[cell, row]] += added
    for axis in range(3):
        step = size**axis
        block = step * size
        # numba compiles loops to vector code if one array changes per loop, and if no index has an offset.
        flow, next_flow = spare[: block - step], spare[step : block - step]
        for start in range(0, len(table), block):
            first, second, third = [table[start + i * step : start + block] for i in range(3)]
            here, there = result[start : start + block - step], result[start + step : start + block]
            for i in range(len(flow)):
                flow[i] = slope * (second[i] - first[i])
            for i in range(len(third)):
                flow[i] -= curve * (first[i] - 2 * second[i] + third[i])
            for i in range(len(third)):
                next_flow[i] += curve * (first[i] - 2 * second[i] + third[i])
            for i in range(len(flow)):
                here[i] -= flow[i]
            for i in range(len(flow)):
                there[i] += flow[i]
