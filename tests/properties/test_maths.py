"""Every public function of the maths gives the same result for every type and memory layout, or a clear error."""

import importlib
import inspect
import pkgutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lookcast.losses
import lookcast.metrics
import lookcast.ops
from tests.properties.cases import CASES
from tests.properties.tensors import Source, assert_same, contiguous, outcome, to_double

WITHOUT_TENSORS = {
    *("check_aspect", "check_mask_pairing"),  # check sizes, or that two arguments are given
    *("full_type", "full_precision", "no_autocast"),  # tested by every case
    *("ColorTargets", "StyleTargets", "style_targets"),  # parts of the losses
}
KERNELS = {"cpu", "cpu_llvm", "cpu_vectors", "cuda", "triton"}
"""Modules that `dispatch` calls after its checks."""


@pytest.mark.parametrize("name", CASES)
@settings(derandomize=True, deadline=None, max_examples=30, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_type_and_layout(name, data):
    case = CASES[name]
    source = Source(data, case.types)
    arguments = case.arguments(source)
    found = outcome(case.function, arguments, lambda tensor: tensor)
    plain = outcome(case.function, arguments, contiguous)
    assert found.refusal == plain.refusal
    if found.refusal is not None:
        assert len(found.refusal.splitlines()) == 1
        assert ": expected " in found.refusal or ": has " in found.refusal
        return
    assert_same(found, plain, case.roundings, case.nan)
    if source.dtype.is_floating_point:
        assert_same(found, outcome(case.function, arguments, to_double), case.roundings, case.nan)


def public_names(package):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if module.name.rsplit(".", 1)[1] not in KERNELS:
            for name, member in vars(importlib.import_module(module.name)).items():
                own = getattr(member, "__module__", "") == module.name and not name.startswith("_")
                if own and (inspect.isfunction(member) or inspect.isclass(member)):
                    yield name


@pytest.mark.parametrize("package", [lookcast.ops, lookcast.losses, lookcast.metrics])
def test_every_public_function_has_a_case(package):
    assert set(public_names(package)) - CASES.keys() - WITHOUT_TENSORS == set()
