import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lookcast.checkpoints import DEFAULT_CHECKPOINT, CheckpointError, find_checkpoint, load_checkpoint, save_checkpoint
from lookcast.encoders.compact import CompactEncoder, CompactNetwork
from lookcast.generators import UniversalGenerator
from lookcast.generators.statistics import TAP_CHANNELS
from lookcast.weights import read_weights, save_weights
from tests.looks import ALL_PARTS, SMALL, UNIVERSAL, baked_look, look, save_look, save_universal, universal_look
from tests.samples import photo

HEADER = {
    "encoder": {"name": "compact"},
    "training": {"seed": 1, "loss": {"style": 1.0}},
    "metrics": {"val/edge_ssim": 0.9},
    "licence": "Apache-2.0",
}


def rewrite(path, change):
    """Change the header of a checkpoint, as a JSON value, in place."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["lookcast"])
    save_file(load_file(path), path, metadata={"lookcast": json.dumps(change(header))})


def with_last(weight, value):
    """Set the last value of a weight in place, and return the weight."""
    weight.view(-1)[-1] = value
    return weight


class TestSaveCheckpoint:
    @pytest.mark.parametrize("name", SMALL)
    def test_round_trip(self, tmp_path, name):
        generator = look(name)
        save_checkpoint(tmp_path / "look.safetensors", generator, HEADER)
        loaded, header = load_checkpoint(tmp_path / "look.safetensors")
        content = photo("chelsea").float()
        with torch.no_grad():
            expected, output = generator(content).image, loaded(content).image
        assert not torch.equal(expected, content)
        assert torch.equal(output, expected)
        assert not loaded.training
        assert header["generator"] == {"name": name, "arguments": generator.arguments}
        assert {key: header[key] for key in HEADER} == HEADER

    def test_round_trip_of_a_universal_generator(self, tmp_path):
        generator = universal_look()
        save_checkpoint(tmp_path / "look.safetensors", generator, HEADER)
        loaded, header = load_checkpoint(tmp_path / "look.safetensors")
        content, style = photo("chelsea").float(), photo("coffee").float()
        masks = [torch.eye(2)[None, :, :, None].expand(1, 2, 2, 3)] * 2
        for given in ((style,), (style, *masks)):
            with torch.no_grad():
                expected, output = generator(content, *given).image, loaded(content, *given).image
            assert (expected - content).abs().mean() > 0.02
            assert torch.equal(output, expected)
        assert not loaded.training
        assert header["generator"] == {"name": "universal", "arguments": UNIVERSAL, "encoder": None}

    def test_a_universal_generator_of_before_the_optional_parts(self, tmp_path):
        # Its header lacks the arguments.
        generator, path = universal_look(), tmp_path / "look.safetensors"
        save_checkpoint(path, generator, HEADER)
        arguments = {name: value for name, value in UNIVERSAL.items() if name not in ALL_PARTS}
        rewrite(path, lambda header: {**header, "generator": {**header["generator"], "arguments": arguments}})
        loaded, header = load_checkpoint(path)
        assert header["generator"]["arguments"] == arguments
        assert loaded.grounds is None
        assert loaded.tones is None
        content, style = photo("chelsea").float(), photo("coffee").float()
        with torch.no_grad():
            assert torch.equal(loaded(content, style).image, generator(content, style).image)

    def test_round_trip_of_a_baked_look(self, tmp_path):
        generator = baked_look(photo("coffee").float())
        save_checkpoint(tmp_path / "look.safetensors", generator, HEADER)
        loaded, header = load_checkpoint(tmp_path / "look.safetensors")
        content = photo("chelsea").float()
        with torch.no_grad():
            expected, output = generator(content).image, loaded(content).image
        assert (expected - content).abs().mean() > 0.02
        assert torch.equal(output, expected)
        assert not loaded.takes_style
        assert header["generator"] == {"name": "baked", "arguments": {"universal": UNIVERSAL}, "encoder": None}

    @pytest.fixture
    def own_encoder(self, tmp_path):
        """A file of other weights than those that ship, for the same taps."""
        widths, outputs = [8, 12, 16, 24], list(TAP_CHANNELS)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = CompactNetwork(widths, outputs)
        path = tmp_path / "encoder.safetensors"
        save_weights(path, "encoder", network.state_dict(), {"widths": widths, "outputs": outputs})
        return path

    def test_round_trip_with_an_encoder_of_its_own(self, tmp_path, own_encoder):
        generator = UniversalGenerator(CompactEncoder(own_encoder), **UNIVERSAL).eval()
        generator.load_state_dict(universal_look().state_dict())
        header = {**HEADER, "encoder": {"weights": str(own_encoder)}}
        save_checkpoint(tmp_path / "look.safetensors", generator, header)
        loaded, _ = load_checkpoint(tmp_path / "look.safetensors")
        content, style = photo("chelsea").float(), photo("coffee").float()
        with torch.no_grad():
            expected, output = generator(content, style).image, loaded(content, style).image
            assert torch.equal(output, expected)
            assert (universal_look()(content, style).image - expected).abs().max() > 1e-3
        own_encoder.unlink()
        with pytest.raises(CheckpointError, match=r"encoder\.safetensors: no such checkpoint") as caught:
            load_checkpoint(tmp_path / "look.safetensors")
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("made", [universal_look, lambda: baked_look(photo("coffee").float())])
    def test_the_frozen_encoder_is_not_in_the_file(self, tmp_path, made):
        save_checkpoint(tmp_path / "look.safetensors", made(), HEADER)
        assert not [name for name in load_file(tmp_path / "look.safetensors") if "encoder" in name]

    def test_a_loaded_header_is_saved_as_that_of_the_new_generator(self, tmp_path):
        save_look(tmp_path / "first.safetensors", "transform")
        rewrite(tmp_path / "first.safetensors", lambda header: {**header, "format_version": 0})
        _, header = load_checkpoint(tmp_path / "first.safetensors")
        save_checkpoint(tmp_path / "second.safetensors", look("bilateral"), header)
        _, again = load_checkpoint(tmp_path / "second.safetensors")
        assert again["generator"]["name"] == "bilateral"
        assert (again["licence"], again["format_version"], again["kind"]) == ("test", 1, "generator")

    def test_nothing_is_left_of_a_failed_write(self, tmp_path):
        with pytest.raises(TypeError, match="not JSON serializable"):
            save_checkpoint(tmp_path / "look.safetensors", look(), {"training": object()})
        assert not list(tmp_path.iterdir())


class TestLoadCheckpoint:
    """Every refusal is one line that begins with the path."""

    @staticmethod
    def refuse(path, reason):
        with pytest.raises(CheckpointError, match=reason) as caught:
            load_checkpoint(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)

    def test_rejects_missing_file(self, tmp_path):
        self.refuse(tmp_path / "look.safetensors", "no such checkpoint")

    def test_rejects_folder(self, tmp_path):
        self.refuse(tmp_path, "is a folder, expected a checkpoint$")

    def test_rejects_devices_and_pipes(self, tmp_path):
        os.mkfifo(tmp_path / "pipe.safetensors")
        for path in (tmp_path / "pipe.safetensors", "/dev/zero", "/dev/null"):
            self.refuse(path, "is a pipe or a device, expected a checkpoint in a regular file$")

    @pytest.mark.parametrize("name", ["floor", "key.weight"])
    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda weight: weight.fill_(torch.nan), "values that are not finite"),
            (lambda weight: with_last(weight, torch.nan), "values that are not finite"),
            (lambda weight: with_last(weight, -torch.inf), "values that are not finite"),
            (lambda weight: with_last(weight, -2e4), "2e+04"),
            (lambda weight: weight > 0, "strided bool"),
            (lambda weight: weight.to(torch.int32), "strided int32"),
            (lambda weight: weight.to(torch.float8_e4m3fn), "strided float8_e4m3fn"),
        ],
    )
    def test_rejects_unusable_values(self, tmp_path, name, change, said):
        path = save_universal(tmp_path / "look.safetensors")
        tensors, header = read_weights(path, "generator")
        tensors[name] = change(tensors[name].clone())
        save_file(tensors, path, metadata={"lookcast": json.dumps(header)})
        self.refuse(path, f"weight '{name}' holds {re.escape(said)}, expected ")

    @pytest.mark.parametrize(
        ("name", "arguments"),
        [
            ("bilateral", {"channels": 6000}),
            ("bilateral", {"blocks": 10**9}),
            ("bilateral", {"thumbnail": 10**6}),
            ("bilateral", {"depth": "8"}),
            ("bilateral", {"depth": True}),
            ("transform", {"channels": 10**5}),
            ("transform", {"blocks": 10**9}),
            ("universal", {"channels": 10**9}),
            ("universal", {"regions": 10**9}),
            ("universal", {"heads": 1e308}),
            ("baked", {"universal": {"depth": 10**6}}),
        ],
    )
    def test_rejects_sizes_without_allocating_them(self, tmp_path, name, arguments):
        path = save_universal(tmp_path / "look.safetensors")
        rewrite(path, lambda header: {**header, "generator": {"name": name, "arguments": arguments}})
        resource = pytest.importorskip("resource")  # Windows has no such module
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.refuse(path, r"expected an integer from \d+ to \d+, got ")
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10  # KiB

    def test_compares_shapes_without_allocating_the_network(self, tmp_path):
        # The largest network within the ranges takes 4.8 GB.
        path = save_look(tmp_path / "look.safetensors")
        described = {"name": "bilateral", "arguments": {"channels": 1024, "blocks": 64, "height": 2, "width": 2}}
        rewrite(path, lambda header: {**header, "generator": described})
        resource = pytest.importorskip("resource")  # Windows has no such module
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.refuse(path, "lacks the weight|has shape")
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10  # KiB

    @pytest.mark.parametrize("encoder", [5, ["a"], {"a": 1}])
    def test_rejects_an_encoder_that_is_no_path(self, tmp_path, encoder):
        path = save_universal(tmp_path / "look.safetensors")
        rewrite(path, lambda header: {**header, "generator": {**header["generator"], "encoder": encoder}})
        self.refuse(path, "its header names no file of weights for its encoder$")

    def test_rejects_training_checkpoint(self, tmp_path):
        torch.save({"state_dict": look().state_dict(), "pytorch-lightning_version": "2.6.0"}, tmp_path / "last.ckpt")
        self.refuse(tmp_path / "last.ckpt", r"training checkpoint.*expected the \.safetensors")

    def test_rejects_pickle_and_does_not_run_it(self, tmp_path):
        class Trap:
            def __reduce__(self):
                return open, (str(tmp_path / "trapped"), "w")

        (tmp_path / "look.safetensors").write_bytes(pickle.dumps(Trap()))
        self.refuse(tmp_path / "look.safetensors", "not a whole .safetensors file")
        assert not (tmp_path / "trapped").exists()

    @pytest.mark.parametrize("content", ["", "generator: bilateral\n", "x" * 5000])
    def test_rejects_text(self, tmp_path, content):
        (tmp_path / "look.yaml").write_text(content)
        self.refuse(tmp_path / "look.yaml", "not a whole .safetensors file")

    def test_rejects_cut_file(self, tmp_path):
        whole = save_look(tmp_path / "whole.safetensors").read_bytes()
        for length in [len(whole) * tenth // 10 for tenth in range(10)] + [len(whole) - 1]:
            (tmp_path / "cut.safetensors").write_bytes(whole[:length])
            self.refuse(tmp_path / "cut.safetensors", "not a whole .safetensors file")

    def test_rejects_foreign_file(self, tmp_path):
        save_file({"weight": torch.zeros(2)}, tmp_path / "foreign.safetensors")
        self.refuse(tmp_path / "foreign.safetensors", "lookcast did not write")

    def test_rejects_encoder(self, tmp_path):
        save_weights(tmp_path / "encoder.safetensors", "encoder", {"weight": torch.zeros(2)}, {})
        self.refuse(tmp_path / "encoder.safetensors", "holds weights of kind 'encoder', expected 'generator'$")

    @pytest.mark.parametrize("name", ["Universal", None, ["bilateral"]])
    def test_rejects_unknown_generator(self, tmp_path, name):
        path = save_look(tmp_path / "look.safetensors")
        rewrite(path, lambda header: {**header, "generator": {"name": name, "arguments": {}}})
        self.refuse(path, "holds a generator .*, this lookcast knows baked, bilateral, fitted, transform, universal$")

    @pytest.mark.parametrize("described", [None, "bilateral", {"name": "bilateral"}, {"arguments": 3}])
    def test_rejects_header_without_generator(self, tmp_path, described):
        path = save_look(tmp_path / "look.safetensors")
        rewrite(path, lambda header: {**header, "generator": described})
        self.refuse(path, "does not say which generator")

    @pytest.mark.parametrize("arguments", [{"colour": 3}, {"channels": "many"}, {"channels": -4}, {"depth": 2.5}])
    def test_rejects_arguments_that_do_not_fit(self, tmp_path, arguments):
        path = save_look(tmp_path / "look.safetensors")
        rewrite(path, lambda header: {**header, "generator": {"name": "bilateral", "arguments": arguments}})
        self.refuse(path, "arguments that the bilateral generator does not take")

    @pytest.mark.parametrize(
        "arguments",
        [{"colour": 3}, {"encoder": "vgg19"}, {"channels": "many"}, {"heads": 0}, {"depth": 2.5}, {"regions": None}],
    )
    @pytest.mark.parametrize("name", ["universal", "baked"])
    def test_rejects_arguments_that_do_not_fit_a_universal_one(self, tmp_path, name, arguments):
        path = save_universal(tmp_path / "look.safetensors")
        arguments = {"universal": arguments} if name == "baked" else arguments
        rewrite(path, lambda header: {**header, "generator": {"name": name, "arguments": arguments}})
        self.refuse(path, f"arguments that the {name} generator does not take")

    @pytest.mark.parametrize("arguments", [{}, {"universal": 3}, {"universal": None}, UNIVERSAL])
    def test_rejects_a_baked_look_without_its_universal_generator(self, tmp_path, arguments):
        path = save_universal(tmp_path / "look.safetensors")
        rewrite(path, lambda header: {**header, "generator": {"name": "baked", "arguments": arguments}})
        self.refuse(path, "arguments that the baked generator does not take")

    def test_rejects_a_universal_checkpoint_as_a_baked_one(self, tmp_path):
        path = save_universal(tmp_path / "look.safetensors")
        described = {"name": "baked", "arguments": {"universal": UNIVERSAL}, "encoder": None}
        rewrite(path, lambda header: {**header, "generator": described})
        self.refuse(path, "lacks the weight|has a weight .* that FixedStyleGenerator does not know")

    def test_rejects_universal_weights_of_another_size(self, tmp_path):
        path = save_universal(tmp_path / "look.safetensors")
        described = {"name": "universal", "arguments": {**UNIVERSAL, "regions": 3}}
        rewrite(path, lambda header: {**header, "generator": described})
        self.refuse(path, "weight 'regions.* has shape .*, expected")

    def test_rejects_weights_of_another_size(self, tmp_path):
        path = save_look(tmp_path / "look.safetensors")
        arguments = {**SMALL["bilateral"], "channels": 8}
        rewrite(path, lambda header: {**header, "generator": {"name": "bilateral", "arguments": arguments}})
        self.refuse(path, "has shape .*, expected")

    def test_rejects_checkpoint_of_another_generator(self, tmp_path):
        path = save_look(tmp_path / "look.safetensors", "transform")
        described = {"name": "bilateral", "arguments": SMALL["bilateral"]}
        rewrite(path, lambda header: {**header, "generator": described})
        self.refuse(path, "lacks the weight|has a weight .* that BilateralGenerator does not know")

    def test_rejects_missing_weight(self, tmp_path):
        generator = look()
        state = {name: value for name, value in generator.state_dict().items() if name != "head.bias"}
        described = {"name": generator.name, "arguments": generator.arguments}
        save_weights(tmp_path / "look.safetensors", "generator", state, {"generator": described})
        self.refuse(tmp_path / "look.safetensors", "lacks the weight 'head.bias'")


class TestDefaults:
    """Torch's default type and device change nothing: checkpoints are in float32 on the CPU."""

    CODE = """
import sys, torch
from lookcast.checkpoints import load_checkpoint
getattr(torch, sys.argv[1])(eval(sys.argv[2]))
content, style = (torch.load(path) for path in sys.argv[3:5])
outputs = []
for path in sys.argv[6:]:
    generator, _ = load_checkpoint(path)
    assert {p.dtype for p in generator.state_dict().values()} == {torch.float32}
    with torch.no_grad():
        given = (style,) if generator.takes_style else ()
        outputs.append(generator(content, *given).image)
torch.save(outputs, sys.argv[5])
"""

    @pytest.mark.parametrize("setting", [("set_default_dtype", "torch.float64"), ("set_default_device", "'meta'")])
    def test_loading_and_running(self, tmp_path, setting):
        files = [tmp_path / f"{name}.safetensors" for name in ("bilateral", "transform", "universal", "baked")]
        images = photo("chelsea").float(), photo("coffee").float()
        generators = look("bilateral"), look("transform"), universal_look(), baked_look(images[1])
        for file, generator in zip(files, generators, strict=True):
            save_checkpoint(file, generator, HEADER)
        for name, image in zip("ab", images, strict=True):
            torch.save(image, tmp_path / name)
        paths = [tmp_path / name for name in ("a", "b", "outputs")]
        subprocess.run([sys.executable, "-c", self.CODE, *setting, *paths, *files], check=True)
        for output, generator in zip(torch.load(tmp_path / "outputs"), generators, strict=True):
            with torch.no_grad():
                expected = generator(images[0], *([images[1]] if generator.takes_style else [])).image
            # Two processes: sums may be in another order. 1e-5 is some 80 units of float32's last place at 1.
            torch.testing.assert_close(output, expected, rtol=0, atol=1e-5)


