import json
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

import lookcast
from lookcast.checks import InputError
from lookcast.generators import BilateralGenerator
from lookcast.structures import LossTerms
from lookcast.training.modules.single import LookModule
from lookcast.training.run import train
from lookcast.training.schedules import warmup_cosine
from tests.looks import SMALL
from tests.runs import QUIET, TINY, composed, losses, read_metrics, save_encoder
from tests.samples import photo

pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}") for message in QUIET]

CURVE = Path(__file__).with_name("loss_curve.json")
CURVE_TOLERANCE = 2e-3
"""Relative. Two threads instead of one move a loss by 3e-7, AVX2 instead of AVX-512 by 2e-7, kernels without any vector
instructions, which resize photos in another way, by 3e-4: Adam amplifies the last bit."""
STEPS = (
    "data.photos=sample:astronaut", "data.val_photos=sample:chelsea", "data.scale=[0.8,1.0]", "data.content_grade=0",
    "trainer.max_steps=20", "trainer.val_check_interval=8", "optimizer.lr=5e-4",
    "loss.content_weight=0.01", "loss.style_weight=1", "loss.photorealism_weight=10", "loss.smoothness_weight=20",
    "loss.gamut_weight=10",
)  # fmt: skip
"""Twenty steps on PNG photos, which all decoders read alike; validations after 8 and 16. The weights are explicit, so
that a new default does not look like a new result."""
TERMS = {f"loss/{name}" for name in LossTerms._fields}
HEALTH = {"train/grad_norm", "train/skipped_steps"}
SPEED = {"train/images_per_second", "train/data_wait", "train/step_seconds", "train/host_memory_gib"}
FIGURES = {"val/style_distance", "val/style_distance_untouched", "val/edge_ssim"}


