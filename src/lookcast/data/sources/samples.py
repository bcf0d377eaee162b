"""Sample photos to try lookcast without other photos: the example photos, and photos of two packages.

`pip install lookcast[samples]` installs the packages, scikit-image and scikit-learn.
"""

from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from lookcast import examples
from lookcast.checks import InputError

PREFIX = "sample:"


class Sample(NamedTuple):
    """A sample photo in an installed package.

    Attributes:
        package: the Python package that holds the file, such as `skimage.data`.
        file: the file name.
        terms: author and licence.
    """

    package: str
    file: str
    terms: str


SAMPLES = {  # besides the photos of `lookcast.examples`
    "astronaut": Sample("skimage.data", "astronaut.png", "NASA, public domain"),
    "chelsea": Sample("skimage.data", "chelsea.png", "Stefan van der Walt, CC0"),
    "coffee": Sample("skimage.data", "coffee.png", "Rachel Michetti, Pikolo Espresso Bar, CC0"),
    "hubble": Sample("skimage.data", "hubble_deep_field.jpg", "NASA, public domain"),
    "motorcycle": Sample("skimage.data", "motorcycle_left.png", "Daniel Scharstein, Middlebury stereo data set, CC0"),
    "rocket": Sample("skimage.data", "rocket.jpg", "SpaceX, CC0"),
    "china": Sample("sklearn.datasets.images", "china.jpg", "danielbuechele, CC BY 2.0"),
    "flower": Sample("sklearn.datasets.images", "flower.jpg", "vultilion, CC BY 2.0"),
}


def sample_path(name: str) -> Path:
    """Return the path of a sample photo on this machine.

    Raises:
        InputError: the sample does not exist, or its package is not installed.
    """
    shipped = examples.contents() | examples.styles()
    if name in shipped:
        return shipped[name]
    if name not in SAMPLES:
        raise InputError(f"{PREFIX}{name}: no such sample; there are {', '.join((*shipped, *SAMPLES))}")
    sample = SAMPLES[name]
    try:
        path = Path(str(files(sample.package) / sample.file))
    except ModuleNotFoundError as error:
        raise InputError(f"{PREFIX}{name}: needs the sample photos; run pip install 'lookcast[samples]'") from error
    if not path.is_file():
        raise InputError(f"{PREFIX}{name}: {sample.package} of this installation does not hold {sample.file}")
    return path
