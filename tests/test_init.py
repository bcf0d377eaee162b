import subprocess
import sys
from importlib.metadata import version

import pytest

import lookcast
from lookcast.inference import stylizer

HEAVY = ("torch", "numpy", "PIL", "pytorch_lightning", "hydra", "omegaconf", "wandb", "kornia")
TRAINING = (
    "pytorch_lightning",
    "hydra",
    "omegaconf",
    "wandb",
    "kornia.augmentation",
    "lookcast.training",
    "lookcast.losses",
    "lookcast.data",
)


def loaded(statement, names):
    """Return those of `names` that a fresh interpreter has imported after a statement."""
    program = f"import sys\n{statement}\nprint(*(name for name in {names!r} if name in sys.modules))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return result.stdout.split()


class TestImport:
    def test_lookcast_is_light(self):
        assert loaded("import lookcast", HEAVY) == []

    def test_version_is_light(self):
        assert loaded("import lookcast; assert lookcast.__version__", HEAVY) == []

    def test_command_line_is_light(self):
        assert loaded("import lookcast.cli", HEAVY) == []

    def test_a_wrong_override_is_answered_before_a_run_is_imported(self):
        wrong = "from lookcast import cli; assert cli.main(['train', 'trainer.max_stepz=1']) == 2"
        assert loaded(wrong, ("pytorch_lightning", "wandb", "kornia", "lookcast.training.run")) == []

    @pytest.mark.parametrize("module", ["lookcast.inference.stylizer", "lookcast.inference.batch"])
    def test_inference_knows_nothing_of_training(self, module):
        assert loaded(f"import {module}", (*TRAINING, "torch")) == ["torch"]

    def test_load_needs_nothing_of_training(self):
        assert loaded("import lookcast; lookcast.load", (*TRAINING, "torch")) == ["torch"]

    def test_loading_compiles_nothing(self):
        """Some operations on the meta device import sympy, half a second before the first photo."""
        assert loaded("import lookcast; lookcast.load(device='cpu')", ("sympy", "triton", "torch._dynamo")) == []


class TestNames:
    def test_known_value(self):
        assert lookcast.load is stylizer.load
        assert lookcast.Stylizer is stylizer.Stylizer
        assert lookcast.__version__ == version("lookcast")

    def test_listed(self):
        assert {"load", "Stylizer", "__version__"} <= set(dir(lookcast))
        assert sorted(lookcast.__all__) == ["Stylizer", "__version__", "load"]

    def test_rejects_unknown_name(self):
        with pytest.raises(AttributeError, match="module 'lookcast' has no attribute 'lod'"):
            _ = lookcast.lod
