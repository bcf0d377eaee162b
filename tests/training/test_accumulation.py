"""Accumulated gradients: a large batch in several small ones."""

import pytest
import torch

from tests.runs import QUIET, read_metrics

pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}") for message in QUIET]


def test_two_small_batches_are_one_large_one(run):
    # Photos, crops and grades go by the number of the sample; the terms of a single look draw nothing in a step.
    same = ("trainer.max_steps=3", "scheduler=constant")
    once = run(*same, "data.batch_size=4", name="once")
    twice = run(*same, "data.batch_size=2", "trainer.accumulate_grad_batches=2", name="twice")
    norms = [
        [row["train/grad_norm"] for row in read_metrics(r.run_dir) if "train/grad_norm" in row] for r in (once, twice)
    ]
    assert len(norms[0]) == 3
    assert norms[1] == pytest.approx(norms[0], rel=1e-4)
    weights = [
        torch.load(r.run_dir / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for r in (once, twice)
    ]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, rtol=1e-3, atol=1e-5)
