from functools import partial

import pytest
import torch

from lookcast.checks import InputError
from lookcast.encoders.compact import CompactEncoder
from lookcast.generators import GENERATORS, Generator
from lookcast.losses.color import ColorLoss
from lookcast.losses.content import ContentLoss
from lookcast.losses.deep_photo import DeepPhotoLoss
from lookcast.losses.photorealism import GuidedPenalty
from lookcast.losses.style import SegmentedStyleLoss
from lookcast.metrics.photo import edge_ssim
from lookcast.structures import LossTerms, PhotoBatch, Stylization
from lookcast.training.modules.single import LookModule
from lookcast.training.schedules import warmup_cosine
from tests.looks import SMALL, look
from tests.samples import photo, recolor

CONTENT = torch.cat([photo("astronaut")[..., :32, :32], photo("chelsea")[..., :32, :31].repeat(1, 1, 1, 2)[..., :32]])
BATCH = PhotoBatch(CONTENT.float())
STYLE = photo("coffee").float()


def masks(image, share=0.5):
    """Two regions: the left part and the rest."""
    mask = torch.zeros(len(image), 2, *image.shape[-2:])
    cut = round(image.shape[-1] * share)
    mask[:, 0, :, :cut] = mask[:, 1, :, cut:] = 1
    return mask


@pytest.fixture
def build(encoder):
    def make(generator=None, style_mask=None, content_taps=("relu4_1",), style_taps=None, **options):
        network = CompactEncoder(encoder, options.pop("taps", None))
        weights = dict.fromkeys((name for name in LossTerms._fields if name != "total"), 1.0)
        weights |= options.pop("weights", {})
        loss = DeepPhotoLoss(
            ContentLoss(content_taps),
            SegmentedStyleLoss(style_taps or network.taps),
            ColorLoss(),
            GuidedPenalty(),
            **{f"{name}_weight": weight for name, weight in weights.items()},
        )
        arguments = {
            "optimizer": partial(torch.optim.Adam, lr=0.1),
            "scheduler": partial(warmup_cosine, total_steps=10),
            "config": {"name": "test"},
        }
        generator = GENERATORS["bilateral"](**SMALL["bilateral"]) if generator is None else generator
        style = options.pop("style", STYLE)
        return LookModule(generator, network, loss, style, style_mask, **{**arguments, **options})

    return make


@pytest.fixture(autouse=True)
def logged(monkeypatch):
    """Values that a module logs, by key."""
    values = {}

    def log_dict(self, entries, **options):
        values.update({key: float(value.detach()) for key, value in entries.items()})

    monkeypatch.setattr(LookModule, "log_dict", log_dict)
    return values


class Recorder(Generator):
    """Take a style photo, return the content, and record the arguments."""

    name, takes_style, arguments = "recorder", True, {}

    def __init__(self):
        super().__init__()
        self.given = []

    def stylize(self, *photos):
        self.given.append(photos)
        return Stylization(photos[0])


class TestForward:
    @pytest.mark.parametrize("name", SMALL)
    def test_identity_at_step_0(self, build, name):
        output = build(GENERATORS[name](**SMALL[name]))(BATCH)
        torch.testing.assert_close(output.image, BATCH.content, rtol=0, atol=1e-6)

    def test_module_equals_function(self, build):
        generator = look()
        assert torch.equal(build(generator)(BATCH).image, generator(BATCH.content).image)

    def test_passes_the_style_to_a_universal_generator(self, build):
        generator = Recorder()
        batch = BATCH._replace(content_mask=masks(BATCH.content))
        assert torch.equal(build(generator, masks(STYLE))(batch).image, BATCH.content)
        ((content, style, *given_masks),) = generator.given
        assert torch.equal(content, BATCH.content)
        assert torch.equal(style, STYLE)
        assert given_masks == [None, None]

    def test_passes_no_style_to_a_single_look(self, build):
        # A single look refuses a style photo.
        assert build(look(), style=None)(BATCH._replace(style=STYLE)).image.shape == BATCH.content.shape


