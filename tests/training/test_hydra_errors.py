import errno
import re
import subprocess
import sys

import pytest
from hydra.errors import HydraException

from lookcast.training.hydra_errors import one_line
from tests.runs import composed

HIDDEN = """
import sys
sys.modules["hydra_plugins"] = None  # what Python makes of a package that is not installed
from lookcast.cli import main
sys.exit(main(sys.argv[1:]))
"""


class TestOneLine:
    def test_of_hydra(self):
        with pytest.raises(HydraException) as caught:
            composed("trainer=cpuu")
        line = one_line(caught.value)
        assert line.startswith("In 'train': Could not find 'trainer/cpuu'")
        assert "\n" not in line

    def test_of_the_system(self):
        line = one_line(FileExistsError(errno.EEXIST, "File exists", "sweep/1"))
        assert line == "sweep/1: can't be written (File exists)"

    @pytest.mark.parametrize(
        ("override", "line"),
        [
            pytest.param(
                "hydra/launcher=submitit_slurm",
                "launcher: hydra-submitit-launcher is not installed; .*lookcast.slurm.",
                marks=pytest.mark.nightly,
            ),
            pytest.param(
                "hydra/launcher=submitit_local",
                "launcher: hydra-submitit-launcher is not installed; .*lookcast.slurm.",
                marks=pytest.mark.nightly,
            ),
            ("hydra/launcher=slurm", "launcher: hydra-submitit-launcher is not installed; .*lookcast.slurm."),
            ("hydra/sweeper=optuna", "sweeper: hydra-optuna-sweeper is not installed; .*lookcast.sweep."),
        ],
    )
    def test_plugin_missing(self, override, line, tmp_path):
        command = [sys.executable, "-c", HIDDEN, "train", "-m", override, "style=sample:coffee", "seed=1,2"]
        result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr.count("\n") == 1
        assert re.search(line, result.stderr), result.stderr
