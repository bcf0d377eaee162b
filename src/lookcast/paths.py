"""The folders that ship with lookcast."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def shipped(folder: str) -> Path:
    """Folder that ships with lookcast: `conf` or `checkpoints`.

    A wheel carries it inside the package; in an editable install it lies at the top of the checkout.

    Raises:
        FileNotFoundError: the installation is incomplete.
    """
    for candidate in (_PACKAGE / folder, _PACKAGE.parents[1] / folder):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"lookcast's folder {folder!r} is missing from this installation")
