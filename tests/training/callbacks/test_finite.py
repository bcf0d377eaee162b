import logging
import math
import os
import subprocess
import sys
from copy import deepcopy
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lookcast.checks import InputError
from lookcast.structures import PhotoBatch
from lookcast.training.callbacks import FiniteGuard, RunProgress
from lookcast.training.callbacks.finite import save_batch
from lookcast.training.modules.single import LookModule
from lookcast.weights import read_weights
from tests.runs import QUIET, TINY, read_metrics
from tests.samples import rand

pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}") for message in QUIET]

ROOT = Path(__file__).parents[3]
LOOKCAST = Path(sys.executable).parent / "lookcast"
MAGENTA = [255, 0, 255]


def broken(*steps, **arguments):
    """Overrides that set photos to NaN from one step to another."""
    target = "tests.training.callbacks.faults.BrokenPhotos"
    values = {"_target_": target, "steps": f"[{','.join(map(str, steps))}]", **arguments}
    return [f"+callbacks.broken.{key}={value}" for key, value in values.items()]


def column(run_dir, key):
    return [row[key] for row in read_metrics(run_dir) if key in row]


@pytest.fixture
def states(monkeypatch):
    """Weights and state of the optimiser after every step."""
    seen, original = [], RunProgress.on_train_batch_end

    def spy(self, trainer, module, *rest):
        seen.append(deepcopy((module.generator.state_dict(), trainer.optimizers[0].state_dict()["state"])))
        original(self, trainer, module, *rest)

    monkeypatch.setattr(RunProgress, "on_train_batch_end", spy)
    return seen


def same(one, other):
    (weights, moments), (other_weights, other_moments) = one, other
    return all(torch.equal(weights[name], other_weights[name]) for name in weights) and all(
        torch.equal(moments[number][name], other_moments[number][name])
        for number in moments
        for name in moments[number]
    )


class TestSkippedSteps:
    STEPS = ("trainer.max_steps=6", "scheduler=constant")

    @pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
    def test_leave_weights_and_moments_as_they_are(self, run, states, caplog, precision):
        with caplog.at_level(logging.WARNING, "lookcast"):
            result = run(*self.STEPS, *broken(2, 4, share=0.1), f"trainer.precision={precision}")
        changed = [not same(one, other) for one, other in pairwise(states)]
        assert changed == [True, False, False, True, True]
        assert column(result.run_dir, "train/skipped_steps") == [0, 0, 1, 2, 2, 2]
        assert [math.isnan(value) for value in column(result.run_dir, "train/loss/total")] == [
            False, False, True, True, False, False,
        ]  # fmt: skip
        assert [message.partition(";")[0] for message in caplog.messages] == [
            f"step {step} is skipped: its loss or gradients are not finite" for step in (2, 3)
        ]
        assert not (result.run_dir / "bad_batch").exists()

    def test_a_loss_counts_though_its_gradients_are_finite(self, run, states, monkeypatch):
        step = LookModule.training_step

        def constant_term(self, batch, index):  # not finite, and independent of the weights
            return step(self, batch, index) + (torch.inf if self.trainer.global_step == 2 else 0)

        monkeypatch.setattr(LookModule, "training_step", constant_term)
        result = run(*self.STEPS)
        assert all(map(math.isfinite, column(result.run_dir, "train/grad_norm")))
        assert [same(one, other) for one, other in pairwise(states)] == [False, True, False, False, False]
        assert column(result.run_dir, "train/skipped_steps") == [0, 0, 1, 1, 1, 1]

    def test_with_accumulated_gradients(self, run, states):
        # Two batches per step: one broken batch is enough to skip both.
        result = run("trainer.accumulate_grad_batches=2", *self.STEPS, "trainer.max_steps=4", *broken(1, 2))
        steps = states[1::2]
        assert [same(one, other) for one, other in pairwise(steps)] == [True, False, False]
        assert column(result.run_dir, "train/skipped_steps") == [0, 1, 1, 1]

    def test_the_count_is_part_of_a_checkpoint(self, run):
        first = run("trainer.max_steps=4", *broken(1, 3))
        last = first.run_dir / "checkpoints" / "last.ckpt"
        result = run("trainer.max_steps=6", *broken(4, 5), f"resume={last}", name="second")
        assert column(result.run_dir, "train/skipped_steps") == [3, 3]

    def test_overflows_of_a_scaler_are_no_fault(self, run, states):
        # The initial scale is too large: float16 gradients overflow, the scaler skips and halves it. Later comes a NaN.
        plugin = {
            "_target_": "pytorch_lightning.plugins.MixedPrecision", "precision": "16-mixed", "device": "cpu",
            "scaler": {"_target_": "torch.amp.GradScaler", "device": "cpu", "init_scale": 4194304},
        }  # fmt: skip
        half = ("trainer.precision=null", f"+trainer.plugins={plugin}".replace("'", ""))
        result = run("trainer.max_steps=14", "scheduler=constant", *half, *broken(12, 13))
        norms = column(result.run_dir, "train/grad_norm")
        overflows = [step for step, norm in enumerate(norms) if not math.isfinite(norm) and step != 12]
        assert overflows[0] == 0
        assert 2 <= len(overflows) <= 10
        assert column(result.run_dir, "train/skipped_steps") == [0] * 12 + [1] * 2
        unchanged = {step for step in range(1, 14) if same(states[step - 1], states[step])}
        assert unchanged == {12, *overflows} - {0}


