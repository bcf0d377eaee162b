from functools import partial
from itertools import pairwise

import pytest
import torch

from lookcast.checks import InputError
from lookcast.encoders.compact import CompactEncoder
from lookcast.generators import BilateralGenerator, UniversalGenerator
from lookcast.losses.color import ColorLoss
from lookcast.losses.content import ContentLoss
from lookcast.losses.deep_photo import DeepPhotoLoss
from lookcast.losses.photorealism import GuidedPenalty
from lookcast.losses.style import SegmentedStyleLoss
from lookcast.metrics.photo import edge_ssim
from lookcast.segmenters.pseudo_masks import PseudoMasks
from lookcast.structures import LossTerms, PhotoBatch
from lookcast.training.modules.pairs import UniversalModule
from lookcast.training.modules.single import LookModule
from tests.looks import SMALL
from tests.samples import photo, recolor

ENCODER = CompactEncoder()
UNIVERSAL = {"depth": 4, "channels": 16, "blocks": 1, "heads": 2, "head_width": 8, "regions": 3}
WEIGHTS = {
    "content": 0.1, "style": 1.0, "color": 0.04, "photorealism": 10.0, "smoothness": 10.0, "variation": 0.1,
    "gamut": 10.0,
}  # fmt: skip


def crop(name, top, left, side=64):
    return photo(name, whole=True).float()[..., top : top + side, left : left + side]


BATCH = PhotoBatch(
    torch.cat([crop("astronaut", 0, 180), crop("chelsea", 60, 150)]),
    style=torch.cat([crop("coffee", 100, 200), recolor(crop("astronaut", 200, 100).double()).clamp(0, 1).float()]),
)
FIGURES = ("style_distance", "edge_ssim")


def loss(**weights):
    taps = ENCODER.taps
    terms = ContentLoss(["relu4_1"]), SegmentedStyleLoss(taps), ColorLoss(), GuidedPenalty()
    return DeepPhotoLoss(*terms, **{f"{name}_weight": weight for name, weight in (WEIGHTS | weights).items()})


