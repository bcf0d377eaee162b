"""Every file of conf/ composes and instantiates; experiments and debug files also run."""

from pathlib import Path

import pytest
import torch
import yaml
from hydra.errors import ConfigCompositionException, MissingConfigException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError
from pytorch_lightning.callbacks import ModelCheckpoint

import lookcast
from lookcast.checkpoints import save_checkpoint
from lookcast.checks import InputError
from lookcast.encoders.base import Encoder
from lookcast.encoders.compact import CompactEncoder
from lookcast.encoders.vgg import VGG19Network
from lookcast.generators import GENERATORS, UniversalGenerator
from lookcast.losses.deep_photo import DeepPhotoLoss
from lookcast.losses.photorealism import MattingPenalty
from lookcast.losses.style import PaperStyleLoss
from lookcast.paths import shipped
from lookcast.structures import LossTerms
from lookcast.training.arguments import check_arguments
from lookcast.training.modules.pairs import UniversalModule
from lookcast.training.modules.single import LookModule
from lookcast.training.run import train
from tests.runs import QUIET, TINY, composed, losses, save_encoder
from tests.samples import rand

FROM_A_CHECKPOINT = ("quickstart", "single_look", "universal_finish")
"""Experiments that start from a checkpoint."""
CONF = shipped("conf")
OPTIONS = sorted(path.relative_to(CONF).with_suffix("").as_posix() for path in CONF.glob("*/**/*.yaml"))
RUNS = [name for name in OPTIONS if name.startswith(("experiment/", "debug/"))]
TRAINING = [name for name in OPTIONS if not name.startswith("fit/")]
NEEDED = ("style=sample:coffee", "data.photos=sample:astronaut", "run_dir=somewhere")
"""Overrides that a user must give; outside of these tests, Hydra sets `run_dir`."""

UNIVERSAL = (
    "data.photos=[sample:astronaut,sample:flower]", "style=[sample:coffee,sample:chelsea]", "data.cache_mb=64",
    "generator.channels=16", "generator.blocks=1", "generator.heads=2", "generator.head_width=8",
)  # fmt: skip
"""Contents, styles and a small generator for `experiment=universal`."""

pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}") for message in QUIET]


def of_group(*groups):
    return [name for name in OPTIONS if name.rpartition("/")[0] in groups]


def choice(name):
    group, _, option = name.rpartition("/")
    return f"{group}={option}"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weight files by encoder: `encoder.weights` of every run here, so that nothing is downloaded."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    network = VGG19Network(["relu5_1"]).to_empty(device="cpu")  # it is built on the meta device
    for name, tensor in network.state_dict().items():
        torch.nn.init.kaiming_normal_(tensor) if name.endswith("weight") else torch.nn.init.zeros_(tensor)
    torch.save(network.state_dict(), folder / "vgg19.pth")
    return {"compact": save_encoder(folder), "vgg19": folder / "vgg19.pth"}


def weights_for(cfg: DictConfig, weights: dict[str, Path]) -> str:
    return f"encoder.weights={weights['vgg19' if 'VGG' in cfg.encoder._target_ else 'compact']}"


def save_universal(folder: Path) -> Path:
    """The checkpoint of a small universal generator, untrained."""
    path = folder / "universal.safetensors"
    generator = UniversalGenerator(CompactEncoder(), channels=16, blocks=1, heads=2, head_width=8)
    save_checkpoint(path, generator, {"licence": "test"})
    return path


def build(cfg, key, **arguments):
    """The object of a group, or the objects of a group of objects."""
    node = cfg[key]
    if "_target_" in node:
        return instantiate(node, **arguments)
    return {name: instantiate(entry) for name, entry in node.items() if entry is not None}


class TestFiles:
    def test_all_are_seen(self):
        assert len(OPTIONS) >= 25
        groups = {name.split("/")[0] for name in OPTIONS}
        assert groups == {
            "callbacks", "data", "debug", "encoder", "experiment", "fit", "generator", "hydra", "logger", "loss",
            "module", "optimizer", "scheduler", "trainer",
        }  # fmt: skip

    @pytest.mark.parametrize("name", OPTIONS)
    def test_keys_stand_once(self, name):
        # YAML takes the last of two equal keys without a word.
        class Loader(yaml.SafeLoader):
            pass

        def construct(loader, node, deep=False):
            keys = [loader.construct_object(key) for key, _ in node.value]
            assert len(keys) == len(set(keys)), keys
            return yaml.SafeLoader.construct_mapping(loader, node, deep)

        Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, construct)
        assert isinstance(yaml.load((CONF / f"{name}.yaml").read_text(), Loader), dict)


