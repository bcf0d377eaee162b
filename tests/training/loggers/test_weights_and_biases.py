import json
import struct
from base64 import b64encode
from hashlib import md5
from pathlib import Path

import numpy as np
import pytest
import wandb
from omegaconf import OmegaConf
from PIL import Image
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_only
from wandb.proto import wandb_internal_pb2

from lookcast.structures import LossTerms
from lookcast.training.loggers import RunWandb
from tests.runs import QUIET, composed, losses

pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}") for message in QUIET]


class TestRunWandb:
    @pytest.fixture
    def decide(self, monkeypatch, no_key, tmp_path):
        """A function that returns the `offline` of Lightning's logger for an environment and a netrc file."""
        monkeypatch.setattr(WandbLogger, "__init__", lambda self, **kwargs: vars(self).update(told=kwargs))

        def offline(environment, netrc="", given=None):
            (tmp_path / "netrc").write_text(netrc)
            for name, value in environment.items():
                monkeypatch.setenv(name, value)
            return RunWandb(str(tmp_path / "new"), given).told["offline"]

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
            ({}, "machine api.wandb.ai login user\n", True),  # an entry without a key
            ({}, "no netrc file", True),
            ({"NETRC": "/nowhere/netrc"}, KEY, True),
            # WANDB_MODE decides; wandb reads it.
            ({"WANDB_MODE": "offline"}, "", False),
            ({"WANDB_MODE": "online"}, "", False),
            ({"WANDB_MODE": "disabled"}, KEY, False),
        ],
    )
    def test_known_value(self, decide, environment, netrc, expected):
        assert decide(environment, netrc) is expected

    @pytest.mark.parametrize("given", [True, False])
    def test_an_explicit_choice_wins(self, decide, given):
        assert decide({}, given=given) is decide({"WANDB_API_KEY": "0123"}, given=given) is given

    def test_makes_the_folder(self, decide, tmp_path):
        # wandb would use a temporary one.
        decide({})
        assert (tmp_path / "new").is_dir()

    def test_passes_the_other_arguments_on(self, decide, tmp_path):
        made = RunWandb(str(tmp_path), id="b", project="lookcast", tags=["a"]).told
        assert made == {
            "save_dir": str(tmp_path), "offline": True, "id": "b", "resume": "allow",
            "project": "lookcast", "tags": ["a"],
        }  # fmt: skip

    def test_a_run_folder_keeps_the_id(self, decide, tmp_path, monkeypatch):
        first, again = (RunWandb(str(tmp_path / "a")).told["id"] for _ in range(2))
        assert first == again == (tmp_path / "a" / "wandb_id.txt").read_text().strip()
        assert RunWandb(str(tmp_path / "b")).told["id"] != first
        monkeypatch.setenv("WANDB_RUN_ID", "given")
        assert RunWandb(str(tmp_path / "a")).told["id"] == "given"

    def test_one_process_makes_the_id(self, decide, tmp_path, monkeypatch):
        monkeypatch.setattr(rank_zero_only, "rank", 1)
        assert RunWandb(str(tmp_path / "a")).told["id"] is None
        assert not (tmp_path / "a" / "wandb_id.txt").exists()


def records(path):
    """Yield the records of a run's file: LevelDB's log format after a header of 7 bytes, in blocks of 32 KiB."""
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


def history(found):
    """Return the logged values by key: (step of wandb, value)."""
    logged = {}
    for record in found:
        row = {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item}
        for key, value in row.items():
            logged.setdefault(key, []).append((row["_step"], value))
    return logged


def values(logged, key):
    return [value for _, value in logged[key]]