def start(folder, *overrides):
    """Compose a run; `folder` holds its encoder and its run folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return composed(*TINY, f"encoder.weights={save_encoder(folder)}", f"run_dir={folder / 'run'}", *overrides)


@pytest.fixture(scope="module")
def curve(tmp_path_factory):
    """The run of most tests, and its config."""
    cfg = start(tmp_path_factory.mktemp("curve"), *STEPS)
    return train(cfg), cfg


@pytest.fixture(scope="module")
def overshot(tmp_path_factory):
    """A run that diverges: a high constant rate without clipping."""
    too_fast = ("optimizer.lr=0.1", "scheduler=constant", "trainer.gradient_clip_val=0")
    cfg = start(tmp_path_factory.mktemp("overshot"), *STEPS, *too_fast)
    return train(cfg)


def load(path):
    return torch.load(path, map_location="cpu", weights_only=True)


def generator_of(path):
    """Load the generator of a training checkpoint."""
    generator = BilateralGenerator(**SMALL["bilateral"])
    generator.load_state_dict({k.removeprefix("generator."): v for k, v in load(path)["state_dict"].items()})
    return generator.eval()


def column(run_dir, key):
    """Return the values of a column of metrics.csv by step."""
    return {int(row["step"]): row[key] for row in read_metrics(run_dir) if key in row}


class TestRunFolder:
    def test_holds_what_is_promised_and_nothing_else(self, curve):
        files = {str(path.relative_to(curve[0].run_dir)) for path in curve[0].run_dir.rglob("*") if path.is_file()}
        pictures = {f"samples/step_{step:06d}.png" for step in (8, 16, 20)}
        assert files == {
            ".lock", "checkpoints/best.ckpt", "checkpoints/last.ckpt", "look.safetensors", "metrics.csv", *pictures
        }  # fmt: skip

    def test_metrics(self, curve):
        rows = read_metrics(curve[0].run_dir)
        keys = set().union(*rows)
        terms = {f"{stage}/{term}" for stage in ("train", "val") for term in TERMS}
        assert keys == {"epoch", "step", "lr-AdamW", *HEALTH, *SPEED, *FIGURES, *terms}
        for key in (*HEALTH, *(f"train/{term}" for term in TERMS)):
            assert list(column(curve[0].run_dir, key)) == list(range(20))
        for key in FIGURES:
            # After 8 and 16 steps, and the last weights after the training.
            assert list(column(curve[0].run_dir, key)) == [7, 15, 20]

    def test_learning_rate(self, curve):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 5e-4)
        schedule, expected = warmup_cosine(optimizer, 20), []
        for _ in range(20):
            expected.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        assert list(column(curve[0].run_dir, "lr-AdamW").values()) == pytest.approx(expected)

    def test_pictures(self, curve):
        for path in (curve[0].run_dir / "samples").iterdir():
            # One photo: three cells of 360 x 240 with four pixels around each.
            assert Image.open(path).size == (3 * 364 + 4, 244 + 4)

    def test_checkpoints_load_without_pickle(self, curve):
        result, cfg = curve
        for name, step in (("last", 20), ("best", 16)):
            checkpoint = load(result.run_dir / "checkpoints" / f"{name}.ckpt")
            assert checkpoint["global_step"] == step
            assert checkpoint["config"] == OmegaConf.to_container(cfg, resolve=True)

    def test_checkpoints_hold_the_generator_alone(self, curve):
        expected = BilateralGenerator(**SMALL["bilateral"]).state_dict()
        size = sum(tensor.numel() for tensor in expected.values())
        for path in (curve[0].run_dir / "checkpoints").iterdir():
            checkpoint = load(path)
            assert set(checkpoint["state_dict"]) == {f"generator.{name}" for name in expected}
            # Adam keeps two values for each weight: no encoder, no style photo in it either.
            kept = [t for state in checkpoint["optimizer_states"] for s in state["state"].values() for t in s.values()]
            assert sum(t.numel() for t in kept if t.ndim) == 2 * size

    def test_look_is_the_trained_generator(self, curve):
        result, _ = curve
        stylizer, trained = lookcast.load(result.checkpoint), generator_of(result.run_dir / "checkpoints" / "last.ckpt")
        content = photo("coffee").float()
        with torch.no_grad():
            expected = trained(content).image.clamp(0, 1)
        torch.testing.assert_close(stylizer.stylize(content), expected, rtol=0, atol=1e-5)
        assert (expected - content).abs().mean() > 0.01

    def test_header_of_the_look(self, curve):
        result, cfg = curve
        header = lookcast.load(result.checkpoint).header
        config = OmegaConf.to_container(cfg, resolve=True)
        assert header["generator"] == {"name": "bilateral", "arguments": SMALL["bilateral"]}
        assert header["training"] == config
        assert header["encoder"] == config["encoder"]
        assert header["licence"] == config["licence"]
        assert header["metrics"] == result.metrics
        assert header["steps"] == 20
        assert header["lookcast"] == lookcast.__version__

    def test_result(self, curve):
        result, cfg = curve
        assert (str(result.run_dir), result.held_out) == (cfg.run_dir, True)
        assert result.checkpoint == result.run_dir / "look.safetensors"
        assert result.metrics.keys() == {*FIGURES, *(f"val/{term}" for term in TERMS)}
        for key, value in result.metrics.items():
            assert column(result.run_dir, key)[20] == pytest.approx(value)


class TestLossCurve:
    def test_matches_the_stored_one(self, curve):
        actual = {key: list(column(curve[0].run_dir, key).values()) for key in ("train/loss/total", "val/loss/total")}
        expected = json.loads(CURVE.read_text())
        assert actual.keys() == expected.keys()
        for key in expected:
            assert actual[key] == pytest.approx(expected[key], rel=CURVE_TOLERANCE), (
                f"if this change is meant, {CURVE.name} is now {json.dumps(actual)}"
            )

    def test_falls(self, curve):
        training, judged = (list(column(curve[0].run_dir, f"{s}/loss/total").values()) for s in ("train", "val"))
        assert len(training) == 20
        assert np.mean(training[-5:]) < 0.75 * np.mean(training[:5])
        assert judged == sorted(judged, reverse=True)

    def test_look_is_closer_to_the_style(self, curve):
        figures = curve[0].metrics
        assert figures["val/style_distance"] < 0.8 * figures["val/style_distance_untouched"]
        assert figures["val/edge_ssim"] > 0.9

    def test_starts_from_the_identity(self, curve):
        # A new generator returns the photo: no cell differs, no value leaves the gamut, no feature moves.
        rows = [row for row in read_metrics(curve[0].run_dir) if "train/loss/total" in row]
        first, second = ({name: row[f"train/loss/{name}"] for name in LossTerms._fields} for row in rows[:2])
        assert first["smoothness"] == first["gamut"] == 0
        assert first["content"] < 1e-12
        assert second["smoothness"] > 1e-10
        assert second["content"] > 100 * first["content"]

    def test_same_seed_same_losses(self, curve, run):
        first = losses(curve[0].run_dir)
        assert losses(run(*STEPS, name="again").run_dir) == first
        other = losses(run(*STEPS, "seed=1", "trainer.max_steps=3", name="other").run_dir)
        assert all(abs(a - b) > 1e-4 for a, b in zip(first, other, strict=False))


class TestBestWeights:
    def test_are_those_of_the_look(self, overshot):
        judged = column(overshot.run_dir, "val/loss/total")
        assert 2 * judged[7] < judged[15]  # the run diverges
        assert lookcast.load(overshot.checkpoint).header["steps"] == 8
        best, last = (generator_of(overshot.run_dir / "checkpoints" / f"{name}.ckpt") for name in ("best", "last"))
        state = lookcast.load(overshot.checkpoint).generator.state_dict()
        assert all(torch.equal(tensor, best.state_dict()[name]) for name, tensor in state.items())
        assert not torch.equal(state["head.bias"], last.state_dict()["head.bias"])

    def test_are_those_validated(self, overshot):
        assert overshot.metrics["val/loss/total"] == pytest.approx(column(overshot.run_dir, "val/loss/total")[7])

    def test_last_checkpoint_is_the_last(self, overshot):
        # The checkpoint to resume from is the last, not the best.
        assert load(overshot.run_dir / "checkpoints" / "last.ckpt")["global_step"] == 20
        assert load(overshot.run_dir / "checkpoints" / "best.ckpt")["global_step"] == 8

    def test_a_run_that_is_shorter_than_the_first_validation(self, run):
        result = run("trainer.max_steps=3", "trainer.val_check_interval=500")
        for name in ("best", "last"):
            assert load(result.run_dir / "checkpoints" / f"{name}.ckpt")["global_step"] == 3
        assert [path.name for path in (result.run_dir / "samples").iterdir()] == ["step_000003.png"]
        assert lookcast.load(result.checkpoint).header["steps"] == 3

    def test_a_second_run_in_the_same_folder_writes_over_the_first(self, run):
        for steps in (1, 2):
            result = run(f"trainer.max_steps={steps}")
        assert {path.name for path in (result.run_dir / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
        for name in ("best", "last"):
            assert load(result.run_dir / "checkpoints" / f"{name}.ckpt")["global_step"] == 2


class TestResume:
    def test_resumes_at_its_step(self, curve, run, starts):
        last = curve[0].run_dir / "checkpoints" / "last.ckpt"
        result = run(*STEPS, "trainer.max_steps=24", f"resume={last}")
        (step, weights), checkpoint = starts[0], load(last)
        assert step == 20
        average = next(state for key, state in checkpoint["callbacks"].items() if key.startswith("WeightEMA"))
        assert all(torch.equal(average["weights"][name], w) for name, w in weights.items())
        assert list(column(result.run_dir, "train/loss/total")) == [20, 21, 22, 23]
        assert load(result.run_dir / "checkpoints" / "last.ckpt")["global_step"] == 24
        assert lookcast.load(result.checkpoint).header["steps"] == 24

    def test_optimiser_and_schedule_continue(self, curve, run):
        last = curve[0].run_dir / "checkpoints" / "last.ckpt"
        result = run(*STEPS, "trainer.max_steps=40", f"resume={last}")
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 5e-4)
        factor = warmup_cosine(optimizer, 40).lr_lambdas[0]
        rates = column(result.run_dir, "lr-AdamW")
        # The first step still has the rate that the checkpoint holds for it; then the schedule is the longer run's.
        assert [rates[step] for step in range(21, 40)] == pytest.approx([5e-4 * factor(s) for s in range(21, 40)])
        state = load(result.run_dir / "checkpoints" / "last.ckpt")["optimizer_states"][0]["state"]
        assert {int(entry["step"]) for entry in state.values()} == {40}

    def test_rejects_a_missing_file(self, run, tmp_path):
        with pytest.raises(InputError, match=r"^resume: .*no\.ckpt: no such checkpoint$"):
            run(f"resume={tmp_path / 'no.ckpt'}")

    def test_rejects_what_is_no_training_checkpoint(self, curve, run, tmp_path):
        (tmp_path / "text.ckpt").write_text("no checkpoint")
        torch.save({"weight": torch.zeros(2)}, tmp_path / "other.ckpt")
        whole = (curve[0].run_dir / "checkpoints" / "last.ckpt").read_bytes()
        (tmp_path / "cut.ckpt").write_bytes(whole[: len(whole) // 2])
        for path in (*tmp_path.glob("*.ckpt"), curve[0].checkpoint):
            with pytest.raises(InputError, match=r"^resume: .*: expected a training checkpoint, such as") as caught:
                run(f"resume={path}")
            assert str(path) in str(caught.value)
            assert "\n" not in str(caught.value)

    def test_rejects_another_generator(self, curve, run):
        last = curve[0].run_dir / "checkpoints" / "last.ckpt"
        with pytest.raises(
            InputError, match=r"^resume: .*last\.ckpt: was trained with generator\.depth=4, this run has 5"
        ):
            run(f"resume={last}", "generator.depth=5")


class TestInterrupt:
    def test_leaves_what_it_can_be_resumed_from(self, run, tmp_path, monkeypatch, interrupts, starts):
        step = LookModule.training_step

        def interrupted(self, batch, index):
            if self.trainer.global_step == 5 and self.trainer.ckpt_path is None:
                raise KeyboardInterrupt
            return step(self, batch, index)

        monkeypatch.setattr(LookModule, "training_step", interrupted)
        overrides = ["trainer.max_steps=6", "trainer.val_check_interval=2"]
        with pytest.raises(KeyboardInterrupt):
            run(*overrides, name="first")
        last = tmp_path / "first" / "checkpoints" / "last.ckpt"
        assert load(last)["global_step"] == 4
        assert not (tmp_path / "first" / "look.safetensors").exists()
        result = run(*overrides, f"resume={last}", name="second")
        assert [number for number, _ in starts] == [0, 4]
        assert list(column(result.run_dir, "train/loss/total")) == [4, 5]


class TestGradients:
    SGD = (
        "optimizer._target_=torch.optim.SGD", "optimizer.weight_decay=0", "optimizer.lr=1", "scheduler=constant",
        "callbacks.ema=null",
    )  # fmt: skip

    @staticmethod
    def change(before, path):
        after = load(path)["state_dict"]
        return torch.cat([(after[f"generator.{name}"] - tensor).flatten() for name, tensor in before.items()])

    def test_are_clipped(self, run, starts):
        # One step of plain gradient descent at a rate of 1 is as long as the gradient.
        lengths = []
        for clip in (1.0, 1e-3):
            result = run(*self.SGD, f"trainer.gradient_clip_val={clip}", "trainer.max_steps=1", name=str(clip))
            change = self.change(starts[-1][1], result.run_dir / "checkpoints" / "last.ckpt")
            lengths.append(float(change.norm()))
        assert 1e-3 < lengths[0] < 1
        assert lengths[1] == pytest.approx(1e-3, rel=1e-3)

    def test_are_accumulated(self, run, starts, capfd):
        # One step of one batch of 4, or of two batches of 2. All samples are the same whole, square photo except for
        # mirroring, so the steps differ by little.
        same = (*self.SGD, "data.photos=sample:astronaut", "data.scale=[1.0,1.0]", "data.content_grade=0")
        once = run(*same, "data.batch_size=4", "trainer.max_steps=1", name="once")
        twice = run(*same, "trainer.accumulate_grad_batches=2", "trainer.max_steps=1", name="twice")
        paths = [result.run_dir / "checkpoints" / "last.ckpt" for result in (once, twice)]
        changes = [self.change(weights, path) for (_, weights), path in zip(starts, paths, strict=True)]
        assert torch.cosine_similarity(*changes, dim=0) > 0.98
        assert float(changes[0].norm() / changes[1].norm()) == pytest.approx(1, abs=0.1)
        assert "step 1/1 (100%)" in capfd.readouterr().err

    def test_accumulation_counts_steps(self, run, capfd):
        result = run("trainer.accumulate_grad_batches=2", "trainer.max_steps=3")
        assert load(result.run_dir / "checkpoints" / "last.ckpt")["global_step"] == 3
        # Pictures by step, none of the step 0 that the first batch still belongs to; validations by batch, 2 and 4.
        assert sorted(path.name for path in (result.run_dir / "samples").iterdir()) == [
            "step_000002.png",
            "step_000003.png",
        ]
        assert "step 3/3 (100%)" in capfd.readouterr().err
        assert list(column(result.run_dir, "lr-AdamW")) == [0, 1, 2]


class TestPrecision:
    """A run in mixed bfloat16 precision agrees with the float32 run to two or three digits."""

    @staticmethod
    def assert_near(result, curve):
        assert losses(result.run_dir) == pytest.approx(losses(curve[0].run_dir), rel=0.03)
        assert result.metrics == pytest.approx(curve[0].metrics, rel=0.03, abs=1e-5)
        assert result.metrics["val/edge_ssim"] == pytest.approx(curve[0].metrics["val/edge_ssim"], abs=2e-3)

    def test_mixed_precision(self, curve, run):
        self.assert_near(run(*STEPS, "trainer.precision=bf16-mixed"), curve)

    @pytest.mark.gpu
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
    def test_on_a_gpu(self, curve, run):
        self.assert_near(run(*STEPS, "trainer=gpu"), curve)
