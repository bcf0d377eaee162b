from functools import partial
from itertools import pairwise

import pytest
import torch

from lookcast.checks import InputError
from lookcast.data.sampling import seed_of
from lookcast.data.transforms import generators_of, regional_grade
from lookcast.encoders.compact import CompactEncoder
from lookcast.generators import BilateralGenerator, UniversalGenerator
from lookcast.losses.color import ColorLoss
from lookcast.losses.content import ContentLoss
from lookcast.losses.deep_photo import DeepPhotoLoss
from lookcast.losses.photorealism import GuidedPenalty
from lookcast.losses.style import SegmentedStyleLoss
from lookcast.metrics.photo import edge_ssim
from lookcast.segmenters.pseudo_masks import PseudoMasks
from lookcast.segmenters.rough_masks import roughen
from lookcast.structures import LossTerms, PhotoBatch, Stylization
from lookcast.training.modules.pairs import UniversalModule
from lookcast.training.modules.single import LookModule
from tests.looks import SMALL
from tests.samples import photo, recolor

ENCODER = CompactEncoder()
UNIVERSAL = {"depth": 4, "channels": 16, "blocks": 1, "heads": 2, "head_width": 8, "regions": 3}
WEIGHTS = {
    "content": 0.1, "style": 1.0, "color": 0.04, "photorealism": 10.0, "smoothness": 10.0, "variation": 0.1,
    "gamut": 10.0, "truth": 3.0, "flatness": 100.0,
}  # fmt: skip


def crop(name, top, left, side=64):
    return photo(name, whole=True).float()[..., top : top + side, left : left + side]


BATCH = PhotoBatch(
    torch.cat([crop("astronaut", 0, 180), crop("chelsea", 60, 150)]),
    style=torch.cat([crop("coffee", 100, 200), recolor(crop("astronaut", 200, 100).double()).clamp(0, 1).float()]),
)
FIGURES = ("style_distance", "edge_ssim")


def loss(share=1.0, **weights):
    taps = ENCODER.taps
    terms = ContentLoss(["relu4_1"]), SegmentedStyleLoss(taps), ColorLoss(), GuidedPenalty()
    made = {f"{name}_weight": weight for name, weight in (WEIGHTS | weights).items()}
    return DeepPhotoLoss(*terms, **made, style_share_with_truth=share)


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
        assert [name for name in LossTerms._fields if logged[f"train/loss/{name}"] <= 0] == ["truth"]

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


