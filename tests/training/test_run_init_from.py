"""Runs that start from a checkpoint: a universal one is specialised to a style photo, others are trained further."""

import logging

import pytest
import torch
from PIL import Image

import lookcast
from lookcast.checkpoints import DEFAULT_CHECKPOINT, CheckpointError
from lookcast.checks import InputError
from lookcast.cli.train import train as main
from lookcast.generators import FixedStyleGenerator, UniversalGenerator
from lookcast.photos.read import read_photo, to_tensor
from lookcast.training.run import train
from tests.looks import ALL_PARTS, NO_PARTS, SMALL, UNIVERSAL, look, save_look, save_universal, universal_look
from tests.runs import QUIET, composed, losses, save_photos
from tests.samples import photo

pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}") for message in QUIET]

CONTENT = photo("chelsea").float()
FAST = (
    "trainer=cpu", "debug=fast", "style_size=64", "data.photos=sample:astronaut", "data.val_photos=sample:chelsea",
    "trainer.max_steps=1", "callbacks.samples=null",
)  # fmt: skip


@pytest.fixture
def begin(tmp_path):
    """Train one step by overrides, into `tmp_path / name`."""

    def start(*overrides, name="run"):
        return train(composed(*FAST, f"run_dir={tmp_path / name}", *overrides))

    return start


@pytest.fixture
def universal(tmp_path):
    return save_universal(tmp_path / "all.safetensors")


@torch.no_grad()
def stylize(generator, *given):
    return generator(CONTENT, *given).image


