import json

import onnx
import onnxruntime
import pytest
import skimage.data
import torch

from lookcast.checks import InputError
from lookcast.generators import FixedStyleGenerator
from lookcast.inference.export import onnx as onnx_export
from lookcast.inference.export.graph import MAX_DIFFERENCE
from lookcast.inference.export.onnx import export_onnx
from lookcast.inference.stylizer import Stylizer
from tests.looks import ALL_PARTS, look, universal_look

PHOTO, STYLE, OTHER = skimage.data.coffee(), skimage.data.rocket(), skimage.data.chelsea()
SIZES = [(1, 256, 256), (2, 64, 64), (1, 401, 300)]
"""Batch, height and width; a network's own thumbnail, and others."""


def planes(pixels, batch=1, height=None, width=None):
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    if height is not None:
        image = torch.nn.functional.interpolate(image, (height, width), mode="bilinear", antialias=True)
    return torch.cat([image, image.flip(1)])[:batch].clamp(0, 1)


def run(path, *inputs):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    feeds = dict(zip(names, [tensor.numpy() for tensor in inputs], strict=True))
    return torch.from_numpy(session.run(["image"], feeds)[0])


@torch.no_grad()
def largest(path, generator, *styles):
    """Largest difference to the generator's own result over `SIZES`."""
    contents = [planes(PHOTO, *size) for size in SIZES]
    return max((run(path, x, *styles) - generator(x, *styles).image.clamp(0, 1)).abs().max().item() for x in contents)


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """A single look, its file, and what the export said."""
    path = tmp_path_factory.mktemp("onnx") / "look.onnx"
    stylizer = Stylizer(look(), {"licence": "test", "metrics": {"gram": 0.5}}, "cpu")
    return stylizer, path, export_onnx(stylizer, path, photos=[PHOTO])


class TestSingleLook:
    def test_matches_the_generator(self, single):
        stylizer, path, difference = single
        assert difference < 1e-5
        assert largest(path, stylizer.generator) < 1e-5

    def test_is_valid_and_says_what_it_is(self, single):
        stylizer, path, _ = single
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=True)
        assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 20)]
        shapes = [[d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in model.graph.input]
        assert shapes == [["batch", 3, "height", "width"]]
        properties = {entry.key: entry.value for entry in model.metadata_props}
        assert json.loads(properties["lookcast"]) == stylizer.header
        assert properties["licence"] == "test"

    def test_has_operators_that_every_runtime_knows(self, single):
        operators = {node.op_type for node in onnx.load(single[1]).graph.node}
        assert not operators & {"GridSample", "Loop", "If", "Scan"}

    def test_has_no_paths_of_this_machine(self, single):
        assert b".py" not in single[1].read_bytes()

    @pytest.mark.nightly
    def test_painting_network(self, tmp_path):
        generator = look("transform")
        export_onnx(Stylizer(generator, {}, "cpu", "float32"), tmp_path / "a.onnx")
        assert largest(tmp_path / "a.onnx", generator) < MAX_DIFFERENCE


@pytest.mark.slow
class TestUniversal:
    """With a shallow grid: the time is torch's, for each node of the graph."""

    @pytest.mark.nightly
    def test_baked_look(self, tmp_path):
        generator = FixedStyleGenerator.from_universal(universal_look(depth=2), planes(STYLE)).eval()
        export_onnx(Stylizer(generator, {}, "cpu", "float32"), tmp_path / "a.onnx")
        assert largest(tmp_path / "a.onnx", generator) < MAX_DIFFERENCE

    @pytest.mark.nightly  # test_graph.py traces the same graph
    @pytest.mark.parametrize("parts", [{}, ALL_PARTS], ids=["plain", "all parts"])
    def test_any_style(self, tmp_path, parts):
        stylizer = Stylizer(universal_look(depth=2, **parts), {}, "cpu", "float32")
        assert export_onnx(stylizer, tmp_path / "a.onnx", photos=[PHOTO]) <= MAX_DIFFERENCE
        for style in (planes(STYLE), planes(OTHER, 1, 90, 70)):
            assert largest(tmp_path / "a.onnx", stylizer.generator, style) <= MAX_DIFFERENCE


class TestRefuses:
    @pytest.fixture
    def stylizer(self):
        return Stylizer(look(), {}, "cpu", "float32")

    def test_style_for_a_single_look(self, tmp_path, stylizer):
        with pytest.raises(InputError, match=r"^style: the bilateral generator has a fixed style"):
            export_onnx(stylizer, tmp_path / "a.onnx", STYLE)

    @pytest.mark.parametrize("library", ["onnx", "onnxscript", "onnxruntime"])
    def test_missing_library(self, tmp_path, stylizer, monkeypatch, library):
        monkeypatch.setattr(onnx_export, "find_spec", lambda name: None if name == library else object())
        with pytest.raises(InputError, match=rf"^onnx: {library} is not installed; pip install 'lookcast\[export\]'"):
            export_onnx(stylizer, tmp_path / "a.onnx")

    def test_a_file_that_differs_is_not_left(self, tmp_path, single, monkeypatch):
        monkeypatch.setattr(onnx_export, "_write", lambda graph, path, _: path.write_bytes(single[1].read_bytes()))
        with pytest.raises(RuntimeError, match=r"differs from PyTorch by .*; the limit is 0.0001"):
            export_onnx(Stylizer(look(seed=1), {}, "cpu", "float32"), tmp_path / "a.onnx")
        assert list(tmp_path.iterdir()) == []

    def test_folder_that_is_a_file(self, tmp_path, stylizer):
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(InputError, match="can't be written"):
            export_onnx(stylizer, tmp_path / "file" / "a.onnx")
