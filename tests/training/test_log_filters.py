import logging
import warnings

import pytest

from lookcast.training.log_filters import quieten


@pytest.fixture(autouse=True)
def restore():
    """Leave the loggers, handlers and warnings as they were."""
    lightning = logging.getLogger("pytorch_lightning")
    level, filters = lightning.level, [(handler, list(handler.filters)) for handler in logging.root.handlers]
    with warnings.catch_warnings():
        yield
    lightning.setLevel(level)
    for handler, before in filters:
        handler.filters[:] = before


class TestQuieten:
    @pytest.mark.parametrize("room", ["lookcast.photos.read", "lookcast.photos.codecs.modes"])
    def test_passes_a_message_about_a_photo_once(self, caplog, room):
        quieten()
        quieten()
        photos, others = logging.getLogger(room), logging.getLogger("lookcast.training")
        for path in ("a.png", "b.png", "a.png", "a.png"):
            photos.warning("%s: has 16 bits per colour, read at 8 bits", path)
            others.warning("%s", path)
        messages = [record.getMessage() for record in caplog.records if record.name == photos.name]
        assert messages == [f"{name}.png: has 16 bits per colour, read at 8 bits" for name in "ab"]
        assert len(caplog.messages) == 2 + 4

    def test_keeps_the_warnings_that_matter(self, recwarn):
        quieten()
        warnings.warn("Found 30 module(s) in eval mode at the start of training. This may", stacklevel=1)
        warnings.warn("Consider increasing the value of something else", stacklevel=1)
        assert [str(warning.message) for warning in recwarn] == ["Consider increasing the value of something else"]
        assert logging.getLogger("pytorch_lightning").level == logging.WARNING
