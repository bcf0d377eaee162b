import json

import numpy as np
import pytest
import skimage.data
import torch

from lookcast.checks import InputError
from lookcast.inference.export.graph import (
    MAX_DIFFERENCE,
    AnyStyleGraph,
    FixedStyleGraph,
    check_same,
    example,
    graph_of,
    metadata,
)
from lookcast.inference.stylizer import Stylizer
from lookcast.structures import StyleInput
from tests.looks import ALL_PARTS, look, universal_look

PHOTO, STYLE, OTHER = (getattr(skimage.data, name)()[::3, ::3] for name in ("coffee", "rocket", "chelsea"))
CPU = torch.device("cpu")


def planes(pixels):
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255


@torch.no_grad()
def pixels(graph, *photos):
    return graph(*map(planes, photos))[0].permute(1, 2, 0).numpy()


class TestGraphOf:
    def test_single_look(self):
        stylizer = Stylizer(look(), {}, "cpu")
        graph = graph_of(stylizer)
        assert (type(graph), graph.inputs) == (FixedStyleGraph, ("content",))
        assert np.allclose(pixels(graph, PHOTO), stylizer.stylize(PHOTO / np.float32(255)), atol=1e-5)

    @pytest.mark.parametrize("parts", [{}, ALL_PARTS], ids=["plain", "all parts"])
    def test_styles_of_a_universal_checkpoint(self, parts):
        stylizer = Stylizer(universal_look(**parts), {}, "cpu", "float32")
        graph = graph_of(stylizer, [StyleInput(STYLE, weight=3), OTHER])
        assert (type(graph), graph.inputs) == (FixedStyleGraph, ("content",))
        expected = stylizer.stylize(PHOTO / np.float32(255), [STYLE, OTHER], weights=[3, 1])
        assert np.allclose(pixels(graph, PHOTO), expected, atol=1e-5)
        assert np.abs(expected - stylizer.stylize(PHOTO / np.float32(255), [STYLE, OTHER])).mean() > 1e-3

    @pytest.mark.parametrize("parts", [{}, ALL_PARTS], ids=["plain", "all parts"])
    def test_any_style(self, parts):
        stylizer = Stylizer(universal_look(**parts), {}, "cpu", "float32")
        graph = graph_of(stylizer)
        assert (type(graph), graph.inputs) == (AnyStyleGraph, ("content", "style"))
        expected = stylizer.stylize(PHOTO / np.float32(255), STYLE / np.float32(255))
        assert np.allclose(pixels(graph, PHOTO, STYLE), expected, atol=1e-5)

    def test_universal_graph_is_traced_for_every_size(self):
        """The traced program, which both kinds of files hold, equals the graph on sizes that were not traced."""
        graph = graph_of(Stylizer(universal_look(depth=2, **ALL_PARTS), {}, "cpu", "float32"))
        inputs, dynamic = example(graph, CPU)
        program = torch.export.export(graph, inputs, dynamic_shapes=dynamic)
        assert check_same(program.module(), graph, CPU, [PHOTO]) <= MAX_DIFFERENCE
        assert (program.module()(*inputs) - inputs[0]).abs().mean() > 0.02

    def test_rejects_what_does_not_go_together(self):
        with pytest.raises(InputError, match=r"^style: has a mask, but exported files have no masks$"):
            graph_of(Stylizer(universal_look(), {}, "cpu", "float32"), StyleInput(STYLE, torch.zeros(STYLE.shape[:2])))
        with pytest.raises(InputError, match=r"^style: the bilateral generator has a fixed style"):
            graph_of(Stylizer(look(), {}, "cpu"), STYLE)

    def test_in_float32_whatever_the_stylizer_computes_in(self):
        exact, fast = (Stylizer(universal_look(), {}, "cpu", "float32") for _ in range(2))
        fast.generator.encoder.half_precision = True
        assert np.array_equal(pixels(graph_of(fast), PHOTO, STYLE), pixels(graph_of(exact), PHOTO, STYLE))
        assert fast.generator.encoder.half_precision


class TestCheckSame:
    @pytest.mark.parametrize("size", [1e-6, 5e-5])
    def test_known_difference(self, size):
        graph = graph_of(Stylizer(look(), {}, "cpu"))
        assert check_same(lambda x: graph(x) + size, graph, CPU, [PHOTO]) == pytest.approx(size, rel=0.2)

    def test_photos_count(self):
        graph, seen = graph_of(Stylizer(look(), {}, "cpu")), []
        check_same(lambda x: seen.append(x) or graph(x), graph, CPU, [PHOTO])
        assert [tuple(x.shape) for x in seen] == [(1, 3, 480, 640)] * 2 + [(2, 3, 811, 607), (1, 3, 811, 607)]
        assert all(x.is_contiguous() for x in seen)

    @pytest.mark.parametrize("size", [2 * MAX_DIFFERENCE, float("nan")])
    def test_rejects_a_larger_one(self, size):
        graph = graph_of(Stylizer(look(), {}, "cpu"))
        with pytest.raises(RuntimeError, match=r"differs from PyTorch by .*; the limit is 0.0001"):
            check_same(lambda x: graph(x) + size, graph, CPU)


class TestMetadata:
    def test_holds_the_header(self):
        header = {"licence": "research", "metrics": {"gram": 0.5}}
        found = metadata(Stylizer(look(), header, "cpu"))
        assert json.loads(found.pop("lookcast")) == header
        assert found == {"licence": "research"}
        assert metadata(Stylizer(look(), {}, "cpu")) == {"lookcast": "{}"}
