import io
import json
import zipfile

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from lookcast.checks import InputError
from lookcast.weights import (
    FORMAT_VERSION,
    CheckpointError,
    load_into,
    load_weights,
    read_state_dict,
    read_weights,
    save_weights,
)
from tests.samples import randn

TENSORS = {"weight": randn(4, 3), "bias": randn(4, seed=1)}


def _refused(path, kind="generator"):
    """The one line that is printed for a bad file."""
    with pytest.raises(CheckpointError) as error:
        read_weights(path, kind)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "look.safetensors"
    save_weights(path, "generator", TENSORS, {"name": "bilateral", "arguments": {"depth": 8}})
    return path


class TestSaveWeights:
    def test_round_trip(self, path):
        tensors, header = read_weights(str(path), "generator")
        assert tensors.keys() == TENSORS.keys()
        assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)
        assert tensors["weight"].dtype == torch.float64
        expected = {
            "format_version": FORMAT_VERSION,
            "kind": "generator",
            "name": "bilateral",
            "arguments": {"depth": 8},
        }
        assert header == expected

    def test_accepts_parameters_and_views(self, tmp_path):
        # What state_dict of a live model holds, and memory that is not contiguous.
        tensors = {"a": nn.Parameter(torch.ones(2, 3)), "b": randn(4, 5).T}
        save_weights(tmp_path / "a.safetensors", "encoder", tensors, {})
        loaded, _ = read_weights(tmp_path / "a.safetensors", "encoder")
        assert torch.equal(loaded["a"], torch.ones(2, 3))
        assert torch.equal(loaded["b"], randn(4, 5).T)

    def test_leaves_nothing_on_failure(self, tmp_path):
        with pytest.raises(TypeError):
            save_weights(tmp_path / "a.safetensors", "encoder", TENSORS, {"object": object()})
        shared = torch.zeros(4)
        with pytest.raises(RuntimeError):
            save_weights(tmp_path / "a.safetensors", "encoder", {"a": shared, "b": shared}, {})
        assert list(tmp_path.iterdir()) == []

    def test_rejects_a_folder_that_cannot_be_written(self, tmp_path):
        (tmp_path / "out").write_text("a file")
        with pytest.raises(InputError, match=r"a\.safetensors: can't be written"):
            save_weights(tmp_path / "out" / "a.safetensors", "encoder", TENSORS, {})


class TestReadWeights:
    def test_rejects_a_missing_file(self, tmp_path):
        assert "no such checkpoint" in _refused(tmp_path / "none.safetensors")
        assert "is a folder, expected a checkpoint" in _refused(tmp_path)

    @pytest.mark.parametrize("keep", [0, 5, 100, -1, -40])
    def test_rejects_a_cut_file(self, path, keep):
        path.write_bytes(path.read_bytes()[:keep])
        assert "not a whole .safetensors file" in _refused(path)

    def test_rejects_what_is_no_safetensors_file(self, path):
        path.write_bytes(b"<html>404: not found</html>\n" * 50)
        assert "not a whole .safetensors file" in _refused(path)
        torch.save(TENSORS, path)
        assert "not a whole .safetensors file" in _refused(path)

    @pytest.mark.parametrize("metadata", [None, {}, {"format": "pt"}])
    def test_rejects_a_foreign_safetensors_file(self, path, metadata):
        save_file(TENSORS, path, metadata=metadata)
        assert "lookcast did not write" in _refused(path)

    @pytest.mark.parametrize(
        "header",
        [
            "{",
            "[]",
            "{}",
            "3",
            '{"format_version": 1}',
            '{"format_version": "x", "kind": "a"}',
            '{"format_version": 1e999, "kind": "generator"}',
            '{"format_version": NaN, "kind": "generator"}',
            '{"format_version": true, "kind": "generator"}',
            '{"format_version": 1, "kind": ["generator"]}',
            '{"format_version": 1' + "0" * 5000 + "}",
            '{"kind": ' + "[" * 100_000,
            '{"format_version": 1, "kind": "generator", "x": ' + "[" * 100_000 + "]" * 100_000 + "}",
            '{"format_version": 1, "kind": "generator"}' + " " * (17 << 20),
        ],
    )
    def test_rejects_a_broken_header(self, path, header):
        save_file(TENSORS, path, metadata={"lookcast": header})
        assert "its header is not one that lookcast writes" in _refused(path)

    def test_rejects_another_kind(self, path):
        assert "holds weights of kind 'generator', expected 'encoder'" in _refused(path, "encoder")

    def test_rejects_a_newer_format(self, path):
        header = {"format_version": FORMAT_VERSION + 1, "kind": "generator"}
        save_file(TENSORS, path, metadata={"lookcast": json.dumps(header)})
        assert f"format version {FORMAT_VERSION + 1}, this lookcast reads up to {FORMAT_VERSION}" in _refused(path)


