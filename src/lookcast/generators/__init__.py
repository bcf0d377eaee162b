"""The generators, and a table that maps a generator's name in checkpoints to its class."""

from lookcast.generators.base import Generator, GridGenerator, PairGenerator
from lookcast.generators.bilateral import BilateralGenerator
from lookcast.generators.fitted import FittedGenerator
from lookcast.generators.fixed_style import FixedStyleGenerator
from lookcast.generators.transform import TransformGenerator
from lookcast.generators.universal import OPTIONAL_PARTS, UniversalGenerator

GENERATORS: dict[str, type[Generator]] = {
    kind.name: kind
    for kind in (FixedStyleGenerator, BilateralGenerator, FittedGenerator, TransformGenerator, UniversalGenerator)
}

__all__ = [
    "GENERATORS",
    "OPTIONAL_PARTS",
    "BilateralGenerator",
    "FittedGenerator",
    "FixedStyleGenerator",
    "Generator",
    "GridGenerator",
    "PairGenerator",
    "TransformGenerator",
    "UniversalGenerator",
]
