import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lookcast.checks import InputError, ShapeError
from lookcast.encoders.compact import TAPS
from lookcast.encoders.teacher import BLOCKS, TeacherEncoder
from lookcast.weights import CheckpointError
from tests.samples import rand

WIDTHS = {"preprocess": 3, "conv1_1": 4, "conv1_2": 4, "conv2_1": 5, "conv2_2": 5, "conv3_1": 6, "conv3_2": 6}
WIDTHS |= {"conv3_3": 6, "conv3_4": 6, "conv4_1": 7}


def teacher_arrays():
    """A network of the published layout, narrow and random; one channel of every tap is dead."""
    rng, arrays, inputs = np.random.default_rng(0), {}, 3
    for name, outputs in WIDTHS.items():
        size = 1 if name == "preprocess" else 3
        arrays[f"encoder.{name}.weight"] = rng.normal(0, 0.5, (outputs, inputs, size, size)).astype(np.float32)
        arrays[f"encoder.{name}.bias"] = rng.normal(0, 0.5, outputs).astype(np.float32)
        inputs = outputs
    for tap, block in zip(TAPS, BLOCKS, strict=True):
        channels = WIDTHS[block[-1]]
        arrays[f"alive.{tap}"] = np.arange(channels) != 1
        arrays[f"mean.{tap}"] = rng.normal(0, 1, channels).astype(np.float32)
        arrays[f"std.{tap}"] = rng.uniform(0.5, 2, channels).astype(np.float32)
    return {**arrays, "decoder.conv1_1.weight": np.zeros((3, 3), np.float32)}


@pytest.fixture
def weights(tmp_path):
    np.savez(tmp_path / "teacher.npz", **teacher_arrays())
    return tmp_path / "teacher.npz"


def literal(image):
    """The graph as its authors' files describe it, layer by layer."""
    arrays = {name: torch.from_numpy(array) for name, array in teacher_arrays().items()}
    taps, x = {}, image
    for tap, block in zip(TAPS, BLOCKS, strict=True):
        for name in block:
            if name == "pool":
                x = F.max_pool2d(x, 2)
                continue
            weight, bias = arrays[f"encoder.{name}.weight"], arrays[f"encoder.{name}.bias"]
            if name == "preprocess":
                x = F.conv2d(x, weight, bias)
            else:
                x = F.relu(F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), weight, bias))
        alive = arrays[f"alive.{tap}"]
        mean, std = (arrays[f"{key}.{tap}"].view(1, -1, 1, 1) for key in ("mean", "std"))
        taps[tap] = ((x - mean) / std)[:, alive]
    return taps


class TestTeacherEncoder:
    @pytest.mark.parametrize("size", [(16, 16), (33, 50)])
    def test_shape(self, weights, size):
        encoder = TeacherEncoder(weights)
        features = encoder(rand(2, 3, *size, dtype=torch.float32))
        assert list(features) == list(TAPS) == list(encoder.taps)
        assert encoder.channels == dict(zip(TAPS, (3, 4, 5, 6), strict=True))
        for tap, maps in features.items():
            stride = encoder.strides[tap]
            assert maps.shape == (2, encoder.channels[tap], size[0] // stride, size[1] // stride)

    def test_matches_the_graph_written_out(self, weights):
        image = rand(2, 3, 20, 24, dtype=torch.float32)
        features = TeacherEncoder(weights)(image)
        for tap, expected in literal(image).items():
            torch.testing.assert_close(features[tap], expected, rtol=1e-5, atol=1e-5)

    def test_selects_taps(self, weights):
        encoder, image = TeacherEncoder(weights, taps=["relu2_1"]), rand(1, 3, 16, 16, dtype=torch.float32)
        assert torch.equal(encoder(image)["relu2_1"], TeacherEncoder(weights)(image)["relu2_1"])
        assert list(encoder(image)) == ["relu2_1"]
        with pytest.raises(InputError, match="taps: 'relu5_1' is not a tap"):
            TeacherEncoder(weights, taps=["relu5_1"])

    def test_is_frozen(self, weights):
        encoder = TeacherEncoder(weights).train()
        assert list(encoder.parameters()) == []
        assert encoder.state_dict() == {}
        assert not any(module.training for module in encoder.modules())

    def test_rejects_small_images(self, weights):
        with pytest.raises(ShapeError, match=r"image: expected shape .*H >= 16"):
            TeacherEncoder(weights)(rand(1, 3, 15, 40, dtype=torch.float32))

    def test_rejects_a_missing_file(self, tmp_path):
        with pytest.raises(CheckpointError, match=r"none\.npz: no such file of weights"):
            TeacherEncoder(tmp_path / "none.npz")

    def test_rejects_a_cut_or_foreign_file(self, weights):
        weights.write_bytes(weights.read_bytes()[:2000])
        with pytest.raises(CheckpointError, match=r"teacher\.npz: not a whole \.npz file"):
            TeacherEncoder(weights)
        weights.write_text("no weights")
        with pytest.raises(CheckpointError, match=r"teacher\.npz: not a whole \.npz file"):
            TeacherEncoder(weights)

    def test_rejects_arrays_that_unpack_to_gigabytes(self, weights):
        np.savez_compressed(weights, **teacher_arrays(), more=np.zeros(80 << 20, np.uint8))
        assert weights.stat().st_size < 1 << 20
        with pytest.raises(CheckpointError, match=r"the arrays take \d+ bytes, more than the limit of \d+ bytes"):
            TeacherEncoder(weights)

    def test_rejects_a_folder(self, tmp_path):
        with pytest.raises(CheckpointError, match=r"is a folder, expected a file of weights$"):
            TeacherEncoder(tmp_path)

    @pytest.mark.parametrize("name", ["encoder.conv3_3.bias", "alive.relu1_1", "std.relu4_1"])
    def test_rejects_a_file_without_an_array(self, weights, name):
        arrays = teacher_arrays()
        del arrays[name]
        np.savez(weights, **arrays)
        with pytest.raises(CheckpointError, match=f"lacks the array '{name}'"):
            TeacherEncoder(weights)

    def test_rejects_arrays_that_do_not_fit(self, weights):
        np.savez(weights, **{**teacher_arrays(), "alive.relu1_1": np.ones(9, bool)})
        with pytest.raises(CheckpointError, match=r"alive\.relu1_1: expected shape \(4,\), bool for alive"):
            TeacherEncoder(weights)
        for name, array in (
            ("encoder.conv2_1.weight", np.zeros((5, 3, 3, 3))),
            ("encoder.conv1_1.weight", np.zeros(4)),
        ):
            np.savez(weights, **{**teacher_arrays(), name: array})
            with pytest.raises(CheckpointError, match=rf"{name}: expected \d input channels, got shape \("):
                TeacherEncoder(weights)
        np.savez(weights, **{**teacher_arrays(), "encoder.conv1_1.bias": np.full(4, np.nan)})
        with pytest.raises(CheckpointError, match=r"weight 'encoder\.conv1_1\.bias' holds values that are not finite"):
            TeacherEncoder(weights)
        np.savez(weights, **{**teacher_arrays(), "encoder.conv1_1.weight": np.zeros((4, 3, 5, 5), np.float32)})
        with pytest.raises(CheckpointError, match=r"weight 'encoder\.conv1_1\.weight' has shape \(4, 3, 5, 5\)"):
            TeacherEncoder(weights)
