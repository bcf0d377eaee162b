from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, Protocol, TypeVar, Union

import pytest
import torch
from pydantic import AfterValidator, Field

from lookcast.checks import InputError
from lookcast.training.arguments import check_arguments

Thing = TypeVar("Thing")


class Named(Protocol):
    name: str


class Base:
    def __init__(self, width: int, height: int = 3) -> None: ...


class Derived(Base):
    def __init__(self, height: str, part: Base | None = None, **options: Any) -> None: ...


def ascending(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError("the smaller number first")
    return pair


class Limited:
    def __init__(
        self,
        width: Annotated[int, Field(ge=1, le=9)] = 1,
        share: Annotated[float, Field(gt=0, lt=1)] | None = None,
        scale: Annotated[tuple[float, float], AfterValidator(ascending)] = (0.0, 1.0),
    ) -> None: ...


def unannotated(width, height=3): ...


def unreadable(width: "Nowhere", height: int): ...  # noqa: F821


def taker(hint):
    """Return a function whose argument has this annotation."""
    call = lambda argument: None  # noqa: E731
    call.__annotations__ = {"argument": hint}
    return call


def target(thing):
    return f"{__name__}.{thing.__name__}"


def refused(config):
    with pytest.raises(InputError) as error:
        check_arguments(config)
    return str(error.value)


FITS = [
    (int, [3, -1], [3.0, "3", True, None, [3], {}]),
    (float, [3, 0.5], ["0.5", False, None, [0.5], float("nan"), float("inf")]),
    (bool, [True, False], [1, "true", None]),
    (str, ["a", ""], [1, 0.5, True, None, ["a"]]),
    (str | Path | None, ["a", None], [1, ["a"]]),
    (Path, ["a"], [1]),
    (Optional[int], [3, None], ["a"]),  # noqa: UP045
    (Union[int, list[int]], [3, [3, 4], []], ["a", [3, "a"], 0.5]),  # noqa: UP007
    (float | torch.Tensor, [0.5, 1], ["a", None]),
    (Literal[16, "mixed"], [16, "mixed"], [32, "16"]),
    (Sequence[str], [["a"], []], ["a", [1], {}]),
    (Iterable[str] | None, [["a"], None], ["a", 3]),
    (tuple[str, ...], [["a"], ["a", "b"], []], ["a", [1]]),
    (tuple[float, float], [[0.5, 1]], [[0.5], [0.5, "a"], [1, 2, 3], 0.5]),
    (list, [[1, "a"]], ["a", {}]),
    (dict[str, Any], [{"a": 1}], ["a", [1]]),
    (Mapping[str, int] | None, [{"a": 1}, None], [3]),
    (torch.nn.Module, [], [3, "a", None, [1]]),
    (Callable[[int], int], [], [3, "a"]),
    # Annotations that say nothing, or that pydantic can't check.
    (Any, [3, "a", None, [1], {}], []),
    (object, [3, "a", None, [1], {}], []),
    (Thing, [3, "a", None], []),
    (Named | None, [3, None], []),
]


class TestCheckArguments:
    @pytest.mark.parametrize(("hint", "right", "wrong"), FITS, ids=lambda value: str(value))
    def test_types(self, monkeypatch, hint, right, wrong):
        monkeypatch.setitem(globals(), "taken", taker(hint))
        for value in (*right, {"_target_": target(Base), "width": 3}):  # an object may be anything
            check_arguments({"a": {"_target_": f"{__name__}.taken", "argument": value}})
        for value in wrong:
            message = refused({"a": {"_target_": f"{__name__}.taken", "argument": value}})
            assert message.startswith("a.argument: expected ")
            assert message.endswith(f", got {value!r}")

    def test_names_them_all_in_one_line(self):
        group = {"first": {"_target_": target(Base), "width": "a"}, "second": None, "list": [{"_target_": "x.y"}]}
        part = {"_target_": target(Base), "width": 3, "height": [1]}
        config = {"seed": "a", "group": group, "whole": [{"_target_": target(Derived), "height": "a", "part": part}]}
        assert refused(config) == (
            "group.first.width: expected an integer, got 'a'; whole.0.part.height: expected an integer, got [1]"
        )

    def test_options_go_to_the_base(self):
        assert (
            refused({"_target_": target(Derived), "height": "a", "width": "b"}) == "width: expected an integer, got 'b'"
        )
        # The derived class decides on an argument that both have.
        assert refused({"_target_": target(Derived), "height": 3}) == "height: expected a string, got 3"

    def test_union(self):
        expected = "lr: expected a number or an object with _target_, got 'a'"
        assert refused({"_target_": "torch.optim.AdamW", "_partial_": True, "lr": "a"}) == expected

    @pytest.mark.parametrize("made", [unannotated, unreadable])
    def test_without_annotations_anything_goes(self, made):
        check_arguments({"_target_": target(made), "width": "a", "height": "a"})

    @pytest.mark.parametrize("name", ["nowhere.at.all", "torch.optim.Nope", "", "a b", 3])
    def test_leaves_unknown_targets_to_the_call(self, name):
        check_arguments({"_target_": name, "lr": "abc"})

    def test_rejects_unknown_arguments(self):
        made = {"_target_": target(Base), "_convert_": "all", "width": 1, "colour": "blue"}
        assert refused({"a": made}) == "a.colour: Base has no such argument, it takes width, height"
        # A constructor that takes any is left to refuse it.
        check_arguments({"_target_": target(Derived), "height": "a", "colour": "blue"})

    @pytest.mark.parametrize(
        ("name", "value", "expected"),
        [
            ("width", 0, "at least 1"),
            ("width", 10, "at most 9"),
            ("width", 10**30, "at most 9"),
            ("share", 0, "more than 0.0"),
            ("share", 1.0, "less than 1.0"),
            ("scale", [2, 1], "the smaller number first"),
            ("scale", [2], "more items"),
            ("scale", [1, 2, 3], "2 or fewer items"),
        ],
    )
    def test_constraints(self, name, value, expected):
        assert refused({"_target_": target(Limited), name: value}) == f"{name}: expected {expected}, got {value}"

    def test_shortens_long_values(self):
        message = refused({"_target_": target(Base), "width": "a" * 1000})
        assert message.endswith("aaa...")
        assert len(message) < 250