class TestReadStateDict:
    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "network.pth"
        torch.save(TENSORS, path)
        return path

    def _refused(self, path):
        """The one line that is printed for a bad file."""
        with pytest.raises(CheckpointError) as error:
            read_state_dict(path)
        message = str(error.value)
        assert message.startswith(f"{path}: ")
        assert "\n" not in message
        return message

    @pytest.mark.parametrize("name", ["network.pth", "network.safetensors"])
    def test_known_value(self, tmp_path, name):
        path = tmp_path / name
        (save_file if path.suffix == ".safetensors" else torch.save)(TENSORS, path)
        for given in (path, str(path)):
            tensors = read_state_dict(given)
            assert tensors.keys() == TENSORS.keys()
            assert all(torch.equal(tensors[key], TENSORS[key]) for key in TENSORS)

    def test_leaves_out_what_is_no_tensor(self, path):
        torch.save(TENSORS | {"epoch": 3}, path)
        assert read_state_dict(path).keys() == TENSORS.keys()

    def test_rejects_a_missing_file(self, tmp_path):
        assert "no such file" in self._refused(tmp_path / "none.pth")
        assert "is a folder, expected a file of weights" in self._refused(tmp_path)

    def test_rejects_a_file_that_cannot_be_read(self, path, monkeypatch):
        def refuse(*args, **options):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(io, "open", refuse)
        assert "can't be read (Permission denied)" in self._refused(path)

    @pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
    def test_rejects_a_cut_file(self, path, share):
        whole = path.read_bytes()
        path.write_bytes(whole[: int(share * len(whole))])
        assert "not a whole state dict" in self._refused(path)

    def test_rejects_a_cut_safetensors_file(self, tmp_path):
        path = tmp_path / "cut.safetensors"
        save_file(TENSORS, path)
        path.write_bytes(path.read_bytes()[:-100])
        assert "not a whole .safetensors file" in self._refused(path)

    @pytest.mark.parametrize("name", ["photo.jpg", "page.pth", "page.safetensors"])
    def test_rejects_what_holds_no_weights(self, tmp_path, name):
        path = tmp_path / name
        path.write_bytes(b"<html>404: not found</html>\n" * 50)
        assert "not a whole" in self._refused(path)

    def test_rejects_what_unpacks_to_more_than_its_size(self, path, tmp_path):
        with zipfile.ZipFile(path) as stored, zipfile.ZipFile(tmp_path / "a.pth", "w", zipfile.ZIP_DEFLATED) as packed:
            for entry in stored.infolist():
                packed.writestr(entry.filename, stored.read(entry))
            packed.writestr("network/data/9", bytes(10_000_000))
        assert "not a whole state dict" in self._refused(tmp_path / "a.pth")

    def test_rejects_pickled_code(self, path):
        torch.save(nn.Linear, path)  # unpickling a class imports and may run code
        assert "not a whole state dict" in self._refused(path)

    @pytest.mark.parametrize("value", [torch.zeros(3), [1]])
    def test_rejects_what_is_no_state_dict(self, path, value):
        torch.save(value, path)
        assert f"expected a state dict, the file holds a {type(value).__name__}" in self._refused(path)