class TestStyleOf:
    def test_the_style_of_the_run(self, build):
        assert torch.equal(build().style_of(BATCH), STYLE)
        # It wins over the style photos of a batch.
        assert torch.equal(build().style_of(BATCH._replace(style=STYLE.flip(1))), STYLE)

    def test_the_styles_of_the_batch(self, build):
        own, generator = recolor(BATCH.content), Recorder()
        module = build(generator, style=None)
        assert torch.equal(module.style_of(BATCH._replace(style=own)), own)
        module(BATCH._replace(style=own))
        assert torch.equal(generator.given[0][1], own)

    def test_follows_the_module(self, build):
        assert build().double().style_of(BATCH).dtype == torch.float64


class TestTrainingStep:
    def test_known_value(self, build, logged):
        module = build(look(), weights={"style": 3.0})
        module.on_fit_start()
        torch.manual_seed(0)  # the colour term draws directions
        total = module.training_step(BATCH, 0).detach()
        output = module.generator(BATCH.content)
        features = [module.encoder(image) for image in (BATCH.content, output.image.clamp(0, 1), STYLE)]
        torch.manual_seed(0)
        expected = module.loss(BATCH.content, STYLE, output, *features)
        torch.testing.assert_close(total, expected.total.detach())
        assert logged == {
            f"train/loss/{name}": pytest.approx(float(term.detach())) for name, term in expected._asdict().items()
        }
        assert logged["train/loss/total"] == pytest.approx(
            sum(logged[f"train/loss/{name}"] for name in LossTerms._fields if name != "total")
            + 2 * logged["train/loss/style"]
        )
        # A style photo of the run makes no pair whose truth is known.
        assert [name for name in LossTerms._fields if logged[f"train/loss/{name}"] <= 0] == ["truth"]

    @pytest.mark.parametrize("term", ["style", "color"])
    def test_masks_reach_the_terms(self, build, logged, term):
        values = []
        for share in (0.5, 0.2):
            module = build(look(), masks(STYLE, share))
            module.on_fit_start()
            torch.manual_seed(0)
            module.training_step(PhotoBatch(BATCH.content, masks(BATCH.content)), 0)
            values.append(logged[f"train/loss/{term}"])
        assert values[0] != pytest.approx(values[1], rel=1e-3)

    def test_gradient(self, build):
        generator = look()
        torch.nn.init.normal_(generator.blocks[0].second.weight, std=0.02)  # a block starts as the identity
        module = build(generator)
        module.train()
        module.on_fit_start()
        module.training_step(BATCH, 0).backward()
        for name, parameter in module.named_parameters():
            assert name.startswith("generator.")
            assert parameter.grad.abs().max() > 0, name

    def test_gradient_at_step_0_reaches_the_head(self, build):
        # The head starts at zero, so it moves first, and the rest follows.
        module = build()
        module.on_fit_start()
        module.training_step(BATCH, 0).backward()
        assert module.generator.head.weight.grad.abs().max() > 0
        assert module.generator.head.bias.grad.abs().max() > 0

    def test_gradient_points_towards_the_style(self, build):
        module = build(weights=dict.fromkeys(set(LossTerms._fields) - {"total", "style"}, 0.0))
        module.on_fit_start()
        optimizer = torch.optim.Adam(module.generator.parameters(), 3e-3)
        first = module.training_step(BATCH, 0).item()
        for _ in range(30):
            optimizer.zero_grad()
            module.training_step(BATCH, 0).backward()
            optimizer.step()
        assert module.training_step(BATCH, 0).item() < 0.5 * first


class TestFrozenEncoder:
    def test_no_gradient(self, build):
        module = build(look())
        module.on_fit_start()
        module.training_step(BATCH, 0).backward()
        tensors = [*module.encoder.buffers(), *module.encoder.parameters()]
        assert tensors
        assert all(tensor.grad is None and not tensor.requires_grad for tensor in tensors)
        assert not any(feature.requires_grad for feature in module.style_features.values())

    def test_stays_in_evaluation_mode(self, build):
        module = build()
        module.train()
        assert module.generator.training
        assert not any(part.training for part in module.encoder.modules())

    def test_is_not_optimised(self, build):
        module = build()
        optimizer = module.configure_optimizers()["optimizer"]
        expected = {id(parameter) for parameter in module.generator.parameters()}
        assert {id(p) for group in optimizer.param_groups for p in group["params"]} == expected


