import pytest

from lookcast.evaluation.scatter import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axes, scatter_plot


def report(points):
    pairs = [{"name": f"p{i}", "figures": {"output": {"gram": x, "edge_ssim": y}}} for i, (x, y) in enumerate(points)]
    return {"pairs": pairs, "means": {"output": {"num_pairs": 1}}, "published": []}


class TestAxes:
    def test_known_value(self):
        axes = Axes((0.0, 2.0), (0.5, 1.0))
        assert axes.at(0, 0.5) == (LEFT, HEIGHT - BOTTOM)
        assert axes.at(2, 1) == (WIDTH - RIGHT, TOP)
        assert axes.at(1, 0.75) == ((LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2)


class TestScatterPlot:
    def test_better_is_up_and_to_the_left(self):
        first, second = scatter_plot(report([(0.2, 0.9), (1.1, 0.6)]))["dots"]
        assert first.x < second.x
        assert first.y < second.y
        assert first[:2] == ("output", "p0, output: Gram 0.200, edge SSIM 0.900")

    @pytest.mark.parametrize("points", [[(0.5, 1.0)], [(0.31, 0.58), (1.42, 1.0)], [(0.2, 0.1), (57.0, 0.9)], [(0, 0)]])
    def test_axes_hold_every_point_with_a_few_round_ticks(self, points):
        plot = scatter_plot(report(points))
        for mark in plot["dots"]:
            assert LEFT <= mark.x <= WIDTH - RIGHT
            assert TOP <= mark.y <= HEIGHT - BOTTOM
        for ticks in (plot["x_ticks"], plot["y_ticks"]):
            values = [value for value, _ in ticks]
            assert 2 <= len(values) <= 13
            assert values == sorted(set(values))
            assert all(round(10 * value) == pytest.approx(10 * value) for value in values)
        assert plot["y_ticks"][-1][0] <= 1.0

    def test_points_without_a_figure_are_left_out(self):
        plot = scatter_plot(report([(None, 0.5), (0.2, None), (0.3, 0.6)]))
        assert [mark.title[:2] for mark in plot["dots"]] == ["p2"]
        assert plot["means"] == plot["published"] == []
        assert scatter_plot(report([(None, None)]))["dots"] == []
