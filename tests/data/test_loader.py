import pytest
import torch

from lookcast.data.loader import TimedLoader


class Recorder:
    """A stopwatch that records its calls."""

    def __init__(self):
        self.calls = []

    def before_batch(self):
        self.calls.append("requested")

    def after_batch(self):
        self.calls.append("arrived")


class Failing(torch.utils.data.Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        raise OSError("gone")


class TestTimedLoader:
    @pytest.mark.parametrize("workers", [0, 1])
    def test_gives_the_batches_and_times_each(self, workers):
        loader, watch = TimedLoader(torch.arange(6), batch_size=2, num_workers=workers), Recorder()
        loader.stopwatch = watch
        batches = iter(loader)
        assert watch.calls == []
        assert next(batches).tolist() == [0, 1]
        assert watch.calls == ["requested", "arrived"]
        assert [batch.tolist() for batch in batches] == [[2, 3], [4, 5]]
        assert watch.calls == ["requested", "arrived"] * 4  # the last request finds the end

    def test_a_stopwatch_may_be_attached_later(self):
        loader, watch = TimedLoader(torch.arange(4)), Recorder()
        batches = iter(loader)
        next(batches)
        loader.stopwatch = watch
        next(batches)
        assert watch.calls == ["requested", "arrived"]

    def test_stops_the_watch_when_reading_fails(self):
        loader, watch = TimedLoader(Failing()), Recorder()
        loader.stopwatch = watch
        with pytest.raises(OSError, match=r"^gone$"):
            next(iter(loader))
        assert watch.calls == ["requested", "arrived"]