class TestOfflineRun:
    @pytest.fixture
    def runs(self, run, no_key):
        """Two consecutive trainings, as in a sweep."""
        return [run("logger=wandb", "trainer.max_steps=2", f"seed={seed}", name=str(seed)) for seed in (0, 1)]

    def test_holds_losses_figures_picture_and_config(self, runs, encoder):
        assert wandb.run is None  # finished: the second training has a separate run
        for seed, result in enumerate(runs):
            files = list(result.run_dir.glob("wandb/offline-run-*/run-*.wandb"))
            assert len(files) == 1
            found = list(records(files[0]))
            logged = history(found)
            assert values(logged, "train/loss/total") == pytest.approx(losses(result.run_dir), rel=1e-5)
            expected = {f"{stage}/loss/{name}" for stage in ("train", "val") for name in LossTerms._fields}
            expected |= {"val/style_distance", "val/style_distance_untouched", "val/edge_ssim", "lr-AdamW"}
            assert logged.keys() >= expected | {"train/images_per_second", "train/data_wait", "train/step_seconds"}
            # wandb's steps are those of the training; figures of one step share a row.
            assert [step for step, _ in logged["train/loss/total"]] == [0, 1]
            assert all(step == value for step, value in logged["trainer/global_step"])
            # The samples folder holds the same picture.
            pictures = list(files[0].parent.glob("files/media/images/samples_*.png"))
            assert len(pictures) == 1
            assert logged["samples/filenames"] == [(1, [f"media/images/{pictures[0].name}"])]
            drawn = Image.open(result.run_dir / "samples" / "step_000002.png")
            assert np.array_equal(np.array(Image.open(pictures[0])), np.array(drawn))
            config = {update.key: json.loads(update.value_json) for r in found for update in r.config.update}
            assert config["seed"] == seed
            assert config["encoder"] == {
                **OmegaConf.to_container(composed("style=x", "data.photos=x").encoder), "weights": str(encoder)
            }  # fmt: skip
            assert {r.run.project for r in found if r.WhichOneof("record_type") == "run"} == {"lookcast"}
            assert any(r.WhichOneof("record_type") == "exit" for r in found)

    def test_holds_a_table_and_the_checkpoint(self, runs):
        result = runs[0]
        [file] = result.run_dir.glob("wandb/offline-run-*/run-*.wandb")
        found = list(records(file))
        [(step, path)] = history(found)["result/path"]
        assert step == 2
        table = json.loads((file.parent / "files" / path).read_text())
        assert table["columns"] == ["figure", "untouched", "trained"]
        before, after = result.metrics["val/style_distance_untouched"], result.metrics["val/style_distance"]
        assert table["data"][0] == ["style distance to the style photo", pytest.approx(before), pytest.approx(after)]
        assert {row[0] for row in table["data"][2:]} == {f"val/loss/{name}" for name in LossTerms._fields}
        artifacts = [r.request.log_artifact.artifact for r in found if r.request.HasField("log_artifact")]
        artifacts += [r.artifact for r in found if r.WhichOneof("record_type") == "artifact"]
        [model] = [artifact for artifact in artifacts if artifact.type == "model"]
        [content] = model.manifest.contents
        # `wandb sync` uploads the file in the run folder, not a copy.
        assert (content.path, Path(content.local_path)) == ("look.safetensors", result.checkpoint)
        assert content.digest == b64encode(md5(result.checkpoint.read_bytes()).digest()).decode()
        assert json.loads(model.metadata)["val/style_distance"] == result.metrics["val/style_distance"]

    def test_a_resumed_run_continues_its_curves(self, run, no_key):
        common = ("logger=wandb", "trainer.val_check_interval=2", "scheduler=constant")
        for steps in (2, 4):
            result = run(*common, f"trainer.max_steps={steps}")
            wandb.teardown()  # as at the end of a process; wandb can't start the same id twice in one process
        files = sorted(result.run_dir.glob("wandb/offline-run-*/run-*.wandb"))
        identifier = (result.run_dir / "wandb_id.txt").read_text().strip()
        assert [file.name for file in files] == [f"run-{identifier}.wandb"] * 2
        parts = [history(records(file)) for file in files]
        assert [[step for step, _ in part["train/loss/total"]] for part in parts] == [[0, 1], [2, 3]]

    def test_metrics_csv_is_written_too(self, run, no_key, monkeypatch):
        monkeypatch.setenv("WANDB_MODE", "disabled")
        result = run("logger=wandb")
        assert len(losses(result.run_dir)) == 2
        assert not list(result.run_dir.glob("wandb/offline-run-*"))
