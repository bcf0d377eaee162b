import json
import os
import struct

import numpy as np
import pytest
import wandb
from omegaconf import OmegaConf
from PIL import Image
from pytorch_lightning.loggers import CSVLogger
from wandb.proto import wandb_internal_pb2

from lookcast.structures import LossTerms
from lookcast.training import loggers
from lookcast.training.loggers import close_wandb, log_config, wandb_logger
from tests.runs import QUIET, composed, losses

pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}") for message in QUIET]


@pytest.fixture
def no_key(monkeypatch, tmp_path):
    """No account anywhere; what wandb and Lightning set in the environment is taken back."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    (tmp_path / "netrc").touch()
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    yield
    os.environ.pop("WANDB_MODE", None)
    wandb.teardown()  # it would remember this environment


class TestWandbLogger:
    @pytest.fixture
    def decide(self, monkeypatch, no_key, tmp_path):
        """Whether a logger would be offline, in this environment and with this netrc file."""
        monkeypatch.setattr(loggers, "WandbLogger", lambda **kwargs: kwargs)

        def offline(environment, netrc="", given=None):
            (tmp_path / "netrc").write_text(netrc)
            for name, value in environment.items():
                monkeypatch.setenv(name, value)
            return wandb_logger(str(tmp_path / "new"), given)["offline"]

        return offline

    KEY = "machine api.wandb.ai login user password 0123\n"
    OTHER = "machine wandb.example.org login user password 0123\n"

    @pytest.mark.parametrize(
        ("environment", "netrc", "expected"),
        [
            ({}, "", True),
            ({"WANDB_API_KEY": "0123"}, "", False),
            ({"WANDB_API_KEY": ""}, "", True),
            ({}, KEY, False),
            ({}, OTHER, True),
            ({"WANDB_BASE_URL": "https://wandb.example.org:8080"}, OTHER, False),
            ({"WANDB_BASE_URL": "https://wandb.example.org"}, KEY, True),
            ({}, "machine api.wandb.ai login user\n", True),  # without a key
            ({}, "no netrc file", True),
            ({"NETRC": "/nowhere/netrc"}, KEY, True),
            # Who sets a mode has decided; wandb follows it.
            ({"WANDB_MODE": "offline"}, "", False),
            ({"WANDB_MODE": "online"}, "", False),
            ({"WANDB_MODE": "disabled"}, KEY, False),
        ],
    )
    def test_known_value(self, decide, environment, netrc, expected):
        assert decide(environment, netrc) is expected

    @pytest.mark.parametrize("given", [True, False])
    def test_what_is_asked_for_is_not_questioned(self, decide, given):
        assert decide({}, given=given) is decide({"WANDB_API_KEY": "0123"}, given=given) is given

    def test_makes_the_folder(self, decide, tmp_path):
        # wandb would fall back to a temporary one.
        decide({})
        assert (tmp_path / "new").is_dir()

    def test_hands_the_rest_on(self, decide, tmp_path):
        made = wandb_logger(str(tmp_path), project="lookcast", tags=["a"])
        assert made == {"save_dir": str(tmp_path), "offline": True, "project": "lookcast", "tags": ["a"]}


class TestLogConfig:
    def test_other_loggers_are_left_alone(self, tmp_path):
        logger = CSVLogger(tmp_path, name="", version="")
        log_config([logger], {"seed": 1})
        close_wandb([logger])
        logger.save()
        assert not list(tmp_path.rglob("hparams.yaml"))


def records(path):
    """Records of a run's file: LevelDB's log format, behind a header of 7 bytes, in blocks of 32 KiB."""
    data, position, whole = path.read_bytes(), 7, b""
    while position + 7 <= len(data):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        length, kind = struct.unpack_from("<HB", data, position + 4)
        whole += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # full, or the last part
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            whole = b""
            yield record


class TestOfflineRun:
    @pytest.fixture
    def runs(self, run, no_key):
        """Two trainings one after the other, as in a sweep."""
        return [run("logger=wandb", "trainer.max_steps=2", f"seed={seed}", name=str(seed)) for seed in (0, 1)]

    def test_holds_losses_figures_picture_and_config(self, runs, encoder):
        assert wandb.run is None  # ended: the second training did not go on in the first one's run
        for seed, result in enumerate(runs):
            files = list(result.run_dir.glob("wandb/offline-run-*/run-*.wandb"))
            assert len(files) == 1
            found = list(records(files[0]))
            history = {}
            for record in found:
                for item in record.history.item:
                    history.setdefault("/".join(item.nested_key) or item.key, []).append(json.loads(item.value_json))
            assert history["train/loss/total"] == pytest.approx(losses(result.run_dir), rel=1e-5)
            expected = {f"{stage}/loss/{name}" for stage in ("train", "val") for name in LossTerms._fields}
            assert history.keys() >= expected | {"val/style_distance", "val/style_distance_untouched", "val/edge_ssim"}
            # The picture that lies in the samples folder too.
            pictures = list(files[0].parent.glob("files/media/images/samples_*.png"))
            assert len(pictures) == 1
            assert history["samples/filenames"] == [[f"media/images/{pictures[0].name}"]]
            drawn = Image.open(result.run_dir / "samples" / "step_000002.png")
            assert np.array_equal(np.array(Image.open(pictures[0])), np.array(drawn))
            config = {update.key: json.loads(update.value_json) for r in found for update in r.config.update}
            assert config["seed"] == seed
            assert config["encoder"] == {
                **OmegaConf.to_container(composed("style=x", "data.photos=x").encoder), "weights": str(encoder)
            }  # fmt: skip
            assert {r.run.project for r in found if r.WhichOneof("record_type") == "run"} == {"lookcast"}
            assert any(r.WhichOneof("record_type") == "exit" for r in found)

    def test_metrics_csv_is_there_beside_it(self, run, no_key, monkeypatch):
        monkeypatch.setenv("WANDB_MODE", "disabled")
        result = run("logger=wandb")
        assert len(losses(result.run_dir)) == 2
        assert not list(result.run_dir.glob("wandb/offline-run-*"))
