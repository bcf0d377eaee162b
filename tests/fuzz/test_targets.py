"""The targets on their seeds, on changed seeds, and on the inputs that once broke a target."""

import random
import re
from pathlib import Path

import pytest

from lookcast.web import batch_routes, mask_routes, photo_routes, result_routes
from tests.fuzz.targets import TARGETS, run

FINDINGS = sorted((Path(__file__).parent / "findings").iterdir())
COUNT = 150
"""Number of changed inputs for each target. Ten thousand of them were read once."""
VALUES = (bytes(4), b"\xff" * 4, b"\x7f\xff\xff\xff", b"9999999", b"-1", b"null", b"[]", b"1e999", b"NaN", b'""')


def changed(seed, generator):
    """Change, insert, repeat or delete some bytes, most often near the start, where the headers are."""
    data = bytearray(seed)
    for _ in range(generator.choice((1, 1, 1, 2, 4))):
        place = generator.randrange(max(1, len(data) if generator.random() < 0.4 else min(len(data), 400)))
        value, length = generator.choice(VALUES), generator.choice((1, 2, 4, 100))
        kind = generator.randrange(6)
        if kind == 0 and data:
            data[place] ^= 1 << generator.randrange(8)
        elif kind == 1:
            data[place : place + len(value)] = value
        elif kind == 2:
            data[place:place] = value
        elif kind == 3:
            del data[place : place + length]
        elif kind == 4:
            data[place:place] = data[-length:]
        elif generator.random() < 0.3:
            del data[place:]
    return bytes(data)


@pytest.fixture(scope="module", params=TARGETS)
def target(request, tmp_path_factory):
    return request.param, TARGETS[request.param].seeds(tmp_path_factory.mktemp(request.param))


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about damaged tags
def test_changed_files(target, tmp_path):
    name, seeds = target
    generator, messages = random.Random(0), []
    for _ in range(COUNT):
        data = changed(generator.choice(seeds), generator)
        messages.append(run(name, TARGETS[name].repair(data) if generator.random() < 0.7 else data, tmp_path))
    assert messages.count(None) > COUNT // 20
    assert len(set(messages)) > 5


def test_repair_keeps_valid_files(target, tmp_path):
    name, seeds = target
    for seed in seeds:
        assert TARGETS[name].repair(seed) == seed
    assert any(run(name, seed, tmp_path) is None for seed in seeds)


@pytest.mark.parametrize("path", FINDINGS, ids=lambda path: path.name)
def test_findings(path, tmp_path):
    run(path.name.split("-")[0], path.read_bytes(), tmp_path)


def test_seeds_of_requests_reach_every_address(tmp_path):
    seeds = b"\n".join(TARGETS["requests"].seeds(tmp_path)).decode("latin-1").replace("{", "").replace("}", "")
    sent = re.findall(r"^([A-Z]+) ([^?\s]+)", seeds, re.MULTILINE)
    routers = (photo_routes, mask_routes, result_routes, batch_routes)
    routes = [(method, route) for module in routers for route in module.router.routes for method in route.methods]
    assert len(routes) > 20
    missing = [
        f"{method} {route.path}"
        for method, route in routes
        if not any(method == name and route.path_regex.match(path) for name, path in sent)
    ]
    assert not missing
