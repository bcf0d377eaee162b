"""Check of config values against the type annotations of the constructors and functions that get these values."""

import inspect
import json
import pkgutil
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import SchemaError

from lookcast.checks import EXPECTED_WORDS, InputError, describe_expected

_OBJECT = "an object with _target_"
_WORDS = EXPECTED_WORDS | {
    "missing": "more items",  # a list of fixed length is too short
    "needs_python_object": _OBJECT,
    "callable_type": _OBJECT,
    "is_type": _OBJECT,
}


def check_arguments(config: Mapping[str, Any]) -> None:
    """Validate the arguments of every `_target_` in a config against the annotations of the target.

    A `_target_` is the import path of a class or function that Hydra will call; the keys beside it are the arguments.
    pydantic validates in strict mode, and also checks constraints in annotations (`Annotated[int, Field(ge=1)]`).
    Numbers must be finite. Arguments without an annotation are not checked. An argument that contains a `_target_` is
    not checked against its annotation, because Hydra will replace it by an object.

    Args:
        config: the config as plain values, with resolved interpolations.

    Raises:
        InputError: an argument is wrong or unknown; the message is one line. For each wrong argument, the line states
            the key, the expected value and the given value.

    Example:
        >>> check_arguments({"optimizer": {"_target_": "torch.optim.SGD", "lr": "abc"}})
        Traceback (most recent call last):
        lookcast.checks.InputError: optimizer.lr: expected a number or an object with _target_, got 'abc'
    """
    wrong = list(_wrong_arguments(config, ""))
    if wrong:
        raise InputError("; ".join(wrong))


def check_values(values: Mapping[str, Any], hints: Mapping[str, Any]) -> Iterator[str]:
    """Yield one line for each value that does not fit its annotation, such as `seed: expected at least 0, got -1`."""
    for key, hint in hints.items():
        if key in values and (expected := _refusal(values[key], hint)):
            yield f"{key}: expected {expected}, got {_shorten(values[key])}"


def _wrong_arguments(node: Any, key: str) -> Iterator[str]:
    entries: Any = dict(enumerate(node)) if isinstance(node, list) else node
    if not isinstance(entries, Mapping):
        return
    prefix = f"{key}." if key else ""
    if "_target_" in entries:
        target = _resolve(entries["_target_"])
        hints = {} if target is None else _hints(target)
        yield from (f"{prefix}{line}" for line in check_values(entries, hints))
        if target is not None:
            yield from (f"{prefix}{line}" for line in _unknown_arguments(entries, target))
    for name, value in entries.items():
        yield from _wrong_arguments(value, f"{prefix}{name}")


def _resolve(target: Any) -> Callable[..., Any] | None:
    """Import a target, or return None if the import fails; Hydra reports the failed import later."""
    try:
        found = pkgutil.resolve_name(target)
    except (ImportError, AttributeError, TypeError, ValueError):
        return None
    return found if callable(found) else None


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    """Return a mapping from the name of each argument to its annotation.

    The mapping includes the arguments of base classes, because a constructor may pass `**options` to its base class.
    """
    calls = [target]
    if isinstance(target, type):
        calls = [vars(kind)["__init__"] for kind in reversed(target.__mro__) if "__init__" in vars(kind)]
    hints: dict[str, Any] = {}
    for call in calls:
        with suppress(NameError, TypeError):  # skip annotations that exist only for type checkers
            hints |= get_type_hints(call, include_extras=True)
    return hints


def _unknown_arguments(entries: Mapping[str, Any], target: Callable[..., Any]) -> Iterator[str]:
    try:
        parameters = inspect.signature(target).parameters
    except ValueError:  # built-in callables have no signature
        return
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    for name in entries:
        if name not in parameters and not re.fullmatch(r"_\w+_", str(name)):
            known = ", ".join(parameters)
            yield f"{name}: {getattr(target, '__name__', target)} has no such argument, it takes {known}"


def _refusal(value: Any, hint: Any) -> str | None:
    """Describe the expected value; return None if the value fits the annotation, or if no check is possible."""
    if _contains_object(value):
        return None
    try:
        # Validate as JSON: strict mode accepts a string for a path, and a list for a tuple, only from JSON.
        _adapter(hint).validate_json(json.dumps(value))
    except ValidationError as error:
        return " or ".join(dict.fromkeys(describe_expected(fault, _WORDS) for fault in error.errors(include_url=False)))
    except (PydanticUserError, SchemaError, TypeError):  # pydantic does not support this annotation or value
        return None
    return None


def _adapter(hint: Any) -> TypeAdapter[Any]:
    config = ConfigDict(strict=True, arbitrary_types_allowed=True, allow_inf_nan=False)
    return TypeAdapter(_with_sequences(hint), config=config)


def _with_sequences(hint: Any) -> Any:
    """Replace `Iterable` by `Sequence`, because pydantic accepts a string as an iterable and does not check items."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Iterable:
        return Sequence[inner[0]] if inner else Sequence[Any]  # type: ignore[valid-type]
    if origin in (Union, types.UnionType):
        return typing.Union[tuple(_with_sequences(option) for option in inner)]  # noqa: UP007
    return hint


def _contains_object(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "_target_" in value or any(map(_contains_object, value.values()))
    return isinstance(value, list) and any(map(_contains_object, value))


def _shorten(value: Any, length: int = 200) -> str:
    text = repr(value)
    return text if len(text) <= length else f"{text[:length]}..."
