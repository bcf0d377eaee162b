import math
import re
from typing import get_type_hints

import pytest

from lookcast.checks import InputError
from lookcast.training.limits import Count, Seconds, Share, limited


class Thing:
    @limited
    def __init__(self, path, count: Count, share: Share = 0.5, seconds: Seconds | None = None):
        self.values = (path, count, share, seconds)


class TestLimited:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"count": 0}, "count: must be greater than or equal to 1, got 0"),
            ({"count": True}, "count: must be a valid integer, got True"),
            ({"count": "3"}, "count: must be a valid integer, got '3'"),
            ({"count": 1, "share": math.nan}, "share: must be a finite number, got nan"),
            ({"count": 1, "share": 1.5}, "share: must be less than or equal to 1, got 1.5"),
            ({"count": 1, "share": None}, "share: must be a valid number, got None"),
            ({"count": 1, "seconds": 0.0}, "seconds: must be greater than 0, got 0.0"),
            ({"count": 1, "seconds": math.inf}, "seconds: must be a finite number, got inf"),
        ],
    )
    def test_names_the_argument_in_one_line(self, arguments, message):
        with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
            Thing("anything", **arguments)

    def test_values_stay_as_they_are(self):
        path = object()
        assert Thing(path, 3, seconds=2).values == (path, 3, 0.5, 2)
        assert Thing(path, 1, 1).values == (path, 1, 1, None)

    def test_the_annotations_stay_readable(self):
        hints = get_type_hints(Thing.__init__, include_extras=True)
        assert hints == {"count": Count, "share": Share, "seconds": Seconds | None}