class TestFindCheckpoint:
    @pytest.fixture
    def shipped(self, tmp_path, monkeypatch):
        monkeypatch.setattr("lookcast.checkpoints.shipped", lambda folder: tmp_path / folder)
        (tmp_path / "checkpoints").mkdir()
        for name in ("golden", DEFAULT_CHECKPOINT):
            (tmp_path / "checkpoints" / f"{name}.safetensors").touch()
        return tmp_path / "checkpoints"

    def test_a_name_is_one_of_the_shipped(self, shipped):
        assert find_checkpoint("golden") == shipped / "golden.safetensors"
        assert find_checkpoint(None) == shipped / f"{DEFAULT_CHECKPOINT}.safetensors"

    @pytest.mark.parametrize("path", ["golden.safetensors", "runs/golden", "last.ckpt", "./golden"])
    def test_a_path_is_taken_as_it_is(self, path):
        assert find_checkpoint(path) == Path(path)

    def test_rejects_an_unknown_name(self, shipped):
        with pytest.raises(CheckpointError, match=r"^sunset: no checkpoint of this name ships with lookcast"):
            find_checkpoint("sunset")
        (shipped / f"{DEFAULT_CHECKPOINT}.safetensors").unlink()
        with pytest.raises(CheckpointError, match=r"^this version of lookcast ships no universal checkpoint"):
            find_checkpoint(None)

    @pytest.mark.parametrize(("value", "said"), [("", "an empty text"), (5, "int"), (True, "bool")])
    def test_rejects_what_is_no_path(self, value, said):
        with pytest.raises(CheckpointError, match=f"^checkpoint: expected a path or a name, got {said}$"):
            find_checkpoint(value)