class TestCompose:
    @pytest.mark.parametrize("name", TRAINING)
    def test_every_option(self, name, weights):
        # The quickstart and the experiments say for themselves what they train on.
        given = [] if choice(name) == "experiment=quickstart" else list(NEEDED[:2])
        cfg = composed(choice(name), *given, "run_dir=somewhere")
        assert OmegaConf.is_struct(cfg)
        container = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
        assert container["run_dir"] == "somewhere"
        check_arguments(container)
        with pytest.raises(ConfigAttributeError):
            _ = cfg.stylee

    def test_defaults(self):
        cfg = composed(*NEEDED)
        groups = [key for key, value in cfg.items() if isinstance(value, DictConfig) and "_target_" in value]
        targets = {key: cfg[key]._target_.rsplit(".", 1)[1] for key in groups}
        assert targets == {
            "module": "LookModule", "generator": "BilateralGenerator", "encoder": "CompactEncoder",
            "loss": "DeepPhotoLoss", "data": "PhotoDataModule", "optimizer": "AdamW", "scheduler": "warmup_cosine",
            "trainer": "Trainer",
        }  # fmt: skip
        assert cfg.loss.photorealism._target_.endswith("GuidedPenalty")
        assert list(cfg.logger) == ["csv"]
        assert (cfg.resume, cfg.style_mask, cfg.data.masks, cfg.seed) == ("auto", None, None, 0)

    def test_what_a_user_has_to_say_is_missing(self):
        assert OmegaConf.missing_keys(composed("run_dir=somewhere")) == {"style", "data.photos"}

    def test_a_command_line_wins_over_an_experiment(self):
        cfg = composed("experiment=quickstart", "trainer.max_steps=3", "style=x", "data.batch_size=7", "optimizer=adam")
        assert (cfg.trainer.max_steps, cfg.style, cfg.data.batch_size) == (3, "x", 7)
        assert cfg.optimizer._target_ == "torch.optim.Adam"
        assert cfg.data.photos[0] == "sample:city"
        assert (cfg.init_from, cfg.generator._target_.rsplit(".")[-1]) == ("universal_free", "BilateralGenerator")

    def test_an_experiment_wins_over_the_defaults(self):
        cfg = composed("experiment=painterly", *NEEDED)
        assert cfg.name == "painterly"
        assert (cfg.generator._target_.rsplit(".")[-1], cfg.loss.content_weight) == ("TransformGenerator", 0.1)
        assert cfg.loss.photorealism._target_.endswith("MattingPenalty")

    def test_the_universal_experiment(self):
        cfg = composed("experiment=universal", "style=looks", "data.photos=photos", "run_dir=somewhere")
        targets = {key: cfg[key]._target_.rsplit(".", 1)[1] for key in ("module", "generator", "data")}
        assert targets == {"module": "UniversalModule", "generator": "UniversalGenerator", "data": "PairDataModule"}
        assert (cfg.data.photos, cfg.data.styles) == ("photos", "looks")
        # The generator reads photos by the very encoder that the loss compares with.
        assert cfg.generator.encoder == cfg.encoder
        assert cfg.scheduler.total_steps == cfg.trainer.max_steps

    def test_debugging_wins_over_an_experiment(self):
        assert composed("experiment=quickstart", "debug=fast").trainer.max_steps == 2

    @pytest.mark.parametrize(
        ("override", "error"),
        [
            ("stylee=x", ConfigCompositionException),
            ("data.foto=x", ConfigCompositionException),
            ("generator.chanels=3", ConfigCompositionException),
            ("trainer.max_step=3", ConfigCompositionException),
            ("loss.photorealism.epsilon=3", ConfigCompositionException),
            ("optimiser=adam", ConfigCompositionException),
            ("loss/photo=matting", ConfigCompositionException),
            ("generator=bilaterall", MissingConfigException),
            ("experiment=quick", MissingConfigException),
        ],
    )
    def test_rejects_a_typo(self, override, error):
        with pytest.raises(error, match=override.split("=")[0].rsplit(".", 1)[-1]):
            composed(*NEEDED, override)


