"""Example photos that ship with lookcast, to try it without other photos. `CREDITS.md` names their authors."""

from pathlib import Path

_FOLDER = Path(__file__).resolve().parent


def contents() -> dict[str, Path]:
    """Return the example contents: a dict from the name of a photo to its JPEG file."""
    return _photos("contents")


def styles() -> dict[str, Path]:
    """Return the example style photos: a dict from the name of a photo to its JPEG file."""
    return _photos("styles")


def _photos(folder: str) -> dict[str, Path]:
    return {path.stem: path for path in sorted((_FOLDER / folder).glob("*.jpg"))}