class TestGradNorm:
    def test_is_the_norm_of_the_gradient_before_clipping(self, run, starts):
        # One step of plain gradient descent at a rate of 1 has the norm of the gradient.
        sgd = ("optimizer._target_=torch.optim.SGD", "optimizer.weight_decay=0", "optimizer.lr=1", "scheduler=constant")
        norms = {}
        for clip in (0, 1e-3):
            result = run(*sgd, "trainer.max_steps=1", f"trainer.gradient_clip_val={clip}", name=str(clip))
            norms[clip] = column(result.run_dir, "train/grad_norm")
            if not clip:
                state = torch.load(result.run_dir / "checkpoints" / "last.ckpt", weights_only=True)
                (ema,) = (value for key, value in state["callbacks"].items() if key.startswith("WeightEMA"))
                moved = torch.cat([(ema["weights"][key] - w).flatten() for key, w in starts[-1][1].items()])
        assert norms[0] == norms[1e-3] == [pytest.approx(float(moved.norm()), rel=1e-4)]


class TestTooManyInARow:
    def test_end_the_run_and_save_the_photos(self, run, tmp_path):
        stop = ("callbacks.finite.max_in_a_row=3", "trainer.max_steps=9")
        with pytest.raises(InputError, match=r"were not finite in 3 steps in a row, 4 to 6; .* are in ") as caught:
            run(*stop, *broken(1, 3, 4, 9, share=0.25))  # two in a row do not end it
        assert "\n" not in str(caught.value)
        folder = tmp_path / "run" / "bad_batch"
        assert str(caught.value).endswith(str(folder))
        stem = "step_000006_process_0_batch_0"
        assert {path.name for path in folder.iterdir()} == {f"{stem}.safetensors", f"{stem}.png"}
        tensors, header = read_weights(folder / f"{stem}.safetensors", "batch")
        assert (header["step"], tensors.keys()) == (6, {"content"})
        assert math.isnan(header["metrics"]["train/loss/total"])
        content = tensors["content"]
        assert content.shape == (2, 3, 64, 64)
        assert content[..., :16].isnan().all()
        assert content[..., 16:].isfinite().all()
        picture = np.array(Image.open(folder / f"{stem}.png"))
        assert picture.shape == (72, 140, 3)
        for number in range(2):
            cell = picture[4:68, 4 + 68 * number : 68 + 68 * number]
            assert (cell[:, :16] == MAGENTA).all()
            expected = (content[number, :, :, 16:] * 255).permute(1, 2, 0).numpy()
            assert np.abs(cell[:, 16:] - expected).max() <= 0.51

    def test_all_accumulated_batches_are_saved(self, run, tmp_path):
        stop = ("callbacks.finite.max_in_a_row=1", "trainer.accumulate_grad_batches=2", "trainer.max_steps=3")
        with pytest.raises(InputError, match="in 1 steps in a row, 1 to 1; "):
            run(*stop, *broken(1, 2))
        assert len(list((tmp_path / "run" / "bad_batch").glob("*.png"))) == 2

    def test_a_rate_that_breaks_the_weights(self, run, tmp_path):
        # Weights that overflow never recover: without the guard the run would continue to its end in vain.
        lost = ("optimizer.lr=1e30", "scheduler=constant", "trainer.max_steps=50")
        with pytest.raises(InputError, match="in 10 steps in a row, 1 to 10; "):
            run(*lost)
        tensors, _ = read_weights(next((tmp_path / "run" / "bad_batch").glob("*.safetensors")), "batch")
        assert tensors["content"].isfinite().all()  # the photos are not the cause

    @pytest.mark.parametrize("number", [0, -1])
    def test_rejects_numbers_below_one(self, tmp_path, number):
        with pytest.raises(InputError, match=rf"^max_in_a_row: expected at least 1, got {number}$"):
            FiniteGuard(tmp_path, number)


