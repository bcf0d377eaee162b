"""Files of colour tables for other programs: `.cube` for grading tools, HaldCLUT (a PNG) for raw developers."""

from pathlib import Path

import torch
from PIL import ExifTags, Image

from lookcast.atomic import atomic_write
from lookcast.checks import InputError, check_shape
from lookcast.ops.lut import apply_lut, identity_lut
from lookcast.photos.photo import Photo
from lookcast.photos.write import write_photo

CUBE_SIZES = (17, 33, 65)
"""Numbers of table entries along each axis of a `.cube` file. Every grading tool can read these sizes."""
HALD_SIZES = (36, 64, 144)
"""Numbers of table entries along each axis of a HaldCLUT: the squares of the levels 6, 8 and 12."""
DEFAULT_SIZES = {".cube": 33, ".png": 64}
"""Default size for each suffix of a table's file. The keys are the supported suffixes."""


def check_table(path: str | Path, size: int | None = None) -> int:
    """Check the name and the size of a table's file before the table is computed.

    Args:
        path: the file to write; `.cube` or `.png` (a HaldCLUT).
        size: number of table entries along each axis; None chooses the default.

    Returns:
        The number of table entries along each axis.

    Raises:
        InputError: the suffix is neither `.cube` nor `.png`, or the size is not in `CUBE_SIZES` or `HALD_SIZES`.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in DEFAULT_SIZES:
        raise InputError(f"{path}: a table is written to a file that ends with .cube, or with .png for a HaldCLUT")
    if size is None:
        return DEFAULT_SIZES[suffix]
    sizes = CUBE_SIZES if suffix == ".cube" else HALD_SIZES
    if size not in sizes:
        raise InputError(f"size: expected one of {', '.join(map(str, sizes))} for {suffix}, got {size}")
    return size


def size_to_fit(size: int) -> int:
    """Return the size of the table that is fitted for a file of a given size.

    It is the size itself for a `.cube`. `fit_lut` is fast for sizes of the form `2^n + 1`, and a HaldCLUT needs a
    square number. So a HaldCLUT is fitted with the nearest size of `CUBE_SIZES`, and `write_table` resamples it.
    """
    return min(CUBE_SIZES, key=lambda known: abs(known - size))


def write_table(
    path: str | Path, lut: torch.Tensor, size: int, title: str | None = None, licence: object = None
) -> None:
    """Write a colour table atomically. The suffix determines the format, as in `check_table`.

    Args:
        path: the file to write.
        lut: `(S, S, S, 3)` in [0, 1] in the format of `apply_lut`.
        size: number of entries along each axis of the file. If it differs from S, the table is resampled.
        title: title of the look; None uses the stem of the file name.
        licence: terms of use of the look; None if there are none.

    Raises:
        InputError: as in `check_table`; or the file can't be written.
        ShapeError: `lut` is not `(S, S, S, 3)`.
    """
    path = Path(path)
    check_table(path, size)
    check_shape("lut", lut, (lut.shape[0], lut.shape[0], lut.shape[0], 3))
    lut = resampled(lut, size)
    title = path.stem if title is None else title
    comments = ["made by lookcast for colours encoded as sRGB", *([] if licence is None else [f"terms: {licence}"])]
    if path.suffix.lower() == ".cube":
        _write_cube(path, lut, title, comments)
    else:
        _write_hald(path, lut, title, comments)


def resampled(lut: torch.Tensor, size: int) -> torch.Tensor:
    """Return a table `(size, size, size, 3)` with the colours of another table, by trilinear interpolation."""
    if size == lut.shape[0]:
        return lut
    grid = identity_lut(size, lut.dtype, lut.device)
    image = grid.view(1, size, size * size, 3).permute(0, 3, 1, 2)
    return apply_lut(lut, image).permute(0, 2, 3, 1).reshape(size, size, size, 3)


def _write_cube(path: Path, lut: torch.Tensor, title: str, comments: list[str]) -> None:
    lines = [
        'TITLE "{}"'.format(title.replace('"', "'")),
        *(f"# {comment}" for comment in comments),
        f"LUT_3D_SIZE {lut.shape[0]}",
        "DOMAIN_MIN 0.0 0.0 0.0",
        "DOMAIN_MAX 1.0 1.0 1.0",
    ]
    header = "".join(f"{_ascii(line)}\n" for line in lines)
    rows = "".join(f"{red:.6f} {green:.6f} {blue:.6f}\n" for red, green, blue in lut.reshape(-1, 3).tolist())
    with atomic_write(path) as temporary:
        temporary.write_text(header + rows, encoding="ascii")


def _write_hald(path: Path, lut: torch.Tensor, title: str, comments: list[str]) -> None:
    """Write a HaldCLUT: a 16-bit PNG of `level^3 x level^3` pixels for a table of `level^2` entries along each axis.

    Read row by row, red changes fastest, then green, then blue, as in the memory of `lut`. darktable, RawTherapee, ART,
    G'MIC and ffmpeg read this layout at every level, with 8 and 16 bits.
    """
    side = round(lut.shape[0] ** 1.5)
    levels = lut.double().clamp(0, 1).mul(65535).round().to(torch.int32).numpy().astype("uint16")
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = _ascii(f"{title}; {comments[0]}")
    for terms in comments[1:]:
        exif[ExifTags.Base.Copyright] = _ascii(terms)
    write_photo(path, Photo(levels.reshape(side, side, 3), exif=exif.tobytes()))


def _ascii(text: str) -> str:
    """Return a text as one line of ASCII, as the formats require."""
    return " ".join(text.split()).encode("ascii", "replace").decode("ascii")
