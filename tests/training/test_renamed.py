import pytest

from lookcast.training.renamed import (
    SETTINGS,
    TARGETS,
    old_names,
    rename_callbacks,
    rename_config,
    rename_override,
)
from tests.runs import composed

OLD_MODULE = "lookcast.training.module.LookModule"


def values(node, prefix=""):
    """Every key and value of a nested config."""
    for key, value in node.items():
        yield f"{prefix}{key}", value
        if hasattr(value, "items"):
            yield from values(value, f"{prefix}{key}.")


class TestTables:
    @pytest.fixture(scope="class")
    @classmethod
    def known(cls):
        """Keys and targets of the configs of today."""
        runs = (("experiment=universal",), ("debug=anomaly",), ("loss=paper",), ("logger=wandb",))
        configs = [composed("style=x", "data.photos=x", "run_dir=x", *run) for run in runs]
        return [pair for config in configs for pair in values(config)]

    @pytest.mark.parametrize(("old", "new"), SETTINGS.items())
    def test_settings_exist(self, known, old, new):
        keys = {key for key, _ in known}
        assert new in keys
        assert old not in keys
        assert old.rpartition(".")[0] == new.rpartition(".")[0]  # a setting stays in its group

    @pytest.mark.parametrize(("old", "new"), TARGETS.items())
    def test_targets_exist(self, known, old, new):
        targets = {value for key, value in known if key.endswith("_target_")}
        assert new in targets
        assert old not in targets


class TestRenameOverride:
    @pytest.mark.parametrize(
        ("override", "expected"),
        [
            ("data.shortest=64", "data.min_side=64"),
            ("data.shortest=64,128", "data.min_side=64,128"),
            ("++data.shortest=64", "++data.min_side=64"),
            ("~data.shortest", "~data.min_side"),
            (f"module._target_={OLD_MODULE}", "module._target_=lookcast.training.modules.single.LookModule"),
            ("data.shortest2=64", "data.shortest2=64"),
            ("my.data.shortest=64", "my.data.shortest=64"),
            ("name=data.shortest", "name=data.shortest"),
            ("style=a=b\nc", "style=a=b\nc"),
        ],
    )
    def test_known_value(self, override, expected):
        assert rename_override(override) == expected


class TestRenameConfig:
    def test_known_value(self):
        old = {"data": {"size": 3, "shortest": 64, "list": [{"_target_": OLD_MODULE}]}, "shortest": 1, "_target_": None}
        new, renames = rename_config(old)
        target = "lookcast.training.modules.single.LookModule"
        assert new == {
            "data": {"size": 3, "min_side": 64, "list": [{"_target_": target}]},
            "shortest": 1,
            "_target_": None,
        }
        assert list(new["data"]) == ["size", "min_side", "list"]
        assert renames == {"data.shortest": "data.min_side", OLD_MODULE: target}

    def test_names_of_today_stay(self):
        config = {"data": {"min_side": 64}, "name": "data.shortest"}
        assert rename_config(config) == (config, {})


class TestRenameCallbacks:
    def test_known_value(self, monkeypatch):
        monkeypatch.setitem(TARGETS, "lookcast.training.callbacks.Slow", "lookcast.training.callbacks.Quick")
        states = {"Slow": 1, "Slower": 2, "Slow{'monitor': 'x'}": 3, "ModelCheckpoint{'monitor': 'Slow'}": 4}
        expected = {"Quick": 1, "Slower": 2, "Quick{'monitor': 'x'}": 3, "ModelCheckpoint{'monitor': 'Slow'}": 4}
        assert rename_callbacks(states) == expected


class TestOldNames:
    def test_known_value(self):
        text = f"Key 'shortest' is not in struct\n full_key: data.shortest\n or {OLD_MODULE}"
        assert dict(old_names(text)) == {
            "data.shortest": "data.min_side",
            OLD_MODULE: "lookcast.training.modules.single.LookModule",
        }
        assert list(old_names("my.data.shortest data.shortest2 data.min_side")) == []
