"""Run folders of earlier versions resume to their end.

`old_run/last.ckpt` is the checkpoint of a run that a version with other names stopped after step 3 of 6: its config has
`lookcast.training.module.LookModule`, `data.shortest`, `callbacks.speed`, `callbacks.skipped.most`.
"""

import logging
import shutil
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

import lookcast
from lookcast.checks import InputError
from lookcast.training.renamed import rename_config
from lookcast.training.run import train
from tests.runs import QUIET, TINY, composed, read_metrics

pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}") for message in QUIET]

OLD = Path(__file__).parent / "old_run" / "last.ckpt"
SAME = (
    *TINY, "trainer.max_steps=6", "trainer.val_check_interval=4", "generator.channels=8", "callbacks.samples=null",
    "data.photos=sample:astronaut", "data.val_photos=sample:chelsea",
)  # fmt: skip
"""The overrides of the old run."""


def losses(run_dir):
    return {row["step"]: row["train/loss/total"] for row in read_metrics(run_dir) if "train/loss/total" in row}


class TestResume:
    @pytest.fixture
    def folder(self, tmp_path):
        """A run folder with the old checkpoint."""
        (tmp_path / "run" / "checkpoints").mkdir(parents=True)
        shutil.copy(OLD, tmp_path / "run" / "checkpoints" / "last.ckpt")
        return tmp_path / "run"

    def test_the_checkpoint_is_old(self):
        config = torch.load(OLD, weights_only=True)["config"]
        assert rename_config(config)[1].keys() >= {
            "lookcast.training.module.LookModule", "data.shortest", "lookcast.training.callbacks.Speed",
            "callbacks.speed", "callbacks.skipped.most", "callbacks.finite.most_in_a_row",
        }  # fmt: skip

    def test_resumes_to_the_end(self, folder, encoder, tmp_path, starts):
        overrides = (*SAME, f"encoder.weights={encoder}")
        result = train(composed(*overrides, f"run_dir={folder}"))
        assert [step for step, _ in starts] == [3]
        assert lookcast.load(result.checkpoint).header["steps"] == 6
        # Its raw weights come from the state of a callback.
        old = torch.load(OLD, weights_only=True)["callbacks"]["WeightEMA"]["weights"]
        assert all(torch.equal(starts[0][1][name], tensor) for name, tensor in old.items())
        straight = losses(train(composed(*overrides, f"run_dir={tmp_path / 'straight'}")).run_dir)
        resumed = losses(folder)
        assert list(resumed) == [3, 4, 5]
        # Another processor computed the first steps: the tolerance is that of the stored loss curve.
        assert resumed == pytest.approx({step: straight[step] for step in resumed}, rel=2e-3)

    def test_a_term_that_the_old_version_lacked_must_keep_its_weight_of_0(self, folder, encoder):
        overrides = (*SAME, f"encoder.weights={encoder}", f"run_dir={folder}", "loss.flatness_weight=1")
        with pytest.raises(InputError, match=r"was trained with loss\.flatness_weight=0\.0, this run has 1"):
            train(composed(*overrides))

    def test_a_config_with_old_names(self, folder, encoder, caplog):
        config = torch.load(OLD, weights_only=True)["config"]
        old = config | {"run_dir": str(folder), "encoder": {**config["encoder"], "weights": str(encoder)}}
        del old["callbacks"]["signal"]  # stopped the old run
        for key in ("callbacks", "logger", "trainer"):  # files of the old run folder
            text = OmegaConf.to_yaml(OmegaConf.create(old[key])).replace(str(config["run_dir"]), str(folder))
            old[key] = OmegaConf.to_container(OmegaConf.create(text))
        with caplog.at_level(logging.WARNING):
            result = train(OmegaConf.create(old))
        assert "data.shortest is now data.min_side" in caplog.messages
        assert lookcast.load(result.checkpoint).header["steps"] == 6
