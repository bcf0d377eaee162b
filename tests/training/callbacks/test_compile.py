import pytest
import torch
from torch._dynamo.utils import counters

from lookcast.training.modules.single import LookModule
from lookcast.training.run import train
from tests.runs import QUIET, composed, losses
from tests.test_configs import UNIVERSAL

pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}") for message in QUIET]

LOOK = ("scheduler=constant", "trainer.max_steps=2")
TWO_UNIVERSAL = (
    "experiment=universal", "debug=fast", "trainer=cpu", *UNIVERSAL, "trainer.precision=32-true", "scheduler=constant",
    "module.masked_share=1", "callbacks.samples=null",
)  # fmt: skip


@pytest.fixture
def fresh():
    """Start with nothing compiled."""
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


class TestChannelsLast:
    def test_same_losses_with_weights_in_that_order(self, run, monkeypatch):
        modules, original = [], LookModule.on_fit_start

        def spy(self):
            modules.append(self)
            original(self)

        monkeypatch.setattr(LookModule, "on_fit_start", spy)
        plain, ordered = (run(*LOOK, f"channels_last={on}", name=on) for on in ("false", "true"))
        assert losses(ordered.run_dir) == pytest.approx(losses(plain.run_dir), rel=1e-5)
        weights = [next(p for p in m.generator.parameters() if p.dim() == 4 and min(p.shape[1:]) > 1) for m in modules]
        orders = [weight.is_contiguous(memory_format=torch.channels_last) for weight in weights]
        assert orders == [False, True]


@pytest.mark.nightly
class TestCompile:
    @pytest.mark.usefixtures("fresh")
    def test_a_single_look(self, run):
        plain = run(*LOOK, name="plain")
        assert not counters["frames"]
        compiled = run(*LOOK, "compile=true", name="compiled")
        assert losses(compiled.run_dir) == pytest.approx(losses(plain.run_dir), rel=1e-3)
        assert compiled.metrics == pytest.approx(plain.metrics, rel=1e-3, abs=1e-6)
        # The encoder with and without gradients and the generator; nothing of validation photos.
        assert counters["stats"]["unique_graphs"] <= 4
        assert not counters["graph_break"]
        names = [torch.load(r.run_dir / "checkpoints" / "last.ckpt", weights_only=True) for r in (plain, compiled)]
        assert names[0]["state_dict"].keys() == names[1]["state_dict"].keys()

    @pytest.mark.usefixtures("fresh")
    def test_any_look(self, tmp_path):
        curves = []
        for compiled in ("false", "true"):
            folder = tmp_path / compiled
            train(composed(*TWO_UNIVERSAL, f"compile={compiled}", f"run_dir={folder}"))
            curves.append(losses(folder))
        assert curves[1] == pytest.approx(curves[0], rel=1e-3)
        assert counters["stats"]["unique_graphs"] > 0
