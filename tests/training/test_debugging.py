"""The configs of `debug=`: what each is for."""

import pytest
import torch

from lookcast.checks import InputError
from lookcast.structures import LossTerms
from lookcast.training.modules.single import LookModule
from tests.runs import QUIET, read_metrics

pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}") for message in QUIET]

SMALL = ("debug=anomaly", "data.size=64", "data.val_size=64", "data.batch_size=2")


class TestAnomaly:
    @pytest.mark.filterwarnings("ignore:Error detected in SqrtBackward0")
    def test_names_the_operation(self, run, tmp_path, monkeypatch, capfd):
        step = LookModule.training_step

        def negative_root(self, batch, index):
            loss = step(self, batch, index)
            return loss + (0 * loss - 1).sqrt() if self.trainer.global_step == 2 else loss

        monkeypatch.setattr(LookModule, "training_step", negative_root)
        with pytest.raises(RuntimeError, match="Function 'SqrtBackward0' returned nan"):
            run(*SMALL)
        # Every term of every step until then is on the disk.
        rows = [row for row in read_metrics(tmp_path / "run") if "train/loss/total" in row]
        assert len(rows) == 2
        assert {f"train/loss/{name}" for name in LossTerms._fields} <= rows[0].keys()
        assert not torch.is_anomaly_enabled()

    def test_the_first_skipped_step_ends_the_run(self, run, monkeypatch):
        step = LookModule.training_step

        def constant_term(self, batch, index):
            return step(self, batch, index) + torch.inf

        monkeypatch.setattr(LookModule, "training_step", constant_term)
        with pytest.raises(InputError, match="not finite in 1 steps in a row, 0 to 0"):
            run(*SMALL)

    def test_a_sound_run_is_the_same(self, run):
        curves = []
        for name, more in (("plain", ("debug=fast",)), ("anomaly", SMALL)):
            result = run(*more, "trainer.max_steps=3", name=name)
            curves.append(
                [row["train/loss/total"] for row in read_metrics(result.run_dir) if "train/loss/total" in row]
            )
        assert curves[0] == curves[1]
        assert len(curves[0]) == 3
