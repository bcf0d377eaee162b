"""Several processes train as one: 2 x batch 2 as 1 x batch 4."""

import pytest
import torch

from tests.runs import QUIET, TINY, losses, save_photos
from tests.test_configs import UNIVERSAL
from tests.training.stops import signal_at

pytestmark = [pytest.mark.slow, *(pytest.mark.filterwarnings(f"ignore:{message}") for message in QUIET)]

TWO = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "data.batch_size=2")
ONE = ("trainer=cpu", "data.batch_size=4")
LENGTH = ("trainer.max_steps=20", "trainer.val_check_interval=20", "callbacks.last.every_n_steps=5")
LOOKS = {
    "look": ("data=folder",),
    "universal": (
        "experiment=universal",
        "trainer.precision=32-true",
        "+optimizer.eps=1e-3",
        "encoder.weights=null",
        *UNIVERSAL[2:],
    ),
}


SAMPLES = (
    f"[{','.join(f'sample:{name}' for name in ('astronaut', 'chelsea', 'china', 'coffee', 'flower', 'motorcycle'))}]"
)
"""Whole photographs: in small crops, enlarged, cells are so alike that the last bit decides on a cell's region."""


def command(kind, photos, run_dir, processes):
    style, photos = ("sample:coffee", photos) if kind == "look" else (SAMPLES, SAMPLES)
    small = [word for word in TINY if not word.startswith(("generator", "data=", "trainer=", "style="))]
    sizes = [word for word in TINY if word.startswith("generator")] if kind == "look" else []
    named = (f"style={style}", f"data.photos={photos}")
    return (*LOOKS[kind], *small, *sizes, *named, *processes, *LENGTH, f"run_dir={run_dir}")


def weights(run_dir):
    return torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


@pytest.mark.parametrize("kind", ["look", pytest.param("universal", marks=pytest.mark.nightly)])
def test_same_losses(shell, tmp_path, kind):
    photos = save_photos(tmp_path / "photos", 30)
    for name, processes in (("one", ONE), ("two", TWO)):
        result = shell(*command(kind, photos, tmp_path / name, processes))
        assert result.returncode == 0, result.stderr
    one, two = (losses(tmp_path / name) for name in ("one", "two"))
    assert len(one) == 20
    assert two == pytest.approx(one, rel=1e-4)
    assert max(one) > 1.2 * min(one)  # the losses differ from step to step much more than that


@pytest.mark.nightly
def test_goes_on_when_a_process_was_killed(shell, tmp_path):
    photos = save_photos(tmp_path / "photos", 30)
    killed = command("look", photos, tmp_path / "killed", TWO)
    assert shell(*killed, *signal_at(13, process=1)).returncode != 0
    assert torch.load(tmp_path / "killed" / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 10
    for run in (killed, command("look", photos, tmp_path / "straight", TWO)):
        result = shell(*run)
        assert result.returncode == 0, result.stderr
    straight, again = weights(tmp_path / "straight"), weights(tmp_path / "killed")
    for name, tensor in straight.items():
        torch.testing.assert_close(again[name], tensor, rtol=0, atol=1e-5)
    assert losses(tmp_path / "killed")[-10:] == pytest.approx(losses(tmp_path / "straight")[-10:], rel=1e-5)