class TestInstantiate:
    @pytest.mark.parametrize("name", of_group("generator"))
    def test_generators(self, name):
        generator = build(composed(choice(name), *NEEDED), "generator")
        option = name.split("/")[1]
        assert type(generator) is GENERATORS[option]
        assert generator.name == option
        image = rand(1, 3, 40, 50, dtype=torch.float32)
        # A single look starts as the identity, any look is one for the photo it comes from.
        given = (image, image) if generator.takes_style else (image,)
        with torch.no_grad():
            torch.testing.assert_close(generator(*given).image, image, rtol=0, atol=1e-6)

    @pytest.mark.parametrize("name", of_group("module"))
    def test_modules(self, name):
        cfg = composed(choice(name), *NEEDED, f"generator={'universal' if name.endswith('universal') else 'bilateral'}")
        made = build(cfg, "module", _partial_=True)
        style = {} if name.endswith("universal") else {"style": rand(1, 3, 40, 50), "style_mask": None}
        parts = {key: build(cfg, key) for key in ("generator", "encoder", "loss", "optimizer", "scheduler")}
        module = made(**parts, **style, config={"name": "test"})
        assert type(module) is (UniversalModule if name.endswith("universal") else LookModule)
        assert module.generator is parts["generator"]
        if name.endswith("universal"):
            assert (module.masked_share, module.rough_share, module.pseudo_masks.max_regions) == (0.5, 0, 6)
            assert set(module.pseudo_masks.taps) <= set(parts["encoder"].taps)

    @pytest.mark.parametrize("name", of_group("encoder"))
    def test_encoders(self, name, weights):
        cfg = composed(choice(name), *NEEDED)
        cfg.encoder.weights = str(weights[name.split("/")[1]])
        encoder = build(cfg, "encoder")
        assert isinstance(encoder, Encoder)
        assert list(encoder.taps) == cfg.encoder.taps
        assert list(encoder(rand(1, 3, 32, 32, dtype=torch.float32))) == cfg.encoder.taps

    @pytest.mark.parametrize("name", of_group("loss", "loss/photorealism"))
    def test_losses(self, name):
        cfg = composed(choice(name), *NEEDED)
        loss = build(cfg, "loss")
        assert isinstance(loss, DeepPhotoLoss)
        for term in LossTerms._fields[1:]:
            assert float(getattr(loss.weights, term)) == pytest.approx(cfg.loss.get(f"{term}_weight", 0))

    @pytest.mark.parametrize("name", of_group("loss/photorealism"))
    def test_penalties(self, name):
        penalty = build(composed(choice(name), *NEEDED), "loss").photorealism
        image = rand(1, 3, 40, 50)
        value = float(penalty(image, rand(1, 3, 40, 50, seed=1)))
        assert (value == 0) if name.endswith("none") else (value > 1e-3)

    @pytest.mark.parametrize("name", of_group("data"))
    def test_data(self, name):
        bundled = name in ("data/examples", "data/samples")  # they say for themselves what they hold
        cfg = composed(choice(name), *(NEEDED[::2] if bundled else NEEDED), "debug=fast")
        data = build(cfg, "data")
        batch = data.batch_transform.train_batch(next(iter(data.train_dataloader())), 0)
        assert batch.content.shape == (2, 3, 64, 64)
        assert len(data.val_set) == (2 if bundled else 1)
        if name.endswith("pairs"):
            assert batch.style.shape == (2, 3, 64, 64)
            assert [Path(data.styles.train.name(n)).stem for n in range(len(data.styles.train))] == ["coffee"]
        else:
            assert batch.style is None
        train = {data.photos.train.name(number) for number in range(len(data.photos.train))}
        assert not train & {data.photos.val.name(number) for number in data.photos.val_numbers} or not data.held_out

    @pytest.mark.parametrize("optimizer", of_group("optimizer"))
    @pytest.mark.parametrize("scheduler", of_group("scheduler"))
    def test_optimizers_and_schedulers(self, optimizer, scheduler):
        cfg = composed(choice(optimizer), choice(scheduler), *NEEDED, "optimizer.lr=0.01", "trainer.max_steps=100")
        parameter = torch.nn.Parameter(torch.zeros(1))
        made = build(cfg, "optimizer")([parameter])
        schedule, rates = build(cfg, "scheduler")(made), []
        for _ in range(100):
            rates.append(made.param_groups[0]["lr"])
            parameter.grad = torch.ones(1)
            made.step()
            schedule.step()
        assert 0.009 < max(rates) <= 0.01
        assert (rates[-1] < 1e-4) if scheduler.endswith("cosine") else (set(rates) == {0.01})
        assert parameter < -0.3

    @pytest.mark.parametrize("name", of_group("trainer"))
    def test_trainers(self, name, tmp_path):
        # On the CPU, whatever the option is for: a test machine has no GPU, and no second one.
        cfg = composed(choice(name), *NEEDED[:2], f"run_dir={tmp_path}", "trainer.accelerator=cpu")
        trainer = build(cfg, "trainer", logger=False)
        assert trainer.max_steps == cfg.trainer.max_steps
        assert trainer.gradient_clip_val == 1.0
        assert trainer.precision == ("bf16-mixed" if name.endswith("gpu") else "32-true")
        expected = "DDPStrategy" if name.endswith("ddp") else "SingleDeviceStrategy"
        assert type(trainer.strategy).__name__ == expected

    def test_devices_of_ddp(self, tmp_path):
        nodes = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=8", "trainer.num_nodes=4")
        trainer = build(composed(*nodes, *NEEDED[:2], f"run_dir={tmp_path}"), "trainer", logger=False)
        assert (trainer.num_devices, trainer.num_nodes, trainer.world_size) == (8, 4, 32)

    @pytest.mark.parametrize("name", of_group("callbacks"))
    def test_callbacks(self, name, tmp_path):
        made = build(composed(choice(name), *NEEDED[:2], f"run_dir={tmp_path}"), "callbacks")
        assert {key: type(callback).__name__ for key, callback in made.items()} == {
            "checkpoint": "ModelCheckpoint", "last": "LastCheckpoint", "resumed_logs": "ResumedLogs",
            "throughput": "Throughput", "compile_networks": "CompileNetworks", "finite": "FiniteGuard",
            "ema": "WeightEMA",
            "progress": "RunProgress", "samples": "SampleSheet", "skipped": "SkippedPhotos",
            "learning_rate": "LearningRateMonitor",
        }  # fmt: skip
        assert made["samples"].every_n_steps == 500
        # The trainer takes the first for its own, and the last checkpoint is to know of the best.
        assert isinstance(next(iter(made.values())), ModelCheckpoint)
        assert list(made).index("checkpoint") < list(made).index("last")

    @pytest.mark.parametrize("name", of_group("logger"))
    def test_loggers(self, name, tmp_path):
        made = build(composed(choice(name), *NEEDED[:2], f"run_dir={tmp_path}", "name=night"), "logger")
        option = name.split("/")[1]
        assert list(made) == (["csv"] if option == "csv" else ["csv", option])
        assert made["csv"].path == tmp_path / "metrics.csv"
        if "wandb" in made:
            assert (made["wandb"].name, made["wandb"].save_dir) == ("lookcast", str(tmp_path))
        if "tensorboard" in made:
            assert Path(made["tensorboard"].log_dir) == tmp_path / "tensorboard"


