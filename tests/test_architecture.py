"""Allowed imports between modules, as the design says; file sizes and names."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lookcast

PACKAGE = Path(lookcast.__file__).parent
MAX_LINES = 250
VAGUE = {"utils", "common", "helpers"}

BOTTOM = {"checks", "structures", "atomic", "paths", "processes", "weights", "examples"}
EVERYTHING = {"everything"}
# What a room may import besides itself: rooms or single modules. A module belongs to the longest name here that it
# begins with; "" is the package's own __init__.
ALLOWED = {
    **dict.fromkeys(BOTTOM, BOTTOM),
    "ops": BOTTOM,
    "encoders": BOTTOM | {"ops"},
    "losses": BOTTOM | {"ops"},
    "generators": BOTTOM | {"ops", "encoders"},
    "metrics": BOTTOM | {"ops"},
    "photos": BOTTOM | {"ops"},
    "segmenters": BOTTOM | {"ops", "encoders", "generators", "photos"},
    "checkpoints": BOTTOM | {"ops", "encoders", "generators"},
    "ops.bilateral.cpu": BOTTOM | {"ops"},
    "ops.lut_solver": BOTTOM | {"ops"},
    "ops.bilateral.cpu_llvm": BOTTOM | {"ops"},
    "ops.bilateral.cpu_vectors": BOTTOM | {"ops"},
    "fitting": BOTTOM | {"ops", "encoders", "losses"},
    "inference": BOTTOM | {"ops", "encoders", "generators", "segmenters", "photos", "checkpoints", "fitting"},
    "pages": BOTTOM | {"ops", "photos", "inference"},
    "evaluation": BOTTOM
    | {"ops", "encoders", "generators", "metrics", "photos", "checkpoints", "segmenters", "inference", "pages"},
    "web": BOTTOM | {"", "ops", "generators", "photos", "checkpoints", "segmenters", "fitting", "inference"},
    "data": BOTTOM | {"ops", "segmenters", "photos"},
    "training": BOTTOM
    | {"", "ops", "encoders", "losses", "generators", "metrics", "segmenters", "photos", "data", "checkpoints"}
    | {"inference"},
    "": {"inference"},
    "cli": EVERYTHING,
}
# Libraries that only these may import.
ONLY_IN = {
    "hydra": {"training.run", "cli"},
    "omegaconf": {"training.run", "cli"},
    "pytorch_lightning": {"data", "training", "cli"},
    "wandb": {"training", "cli"},
    "skimage": {"fitting"},
    "fastapi": {"web"},
    "starlette": {"web"},
    "uvicorn": {"web"},
}
# Rooms that may import only these libraries.
LIBRARIES = {
    "ops": {"torch", "kornia", "triton"},
    "ops.bilateral.cpu": {"torch", "numpy", "numba"},
    "ops.lut_solver": {"numpy"},
    "ops.bilateral.cpu_llvm": {"numba", "llvmlite"},
    "ops.bilateral.cpu_vectors": {"numba", "llvmlite"},
    "metrics": {"torch", "kornia"},
}


def modules(package: Path) -> dict[str, Path]:
    """Files of a package by module name, without the package's own."""
    names = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def imports(name: str, path: Path, known: dict[str, Path], package: str) -> Iterator[str]:
    """Full names of the modules that a file imports, anywhere in it."""
    inside = [package, *name.split(".")] if name else [package]
    if path.name != "__init__.py":
        inside.pop()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = inside[: len(inside) - node.level + 1] if node.level else []
            source = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            for alias in node.names:
                full = f"{source}.{alias.name}"
                # `from package.room import module` names the module, `from module import thing` the module before it.
                yield full if full.removeprefix(f"{package}.") in known else source


def within(name: str, rooms: set[str]) -> bool:
    return any(name == room or (room != "" and name.startswith(f"{room}.")) for room in rooms)


def violations(package: Path) -> list[str]:
    """Every broken rule, one line each."""
    known = modules(package)
    found = []
    for name, path in known.items():
        where = name or "__init__"
        if path.stem in VAGUE:
            found.append(f"{where}: a name that says nothing")
        if (lines := len(path.read_text().splitlines())) > MAX_LINES:
            found.append(f"{where}: {lines} lines")
        room = max((room for room in ALLOWED if within(name, {room})), key=len, default=None)
        if room is None:
            found.append(f"{where}: in no room of the import table")
            continue
        for target in sorted(set(imports(name, path, known, package.name))):
            library = target.split(".")[0]
            if library == package.name:
                inner = target[len(package.name) + 1 :]
                if not within(inner, ALLOWED[room] | {room}) and ALLOWED[room] is not EVERYTHING:
                    found.append(f"{where}: imports {inner or 'the package itself'}")
                continue
            allowed = within(name, ONLY_IN.get(library, {name})) and library in LIBRARIES.get(room, {library})
            if library not in sys.stdlib_module_names and not allowed:
                found.append(f"{where}: imports the library {library}")
    return found