class TestSaveBatch:
    def test_pairs_are_side_by_side(self, tmp_path):
        content, style = rand(2, 3, 20, 30, dtype=torch.float32), rand(2, 3, 10, 15, seed=1, dtype=torch.float32)
        save_batch(tmp_path / "x.safetensors", PhotoBatch(content, style=style, skipped=("a: cut",)), {"step": 3})
        tensors, header = read_weights(tmp_path / "x.safetensors", "batch")
        assert torch.equal(tensors["content"], content)
        assert torch.equal(tensors["style"], style)
        assert header["batch"].items() >= {"content_mask": None, "style_mask": None, "skipped": ["a: cut"]}.items()
        picture = torch.from_numpy(np.array(Image.open(tmp_path / "x.png"))).permute(2, 0, 1) / 255
        assert picture.shape == (3, 28, 4 + 4 * 34)
        enlarged = torch.nn.functional.interpolate(style, (20, 30), mode="bilinear", antialias=True)
        for place, expected in enumerate((content[0], enlarged[0], content[1], enlarged[1])):
            cell = picture[:, 4:24, 4 + 34 * place : 34 + 34 * place]
            torch.testing.assert_close(cell, expected, rtol=0, atol=0.51 / 255)


@pytest.mark.nightly
class TestTwoProcesses:
    def test_skip_together_and_stop_together(self, tmp_path, encoder):
        overrides = [
            *TINY, f"encoder.weights={encoder}", f"run_dir={tmp_path}", "trainer=ddp", "trainer.accelerator=cpu",
            "trainer.devices=2", "trainer.max_steps=8", "callbacks.finite.max_in_a_row=2",
            *broken(1, 2, 4, 8, process=1, share=0.1, folder=tmp_path),
        ]  # fmt: skip
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        command = [LOOKCAST, "train", *overrides]
        result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=300)
        assert result.returncode == 2, result.stderr
        assert (
            "lookcast: error: training: loss or gradients were not finite in 2 steps in a row, 4 to 5" in result.stderr
        )
        assert column(tmp_path, "train/skipped_steps") == [0, 1, 1, 1, 2]
        # The mean over both is logged; the losses of the first are finite, and it skips all the same.
        finite = [math.isfinite(loss) for loss in column(tmp_path, "train/loss/total")]
        assert finite == [True, False, True, True, False]
        broken_photos = {}
        for process in range(2):
            path = tmp_path / "bad_batch" / f"step_000005_process_{process}_batch_0.safetensors"
            assert path.with_suffix(".png").exists()
            broken_photos[process] = read_weights(path, "batch")[0]["content"].isnan().float().mean() > 0.05
        assert broken_photos == {0: False, 1: True}
        weights = [torch.load(tmp_path / f"weights_{process}.pt", weights_only=True) for process in range(2)]
        assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
        assert all(tensor.isfinite().all() for tensor in weights[0].values())
