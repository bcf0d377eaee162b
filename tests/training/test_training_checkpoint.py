"""A killed run resumes, and ends like an uninterrupted run."""

import signal

import pytest
import torch

from lookcast.checks import InputError
from lookcast.training.run import train
from lookcast.training.training_checkpoint import (
    MAY_DIFFER,
    TRAINER_MUST_AGREE,
    check_training_checkpoint,
    checkpoint_to_resume,
)
from tests.runs import QUIET, TINY, composed, read_metrics, save_photos
from tests.shard_sets import save_shards
from tests.training.stops import signal_at

pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}") for message in QUIET]


@pytest.fixture
def photos(tmp_path):
    return save_photos(tmp_path / "photos", 30)


def by_step(run_dir):
    """Return losses, learning rate and figures of each step, without the speed."""
    kept = ("train/loss/", "val/", "lr-")
    return {
        (row["step"], key): value for row in read_metrics(run_dir) for key, value in row.items() if key.startswith(kept)
    }


def weights(run_dir):
    return torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


class TestKilled:
    """`kill -9` at step 37 of 60, the same command again."""

    LENGTH = ("trainer.max_steps=60", "trainer.val_check_interval=25", "callbacks.last.every_n_steps=10")

    @pytest.mark.slow
    @pytest.mark.parametrize("kind", ["folder", pytest.param("shards", marks=pytest.mark.nightly)])
    def test_resumes_to_the_bit(self, shell, encoder, photos, tmp_path, kind):
        run_dir = tmp_path / "killed"
        named = photos if kind == "folder" else save_shards(tmp_path / "shards", photos)
        command = [*TINY, f"data={kind}", f"data.photos={named}", *self.LENGTH]
        there = [*command, f"run_dir={run_dir}", "data.num_workers=2"]  # the straight run reads by itself
        assert shell(*there, *signal_at(37)).returncode == -signal.SIGKILL
        assert torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 30
        train(composed(*there, f"encoder.weights={encoder}"))

        straight = tmp_path / "straight"
        train(composed(*command, f"run_dir={straight}", f"encoder.weights={encoder}"))
        expected, actual = by_step(straight), by_step(run_dir)
        assert len(expected) > 500
        # The table of a killed run may lack its last rows before the checkpoint, which no one has trained again.
        assert {step for step, _ in actual} >= set(range(30, 60))
        assert all(actual[key] == expected[key] for key in actual)  # to the last bit
        assert all(torch.equal(tensor, weights(run_dir)[name]) for name, tensor in weights(straight).items())


class TestRunFolder:
    def test_the_same_command_resumes(self, run, starts, tmp_path):
        overrides = ("trainer.max_steps=4", "callbacks.last.every_n_steps=2", "trainer.val_check_interval=4")
        run(*overrides, "trainer.max_steps=2", "scheduler.total_steps=4", name="twice")
        run(*overrides, name="twice")
        run(*overrides, name="once")
        assert [step for step, _ in starts] == [0, 2, 0]
        twice, once = (weights(tmp_path / name) for name in ("twice", "once"))
        assert all(torch.equal(tensor, twice[name]) for name, tensor in once.items())

    def test_a_finished_run_is_not_trained_again(self, run, starts, tmp_path):
        first = run("trainer.max_steps=2")
        before = first.checkpoint.read_bytes()
        again = run("trainer.max_steps=2")
        assert [step for step, _ in starts] == [0]
        assert again.metrics == pytest.approx(first.metrics)
        assert again.checkpoint.read_bytes() == before

    def test_null_starts_a_new_run(self, run, starts):
        run("trainer.max_steps=2")
        run("trainer.max_steps=2", "resume=null")
        assert [step for step, _ in starts] == [0, 0]

    def test_another_batch_size_continues_after_the_same_photos(self, encoder, photos, tmp_path):
        steps = composed(
            *TINY, "data=folder", f"data.photos={photos}", f"run_dir={tmp_path / 'run'}", f"encoder.weights={encoder}",
            "trainer.max_steps=3", "data.batch_size=4",
        )  # fmt: skip
        train(steps)
        steps.data.batch_size, steps.trainer.max_steps = 6, 4
        train(steps)
        state = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["PhotoDataModule"]
        assert state["samples"] == 3 * 4 + 6


