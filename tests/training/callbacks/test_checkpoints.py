from types import SimpleNamespace

import pytest
from pytorch_lightning.trainer.states import TrainerFn

from lookcast.checks import InputError
from lookcast.training.callbacks import LastCheckpoint
from tests.training.callbacks.trainers import trainer


class TestLastCheckpoint:
    @pytest.fixture
    def saved(self, tmp_path):
        """Saved steps, a trainer that records its step, and the callback."""
        steps = []
        run = trainer(state=SimpleNamespace(fn=TrainerFn.FITTING))

        def save(path, weights_only):
            path.write_text(str(run.global_step))
            steps.append((run.global_step, weights_only))

        run.save_checkpoint = save
        return steps, run, LastCheckpoint(tmp_path / "last.ckpt")

    def test_known_value(self, saved, tmp_path):
        steps, run, callback = saved
        for run.global_step in (4, 8):
            callback.on_validation_end(run, None)
        run.global_step = 9
        callback.on_train_end(run, None)
        assert steps == [(step, False) for step in (4, 8, 9)]
        assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"last.ckpt": "9"}

    def test_is_not_written_twice(self, saved):
        steps, run, callback = saved
        run.global_step = 8
        callback.on_validation_end(run, None)
        callback.on_train_end(run, None)
        assert len(steps) == 1

    def test_only_during_training(self, saved):
        steps, run, callback = saved
        run.sanity_checking = True
        callback.on_validation_end(run, None)
        run.sanity_checking, run.state.fn = False, TrainerFn.VALIDATING
        callback.on_validation_end(run, None)
        assert steps == []

    @pytest.mark.parametrize(
        ("every", "limit"),
        [(0, "at least 1"), (-1, "at least 1"), (0.5, "a valid integer.*")],
    )
    def test_rejects_other_intervals(self, tmp_path, every, limit):
        with pytest.raises(InputError, match=rf"^every_n_steps: expected {limit}, got {every}$"):
            LastCheckpoint(tmp_path / "last.ckpt", every)
