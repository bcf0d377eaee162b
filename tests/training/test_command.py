"""`lookcast train` as it is typed: in a shell, and what it refuses."""

import re
import sys

import pytest
import torch
from omegaconf import OmegaConf

import lookcast
from lookcast.checks import InputError
from lookcast.cli.train import train as main
from tests.runs import QUIET, TINY, break_photo, composed, losses, save_photos

pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}") for message in QUIET]


@pytest.mark.slow
class TestShell:
    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            (("trainer.max_stepz=3",), r"Could not override 'trainer\.max_stepz'"),
            pytest.param(
                ("trainer=cpuu",),
                r"In 'train': Could not find 'trainer/cpuu' .*: auto cpu ddp gpu$",
                marks=pytest.mark.nightly,
            ),
            pytest.param(("data=samples",), r"style: no style photo; say style=PHOTO$", marks=pytest.mark.nightly),
            (("style=sample:coffee", "data.photos=nowhere"), r"data\.photos: nowhere does not exist$"),
            pytest.param(
                ("data=samples", "style=sample:coffee", "seed=-1"),
                r"seed: expected at least 0, got -1$",
                marks=pytest.mark.nightly,
            ),
            pytest.param(("foo",), r"foo: expected KEY=VALUE; see lookcast train --help$", marks=pytest.mark.nightly),
            (("--nope",), r"train: unrecognized arguments: --nope; see lookcast train --help$"),
        ],
    )
    def test_bad_input_is_one_line_and_exit_code_2(self, shell, tmp_path, arguments, reason):
        result = shell(*arguments)
        assert (result.returncode, result.stdout) == (2, "")
        assert re.match(rf"lookcast: error: {reason}", result.stderr)
        assert result.stderr.count("\n") == 1
        assert result.stderr.endswith("\n")
        assert list(tmp_path.iterdir()) == []  # no run folder

    def test_rejects_a_rank_that_is_no_number(self, shell):
        # Lightning would fail on it when it is imported.
        result = shell(*TINY, environment={"RANK": "abc"}.items())
        assert (result.returncode, result.stdout) == (2, "")
        said = "RANK: expected an integer of at least 0 in the environment, got 'abc'"
        assert result.stderr == f"lookcast: error: {said}\n"

    def test_translates_old_names(self, shell):
        result = shell("--cfg", "job", *TINY, "data.shortest=64")
        assert (result.returncode, result.stderr) == (0, "lookcast: data.shortest=64 is now data.min_side=64\n")
        assert OmegaConf.create(result.stdout).data.min_side == 64

    def test_shows_the_config(self, shell, encoder):
        # The flag between the overrides: where it stands does not matter.
        result = shell("--cfg", "job", *TINY, "~callbacks.samples")
        assert (result.returncode, result.stderr) == (0, "")
        shown = OmegaConf.create(result.stdout)
        expected = composed(*TINY, f"encoder.weights={encoder}", "~callbacks.samples")
        assert OmegaConf.to_container(shown) == OmegaConf.to_container(expected)

    def test_help(self, shell):
        result = shell("--help")
        assert (result.returncode, result.stderr) == (0, "")
        assert "lookcast train style=PHOTO data.photos=FOLDER [KEY=VALUE ...]" in result.stdout
        for hint in ("generator: bilateral, transform", "run_dir=FOLDER", "--cfg job", "-m (sweep"):
            assert hint in result.stdout

    @pytest.mark.nightly
    def test_sweep(self, shell, tmp_path):
        result = shell("-m", *TINY, "hydra.sweep.dir=sweep", "optimizer.lr=1e-3,2e-3")
        assert result.returncode == 0
        assert result.stdout.count("on photos that were not trained on:") == 2
        for job, rate in enumerate((1e-3, 2e-3)):
            folder = tmp_path / "sweep" / str(job)
            assert OmegaConf.load(folder / ".hydra" / "config.yaml").optimizer.lr == rate
            assert lookcast.load(folder / "look.safetensors").header["training"]["optimizer"]["lr"] == rate
            assert f"--checkpoint sweep/{job}/look.safetensors -o stylized.jpg" in result.stdout
        first, second = (losses(tmp_path / "sweep" / str(job)) for job in range(2))
        assert first[0] == second[0]  # each run starts from the same seed
        assert first[1] != second[1]

    @pytest.mark.nightly
    @pytest.mark.parametrize("module", [False, True])
    def test_two_processes(self, shell, tmp_path, module):
        # Two batches of 6 are all 12 photos in each step, each of them in one of the processes.
        photos = save_photos(tmp_path / "photos", 14)
        broken = {break_photo(photos / f"photo{number:02d}.png") for number in (2, 5, 8)}
        two = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "data.batch_size=6")
        settings = ("data=folder", f"data.photos={photos}", "callbacks.skipped.max_share=1", *two)
        result = shell(*TINY, *settings, module=module)
        assert result.returncode == 0, result.stderr
        # One folder, one checkpoint, one summary: the second process works for the first.
        runs = list((tmp_path / "runs" / "look").iterdir())
        assert len(runs) == 1
        assert len(list(tmp_path.rglob("*.safetensors"))) == 1
        assert sorted(path.name for path in tmp_path.rglob("*.ckpt")) == ["best.ckpt", "last.ckpt"]
        assert torch.load(runs[0] / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 2
        assert [path.name for path in (runs[0] / "samples").iterdir()] == ["step_000002.png"]
        assert len(losses(runs[0])) == 2
        for line in ("style distance to the style photo", "try next", "13 training photos, 1 held out"):
            assert result.stdout.count(line) == 1
        assert result.stderr.count("step 2/2 (100%)") == 1
        # Each process has read photos that the other has not: one list, each named once.
        listed = (runs[0] / "skipped_photos.txt").read_text().splitlines()
        assert sorted(line.split(": ")[0] for line in listed) == sorted(map(str, broken))
        assert sorted(re.findall(r"skipped (\S+photo\d\d\.png): ", result.stdout)) == sorted(map(str, broken))
        assert result.stdout.count("3 photos could not be read and were skipped") == 1


class TestMain:
    """The command in the process of the tests."""

    @pytest.fixture
    def train(self, tmp_path, encoder, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [])
        monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
        monkeypatch.setattr("lookcast.training.log_filters.quieten", lambda: None)
        silent = ("hydra/job_logging=none", "hydra/hydra_logging=none", "hydra.run.dir=run", "hydra.sweep.dir=sweep")

        def run(*arguments):
            return main([*silent, *TINY, f"encoder.weights={encoder}", *arguments])

        return run

    def test_run_folder(self, train, tmp_path, encoder, capsys):
        assert train("seed=3") == 0
        assert {path.name for path in (tmp_path / "run").iterdir()} == {
            ".hydra", ".lock", "checkpoints", "look.safetensors", "metrics.csv", "samples",
        }  # fmt: skip
        hydra = tmp_path / "run" / ".hydra"
        assert OmegaConf.load(hydra / "hydra.yaml").hydra.job.name == "train"
        assert "seed=3" in OmegaConf.load(hydra / "overrides.yaml")
        expected = composed(*TINY, f"encoder.weights={encoder}", "seed=3")
        assert OmegaConf.load(tmp_path / "run" / ".hydra" / "config.yaml") == expected
        assert lookcast.load(tmp_path / "run" / "look.safetensors").header["training"]["run_dir"] == str(
            tmp_path / "run"
        )
        assert "checkpoint  run/look.safetensors" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("override", "reason"),
        [
            ("a=[b", r"^a=\[b: .*no viable alternative"),
            ("style=IMG(1.jpg", r"^style=IMG\(1\.jpg: "),
            ("logger=null", "Config group override must be a string or a list"),
            ("+generator.colour=blue", r"^generator\.colour: BilateralGenerator has no such argument, it takes"),
            ("optimizer.lr=abc", r"^optimizer\.lr: expected a number or an object with _target_, got 'abc'$"),
            ("trainer.max_steps=many", r"^trainer\.max_steps: expected an integer, got 'many'$"),
            ("trainer.devices=many", r"^trainer: "),
            ("loss.style_weight=-1", r"^loss\.style_weight: expected at least 0, got -1$"),
            ("data.photos=${nowhere}", "nowhere"),
            ("hydra.run.dir=file/below", r"^file/below: can't be written \(Not a directory\)$"),
        ],
    )
    def test_rejects_in_one_line(self, train, tmp_path, override, reason):
        (tmp_path / "file").touch()
        with pytest.raises(InputError, match=reason) as caught:
            train(override)
        assert "\n" not in str(caught.value)

    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
    def test_rejects_a_gpu_that_is_not_there(self, train):
        with pytest.raises(InputError, match=r"^trainer\.accelerator: got 'gpu', but torch finds no GPU"):
            train("trainer=gpu")

    def test_a_sweep_continues_after_a_refused_job(self, train, tmp_path, capsys):
        with pytest.raises(InputError, match=r"^loss\.style_weight: expected at least 0, got -1$"):
            train("-m", "loss.style_weight=-1,1")
        assert not (tmp_path / "sweep" / "0").exists()
        assert (tmp_path / "sweep" / "1" / "look.safetensors").exists()
        assert capsys.readouterr().out.count("try next") == 1

    def test_rejects_a_folder_that_cannot_be_made_in_the_middle_of_a_sweep(self, train, tmp_path):
        (tmp_path / "sweep").mkdir()
        (tmp_path / "sweep" / "1").touch()
        with pytest.raises(InputError, match=r"^sweep/1: can't be written \(File exists\)$"):
            train("-m", "seed=0,1")
        assert (tmp_path / "sweep" / "0" / "look.safetensors").exists()

    def test_a_fault_of_lookcast_is_not_hidden(self, train, monkeypatch):
        def fault(cfg):
            raise ValueError("not the user's fault")

        monkeypatch.setattr("lookcast.training.run.train", fault)
        with pytest.raises(ValueError, match="not the user's fault") as caught:
            train()
        assert not isinstance(caught.value, InputError)