class TestCheckpointToResume:
    def test_known_value(self, tmp_path):
        last = tmp_path / "checkpoints" / "last.ckpt"
        assert checkpoint_to_resume("auto", tmp_path) is None
        last.parent.mkdir()
        last.touch()
        assert checkpoint_to_resume("auto", tmp_path) == last
        assert checkpoint_to_resume(None, tmp_path) is None
        assert checkpoint_to_resume(str(last), tmp_path / "elsewhere") == last


class TestCheckTrainingCheckpoint:
    @pytest.fixture(scope="class")
    def trained(self, tmp_path_factory, encoder):
        folder = tmp_path_factory.mktemp("trained")
        photos = save_photos(folder / "photos", 12)
        overrides = [*TINY, "data=folder", f"data.photos={photos}", f"encoder.weights={encoder}"]
        train(composed(*overrides, f"run_dir={folder / 'run'}"))
        return overrides, folder

    @pytest.mark.parametrize(
        ("override", "said"),
        [
            ("optimizer.lr=5e-4", r"optimizer\.lr=0\.001, this run has 0\.0005"),
            ("loss.style_weight=7", r"loss\.style_weight=\d.*, this run has 7"),
            ("generator.depth=5", r"generator\.depth=4, this run has 5"),
            ("seed=5", r"seed=0, this run has 5"),
            ("data.size=32", r"data\.size=64, this run has 32"),
            ("style=sample:chelsea", r"style=sample:coffee, this run has sample:chelsea"),
            ("trainer.precision=bf16-mixed", r"trainer\.precision=32-true, this run has bf16-mixed"),
            ("+optimizer.amsgrad=true", r"optimizer\.amsgrad=None, this run has True"),
        ],
    )
    def test_names_the_first_setting_that_differs(self, trained, override, said):
        overrides, folder = trained
        with pytest.raises(InputError, match=rf"^resume: .*last\.ckpt: was trained with {said}; start a new run"):
            train(composed(*overrides, f"run_dir={folder / 'run'}", override))

    def test_rejects_other_photos(self, trained, tmp_path):
        overrides, folder = trained
        other = save_photos(tmp_path / "other", 13)
        with pytest.raises(InputError, match=r"^photos: the number or the names of the photos differ"):
            train(composed(*overrides, f"run_dir={folder / 'run'}", f"data.photos={other}", "trainer.max_steps=3"))

    def test_photos_may_have_moved(self, trained, tmp_path, starts):
        overrides, folder = trained
        moved = save_photos(tmp_path / "moved", 12)
        last = folder / "run" / "checkpoints" / "last.ckpt"
        again = (f"resume={last}", f"run_dir={tmp_path / 'run'}", f"data.photos={moved}", "trainer.max_steps=3")
        train(composed(*overrides, *again))
        assert [step for step, _ in starts] == [2]

    def test_listed_settings_exist(self):
        # A renamed key would silently have to agree.
        known = composed("experiment=universal", "style=somewhere", "data.photos=somewhere", "run_dir=somewhere")
        for key in (*MAY_DIFFER, *TRAINER_MUST_AGREE):
            node = known
            *groups, last = key.split(".")
            for group in groups:
                node = node[group]
            if key != "encoder.weights" and key != "generator.encoder.weights":
                assert last in node, key

    def test_rejects_another_generator_of_the_same_config(self, trained, encoder):
        from lookcast.generators import BilateralGenerator

        _, folder = trained
        path = folder / "run" / "checkpoints" / "last.ckpt"
        config = torch.load(path, weights_only=True)["config"]
        with pytest.raises(InputError, match=r"^resume: .*last\.ckpt: "):
            check_training_checkpoint(path, BilateralGenerator(), config)


class TestFullDisk:
    @pytest.mark.parametrize("best", ["null", "{}"])
    def test_the_checkpoint_before_stays(self, run, tmp_path, best):
        # With and without the best weights, which Lightning writes, before the last.
        length = ("trainer.val_check_interval=2", "callbacks.last.every_n_steps=1", "callbacks.samples=null")
        keep = ("callbacks.checkpoint=null",) if best == "null" else ()
        run("trainer.max_steps=2", *length, *keep)
        folder = tmp_path / "run" / "checkpoints"
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        resource = pytest.importorskip("resource")  # Windows has no such module
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limit[1]))  # as if the disk were full
        try:
            with pytest.raises(InputError, match=r"(last\.ckpt|^run_dir: .*): can't be written \(File too large\)"):
                run("trainer.max_steps=4", *length, *keep)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
        assert run("trainer.max_steps=4", *length, *keep).stats.steps == 4
