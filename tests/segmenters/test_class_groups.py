from collections import Counter

import pytest

from lookcast.segmenters.class_groups import GROUP_NAMES, GROUPS, OTHER, group_of


class TestGroupOf:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            *(("sea", "water"), ("lake", "water"), ("swimming pool", "water"), ("palm", "vegetation")),
            *(("skyscraper", "building"), ("dirt track", "ground"), ("hill", "mountain"), ("van", "vehicle")),
            *(("bed ", "furniture"), ("Sky", "sky"), ("clock", OTHER), ("", OTHER)),
            ("edifice;building", "building"),
            ("door, double door", "wall"),
            ("unheard of", OTHER),
        ],
    )
    def test_known_value(self, name, expected):
        assert group_of(name) == expected

    def test_a_name_is_in_one_group(self):
        counts = Counter(name for names in GROUPS.values() for name in names)
        assert [name for name, count in counts.items() if count > 1] == []

    def test_other_comes_last(self):
        assert (*GROUPS, OTHER) == GROUP_NAMES
