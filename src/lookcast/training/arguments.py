"""Arguments in a config against the annotations of what they are for: a wrong type is refused before a run starts."""

import pkgutil
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from lookcast.checks import InputError


def check_arguments(config: dict[str, Any]) -> None:
    """Compare every argument of every `_target_` with the annotation of its constructor or function.

    What is not annotated, and a name that the target does not know, is left to the call.

    Args:
        config: plain values, interpolations resolved.

    Raises:
        InputError: names each argument of a wrong type, what was expected and what came.

    Example:
        >>> check_arguments({"optimizer": {"_target_": "torch.optim.SGD", "lr": "abc"}})
        Traceback (most recent call last):
        lookcast.checks.InputError: optimizer.lr: expected float | Tensor, got 'abc'
    """
    wrong = list(_wrong_arguments(config, ""))
    if wrong:
        raise InputError("; ".join(wrong))


def _wrong_arguments(node: Any, key: str) -> Iterator[str]:
    entries = dict(enumerate(node)) if isinstance(node, list) else node
    if not isinstance(entries, dict):
        return
    hints = _hints(entries["_target_"]) if "_target_" in entries else {}
    for name, value in entries.items():
        where = f"{key}.{name}" if key else f"{name}"
        if name in hints and not _fits(value, hints[name]):
            yield f"{where}: expected {_spell(hints[name])}, got {value!r}"
        yield from _wrong_arguments(value, where)


def _hints(target: str) -> dict[str, Any]:
    """Annotations by argument; none of a target that can't be imported, which Hydra refuses in its own words."""
    try:
        made = pkgutil.resolve_name(target)
    except (ImportError, AttributeError, TypeError, ValueError):
        return {}
    calls = [made]
    if isinstance(made, type):  # with those of its bases: a constructor with **options hands them on
        calls = [vars(kind)["__init__"] for kind in reversed(made.__mro__) if "__init__" in vars(kind)]
    hints: dict[str, Any] = {}
    for call in calls:
        with suppress(NameError, TypeError):  # annotations that only a type checker can read
            hints |= get_type_hints(call)
    return hints


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of an annotated type; true of an object to build, and where the annotation does not say."""
    if isinstance(value, dict) and "_target_" in value:
        return True
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, UnionType):
        return any(_fits(value, option) for option in inner)
    if kind is Literal:
        return value in inner
    if kind is Any or not isinstance(kind, type):
        return True
    if isinstance(value, list):
        if kind is tuple and Ellipsis not in inner:
            return len(value) == len(inner) and all(map(_fits, value, inner))
        return (kind is tuple or issubclass(list, kind)) and all(_fits(item, inner[0]) for item in value if inner)
    if isinstance(value, str):  # a path is written as text; a text is no sequence of texts here
        return kind in (str, Path, object)
    if isinstance(value, bool):  # which Python counts among the integers
        return kind in (bool, object)
    with suppress(TypeError):  # of protocols and typed dicts, which nothing is an instance of
        return isinstance(value, (int, float) if kind is float else kind)
    return True


def _spell(hint: Any) -> str:
    """An annotation without the names of modules."""
    return re.sub(r"(?:\w+\.)+", "", hint.__name__ if isinstance(hint, type) else str(hint))
