import gzip
import json
import logging

import pytest

from lookcast.checks import InputError
from lookcast.training.callbacks import StepProfile
from tests.runs import QUIET, losses

pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}") for message in QUIET]


class TestStepProfile:
    @pytest.mark.nightly
    def test_table_and_trace(self, run):
        # debug=profile replaces debug=fast, so the small sizes are repeated.
        result = run("debug=profile", "data.size=64", "data.val_size=64", "data.batch_size=2")
        assert len(losses(result.run_dir)) == 12
        folder = result.run_dir / "profile"
        assert sorted(path.name for path in folder.iterdir()) == ["table.txt", "trace.json.gz"]
        lines = (folder / "table.txt").read_text().splitlines()
        rows = {line.split()[0]: line.split() for line in lines if line.strip()}
        # Encoder and generator consist of convolutions, forward and backward; the optimiser takes three steps.
        assert {"aten::convolution_backward", "aten::mkldnn_convolution"} & rows.keys()
        assert rows["Optimizer.step#AdamW.step"][-1] == "3"
        with gzip.open(folder / "trace.json.gz", "rt") as file:
            events = json.load(file)["traceEvents"]
        names = [event.get("name") for event in events]
        assert names.count("Optimizer.step#AdamW.step") == 3
        assert (
            sum(event.get("dur", 0) for event in events if event.get("name") == "aten::conv2d") > 1000
        )  # microseconds

    def test_warns_if_the_run_is_too_short(self, run, caplog):
        with caplog.at_level(logging.WARNING, "lookcast"):
            result = run(
                "debug=profile", "trainer.max_steps=2", "data.size=64", "data.val_size=64", "data.batch_size=2"
            )
        assert "no profile: the run ended before its step 7" in caplog.messages
        assert not (result.run_dir / "profile").exists()

    @pytest.mark.parametrize("name", ["first_step", "num_steps"])
    def test_rejects_numbers_below_one(self, tmp_path, name):
        with pytest.raises(InputError, match=rf"^{name}: expected at least 1, got 0$"):
            StepProfile(tmp_path, **{name: 0})