class TestPaper:
    """Luan et al. 2017, section 4: the values that `loss=paper` stands for."""

    def test_known_value(self):
        loss = build(composed("loss=paper", *NEEDED), "loss")
        assert isinstance(loss.style, PaperStyleLoss)
        assert isinstance(loss.photorealism, MattingPenalty)
        assert loss.content.taps == ("relu4_2",)
        assert loss.style.taps == tuple(f"relu{block}_1" for block in range(1, 6))
        assert float(loss.weights.style) == 1e2
        assert float(loss.weights.photorealism) == pytest.approx(1e4 * 3 * 254**2, rel=1e-3)
        assert float(loss.weights.smoothness) == float(loss.weights.variation) == float(loss.weights.gamut) == 0


class TestRuns:
    @pytest.mark.parametrize("name", RUNS)
    def test_two_steps(self, name, weights, tmp_path):
        overrides = [choice(name)]
        if not name.startswith("debug/"):
            overrides.append("debug=fast")
        if name.startswith("experiment/universal"):
            overrides += [*UNIVERSAL, "trainer=cpu"]
        elif choice(name) != "experiment=quickstart":
            overrides += ["data=samples", "trainer=cpu", "style=sample:coffee"]
        if name.removeprefix("experiment/") in FROM_A_CHECKPOINT:
            overrides.append(f"init_from={save_universal(tmp_path)}")
        if name == "experiment/painterly":
            overrides += ["generator.channels=8", "generator.blocks=1"]
        # At 64 px; what else a debugging config is about stays.
        overrides += ["data.size=64", "data.val_size=64", "style_size=64", "data.batch_size=2", f"run_dir={tmp_path}"]
        overrides += ["trainer.max_steps=2", "trainer.log_every_n_steps=1"]
        if not name.startswith("experiment/universal"):  # its generator knows the shipped encoder only
            overrides.append(weights_for(composed(*overrides), weights))
        cfg = composed(*overrides)
        result = train(cfg)
        header = lookcast.load(result.checkpoint).header
        assert len(losses(tmp_path)) == header["steps"] == 2
        generators = {
            "experiment/painterly": "transform", "experiment/universal": "universal", "experiment/single_look": "baked",
            "experiment/universal_finish": "universal", "experiment/quickstart": "baked",
        }  # fmt: skip
        assert header["generator"]["name"] == generators.get(name, "bilateral")
        assert header["encoder"]["_target_"] == cfg.encoder._target_
        assert header["licence"] == cfg.licence
        before, after = result.metrics["val/style_distance_untouched"], result.metrics["val/style_distance"]
        assert 0 < after < 1.05 * before
        assert after != before
        assert torch.load(tmp_path / "checkpoints" / "best.ckpt", weights_only=True)["global_step"] == 2

    @pytest.mark.nightly
    def test_mixed_precision_of_the_universal_experiment(self, tmp_path):
        # Runs on any CPU: bfloat16 is emulated if the CPU lacks it. Results agree to two or three digits.
        curves = {}
        for precision in ("bf16-mixed", "32-true"):
            overrides = [
                "experiment=universal",
                "debug=fast",
                "trainer=cpu",
                *UNIVERSAL,
                "module.pseudo_masks.max_regions=1",  # clusters of rounded features are others
                f"run_dir={tmp_path / precision}",
            ]
            cfg = composed(*overrides, *(() if precision == "bf16-mixed" else (f"trainer.precision={precision}",)))
            assert cfg.trainer.precision == precision
            train(cfg)
            curves[precision] = losses(tmp_path / precision)
        assert curves["bf16-mixed"] == pytest.approx(curves["32-true"], rel=0.03)
        assert curves["bf16-mixed"] != curves["32-true"]

    def test_overfitting_repeats_the_same_photos(self, weights, tmp_path, monkeypatch):
        seen, step = [], LookModule.training_step

        def spy(self, batch, index):
            seen.append(batch.content)
            return step(self, batch, index)

        monkeypatch.setattr(LookModule, "training_step", spy)
        overrides = [*TINY, "debug=overfit", "trainer.max_steps=30", "optimizer.lr=2e-3", "data.size=64"]
        overrides += ["data.batch_size=2", "data.val_size=64", f"run_dir={tmp_path}"]
        train(composed(*overrides, f"encoder.weights={weights['compact']}"))
        assert len(seen) == 30
        for batch in seen:  # each photo as in the first batch, or mirrored (resized before or after: to the last bit)
            for photo, first in zip(batch, seen[0], strict=True):
                assert any(torch.allclose(photo, f, rtol=0, atol=1.01 / 255) for f in (first, first.flip(2)))
        curve = losses(tmp_path)
        assert curve[-1] < 0.5 * curve[0]

    def test_debugging_does_not_change_what_is_debugged(self):
        plain, fast = (OmegaConf.to_container(composed(*NEEDED, *more)) for more in ((), ("debug=fast",)))
        assert {key for key in plain if plain[key] != fast[key]} == {"trainer", "data"}

    def test_rejects_the_paper_with_the_compact_encoder(self, weights, tmp_path):
        with pytest.raises(InputError, match=r"^loss\.content\.taps: relu4_2 is no tap of the encoder"):
            train(composed(*TINY, "loss=paper", f"encoder.weights={weights['compact']}", f"run_dir={tmp_path}"))