CLEAN_HOUSE = {
    "__init__.py": "if 0:\n    from house.inference.stylizer import load",
    "checks.py": "import torch",
    "weights.py": "from house.checks import InputError\nfrom house import atomic",
    "atomic.py": "from . import checks",
    "ops/__init__.py": "",
    "ops/gram.py": "import json\nimport torch.nn.functional as F\nfrom kornia.filters import guided_blur",
    "generators/__init__.py": "from .bilateral import Generator\nfrom ..ops import gram",
    "generators/bilateral.py": "from house.ops.gram import gram_matrix\nimport numpy",
    "metrics/photo.py": "from ..ops.gram import gram_matrix",
    "photos/read.py": "from house.photos import modes\nfrom PIL import Image",
    "photos/codecs/modes.py": "",
    "inference/modes.py": "from house.photos.files import read",
    "data/folder.py": "from house.photos.files import read\nfrom ..photos import files\nimport torch",
    "training/run.py": "import hydra\nimport house\nfrom house.data.folder import find\nfrom house.losses import x",
    "cli.py": "def train():\n    from house.training.run import main\n    from house.anything import x",
}


class TestArchitecture:
    def test_the_import_table_holds(self):
        assert violations(PACKAGE) == []

    def test_every_room_is_seen(self):
        rooms = {"checks", "cli", "ops.masks", "generators.bilateral", "inference.stylizer", "training.run"}
        assert rooms <= modules(PACKAGE).keys()


class TestViolations:
    """The checker itself, on a package that is made for it."""

    @pytest.fixture
    def house(self, tmp_path):
        def build(planted):
            for name, text in {**CLEAN_HOUSE, **planted}.items():
                path = tmp_path / "house" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return tmp_path / "house"

        return build

    def test_nothing_in_a_clean_package(self, house):
        assert violations(house({})) == []

    @pytest.mark.parametrize(
        ("file", "text", "expected"),
        [
            ("ops/gram.py", "from house.losses.style import x", "ops.gram: imports losses.style"),
            ("ops/gram.py", "def f():\n    import house.inference.modes", "ops.gram: imports inference.modes"),
            ("ops/gram.py", "from .. import training", "ops.gram: imports the package itself"),
            ("ops/gram.py", "from ..training import run", "ops.gram: imports training.run"),
            ("ops/gram.py", "from house import load", "ops.gram: imports the package itself"),
            ("ops/gram.py", "import skimage", "ops.gram: imports the library skimage"),
            ("ops/__init__.py", "from ..data.folder import x", "ops: imports data.folder"),
            ("checks.py", "from house.ops.gram import x", "checks: imports ops.gram"),
            ("losses/style.py", "from house.encoders.vgg import x", "losses.style: imports encoders.vgg"),
            ("generators/bilateral.py", "from house import losses", "generators.bilateral: imports the package itself"),
            ("inference/modes.py", "import house.training.run as r", "inference.modes: imports training.run"),
            ("inference/modes.py", "import wandb", "inference.modes: imports the library wandb"),
            (
                "inference/modes.py",
                "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pytorch_lightning.loggers",
                "inference.modes: imports the library pytorch_lightning",
            ),
            ("data/folder.py", "from house.inference import modes", "data.folder: imports inference.modes"),
            ("data/folder.py", "from omegaconf import DictConfig", "data.folder: imports the library omegaconf"),
            ("training/steps.py", "from hydra.utils import x", "training.steps: imports the library hydra"),
            ("metrics/photo.py", "import house.inference", "metrics.photo: imports inference"),
            ("metrics/photo.py", "import numpy as np", "metrics.photo: imports the library numpy"),
            ("checksums.py", "", "checksums: in no room of the import table"),
            ("ops/utils.py", "", "ops.utils: a name that says nothing"),
            ("ops/gram.py", "#\n" * 251, "ops.gram: 251 lines"),
        ],
    )
    def test_planted_violation(self, house, file, text, expected):
        assert violations(house({file: text})) == [expected]