class TestValidationStep:
    KEYS = ("val/style_distance", "val/style_distance_untouched", "val/edge_ssim")

    def test_known_value(self, build, logged):
        module = build(look()).eval()
        with torch.no_grad():
            module.on_validation_start()
            module.validation_step(BATCH, 0)
            shown = module(BATCH).image.clamp(0, 1)
            features = {name: module.encoder(image) for name, image in (("out", shown), ("in", BATCH.content))}
            style = module.encoder(STYLE)
        distance = SegmentedStyleLoss(module.encoder.taps)
        assert logged["val/style_distance"] == pytest.approx(float(distance(features["out"], style)))
        assert logged["val/style_distance_untouched"] == pytest.approx(float(distance(features["in"], style)))
        assert logged["val/edge_ssim"] == pytest.approx(float(edge_ssim(BATCH.content, shown).mean()))
        assert logged.keys() == {*self.KEYS, *(f"val/loss/{name}" for name in LossTerms._fields)}

    def test_untouched_at_step_0(self, build, logged):
        module = build()
        module.on_validation_start()
        module.validation_step(BATCH, 0)
        assert logged["val/style_distance"] == pytest.approx(logged["val/style_distance_untouched"], rel=1e-5)
        assert logged["val/edge_ssim"] == pytest.approx(1, abs=1e-4)

    def test_figures_do_not_depend_on_the_loss(self, build, logged):
        figures = []
        for options in ({}, {"style_taps": ["relu2_1"], "weights": {"style": 7.0}}):
            module = build(look(), **options)
            module.on_validation_start()
            module.validation_step(BATCH, 0)
            figures.append([logged[key] for key in self.KEYS])
        assert figures[0] == pytest.approx(figures[1])

    def test_zero_for_the_style_photo_itself(self, build, logged):
        module = build()
        module.on_validation_start()
        module.validation_step(PhotoBatch(STYLE), 0)
        assert logged["val/style_distance_untouched"] == pytest.approx(0, abs=1e-6)
        module.validation_step(PhotoBatch(recolor(STYLE.double()).clamp(0, 1).float()), 0)
        assert logged["val/style_distance_untouched"] > 0.03


class TestConfigureOptimizers:
    def test_known_value(self, build):
        configured = build().configure_optimizers()
        assert isinstance(configured["optimizer"], torch.optim.Adam)
        assert configured["lr_scheduler"]["interval"] == "step"
        # The first step of ten with a warm-up of half a step.
        assert configured["lr_scheduler"]["scheduler"].get_last_lr() == [pytest.approx(0.1 / 1.5)]

    def test_without_a_schedule(self, build):
        optimizer = build(scheduler=None).configure_optimizers()
        assert isinstance(optimizer, torch.optim.Adam)
        assert optimizer.param_groups[0]["lr"] == 0.1


class TestCheckpoint:
    def test_holds_the_generator_alone(self, build):
        generator = look()
        module = build(generator, masks(STYLE))
        expected = {f"generator.{name}": tensor for name, tensor in generator.state_dict().items()}
        assert module.state_dict().keys() == expected.keys()
        assert all(torch.equal(tensor, expected[name]) for name, tensor in module.state_dict().items())

    def test_holds_the_config(self, build, tmp_path):
        module, checkpoint = build(config={"name": "x", "loss": {"taps": ["relu1_1"], "weight": 1.5, "none": None}}), {}
        module.on_save_checkpoint(checkpoint)
        torch.save(checkpoint, tmp_path / "checkpoint")
        assert torch.load(tmp_path / "checkpoint", weights_only=True)["config"] == module.config


class TestRejects:
    def test_rejects_taps_that_the_encoder_lacks(self, build):
        with pytest.raises(
            InputError, match=r"^loss\.content\.taps: relu4_2 is no tap of the encoder; its taps are relu1"
        ):
            build(content_taps=["relu4_1", "relu4_2"])
        with pytest.raises(
            InputError, match=r"^loss\.style\.taps: relu3_1 is no tap of the encoder; its taps are relu4_1$"
        ):
            build(taps=["relu4_1"], style_taps=["relu4_1", "relu3_1"])

    def test_ignores_the_taps_of_a_term_of_weight_zero(self, build, logged):
        module = build(content_taps=["relu4_2"], weights={"content": 0.0})
        module.on_fit_start()
        module.training_step(BATCH, 0)
        assert logged["train/loss/content"] == 0
