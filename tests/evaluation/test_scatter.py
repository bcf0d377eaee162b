import re

import pytest

from lookcast.evaluation.scatter import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axes, scatter_svg


def report(points):
    pairs = [{"name": f"p{i}", "figures": {"output": {"gram": x, "edge_ssim": y}}} for i, (x, y) in enumerate(points)]
    return {"pairs": pairs, "means": {"output": {"num_pairs": 1}}, "published": []}


def ticks(svg, anchor):
    return [float(text) for text in re.findall(rf'class="tick"[^>]*text-anchor="{anchor}">([\d.-]+)<', svg)]


class TestAxes:
    def test_known_value(self):
        axes = Axes((0.0, 2.0), (0.5, 1.0))
        assert axes.at(0, 0.5) == (LEFT, HEIGHT - BOTTOM)
        assert axes.at(2, 1) == (WIDTH - RIGHT, TOP)
        assert axes.at(1, 0.75) == ((LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2)


class TestScatterSvg:
    def test_better_is_up_and_to_the_left(self):
        svg = scatter_svg(report([(0.2, 0.9), (1.1, 0.6)]), {"output": "red"})
        (x1, y1), (x2, y2) = (
            (float(x), float(y)) for x, y in re.findall(r'class="dot" cx="([\d.]+)" cy="([\d.]+)"', svg)
        )
        assert x1 < x2
        assert y1 < y2

    @pytest.mark.parametrize("points", [[(0.5, 1.0)], [(0.31, 0.58), (1.42, 1.0)], [(0.2, 0.1), (57.0, 0.9)], [(0, 0)]])
    def test_axes_hold_every_point_with_a_few_round_ticks(self, points):
        svg = scatter_svg(report(points), {"output": "red"})
        for x, y in re.findall(r'class="dot" cx="([\d.]+)" cy="([\d.]+)"', svg):
            assert LEFT <= float(x) <= WIDTH - RIGHT
            assert TOP <= float(y) <= HEIGHT - BOTTOM
        for anchor in ("middle", "end"):
            found = ticks(svg, anchor)
            assert 2 <= len(found) <= 13
            assert found == sorted(set(found))
        assert max(ticks(svg, "end")) <= 1.0