class TestSingleLook:
    """`experiment=single_look init_from=...`."""

    def test_starts_as_the_universal_look(self, begin, universal, starts, tmp_path):
        Image.fromarray(read_photo(save_photos(tmp_path / "style", 1) / "photo00.png").pixels[:60, :60]).save(
            tmp_path / "style.png"
        )
        result = begin("experiment=single_look", f"init_from={universal}", f"style={tmp_path / 'style.png'}")
        (step, weights), generator = starts[0], universal_look()
        started = FixedStyleGenerator(generator.encoder, UNIVERSAL)
        started.load_state_dict(weights)
        generator.unmasked_thumbnail = generator.thumbnail  # a fixed style reads photos at full size
        expected = stylize(generator, to_tensor(read_photo(tmp_path / "style.png").pixels))
        assert step == 0
        assert (stylize(started) - expected).abs().max() < 1e-5
        assert (expected - CONTENT).abs().mean() > 0.02
        trained = lookcast.load(result.checkpoint)
        assert (trained.generator.name, trained.generator.takes_style) == ("baked", False)
        assert trained.header["generator"]["arguments"] == {"universal": UNIVERSAL}
        assert trained.header["training"]["init_from"] == str(universal)
        moved = (stylize(trained.generator) - expected).abs().max()
        assert 1e-5 < moved < 0.1  # one step

    def test_a_sample_as_style(self, begin, universal):
        overrides = ("experiment=single_look", f"init_from={universal}", "style=sample:coffee", "trainer.max_steps=2")
        result = begin(*overrides)
        trained = lookcast.load(result.checkpoint)
        assert (trained.generator.name, trained.header["steps"]) == ("baked", 2)
        assert len(losses(result.run_dir)) == 2
        # The style of the coffee, not of the cat.
        assert (
            trained.header["metrics"]["val/style_distance"] < trained.header["metrics"]["val/style_distance_untouched"]
        )

    def test_trains_a_fixed_style_further(self, begin, universal, starts):
        first = begin("experiment=single_look", f"init_from={universal}", "style=sample:coffee")
        given = (f"init_from={first.checkpoint}", "style=sample:coffee")
        begin("experiment=single_look", *given, name="again")
        (_, before), (step, weights) = starts
        kept = lookcast.load(first.checkpoint).generator.state_dict()
        assert step == 0  # a new run, with its own schedule
        assert weights.keys() == kept.keys()
        assert all(torch.equal(weights[name], tensor) for name, tensor in kept.items())
        assert not all(torch.equal(weights[name], tensor) for name, tensor in before.items())

    def test_trains_any_single_look_further(self, begin, tmp_path, starts):
        checkpoint = save_look(tmp_path / "look.safetensors")
        result = begin(f"init_from={checkpoint}", "style=sample:coffee")
        kept = look().state_dict()
        assert all(torch.equal(tensor, kept[name]) for name, tensor in starts[0][1].items())
        # The checkpoint says what it is; conf/generator would be another size.
        assert lookcast.load(result.checkpoint).header["generator"] == {
            "name": "bilateral",
            "arguments": SMALL["bilateral"],
        }

    def test_by_the_name_of_a_shipped_one(self, begin, tmp_path, monkeypatch):
        save_universal(tmp_path / f"{DEFAULT_CHECKPOINT}.safetensors")
        monkeypatch.setattr("lookcast.checkpoints.shipped", lambda _: tmp_path)
        result = begin("experiment=single_look", "style=sample:coffee")  # init_from: the default
        assert lookcast.load(result.checkpoint).generator.name == "baked"

    def test_a_loss_with_another_encoder(self, begin, universal, encoder):
        # The loss and the universal generator have different encoders here.
        overrides = ("experiment=single_look", f"init_from={universal}", "style=sample:coffee")
        result = begin(*overrides, f"encoder.weights={encoder}")
        assert lookcast.load(result.checkpoint).generator.name == "baked"

    def test_optional_parts_are_added_to_an_older_universal_look(self, begin, universal, starts):
        small = ("data.size=64", "data.val_size=64", "style=sample:astronaut", "data.val_styles=sample:chelsea")
        result = begin("experiment=universal_finish", f"init_from={universal}", *small)
        kept, (step, weights) = universal_look().state_dict(), starts[0]
        assert step == 0
        replaced = {name for name in kept if name.startswith("regions.")}  # a frozen network finds the regions now
        assert all(torch.equal(weights[name], tensor) for name, tensor in kept.items() if name not in replaced)
        assert replaced
        assert not replaced & weights.keys()
        added = {name.partition(".")[0] for name in weights.keys() - kept.keys()}
        assert added == {"grounds", "sharing", "tones", "solver", "robust"}
        arguments = lookcast.load(result.checkpoint).header["generator"]["arguments"]
        assert {name: arguments[name] for name in ALL_PARTS} == ALL_PARTS

    def test_rejects_an_unknown_name(self, begin, tmp_path, monkeypatch):
        with pytest.raises(CheckpointError, match=r"^init_from: sunset: no checkpoint of this name") as caught:
            begin("experiment=single_look", "init_from=sunset", "style=sample:coffee")
        assert "\n" not in str(caught.value)
        monkeypatch.setattr("lookcast.checkpoints.shipped", lambda _: tmp_path)
        with pytest.raises(CheckpointError, match=f"^init_from: {DEFAULT_CHECKPOINT}: no checkpoint of this name"):
            begin("experiment=single_look", "style=sample:coffee")

    def test_rejects_a_missing_file(self, begin, tmp_path):
        with pytest.raises(CheckpointError, match=r"nowhere\.safetensors: no such checkpoint$"):
            begin("experiment=single_look", f"init_from={tmp_path / 'nowhere.safetensors'}", "style=sample:coffee")

    def test_rejects_a_training_checkpoint(self, begin, universal, tmp_path):
        begin("experiment=single_look", f"init_from={universal}", "style=sample:coffee")
        last = tmp_path / "run" / "checkpoints" / "last.ckpt"
        with pytest.raises(CheckpointError, match=r"last\.ckpt: a file of torch\.save.*expected the \.safetensors"):
            begin("experiment=single_look", f"init_from={last}", "style=sample:coffee", name="again")

    def test_main_rejects_in_one_line(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        # Hydra adds a handler for the log of the run, whose folder is removed.
        monkeypatch.setattr(logging.root, "handlers", list(logging.root.handlers))
        with pytest.raises(InputError, match=r"^init_from: sunset: no checkpoint of this name") as caught:
            main(["experiment=single_look", "init_from=sunset", "style=sample:coffee", f"run_dir={tmp_path / 'run'}"])
        assert "\n" not in str(caught.value)


class TestUniversal:
    """`experiment=universal init_from=...`."""

    PAIRS = ("experiment=universal", "style=sample:coffee", "data.val_styles=sample:astronaut", "data.cache_mb=64",
             "trainer.precision=32-true")  # fmt: skip

    @pytest.fixture
    def pairs(self, tmp_path):
        def start(*overrides):
            return train(composed(*FAST, *self.PAIRS, f"run_dir={tmp_path / 'run'}", *overrides))

        return start

    def test_stays_universal(self, pairs, universal, starts):
        result = pairs(f"init_from={universal}", *(f"generator.{name}={size}" for name, size in NO_PARTS.items()))
        (_, weights), kept = starts[0], universal_look().state_dict()
        assert all(torch.equal(weights[name], tensor) for name, tensor in kept.items())
        trained = lookcast.load(result.checkpoint)
        assert isinstance(trained.generator, UniversalGenerator)
        assert trained.header["generator"] == {"name": "universal", "arguments": UNIVERSAL, "encoder": None}
        style = photo("coffee").float()
        moved = (stylize(trained.generator, style) - stylize(universal_look(), style)).abs().max()
        assert 1e-5 < moved < 0.1  # one step

    def test_rejects_a_single_look(self, pairs, tmp_path):
        checkpoint = save_look(tmp_path / "look.safetensors")
        with pytest.raises(InputError, match=r"^generator: bilateral takes no style photo; training on pairs needs a"):
            pairs(f"init_from={checkpoint}")
