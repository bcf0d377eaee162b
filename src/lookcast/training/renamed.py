"""Old names of settings and classes. Older commands, configs and checkpoints still use the old names."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

SETTINGS = {
    "data.shortest": "data.min_side",
    "module.pseudo_masks.most": "module.pseudo_masks.max_regions",
    "loss.style.most_cells": "loss.style.max_cells",
    "callbacks.speed": "callbacks.compile_networks",
    "callbacks.skipped.most": "callbacks.skipped.max_share",
    "callbacks.finite.most_in_a_row": "callbacks.finite.max_in_a_row",
}
"""A mapping from the old key of a setting to the new key. An entry also renames all keys below the old key."""

TARGETS = {
    "lookcast.training.module.LookModule": "lookcast.training.modules.single.LookModule",
    "lookcast.training.universal.UniversalModule": "lookcast.training.modules.pairs.UniversalModule",
    "lookcast.training.pseudo_masks.PseudoMasks": "lookcast.segmenters.pseudo_masks.PseudoMasks",
    "lookcast.training.callbacks.Speed": "lookcast.training.callbacks.CompileNetworks",
    "lookcast.training.loggers.wandb_logger": "lookcast.training.loggers.RunWandb",
}
"""A mapping from the old import path of a class or function to the new one. Configs store the path in `_target_`."""


def rename_override(override: str) -> str:
    """Replace the old names in a command-line override: the key, and the value if the key is a `_target_`.

    Example:
        >>> rename_override("+data.shortest=256")
        '+data.min_side=256'
    """
    found = re.fullmatch(r"([+~]*)([^=]*)(=?)(.*)", override, re.DOTALL)
    assert found is not None
    sign, key, equals, value = found.groups()
    if key.rpartition(".")[2] == "_target_":
        value = TARGETS.get(value, value)
    return f"{sign}{_rename_key(key)}{equals}{value}"


def rename_config(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Replace the old keys and the old `_target_`s in a config of plain values.

    Returns:
        The config with the new names, in the same order.
        A mapping from each old name in the config to the new name.
    """
    renames: dict[str, str] = {}
    return _rename_node(config, "", renames), renames


def rename_callbacks(states: Mapping[str, Any]) -> dict[str, Any]:
    """Rename the keys of the callback states in a training checkpoint, so that Lightning finds the states.

    A key begins with the class name of the callback. For some callbacks, the arguments of the callback follow the name.
    """
    names = {old.rpartition(".")[2]: new.rpartition(".")[2] for old, new in TARGETS.items()}
    return {re.sub(r"^\w+", lambda name: names.get(name[0], name[0]), key): state for key, state in states.items()}


def old_names(text: str) -> Iterator[tuple[str, str]]:
    """Yield a pair `(old name, new name)` for each old setting or `_target_` in a text."""
    for old, new in (SETTINGS | TARGETS).items():
        if re.search(rf"(?<![\w.]){re.escape(old)}(?!\w)", text):
            yield old, new


def _rename_key(key: str) -> str:
    # The longest old key comes first, so that the entry for a setting wins over the entry for its parent group.
    for old in sorted(SETTINGS, key=len, reverse=True):
        if key == old or key.startswith(f"{old}."):
            return SETTINGS[old] + key[len(old) :]
    return key


def _rename_node(node: Any, key: str, renames: dict[str, str]) -> Any:
    if isinstance(node, list):
        return [_rename_node(item, key, renames) for item in node]
    if not isinstance(node, Mapping):
        return node
    renamed = {}
    for name, value in node.items():
        before = f"{key}.{name}" if key else str(name)
        after = _rename_key(before)
        if before in SETTINGS:
            renames[before] = after
        if name == "_target_" and value in TARGETS:
            renames[value] = value = TARGETS[value]
        renamed[after.rpartition(".")[2] if after != before else name] = _rename_node(value, before, renames)
    return renamed
