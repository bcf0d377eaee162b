"""Limits of constructor arguments, written once as annotations."""

import inspect
from collections.abc import Callable
from functools import cache, wraps
from typing import Annotated, Any, ParamSpec, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError

from lookcast.checks import InputError

P = ParamSpec("P")

Count = Annotated[int, Field(ge=1)]
"""A number of steps, photos or pixels."""
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
"""A part of a whole."""
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""A duration."""


def limited(init: Callable[P, None]) -> Callable[P, None]:
    """Make a constructor refuse arguments that its annotations exclude.

    Values are checked and never converted. `check_arguments` reads the same annotations from a config before a run
    starts; this decorator covers direct calls.

    Raises:
        InputError: raised by the constructor; names the argument, the limit and the value.
    """

    @cache
    def adapters() -> dict[str, TypeAdapter[Any]]:
        return {name: TypeAdapter(hint) for name, hint in get_type_hints(init, include_extras=True).items()}

    @wraps(init)
    def checked(*args: P.args, **kwargs: P.kwargs) -> None:
        for name, value in inspect.signature(init).bind(*args, **kwargs).arguments.items():
            if name in adapters():
                _check(name, value, adapters()[name])
        init(*args, **kwargs)

    return checked


def _check(name: str, value: Any, adapter: TypeAdapter[Any]) -> None:
    try:
        adapter.validate_python(value, strict=True)
    except ValidationError as error:
        limit = error.errors()[0]["msg"].removeprefix("Input should be ")
        raise InputError(f"{name}: must be {limit}, got {value!r}") from error