def build(trained=False, generator=None, **options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if generator is None:
            generator = UniversalGenerator(ENCODER, **UNIVERSAL)
            for parameter in generator.parameters() if trained else ():
                parameter.data.add_(0.1 * torch.randn_like(parameter))
    arguments = {
        "pseudo_masks": PseudoMasks(max_regions=3), "generator": generator, "encoder": ENCODER, "loss": loss(),
        "optimizer": partial(torch.optim.AdamW, lr=3e-3), "scheduler": None, "config": {"name": "test"},
    }  # fmt: skip
    return UniversalModule(**arguments | options)


@pytest.fixture(autouse=True)
def logged(monkeypatch):
    """Values that a module logs, by key."""
    values = {}

    def log_dict(self, entries, **options):
        values.update({key: float(value.detach()) for key, value in entries.items()})

    monkeypatch.setattr(LookModule, "log_dict", log_dict)
    monkeypatch.setattr(LookModule, "log", lambda self, key, value, **options: log_dict(self, {key: value}))
    return values


@pytest.fixture
def reads(monkeypatch):
    """Photo, mask and features of every call of `read`."""
    seen, original = [], UniversalGenerator.read

    def spy(self, photo, mask=None, features=None):
        seen.append((photo, mask, features))
        return original(self, photo, mask, features)

    monkeypatch.setattr(UniversalGenerator, "read", spy)
    return seen


def step(module, batch=BATCH, seed=0):
    """Take a step with the same draws: regions, directions of the colour term, masks shown or not."""
    return module.training_step(batch._replace(seed=seed), 0)


class TestTrainingStep:
    @pytest.mark.parametrize("share", [0.0, 1.0])
    def test_known_value(self, logged, share):
        module = build(trained=True, masked_share=share)
        total = step(module).detach()
        torch.manual_seed(0)
        features = [ENCODER(image) for image in (BATCH.content, BATCH.style)]
        masks = module.pseudo_masks(BATCH.content, BATCH.style, *features, torch.default_generator)
        torch.rand(())  # the step draws whether to show the masks
        shown = masks if share else (None, None)
        output = module.generator(BATCH.content, BATCH.style, *shown)
        output_features = ENCODER(output.image.clamp(0, 1))
        expected = module.loss(BATCH.content, BATCH.style, output, features[0], output_features, features[1], *masks)
        torch.testing.assert_close(total, expected.total.detach(), rtol=1e-5, atol=1e-6)
        assert logged == {
            f"train/loss/{name}": pytest.approx(float(term.detach()), rel=1e-4)
            for name, term in expected._asdict().items()
        }
        assert all(logged[f"train/loss/{name}"] > 0 for name in LossTerms._fields)

    def test_loss_falls(self):
        # Every step has the same photos, regions and directions.
        module = build(masked_share=0.5)
        module.train()
        optimizer, curve = module.configure_optimizers(), []
        for _ in range(15):
            optimizer.zero_grad()
            total = step(module)
            total.backward()
            optimizer.step()
            curve.append(total.item())
        assert curve[-1] < 0.85 * curve[0]
        assert sum(b < a for a, b in pairwise(curve)) >= 12

    @pytest.mark.parametrize("share", [0.0, 1.0])
    def test_gradient_reaches_the_generator_alone(self, share):
        module = build(trained=True, masked_share=share)
        step(module).backward()
        trained = {name for name, p in module.named_parameters() if p.grad is not None and p.grad.norm() > 1e-8}
        assert trained
        assert all(name.startswith("generator.") for name in trained)
        # The parameters of `regions` get a gradient only if the generator sees no masks.
        assert any(".regions." in name for name in trained) == (share == 0)
        assert not any(tensor.requires_grad for tensor in module.encoder.buffers())


class TestMaskedShare:
    @pytest.mark.parametrize(("share", "shown"), [(0.0, 0), (1.0, 12)])
    def test_generator_sees_masks_at_the_ends(self, reads, share, shown):
        module = build(masked_share=share, pseudo_masks=PseudoMasks(max_regions=2), loss=loss(style=0.0, color=0.0))
        with torch.no_grad():
            for seed in range(12):
                step(module, BATCH._replace(content=BATCH.content[:1], style=BATCH.style[:1]), seed)
        contents, styles = reads[::2], reads[1::2]
        assert sum(mask is not None for _, mask, _ in contents) == shown
        # Content and style have masks, or neither has.
        assert [mask is None for _, mask, _ in contents] == [mask is None for _, mask, _ in styles]

    def test_half_of_the_steps(self, reads):
        module = build(pseudo_masks=PseudoMasks(max_regions=1), loss=loss(style=0.0, color=0.0))
        assert module.masked_share == 0.5
        small = BATCH._replace(content=BATCH.content[:1, :, :32, :32], style=BATCH.style[:1, :, :32, :32])
        with torch.no_grad():
            for seed in range(24):
                step(module, small, seed)
        shown = sum(mask is not None for _, mask, _ in reads) / len(reads)
        assert 0.2 < shown < 0.8

    def test_the_loss_always_compares_regions(self, logged):
        # Swap the regions of the style for the loss: that costs something even if the generator sees no masks.
        values = []
        for swapped in (False, True):
            module = build(masked_share=0.0)
            original = module.pseudo_masks

            def masks(*given, original=original, swapped=swapped):
                content_mask, style_mask = original(*given)
                return content_mask, style_mask.roll(1, 1) if swapped else style_mask

            module.pseudo_masks = masks
            step(module, seed=next(s for s in range(50) if self.number(s) == 3))
            values.append({key: logged[f"train/loss/{key}"] for key in ("content", "style", "color")})
        assert values[0]["content"] == values[1]["content"]
        for term in ("style", "color"):
            assert values[0][term] < 0.98 * values[1][term]

    @staticmethod
    def number(seed):
        torch.manual_seed(seed)
        return int(torch.randint(1, 4, ()))


class TestFeatures:
    """The generator takes the features that the loss has computed."""

    @pytest.mark.parametrize("sizes", [((256, 256), (256, 256)), ((128, 128), (256, 128)), ((64, 64), (128, 128))])
    @pytest.mark.parametrize("masked", [False, True])
    def test_module_equals_function(self, reads, sizes, masked):
        module = build(trained=True, masked_share=0.0, loss=loss(style=0.0, color=0.0, photorealism=0.0))
        contents, styles = (
            torch.nn.functional.interpolate(image[:1], size, mode="bilinear")
            for image, size in zip((BATCH.content, BATCH.style), sizes, strict=True)
        )
        batch = PhotoBatch(contents, style=styles)
        with torch.no_grad():
            target = module.make_target(batch)
            masks = target.masks if masked else (None, None)
            output = dict(module.val_variants(batch, target))["val" if masked else "val/unmasked"]
            features = target.content_features, target.style_features
            assert [given is own for (_, _, given), own in zip(reads, 2 * features, strict=True)] == [True] * 4
            expected = module.generator(contents, styles, *masks)
        torch.testing.assert_close(output.image, expected.image, rtol=0, atol=1e-5)


class TestValidationStep:
    def test_known_value(self, logged):
        module = build(trained=True).eval()
        batch = BATCH._replace(content=BATCH.content[:1], style=BATCH.style[:1], seed=5)
        with torch.no_grad():
            module.validation_step(batch, 0)
            features = ENCODER(batch.content), ENCODER(batch.style)
            masks = module.pseudo_masks(batch.content, batch.style, *features, torch.Generator().manual_seed(5))
            distance = SegmentedStyleLoss(ENCODER.taps)
            for prefix, shown in (("val", masks), ("val/unmasked", ())):
                image = module.generator(batch.content, batch.style, *shown).image.clamp(0, 1)
                expected = float(distance(ENCODER(image), features[1], *masks))
                assert logged[f"{prefix}/style_distance"] == pytest.approx(expected, rel=1e-4)
                assert logged[f"{prefix}/edge_ssim"] == pytest.approx(float(edge_ssim(batch.content, image)), rel=1e-4)
            untouched = float(distance(*features, *masks))
        assert logged["val/style_distance_untouched"] == pytest.approx(untouched, rel=1e-5)
        assert logged["val/style_distance"] != pytest.approx(logged["val/unmasked/style_distance"], rel=1e-3)
        losses = {f"{prefix}/loss/{name}" for prefix in ("val", "val/unmasked") for name in LossTerms._fields}
        figures = {f"{prefix}/{figure}" for prefix in ("val", "val/unmasked") for figure in FIGURES}
        assert logged.keys() == losses | figures | {"val/style_distance_untouched"}

    def test_regions_do_not_depend_on_what_was_drawn(self, logged):
        module, values = build(trained=True).eval(), []
        for seed in (0, 1):
            torch.manual_seed(seed)
            with torch.no_grad():
                module.validation_step(BATCH, 3)
            values.append(dict(logged))
        assert values[0] == pytest.approx(values[1], rel=1e-5)

    def test_a_pair_of_one_photo_stays_untouched(self, logged):
        with torch.no_grad():
            build(trained=True).eval().validation_step(BATCH._replace(style=BATCH.content), 0)
        assert logged["val/style_distance_untouched"] == pytest.approx(0, abs=1e-5)
        for prefix in ("val", "val/unmasked"):
            assert logged[f"{prefix}/style_distance"] == pytest.approx(0, abs=1e-3)
            assert logged[f"{prefix}/edge_ssim"] == pytest.approx(1, abs=1e-3)
            assert logged[f"{prefix}/loss/content"] == pytest.approx(0, abs=1e-6)

    def test_an_untrained_generator_transfers_colours(self, logged):
        with torch.no_grad():
            build().eval().validation_step(BATCH, 1)
        assert logged["val/style_distance"] < 0.9 * logged["val/style_distance_untouched"]
        assert logged["val/loss/content"] > 0


class TestWithoutAStyleOfTheRun:
    def test_starts_without_a_style(self):
        module = build()
        module.on_fit_start()
        module.on_validation_start()
        assert (module.style, module.style_features) == (None, {})
        assert torch.equal(module.style_of(BATCH), BATCH.style)

    def test_forward_takes_the_style_of_the_batch(self):
        module = build(trained=True)
        with torch.no_grad():
            assert torch.equal(module(BATCH).image, module.generator(BATCH.content, BATCH.style).image)

    def test_checkpoint_holds_the_generator_alone(self):
        module = build()
        assert module.state_dict().keys() == {f"generator.{name}" for name in module.generator.state_dict()}


class TestRejects:
    def test_rejects_generators_of_a_single_look(self):
        with pytest.raises(InputError, match=r"^generator: bilateral takes no style photo; training on pairs needs a"):
            build(generator=BilateralGenerator(**SMALL["bilateral"]))

    @pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
    def test_rejects_shares_outside_the_unit_interval(self, share):
        with pytest.raises(InputError, match=r"^masked_share: expected a number in \[0, 1\], got"):
            build(masked_share=share)

    def test_rejects_taps_that_the_encoder_lacks(self):
        with pytest.raises(InputError, match=r"^loss\.style\.taps: relu2_1 is no tap of the encoder"):
            build(encoder=CompactEncoder(taps=["relu1_1", "relu4_1"]))
