from itertools import pairwise

import pytest
import torch

import lookcast
from lookcast.checks import InputError
from lookcast.training.callbacks import RunProgress, SampleSheet, WeightEMA
from lookcast.training.modules.single import LookModule
from tests.runs import QUIET, read_metrics
from tests.samples import photo
from tests.training.callbacks.test_finite import broken

pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}") for message in QUIET]

STEPS = ("trainer.max_steps=6", "trainer.val_check_interval=4", "scheduler=constant")
FAST = "optimizer.lr=0.02"
"""A high rate makes the raw weights and their average differ."""


def copied(module):
    return {name: weight.detach().clone() for name, weight in module.generator.named_parameters()}


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def of_checkpoint(path):
    """Average, raw weights and number of updates in a training checkpoint."""
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    averages = {name.removeprefix("generator."): tensor for name, tensor in checkpoint["state_dict"].items()}
    (state,) = (state for key, state in checkpoint["callbacks"].items() if key.startswith("WeightEMA"))
    return averages, state["weights"], state["updates"]


def averages_of(weights, decay=0.999):
    """The definition in float64; the first weights are those before the first step."""
    average = {name: tensor.double() for name, tensor in weights[0].items()}
    for t, step in enumerate(weights[1:]):
        d = min(decay, (1 + t) / (10 + t))
        average = {name: d * average[name] + (1 - d) * step[name].double() for name in average}
    return average


@pytest.fixture
def weights(monkeypatch):
    """Weights when training starts and after every batch."""
    seen, start, end = [], RunProgress.on_train_start, RunProgress.on_train_batch_end

    def on_start(self, trainer, module):
        seen.append(copied(module))
        start(self, trainer, module)

    def on_end(self, trainer, module, *rest):
        seen.append(copied(module))
        end(self, trainer, module, *rest)

    monkeypatch.setattr(RunProgress, "on_train_start", on_start)
    monkeypatch.setattr(RunProgress, "on_train_batch_end", on_end)
    return seen


@pytest.fixture
def shown(monkeypatch):
    """Weights that each validation and each picture uses, with the step."""
    seen, validate = [], LookModule.validation_step

    def validation_step(self, batch, index):
        if index == 0:
            seen.append(("validation", self.trainer.global_step, copied(self)))
        validate(self, batch, index)

    def forward(self, batch):
        seen.append(("picture", self.trainer.global_step, copied(self)))
        return original(self, batch)

    original = LookModule.forward

    def drawn(self, trainer, module):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(LookModule, "forward", forward)
            draw_all(self, trainer, module)

    draw_all = SampleSheet.draw
    monkeypatch.setattr(LookModule, "validation_step", validation_step)
    monkeypatch.setattr(SampleSheet, "draw", drawn)
    return seen


def assert_close(actual, expected):
    for name, tensor in expected.items():
        torch.testing.assert_close(actual[name], tensor.float(), rtol=1e-5, atol=1e-7)


class TestAverage:
    @pytest.mark.parametrize("decay", [0.999, 0.2])
    def test_known_value(self, run, weights, decay):
        result = run(*STEPS, FAST, f"callbacks.ema.decay={decay}")
        averages, last, updates = of_checkpoint(result.run_dir / "checkpoints" / "last.ckpt")
        assert updates == 6
        assert_close(averages, averages_of(weights, decay))
        assert equal(last, weights[-1])
        assert not equal(averages, last)

    def test_once_a_step_with_accumulated_gradients(self, run, weights):
        result = run("trainer.accumulate_grad_batches=2", *STEPS, FAST)
        averages, last, updates = of_checkpoint(result.run_dir / "checkpoints" / "last.ckpt")
        assert (len(weights), updates) == (13, 6)
        assert_close(averages, averages_of(weights[::2]))
        assert equal(last, weights[-1])

    def test_a_skipped_step_does_not_count(self, run, weights):
        result = run(*STEPS, FAST, *broken(2, 4))
        averages, _, updates = of_checkpoint(result.run_dir / "checkpoints" / "last.ckpt")
        taken = [weights[0], *(after for before, after in pairwise(weights) if not equal(before, after))]
        assert (len(taken), updates) == (5, 4)
        assert_close(averages, averages_of(taken))

    @pytest.mark.parametrize(
        ("decay", "limit"),
        [(-0.1, "at least 0.0"), (1, "less than 1.0"), (float("nan"), "a finite number")],
    )
    def test_rejects_other_shares(self, decay, limit):
        with pytest.raises(InputError, match=rf"^decay: expected {limit}, got {decay}$"):
            WeightEMA(decay)


