import torch

from lookcast.training.callbacks import RunProgress
from tests.training.callbacks.trainers import trainer


class TestRunProgress:
    def test_known_value(self, capfd):
        progress, run = RunProgress(), trainer(global_step=5, accumulate_grad_batches=2)
        outputs = {"loss": torch.tensor(0.125)}  # as Lightning hands it on, divided by the accumulated batches
        progress.on_train_start(run, None)
        assert (progress.bar.n, progress.bar.total) == (5, 8)  # a resumed run goes on where it stood
        run.global_step = 6
        progress.on_train_batch_end(run, None, outputs, None, 0)
        progress.on_train_batch_end(run, None, outputs, None, 1)  # of the same step, with accumulated gradients
        assert progress.bar.n == 6
        run.global_step = 8
        progress.on_train_batch_end(run, None, outputs, None, 2)
        progress.on_train_end(run, None)
        shown = capfd.readouterr().err.split("\r")[-1]
        assert "8/8" in shown
        assert "loss=0.250" in shown

    def test_a_run_without_end_has_no_total(self, capfd):
        progress = RunProgress()
        progress.on_train_start(trainer(max_steps=-1), None)
        assert progress.bar.total is None
        progress.on_train_end(None, None)

    def test_is_left_where_a_run_breaks_off(self, capfd):
        progress = RunProgress()
        progress.on_exception(None, None, ValueError())  # before the first step there is none
        progress.on_train_start(trainer(global_step=3), None)
        progress.on_exception(None, None, ValueError())
        shown = capfd.readouterr().err
        assert "3/8" in shown.split("\r")[-1]
        assert shown.endswith("\n")

    def test_one_bar_for_all_processes(self, capfd):
        progress = RunProgress()
        progress.on_train_start(trainer(is_global_zero=False), None)
        progress.on_train_end(None, None)
        assert capfd.readouterr().err == ""