def same_photo(count=8, side=64, flags=None):
    """Return a batch whose contents and styles are identical windows; `flags` says for which pairs that is known."""
    photos = torch.cat([crop("astronaut", 0, 180, side), crop("chelsea", 60, 150, side)]).repeat(count // 2, 1, 1, 1)
    flags = (True,) * count if flags is None else flags
    return PhotoBatch(photos, style=photos, ungraded=photos, same_photo=flags, seeds=tuple(range(count)))


class TestTruth:
    """Two windows of one photo get the same grade, so that the right output is known."""

    @staticmethod
    def target(module, batch, seed=0):
        torch.manual_seed(seed)
        with torch.no_grad():
            plain = module.make_target(batch)
            return plain, module._graded(batch, plain)

    @pytest.mark.parametrize("side", [64, 96])
    def test_of_identical_windows_is_the_graded_style(self, side):
        plain, graded = self.target(build(style_grade=0.7), same_photo(8, side))
        assert torch.equal(*plain.masks)
        assert plain.masks[0].shape[1] > 1  # several regions
        assert graded.with_truth == tuple(range(8))
        assert torch.equal(graded.truth, graded.style)
        # The grades differ between pairs, and change every photo.
        changes = (graded.truth - plain.style).abs().mean((1, 2, 3))
        assert changes.min() > 1e-3
        assert len(changes.unique()) == 8
        assert torch.equal(graded.content, plain.content)
        features = ENCODER(graded.style)
        assert all(torch.equal(graded.style_features[tap], features[tap]) for tap in ENCODER.taps)

    def test_is_the_grade_of_the_content_before_its_own(self):
        batch = same_photo(4)
        other = batch._replace(content=batch.content.flip(1))
        module = build(style_grade=0.7)
        plain, _ = self.target(module, batch)
        first, second = (module._graded(given, plain._replace(content=given.content)) for given in (batch, other))
        assert torch.equal(first.truth, second.truth)

    def test_grades_are_drawn_for_each_photo(self):
        # Two processes with two pairs each grade like one process with four.
        module, batch = build(style_grade=0.7), same_photo(4, flags=(True, False, True, True))
        plain, whole = self.target(module, batch)
        for part in (slice(0, 2), slice(2, 4)):
            some = batch._replace(
                **{name: getattr(batch, name)[part] for name in ("content", "style", "ungraded", "same_photo", "seeds")}
            )
            masks = tuple(mask[part] for mask in plain.masks)
            graded = module._graded(some, plain._replace(content=some.content, style=some.style, masks=masks))
            torch.testing.assert_close(graded.style, whole.style[part], rtol=0, atol=1e-6)  # sums in another order

    def test_case_of_each_grade(self):
        # A whole photo has one grade in 80 % of the cases, else one for each region.
        module, grey = build(style_grade=0.7), torch.full((200, 3, 8, 16), 0.4)
        grey[:, 0] = 0.5
        masks = torch.zeros(200, 2, 8, 16)
        masks[:, 0, :, ::2], masks[:, 1, :, 1::2] = 1, 1
        graded = module._known_grade(grey, masks, generators_of(range(200)))
        colors = torch.stack([graded[..., 0, 0], graded[..., 0, 1]])
        apart = (colors[0] - colors[1]).abs().amax(1) > 1e-6
        # 20 % of the photos are graded by region, and half of these have two regions with different grades.
        assert float(apart.float().mean()) == pytest.approx(0.1, abs=0.06)

    def test_other_pairs_have_the_grades_of_regions(self):
        batch = same_photo(4, flags=(True, False, True, False))
        plain, graded = self.target(build(style_grade=0.7), batch)
        assert graded.with_truth == (0, 2)
        assert graded.truth.shape == (2, 3, 64, 64)
        assert torch.equal(graded.truth, graded.style[[0, 2]])
        draws = generators_of([seed_of(seed, "regional grade") for seed in (1, 3)])
        assert torch.equal(
            graded.style[[1, 3]], regional_grade(plain.style[[1, 3]], plain.masks[1][[1, 3]], 0.7, draws)
        )

    @pytest.mark.parametrize("change", [{"ungraded": None}, {"same_photo": (False, False)}, {"same_photo": ()}])
    def test_none_for_other_pairs(self, change):
        _, graded = self.target(build(style_grade=0.7), same_photo(2)._replace(**change))
        assert (graded.truth, graded.with_truth) == (None, ())

    def test_no_grade_no_truth(self, logged):
        step(build(trained=True), same_photo(2))
        assert logged["train/loss/truth"] == 0

    @pytest.mark.parametrize("share", [0.0, 0.5])
    def test_loss_is_the_mean_over_both_kinds_of_pairs(self, share):
        module = build(trained=True, style_grade=0.7, loss=loss(share))
        batch = same_photo(4, flags=(False, True, False, False))._replace(style=BATCH.style.repeat(2, 1, 1, 1))
        _, target = self.target(module, batch)
        with torch.no_grad():
            output = module._stylize(target, (None, None))
            features = module.encoder(output.image.clamp(0, 1))
            torch.manual_seed(3)  # the colour term draws its directions
            terms = module._terms(target, output, features)
            torch.manual_seed(3)
            expected = []
            for chosen, truth in (([1], target.truth), ([0, 2, 3], None)):
                parts = [
                    {tap: values[chosen] for tap, values in taps.items()}
                    for taps in (target.content_features, features, target.style_features)
                ]
                some = Stylization(output.image[chosen], output.grid[chosen])
                photos = target.content[chosen], target.style[chosen]
                masks = (mask[chosen] for mask in target.masks)
                expected.append(module.loss(*photos, some, *parts, *masks, truth=truth))
        assert expected[0].truth > 0
        assert expected[0].total != expected[1].total
        for name, value in terms._asdict().items():
            known, unknown = (getattr(part, name) for part in expected)
            torch.testing.assert_close(value, 0.25 * known + 0.75 * unknown)

    @pytest.mark.parametrize("flags", [(True, True), (True, False)])
    def test_truth_alone_trains_the_generator(self, logged, flags):
        zero = dict.fromkeys(("content", "style", "color", "photorealism", "smoothness", "variation", "gamut"), 0.0)
        module = build(trained=True, style_grade=0.7, masked_share=0.0, loss=loss(**zero, flatness=0.0))
        batch = same_photo(2, flags=flags)
        step(module, batch).backward()
        missing = {
            name for name, p in module.generator.named_parameters() if p.grad is None or not p.grad.norm() > 1e-7
        }
        assert missing == set()
        assert logged["train/loss/total"] == pytest.approx(WEIGHTS["truth"] * logged["train/loss/truth"])

    def test_the_truth_costs_nothing_if_it_is_reached(self):
        module = build(style_grade=0.7)
        _, target = self.target(module, same_photo(2))
        output = Stylization(target.truth, None)
        terms = module._terms(target, output, module.encoder(target.truth))
        assert float(terms.truth) == pytest.approx(0.01, rel=1e-6)  # the root of 1e-4


class TestRoughShare:
    @pytest.mark.parametrize("share", [0.0, 1.0])
    def test_the_generator_alone_gets_rough_masks(self, reads, share, monkeypatch):
        module, compared = build(masked_share=1.0, rough_share=share), []
        loss = module.loss.forward
        monkeypatch.setattr(module.loss, "forward", lambda *given: compared.append(given[6:8]) or loss(*given))
        batch = BATCH._replace(seeds=(5, 6))
        seed = next(s for s in range(50) if TestMaskedShare.number(s) == 3)
        step(module, batch, seed)
        torch.manual_seed(seed)
        features = ENCODER(batch.content), ENCODER(batch.style)
        exact = module.pseudo_masks(batch.content, batch.style, *features, torch.default_generator)
        assert all(torch.equal(given, mask) for given, mask in zip(compared[0], exact, strict=True))
        for number, mask in enumerate(exact):
            draws = generators_of([seed_of(seed, "rough", number) for seed in (5, 6)])
            assert torch.equal(reads[number][1], roughen(mask, draws) if share else mask)
        # At least one of the four masks of these seeds is displaced.
        shown = [mask for _, mask, _ in reads]
        assert all(torch.equal(a, b) for a, b in zip(shown, exact, strict=True)) == (share == 0)

    def test_steps_without_masks_stay_without(self, reads):
        step(build(masked_share=0.0, rough_share=1.0), BATCH._replace(seeds=(5, 6)))
        assert [mask for _, mask, _ in reads] == [None, None]

    def test_validation_is_exact(self, reads):
        with torch.no_grad():
            build(rough_share=1.0).eval().validation_step(BATCH._replace(seeds=(5, 6)), 0)
        torch.manual_seed(0)
        features = ENCODER(BATCH.content), ENCODER(BATCH.style)
        exact = build().pseudo_masks(BATCH.content, BATCH.style, *features, torch.default_generator)
        assert all(torch.equal(reads[number][1], exact[number]) for number in range(2))


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
    @pytest.mark.parametrize("name", ["masked_share", "rough_share"])
    def test_rejects_shares_outside_the_unit_interval(self, name, share):
        with pytest.raises(InputError, match=rf"^{name}: expected a number in \[0, 1\], got"):
            build(**{name: share})

    def test_rejects_taps_that_the_encoder_lacks(self):
        with pytest.raises(InputError, match=r"^loss\.style\.taps: relu2_1 is no tap of the encoder"):
            build(encoder=CompactEncoder(taps=["relu1_1", "relu4_1"]))