class TestLoadInto:
    def test_known_value(self):
        module = nn.Linear(3, 4)
        load_into(module, TENSORS, "look.safetensors")
        torch.testing.assert_close(module.weight.data, TENSORS["weight"].float())
        torch.testing.assert_close(module.bias.data, TENSORS["bias"].float())

    @pytest.mark.parametrize(
        ("tensors", "message"),
        [
            ({"weight": TENSORS["weight"]}, "lacks the weight 'bias' of Linear"),
            (TENSORS | {"scale": torch.zeros(1)}, "has a weight 'scale' that Linear does not know"),
            (TENSORS | {"weight": torch.zeros(4, 2)}, "weight 'weight' has shape (4, 2), expected (4, 3)"),
            (TENSORS | {"bias": torch.zeros(4, 1)}, "weight 'bias' has shape (4, 1), expected (4,)"),
            ({}, "lacks the weight 'bias' of Linear"),
        ],
    )
    def test_rejects_weights_that_do_not_fit(self, tensors, message):
        module = nn.Linear(3, 4)
        before = module.weight.detach().clone()
        with pytest.raises(CheckpointError) as error:
            load_into(module, tensors, "look.safetensors")
        assert str(error.value) == f"look.safetensors: {message}"
        assert torch.equal(module.weight, before)  # nothing is loaded in part

    @pytest.mark.parametrize(
        ("bias", "said"),
        [
            (torch.full((4,), torch.nan), "values that are not finite"),
            (torch.tensor([1, 2, 3, torch.inf]), "values that are not finite"),
            (torch.tensor([1.0, 2, -3e4, 0]), "3e\\+04"),
            (torch.ones(4, dtype=torch.bool), "strided bool"),
            (torch.ones(4, dtype=torch.int64), "strided int64"),
            (torch.ones(4, dtype=torch.complex64), "strided complex64"),
            (torch.ones(4).to_sparse(), "sparse_coo float32"),
            (torch.ones(4, device="meta"), "no data"),
        ],
    )
    def test_rejects_unusable_values(self, bias, said):
        with pytest.raises(CheckpointError, match=f"^look.safetensors: weight 'bias' holds {said}, expected "):
            load_into(nn.Linear(3, 4), TENSORS | {"bias": bias}, "look.safetensors")

    def test_integers_stay_integers(self):
        module = nn.BatchNorm1d(2)
        state = module.state_dict()
        load_into(module, state | {"num_batches_tracked": torch.tensor(7)}, "a.pth")
        assert module.num_batches_tracked == 7
        with pytest.raises(CheckpointError, match=r"'num_batches_tracked' holds strided float32, expected int64$"):
            load_into(module, state | {"num_batches_tracked": torch.tensor(7.0)}, "a.pth")

    def test_a_module_on_the_meta_device_gets_copies_in_float32(self):
        with torch.device("meta"):
            module = nn.Linear(3, 4, dtype=torch.float64)
        weight = TENSORS["weight"].float()
        load_into(module, TENSORS | {"weight": weight}, "look.safetensors")
        assert {p.dtype for p in module.parameters()} == {torch.float32}
        assert torch.equal(module.weight, weight)
        weight.zero_()
        assert module.weight.abs().min() > 0
        assert module.weight.requires_grad


class TestLoadWeights:
    def test_known_value(self, path):
        module = nn.Linear(3, 4)
        load_weights(module, path)
        torch.testing.assert_close(module.weight.data, TENSORS["weight"].float())

    @pytest.mark.parametrize(("size", "said"), [(1 << 30, "lacks the weight 'bias'"), (1 << 42, "unable to mmap")])
    def test_compares_shapes_before_it_reads(self, tmp_path, size, said):
        header = {"weight": {"dtype": "F32", "shape": [4, size // 16], "data_offsets": [0, size]}}
        text = json.dumps(header).encode()
        with (tmp_path / "a.safetensors").open("wb") as file:  # a sparse file
            file.write(len(text).to_bytes(8, "little") + text)
            file.truncate(8 + len(text) + size)
        resource = pytest.importorskip("resource")  # Windows has no such module
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(CheckpointError, match=said):
            load_weights(nn.Linear(3, 4), tmp_path / "a.safetensors")
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10  # KiB