class TestUse:
    def test_validations_pictures_and_the_final_checkpoint(self, run, weights, shown):
        result = run(*STEPS, "optimizer.lr=2e-3")  # slow enough that the last weights are the best
        kinds = [(kind, step) for kind, step, _ in shown]
        # The picture of a step precedes its validation; the last two belong to the end.
        assert list(dict.fromkeys(kinds)) == [("picture", 4), ("validation", 4), ("picture", 6), ("validation", 6)]
        for _, step, seen in shown:
            assert_close(seen, averages_of(weights[: step + 1]))
        shipped = dict(lookcast.load(result.checkpoint).generator.named_parameters())
        assert_close(shipped, averages_of(weights))
        best, _, updates = of_checkpoint(result.run_dir / "checkpoints" / "best.ckpt")
        assert updates == 4
        assert_close(best, averages_of(weights[:5]))

    def test_training_is_the_same_without(self, run, weights):
        # Neither the average nor its use in validations and pictures changes the training.
        curves = []
        for name, switch in (("without", "callbacks.ema=null"), ("with", "callbacks.ema.decay=0.999")):
            result = run(*STEPS, FAST, switch, name=name)
            curves.append(
                [row["train/loss/total"] for row in read_metrics(result.run_dir) if "train/loss/total" in row]
            )
        assert curves[0] == curves[1]
        assert all(equal(one, other) for one, other in zip(weights[:7], weights[7:], strict=True))
        path = result.run_dir.parent / "without" / "checkpoints" / "last.ckpt"
        without = torch.load(path, map_location="cpu", weights_only=True)
        assert not any(key.startswith("WeightEMA") for key in without["callbacks"])
        assert equal({n.removeprefix("generator."): t for n, t in without["state_dict"].items()}, weights[6])


class TestResume:
    def test_continues_to_the_bit(self, run, weights, monkeypatch):
        # Every step trains on the same photos: this test is not about the order of the photos.
        step, photos = LookModule.training_step, photo("astronaut").float()[..., :64, :64]

        def same_photos(self, batch, index):
            return step(self, batch._replace(content=photos), index)

        monkeypatch.setattr(LookModule, "training_step", same_photos)
        same = (*STEPS[1:], FAST)
        whole = run(*same, "trainer.max_steps=8", name="whole")
        half = run(*same, "trainer.max_steps=5", name="half")
        last = half.run_dir / "checkpoints" / "last.ckpt"
        rest = run(*same, "trainer.max_steps=8", f"resume={last}", name="rest")
        straight, resumed = weights[:9], weights[9:15] + weights[16:]
        assert all(equal(one, other) for one, other in zip(straight, resumed, strict=True))
        assert equal(weights[15], weights[14])  # a resumed run starts from the raw weights, not from the average
        one, other = (of_checkpoint(r.run_dir / "checkpoints" / "last.ckpt") for r in (whole, rest))
        assert equal(one[0], other[0])
        assert equal(one[1], other[1])
        assert one[2] == other[2] == 8

    def test_from_a_run_without(self, run, weights):
        first = run(*STEPS, FAST, "callbacks.ema=null", name="first")
        last = first.run_dir / "checkpoints" / "last.ckpt"
        result = run(*STEPS, FAST, "trainer.max_steps=8", f"resume={last}", name="second")
        averages, _, updates = of_checkpoint(result.run_dir / "checkpoints" / "last.ckpt")
        assert updates == 2
        assert_close(averages, averages_of(weights[7:]))


class TestMemory:
    def test_one_copy_of_what_is_trained(self, run, monkeypatch):
        seen, original = [], WeightEMA.on_fit_end

        def spy(self, trainer, module):
            seen.append((self, module))
            original(self, trainer, module)

        monkeypatch.setattr(WeightEMA, "on_fit_end", spy)
        run("init_from=universal", "trainer.max_steps=1")
        ((ema, module),) = seen
        assert module.generator.name == "baked"
        frozen = {name for name, _ in module.generator.named_buffers()}
        assert any("encoder" in name for name in frozen)
        assert ema.stored.keys() == dict(module.generator.named_parameters()).keys()
        assert not ema.stored.keys() & frozen
